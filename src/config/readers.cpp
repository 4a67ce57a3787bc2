#include "config/readers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "config/refuse.h"
#include "config/suggest.h"

namespace ntp::config {
namespace {

constexpr std::size_t kLongestQuoted = 80;
constexpr std::size_t kLongestName = 253;  // RFC 1035 section 2.3.4, in text
constexpr std::size_t kLongestLabel = 63;

std::string_view type_name(Value::Type type) {
  switch (type) {
    case Value::Type::text:
      return "a string";
    case Value::Type::integer:
      return "a whole number";
    case Value::Type::real:
      return "a number with a fraction";
    case Value::Type::boolean:
      return "a boolean";
    case Value::Type::list:
      return "a list";
    case Value::Type::table:
      return "a table";
    case Value::Type::date:
      return "a date or time";
  }
  return "a value";
}

std::string shown(const Value& value) {
  switch (value.type) {
    case Value::Type::text:
      return quote_short(value.text);
    case Value::Type::integer:
      return std::to_string(value.integer);
    case Value::Type::real:
      return fmt::format("{}", value.real);
    case Value::Type::boolean:
      return value.boolean ? "true" : "false";
    default:
      return std::string(type_name(value.type));
  }
}

void refuse_value(const Given& given) {
  refuse(given, given.value, "is " + shown(given.value), it_must_be(given));
}

std::optional<std::string_view> text_of(const Given& given) {
  if (given.value.type == Value::Type::text) return given.value.text;
  refuse_type(given);
  return std::nullopt;
}

bool is_mapped(const IpAddress& address) {
  constexpr std::array<std::uint8_t, 12> kPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return !address.is_v4() && std::equal(kPrefix.begin(), kPrefix.end(), address.octets.begin());
}

bool is_link_local(const IpAddress& address) {  // fe80::/10
  return !address.is_v4() && address.octets[0] == 0xfe && (address.octets[1] & 0xc0) == 0x80;
}

std::optional<Endpoint> endpoint_of(const Given& given, const Value& item, std::uint16_t port) {
  if (item.type != Value::Type::text) {
    refuse(given, item, fmt::format("has {}", shown(item)), it_must_be(given));
    return std::nullopt;
  }
  const auto endpoint = parse_endpoint(item.text, port);
  const std::string quoted = quote_short(item.text);
  if (!endpoint) {
    refuse(given, item, fmt::format("has {}, which is no address", quoted),
           "write an IP address, ADDR:PORT or [IPV6]:PORT (names are not looked up)");
    return std::nullopt;
  }
  if (is_mapped(endpoint->address)) {
    refuse(given, item, fmt::format("has {}, an IPv4 address written as IPv6", quoted),
           "write the IPv4 address itself");
    return std::nullopt;
  }
  if (is_link_local(endpoint->address)) {
    refuse(given, item, fmt::format("has {}, a link-local address", quoted),
           "it cannot be bound without an interface; write [::] for all addresses");
    return std::nullopt;
  }
  if (endpoint->address.is_multicast() || endpoint->address.is_broadcast()) {
    refuse(given, item, fmt::format("has {}, a multicast or broadcast address", quoted),
           "write an address of this machine, or 0.0.0.0 or [::] for all");
    return std::nullopt;
  }
  return endpoint;
}

bool in_range(const Given& given, std::int64_t number) {
  if (number >= given.option.least && number <= given.option.most) return true;
  refuse_value(given);
  return false;
}

std::optional<std::int64_t> integer_of(const Given& given) {
  const auto& value = given.value;
  if (value.type == Value::Type::integer) return value.integer;
  if (value.bare) {
    if (const auto number = parse_integer(value.text)) return number;
    refuse_value(given);
  } else {
    refuse_type(given);
  }
  return std::nullopt;
}

// RFC 1123 section 2.1, and the underscores that people have. An address with a typing error
// is no name: the last label of one is never a number.
bool is_name(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.empty() || text.size() > kLongestName) return false;
  std::string_view label;
  while (true) {
    label = text.substr(0, text.find('.'));
    const auto fits = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '-' || c == '_';
    };
    if (label.empty() || label.size() > kLongestLabel || !std::ranges::all_of(label, fits) ||
        label.starts_with('-') || label.ends_with('-')) {
      return false;
    }
    if (label.size() == text.size()) break;
    text.remove_prefix(label.size() + 1);
  }
  return !std::ranges::all_of(label, [](char c) { return c >= '0' && c <= '9'; });
}

