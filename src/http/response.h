// What is sent back, as a value and as octets. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "http/request.h"

namespace ntp::http {

struct Response {
  Status status = Status::ok;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

// The one-line page of an error: "404 Not Found\n".
Response error_page(Status status);

struct Framing {
  bool head_only = false;          // leave the body out (its length is told all the same)
  bool keep_alive = false;         // else "Connection: close"
  std::optional<RealTime> date{};  // empty: the clock is not to be believed, no Date is sent
};

// Every response forbids caching, sniffing, embedding and scripts: nothing here is a page.
std::string encode_response(const Response& response, const Framing& framing);

// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7).
std::string http_date(RealTime time);

std::string_view reason(Status status) noexcept;

}  // namespace ntp::http
