#include "server/symmetric_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <expected>
#include <optional>
#include <span>

namespace ntp::server {
namespace {

using crypto::MacType;
using Secret = crypto::SecretBytes<crypto::kMaxMacKeySize>;
using Words = std::vector<std::string_view>;

constexpr std::size_t kShort = 10;  // octets: below it chrony warns as well

Words words_of(std::string_view line) {
  Words words;
  constexpr std::string_view kBlanks = " \t\r\v\f";
  while (true) {
    const auto begin = line.find_first_not_of(kBlanks);
    if (begin == std::string_view::npos) return words;
    line.remove_prefix(begin);
    const auto end = std::min(line.find_first_of(kBlanks), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

bool is_equal_but_for_case(std::string_view a, std::string_view b) {
  const auto upper = [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; };
  return std::ranges::equal(a, b, {}, upper, upper);
}

std::optional<MacType> type_of(std::string_view word) {
  for (int i = 0; i <= static_cast<int>(MacType::aes_256_cmac); ++i) {
    const auto type = static_cast<MacType>(i);
    if (is_equal_but_for_case(word, crypto::name(type))) return type;
  }
  return std::nullopt;
}

std::optional<unsigned> digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
  return std::nullopt;
}

std::optional<Secret> hex(std::string_view text) {
  if (text.size() % 2 != 0 || text.size() / 2 > crypto::kMaxMacKeySize) return std::nullopt;
  Secret key;
  const auto out = key.resize(text.size() / 2);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto high = digit(text[2 * i]);
    const auto low = digit(text[2 * i + 1]);
    if (!high || !low) return std::nullopt;
    out[i] = static_cast<std::byte>(*high << 4 | *low);
  }
  return key;
}

std::optional<Secret> key_of(std::string_view word) {
  constexpr std::string_view kHex = "HEX:";
  constexpr std::string_view kAscii = "ASCII:";
  if (is_equal_but_for_case(word.substr(0, kHex.size()), kHex)) {
    return hex(word.substr(kHex.size()));
  }
  if (is_equal_but_for_case(word.substr(0, kAscii.size()), kAscii)) {
    word.remove_prefix(kAscii.size());
  }
  if (word.size() > crypto::kMaxMacKeySize) return std::nullopt;
  return Secret(std::as_bytes(std::span(word)));
}

std::optional<std::uint32_t> id_of(std::string_view word) {
  std::uint32_t id = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
  if (error != std::errc{} || end != word.data() + word.size() || id == 0) return std::nullopt;
  return id;
}

// "192.0.2.7,2001:db8::/32". No client is seen by an IPv4 address that is written as IPv6.
std::optional<AccessTable> clients_of(std::string_view word) {
  std::vector<AccessRule> rules;
  while (true) {
    const auto end = std::min(word.find(','), word.size());
    const auto prefix = parse_prefix(word.substr(0, end));
    if (!prefix || unmapped(prefix->address) != prefix->address) return std::nullopt;
    rules.push_back({.prefix = *prefix, .allowed = true});
    if (end == word.size()) return AccessTable(rules, false);
    word.remove_prefix(end + 1);
  }
}

struct Line {
  SymmetricKeys::Key key;
  std::string warning{};
};

std::expected<Line, std::string> parse_line(const Words& words) {
  if (words.size() < 2 || words.size() > 4) return std::unexpected("not ID TYPE KEY [CLIENTS]");
  const auto id = id_of(words.front());
  if (!id) return std::unexpected("the number of a key is from 1 to 4294967295");
  const auto type = words.size() == 2 ? MacType::md5 : type_of(words[1]);
  if (!type)
    return std::unexpected(
        "its type is none of MD5, SHA1, SHA256, SHA384, SHA512, AES128 "
        "and AES256");
  const auto secret = key_of(words[std::min<std::size_t>(words.size() - 1, 2)]);
  if (!secret) {
    return std::unexpected(fmt::format("the key is not hexadecimal, or longer than {} octets",
                                       crypto::kMaxMacKeySize));
  }
  const auto key = crypto::MacKey::make(*type, secret->view());
  if (!key) {
    return std::unexpected(
        fmt::format("a key of {} octets does not fit {}", secret->size(), crypto::name(*type)));
  }
  Line line{.key = {.id = *id, .key = *key}};
  if (words.size() == 4) {
    line.key.clients = clients_of(words[3]);
    if (!line.key.clients) {
      return std::unexpected(
          "its clients are not addresses and prefixes such as 192.0.2.0/24,2001:db8::7, with no "
          "bit set behind a prefix");
    }
  }
  if (secret->size() < kShort) {
    line.warning = fmt::format("key {} has only {} octets: it can be guessed", *id, secret->size());
  }
  return line;
}

}  // namespace

SymmetricKeys::SymmetricKeys(std::vector<Key> keys) : keys_(std::move(keys)) {
  std::ranges::stable_sort(keys_, {}, &Key::id);
  const auto twice = std::ranges::unique(keys_, {}, &Key::id);
  keys_.erase(twice.begin(), twice.end());
  std::erase_if(keys_, [](const Key& key) { return key.id == 0; });
}

const SymmetricKeys::Key* SymmetricKeys::entry(std::uint32_t id) const noexcept {
  const auto found = std::ranges::lower_bound(keys_, id, {}, &Key::id);
  return found != keys_.end() && found->id == id ? &*found : nullptr;
}

const crypto::MacKey* SymmetricKeys::find(std::uint32_t id) const noexcept {
  const Key* const found = entry(id);
  return found != nullptr ? &found->key : nullptr;
}

const crypto::MacKey* SymmetricKeys::find(std::uint32_t id,
                                          const IpAddress& client) const noexcept {
  const Key* const found = entry(id);
  if (found == nullptr || (found->clients && !found->clients->allows(client))) return nullptr;
  return &found->key;
}

bool SymmetricKeys::has_md5() const noexcept {
  return std::ranges::any_of(keys_, [](const Key& key) { return key.key.type() == MacType::md5; });
}

KeyFile parse_key_file(std::string_view text) {
  KeyFile file;
  std::vector<SymmetricKeys::Key> keys;
  for (int number = 1; !text.empty(); ++number) {
    const auto end = std::min(text.find('\n'), text.size());
    const Words words = words_of(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (words.empty() || std::string_view("#%;!").contains(words.front().front())) continue;
    const auto line = parse_line(words);
    const auto warn = [&](std::string_view what) {
      file.warnings.push_back(fmt::format("line {}: {}", number, what));
    };
    if (!line) {
      warn(line.error() + "; passed over");
    } else if (std::ranges::find(keys, line->key.id, &SymmetricKeys::Key::id) != keys.end()) {
      warn(fmt::format("there is a key {} already; passed over", line->key.id));
    } else {
      if (!line->warning.empty()) warn(line->warning);
      keys.push_back(line->key);
    }
  }
  file.keys = SymmetricKeys(std::move(keys));
  if (file.keys.has_md5()) {
    file.warnings.emplace_back("MD5 keys are no protection any more (RFC 8573): use AES128");
  }
  return file;
}

}  // namespace ntp::server
