// All sockets and workers of the server: bound, started, steered, drained.
#pragma once

#include <expected>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "control/report.h"
#include "daemon/access_plan.h"
#include "daemon/worker.h"

namespace ntp::daemon {

// Why the server cannot start, for a person, and the exit code (sysexits.h).
struct StartFailure {
  std::string text;
  int exit_code = 70;
  int error = 0;  // errno, where a system call failed
};

// std::thread failed: the limit of processes is reached.
StartFailure cannot_start_thread(const std::system_error& error);

// Used by the service thread only; the workers' own threads see none of it.
class Workers {
 public:
  struct Plan {
    int per_endpoint = 1;
    os::Calls calls = os::Calls::many;
    std::uint32_t uid = 0;  // who will own the sockets once root is given up
  };

  Workers(Served& served, Plan plan) : served_(served), plan_(plan) {}

  // Binds every endpoint, or none. With `tolerant` an address family that the machine does not
  // have is passed over as long as one endpoint remains.
  std::expected<void, StartFailure> bind(const std::vector<Endpoint>& endpoints, bool tolerant);
  // Takes over sockets bound by systemd: one worker each.
  std::expected<void, StartFailure> adopt(const std::vector<int>& fds);

  // What requests are proven with, from the next batch of each worker on; null: off.
  void set_symmetric_keys(std::shared_ptr<const server::SymmetricKeys> keys);
  void set_cookie_keys(std::shared_ptr<const nts::CookieKeys> keys);

  std::expected<void, StartFailure> start();  // threads for every group that has none yet
  void stop();  // steers new datagrams to a successor on the same ports, drains, ends

  // Binds what is new, drains what is gone, leaves the rest alone. On failure nothing changes. New
  // listeners begin with the rules of `access`; set_access() is what the others wait for.
  std::expected<void, StartFailure> change(const std::vector<Endpoint>& endpoints, bool tolerant,
                                           const AccessPlan& access);

  // For the workers that there are and those to come.
  void set_access(AccessPlan plan);
  void forget_old() noexcept;  // tables and keys; to be called now and then

  // Endpoints of several workers between which the kernel refuses to choose by source.
  std::vector<Endpoint> unsteered() const;
  // A predecessor on the same ports leaves the choice of worker to the kernel's hash when it ends.
  // Steers those groups again that nobody shares any more, and returns their endpoints.
  std::vector<Endpoint> steer_when_alone();

  std::vector<Endpoint> listening() const;  // as bound: the kernel's port where 0 was asked
  std::vector<Worker*> all() const;
  std::vector<Worker*> of(const Endpoint& bound) const;
  std::vector<std::uint64_t> own_sockets() const;  // inodes
  control::Totals totals() const;                  // never falls, workers that ended included
  server::RateView rate_view() const;              // of all limiters together
  int stalled(RawTime now) const;                  // threads without a sign of life for over 3 s

 private:
  struct Group {
    Endpoint asked;
    Endpoint bound;
    std::vector<std::unique_ptr<Worker>> workers;
    bool running = false;
    bool adopted = false;  // systemd holds the socket as well and passes it on after us
    bool steered = false;  // by source, between our members
    bool shared = false;   // sockets of others stand in the group too
  };

  std::expected<Group, StartFailure> open(const Endpoint& endpoint) const;
  std::expected<std::vector<Group>, StartFailure> open_all(const std::vector<Endpoint>& endpoints,
                                                           bool tolerant, bool may_be_none) const;
  std::expected<void, StartFailure> add_socket(Group& group, os::Fd fd) const;
  std::expected<void, StartFailure> start(Group& group) const;
  bool is_shared(const Group& group) const;
  void steer(Group& group) const;
  void retire(std::span<Group* const> groups);
  void set_keys();
  void wait_for_datagrams_in_flight() const;

  Served& served_;
  Plan plan_;
  AccessPlan access_;
  std::vector<Group> groups_;
  std::shared_ptr<const server::SymmetricKeys> symmetric_keys_;
  std::shared_ptr<const nts::CookieKeys> cookie_keys_;
  control::Totals retired_;
};

}  // namespace ntp::daemon
