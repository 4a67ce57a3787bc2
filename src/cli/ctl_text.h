// What `ntp-server ctl` prints, made of the server's status document (docs/formats/status.md).
// Pure.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace ntp::cli {

enum class Topic : std::uint8_t {
  status,
  tracking,
  sources,
  sourcestats,
  selection,
  activity,
  waitsync,
};
inline constexpr std::array<std::string_view, 7> kTopicNames = {
    "status", "tracking", "sources", "sourcestats", "selection", "activity", "waitsync"};
static_assert(kTopicNames.size() == static_cast<std::size_t>(Topic::waitsync) + 1);

// Lines for people, each with its end. A field that the document does not have is shown as "-":
// the server may be of another version.
std::string ctl_text(Topic topic, const nlohmann::json& status);

// The part of the document that the topic is about, one object: `schema`, `version`, `time` and
// what the topic shows.
nlohmann::json ctl_json(Topic topic, const nlohmann::json& status);

// "+1.234 us", "12.000 ms", "3.500 s": in the unit that leaves at least one digit before the point.
std::string show_seconds(double s, bool with_sign);

}  // namespace ntp::cli
