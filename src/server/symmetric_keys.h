// The symmetric keys of a server (RFC 5905 section 7.3, RFC 8573) and chrony's file of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/mac.h"
#include "server/access.h"

namespace ntp::server {

// Immutable: made anew when the file is read again, and published to the workers as a pointer to
// const.
class SymmetricKeys {
 public:
  struct Key {
    std::uint32_t id = 0;
    crypto::MacKey key;
    std::optional<AccessTable> clients{};  // who may ask with it; empty: everybody
  };

  SymmetricKeys() = default;
  // Of several with one number the first counts. Number 0 is no key's.
  explicit SymmetricKeys(std::vector<Key> keys);

  const crypto::MacKey* find(std::uint32_t id) const noexcept;
  // Null as well where the key is not for this client.
  const crypto::MacKey* find(std::uint32_t id, const IpAddress& client) const noexcept;
  std::size_t size() const noexcept { return keys_.size(); }
  bool has_md5() const noexcept;

 private:
  const Key* entry(std::uint32_t id) const noexcept;

  std::vector<Key> keys_;  // ascending
};

struct KeyFile {
  SymmetricKeys keys{};
  std::vector<std::string> warnings{};  // "line 3: …"; they never hold any of a key
};

// chrony.keys(5): a line is "ID [TYPE] KEY"; TYPE is MD5 (also where none stands), SHA1, SHA256,
// SHA384, SHA512, AES128 or AES256; KEY is text, or follows "ASCII:" or "HEX:". Lines that begin
// with one of #%;! are comments. A line that cannot be used is passed over with a warning, as
// chrony does. A fourth word, as in ntpd's file, says for which clients alone the key is: addresses
// and prefixes (parse_prefix) with commas between them.
KeyFile parse_key_file(std::string_view text);

}  // namespace ntp::server
