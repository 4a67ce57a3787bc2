#include "base/ip.h"

#include <gtest/gtest.h>

#include <string_view>

namespace ntp {
namespace {

TEST(ParseEndpoint, ReadsEveryWrittenForm) {
  const struct {
    const char* text;
    const char* expected;  // nullptr: not an endpoint
  } cases[] = {
      {"0.0.0.0", "0.0.0.0:123"},
      {"192.0.2.1:1123", "192.0.2.1:1123"},
      {"[::]", "[::]:123"},
      {"[2001:db8::1]:99", "[2001:db8::1]:99"},
      {"2001:db8::1", "[2001:db8::1]:123"},
      {"[192.0.2.1]:99", nullptr},
      {"192.0.2.1:", nullptr},
      {"192.0.2.1:65536", nullptr},
      {"192.0.2.1:-1", nullptr},
      {"192.0.2.256", nullptr},
      {"[::", nullptr},
      {"[::]99", nullptr},
      {"", nullptr},
      {"time.example", nullptr},
      {"192.0.2.1:12 ", nullptr},
  };
  for (const auto& c : cases) {
    const auto endpoint = parse_endpoint(c.text, 123);
    ASSERT_EQ(endpoint.has_value(), c.expected != nullptr) << c.text;
    if (endpoint) {
      EXPECT_EQ(to_string(*endpoint), c.expected);
    }
  }
}

TEST(ParseIp, RefusesWhatStandsBehindAZeroOctet) {
  using namespace std::string_view_literals;
  EXPECT_FALSE(parse_ip("192.0.2.1\0and more"sv));
  EXPECT_FALSE(parse_ip("2001:db8::1\0"sv));
  EXPECT_FALSE(parse_endpoint("192.0.2.1\0:123"sv, 123));
  EXPECT_FALSE(parse_endpoint("[2001:db8::1\0]:123"sv, 123));
}

TEST(IpAddress, KnowsTheAddressesThatNoHonestClientHas) {
  EXPECT_TRUE(parse_ip("127.9.9.9")->is_loopback());
  EXPECT_TRUE(parse_ip("::1")->is_loopback());
  EXPECT_FALSE(parse_ip("::2")->is_loopback());
  EXPECT_TRUE(parse_ip("0.0.0.0")->is_unspecified());
  EXPECT_TRUE(parse_ip("::")->is_unspecified());
  EXPECT_TRUE(parse_ip("224.0.1.1")->is_multicast());
  EXPECT_TRUE(parse_ip("239.255.255.255")->is_multicast());
  EXPECT_FALSE(parse_ip("240.0.0.1")->is_multicast());
  EXPECT_TRUE(parse_ip("ff02::101")->is_multicast());
  EXPECT_TRUE(parse_ip("255.255.255.255")->is_broadcast());
  EXPECT_FALSE(parse_ip("ffff:ffff::")->is_broadcast());
}

TEST(IpAddress, AMappedAddressIsTheIpv4AddressThatItStandsFor) {
  EXPECT_EQ(unmapped(*parse_ip("::ffff:224.0.0.1")), IpAddress::v4(224, 0, 0, 1));
  EXPECT_EQ(unmapped(*parse_ip("::fffe:1.2.3.4")), *parse_ip("::fffe:1.2.3.4"));
  EXPECT_EQ(unmapped(*parse_ip("::1.2.3.4")), *parse_ip("::1.2.3.4"));
  EXPECT_EQ(unmapped(IpAddress::v4(0, 0, 0, 0)), IpAddress::v4(0, 0, 0, 0));
}

}  // namespace
}  // namespace ntp
