#include "control/crowd_notice.h"

#include <fmt/format.h>

namespace ntp::control {
namespace {

constexpr std::chrono::hours kSilence{1};  // after a word about one crowd, about others

}  // namespace

std::optional<std::string> CrowdNotice::look(const server::RateView& rate, int limit, RawTime now) {
  if (rate.crowd_ports == 0 || rate.crowd == told_ || now < silence_until_) return std::nullopt;
  told_ = rate.crowd;
  silence_until_ = now + kSilence;
  return fmt::format(
      "most requests come from {}, more than {} a second and from many ports: a proxy or NAT seems "
      "to stand before many clients, which the limit cannot tell apart. They are all answered, but "
      "while requests come faster than they can be read. In Docker, publish the port without "
      "userland-proxy or use --network host",
      to_string(rate.crowd), limit);
}

}  // namespace ntp::control
