// ke::decode on any octets, as they could come from a process that was broken into: what is taken
// is exactly what encode() makes, and fit to be logged and shown. The first octet chooses whether
// the rest stands behind a good beginning (magic and kind) and is filled up to the size of a
// message.
#include <algorithm>

#include "check.h"
#include "ke/message.h"

namespace {

using namespace ntp;

bool is_line(const std::string& text) {
  return text.size() <= ke::kLongestText &&
         std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

void check(std::span<const std::byte> bytes) {
  const auto message = ke::decode(bytes);
  if (!message) return;
  const ke::MessageBytes again = ke::encode(*message);
  NTP_CHECK(std::ranges::equal(again, bytes));
  NTP_CHECK(ke::decode(again) == message);
  if (const auto* told = std::get_if<ke::Told>(&*message)) NTP_CHECK(is_line(told->text));
  if (const auto* shown = std::get_if<ke::Shown>(&*message)) {
    NTP_CHECK(is_line(shown->certificate.subject) && is_line(shown->certificate.problem));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto rest = fuzz::octets_of(data, size).subspan(1);
  if ((data[0] & 1) == 0) {
    check(rest);
    return 0;
  }
  ke::MessageBytes bytes = ke::encode(ke::LookAgain{});
  const auto room = std::span(bytes).subspan(4);  // kind and what belongs to it
  std::ranges::copy(rest.first(std::min(rest.size(), room.size())), room.begin());
  check(bytes);
  return 0;
}
