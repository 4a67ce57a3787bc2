#include "case_table.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string_view>

namespace ntp::wire_test {
namespace {

using Family = IpAddress::Family;

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, separator);) parts.push_back(part);
  return parts;
}

template <typename T>
T number(std::string_view text, int base = 10) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) {
    throw std::runtime_error("not a number: " + std::string(text));
  }
  return value;
}

std::vector<std::byte> unpack(const std::string& notation) {
  std::vector<std::byte> octets;
  if (notation == "-") return octets;
  for (const std::string& token : split(notation, ' ')) {
    const auto star = token.find('*');
    const std::string_view digits = std::string_view(token).substr(0, star);
    const std::size_t count = star == std::string::npos
                                  ? 1
                                  : number<std::size_t>(std::string_view(token).substr(star + 1));
    for (std::size_t i = 0; i < count; ++i) {
      for (std::size_t at = 0; at < digits.size(); at += 2) {
        octets.push_back(static_cast<std::byte>(number<unsigned>(digits.substr(at, 2), 16)));
      }
    }
  }
  return octets;
}

std::variant<ExpectedReply, server::Drop> parse_expect(const std::string& text) {
  const auto words = split(text, ' ');
  if (words.at(0) == "silence") {
    const auto found = std::ranges::find(server::kDropLabels, words.at(1));
    if (found == server::kDropLabels.end()) throw std::runtime_error("unknown reason: " + text);
    return static_cast<server::Drop>(found - server::kDropLabels.begin());
  }
  if (words.at(0) != "reply" && words.at(0) != "nak")
    throw std::runtime_error("neither reply nor silence: " + text);
  ExpectedReply reply{.nak = words.at(0) == "nak"};
  for (std::size_t i = 1; i < words.size(); ++i) {
    const auto pair = split(words[i], '=');
    if (pair.at(0) == "version") reply.version = number<int>(pair.at(1));
    if (pair.at(0) == "mode") reply.mode = number<int>(pair.at(1));
    if (pair.at(0) == "poll") reply.poll = number<int>(pair.at(1));
    if (pair.at(0) == "mac") reply.mac = number<std::uint32_t>(pair.at(1));
    if (pair.at(0) == "cookies") reply.cookies = number<std::size_t>(pair.at(1));
    if (pair.at(0) == "size") reply.size = number<std::size_t>(pair.at(1));
    if (pair.at(0) == "origin") reply.origin = number<std::uint64_t>(pair.at(1), 16);
  }
  return reply;
}

}  // namespace

std::vector<Case> read_case_table(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw std::runtime_error("cannot read " + path);
  std::vector<Case> cases;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line.front() == '#') continue;
    const auto columns = split(line, '\t');
    if (columns.size() != 5) throw std::runtime_error("not five columns: " + line);
    cases.push_back({.id = columns[0],
                     .section = columns[1],
                     .source = columns[2],
                     .payload = unpack(columns[3]),
                     .expect = parse_expect(columns[4])});
  }
  return cases;
}

std::string case_table_path() {
  const char* chosen = std::getenv("NTP_WIRE_CASES");
  return chosen != nullptr ? chosen : NTP_SOURCE_DIR "/tests/wire/cases.tsv";
}

std::string keyed_table_path() { return NTP_SOURCE_DIR "/tests/wire/cases_keyed.tsv"; }

server::Arrival arrival_of(const Case& c, Family family) {
  const bool v4 = family == Family::v4;
  const auto address = [v4](const char* ip4, const char* ip6) { return *parse_ip(v4 ? ip4 : ip6); };
  const IpAddress client = address("192.0.2.7", "2001:db8::7");
  const IpAddress server = address("192.0.2.1", "2001:db8::1");
  server::Arrival arrival{.payload = c.payload,
                          .source = {.address = client, .port = 40'000},
                          .local = {.address = server, .port = 123},
                          .through_loopback = false};
  Endpoint& from = arrival.source;
  if (c.source == "client") return arrival;
  if (c.source == "port_123") {
    from.port = 123;
  } else if (c.source == "port_0") {
    from.port = 0;
  } else if (c.source == "own_endpoint") {
    from = arrival.local;
    arrival.through_loopback = true;
  } else if (c.source == "own_address") {
    from.address = server;
    arrival.through_loopback = true;
  } else if (c.source == "loopback") {
    from.address = arrival.local.address = address("127.0.0.1", "::1");
    arrival.through_loopback = true;
  } else if (c.source == "stray_loopback") {
    from.address = address("127.0.0.1", "::1");
  } else if (c.source == "unspecified") {
    from.address = address("0.0.0.0", "::");
  } else if (c.source == "multicast") {
    from.address = address("224.0.1.1", "ff02::101");
  } else if (c.source == "broadcast") {
    from.address = *parse_ip("255.255.255.255");
  } else {
    throw std::runtime_error("unknown source: " + c.source);
  }
  return arrival;
}

bool exists_in(const Case& c, Family family) {
  return family == Family::v4 || c.source != "broadcast";
}

}  // namespace ntp::wire_test
