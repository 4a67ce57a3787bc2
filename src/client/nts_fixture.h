// A server of NTS by seeds, without sockets and TLS. For tests.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "client/association_fixture.h"
#include "nts/cookie.h"
#include "nts/establishment.h"
#include "nts/ke_client.h"
#include "nts/request.h"

namespace ntp::client::testing {

class NtsServer {
 public:
  // As after a key establishment: new keys each time.
  nts::Established establish() {
    nts::Established out;
    random_.fill(out.keys.c2s.resize(crypto::key_size(out.keys.aead)));
    random_.fill(out.keys.s2c.resize(crypto::key_size(out.keys.aead)));
    for (std::size_t i = 0; i < nts::kCookiesKept; ++i) {
      auto& cookie = out.cookies.emplace_back(nts::cookie_size(out.keys.aead));
      cookies_.current().seal(out.keys, random_, cookie);
    }
    return out;
  }
  // From now on cookies from before are not understood any more.
  void forget() { cookies_ = nts::CookieKeys({.secret = other_secret_, .epoch = 1}); }

  std::vector<std::byte> answer(std::span<const std::byte> question) {
    const auto packet = wire::parse_packet(question);
    return answer(question, good_reply(packet->header.xmt.bits, kStart));
  }
  std::vector<std::byte> answer(std::span<const std::byte> question, wire::Header header) {
    const auto packet = wire::parse_packet(question);
    const auto request = nts::parse_nts_request(question, *packet);
    nts::NtsReply reply;
    std::array exchange{nts::Exchange{.request = &*request, .reply = &reply}};
    nts::NtsReply::prepare(exchange, cookies_, random_);
    if (exchange[0].outcome == nts::Outcome::nak) return nak(question);
    EXPECT_EQ(exchange[0].outcome, nts::Outcome::time);
    return sealed(reply, header);
  }
  std::vector<std::byte> nak(std::span<const std::byte> question) {
    const auto packet = wire::parse_packet(question);
    const auto request = nts::parse_nts_request(question, *packet);
    nts::NtsReply reply;
    EXPECT_TRUE(reply.prepare_nak(*request));
    wire::Header header{.leap = wire::Leap::unknown, .mode = wire::Mode::server};
    header.refid = nts::kKissNtsn;
    header.org = packet->header.xmt;
    return sealed(reply, header);
  }
  static std::vector<std::byte> cookie_of(std::span<const std::byte> question) {
    const auto packet = wire::parse_packet(question);
    const auto request = nts::parse_nts_request(question, *packet);
    return {request->cookie.begin(), request->cookie.end()};
  }

 private:
  static std::vector<std::byte> sealed(const nts::NtsReply& reply, const wire::Header& header) {
    std::vector<std::byte> bytes(reply.size());
    encode_header(header, std::span(bytes).first<wire::kHeaderSize>());
    nts::NtsReply::seal(std::array{nts::NtsReply::Sealing{.reply = &reply, .out = bytes}});
    return bytes;
  }

  std::vector<std::byte> secret_ = std::vector<std::byte>(32, std::byte{1});
  std::vector<std::byte> other_secret_ = std::vector<std::byte>(32, std::byte{2});
  crypto::RandomStream random_{{std::byte{9}}};
  nts::CookieKeys cookies_{{.secret = secret_, .epoch = 1}};
};

}  // namespace ntp::client::testing
