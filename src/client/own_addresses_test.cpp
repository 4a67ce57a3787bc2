// SourceSet: this machine itself, and servers that are synchronised to it.
#include <gtest/gtest.h>

#include "client/source_set_fixture.h"

namespace ntp::client {
namespace {

using namespace testing;
using namespace std::chrono_literals;

TEST(SourceSet, NeverAsksThisMachineItself) {
  World world;
  const Endpoint served[] = {{.address = host(1), .port = 123},
                             {.address = IpAddress::v4(127, 0, 0, 1), .port = 123},
                             {.address = IpAddress::v4(0, 0, 0, 0), .port = 1124}};
  world.set.set_own({std::begin(served), std::end(served)}, {});
  world.names["a.example"] = {host(1), host(2)};
  SourceOptions elsewhere = server("198.51.100.1");
  elsewhere.port = 1123;
  SourceOptions beside = server("127.0.0.1");  // another server of this machine
  beside.port = 1123;
  SourceOptions inside = server("127.0.0.5");
  inside.port = 1124;
  world.configure({server("a.example"), server("198.51.100.1"), server("127.0.0.1"), elsewhere,
                   beside, inside});
  world.run(10s);
  std::set<std::string> used;
  for (const auto& each : world.set.active()) used.insert(to_string(each.address));
  EXPECT_EQ(used,
            (std::set<std::string>{"198.51.100.2:123", "127.0.0.1:1123", "198.51.100.1:1123"}));
}

TEST(SourceSet, OwnAddressesAreThoseThatAreServed) {
  const auto v6 = *parse_ip("2001:db8::1");
  const std::vector<IpAddress> local{IpAddress::v4(127, 0, 0, 1), IpAddress::v4(192, 0, 2, 1), v6};
  const Endpoint any{.address = IpAddress::v4(0, 0, 0, 0), .port = 123};
  EXPECT_EQ(own_addresses(std::vector{any}, local),
            (std::vector<Endpoint>{
                any, {.address = local[0], .port = 123}, {.address = local[1], .port = 123}}));
  const std::vector<Endpoint> others{{.address = {IpAddress::Family::v6, {}}, .port = 1123},
                                     {.address = local[0], .port = 1123},
                                     {.address = host(7), .port = 123}};
  EXPECT_EQ(
      own_addresses(others, local),
      (std::vector<Endpoint>{others[0], {.address = v6, .port = 1123}, others[1], others[2]}));
}

TEST(SourceSet, RefusesAServerThatIsSynchronisedToUs) {
  World world;
  const std::uint32_t served[] = {0x12345678};
  const auto own = *parse_ip("2001:db8::1");
  world.set.set_own({{.address = IpAddress::v4(192, 0, 2, 99), .port = 123},
                     {.address = own, .port = 1123},
                     {.address = IpAddress::v4(127, 0, 0, 1), .port = 123}},
                    served);
  world.configure({server("198.51.100.1")});
  const std::pair<std::uint32_t, bool> refids[] = {{0xc0000263, false},
                                                   {0x39ab9b37, false},
                                                   {0x12345678, false},
                                                   {0x7f000001, true},
                                                   {0xcb007109, true}};
  for (const auto& [refid, good] : refids) {
    std::vector<Outgoing> out;
    while (out.empty()) {
      world.now = *world.set.next_deadline();
      world.set.on_timer(world.now, world.random);
      out = world.set.take_transmits();
    }
    auto reply = good_reply(header_of(out[0].transmit).xmt.bits, world.now);
    reply.refid = refid;
    const auto bytes = octets_of(reply);
    const auto sample = world.set.on_datagram(out[0].association, {.datagram = bytes,
                                                                   .from = out[0].transmit.to,
                                                                   .at = world.now + kRoundTrip,
                                                                   .base = kBase});
    EXPECT_EQ(sample.has_value(), good) << std::hex << refid;
    if (!good) {
      EXPECT_EQ(sample.error(), Reject::loop);
    }
  }
}

}  // namespace
}  // namespace ntp::client
