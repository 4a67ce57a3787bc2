#include "nts/ke_server.h"

#include <array>

#include "base/check.h"

namespace ntp::nts {
namespace {

using crypto::AeadId;

bool is_known(std::uint16_t type) noexcept {
  return type <= static_cast<std::uint16_t>(KeType::port) ||
         type == static_cast<std::uint16_t>(KeType::compliant_gcm_siv_export);
}

}  // namespace

KeServer::Step KeServer::feed(std::span<const std::byte> octets) noexcept {
  for (const std::byte octet : octets) {
    if (step_ != Step::need_more) return step_ = Step::closed;
    take(octet);
  }
  return step_;
}

void KeServer::take(std::byte octet) noexcept {
  if (++total_ > kMaxKeMessage) return refuse(Outcome::bad_request);  // whatever may follow
  const auto value = std::to_integer<std::uint8_t>(octet);
  if (header_octets_ < kKeRecordHeader) {
    header_ = (header_ << 8) | value;
    if (++header_octets_ == kKeRecordHeader) begin_record();
    return;
  }
  number_ = static_cast<std::uint16_t>((number_ << 8) | value);
  half_number_ = !half_number_;
  if (!half_number_) take_number(number_);
  if (--body_left_ == 0) end_record();
}

void KeServer::begin_record() noexcept {
  record_ = {.critical = (header_ >> 31) != 0,
             .type = static_cast<std::uint16_t>((header_ >> 16) & 0x7fff),
             .length = static_cast<std::uint16_t>(header_ & 0xffff)};
  body_left_ = record_.length;
  half_number_ = false;
  switch (static_cast<KeType>(record_.type)) {
    case KeType::next_protocol:
      if (has_protocols_ || !record_.critical) fault(Outcome::bad_request);
      if (record_.length == 0 || record_.length % 2 != 0) fault(Outcome::bad_request);
      has_protocols_ = true;
      break;
    case KeType::aead:
      if (has_aeads_ || record_.length == 0 || record_.length % 2 != 0) {
        fault(Outcome::bad_request);
      }
      has_aeads_ = true;
      break;
    case KeType::error:
    case KeType::warning:
    case KeType::cookie:  // for servers to send
      fault(Outcome::bad_request);
      break;
    case KeType::end_of_message:
      if (!record_.critical || record_.length != 0) fault(Outcome::bad_request);
      break;
    case KeType::port:
      if (record_.length != 2) fault(Outcome::bad_request);
      break;
    case KeType::compliant_gcm_siv_export:
      if (record_.length != 0) fault(Outcome::bad_request);
      compliant_ = true;
      break;
    case KeType::server:  // a wish; there is one server here
      break;
  }
  if (!is_known(record_.type) && record_.critical) fault(Outcome::unrecognized_critical_record);
  if (body_left_ == 0) end_record();
}

// The lists that count are made of numbers of two octets.
void KeServer::take_number(std::uint16_t number) noexcept {
  if (record_.type == static_cast<std::uint16_t>(KeType::next_protocol)) {
    offers_ntpv4_ = offers_ntpv4_ || number == kProtocolNtpv4;
  } else if (record_.type == static_cast<std::uint16_t>(KeType::aead)) {
    const auto id = static_cast<AeadId>(number);
    if (!chosen_ && crypto::is_supported(id)) chosen_ = id;  // in the client's order
  }
}

void KeServer::end_record() noexcept {
  header_octets_ = 0;
  header_ = 0;
  if (record_.type == static_cast<std::uint16_t>(KeType::end_of_message)) finish();
}

void KeServer::fault(Outcome outcome) noexcept {
  if (fault_ == Outcome::none) fault_ = outcome;
}

void KeServer::refuse(Outcome outcome) noexcept {
  outcome_ = outcome;
  step_ = Step::refused;
}

void KeServer::finish() noexcept {
  if (fault_ == Outcome::none && !has_protocols_) fault_ = Outcome::bad_request;
  if (fault_ == Outcome::none && offers_ntpv4_ && !has_aeads_) fault_ = Outcome::bad_request;
  if (fault_ != Outcome::none) return refuse(fault_);
  if (!offers_ntpv4_) return refuse(Outcome::no_common_protocol);
  if (!chosen_) return refuse(Outcome::no_common_aead);
  agreement_ = {.aead = *chosen_, .exported_as = *chosen_};
  if (*chosen_ == AeadId::aes_128_gcm_siv && !compliant_) {
    agreement_.exported_as = AeadId::aes_siv_cmac_256;
  }
  step_ = Step::agreed;
}

std::size_t KeServer::write_agreement(const SessionKeys& keys, const CookieSealer& sealer,
                                      crypto::RandomStream& random, const KeElsewhere& elsewhere,
                                      std::span<std::byte, kMaxKeAnswer> out) const noexcept {
  NTP_CHECK(outcome_ == Outcome::none && keys.is_usable() && keys.aead == agreement_.aead);
  KeWriter writer(out);
  writer.number(true, KeType::next_protocol, kProtocolNtpv4);
  writer.number(true, KeType::aead, static_cast<std::uint16_t>(agreement_.aead));
  if (agreement_.aead == AeadId::aes_128_gcm_siv && compliant_) {
    writer.record(false, KeType::compliant_gcm_siv_export, {});
  }
  if (!elsewhere.server.empty()) writer.text(true, KeType::server, elsewhere.server);
  if (elsewhere.port != 123) writer.number(true, KeType::port, elsewhere.port);
  for (std::size_t i = 0; i < kKeCookies; ++i) {
    const auto cookie = writer.body(false, KeType::cookie, cookie_size(keys.aead));
    if (writer.ok()) sealer.seal(keys, random, cookie);
  }
  writer.end();
  NTP_CHECK(writer.ok());
  return writer.size();
}

std::size_t KeServer::write_refusal(std::span<std::byte, kMaxKeAnswer> out) const noexcept {
  KeWriter writer(out);
  switch (outcome_) {
    case Outcome::none:
      NTP_CHECK(false);
    case Outcome::unrecognized_critical_record:
      writer.number(true, KeType::error,
                    static_cast<std::uint16_t>(KeError::unrecognized_critical_record));
      break;
    case Outcome::bad_request:
      writer.number(true, KeType::error, static_cast<std::uint16_t>(KeError::bad_request));
      break;
    case Outcome::no_common_protocol:
      writer.numbers(true, KeType::next_protocol, {});
      break;
    case Outcome::no_common_aead:
      writer.number(true, KeType::next_protocol, kProtocolNtpv4);
      writer.numbers(true, KeType::aead, {});
      break;
  }
  writer.end();
  return writer.size();
}

std::size_t KeServer::write_internal_error(std::span<std::byte, kMaxKeAnswer> out) noexcept {
  KeWriter writer(out);
  writer.number(true, KeType::error, static_cast<std::uint16_t>(KeError::internal_server_error));
  writer.end();
  return writer.size();
}

}  // namespace ntp::nts
