// A server's certificate and key in a folder of their own, which is removed when the program ends.
#pragma once

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "check.h"
#include "os/clocks.h"
#include "tls/authority.h"

namespace ntp::fuzz {

class TlsFiles {
 public:
  TlsFiles() {
    std::string pattern = std::filesystem::temp_directory_path() / "ntp-fuzz-XXXXXX";
    NTP_CHECK(::mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
    const RealTime now = os::real_now();
    const tls::Validity validity{.from = now - std::chrono::hours(1),
                                 .until = now + std::chrono::hours(24 * 365)};
    const auto authority = tls::make_authority("fuzz", validity);
    const auto server = tls::issue(*authority, {"localhost"}, validity);
    NTP_CHECK(server.has_value());
    write(certificate(), server->certificate);
    write(key(), server->key);
  }
  ~TlsFiles() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  TlsFiles(const TlsFiles&) = delete;
  TlsFiles& operator=(const TlsFiles&) = delete;

  std::string certificate() const { return folder_ / "server.crt"; }
  std::string key() const { return folder_ / "server.key"; }
  std::string other() const { return folder_ / "other"; }

  static void write(const std::string& path, std::string_view text) {
    std::ofstream(path, std::ios::trunc | std::ios::binary) << text;
    ::chmod(path.c_str(), 0600);
  }

 private:
  std::filesystem::path folder_;
};

}  // namespace ntp::fuzz
