#include "ke/files.h"

#include <fmt/format.h>

#include <utility>

namespace ntp::ke {

std::vector<Told> CertificateFiles::look(bool anyway) {
  const auto certificate_mark = os::file_mark(certificate_);
  const auto key_mark = os::file_mark(key_);
  const bool changed = certificate_mark != certificate_mark_ || key_mark != key_mark_;
  // What could not be read may be readable the next time, for nothing about it has to change.
  if (looked_ && !changed && !anyway && problem_.empty()) return {};
  // Marked before they are read: a change in between is seen at the next look.
  certificate_mark_ = certificate_mark;
  key_mark_ = key_mark;
  looked_ = true;
  auto loaded = tls::ServerContext::load(certificate_, key_, "ntske/1");
  if (!loaded) {
    if (loaded.error() == problem_ && !anyway) return {};
    problem_ = loaded.error();
    return {{.level = Told::Level::error,
             .text = fmt::format("NTS: {}{}", problem_,
                                 context_ ? "; the certificate from before stays in force"
                                          : "; no handshakes until then")}};
  }
  const bool is_over = !std::exchange(problem_, {}).empty();
  std::vector<Told> told;
  const bool is_news =
      is_over || !context_ || context_->certificate() != loaded->certificate() || changed;
  context_ = std::move(*loaded);
  if (!is_news) return told;
  const auto& facts = context_->certificate();
  told.push_back({.level = Told::Level::info,
                  .text = fmt::format("NTS: certificate loaded ({}, {} in the chain)",
                                      facts.subject, facts.chain)});
  for (const std::string& warning : context_->warnings()) {
    told.push_back({.level = Told::Level::warning, .text = "NTS: " + warning});
  }
  return told;
}

control::KeCertificate CertificateFiles::view() const {
  control::KeCertificate view{.loaded = context_.has_value(), .problem = problem_};
  if (context_) {
    view.valid_from = context_->certificate().valid_from;
    view.valid_until = context_->certificate().valid_until;
    view.subject = context_->certificate().subject;
  }
  return view;
}

}  // namespace ntp::ke
