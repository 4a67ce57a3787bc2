// An HTTP request head from a stranger: views stay inside, and no split of it changes the result.
#include <algorithm>

#include "check.h"
#include "http/request.h"

namespace {

bool same(const ntp::http::Request& a, const ntp::http::Request& b) {
  return a.head_only == b.head_only && a.path == b.path && a.query == b.query &&
         a.keep_alive == b.keep_alive && a.size == b.size &&
         std::ranges::equal(a.fields, b.fields, [](const auto& x, const auto& y) {
           return x.name == y.name && x.value == y.value;
         });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ntp;
  const auto octets = fuzz::text_of(data, size);
  const auto parsed = http::parse_request(octets);
  if (!parsed) return 0;
  if (!*parsed) {
    NTP_CHECK(size < http::kMaxHead);  // "more is needed" must come to an end
    return 0;
  }
  const http::Request& request = **parsed;
  NTP_CHECK(request.size > 0 && request.size <= size && request.size <= http::kMaxHead);
  NTP_CHECK(request.path.starts_with('/') && request.path.size() <= http::kMaxTarget);
  // A URI without a path means "/", which no octet of the request says.
  NTP_CHECK(request.path == "/" || fuzz::is_within(request.path, octets));
  NTP_CHECK(fuzz::is_within(request.query, octets));
  NTP_CHECK(request.fields.size() <= http::kMaxFields);
  for (const http::Field& field : request.fields) {
    NTP_CHECK(fuzz::is_within(field.name, octets) && fuzz::is_within(field.value, octets));
    NTP_CHECK(field.value.find('\n') == std::string_view::npos);
  }
  // The next request's octets, arrived already, change nothing; nor does arriving in parts.
  const auto alone = http::parse_request(octets.substr(0, request.size));
  NTP_CHECK(alone && *alone && same(**alone, request));
  for (const std::size_t part : {request.size - 1, request.size / 2, std::size_t{1}}) {
    if (part >= request.size) continue;
    const auto early = http::parse_request(octets.substr(0, part));
    NTP_CHECK(early && !*early);
  }
  return 0;
}
