#include "http/response.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <iterator>

namespace ntp::http {

std::string_view reason(Status status) noexcept {
  switch (status) {
    case Status::ok:
      return "OK";
    case Status::bad_request:
      return "Bad Request";
    case Status::not_found:
      return "Not Found";
    case Status::method_not_allowed:
      return "Method Not Allowed";
    case Status::request_timeout:
      return "Request Timeout";
    case Status::content_too_large:
      return "Content Too Large";
    case Status::uri_too_long:
      return "URI Too Long";
    case Status::fields_too_large:
      return "Request Header Fields Too Large";
    case Status::service_unavailable:
      return "Service Unavailable";
    case Status::version_not_supported:
      return "HTTP Version Not Supported";
  }
  return "Unknown";
}

Response error_page(Status status) {
  return {.status = status,
          .body = fmt::format("{} {}\n", static_cast<int>(status), reason(status))};
}

std::string http_date(RealTime time) {
  static constexpr std::array<std::string_view, 7> kDays = {"Sun", "Mon", "Tue", "Wed",
                                                            "Thu", "Fri", "Sat"};
  static constexpr std::array<std::string_view, 12> kMonths = {
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::chrono::sys_time<std::chrono::nanoseconds> system(time.time_since_epoch());
  const auto day = std::chrono::floor<std::chrono::days>(system);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(std::chrono::floor<std::chrono::seconds>(system - day));
  return fmt::format(
      "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays[std::chrono::weekday(day).c_encoding()],
      static_cast<unsigned>(date.day()), kMonths[static_cast<unsigned>(date.month()) - 1],
      static_cast<int>(date.year()), clock.hours().count(), clock.minutes().count(),
      clock.seconds().count());
}

std::string encode_response(const Response& response, const Framing& framing) {
  std::string out;
  out.reserve(512 + response.body.size());
  const auto line = std::back_inserter(out);
  fmt::format_to(line, "HTTP/1.1 {} {}\r\n", static_cast<int>(response.status),
                 reason(response.status));
  if (framing.date) fmt::format_to(line, "Date: {}\r\n", http_date(*framing.date));
  fmt::format_to(line, "Content-Type: {}\r\nContent-Length: {}\r\n", response.content_type,
                 response.body.size());
  if (response.status == Status::method_not_allowed) out += "Allow: GET, HEAD\r\n";
  out +=
      "Cache-Control: no-store\r\n"
      "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"
      "Cross-Origin-Resource-Policy: same-origin\r\n"
      "Referrer-Policy: no-referrer\r\n"
      "X-Content-Type-Options: nosniff\r\n";
  out += framing.keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
  if (!framing.head_only) out += response.body;
  return out;
}

}  // namespace ntp::http
