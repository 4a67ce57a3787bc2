#include "daemon/workers.h"

#include <fmt/format.h>
#include <poll.h>
#include <sysexits.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/memory.h"
#include "os/clocks.h"
#include "os/machine.h"
#include "os/port_owner.h"
#include "os/privileges.h"
#include "os/random.h"
#include "os/udp_socket.h"

namespace ntp::daemon {
namespace {

constexpr std::chrono::seconds kStalled{3};
constexpr std::chrono::milliseconds kLongestDrain{200};
constexpr int kGrace_ms = 1;

// What happened, and what to do about it.
StartFailure explain(const os::Error& error, const Endpoint& endpoint) {
  const std::string where = "UDP " + to_string(endpoint);
  switch (error.code) {
    case EADDRINUSE: {
      const std::string owner = os::udp_port_owner(endpoint, {});
      return {fmt::format("cannot bind {}: the port is held by {}. Stop it, or choose another port "
                          "with --listen ADDR:PORT; `ss -ulpn | grep :{}` shows who listens",
                          where, owner.empty() ? "another process" : owner, endpoint.port),
              EX_UNAVAILABLE, error.code};
    }
    case EACCES: {
      const bool is_root = ::geteuid() == 0;
      return {fmt::format("cannot bind {}: ports below 1024 need the capability "
                          "CAP_NET_BIND_SERVICE{}. Run the container with --cap-add "
                          "NET_BIND_SERVICE, {}or listen on a higher port with --listen ADDR:PORT",
                          where, is_root ? ", which this root lacks" : "",
                          is_root ? "" : "start as root, "),
              EX_NOPERM, error.code};
    }
    case EADDRNOTAVAIL:
      return {fmt::format("cannot bind {}: this machine does not have the address "
                          "(`ip address` lists those that it has)",
                          where),
              EX_UNAVAILABLE, error.code};
    default:
      return {fmt::format("cannot serve {}: {}", where, error.text()), EX_UNAVAILABLE, error.code};
  }
}

std::expected<os::Fd, os::Error> open_as(std::uint32_t uid, const Endpoint& endpoint) {
  const os::SocketOwner owner(uid);
  return os::open_ntp_socket(endpoint);
}

bool is_missing_family(int code) {
  return code == EAFNOSUPPORT || code == EADDRNOTAVAIL || code == EPROTONOSUPPORT;
}

}  // namespace

StartFailure cannot_start_thread(const std::system_error& error) {
  return {fmt::format("cannot start a thread: {}. Raise the limit of processes (--pids-limit, "
                      "TasksMax=), or set server.threads lower",
                      error.what()),
          EX_OSERR};
}

std::expected<void, StartFailure> Workers::add_socket(Group& group, os::Fd fd) const {
  const auto bound = os::local_endpoint(fd.get());
  if (!bound) return std::unexpected(explain(bound.error(), group.asked));
  group.bound = *bound;
  os::KernelRandom secrets;
  group.workers.push_back(
      std::make_unique<Worker>(std::move(fd), *bound, served_, secrets, plan_.calls));
  group.workers.back()->set_access(access_.of(group.asked));
  group.workers.back()->set_keys(symmetric_keys_, cookie_keys_);
  return {};
}

std::expected<Workers::Group, StartFailure> Workers::open(const Endpoint& endpoint) const {
  Group group{.asked = endpoint, .bound = endpoint, .workers = {}};
  for (int i = 0; i < std::max(1, plan_.per_endpoint); ++i) {
    // Port 0 is chosen by the kernel once; the other members of the group share that choice.
    auto fd = open_as(plan_.uid, group.bound);
    if (!fd) return std::unexpected(explain(fd.error(), endpoint));
    if (const auto added = add_socket(group, std::move(*fd)); !added) {
      return std::unexpected(added.error());
    }
  }
  steer(group);
  return group;
}

// Without steering the kernel's own hash chooses, which is right as well; but then a client that
// asks from many ports meets many workers.
void Workers::steer(Group& group) const {
  const auto members = static_cast<std::uint32_t>(group.workers.size());
  group.steered =
      os::steer_by_source(group.workers[0]->fd(), group.bound.address.is_v4(), members, 0)
          .has_value();
}

std::expected<std::vector<Workers::Group>, StartFailure> Workers::open_all(
    const std::vector<Endpoint>& endpoints, bool tolerant, bool may_be_none) const {
  std::vector<Group> opened;
  std::expected<void, StartFailure> first_failure;
  for (const Endpoint& endpoint : endpoints) {
    auto group = open(endpoint);
    if (group) {
      opened.push_back(std::move(*group));
    } else if (tolerant && is_missing_family(group.error().error)) {
      if (first_failure) first_failure = std::unexpected(group.error());
    } else {
      return std::unexpected(group.error());
    }
  }
  if (opened.empty() && !first_failure && !may_be_none)
    return std::unexpected(first_failure.error());
  return opened;
}

std::expected<void, StartFailure> Workers::bind(const std::vector<Endpoint>& endpoints,
                                                bool tolerant) {
  auto opened = open_all(endpoints, tolerant, false);
  if (!opened) return std::unexpected(opened.error());
  groups_ = std::move(*opened);
  for (Group& group : groups_) group.shared = is_shared(group);
  return {};
}

std::expected<void, StartFailure> Workers::adopt(const std::vector<int>& fds) {
  for (const int fd : fds) {
    Group group{.asked = {}, .bound = {}, .workers = {}, .adopted = true};
    const auto bound = os::local_endpoint(fd);
    if (bound) group.asked = *bound;
    const bool is_udp = os::is_datagram_socket(fd);
    if (!is_udp || group.asked.port == 0) {
      return std::unexpected(
          StartFailure{fmt::format("socket {} passed by systemd is not {} (ListenDatagram=)", fd,
                                   is_udp ? "bound to a port" : "a UDP socket"),
                       EX_CONFIG});
    }
    if (const auto prepared = os::prepare_ntp_socket(fd, group.asked.address.is_v4()); !prepared) {
      return std::unexpected(
          StartFailure{fmt::format("socket {} passed by systemd cannot be used: {}", fd,
                                   prepared.error().text()),
                       EX_CONFIG});
    }
    if (const auto added = add_socket(group, os::Fd(fd)); !added) {
      return std::unexpected(added.error());
    }
    groups_.push_back(std::move(group));
  }
  return {};
}

void Workers::set_symmetric_keys(std::shared_ptr<const server::SymmetricKeys> keys) {
  symmetric_keys_ = std::move(keys);
  set_keys();
}

void Workers::set_cookie_keys(std::shared_ptr<const nts::CookieKeys> keys) {
  cookie_keys_ = std::move(keys);
  set_keys();
}

void Workers::set_keys() {
  for (Worker* worker : all()) worker->set_keys(symmetric_keys_, cookie_keys_);
}

std::expected<void, StartFailure> Workers::start(Group& group) const {
  if (group.running || plan_.per_endpoint == 0) return {};
  try {
    for (const auto& worker : group.workers) worker->start();
  } catch (const std::system_error& error) {  // those that run end with their group
    return std::unexpected(cannot_start_thread(error));
  }
  group.running = true;
  return {};
}

std::expected<void, StartFailure> Workers::start() {
  for (Group& group : groups_) {
    if (const auto started = start(group); !started) return started;
  }
  return {};
}

// A successor on the same port stands behind our members in the group: from now on it gets what
// arrives, while we answer what our queues hold. Where there is none, another of our own sockets
// may take it (0.0.0.0 after 192.0.2.1), once ours has left the kernel's choice.
void Workers::retire(std::span<Group* const> groups) {
  const auto steer_past_ours = [](const Group& group) {
    if (group.adopted || group.workers.empty()) return;
    (void)os::steer_by_source(group.workers[0]->fd(), group.bound.address.is_v4(), 1,
                              static_cast<std::uint32_t>(group.workers.size()));
  };
  const RawTime deadline = os::raw_now() + kLongestDrain;
  const bool any_stays = groups.size() < groups_.size();
  bool is_handed_over = any_stays;
  for (Group* group : groups) {
    steer_past_ours(*group);
    const bool shared = is_shared(*group);
    const bool leave = any_stays && !group->adopted && !shared;
    is_handed_over = is_handed_over || shared;
    for (const auto& worker : group->workers) {
      worker->tell_to_stop(deadline, leave ? Worker::Leave::yes : Worker::Leave::no);
    }
  }
  for (Group* group : groups) {
    for (const auto& worker : group->workers) worker->stop();
  }
  if (is_handed_over) wait_for_datagrams_in_flight();
  // Each socket is looked into once more just before it is closed. The kernel then puts the group's
  // last member, a successor's, into its place: what was steered behind ours is one further down.
  for (Group* group : groups) {
    while (!group->workers.empty()) {
      group->workers.back()->drain();
      retired_.add(group->workers.back()->counters());
      group->workers.pop_back();
      steer_past_ours(*group);
    }
  }
}

// A busy kernel takes seconds for its grace period, which only a handover is worth.
void Workers::wait_for_datagrams_in_flight() const {
  if (plan_.calls == os::Calls::many) return os::wait_for_datagrams_in_flight();
  ::poll(nullptr, 0, kGrace_ms);  // without a system call that small kernels lack
}

void Workers::stop() {
  std::vector<Group*> all;
  for (Group& group : groups_) all.push_back(&group);
  retire(all);
  groups_.clear();
}

std::expected<void, StartFailure> Workers::change(const std::vector<Endpoint>& endpoints,
                                                  bool tolerant, const AccessPlan& access) {
  std::vector<Endpoint> added;
  for (const Endpoint& endpoint : endpoints) {
    if (std::ranges::find(groups_, endpoint, &Group::asked) == groups_.end()) {
      added.push_back(endpoint);
    }
  }
  std::vector<Group> opened;
  if (!added.empty()) {
    AccessPlan before = std::exchange(access_, access);
    auto result = open_all(added, tolerant, added.size() < endpoints.size());
    access_ = std::move(before);
    if (!result) return std::unexpected(result.error());
    opened = std::move(*result);
  }
  std::vector<Group*> gone;  // with all room made before, nothing fails once a thread runs
  gone.reserve(groups_.size());
  groups_.reserve(groups_.size() + opened.size());
  for (Group& group : opened) {
    if (const auto started = start(group); !started) return started;
  }
  const auto is_gone = [&](const Group& group) {
    return std::ranges::find(endpoints, group.asked) == endpoints.end();
  };
  std::ranges::move(opened, std::back_inserter(groups_));
  for (Group& group : groups_) {
    if (is_gone(group)) gone.push_back(&group);
  }
  retire(gone);
  std::erase_if(groups_, is_gone);
  return {};
}

void Workers::set_access(AccessPlan plan) {
  access_ = std::move(plan);
  for (const Group& group : groups_) {
    for (const auto& worker : group.workers) worker->set_access(access_.of(group.asked));
  }
}

void Workers::forget_old() noexcept {
  for (const Group& group : groups_) {
    for (const auto& worker : group.workers) {
      worker->forget_old_access();
      worker->forget_old_keys();
    }
  }
}

// Without the memory to look: alone, as nearly always.
bool Workers::is_shared(const Group& group) const {
  bool shared = false;
  within_memory([&] { shared = os::udp_port_shared(group.bound, own_sockets()); });
  return shared;
}

std::vector<std::uint64_t> Workers::own_sockets() const {
  std::vector<std::uint64_t> inodes;
  for (const Worker* worker : all()) inodes.push_back(os::socket_inode(worker->fd()));
  return inodes;
}

std::vector<Endpoint> Workers::unsteered() const {
  std::vector<Endpoint> endpoints;
  for (const Group& group : groups_) {
    if (group.workers.size() > 1 && !group.steered) endpoints.push_back(group.bound);
  }
  return endpoints;
}

std::vector<Endpoint> Workers::steer_when_alone() {
  std::vector<Endpoint> endpoints;
  for (Group& group : groups_) {
    if (group.adopted || group.workers.size() < 2) continue;  // nothing to choose from
    const bool shared_before = std::exchange(group.shared, is_shared(group));
    if (!shared_before || group.shared) continue;
    steer(group);
    endpoints.push_back(group.bound);
  }
  return endpoints;
}

std::vector<Endpoint> Workers::listening() const {
  std::vector<Endpoint> endpoints;
  for (const Group& group : groups_) endpoints.push_back(group.bound);
  return endpoints;
}

std::vector<Worker*> Workers::all() const {
  std::vector<Worker*> workers;
  for (const Group& group : groups_) {
    for (const auto& worker : group.workers) workers.push_back(worker.get());
  }
  return workers;
}

std::vector<Worker*> Workers::of(const Endpoint& bound) const {
  std::vector<Worker*> workers = all();
  std::erase_if(workers, [&](const Worker* worker) { return worker->local() != bound; });
  return workers;
}

control::Totals Workers::totals() const {
  control::Totals totals = retired_;
  for (const Worker* worker : all()) totals.add(worker->counters());
  return totals;
}

server::RateView Workers::rate_view() const {
  server::RateView all_of_them;
  for (const Worker* worker : all()) {
    const server::RateView view = worker->counters().rate.read();
    all_of_them.threatened = all_of_them.threatened || view.threatened;
    if (view.crowd_ports <= all_of_them.crowd_ports) continue;
    all_of_them.crowd = view.crowd;
    all_of_them.crowd_ports = view.crowd_ports;
  }
  return all_of_them;
}

int Workers::stalled(RawTime now) const {
  if (plan_.per_endpoint == 0) return 0;  // the one thread is the one that asks
  return static_cast<int>(std::ranges::count_if(all(), [now](const Worker* worker) {
    const RawTime alive{
        std::chrono::nanoseconds(worker->counters().heartbeat_ns.load(std::memory_order_relaxed))};
    return now - alive > kStalled;
  }));
}

}  // namespace ntp::daemon
