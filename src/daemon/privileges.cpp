#include "daemon/privileges.h"

#include <fmt/format.h>
#include <sysexits.h>

#include "os/privileges.h"

namespace ntp::daemon {
namespace {

constexpr const char* kRefused = "the kernel refuses to take capabilities away";

}  // namespace

std::expected<void, StartFailure> give_up_privileges(const config::Settings& settings, Log& log) {
  const bool steers = settings.clock.steer == clock::Actuator::system;
  const auto standing = os::drop_privileges(settings.server.uid, settings.server.gid, steers);
  if (standing.capabilities_kept) log.error(kRefused);
  if (standing.kept_root) {
    log.warning(fmt::format("staying uid 0 ({}); every capability is given up all the same",
                            standing.why_kept));
  } else if (standing.changed_user) {
    log.info("gave up root",
             {{"uid", fmt::to_string(standing.uid)}, {"gid", fmt::to_string(standing.gid)}});
  }
  if (steers && !standing.may_set_time) {
    return std::unexpected(StartFailure{
        "clock.steer = \"system\" needs the capability CAP_SYS_TIME. Run the container with "
        "--user 0 --cap-add SYS_TIME, give a systemd unit AmbientCapabilities=CAP_SYS_TIME (and "
        "the same in CapabilityBoundingSet=), start as root, or set clock.steer = \"none\"",
        EX_NOPERM});
  }
  return {};
}

void give_up_the_rest(Log& log) {
  if (!os::drop_thread_capabilities()) log.error(kRefused);
}

}  // namespace ntp::daemon
