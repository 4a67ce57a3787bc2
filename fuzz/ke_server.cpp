// nts::KeServer on any octets: split anywhere the answer is the same, and it is one that our own
// client understands. The first octet says where to split.
#include <array>

#include "check.h"
#include "nts/ke_client.h"
#include "nts/ke_server.h"

namespace {

using namespace ntp;
using Step = nts::KeServer::Step;

void check_answer(const nts::KeServer& machine) {
  std::array<std::byte, nts::kMaxKeAnswer> out;
  const std::size_t size = machine.write_refusal(out);
  const auto answer = nts::parse_ke_answer(std::span(out).first(size));
  NTP_CHECK(!answer);
  const auto reason = answer.error().reason;
  NTP_CHECK(reason == nts::KeFailure::error || reason == nts::KeFailure::no_protocol ||
            reason == nts::KeFailure::no_aead);
}

void check_agreement(const nts::KeServer& machine) {
  nts::SessionKeys keys{.aead = machine.agreement().aead};
  keys.c2s.resize(crypto::key_size(keys.aead));
  keys.s2c.resize(crypto::key_size(keys.aead));
  const nts::CookieSealer sealer(nts::derive_cookie_key({}, 1));
  crypto::RandomStream random({});
  std::array<std::byte, nts::kMaxKeAnswer> out;
  const std::size_t size = machine.write_agreement(keys, sealer, random, {}, out);
  const auto answer = nts::parse_ke_answer(std::span(out).first(size));
  NTP_CHECK(answer && answer->agreement == machine.agreement() && answer->cookies.size() == 8);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto message = fuzz::octets_of(data, size).subspan(1);
  nts::KeServer whole;
  const Step step = whole.feed(message);
  nts::KeServer halves;
  const std::size_t split = message.empty() ? 0 : data[0] % (message.size() + 1);
  halves.feed(message.first(split));
  if (split == message.size() || halves.step() != Step::closed) {
    halves.feed(message.subspan(split));
  }
  NTP_CHECK(halves.step() == step && halves.outcome() == whole.outcome());
  if (step == Step::refused) check_answer(whole);
  if (step == Step::agreed) check_agreement(whole);
  return 0;
}
