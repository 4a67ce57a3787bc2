#include "ke/message.h"

#include <algorithm>

#include "base/bytes.h"
#include "ke/codec.h"

namespace ntp::ke {
namespace {

constexpr std::uint32_t kMagic = 0x6e6b6501;  // "nke" and the version of what follows
constexpr std::size_t kLongestSubject = 100;
constexpr std::size_t kLongestProblem = 300;
static_assert(kLongestText + 16 <= kMessageSize);
static_assert(kLongestSubject + kLongestProblem + 32 <= kMessageSize);

template <typename T, typename... Kinds>
constexpr std::uint8_t place_of(const std::variant<Kinds...>*) {
  std::uint8_t place = 0;
  static_cast<void>(((std::is_same_v<T, Kinds> || (++place, false)) || ...));
  return place;
}

template <typename T>
constexpr std::uint8_t kind_of() {
  return place_of<T>(static_cast<const Message*>(nullptr));
}

void put(ByteWriter& out, const SealingKey& m) {
  out.write(m.key.epoch);
  for (const std::byte octet : m.key.key.view()) out.write(std::to_integer<std::uint8_t>(octet));
}
void put(ByteWriter&, const LookAgain&) {}
void put(ByteWriter&, const Started&) {}
void put(ByteWriter&, const Ended&) {}
void put(ByteWriter& out, const Counted& m) {
  for (const std::uint64_t count : m.counters.outcomes) out.write(count);
  for (const std::uint64_t count : m.counters.aeads) out.write(count);
  out.write(m.counters.accepted);
  out.write(m.counters.accept_errors);
  out.write(m.counters.open);
}
void put(ByteWriter& out, const Shown& m) {
  out.write(static_cast<std::uint8_t>(m.certificate.loaded));
  put_time(out, m.certificate.valid_from);
  put_time(out, m.certificate.valid_until);
  put_text(out, m.certificate.subject, kLongestSubject);
  put_text(out, m.certificate.problem, kLongestProblem);
}
void put(ByteWriter& out, const Told& m) {
  out.write(static_cast<std::uint8_t>(m.level));
  put_text(out, m.text, kLongestText);
}
void put(ByteWriter& out, const ShutIn& m) {
  out.write(m.landlock);
  out.write(static_cast<std::uint8_t>(m.filtered));
  out.write(static_cast<std::uint8_t>(m.memory));
}

Message get_sealing_key(ByteReader& in) {
  SealingKey m;
  m.key.epoch = in.read<std::uint32_t>();
  m.key.key.assign(in.take(nts::kCookieKeySize));
  return m;
}

Message get_counted(ByteReader& in) {
  Counted m;
  for (std::uint64_t& count : m.counters.outcomes) count = in.read<std::uint64_t>();
  for (std::uint64_t& count : m.counters.aeads) count = in.read<std::uint64_t>();
  m.counters.accepted = in.read<std::uint64_t>();
  m.counters.accept_errors = in.read<std::uint64_t>();
  m.counters.open = in.read<std::uint64_t>();
  return m;
}

std::optional<Message> get_shown(ByteReader& in) {
  Shown m;
  const auto loaded = in.read<std::uint8_t>();
  m.certificate.valid_from = get_time(in);
  m.certificate.valid_until = get_time(in);
  auto subject = get_text(in, kLongestSubject);
  auto problem = get_text(in, kLongestProblem);
  if (loaded > 1 || !subject || !problem) return std::nullopt;
  m.certificate.loaded = loaded == 1;
  m.certificate.subject = std::move(*subject);
  m.certificate.problem = std::move(*problem);
  return m;
}

std::optional<Message> get_told(ByteReader& in) {
  const auto level = in.read<std::uint8_t>();
  auto text = get_text(in, kLongestText);
  if (level > static_cast<std::uint8_t>(Told::Level::info) || !text) return std::nullopt;
  return Told{.level = static_cast<Told::Level>(level), .text = std::move(*text)};
}

std::optional<Message> get_shut_in(ByteReader& in) {
  ShutIn m{.landlock = in.read<std::uint32_t>()};
  const auto filtered = in.read<std::uint8_t>();
  const auto memory = in.read<std::uint8_t>();
  if (filtered > 1 || memory > 1) return std::nullopt;
  m.filtered = filtered == 1;
  m.memory = memory == 1;
  return m;
}

std::optional<Message> get(std::uint8_t kind, ByteReader& in) {
  switch (kind) {
    case kind_of<SealingKey>():
      return get_sealing_key(in);
    case kind_of<LookAgain>():
      return LookAgain{};
    case kind_of<Started>():
      return Started{};
    case kind_of<Ended>():
      return Ended{};
    case kind_of<Counted>():
      return get_counted(in);
    case kind_of<Shown>():
      return get_shown(in);
    case kind_of<Told>():
      return get_told(in);
    case kind_of<ShutIn>():
      return get_shut_in(in);
    default:
      return std::nullopt;
  }
}

}  // namespace

void note(control::KeProcess& process, const Message& message) {
  if (std::holds_alternative<Started>(message)) {
    process.up = true;
    ++process.starts;
  } else if (std::holds_alternative<Ended>(message)) {
    process.up = false;
  } else if (std::holds_alternative<Counted>(message)) {
    process.up = true;  // its first word may have been lost
  } else if (const auto* shut_in = std::get_if<ShutIn>(&message)) {
    process.sandbox = {.files = static_cast<int>(shut_in->landlock),
                       .system_calls = shut_in->filtered,
                       .memory = shut_in->memory};
  }
}

MessageBytes encode(const Message& message) {
  MessageBytes bytes{};
  ByteWriter out(bytes);
  out.write(kMagic);
  out.write(static_cast<std::uint8_t>(message.index()));
  std::visit([&out](const auto& m) { put(out, m); }, message);
  return bytes;
}

std::optional<Message> decode(std::span<const std::byte> bytes) {
  if (bytes.size() != kMessageSize) return std::nullopt;
  ByteReader in(bytes);
  if (in.read<std::uint32_t>() != kMagic) return std::nullopt;
  auto message = get(in.read<std::uint8_t>(), in);
  const auto rest = in.take(in.remaining());
  const auto is_zero = [](std::byte octet) { return octet == std::byte{0}; };
  if (!message || !std::ranges::all_of(rest, is_zero)) return std::nullopt;
  return message;
}

}  // namespace ntp::ke
