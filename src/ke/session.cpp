#include "ke/session.h"

#include <array>

#include "base/check.h"

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

}  // namespace

Session::Session(const tls::ServerContext& context, const SealingKey& key)
    : tls_(context), key_(key) {}

void Session::feed(std::span<const std::byte> octets) {
  if (outcome_) return;
  tls_.feed(octets);
  take_records();
  collect();
}

void Session::take_records() {
  std::array<std::byte, 4096> plain;
  while (!outcome_) {
    const std::size_t size = tls_.read(plain);
    if (size == 0) break;
  }
  if (outcome_) return;
  if (tls_.state() == State::failed) finish(outcome_of(tls_.failure()));
  if (tls_.state() == State::ended) finish(KeOutcome::broken_off);
}

void Session::finish(control::KeOutcome outcome) {
  outcome_ = outcome;
  tls_.close();
}

void Session::collect() {
  out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(sent_));
  sent_ = 0;
  const std::size_t before = out_.size();
  out_.resize(before + tls_.pending());
  out_.resize(before + tls_.drain(std::span(out_).subspan(before)));
}

std::span<const std::byte> Session::pending() const noexcept {
  return std::span(out_).subspan(sent_);
}

void Session::sent(std::size_t octets) {
  NTP_CHECK(octets <= out_.size() - sent_);
  sent_ += octets;
}

}  // namespace ntp::ke
