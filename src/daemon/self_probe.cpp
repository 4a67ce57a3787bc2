#include "daemon/self_probe.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "client/exchange.h"
#include "os/clocks.h"
#include "os/machine.h"
#include "os/sockaddr.h"

namespace ntp::daemon {
namespace {

constexpr std::chrono::milliseconds kRetry{150};
constexpr int kMaxTries = 16;

Endpoint address_to_ask(Endpoint bound) {
  if (!bound.address.is_unspecified()) return bound;
  if (bound.address.is_v4()) {
    bound.address = IpAddress::v4(127, 0, 0, 1);
  } else {
    bound.address.octets[15] = 1;  // ::1
  }
  return bound;
}

// Workers are chosen by source address: another one in 127.0.0.0/8 asks another worker.
Endpoint source_to_ask_from(const Endpoint& to, int attempt) {
  Endpoint from{.address = to.address, .port = 0, .scope = to.scope};
  if (to.address.is_v4() && to.address.is_loopback()) {
    from.address.octets[3] = static_cast<std::uint8_t>(1 + attempt);
  }
  return from;
}

ProbeResult failed(std::string why) {
  ProbeResult result;
  result.text = std::move(why);
  return result;
}

}  // namespace

SelfProbe::SelfProbe(os::PollLoop& loop, Served& served, const Workers& workers)
    : loop_(loop), served_(served), workers_(workers) {
  timer_ = loop_.add_timer([this](RawTime now) { on_timer(now); });
}

SelfProbe::~SelfProbe() {
  for (const auto& target : targets_) loop_.unwatch(target->watch);
  loop_.remove_timer(timer_);
}

void SelfProbe::publish_nonce(std::uint64_t nonce) {
  nonce_ = nonce;
  server::Policy policy = served_.policy.read();
  policy.probe_xmt = nonce;
  served_.policy.publish(policy);
}

void SelfProbe::start(std::chrono::nanoseconds timeout, Done done) {
  waiting_.push_back(std::move(done));
  if (waiting_.size() > 1) return;
  started_ = loop_.now();
  deadline_ = started_ + timeout;
  publish_nonce(os::random_seed() | 1);
  for (const Endpoint& bound : workers_.listening()) {
    targets_.push_back(std::make_unique<Target>());
    targets_.back()->bound = bound;
    targets_.back()->replies_before = replies_of(bound);
    ask(*targets_.back());
  }
  loop_.arm(timer_, std::min(deadline_, started_ + kRetry));
}

void SelfProbe::ask(Target& target) {
  loop_.unwatch(target.watch);
  target.watch = {};
  const Endpoint to = address_to_ask(target.bound);
  const os::SocketAddress from(source_to_ask_from(to, target.tries++));
  target.fd = os::Fd(::socket(to.address.is_v4() ? AF_INET : AF_INET6,
                              SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const os::SocketAddress server(to);
  if (!target.fd || ::bind(target.fd.get(), from.get(), from.size()) != 0 ||
      ::connect(target.fd.get(), server.get(), server.size()) != 0) {
    // A container network without IPv6 lacks ::1, yet [::] can be bound: nobody could ask there.
    // Likewise an address that has left the machine: no restart would bring it back.
    target.unreachable = (errno == EADDRNOTAVAIL || errno == ENETUNREACH || errno == EAFNOSUPPORT);
    return;  // the timer tries again, and says in the end that there was no answer
  }
  std::array<std::byte, wire::kHeaderSize> request;
  encode_header(client::make_request(nonce_), request);
  ::send(target.fd.get(), request.data(), request.size(), MSG_NOSIGNAL);
  target.watch = loop_.watch(target.fd.get(), POLLIN, [this, &target](short) { on_reply(target); });
}

void SelfProbe::on_reply(Target& target) {
  std::array<std::byte, 256> buffer;
  const ssize_t size = ::recv(target.fd.get(), buffer.data(), buffer.size(), 0);
  if (size < 0) return;
  const RealTime now = os::real_now();
  const auto reply =
      client::measure(std::span(buffer).first(static_cast<std::size_t>(size)), nonce_, now, now);
  if (!reply) return;
  const auto saw_it = [this](const Worker* worker) {
    return worker->counters().probe_seen.load(std::memory_order_acquire) == nonce_;
  };
  // Where we also listen on the very address that stands for a wildcard, those workers answer.
  target.ours = std::ranges::any_of(workers_.of(target.bound), saw_it) ||
                std::ranges::any_of(workers_.of(address_to_ask(target.bound)), saw_it);
  if (!target.ours) {
    target.foreign = true;
    if (target.tries < kMaxTries) return ask(target);
  }
  loop_.unwatch(target.watch);
  target.watch = {};
  if (std::ranges::all_of(targets_, [](const auto& t) { return t->settled(); })) finish();
}

void SelfProbe::on_timer(RawTime now) {
  if (waiting_.empty()) return;
  if (now >= deadline_) return finish();
  for (const auto& target : targets_) {
    if (!target->ours && target->tries < kMaxTries) ask(*target);
  }
  loop_.arm(timer_, std::min(deadline_, now + kRetry));
}

std::uint64_t SelfProbe::replies_of(const Endpoint& bound) const {
  std::uint64_t replies = 0;
  for (const Worker* worker : workers_.of(bound)) replies += worker->counters().replies.read();
  return replies;
}

ProbeResult SelfProbe::conclude() const {
  ProbeResult result;
  for (const auto& target : targets_) {
    if (target->unreachable) continue;
    if (!target->settled()) {
      // An overload loses our own request as well; those that are answered show that all is alive.
      const auto replies = replies_of(target->bound);
      const auto own = target->replies_before + static_cast<std::uint64_t>(target->tries);
      if (const auto others = replies > own ? replies - own : 0; others > 0) {
        result.answered = true;
        result.text = fmt::format("UDP {} is overloaded ({} replies meanwhile); ",
                                  to_string(target->bound), others);
        continue;
      }
      return failed(fmt::format("no answer on UDP {} within {:.1f} s", to_string(target->bound),
                                seconds(loop_.now() - started_)));
    }
    result.answered = true;
    if (target->foreign && !target->ours) {
      result.foreign = true;
      result.text = fmt::format("UDP {} is shared with another process, which answers now; ",
                                to_string(target->bound));
    }
  }
  if (targets_.empty()) return failed("listening nowhere");
  if (!result.answered) return failed("no address of this machine to ask the server from");
  const bool overloaded =
      std::ranges::any_of(targets_, [](const auto& t) { return !t->settled() && !t->unreachable; });
  if (!overloaded) {
    result.text += fmt::format("UDP answered in {:.2f} ms", seconds(loop_.now() - started_) * 1e3);
  } else {
    result.text += fmt::format("no answer within {:.1f} s", seconds(loop_.now() - started_));
  }
  return result;
}

void SelfProbe::finish() {
  const ProbeResult result = conclude();
  for (const auto& target : targets_) loop_.unwatch(target->watch);
  targets_.clear();
  loop_.disarm(timer_);
  publish_nonce(0);
  for (const Done& done : std::exchange(waiting_, {})) done(result);
}

}  // namespace ntp::daemon
