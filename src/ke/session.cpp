#include "ke/session.h"

#include <array>

namespace ntp::ke {
namespace {

using control::KeOutcome;
using State = tls::ServerConnection::State;

constexpr KeOutcome outcome_of(tls::Failure failure) {
  switch (failure) {
    case tls::Failure::no_alpn:
      return KeOutcome::no_alpn;
    case tls::Failure::wrong_alpn:
      return KeOutcome::wrong_alpn;
    case tls::Failure::version:
      return KeOutcome::tls_version;
    case tls::Failure::no_agreement:
      return KeOutcome::tls_no_agreement;
    case tls::Failure::not_tls:
      return KeOutcome::not_tls;
    case tls::Failure::refused_by_us:
      return KeOutcome::tls_malformed;
    case tls::Failure::refused_by_it:
      return KeOutcome::tls_alert;
    case tls::Failure::broken_off:
      break;
  }
  return KeOutcome::broken_off;
}

KeOutcome outcome_of(nts::KeServer::Outcome outcome) {
  using Refusal = nts::KeServer::Outcome;
  switch (outcome) {
    case Refusal::unrecognized_critical_record:
      return KeOutcome::unknown_critical;
    case Refusal::no_common_protocol:
      return KeOutcome::no_protocol;
    case Refusal::no_common_aead:
      return KeOutcome::no_aead;
    case Refusal::none:
    case Refusal::bad_request:
      break;
  }
  return KeOutcome::bad_request;
}

}  // namespace

Session::Session(const tls::ServerContext& context, Mint& mint) : tls_(context), mint_(mint) {}

void Session::feed(std::span<const std::byte> octets) {
  if (outcome_) return;
  tls_.feed(octets);
  take_records();
  out_.collect(tls_);
}

void Session::take_records() {
  std::array<std::byte, 4096> plain;
  while (!outcome_) {
    const std::size_t size = tls_.read(plain);
    if (size == 0) break;
    answer(machine_.feed(std::span(plain).first(size)));
  }
  if (outcome_) return;
  if (tls_.state() == State::failed) finish(outcome_of(tls_.failure()));
  if (tls_.state() == State::ended) finish(KeOutcome::broken_off);
}

void Session::answer(nts::KeServer::Step step) {
  using Step = nts::KeServer::Step;
  switch (step) {
    case Step::need_more:
      return;
    case Step::agreed:
      return finish(write_cookies());
    case Step::refused: {
      std::array<std::byte, nts::kMaxKeAnswer> out;
      say(std::span(out).first(machine_.write_refusal(out)));
      return finish(outcome_of(machine_.outcome()));
    }
    case Step::closed:
      return finish(KeOutcome::bad_request);
  }
}

KeOutcome Session::write_cookies() {
  std::array<std::byte, nts::kMaxKeAnswer> out;
  const nts::KeAgreement& agreement = machine_.agreement();
  nts::SessionKeys keys{.aead = agreement.aead};
  const std::size_t size = crypto::key_size(agreement.aead);
  const auto to_server = nts::exporter_context(agreement, nts::KeDirection::c2s);
  const auto to_client = nts::exporter_context(agreement, nts::KeDirection::s2c);
  if (!mint_.sealer || !tls_.export_key(nts::kKeExporterLabel, to_server, keys.c2s.resize(size)) ||
      !tls_.export_key(nts::kKeExporterLabel, to_client, keys.s2c.resize(size))) {
    say(std::span(out).first(nts::KeServer::write_internal_error(out)));
    return KeOutcome::internal_error;
  }
  say(std::span(out).first(
      machine_.write_agreement(keys, *mint_.sealer, mint_.random, {.port = mint_.ntp_port}, out)));
  return KeOutcome::ok;
}

control::KeAead Session::aead() const noexcept {
  using control::KeAead;
  const nts::KeAgreement& agreement = machine_.agreement();
  if (agreement.aead == crypto::AeadId::aes_siv_cmac_256) return KeAead::siv_cmac_256;
  return agreement.exported_as == agreement.aead ? KeAead::gcm_siv : KeAead::gcm_siv_of_chrony_4_4;
}

void Session::say(std::span<const std::byte> octets) { tls_.write(octets); }

void Session::finish(control::KeOutcome outcome) {
  outcome_ = outcome;
  tls_.close();
}

}  // namespace ntp::ke
