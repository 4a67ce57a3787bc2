// An HTTP/1.x request head (RFC 9112), for a server that only ever reads out: GET and HEAD, no
// content. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string_view>
#include <vector>

namespace ntp::http {

inline constexpr std::size_t kMaxHead = 8192;    // octets of request line and fields together
inline constexpr std::size_t kMaxTarget = 2048;  // octets of the request target
inline constexpr std::size_t kMaxFields = 64;

enum class Status : std::uint16_t {
  ok = 200,
  bad_request = 400,
  not_found = 404,
  method_not_allowed = 405,
  request_timeout = 408,
  content_too_large = 413,
  uri_too_long = 414,
  fields_too_large = 431,
  service_unavailable = 503,
  version_not_supported = 505,
};

struct Field {
  std::string_view name;
  std::string_view value;  // without white space around it
};

// The views point into the octets that were parsed.
struct Request {
  bool head_only = false;  // HEAD
  std::string_view path;   // "/metrics"; as sent: percent escapes are not decoded
  std::string_view query;  // behind the '?', else empty
  std::vector<Field> fields;
  bool keep_alive = false;  // the client would send another request on this connection
  std::size_t size = 0;     // octets of the head, with empty lines before it; the next begins there

  // The value of the first field of this name (case does not matter), or an empty view.
  std::string_view field(std::string_view name) const noexcept;
};

// The request at the front of `octets`; nullopt: more octets are needed (never when kMaxHead
// octets are there). An error is the status to answer with; the connection is then of no more use,
// since nobody knows where the next request would begin.
//   400 bad syntax, no Host in HTTP/1.1, Transfer-Encoding     413 content announced
//   405 any method but GET and HEAD                            414 target over kMaxTarget
//   431 head over kMaxHead, over kMaxFields                    505 neither HTTP/1.0 nor HTTP/1.1
std::expected<std::optional<Request>, Status> parse_request(std::string_view octets);

}  // namespace ntp::http
