// A36: every octet of a reply is one that we wrote. Without a tool: the same request is answered
// from and into memory that held something else before. With one (./dev test memcheck): what is
// given to write(2) is seen to be defined, octet by octet.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <new>

#include "case_table.h"
#include "keyed_server.h"

namespace ntp::wire_test {
namespace {

constexpr RawTime kNow{std::chrono::seconds(1000)};
constexpr NtpTimestamp kRec{0xee7ac40100000000};
constexpr std::size_t kRoom = nts::kMaxReply;

// A worker's slot, made in memory full of `before`.
class Slot {
 public:
  explicit Slot(int before) : Slot(&before) {}
  Slot() : Slot(nullptr) {}  // never written before
  ~Slot() {
    seal_->~Seal();
    ::operator delete(storage_);
  }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;

  // The octets of the reply; none for silence.
  std::span<const std::byte> answer(const Case& c, const server::ServerState& state) {
    crypto::RandomStream random({std::byte{7}});
    server::Authentication by{.secrets = {&keyed_server_keys(), &keyed_server_cookies()},
                              .random = random,
                              .seal = *seal_};
    const auto arrival = arrival_of(c, IpAddress::Family::v4);
    auto reply = respond(arrival, describe_clock(state, kNow), {}, kRec, nullptr, &by);
    if (!reply) return {};
    NoiseSource noise(1);
    const auto octets = std::span(out_).first(seal_->size());
    server::seal(*reply, arrival, {kRec.bits + 200'000}, noise, *seal_, octets);
    return octets;
  }

 private:
  explicit Slot(const int* before) : storage_(::operator new(sizeof(server::Seal))) {
    if (before != nullptr) {
      std::memset(storage_, *before, sizeof(server::Seal));
      out_.fill(static_cast<std::byte>(*before));
    }
    seal_ = new (storage_) server::Seal;
  }

  void* storage_;
  server::Seal* seal_;
  std::array<std::byte, kRoom> out_;
};

TEST(Replies, EveryOctetOfThemWasWritten) {
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(nowhere, 0);
  const server::ServerState synchronised{.leap = wire::Leap::none,
                                         .synchronised = true,
                                         .stratum = 3,
                                         .precision = -24,
                                         .refid = server::kRefidHost,
                                         .reftime = {kRec.bits - (5ull << 32)},
                                         .at = kNow};
  const server::ServerState refusing{.leap = wire::Leap::unknown, .at = kNow};
  std::size_t replies = 0;
  for (const std::string& path : {case_table_path(), keyed_table_path()}) {
    for (const Case& c : read_case_table(path)) {
      for (const server::ServerState& state : {synchronised, refusing}) {
        // A fresh one each: what the reply before has left must not stand in for what is missing.
        Slot ones(0xff);
        Slot others(0x5a);
        Slot untouched;
        const auto reply = ones.answer(c, state);
        const auto same = others.answer(c, state);
        ASSERT_TRUE(std::ranges::equal(reply, same)) << c.id;
        if (reply.empty()) continue;
        const auto sent = untouched.answer(c, state);
        ASSERT_EQ(::write(nowhere, sent.data(), sent.size()), std::ssize(reply));
        ++replies;
      }
    }
  }
  ::close(nowhere);
  EXPECT_GT(replies, 2000u);
}

}  // namespace
}  // namespace ntp::wire_test
