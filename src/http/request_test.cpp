#include "http/request.h"

#include <gtest/gtest.h>

#include <string>

namespace ntp::http {
namespace {

using std::string_literals::operator""s;

std::string get(const std::string& fields) {
  return "GET /metrics HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
}

// 0: more is needed.
int status_of(std::string_view octets) {
  const auto parsed = parse_request(octets);
  if (!parsed) return static_cast<int>(parsed.error());
  return *parsed ? 200 : 0;
}

TEST(ParseRequest, ReadsWhatPrometheusSends) {
  const std::string octets =
      "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9559\r\nUser-Agent: Prometheus/2.42.0\r\n"
      "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
      "\r\nAccept-Encoding: gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n";
  const auto parsed = parse_request(octets);
  ASSERT_TRUE(parsed && *parsed);
  EXPECT_EQ((*parsed)->path, "/metrics");
  EXPECT_EQ((*parsed)->query, "");
  EXPECT_FALSE((*parsed)->head_only);
  EXPECT_TRUE((*parsed)->keep_alive);
  EXPECT_EQ((*parsed)->size, octets.size());
  EXPECT_EQ((*parsed)->fields.size(), 5u);
  EXPECT_EQ((*parsed)->field("accept-ENCODING"), "gzip");
  EXPECT_EQ((*parsed)->field("Cookie"), "");
}

TEST(ParseRequest, AnyPrefixOfAGoodRequestNeedsMore) {
  const std::string octets = get("Accept: */*\r\n");
  for (std::size_t size = 0; size < octets.size(); ++size) {
    EXPECT_EQ(status_of(octets.substr(0, size)), 0) << size;
  }
  EXPECT_EQ(status_of(octets), 200);
}

TEST(ParseRequest, LeavesWhatFollowsForTheNextRequest) {
  const std::string first = get("");
  const std::string both = first + get("X: y\r\n");
  const auto parsed = parse_request(both);
  ASSERT_TRUE(parsed && *parsed);
  EXPECT_EQ((*parsed)->size, first.size());
}

TEST(ParseRequest, SkipsEmptyLinesBeforeTheRequestLine) {
  const std::string octets = "\r\n\r\n" + get("");
  const auto parsed = parse_request(octets);
  ASSERT_TRUE(parsed && *parsed);
  EXPECT_EQ((*parsed)->size, octets.size());
  EXPECT_EQ((*parsed)->path, "/metrics");
}

TEST(ParseRequest, TellsPathAndQueryApart) {
  struct Case {
    std::string target, path, query;
  };
  for (const auto& [target, path, query] : {
           Case{"/", "/", ""},
           {"/a?b", "/a", "b"},
           {"/a?", "/a", ""},
           {"/a?b?c", "/a", "b?c"},
           {"http://host:9559/a?b", "/a", "b"},
           {"HTTP://host", "/", ""},
           {"/%6detrics", "/%6detrics", ""},  // not decoded: it is another path
           {"//", "//", ""},
       }) {
    const std::string octets = "GET " + target + " HTTP/1.0\r\n\r\n";
    const auto parsed = parse_request(octets);
    ASSERT_TRUE(parsed && *parsed) << target;
    EXPECT_EQ((*parsed)->path, path) << target;
    EXPECT_EQ((*parsed)->query, query) << target;
  }
}

TEST(ParseRequest, KnowsWhenTheClientWouldStay) {
  struct Case {
    std::string version, connection;
    bool keep_alive;
  };
  for (const auto& [version, connection, keep_alive] : {
           Case{"1.1", "", true},
           {"1.1", "Connection: close\r\n", false},
           {"1.1", "Connection: Upgrade, CLOSE\r\n", false},
           {"1.1", "Connection: closed\r\n", true},
           {"1.1", "Connection: a\r\nConnection: close\r\n", false},
           {"1.9", "", true},
           {"1.0", "", false},
           {"1.0", "Connection: Keep-Alive\r\n", true},
       }) {
    const std::string octets = "GET / HTTP/" + version + "\r\nHost: a\r\n" + connection + "\r\n";
    const auto parsed = parse_request(octets);
    ASSERT_TRUE(parsed && *parsed) << octets;
    EXPECT_EQ((*parsed)->keep_alive, keep_alive) << octets;
  }
}

TEST(ParseRequest, TakesGetAndHeadOnly) {
  EXPECT_TRUE((*parse_request("HEAD / HTTP/1.0\r\n\r\n"))->head_only);
  for (const auto* method :
       {"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "X-Y"}) {
    EXPECT_EQ(status_of(std::string(method) + " / HTTP/1.0\r\n\r\n"), 405) << method;
  }
  EXPECT_EQ(status_of("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), 405);
}

TEST(ParseRequest, RefusesBadSyntax) {
  for (const std::string& head : {
           "GET / HTTP/1.1\r\n\r\n"s,  // RFC 9112 section 3.2: no Host
           "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"s,
           "GET /\r\n\r\n"s,  // HTTP/0.9
           "GET  / HTTP/1.0\r\n\r\n"s,
           "GET / HTTP/1.0 \r\n\r\n"s,
           " GET / HTTP/1.0\r\n\r\n"s,
           "GET\t/ HTTP/1.0\r\n\r\n"s,
           "G\0T / HTTP/1.0\r\n\r\n"s,
           "GET / http/1.0\r\n\r\n"s,
           "GET / HTTP/1\r\n\r\n"s,
           "GET / HTTP/1.10\r\n\r\n"s,
           "GET / HTTP/a.b\r\n\r\n"s,
           "GET metrics HTTP/1.0\r\n\r\n"s,
           "GET * HTTP/1.0\r\n\r\n"s,
           "GET /a\x7f HTTP/1.0\r\n\r\n"s,
           "GET /\xff HTTP/1.0\r\n\r\n"s,
           "GET /\n HTTP/1.0\r\n\r\n"s,
           "GET https://host/ HTTP/1.0\r\n\r\n"s,
           get("no colon\r\n"),
           get(": no name\r\n"),
           get("Name : blank before the colon\r\n"),
           get(" folded: line\r\n"),
           get("A: b\r\n folded\r\n"),
           get("A: b\nC: d\r\n"),
           get("A: b\rC: d\r\n"),
           get("A: \0\r\n"s),
           get("A: \x1b[2J\r\n"),
           get("A\xff: b\r\n"),
           get("Content-Length: -1\r\n"),
           get("Content-Length: \r\n"),
           get("Content-Length: 0, 0\r\n"),
           get("Content-Length: 0x0\r\n"),
           get("Content-Length: 5\r\nContent-Length: x\r\n"),
           get("Transfer-Encoding: chunked\r\n"),
           get("Transfer-Encoding: identity\r\nContent-Length: 0\r\n"),
       }) {
    EXPECT_EQ(status_of(head), 400) << testing::PrintToString(head);
  }
}

TEST(ParseRequest, RefusesContentButNotItsAbsence) {
  EXPECT_EQ(status_of(get("Content-Length: 0\r\n")), 200);
  EXPECT_EQ(status_of(get("Content-Length: 000\r\n")), 200);
  EXPECT_EQ(status_of(get("Content-Length: 1\r\n")), 413);
  EXPECT_EQ(status_of(get("Content-Length: 99999999999999999999999999\r\n")), 413);
  EXPECT_EQ(status_of(get("Content-Length: 0\r\nContent-Length: 7\r\n")), 413);
}

TEST(ParseRequest, RefusesOtherVersions) {
  EXPECT_EQ(status_of("GET / HTTP/2.0\r\n\r\n"), 505);
  EXPECT_EQ(status_of("GET / HTTP/0.9\r\n\r\n"), 505);
  EXPECT_EQ(status_of("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
}

TEST(ParseRequest, BoundsTheTarget) {
  const auto request = [](std::size_t size) {
    return "GET /" + std::string(size - 1, 'a') + " HTTP/1.0\r\n\r\n";
  };
  EXPECT_EQ(status_of(request(kMaxTarget)), 200);
  EXPECT_EQ(status_of(request(kMaxTarget + 1)), 414);
  // Without an end in sight, too.
  EXPECT_EQ(status_of("GET /" + std::string(kMaxTarget + 64, 'a')), 414);
  EXPECT_EQ(status_of("GET /" + std::string(kMaxTarget - 64, 'a')), 0);
}

TEST(ParseRequest, BoundsTheFields) {
  std::string most;
  for (std::size_t i = 1; i < kMaxFields; ++i) most += "A: b\r\n";  // Host is one already
  EXPECT_EQ(status_of(get(most)), 200);
  EXPECT_EQ(status_of(get(most + "A: b\r\n")), 431);
}

TEST(ParseRequest, BoundsTheHead) {
  const std::size_t around = get("A: \r\n").size();
  EXPECT_EQ(status_of(get("A: " + std::string(kMaxHead - around, 'x') + "\r\n")), 200);
  EXPECT_EQ(status_of(get("A: " + std::string(kMaxHead - around + 1, 'x') + "\r\n")), 431);
  std::string endless;
  while (endless.size() < kMaxHead) endless += "\r\n";
  EXPECT_EQ(status_of(endless), 431);
  for (const char octet : {'A', '\0', '\xff', '\r', '\n', ':'}) {
    EXPECT_GE(status_of(std::string(kMaxHead, octet)), 400) << "it would wait for ever";
  }
}

TEST(ParseRequest, DoesNotWaitForTheEndOfWhatCannotBeHttp) {
  EXPECT_EQ(status_of("\x16\x03\x01\x02"s), 400);  // a TLS ClientHello
  EXPECT_EQ(status_of("\0"s), 400);
  EXPECT_EQ(status_of(" "), 400);
}

TEST(ParseRequest, NeverReadsPastTheOctetsGiven) {
  const std::string octets = get("Accept: */*\r\nContent-Length: 0\r\n");
  for (std::size_t size = 0; size <= octets.size(); ++size) {
    const std::vector<char> exact(octets.begin(), octets.begin() + static_cast<long>(size));
    for (std::size_t i = 0; i < size; ++i) {
      std::vector<char> mutated = exact;
      mutated[i] = '\r';
      (void)parse_request({mutated.data(), mutated.size()});  // the sanitizers judge
    }
  }
}

}  // namespace
}  // namespace ntp::http
