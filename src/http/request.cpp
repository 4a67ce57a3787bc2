#include "http/request.h"

#include <algorithm>

namespace ntp::http {
namespace {

constexpr std::string_view kLineEnd = "\r\n";
constexpr std::string_view kHeadEnd = "\r\n\r\n";

// Method, SP, SP, "HTTP/1.1" around a target.
constexpr std::size_t kMaxRequestLine = kMaxTarget + 64;
static_assert(kMaxRequestLine < kMaxHead);

constexpr char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

// RFC 9110 section 5.6.2.
bool is_token_char(char c) noexcept {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         kMarks.contains(c);
}

bool is_token(std::string_view text) noexcept {
  return !text.empty() && std::ranges::all_of(text, is_token_char);
}

// RFC 9110 section 5.5: visible characters, obs-text, blank and tab; no other control character.
bool is_field_value_char(char c) noexcept {
  const auto octet = static_cast<unsigned char>(c);
  return c == '\t' || (octet >= 0x20 && octet != 0x7f);
}

std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Cuts the text before `separator` off the front; all of it when there is none.
std::string_view cut(std::string_view& rest, std::string_view separator) noexcept {
  const auto at = rest.find(separator);
  const auto piece = rest.substr(0, at);
  rest = at == std::string_view::npos ? std::string_view() : rest.substr(at + separator.size());
  return piece;
}

// What can be said of a head whose end has not come yet.
std::expected<std::optional<Request>, Status> judge_unfinished(std::string_view head, bool full) {
  // Neither TLS nor an attacker's noise is worth waiting for.
  if (!head.empty() && !is_token_char(head.front()) && head.front() != '\r') {
    return std::unexpected(Status::bad_request);
  }
  const auto line_end = head.find(kLineEnd);
  const auto line_size = line_end == std::string_view::npos ? head.size() : line_end;
  if (line_size > kMaxRequestLine) return std::unexpected(Status::uri_too_long);
  if (full) return std::unexpected(Status::fields_too_large);
  return std::nullopt;
}

std::expected<bool, Status> parse_version(std::string_view text) {  // true: 1.1 and up
  constexpr std::string_view kName = "HTTP/";
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (text.size() != kName.size() + 3 || !text.starts_with(kName) || !is_digit(text[5]) ||
      text[6] != '.' || !is_digit(text[7])) {
    return std::unexpected(Status::bad_request);
  }
  if (text[5] != '1') return std::unexpected(Status::version_not_supported);
  return text[7] != '0';
}

// origin-form, or absolute-form whose authority is cut off (RFC 9112 section 3.2.2).
std::expected<void, Status> parse_target(std::string_view target, Request& request) {
  if (target.size() > kMaxTarget) return std::unexpected(Status::uri_too_long);
  const auto visible = [](char c) { return c > 0x20 && c < 0x7f; };
  if (target.empty() || !std::ranges::all_of(target, visible)) {
    return std::unexpected(Status::bad_request);
  }
  constexpr std::string_view kScheme = "http://";
  if (equal_ignoring_case(target.substr(0, kScheme.size()), kScheme)) {
    target.remove_prefix(kScheme.size());
    const auto slash = target.find_first_of("/?");
    target = slash == std::string_view::npos ? "/" : target.substr(slash);
  }
  request.path = cut(target, "?");
  request.query = target;
  if (!request.path.starts_with('/')) return std::unexpected(Status::bad_request);
  return {};
}

// Sets everything but the fields; returns whether the version is at least HTTP/1.1.
std::expected<bool, Status> parse_request_line(std::string_view line, Request& request) {
  const auto method = cut(line, " ");
  const auto target = cut(line, " ");
  if (!is_token(method)) return std::unexpected(Status::bad_request);
  const auto version = parse_version(line);
  if (!version) {
    // A target that is too long is the likelier mistake than a version that cannot be found.
    const bool too_long = target.size() > kMaxTarget;
    return std::unexpected(too_long ? Status::uri_too_long : version.error());
  }
  if (method != "GET" && method != "HEAD") return std::unexpected(Status::method_not_allowed);
  request.head_only = method == "HEAD";
  if (const auto parsed = parse_target(target, request); !parsed) {
    return std::unexpected(parsed.error());
  }
  return *version;
}

std::expected<void, Status> parse_fields(std::string_view lines, Request& request) {
  while (!lines.empty()) {
    std::string_view line = cut(lines, kLineEnd);
    if (request.fields.size() == kMaxFields) return std::unexpected(Status::fields_too_large);
    if (!line.contains(':')) return std::unexpected(Status::bad_request);
    const auto name = cut(line, ":");  // no white space around it, no continuation lines
    if (!is_token(name) || !std::ranges::all_of(line, is_field_value_char)) {
      return std::unexpected(Status::bad_request);
    }
    request.fields.push_back({name, trim(line)});
  }
  return {};
}

bool connection_says(const Request& request, std::string_view option) noexcept {
  for (const auto& field : request.fields) {
    if (!equal_ignoring_case(field.name, "Connection")) continue;
    for (std::string_view rest = field.value; !rest.empty();) {
      if (equal_ignoring_case(trim(cut(rest, ",")), option)) return true;
    }
  }
  return false;
}

// Content is never read, so a request that announces some cannot be skipped over safely.
std::expected<void, Status> judge_fields(const Request& request, bool at_least_1_1) {
  int hosts = 0;
  bool content = false;
  for (const auto& [name, value] : request.fields) {
    if (equal_ignoring_case(name, "Host")) ++hosts;
    if (equal_ignoring_case(name, "Transfer-Encoding")) {
      return std::unexpected(Status::bad_request);
    }
    if (!equal_ignoring_case(name, "Content-Length")) continue;
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    if (value.empty() || !std::ranges::all_of(value, is_digit)) {
      return std::unexpected(Status::bad_request);
    }
    content |= value.find_first_not_of('0') != std::string_view::npos;
  }
  if (hosts > 1 || (at_least_1_1 && hosts == 0)) return std::unexpected(Status::bad_request);
  if (content) return std::unexpected(Status::content_too_large);
  return {};
}

}  // namespace

std::string_view Request::field(std::string_view name) const noexcept {
  for (const auto& field : fields) {
    if (equal_ignoring_case(field.name, name)) return field.value;
  }
  return {};
}

std::expected<std::optional<Request>, Status> parse_request(std::string_view octets) {
  const bool full = octets.size() >= kMaxHead;
  std::string_view head = octets.substr(0, kMaxHead);
  while (head.starts_with(kLineEnd)) head.remove_prefix(kLineEnd.size());  // RFC 9112 section 2.2
  const std::size_t skipped = std::min(octets.size(), kMaxHead) - head.size();
  const auto end = head.find(kHeadEnd);
  if (end == std::string_view::npos) return judge_unfinished(head, full);

  Request request;
  request.size = skipped + end + kHeadEnd.size();
  std::string_view lines = head.substr(0, end);
  const auto at_least_1_1 = parse_request_line(cut(lines, kLineEnd), request);
  if (!at_least_1_1) return std::unexpected(at_least_1_1.error());
  if (const auto parsed = parse_fields(lines, request); !parsed) {
    return std::unexpected(parsed.error());
  }
  if (const auto judged = judge_fields(request, *at_least_1_1); !judged) {
    return std::unexpected(judged.error());
  }
  request.keep_alive =
      *at_least_1_1 ? !connection_says(request, "close") : connection_says(request, "keep-alive");
  return request;
}

}  // namespace ntp::http
