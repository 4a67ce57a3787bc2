#include "sim/world.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "base/check.h"
#include "wire/refid.h"

namespace ntp::sim {
namespace {

constexpr std::uint16_t kNtp = 123;
constexpr std::size_t kFirstMachine = 512;  // machines keep their number whatever servers there are
constexpr double kTurn_s = 20e-6;           // from a request's arrival to its reply
constexpr double kLookUp_s = 0.02;
constexpr double kLookUpFails_s = 5;
constexpr double kLead_s = 1;      // between two corrections of the kernel's clock
constexpr double kLeast_s = 1e-7;  // between two looks at a timer
constexpr std::chrono::hours kDay{24};

bool names(const std::vector<std::string>& list, const std::string& name) {
  return std::ranges::find(list, name) != list.end();
}

std::vector<Lie> lies_of(const WorldModel& model, const std::string& name) {
  std::vector<Lie> own;
  for (const Lie& lie : model.lies) {
    if (names(lie.by, name)) own.push_back(lie);
  }
  return own;
}

}  // namespace

World::World(const WorldModel& model, std::uint64_t seed) : model_(model), seed_(seed) {
  for (const ServerModel& server : model_.servers) {
    references_.emplace_back(server, lies_of(model_, server.name), seed, references_.size() + 8);
  }
  for (const MachineModel& machine : model_.machines) {
    machines_.emplace_back(machine, model_.start, seed, machines_.size());
  }
  shells_.resize(machines_.size());
  if (model_.leap != wire::Leap::none) {
    const auto left = kDay - model_.start.time_since_epoch() % kDay;
    leap_s_ = seconds(left) - (model_.leap == wire::Leap::remove ? 1 : 0);
  }
  for (std::size_t i = 0; i < machines_.size(); ++i) plan(references_.size() + i);
}

RealTime World::unleapt(double at_s) const noexcept {
  return model_.start + std::chrono::nanoseconds(std::llround(at_s * 1e9));
}

RealTime World::utc(double at_s) const noexcept {
  const std::chrono::seconds step(model_.leap == wire::Leap::remove ? 1 : -1);
  return unleapt(at_s) + (at_s >= leap_s_ ? step : std::chrono::seconds(0));
}

wire::Leap World::announced() const noexcept {
  const bool today = now_s_ < leap_s_ && leap_s_ - now_s_ <= seconds(kDay);
  return today ? model_.leap : wire::Leap::none;
}

IpAddress World::address_of(std::size_t node) const noexcept {
  const std::size_t number = is_machine(node) ? kFirstMachine + node - references_.size() : node;
  const auto high = static_cast<std::uint8_t>(number / 256);
  const auto low = static_cast<std::uint8_t>(number % 256);
  if (!model_.ipv6) return IpAddress::v4(10, 0, high, low);
  return {IpAddress::Family::v6, {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, high, low}};
}

const std::string& World::name_of(std::size_t node) const {
  return is_machine(node) ? machines_[node - references_.size()].model().name
                          : references_[node].model().name;
}

std::size_t World::node_of(const std::string& name) const {
  std::size_t node = 0;
  while (node < references_.size() + machines_.size() && name_of(node) != name) ++node;
  NTP_CHECK(node < references_.size() + machines_.size());  // the scenario's reader has looked
  return node;
}

std::string World::name_of(const IpAddress& address) const {
  for (std::size_t node = 0; node < references_.size() + machines_.size(); ++node) {
    if (address_of(node) == address) return name_of(node);
  }
  return {};
}

const PairModel* World::pair(std::size_t from, std::size_t to) const {
  for (const PairModel& pair : model_.pairs) {
    if (pair.to == name_of(to) && (pair.from.empty() || pair.from == name_of(from))) return &pair;
  }
  return nullptr;
}

Path& World::path(std::size_t from, std::size_t to, bool up) {
  const auto key = std::tuple(from, to, up);
  if (const auto found = paths_.find(key); found != paths_.end()) return found->second;
  LinkModel link = model_.link;
  if (!is_machine(to)) link = references_[to].model().link.value_or(link);
  if (const PairModel* special = pair(from, to)) link = special->link;
  const std::size_t asked = is_machine(to) ? kFirstMachine + to - references_.size() : to;
  const std::uint64_t stream = 1024 * (from - references_.size() + 1) + asked;
  return paths_.emplace(key, Path(up ? link.up : link.down, seed_, 2 * stream + (up ? 0 : 1)))
      .first->second;
}

void World::at(double when_s, std::function<void()> act) {
  agenda_.emplace(std::pair(when_s, ++order_), std::move(act));
}

void World::run_until(double end_s) {
  const auto pass = [this](double to_s) {
    now_s_ = to_s;
    for (Machine& machine : machines_) machine.advance(now_s_);
  };
  while (!agenda_.empty() && agenda_.begin()->first.first <= end_s) {
    const auto next = agenda_.extract(agenda_.begin());
    pass(next.key().first);
    next.mapped()();
  }
  pass(end_s);
}

void World::run(const Watch& watch) {
  for (double second = 0; second < model_.length_s; ++second) {
    run_until(second + 0.5);
    for (std::size_t i = 0; i < machines_.size(); ++i) watch(i, look(machines_[i]));
  }
}

void World::plan(std::size_t node) {
  const MachineModel& model = machine(node).model();
  configure(node, model.ask.of);
  at(0, [this, node] { on_timer(node); });
  if (model.steer) at(kLead_s / 4, [this, node] { lead_kernel(node); });
  for (const Reload& reload : model.reloads) {
    at(reload.at_s, [this, node, reload] {
      configure(node, reload.of);
      on_timer(node);
    });
  }
  for (const Restart& restart : model.restarts) {
    at(restart.at_s, [this, node, restart] {
      machine(node).restart(now_s_, restart.remembers);
      shells_[node - references_.size()].sockets.clear();
      configure(node, machine(node).model().ask.of);
      on_timer(node);
    });
  }
}

void World::configure(std::size_t node, const std::vector<std::string>& of) {
  const AskModel& ask = machine(node).model().ask;
  client::ClientSettings settings{.policy = machine(node).model().policy};
  client::SourceOptions source = ask.options;
  for (const std::string& name : of) {
    if (ask.pool > 0) break;
    source.host = ask.by_name ? name + ".test" : to_string(address_of(node_of(name)));
    source.prefer = names(ask.prefer, name);
    source.trust = names(ask.trust, name);
    source.noselect = names(ask.noselect, name);
    settings.sources.push_back(source);
  }
  if (ask.pool > 0) {
    source.host = "pool.test";
    source.mode = client::SourceMode::pool;
    source.max_sources = ask.pool;
    settings.sources.push_back(source);
  }
  client::Client& client = machine(node).client();
  if (machine(node).model().knows_itself)
    client.sources().set_own({{.address = address_of(node), .port = 123}}, {});
  client.configure(settings, machine(node).raw(now_s_), machine(node).random());
}

void World::act_when_awake(std::size_t node, const std::function<void()>& act) {
  const auto later = machine(node).resumes_at(now_s_);
  if (!later) return act();
  at(*later, [this, node, act] { act_when_awake(node, act); });
}

void World::on_timer(std::size_t node) {
  act_when_awake(node, [this, node] {
    machine(node).client().on_timer(machine(node).moment(now_s_), machine(node).random());
    settle(node);
  });
}

void World::lead_kernel(std::size_t node) {
  act_when_awake(node, [this, node] {
    machine(node).lead_kernel(now_s_);
    at(now_s_ + kLead_s, [this, node] { lead_kernel(node); });
  });
}

void World::settle(std::size_t node) {
  client::Client& client = machine(node).client();
  Shell& shell = shells_[node - references_.size()];
  for (const auto& outgoing : client.sources().take_transmits()) send_question(node, outgoing);
  for (const auto& question : client.sources().take_resolutions()) resolve(node, question);
  (void)client.sources().take_events();
  std::erase_if(shell.sockets,
                [&client](const auto& entry) { return !client.sources().is_open(entry.first); });
  const std::uint64_t serial = ++shell.timer;
  const double due_s = machine(node).true_at(client.next_deadline());
  at(std::max(due_s, now_s_ + kLeast_s), [this, node, serial] {
    if (shells_[node - references_.size()].timer == serial) on_timer(node);
  });
}

void World::send_question(std::size_t node, const client::Outgoing& outgoing) {
  Shell& shell = shells_[node - references_.size()];
  client::SourceSet& sources = machine(node).client().sources();
  shell.sockets.erase(outgoing.association);
  const std::size_t to = node_of(name_of(outgoing.transmit.to.address));
  const PairModel* special = pair(node, to);
  if (special != nullptr && within(special->no_route, now_s_)) {
    return sources.on_send_failed(outgoing.association, client::SendError::unreachable,
                                  machine(node).raw(now_s_), machine(node).random());
  }
  sources.on_sent(outgoing.association, machine(node).raw(now_s_));
  shell.next_port = static_cast<std::uint16_t>(std::max(1024, shell.next_port + 1));
  shell.sockets[outgoing.association] = {shell.next_port, outgoing.transmit.to};
  const auto& bytes = outgoing.transmit.bytes;
  travel({.from = node,
          .to = to,
          .source = {.address = address_of(node), .port = shell.next_port},
          .target = outgoing.transmit.to,
          .octets = {bytes.begin(), bytes.end()}},
         true);
}

void World::resolve(std::size_t node, const client::Resolve& question) {
  const AskModel& ask = machine(node).model().ask;
  const bool fails = within(ask.dns_cuts, now_s_);
  at(now_s_ + (fails ? kLookUpFails_s : kLookUp_s), [this, node, question, fails] {
    act_when_awake(node, [this, node, question, fails] {
      client::SourceSet& sources = machine(node).client().sources();
      std::vector<IpAddress> found;
      for (const std::string& name : machine(node).model().ask.of) {
        if (question.name != "pool.test" && question.name != name + ".test") continue;
        found.push_back(address_of(node_of(name)));
      }
      const RawTime raw = machine(node).raw(now_s_);
      if (fails) {
        sources.on_resolve_failed(question.source, raw, machine(node).random());
      } else {
        sources.on_resolved(question.source, found, raw, machine(node).random());
      }
      settle(node);
    });
  });
}

void World::travel(Datagram datagram, bool up) {
  const std::size_t asker = up ? datagram.from : datagram.to;
  const std::size_t asked = up ? datagram.to : datagram.from;
  for (const double delay_s : path(asker, asked, up).deliveries(now_s_)) {
    at(now_s_ + delay_s, [this, datagram] { arrive(datagram); });
  }
}

void World::arrive(const Datagram& datagram) {
  if (!is_machine(datagram.to)) return serve(datagram, {});
  const std::size_t node = datagram.to;
  if (within(machine(node).model().clock.sleeps, now_s_)) return;
  if (datagram.target.port != kNtp) {
    const RawTime raw = machine(node).raw(now_s_);
    return act_when_awake(node, [this, datagram, raw] { answer_of(datagram, raw); });
  }
  const RealTime stamp = machine(node).host(now_s_);
  at(now_s_ + kTurn_s, [this, node, datagram, stamp] {
    act_when_awake(node, [this, datagram, stamp] { serve(datagram, stamp); });
  });
}

void World::serve(const Datagram& datagram, RealTime stamp) {
  if (is_machine(datagram.to)) {
    const Machine::Asked asked{datagram.octets, datagram.source, datagram.target, stamp};
    if (auto octets = machine(datagram.to).answer(asked, now_s_)) reply(datagram, *octets);
    return;
  }
  const server::Arrival request{.payload = datagram.octets,
                                .source = datagram.source,
                                .local = datagram.target,
                                .through_loopback = false};
  for (Octets& octets : references_[datagram.to].answer(request, now_s_, utc(now_s_),
                                                        unleapt(now_s_), announced())) {
    reply(datagram, std::move(octets));
  }
}

void World::reply(const Datagram& to, Octets octets) {
  travel({.from = to.to,
          .to = to.from,
          .source = to.target,
          .target = to.source,
          .octets = std::move(octets)},
         false);
}

void World::answer_of(const Datagram& datagram, RawTime at) {
  const std::size_t node = datagram.to;
  const Shell& shell = shells_[node - references_.size()];
  const auto open = std::ranges::find_if(shell.sockets, [&datagram](const auto& entry) {
    return entry.second.port == datagram.target.port && entry.second.server == datagram.source;
  });
  if (open == shell.sockets.end()) return;
  const Endpoint server = open->second.server;
  (void)machine(node).client().on_datagram(open->first, datagram.octets, server, at,
                                           machine(node).moment(now_s_));
  settle(node);
}

Look World::look(const Machine& machine) const {
  const RawTime raw = machine.raw(now_s_);
  const server::ServerState state = machine.served(now_s_);
  const bool serving = server::is_serving(state, raw);
  return {.at_s = now_s_,
          .runs = !machine.resumes_at(now_s_),
          .serving = serving,
          .synchronised = serving && state.synchronised,
          .error_s = serving ? seconds(state.map(raw) - utc(now_s_)) : 0,
          .bound_s = serving ? server::error_bound_s(state, raw) : 0,
          .rate = -machine.client().decision().clock.rate,
          .true_rate = machine.frequency(),
          .host_synchronised = machine.kernel().synchronised(),
          .host_error_s = seconds(machine.host(now_s_) - utc(now_s_)),
          .host_bound_s = machine.kernel().maxerror_s(raw)};
}

}  // namespace ntp::sim
