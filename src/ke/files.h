// The certificate and key as they are on the disk, watched. What was good stays in force until
// something better is there.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "control/ke_view.h"
#include "ke/message.h"
#include "os/secret_file.h"
#include "tls/server_context.h"

namespace ntp::ke {

class CertificateFiles {
 public:
  CertificateFiles(std::string certificate, std::string key)
      : certificate_(std::move(certificate)), key_(std::move(key)) {}

  // Looks at the files; loads them when they have changed or could not be loaded before, or in any
  // case with `anyway`. What is to
  // be logged about it, empty: nothing new.
  std::vector<Told> look(bool anyway);

  // Null until a usable pair has been seen.
  const tls::ServerContext* context() const noexcept { return context_ ? &*context_ : nullptr; }
  control::KeCertificate view() const;

 private:
  std::string certificate_, key_;
  os::FileMark certificate_mark_{}, key_mark_{};
  bool looked_ = false;
  std::optional<tls::ServerContext> context_;
  std::string problem_;
};

}  // namespace ntp::ke
