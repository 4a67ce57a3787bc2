// Servers and a resolver around a SourceSet, in virtual time.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "client/association_fixture.h"
#include "client/source_set.h"
#include "wire/refid.h"

namespace ntp::client::testing {

using Addresses = std::vector<IpAddress>;

inline IpAddress host(int number) {
  return IpAddress::v4(198, 51, 100, static_cast<std::uint8_t>(number));
}

inline Addresses hosts(int first, int last) {
  Addresses all;
  for (int i = first; i <= last; ++i) all.push_back(host(i));
  return all;
}

class World {
 public:
  explicit World(std::uint64_t seed = 3) : random(seed) {}

  enum class Manner { answers, silent, denies, rates, unsendable };

  void configure(const std::vector<SourceOptions>& options) { set.configure(options, now, random); }

  void run(std::chrono::nanoseconds span) {
    const RawTime until = now + span;
    int idle = 0;
    while (true) {
      const auto deadline = set.next_deadline();
      if (!deadline || *deadline > until) break;
      idle = *deadline > now ? 0 : idle + 1;
      ASSERT_LT(idle, 20) << "a deadline that does not move";
      now = std::max(now, *deadline);
      step();
    }
    now = until;
  }

  void step() {
    set.on_timer(now, random);
    for (auto& each : set.take_transmits()) send(each);
    for (auto& each : set.take_resolutions()) resolve(each);
    for (auto& each : set.take_events()) events.push_back(describe(each));
  }

  std::set<IpAddress> in_use() const {
    std::set<IpAddress> all;
    for (const auto& each : set.active()) {
      EXPECT_TRUE(all.insert(each.address.address).second) << "used twice";
    }
    return all;
  }
  int count(std::string_view event) const {
    return static_cast<int>(std::ranges::count_if(events, [event](const std::string& line) {
      return line.find(event) != std::string::npos;
    }));
  }

  SourceSet set;
  SeededRandom random;
  RawTime now = kStart;
  std::map<IpAddress, Manner> manners;
  std::map<std::string, Addresses> names;  // absent: the resolver fails
  bool resolver_is_dead = false;
  std::map<IpAddress, std::vector<RawTime>> asked;
  std::map<std::string, std::vector<RawTime>> looked_up;
  std::vector<std::string> events;

 private:
  void send(const Outgoing& outgoing) {
    const Endpoint to = outgoing.transmit.to;
    const Manner manner = manners.contains(to.address) ? manners[to.address] : Manner::answers;
    if (manner == Manner::unsendable) {
      set.on_send_failed(outgoing.association, SendError::unreachable, now, random);
      return;
    }
    asked[to.address].push_back(now);
    set.on_sent(outgoing.association, now);
    if (manner == Manner::silent) return;
    auto reply = good_reply(header_of(outgoing.transmit).xmt.bits, now);
    if (manner != Manner::answers) {
      reply.stratum = 0;
      reply.leap = wire::Leap::unknown;
      reply.refid = wire::refid_of(manner == Manner::denies ? "DENY" : "RATE");
    }
    const auto bytes = octets_of(reply);
    const auto sample =
        set.on_datagram(outgoing.association,
                        {.datagram = bytes, .from = to, .at = now + kRoundTrip, .base = kBase});
    EXPECT_EQ(sample.has_value(), manner == Manner::answers)
        << (sample ? "" : name(sample.error()));
    EXPECT_FALSE(set.is_open(outgoing.association));
  }

  void resolve(const Resolve& wanted) {
    looked_up[wanted.name].push_back(now);
    if (resolver_is_dead) return;
    const auto found = names.find(wanted.name);
    if (found == names.end()) {
      set.on_resolve_failed(wanted.source, now, random);
    } else {
      set.on_resolved(wanted.source, found->second, now, random);
    }
  }
};

inline SourceOptions server(std::string name) { return {.host = std::move(name)}; }
inline SourceOptions pool(std::string name) {
  return {.host = std::move(name), .mode = SourceMode::pool};
}

}  // namespace ntp::client::testing