// Why nobody can be asked at this address; empty when somebody can.
std::string_view no_host(const Endpoint& endpoint) {
  const auto& address = endpoint.address;
  if (is_mapped(address)) return "an IPv4 address written as IPv6";
  if (is_link_local(address)) return "a link-local address";
  if (address.is_multicast() || address.is_broadcast()) return "a multicast or broadcast address";
  if (address.is_unspecified()) return "no host's address";
  return {};
}

}  // namespace

std::string quote_short(std::string_view text) {
  if (text.size() <= kLongestQuoted) return quote(text);
  return quote(text.substr(0, kLongestQuoted)) + "…";
}

std::string it_must_be(const Given& given) {
  return fmt::format("it must be {}", given.option.expects);
}

void refuse(const Given& given, const Value& at, std::string what, std::string hint) {
  given.faults.push_back({.what = fmt::format("{} {}", given.option.key, what),
                          .hint = std::move(hint),
                          .line = at.line,
                          .column = at.column});
}

void refuse_type(const Given& given) {
  const auto& value = given.value;
  std::string what = fmt::format("is {}", type_name(value.type));
  if (value.type == Value::Type::text) what += ", " + quote_short(value.text);
  refuse(given, value, std::move(what), it_must_be(given));
}

std::vector<Value> items_of(const Value& value) {
  if (value.type == Value::Type::list) return value.items;
  if (!value.bare) return {value};
  std::vector<Value> items;
  std::string_view rest = value.text;
  while (true) {
    const auto start = rest.find_first_not_of(", \t\n");
    if (start == std::string_view::npos) return items;
    rest.remove_prefix(start);
    const auto end = std::min(rest.find_first_of(", \t\n"), rest.size());
    items.push_back({.bare = true, .text = std::string(rest.substr(0, end))});
    rest.remove_prefix(end);
  }
}

void read_integer(const Given& given, int& out) {
  const auto number = integer_of(given);
  if (number && in_range(given, *number)) out = static_cast<int>(*number);
}

void read_threads(const Given& given, std::optional<int>& out) {
  if (given.value.type == Value::Type::text && given.value.text == "auto") {
    out.reset();
    return;
  }
  int threads = 0;
  const auto faults = given.faults.size();
  read_integer(given, threads);
  if (given.faults.size() == faults) out = threads;
}

void read_duration(const Given& given, std::chrono::nanoseconds& out) {
  const auto& value = given.value;
  const std::string units = R"(write the unit: "100ms", "1.5s" (s, ms, us or ns))";
  if (value.type == Value::Type::integer || value.type == Value::Type::real) {
    refuse(given, value, fmt::format("is {}, a number without a unit", shown(value)), units);
    return;
  }
  const auto text = text_of(given);
  if (!text) return;
  const auto duration = parse_duration(*text);
  if (duration) {
    if (in_range(given, duration->count())) out = *duration;
    return;
  }
  switch (duration.error()) {
    case DurationError::no_unit:
      refuse(given, value, fmt::format("is {}, a number without a unit", shown(value)), units);
      return;
    case DurationError::too_fine:
      refuse(given, value, fmt::format("is {}, finer than a nanosecond", shown(value)),
             it_must_be(given));
      return;
    case DurationError::not_a_duration:
    case DurationError::too_long:
      refuse_value(given);
      return;
  }
}

void read_boolean(const Given& given, bool& out) {
  const auto& value = given.value;
  if (value.type == Value::Type::boolean) {
    out = value.boolean;
  } else if (!value.bare) {
    refuse_type(given);
  } else if (const auto boolean = parse_boolean(value.text)) {
    out = *boolean;
  } else {
    refuse_value(given);
  }
}

