// The sources and the clock made of them, as every rendering shows them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/client.h"
#include "control/ke_view.h"

namespace ntp::control {

// What is done to the host's clock where clock.steer asks for it.
enum class SteeringState : std::uint8_t {
  waiting,  // the sources do not tell the time: it is left alone
  steering,
  refused,  // its error is over clock.max_change
  failed,   // the kernel does not let us
};
inline constexpr std::array<std::string_view, 4> kSteeringStateNames = {"waiting", "steering",
                                                                        "refused", "failed"};
static_assert(kSteeringStateNames.size() == static_cast<std::size_t>(SteeringState::failed) + 1);

struct SteeringView {
  SteeringState state = SteeringState::waiting;
  double error_s = 0;  // host - served, before the last correction
  double rate = 0;     // that the kernel was given, seconds per second
  std::uint64_t steps = 0;
  std::uint64_t refusals = 0;
  std::uint64_t disturbances = 0;  // somebody else changed the rate, or stepped
  std::uint64_t failures = 0;      // calls that the kernel refused
};

struct SourceView {
  clock::ClockState state = clock::ClockState::cold;
  std::string reason{};
  std::optional<client::AssociationId> leader{};  // that is followed among orphans
  RawTime at{};
  double frequency = 0;  // of the served clock against the raw one, seconds per second
  double frequency_sd = 0;
  double bound_s = 0;
  std::vector<client::SourceReport> sources{};
  std::vector<client::Tracked> tracked{};
  std::optional<SteeringView> steering{};  // empty: nothing is done to it
  std::optional<KeProcess> key_process{};  // empty: it was not started
};

}  // namespace ntp::control
