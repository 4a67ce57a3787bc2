// Key establishment for `query --nts`, in this process: it belongs to who asked, and ends with it.
#pragma once

#include <chrono>
#include <expected>
#include <string>
#include <vector>

#include "base/ip.h"
#include "ke/client_session.h"
#include "nts/establishment.h"

namespace ntp::cli {

struct NtsFacts {
  Endpoint establishment{};         // who was asked for keys
  std::vector<Endpoint> servers{};  // who is to be asked for the time
  nts::Established keys{};
  bool exported_as_rfc = true;  // false: as older versions of chrony do it for GCM-SIV
  std::string cipher{};
  tls::PeerCertificate certificate{};
  std::vector<std::uint16_t> warnings{};
  std::string roots{};  // file
};

// `roots` may be empty: then those of the system. The error is one line. The first address that
// gives keys is taken.
std::expected<NtsFacts, std::string> establish_keys(const std::string& host, std::uint16_t port,
                                                    const std::string& roots);

}  // namespace ntp::cli
