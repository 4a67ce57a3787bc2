#include "wire/refid.h"

#include <gtest/gtest.h>

namespace ntp::wire {
namespace {

TEST(RefidOf, AnIpv4AddressIsTheAddress) {
  EXPECT_EQ(refid_of(IpAddress::v4(192, 0, 2, 1)), 0xc0000201u);
}

TEST(RefidOf, AnIpv6AddressIsTheHeadOfItsMd5Hash) {  // hashes: Python's hashlib
  EXPECT_EQ(refid_of(*parse_ip("::1")), 0xcf404dc8u);
  EXPECT_EQ(refid_of(*parse_ip("2001:db8::1")), 0x39ab9b37u);
  EXPECT_EQ(refid_of(*parse_ip("fe80::1")), 0x89e5301fu);
}

}  // namespace
}  // namespace ntp::wire
