#include "cli/query_nts.h"

#include <fmt/format.h>
#include <poll.h>

#include "ke/client.h"
#include "os/clocks.h"
#include "os/ntp_exchange.h"

namespace ntp::cli {
namespace {

constexpr std::uint16_t kNtpPort = 123;
constexpr int kTurn_ms = 200;

std::expected<NtsFacts, std::string> talk_to(const Endpoint& server, const std::string& host,
                                             const tls::ClientContext& context) {
  const ke::Wish wish{.server = server, .name = host, .times = {.now = os::real_now()}};
  ke::Talk talk(wish, context, os::raw_now());
  while (!talk.outcome()) {
    pollfd watched{.fd = talk.fd(), .events = talk.events(), .revents = 0};
    ::poll(&watched, 1, kTurn_ms);
    talk.proceed(os::raw_now());
  }
  const nts::Establishment& outcome = *talk.outcome();
  if (!outcome) return std::unexpected(outcome.error().why);
  const ke::ClientSession& session = talk.session();
  NtsFacts facts{.establishment = server,
                 .keys = *outcome,
                 .exported_as_rfc = session.agreement().exported_as == session.agreement().aead,
                 .cipher = std::string(session.connection().cipher()),
                 .certificate = session.connection().certificate(),
                 .warnings = session.warnings(),
                 .roots = context.file()};
  const std::uint16_t port = outcome->port.value_or(kNtpPort);
  if (outcome->server.empty()) {
    facts.servers = {{.address = server.address, .port = port, .scope = server.scope}};
    return facts;
  }
  auto found = os::resolve(outcome->server, port);
  if (!found) {
    return std::unexpected(fmt::format("the server of time that it names, {}, cannot be found: {}",
                                       outcome->server, found.error()));
  }
  facts.servers = std::move(*found);
  return facts;
}

}  // namespace

std::expected<NtsFacts, std::string> establish_keys(const std::string& host, std::uint16_t port,
                                                    const std::string& roots) {
  const auto context = tls::ClientContext::load(roots, nts::kKeAlpn);
  if (!context) return std::unexpected(context.error());
  const auto addresses = os::resolve(host, port);
  if (!addresses) {
    return std::unexpected(fmt::format("cannot find {}: {}", host, addresses.error()));
  }
  std::string why;
  for (const Endpoint& address : *addresses) {
    auto facts = talk_to(address, host, *context);
    if (facts) return facts;
    why = fmt::format("{}: {}", to_string(address), facts.error());
  }
  return std::unexpected(why);
}

}  // namespace ntp::cli
