#include "ke/client_message.h"

#include <gtest/gtest.h>

#include "nts/ke_client.h"

namespace ntp::ke {
namespace {

nts::Established established(crypto::AeadId aead = crypto::AeadId::aes_siv_cmac_256) {
  nts::Established out{.keys = {.aead = aead}};
  int number = 1;
  for (auto* key : {&out.keys.c2s, &out.keys.s2c}) {
    for (std::byte& octet : key->resize(crypto::key_size(aead))) {
      octet = static_cast<std::byte>(number++);
    }
  }
  for (std::size_t i = 0; i < nts::kCookiesKept; ++i) {
    out.cookies.emplace_back(nts::kMaxForeignCookie - 4 * i, static_cast<std::byte>(i));
  }
  out.server = std::string(nts::kMaxServerName, 's');
  out.port = 1123;
  out.valid_from = RealTime(std::chrono::seconds(-1));
  out.valid_until = RealTime(std::chrono::days(30'000));
  out.subject = "CN = time.example";
  return out;
}

std::vector<ClientMessage> examples() {
  const Wish wish{.number = 0xfffffffe,
                  .server = *parse_endpoint("[2001:db8::1]:4460", 0),
                  .name = "time.example",
                  .roots = 3,
                  .times = {.now = RealTime(std::chrono::days(20'000)), .tolerate_early = true}};
  Wish other = wish;
  other.server = *parse_endpoint("192.0.2.1:4460", 0);
  nts::Established least = established();
  least.cookies.resize(1);
  least.server.clear();
  least.port.reset();
  return {wish, other, Answered{.number = 7, .outcome = established()},
          Answered{.number = 8, .outcome = least},
          Answered{.number = 9,
                   .outcome = std::unexpected(nts::NotEstablished{
                       .trouble = nts::KeTrouble::expired, .why = "too late"})}};
}

TEST(ClientMessage, EachArrivesAsItWasSent) {
  for (const ClientMessage& message : examples()) {
    const auto arrived = decode_client(encode_client(message));
    ASSERT_TRUE(arrived) << message.index();
    EXPECT_TRUE(*arrived == message) << message.index();
  }
}

TEST(ClientMessage, IsOfOneSizeOnly) {
  for (const ClientMessage& message : examples()) {
    const auto bytes = encode_client(message);
    for (std::size_t size = 0; size < bytes.size(); size += 13) {
      EXPECT_FALSE(decode_client(std::span(bytes).first(size)));
    }
    std::vector<std::byte> longer(bytes.begin(), bytes.end());
    longer.push_back(std::byte{0});
    EXPECT_FALSE(decode_client(longer));
  }
}

TEST(ClientMessage, EveryFlippedOctetIsRefusedOrMeansWhatItSays) {
  for (const ClientMessage& message : examples()) {
    const auto bytes = encode_client(message);
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      for (const int flip : {1, 0x80, 0xff}) {
        auto spoilt = bytes;
        spoilt[at] ^= static_cast<std::byte>(flip);
        const auto arrived = decode_client(spoilt);
        if (!arrived) continue;
        EXPECT_EQ(encode_client(*arrived), spoilt) << message.index() << " at " << at;
      }
    }
  }
}

TEST(ClientMessage, NothingThatCannotBeIsTakenForAWish) {
  const auto refused = [](auto spoil) {
    Wish wish = std::get<Wish>(examples().front());
    spoil(wish);
    return !decode_client(encode_client(wish));
  };
  EXPECT_FALSE(refused([](Wish&) {}));
  EXPECT_TRUE(refused([](Wish& w) { w.name.clear(); }));
  EXPECT_TRUE(refused([](Wish& w) { w.server.port = 0; }));
}

TEST(ClientMessage, NothingThatCannotBeIsTakenForKeys) {
  const auto refused = [](auto spoil) {
    nts::Established out = established();
    spoil(out);
    return !decode_client(encode_client(Answered{.outcome = out}));
  };
  EXPECT_FALSE(refused([](nts::Established&) {}));
  EXPECT_TRUE(refused([](nts::Established& e) { e.cookies.clear(); }));
  EXPECT_TRUE(refused([](nts::Established& e) { e.cookies.emplace_back(8); }));
  EXPECT_TRUE(refused([](nts::Established& e) { e.cookies[0].resize(258); }));
  EXPECT_TRUE(refused([](nts::Established& e) { e.cookies[0].clear(); }));
  EXPECT_TRUE(refused([](nts::Established& e) { e.keys.aead = static_cast<crypto::AeadId>(17); }));
}

}  // namespace
}  // namespace ntp::ke
