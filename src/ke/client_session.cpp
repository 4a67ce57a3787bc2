#include "ke/client_session.h"

#include <fmt/format.h>

#include <array>

namespace ntp::ke {
namespace {

using nts::KeFailure;
using nts::KeTrouble;
using State = tls::Connection::State;

KeTrouble trouble_of(tls::Distrust distrust) {
  switch (distrust) {
    case tls::Distrust::wrong_name:
      return KeTrouble::wrong_name;
    case tls::Distrust::early:
      return KeTrouble::early;
    case tls::Distrust::expired:
      return KeTrouble::expired;
    case tls::Distrust::untrusted:
      break;
  }
  return KeTrouble::untrusted;
}

std::string words_of(tls::Distrust distrust) {
  switch (distrust) {
    case tls::Distrust::wrong_name:
      return "its certificate is not for this name";
    case tls::Distrust::early:
      return "its certificate is not valid yet";
    case tls::Distrust::expired:
      return "its certificate has expired";
    case tls::Distrust::untrusted:
      break;
  }
  return "its certificate is not trusted";
}

std::string words_of(tls::Failure failure) {
  switch (failure) {
    case tls::Failure::version:
      return "it does not speak TLS 1.3";
    case tls::Failure::not_tls:
      return "it does not speak TLS";
    case tls::Failure::broken_off:
      return "it ended the connection";
    case tls::Failure::refused_by_it:
      return "it refused the TLS handshake";
    default:
      return "the TLS handshake failed";
  }
}

KeTrouble trouble_of(KeFailure failure) {
  switch (failure) {
    case KeFailure::error:
    case KeFailure::no_protocol:
    case KeFailure::no_aead:
    case KeFailure::no_cookies:
      return KeTrouble::refused;
    case KeFailure::bad_server:
    case KeFailure::bad_port:
      return KeTrouble::bad_server;
    default:
      return KeTrouble::bad_answer;
  }
}

}  // namespace

ClientSession::ClientSession(const tls::ClientContext& context, const std::string& name,
                             const tls::CertificateTimes& times)
    : tls_(context, name, times) {
  tls_.start();
  out_.collect(tls_);
}

void ClientSession::feed(std::span<const std::byte> octets) {
  if (outcome_) return;
  tls_.feed(octets);
  if (tls_.state() != State::handshake && tls_.state() != State::failed && !asked_) ask();
  take_records();
  if (!outcome_ && tls_.state() == State::failed) fail_by_tls();
  if (!outcome_ && tls_.state() == State::ended) {
    fail(KeTrouble::bad_answer, "it ended the connection before its answer was complete");
  }
  out_.collect(tls_);
}

void ClientSession::hear_end() {
  if (outcome_) return;
  fail(asked_ ? KeTrouble::bad_answer : KeTrouble::tls,
       asked_ ? "it ended the connection before its answer was complete"
              : "it ended the connection during the TLS handshake");
}

void ClientSession::ask() {
  asked_ = true;
  if (tls_.alpn() != nts::kKeAlpn) {
    return fail(KeTrouble::no_alpn, "it does not speak ntske/1 (ALPN): no NTS server");
  }
  std::array<std::byte, nts::kMaxKeRequest> request;
  tls_.write(std::span(request).first(nts::write_ke_request(request)));
}

void ClientSession::take_records() {
  std::array<std::byte, 4096> plain;
  while (!outcome_ && asked_) {
    const std::size_t size = tls_.read(plain);
    if (size == 0) return;
    message_.insert(message_.end(), plain.begin(),
                    plain.begin() + static_cast<std::ptrdiff_t>(size));
    const auto answer = nts::parse_ke_answer(message_);
    if (answer) return conclude(*answer);
    const auto& refusal = answer.error();
    if (refusal.reason == KeFailure::need_more) continue;
    std::string why(nts::words(refusal.reason));
    if (refusal.reason == KeFailure::error) why += fmt::format(" ({})", refusal.code);
    fail(trouble_of(refusal.reason), std::move(why));
  }
}

void ClientSession::conclude(const nts::KeAnswer& answer) {
  agreement_ = answer.agreement;
  warnings_ = answer.warnings;
  nts::Established out{.keys = {.aead = answer.agreement.aead},
                       .cookies = answer.cookies,
                       .server = answer.server,
                       .port = answer.port};
  const std::size_t size = crypto::key_size(answer.agreement.aead);
  const auto to_server = nts::exporter_context(answer.agreement, nts::KeDirection::c2s);
  const auto to_client = nts::exporter_context(answer.agreement, nts::KeDirection::s2c);
  if (!tls_.export_key(nts::kKeExporterLabel, to_server, out.keys.c2s.resize(size)) ||
      !tls_.export_key(nts::kKeExporterLabel, to_client, out.keys.s2c.resize(size))) {
    return fail(KeTrouble::tls, "TLS exports no keys");
  }
  auto certificate = tls_.certificate();
  out.valid_from = certificate.valid_from;
  out.valid_until = certificate.valid_until;
  out.subject = std::move(certificate.subject);
  outcome_ = std::move(out);
  tls_.close();
}

void ClientSession::fail(KeTrouble trouble, std::string why) {
  outcome_ = std::unexpected(nts::NotEstablished{.trouble = trouble, .why = std::move(why)});
  tls_.close();
}

void ClientSession::fail_by_tls() {
  if (const auto distrust = tls_.distrust()) {
    return fail(trouble_of(*distrust),
                fmt::format("{}: {}", words_of(*distrust), tls_.distrust_words()));
  }
  const std::string detail(tls_.reason());
  // Alert 120 of RFC 7301, by OpenSSL's name for it.
  if (detail.find("no application protocol") != std::string::npos) {
    return fail(KeTrouble::no_alpn, "it does not speak ntske/1 (ALPN): no NTS server");
  }
  const std::string what = words_of(tls_.failure());
  fail(KeTrouble::tls, detail.empty() ? what : fmt::format("{} ({})", what, detail));
}

}  // namespace ntp::ke
