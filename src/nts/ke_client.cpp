#include "nts/ke_client.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace ntp::nts {
namespace {

using crypto::AeadId;

constexpr std::size_t kMaxWarnings = 8;
constexpr auto kWords = std::to_array<std::string_view>(
    {"the answer has no end", "the answer is too long", "the answer is malformed",
     "there are octets behind the answer", "the answer has a critical record of unknown type",
     "the server reports an error", "the server does not offer NTPv4",
     "there is no AEAD algorithm in common", "the answer has no usable cookie",
     "the answer names a server in a way that is no name", "the answer names no valid port"});
static_assert(kWords.size() == static_cast<std::size_t>(KeFailure::bad_port) + 1);

// A24: the name goes to the resolver and into logs.
bool is_server_name(std::span<const std::byte> body) noexcept {
  return !body.empty() && body.size() <= kMaxServerName &&
         std::ranges::all_of(body, [](std::byte octet) {
           const auto letter = std::to_integer<unsigned>(octet);
           return letter > 0x20 && letter < 0x7f;
         });
}

// Takes the records in one by one.
class Reader {
 public:
  std::optional<KeRefusal> take(bool critical, std::uint16_t type, std::span<const std::byte> body);
  // At the end of the message.
  std::expected<KeAnswer, KeRefusal> finish();

 private:
  static KeRefusal refuse(KeFailure reason) { return {.reason = reason}; }
  std::optional<KeRefusal> take_protocol(bool critical, std::span<const std::byte> body);
  std::optional<KeRefusal> take_aead(std::span<const std::byte> body);
  void take_cookie(std::span<const std::byte> body);
  std::optional<KeRefusal> take_port(std::span<const std::byte> body);

  KeAnswer answer_;
  bool has_protocol_ = false;
  bool has_aead_ = false;
  bool compliant_ = false;
};

std::optional<KeRefusal> Reader::take_protocol(bool critical, std::span<const std::byte> body) {
  if (has_protocol_ || !critical || body.size() % 2 != 0) return refuse(KeFailure::malformed);
  has_protocol_ = true;
  if (body.empty()) return refuse(KeFailure::no_protocol);
  // Of one offer there can be one answer (section 4.1.2).
  if (body.size() != 2 || ByteReader(body).read<std::uint16_t>() != kProtocolNtpv4) {
    return refuse(KeFailure::malformed);
  }
  return std::nullopt;
}

std::optional<KeRefusal> Reader::take_aead(std::span<const std::byte> body) {
  if (has_aead_ || body.size() % 2 != 0 || body.size() > 2) return refuse(KeFailure::malformed);
  has_aead_ = true;
  if (body.empty()) return refuse(KeFailure::no_aead);
  const auto id = static_cast<AeadId>(ByteReader(body).read<std::uint16_t>());
  if (!crypto::is_supported(id)) return refuse(KeFailure::no_aead);  // not what was offered
  answer_.agreement.aead = id;
  return std::nullopt;
}

void Reader::take_cookie(std::span<const std::byte> body) {
  const bool usable = body.size() >= 12 && body.size() <= kMaxForeignCookie && body.size() % 4 == 0;
  if (usable && answer_.cookies.size() < kCookiesKept) {
    answer_.cookies.emplace_back(body.begin(), body.end());
  }
}

std::optional<KeRefusal> Reader::take_port(std::span<const std::byte> body) {
  const auto port = ByteReader(body).read<std::uint16_t>();
  if (body.size() != 2 || port == 0 || answer_.port) return refuse(KeFailure::bad_port);
  answer_.port = port;
  return std::nullopt;
}

std::optional<KeRefusal> Reader::take(bool critical, std::uint16_t type,
                                      std::span<const std::byte> body) {
  switch (static_cast<KeType>(type)) {
    case KeType::end_of_message:
      return std::nullopt;  // the caller's
    case KeType::next_protocol:
      return take_protocol(critical, body);
    case KeType::error:
      if (body.size() != 2) return refuse(KeFailure::malformed);
      return KeRefusal{.reason = KeFailure::error, .code = ByteReader(body).read<std::uint16_t>()};
    case KeType::warning:
      if (body.size() != 2) return refuse(KeFailure::malformed);
      if (answer_.warnings.size() < kMaxWarnings) {
        answer_.warnings.push_back(ByteReader(body).read<std::uint16_t>());
      }
      return std::nullopt;
    case KeType::aead:
      return take_aead(body);
    case KeType::cookie:
      take_cookie(body);
      return std::nullopt;
    case KeType::server:
      if (!answer_.server.empty() || !is_server_name(body)) return refuse(KeFailure::bad_server);
      answer_.server.assign(reinterpret_cast<const char*>(body.data()), body.size());
      return std::nullopt;
    case KeType::port:
      return take_port(body);
    case KeType::compliant_gcm_siv_export:
      if (!body.empty()) return refuse(KeFailure::malformed);
      compliant_ = true;
      return std::nullopt;
  }
  if (critical) return refuse(KeFailure::unknown_critical);
  return std::nullopt;
}

std::expected<KeAnswer, KeRefusal> Reader::finish() {
  if (!has_protocol_ || !has_aead_) return std::unexpected(refuse(KeFailure::malformed));
  if (answer_.cookies.empty()) return std::unexpected(refuse(KeFailure::no_cookies));
  KeAgreement& agreement = answer_.agreement;
  const bool older_chrony = agreement.aead == AeadId::aes_128_gcm_siv && !compliant_;
  agreement.exported_as = older_chrony ? AeadId::aes_siv_cmac_256 : agreement.aead;
  return std::move(answer_);
}

}  // namespace

