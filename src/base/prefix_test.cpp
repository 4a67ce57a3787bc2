#include "base/prefix.h"

#include <gtest/gtest.h>

namespace ntp {
namespace {

TEST(ParsePrefix, ReadsEveryWrittenForm) {
  const struct {
    const char* text;
    const char* expected;  // nullptr: no prefix
  } cases[] = {
      {"192.0.2.0/24", "192.0.2.0/24"},
      {"0.0.0.0/0", "0.0.0.0/0"},
      {"192.0.2.7", "192.0.2.7/32"},
      {"192.0.2.7/32", "192.0.2.7/32"},
      {"2001:DB8::/32", "2001:db8::/32"},
      {"::/0", "::/0"},
      {"::1", "::1/128"},
      {"192.0.2.0/33", nullptr},
      {"2001:db8::/129", nullptr},
      {"192.0.2.0/", nullptr},
      {"192.0.2.0/-1", nullptr},
      {"192.0.2.0/024", nullptr},
      {"192.0.2.0/24 ", nullptr},
      {"192.0.2/24", nullptr},
      {"[2001:db8::]/32", nullptr},
      {"/24", nullptr},
      {"", nullptr},
      {"example.org/24", nullptr},
  };
  for (const auto& c : cases) {
    const auto prefix = parse_prefix(c.text);
    ASSERT_EQ(prefix.has_value(), c.expected != nullptr) << c.text;
    if (prefix) {
      EXPECT_EQ(to_string(*prefix), c.expected);
    }
  }
}

TEST(ParsePrefix, TellsWhatIsWrong) {
  EXPECT_EQ(parse_prefix("10.1.2.3/8").error(), PrefixError::host_bits);
  EXPECT_EQ(parse_prefix("10.0.0.0/33").error(), PrefixError::too_long);
  EXPECT_EQ(parse_prefix("10.0.0.0/99999999999").error(), PrefixError::too_long);
  EXPECT_EQ(parse_prefix("ten/8").error(), PrefixError::not_a_prefix);
}

TEST(Prefix, ContainsWhatSharesItsBitsAtEveryLength) {
  for (const char* text : {"255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}) {
    const IpAddress ones = *parse_ip(text);
    const unsigned bits = ones.is_v4() ? 32 : 128;
    for (unsigned length = 0; length <= bits; ++length) {
      const Prefix prefix{masked(ones, length), static_cast<std::uint8_t>(length)};
      EXPECT_TRUE(prefix.contains(ones)) << length;
      for (unsigned bit = 0; bit < bits; ++bit) {  // the address with one bit cleared
        IpAddress other = ones;
        other.octets[bit / 8] =
            static_cast<std::uint8_t>(other.octets[bit / 8] & ~(0x80 >> bit % 8));
        EXPECT_EQ(prefix.contains(other), bit >= length) << length << ' ' << bit;
      }
    }
  }
  EXPECT_FALSE(parse_prefix("0.0.0.0/0")->contains(*parse_ip("::")));
}

}  // namespace
}  // namespace ntp
