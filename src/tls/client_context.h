// Whom a TLS client believes: the roots of a file, ready for connections.
//
// TLS 1.3 only, no session tickets, no early data; one ALPN protocol is asked for.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

struct ssl_ctx_st;

namespace ntp::tls {

inline constexpr std::size_t kLargestRootFile = 4 << 20;
// Where systems keep the roots that they trust, in the order in which they are tried:
// $SSL_CERT_FILE, then the places of Debian, Red Hat and Alpine.
std::vector<std::string> system_root_files();

// Immutable once loaded. Used by one thread.
class ClientContext {
 public:
  // `roots` is a file with certificates in PEM form; empty: the first of system_root_files() that
  // there is. The error is one line that says what is wrong and what to do about it.
  static std::expected<ClientContext, std::string> load(const std::string& roots,
                                                        std::string_view alpn);

  const std::string& file() const noexcept { return file_; }
  int roots() const noexcept { return roots_; }
  ssl_ctx_st* get() const noexcept { return context_.get(); }

 private:
  struct FreeContext {
    void operator()(ssl_ctx_st* context) const noexcept;
  };

  ClientContext() = default;

  std::unique_ptr<ssl_ctx_st, FreeContext> context_;
  std::string file_;
  int roots_ = 0;
};

}  // namespace ntp::tls
