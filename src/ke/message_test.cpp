#include "ke/message.h"

#include <gtest/gtest.h>

namespace ntp::ke {
namespace {

control::KeCounters some_counters() {
  control::KeCounters counters{.accepted = 1ull << 60, .accept_errors = 3, .open = 17};
  for (std::size_t i = 0; i < counters.outcomes.size(); ++i) counters.outcomes[i] = i * i + 1;
  for (std::size_t i = 0; i < counters.aeads.size(); ++i) counters.aeads[i] = (i + 1) << 40;
  return counters;
}

std::vector<Message> examples() {
  SealingKey key;
  key.key.epoch = 0xdeadbeef;
  int number = 200;
  for (std::byte& octet : key.key.key.resize(nts::kCookieKeySize)) {
    octet = static_cast<std::byte>(number++);
  }
  const control::KeCertificate certificate{.loaded = true,
                                           .valid_from = RealTime(std::chrono::seconds(-5)),
                                           .valid_until = RealTime(std::chrono::days(30000)),
                                           .subject = "CN = time.example",
                                           .problem = "server.key: it is empty"};
  return {key,
          LookAgain{},
          Started{},
          Ended{},
          Counted{.counters = some_counters()},
          Shown{.certificate = certificate},
          Told{.level = Told::Level::warning, .text = "a line"},
          ShutIn{.landlock = 4, .filtered = true, .memory = true}};
}

TEST(Message, EachArrivesAsItWasSent) {
  const auto all = examples();
  EXPECT_EQ(all.size(), std::variant_size_v<Message>);
  for (const Message& message : all) {
    const auto arrived = decode(encode(message));
    ASSERT_TRUE(arrived) << message.index();
    EXPECT_TRUE(*arrived == message) << message.index();
  }
}

TEST(Message, TellsHowItsProcessIs) {
  control::KeProcess process;
  for (const Message& message :
       {Message(Started{}), Message(ShutIn{.landlock = 4, .filtered = true})}) {
    note(process, message);
  }
  EXPECT_TRUE(process.up);
  EXPECT_EQ(process.restarts(), 0u);
  EXPECT_EQ(process.sandbox.files, 4);
  EXPECT_TRUE(process.sandbox.system_calls);
  EXPECT_FALSE(process.sandbox.memory);
  note(process, Ended{});
  EXPECT_FALSE(process.up);
  note(process, Started{});
  note(process, Told{});
  EXPECT_TRUE(process.up);
  EXPECT_EQ(process.restarts(), 1u);
}

TEST(Message, IsOfOneSizeOnly) {
  for (const Message& message : examples()) {
    const auto bytes = encode(message);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(decode(std::span(bytes).first(size)));
    }
    std::vector<std::byte> longer(bytes.begin(), bytes.end());
    longer.push_back(std::byte{0});
    EXPECT_FALSE(decode(longer));
  }
}

// Whatever decodes must be what encode() would have made of it: nothing hides in between.
TEST(Message, EveryFlippedOctetIsRefusedOrMeansWhatItSays) {
  for (const Message& message : examples()) {
    const auto bytes = encode(message);
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      for (const int flip : {1, 0x80, 0xff}) {
        auto spoilt = bytes;
        spoilt[at] ^= static_cast<std::byte>(flip);
        const auto arrived = decode(spoilt);
        if (!arrived) continue;
        EXPECT_EQ(encode(*arrived), spoilt) << message.index() << " at " << at;
      }
    }
  }
}

TEST(Message, CarriesNoControlCharactersAndNoEndlessText) {
  const std::string wild = "line\nfeed\x1b[31m\xff \x7f%s" + std::string(1000, 'x');
  const auto arrived = decode(encode(Told{.text = wild}));
  ASSERT_TRUE(arrived);
  const std::string text = std::get<Told>(*arrived).text;
  EXPECT_EQ(text.size(), kLongestText);
  EXPECT_TRUE(text.starts_with("line?feed?[31m? ?%sxxx")) << text;
}

TEST(Message, UnknownKindsAreNoMessage) {
  for (int kind = static_cast<int>(std::variant_size_v<Message>); kind < 256; ++kind) {
    auto bytes = encode(Started{});
    bytes[4] = static_cast<std::byte>(kind);
    EXPECT_FALSE(decode(bytes)) << kind;
  }
}

}  // namespace
}  // namespace ntp::ke
