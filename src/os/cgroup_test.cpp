#include "os/cgroup.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

namespace ntp::os {
namespace {

double quota(std::string_view self, const std::map<std::string, std::string>& files) {
  return cpu_quota(self, [&files](const std::string& path) -> std::optional<std::string> {
    const auto found = files.find(path);
    if (found == files.end()) return std::nullopt;
    return found->second;
  });
}

TEST(CpuQuota, IsTheTightestOfAllGroupsUpToTheRoot) {
  EXPECT_EQ(quota("0::/\n", {{"/sys/fs/cgroup/cpu.max", "150000 100000\n"}}), 1.5);
  const std::map<std::string, std::string> nested = {
      {"/sys/fs/cgroup/a.slice/cpu.max", "200000 100000\n"},
      {"/sys/fs/cgroup/a.slice/b.service/cpu.max", "max 100000\n"}};
  EXPECT_EQ(quota("0::/a.slice/b.service\n", nested), 2.0);
  EXPECT_EQ(quota("0::/b.service\n", nested), HUGE_VAL);
  auto inner = nested;
  inner["/sys/fs/cgroup/a.slice/b.service/cpu.max"] = "50000 100000\n";
  EXPECT_EQ(quota("0::/a.slice/b.service\n", inner), 0.5);
}

TEST(CpuQuota, OfVersionOneIsReadFromTheControllerOfThatName) {
  const std::map<std::string, std::string> files = {
      {"/sys/fs/cgroup/cpu/docker/x/cpu.cfs_quota_us", "300000\n"},
      {"/sys/fs/cgroup/cpu/docker/x/cpu.cfs_period_us", "100000\n"},
      {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"},
      {"/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"}};
  EXPECT_EQ(quota("4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n0::/docker/x\n", files), 3.0);
  EXPECT_EQ(quota("3:cpuset:/docker/x\n2:cpuacct:/docker/x\n", files), HUGE_VAL);
}

TEST(CpuQuota, OfAGroupThatIsNotToBeSeenIsThatOfTheMount) {
  const std::map<std::string, std::string> files = {{"/sys/fs/cgroup/cpu.max", "100000 100000"}};
  EXPECT_EQ(quota("0::/../../system.slice/docker-1.scope\n", files), 1.0);
  EXPECT_EQ(quota("0::/system.slice/docker-1.scope\n", files), 1.0);
}

TEST(CpuQuota, IsNoneWhereNothingSensibleIsWritten) {
  for (const char* text : {"", "\n", "0\n", "0:\n", "nonsense", "::\n"}) {
    EXPECT_EQ(quota(text, {}), HUGE_VAL) << text;
  }
  for (const char* text : {"", "max 100000", "x y", "0 100000", "100000 0", "100000", "-5 100"}) {
    EXPECT_EQ(quota("0::/\n", {{"/sys/fs/cgroup/cpu.max", text}}), HUGE_VAL) << text;
  }
}

}  // namespace
}  // namespace ntp::os
