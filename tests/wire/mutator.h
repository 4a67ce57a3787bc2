// Situations without end, from the cases of a table with a few octets changed. For property tests.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "case_table.h"
#include "golden_rules.h"

namespace ntp::wire_test {

inline std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  if (text == nullptr) return otherwise;
  std::uint64_t value = otherwise;
  std::from_chars(text, text + std::strlen(text), value);
  return value;
}

// Makes one situation after the other; the same seed makes the same ones.
class Mutator {
 public:
  Mutator(std::uint64_t seed, const std::string& table)
      : dice_(seed), cases_(read_case_table(table)) {
    std::erase_if(cases_, [](const Case& c) { return c.payload.size() > 1600; });
    for (const Case& c : cases_) {
      if (std::holds_alternative<ExpectedReply>(c.expect)) answered_.push_back(&c);
    }
    choose_clock();
  }

  // Valid until the next call.
  const Situation& next() {
    // Half of them from cases that are answered: what is refused at the gate proves little.
    const Case& origin =
        flip() ? cases_[below(cases_.size())] : *answered_[below(answered_.size())];
    const auto family = flip() ? IpAddress::Family::v4 : IpAddress::Family::v6;
    situation_.arrival = arrival_of(origin, family);
    choose_payload(origin);
    situation_.arrival.payload = payload_;
    if (below(64) == 0) choose_source();
    if (below(256) == 0) situation_.arrival.truncated = true;
    if (below(32) == 0) choose_clock();
    situation_.policy.poll_minimum = static_cast<std::int8_t>(below(4) == 0 ? dice_.next() : 0xfa);
    choose_stamps();
    situation_.seed = dice_.next();
    return situation_;
  }

 private:
  std::uint64_t below(std::uint64_t limit) { return (dice_.next() >> 16) % limit; }
  bool flip() { return below(2) == 0; }

  void choose_payload(const Case& origin) {
    payload_ = origin.payload;
    switch (below(8)) {
      case 0:  // anything, but mostly something that passes the gate
        payload_.resize(4 * below(48));
        for (auto& octet : payload_) octet = static_cast<std::byte>(dice_.next());
        if (payload_.size() >= 48 && flip()) payload_[0] = static_cast<std::byte>(0x23);
        break;
      case 1:  // the head of one, the tail of another
        splice(cases_[below(cases_.size())].payload);
        break;
      case 2:
        payload_.resize(below(payload_.size() + 64));
        break;
      case 3:
        append_field();
        break;
      default:
        for (std::uint64_t i = below(4); i > 0 && !payload_.empty(); --i) mutate_octet();
    }
  }

  void splice(const std::vector<std::byte>& other) {
    const auto cut = static_cast<std::ptrdiff_t>(4 * below(payload_.size() / 4 + 1));
    payload_.resize(static_cast<std::size_t>(cut));
    if (std::ssize(other) > cut) payload_.insert(payload_.end(), other.begin() + cut, other.end());
  }

  void mutate_octet() {
    // The head of the header and the heads of fields decide most.
    const std::size_t at =
        flip() ? below(payload_.size()) : std::min<std::size_t>(payload_.size() - 1, 48 + below(8));
    payload_[at] = static_cast<std::byte>(flip() ? dice_.next() : 1u << below(8));
  }

  void append_field() {
    static constexpr std::array<unsigned, 6> kTypes = {0x0104, 0x0204, 0x0404, 0x2005, 0xf5ff, 0};
    const unsigned type = kTypes[below(kTypes.size())];
    const auto size = 4 * (3 + below(12));
    const std::size_t at = payload_.size();
    payload_.resize(at + size);
    payload_[at] = static_cast<std::byte>(type >> 8);
    payload_[at + 1] = static_cast<std::byte>(type);
    payload_[at + 2] = std::byte{0};
    payload_[at + 3] = static_cast<std::byte>(size);
  }

  void choose_source() {
    Endpoint& from = situation_.arrival.source;
    for (auto& octet : from.address.octets) octet = static_cast<std::uint8_t>(dice_.next());
    if (from.address.is_v4())
      std::fill(from.address.octets.begin() + 4, from.address.octets.end(), 0);
    if (flip()) from.port = static_cast<std::uint16_t>(dice_.next());
    situation_.arrival.through_loopback = flip();
    situation_.arrival.to_many = below(64) == 0;
  }

  void choose_clock() {
    const RawTime at{std::chrono::seconds(1000)};
    const server::ServerState state{
        .leap = static_cast<wire::Leap>(below(4)),
        .stratum = static_cast<std::uint8_t>(1 + below(15)),
        .precision = static_cast<std::int8_t>(dice_.next()),
        .refid = static_cast<std::uint32_t>(dice_.next()),
        .reftime = {flip() ? dice_.next() : 0xee7ac40000000000 + (dice_.next() >> 24)},
        .root_delay_s = static_cast<double>(below(1000)) / 999,
        .root_dispersion_s = static_cast<double>(below(20'000)) / 999,
        .dispersion_rate = static_cast<double>(below(100)) * 1e-5,
        .at = at};
    situation_.clock = server::describe_clock(
        state, at + std::chrono::milliseconds(below(12'000)) - std::chrono::milliseconds(100));
  }

  // Mostly microseconds apart in the year 2026; now and then anything, in any order.
  void choose_stamps() {
    situation_.rec.bits = 0xee7ac40000000000 + (dice_.next() >> 20);
    situation_.xmt.bits = situation_.rec.bits + (dice_.next() >> 40);
    if (below(16) == 0) situation_.rec.bits = dice_.next();
    if (below(16) == 0) situation_.xmt.bits = dice_.next();
  }

  NoiseSource dice_;
  std::vector<Case> cases_;
  std::vector<const Case*> answered_;  // those of cases_ that get a reply
  std::vector<std::byte> payload_;
  Situation situation_;
};

inline std::string hex(std::span<const std::byte> octets) {
  std::string text;
  char two[3];
  for (const std::byte octet : octets) {
    std::snprintf(two, sizeof two, "%02x", std::to_integer<unsigned>(octet));
    text += two;
  }
  return text;
}

}  // namespace ntp::wire_test