std::string_view words(KeFailure failure) noexcept {
  return kWords[static_cast<std::size_t>(failure)];
}

std::size_t write_ke_request(std::span<std::byte, kMaxKeRequest> out) noexcept {
  std::array<std::uint16_t, 2> offered{};
  std::size_t count = 0;
  for (const AeadId id : {AeadId::aes_128_gcm_siv, AeadId::aes_siv_cmac_256}) {
    if (crypto::is_supported(id)) offered[count++] = static_cast<std::uint16_t>(id);
  }
  KeWriter writer(out);
  writer.number(true, KeType::next_protocol, kProtocolNtpv4);
  writer.numbers(true, KeType::aead, std::span(offered).first(count));
  if (crypto::is_supported(AeadId::aes_128_gcm_siv)) {
    writer.record(false, KeType::compliant_gcm_siv_export, {});
  }
  writer.end();
  NTP_CHECK(writer.ok());
  return writer.size();
}

std::expected<KeAnswer, KeRefusal> parse_ke_answer(std::span<const std::byte> message) {
  Reader reader;
  ByteReader in(message);
  while (true) {
    const auto first = in.read<std::uint16_t>();
    const std::size_t length = in.read<std::uint16_t>();
    const auto body = in.take(length);
    if (!in.ok()) {
      const bool hopeless = message.size() >= kMaxKeMessage;
      return std::unexpected(
          KeRefusal{.reason = hopeless ? KeFailure::too_long : KeFailure::need_more});
    }
    const bool critical = (first & kKeCritical) != 0;
    const auto type = static_cast<std::uint16_t>(first & ~kKeCritical);
    if (type != static_cast<std::uint16_t>(KeType::end_of_message)) {
      if (const auto refused = reader.take(critical, type, body)) return std::unexpected(*refused);
      continue;
    }
    if (!critical || !body.empty()) {
      return std::unexpected(KeRefusal{.reason = KeFailure::malformed});
    }
    if (in.remaining() != 0) return std::unexpected(KeRefusal{.reason = KeFailure::trailing_data});
    return reader.finish();
  }
}

}  // namespace ntp::nts
