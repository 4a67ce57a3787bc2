#include "http/response.h"

#include <gtest/gtest.h>

namespace ntp::http {
namespace {

using std::chrono::seconds;

TEST(HttpDate, IsWhatTheStandardShows) {  // RFC 9110 section 5.6.7
  EXPECT_EQ(http_date(RealTime(seconds(784'111'777))), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(http_date(RealTime{}), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(http_date(RealTime(seconds(2'085'978'496))), "Thu, 07 Feb 2036 06:28:16 GMT");
  EXPECT_EQ(http_date(RealTime(std::chrono::nanoseconds(-1))), "Wed, 31 Dec 1969 23:59:59 GMT");
}

TEST(EncodeResponse, IsExactlyThis) {
  const Response response{.body = "alive\n"};
  EXPECT_EQ(encode_response(response, {.keep_alive = true, .date = RealTime(seconds(784'111'777))}),
            "HTTP/1.1 200 OK\r\n"
            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            "Content-Length: 6\r\n"
            "Cache-Control: no-store\r\n"
            "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"
            "Cross-Origin-Resource-Policy: same-origin\r\n"
            "Referrer-Policy: no-referrer\r\n"
            "X-Content-Type-Options: nosniff\r\n"
            "Connection: keep-alive\r\n"
            "\r\n"
            "alive\n");
}

TEST(EncodeResponse, ToHeadHasTheLengthButNotTheBody) {
  const Response response{.body = "alive\n"};
  const auto whole = encode_response(response, {});
  const auto head = encode_response(response, {.head_only = true});
  EXPECT_EQ(head + response.body, whole);
  EXPECT_TRUE(head.ends_with("Connection: close\r\n\r\n"));
}

TEST(EncodeResponse, SaysNoDateWhenNoClockIsBelieved) {
  EXPECT_EQ(encode_response({}, {}).find("Date:"), std::string::npos);
}

TEST(EncodeResponse, TellsTheMethodsAllowed) {
  const auto response = encode_response(error_page(Status::method_not_allowed), {});
  EXPECT_NE(response.find("\r\nAllow: GET, HEAD\r\n"), std::string::npos);
  EXPECT_TRUE(response.ends_with("\r\n\r\n405 Method Not Allowed\n"));
}

TEST(Reason, IsKnownForEveryStatus) {
  for (const auto status :
       {Status::ok, Status::bad_request, Status::not_found, Status::method_not_allowed,
        Status::request_timeout, Status::content_too_large, Status::uri_too_long,
        Status::fields_too_large, Status::service_unavailable, Status::version_not_supported}) {
    EXPECT_NE(reason(status), "Unknown") << static_cast<int>(status);
  }
}

}  // namespace
}  // namespace ntp::http
