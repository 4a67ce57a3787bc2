// A certificate authority for a network of one's own, and certificates of it for servers. Texts in
// PEM form in, texts out; ECDSA P-256 with SHA-256.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "base/time.h"

namespace ntp::tls {

struct Credentials {
  std::string certificate{};
  std::string key{};  // a secret: whoever keeps it wipes it (os::wipe)
};

struct Validity {
  RealTime from{};
  RealTime until{};
};

// Signs servers only, never another authority. `name` is what people see of it.
std::expected<Credentials, std::string> make_authority(const std::string& name, Validity validity);

// For a server that is known by `hosts`: DNS names, or addresses as base/ip.h reads them; never
// empty. With `key` (PEM) the certificate is for that key, else for a new one.
std::expected<Credentials, std::string> issue(const Credentials& authority,
                                              const std::vector<std::string>& hosts,
                                              Validity validity, const std::string& key = {});

// Whether a client could ask for a server by this text: a DNS name or an address.
bool is_host(const std::string& text);

}  // namespace ntp::tls
