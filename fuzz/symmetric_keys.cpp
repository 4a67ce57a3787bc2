// chrony's key files of any text: what is taken can be found and used, what is told holds nothing
// of a key.
#include <algorithm>

#include "check.h"
#include "server/symmetric_keys.h"

namespace {

using namespace ntp;

void check_key(const server::SymmetricKeys& keys, std::uint32_t id) {
  const auto* key = keys.find(id);
  if (key == nullptr) return;
  NTP_CHECK(id != 0);
  const auto* its = keys.find(id, IpAddress::v4(192, 0, 2, 7));  // unless it is for others alone
  NTP_CHECK(its == key || its == nullptr);
  const std::array<std::byte, 48> message{};
  const auto mac = key->compute(message);
  NTP_CHECK(key->verify(message, std::span(mac).first(key->size())));
  NTP_CHECK(key->verify(message, std::span(mac).first(key->full_size())));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = fuzz::text_of(data, size);
  const auto file = server::parse_key_file(text);
  const auto lines = static_cast<std::size_t>(std::ranges::count(text, '\n')) + 1;
  NTP_CHECK(file.keys.size() <= lines);
  NTP_CHECK(file.warnings.size() <= lines + 1);  // one more: about MD5
  for (std::uint32_t id = 0; id < 300; ++id) check_key(file.keys, id);
  check_key(file.keys, 0xffffffff);
  for (const std::string& warning : file.warnings) {
    NTP_CHECK(warning.size() < 200);
    NTP_CHECK(std::ranges::all_of(warning, [](char c) { return c >= ' ' && c < 0x7f; }));
  }
  return 0;
}
