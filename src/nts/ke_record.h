// Records of NTS key establishment (RFC 8915 section 4): critical bit and type (2), length of the
// body (2), body.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "crypto/aead.h"

namespace ntp::nts {

enum class KeType : std::uint16_t {
  end_of_message = 0,
  next_protocol = 1,
  error = 2,
  warning = 3,
  aead = 4,
  cookie = 5,
  server = 6,  // NTPv4 Server Negotiation
  port = 7,    // NTPv4 Port Negotiation
  // Not of the RFC: chrony's "compliant AES-128-GCM-SIV export". Older versions of it put the
  // number of SIV-CMAC-256 into the exporter's context for GCM-SIV too; who sends this record, and
  // gets it back, uses 30 as RFC 8915 section 5.1 has it.
  compliant_gcm_siv_export = 1024,
};

enum class KeError : std::uint16_t {
  unrecognized_critical_record = 0,
  bad_request = 1,
  internal_server_error = 2,
};

inline constexpr std::string_view kKeAlpn = "ntske/1";
inline constexpr std::string_view kKeExporterLabel = "EXPORTER-network-time-security";
inline constexpr std::uint16_t kProtocolNtpv4 = 0;
inline constexpr std::size_t kKeRecordHeader = 4;
inline constexpr std::uint16_t kKeCritical = 0x8000;
inline constexpr std::size_t kMaxKeMessage = 16'384;
inline constexpr std::size_t kMaxServerName = 255;

// What the two sides agreed on: what the keys that TLS exports are for.
struct KeAgreement {
  crypto::AeadId aead = crypto::AeadId::aes_siv_cmac_256;
  // The number in the exporter's context: `aead`, but for GCM-SIV without the record 1024.
  crypto::AeadId exported_as = crypto::AeadId::aes_siv_cmac_256;

  friend bool operator==(const KeAgreement&, const KeAgreement&) = default;
};

enum class KeDirection : std::uint8_t { c2s = 0, s2c = 1 };

// The context of the TLS exporter (section 5.1): protocol, AEAD, direction. The label is
// kKeExporterLabel, the length of what is to be exported crypto::key_size(agreement.aead).
constexpr std::array<std::byte, 5> exporter_context(const KeAgreement& agreement,
                                                    KeDirection direction) noexcept {
  const auto aead = static_cast<std::uint16_t>(agreement.exported_as);
  return {std::byte{kProtocolNtpv4 >> 8}, std::byte{kProtocolNtpv4 & 255},
          static_cast<std::byte>(aead >> 8), static_cast<std::byte>(aead & 255),
          static_cast<std::byte>(direction)};
}

// Writes records into a buffer of the caller; ok() tells whether all of them found room.
class KeWriter {
 public:
  explicit KeWriter(std::span<std::byte> out) noexcept : out_(out) {}

  void record(bool critical, KeType type, std::span<const std::byte> body) noexcept;
  void numbers(bool critical, KeType type, std::span<const std::uint16_t> body) noexcept;
  void number(bool critical, KeType type, std::uint16_t body) noexcept {
    numbers(critical, type, std::span(&body, 1));
  }
  void text(bool critical, KeType type, std::string_view body) noexcept {
    record(critical, type, std::as_bytes(std::span(body)));
  }
  // The body's octets, for the caller to fill in; empty where there is no room.
  std::span<std::byte> body(bool critical, KeType type, std::size_t size) noexcept;
  void end() noexcept { record(true, KeType::end_of_message, {}); }

  bool ok() const noexcept { return ok_; }
  std::size_t size() const noexcept { return size_; }

 private:
  std::span<std::byte> out_;
  std::size_t size_ = 0;
  bool ok_ = true;
};

}  // namespace ntp::nts