void read_endpoints(const Given& given, std::uint16_t default_port, std::vector<Endpoint>& out) {
  if (given.value.type != Value::Type::list && given.value.type != Value::Type::text) {
    refuse_type(given);
    return;
  }
  const auto items = items_of(given.value);
  const auto faults = given.faults.size();
  std::vector<Endpoint> endpoints;
  for (const auto& item : items) {
    if (endpoints.size() == kMostEndpoints) {
      refuse(given, item, fmt::format("has over {} addresses", kMostEndpoints),
             "0.0.0.0 and [::] stand for all addresses of the machine");
      return;
    }
    const auto endpoint = endpoint_of(given, item, default_port);
    if (!endpoint) continue;
    if (endpoint->port != 0 && std::ranges::find(endpoints, *endpoint) != endpoints.end()) {
      refuse(given, item, fmt::format("has {} twice", to_string(*endpoint)), "remove one of them");
      continue;
    }
    endpoints.push_back(*endpoint);
  }
  if (items.empty()) {
    refuse(given, given.value, "is empty", it_must_be(given));
  }
  if (given.faults.size() == faults) out = std::move(endpoints);
}

void read_endpoint(const Given& given, std::uint16_t default_port, std::optional<Endpoint>& out) {
  const auto text = text_of(given);
  if (!text) return;
  if (*text == "off") {
    out.reset();
  } else if (const auto endpoint = endpoint_of(given, given.value, default_port)) {
    out = endpoint;
  }
}

void read_host(const Given& given, std::uint16_t default_port, HostPort& out) {
  const auto text = text_of(given);
  if (!text) return;
  const std::string quoted = quote_short(*text);
  const auto refuse_port = [&] {
    refuse(given, given.value, fmt::format("is {}, whose port is none", quoted),
           "write a port from 1 to 65535");
  };
  if (const auto endpoint = parse_endpoint(*text, default_port)) {
    const auto why = no_host(*endpoint);
    if (!why.empty()) {
      refuse(given, given.value, fmt::format("is {}, {}", quoted, why), it_must_be(given));
    } else if (endpoint->port == 0) {
      refuse_port();
    } else {
      out = {.host = to_string(endpoint->address), .port = endpoint->port};
    }
    return;
  }
  const auto colon = text->find(':');
  const auto name = text->substr(0, colon);
  if (!is_name(name)) {
    refuse(given, given.value, fmt::format("is {}, which is no name and no address", quoted),
           it_must_be(given));
    return;
  }
  std::optional<std::int64_t> port = default_port;
  if (colon != std::string_view::npos) port = parse_integer(text->substr(colon + 1));
  if (!port || *port < 1 || *port > 65535) {
    refuse_port();
  } else {
    out = {.host = lower_case(name), .port = static_cast<std::uint16_t>(*port)};
  }
}

void read_user(const Given& given, UserId& out) {
  const auto& value = given.value;
  const bool number = value.type == Value::Type::integer;
  const auto user = parse_user(number ? std::to_string(value.integer) : value.text);
  if (user && (number || value.type == Value::Type::text)) {
    out = *user;
  } else if (number || value.type == Value::Type::text) {
    refuse(given, value, "is " + shown(value),
           fmt::format("{}; names are not looked up, `id NAME` prints the numbers",
                       it_must_be(given)));
  } else {
    refuse_type(given);
  }
}

void read_path(const Given& given, std::string& out) {
  const auto text = text_of(given);
  if (!text) return;
  const auto printable = [](char c) { return c >= 0x20 && c < 0x7f; };
  const auto& words = given.option.words;
  if (static_cast<std::int64_t>(text->size()) > given.option.most) {
    refuse(
        given, given.value,
        fmt::format("has {} octets, over the {} of such a path", text->size(), given.option.most),
        "choose a shorter path");
  } else if (std::ranges::find(words, *text) != words.end() ||
             (text->starts_with('/') && !text->ends_with('/') &&
              std::ranges::all_of(*text, printable))) {
    out = *text;
  } else {
    refuse_value(given);
  }
}

std::optional<std::size_t> read_word(const Given& given) {
  const auto text = text_of(given);
  if (!text) return std::nullopt;
  const auto& words = given.option.words;
  const auto found = std::ranges::find(words, *text);
  if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
  std::string hint = did_you_mean(*text, words);
  if (hint.empty()) hint = it_must_be(given);
  refuse(given, given.value, "is " + shown(given.value), std::move(hint));
  return std::nullopt;
}

}  // namespace ntp::config
