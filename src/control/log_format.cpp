#include "control/log_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>

#include "control/time_text.h"

namespace ntp::control {
namespace {

struct CodePoint {
  char32_t value = 0;
  std::size_t size = 0;  // octets
};

// The UTF-8 character at the front (RFC 3629: no overlong forms, no surrogates).
std::optional<CodePoint> front_character(std::string_view text) noexcept {
  const auto octet = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = octet(0);
  if (first < 0x80) return CodePoint{first, 1};
  const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < size) return std::nullopt;
  char32_t value = first & (0x7fu >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((octet(i) & 0xc0) != 0x80) return std::nullopt;
    value = (value << 6) | (octet(i) & 0x3f);
  }
  constexpr std::array<char32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = value >= 0xd800 && value <= 0xdfff;
  if (value < kSmallest[size] || surrogate || value > 0x10ffff) return std::nullopt;
  return CodePoint{value, size};
}

// Controls (C0, DEL, C1), line and paragraph separators, marks that reorder what stands beside
// them, and the byte order mark.
bool is_dangerous(char32_t c) noexcept {
  return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x061c || (c >= 0x200b && c <= 0x200f) ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
         (c >= 0xfff9 && c <= 0xfffb);
}

// `bad_octet`: how an octet that is no UTF-8 is written.
void append_escaped(std::string& out, std::string_view text, bool quotes_too,
                    std::string_view bad_octet) {
  while (!text.empty()) {
    const auto c = front_character(text);
    if (!c) {
      fmt::format_to(std::back_inserter(out), "{}{:02x}", bad_octet,
                     static_cast<unsigned char>(text.front()));
      text.remove_prefix(1);
      continue;
    }
    if (c->value == '\n') {
      out += "\\n";
    } else if (c->value == '\r') {
      out += "\\r";
    } else if (c->value == '\t') {
      out += "\\t";
    } else if (c->value == '\\') {
      out += "\\\\";
    } else if (c->value == '"' && quotes_too) {
      out += "\\\"";
    } else if (is_dangerous(c->value)) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<std::uint32_t>(c->value));
    } else {
      out += text.substr(0, c->size);
    }
    text.remove_prefix(c->size);
  }
}

void append_plain(std::string& out, std::string_view text) {
  append_escaped(out, text, false, "\\x");
}

// A string of JSON, which logfmt readers know as well. JSON has no octets: \xff is told in words.
void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  append_escaped(out, text, true, "\\\\x");
  out += '"';
}

void append_value(std::string& out, std::string_view text) {
  const auto plain = [](char c) {
    return c > 0x20 && c < 0x7f && c != '"' && c != '=' && c != '\\';
  };
  if (!text.empty() && std::ranges::all_of(text, plain)) {
    out += text;
  } else {
    append_quoted(out, text);
  }
}

void append_name(std::string& out, std::string_view name) {
  for (const char c : name) {
    const bool fit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     c == '_' || c == '.' || c == '-';
    out += fit ? c : '_';
  }
}

void append_pairs(std::string& out, const LogEvent& event) {
  for (const auto& [key, value] : event.fields) {
    out += ' ';
    append_name(out, key);
    out += '=';
    append_value(out, value);
  }
}

std::string as_json(const LogEvent& event, std::string_view time) {
  std::string out =
      fmt::format(R"({{"time":"{}","level":"{}","message":)", time, name(event.level));
  append_quoted(out, event.message);
  for (const auto& [key, value] : event.fields) {
    out += ",\"";
    append_name(out, key);
    out += "\":";
    append_quoted(out, value);
  }
  return out + '}';
}

}  // namespace

std::string_view name(config::LogLevel level) noexcept {
  constexpr std::array<std::string_view, 4> kNames = {"error", "warning", "info", "debug"};
  return kNames[static_cast<std::size_t>(level)];
}

std::string format_line(const LogEvent& event, config::LogFormat format,
                        std::chrono::seconds utc_offset) {
  const std::string time = rfc3339_local(event.time, utc_offset);
  std::string out;
  switch (format) {
    case config::LogFormat::text:
      out = fmt::format("{} {:<7} ", time, name(event.level));
      append_plain(out, event.message);
      append_pairs(out, event);
      return out;
    case config::LogFormat::json:
      return as_json(event, time);
    case config::LogFormat::logfmt:
      out = fmt::format("time={} level={} msg=", time, name(event.level));
      append_value(out, event.message);
      append_pairs(out, event);
      return out;
  }
  return out;
}

LogLimiter::Permit LogLimiter::ask(RawTime now) noexcept {
  if (!begun_) paid_until_ = now;
  begun_ = true;
  const std::int64_t lines = suppressed_ > 0 ? 2 : 1;
  const RawTime paid = std::max(paid_until_, now) + lines * kLine;
  if (paid > now + kBurst * kLine) {
    ++suppressed_;
    return {};
  }
  paid_until_ = paid;
  return {true, std::exchange(suppressed_, 0)};
}

LogLimiter::Permit LogLimiter::settle(RawTime now) noexcept {
  if (suppressed_ == 0 || paid_until_ + kLine > now + kBurst * kLine) return {};
  paid_until_ = std::max(paid_until_, now) + kLine;
  return {true, std::exchange(suppressed_, 0)};
}

}  // namespace ntp::control
