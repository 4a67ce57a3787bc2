// Readers of single values: each sets `out`, or says what is wrong and leaves it alone.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "config/options.h"
#include "config/units.h"

namespace ntp::config {

inline constexpr std::size_t kMostEndpoints = 64;  // each one is a socket for every worker
inline constexpr std::int64_t kLongestPath = 4000;
inline constexpr std::int64_t kLongestSocketPath = 107;  // sockaddr_un's sun_path, with its NUL

void read_integer(const Given& given, int& out);
void read_threads(const Given& given, std::optional<int>& out);  // "auto" is empty
void read_duration(const Given& given, std::chrono::nanoseconds& out);
void read_boolean(const Given& given, bool& out);
void read_endpoints(const Given& given, std::uint16_t default_port, std::vector<Endpoint>& out);
// "off" is empty.
void read_endpoint(const Given& given, std::uint16_t default_port, std::optional<Endpoint>& out);
struct HostPort {
  std::string host{};  // a name in lower case, or an address as to_string() has it
  std::uint16_t port = 0;
};
void read_host(const Given& given, std::uint16_t default_port, HostPort& out);
void read_user(const Given& given, UserId& out);
// One of option.words, or an absolute path of at most option.most octets.
void read_path(const Given& given, std::string& out);
// The place of the value in option.words; empty after a fault.
std::optional<std::size_t> read_word(const Given& given);

}  // namespace ntp::config
