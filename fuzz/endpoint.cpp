// What an operator writes as an address: what is accepted comes back the same from its own text.
#include "base/ip.h"
#include "check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ntp;
  const auto text = fuzz::text_of(data, size);
  if (const auto endpoint = parse_endpoint(text, 123)) {
    NTP_CHECK(parse_endpoint(to_string(*endpoint), 9) == endpoint);
  }
  if (const auto address = parse_ip(text)) {
    NTP_CHECK(parse_ip(to_string(*address)) == address);
    NTP_CHECK(parse_endpoint(text, 7) == (Endpoint{.address = *address, .port = 7}));
  }
  return 0;
}
