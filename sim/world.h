// A scenario in motion: machines, servers and packets in virtual time. One seed, one run, bit for
// bit.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "sim/link.h"
#include "sim/machine.h"
#include "sim/reference.h"
#include "sim/world_model.h"

namespace ntp::sim {

// What is seen of one machine in the middle of a second.
struct Look {
  double at_s = 0;
  bool runs = true;
  bool serving = false;            // leap is not 3
  bool synchronised = false;       // nor is it LOCL or an orphan's time
  double error_s = 0;              // served - true
  double bound_s = 0;              // as advertised
  double rate = 0;                 // of the raw clock, as the machine believes …
  double true_rate = 0;            // … and as it is
  bool host_synchronised = false;  // the kernel's clock, where the machine leads it
  double host_error_s = 0;         // CLOCK_REALTIME - true
  double host_bound_s = 0;         // the kernel's maxerror

  friend bool operator==(const Look&, const Look&) = default;
};

class World {
 public:
  World(const WorldModel& model, std::uint64_t seed);

  using Watch = std::function<void(std::size_t machine, const Look&)>;
  // Every second of the run, every machine.
  void run(const Watch& watch);

  const std::vector<Machine>& machines() const noexcept { return machines_; }
  std::string name_of(const IpAddress& address) const;  // empty: nobody's
  RealTime utc(double at_s) const noexcept;

 private:
  struct Datagram {
    std::size_t from = 0;
    std::size_t to = 0;
    Endpoint source{};
    Endpoint target{};
    Octets octets{};
  };
  // A question's socket: what comes to the port after it was closed is lost.
  struct Socket {
    std::uint16_t port = 0;
    Endpoint server{};
  };
  struct Shell {
    std::map<client::AssociationId, Socket> sockets{};
    std::uint64_t timer = 0;  // the only one that counts
    std::uint16_t next_port = 1024;
  };

  void at(double when_s, std::function<void()> act);
  void run_until(double end_s);
  void plan(std::size_t machine);
  void configure(std::size_t machine, const std::vector<std::string>& of);
  void act_when_awake(std::size_t machine, const std::function<void()>& act);
  void on_timer(std::size_t machine);
  void lead_kernel(std::size_t machine);
  void settle(std::size_t machine);
  void send_question(std::size_t machine, const client::Outgoing& outgoing);
  void resolve(std::size_t machine, const client::Resolve& resolve);
  void travel(Datagram datagram, bool up);
  void arrive(const Datagram& datagram);
  void serve(const Datagram& datagram, RealTime stamp);
  void answer_of(const Datagram& datagram, RawTime at);
  void reply(const Datagram& to, Octets octets);
  Look look(const Machine& machine) const;

  Machine& machine(std::size_t node) { return machines_[node - references_.size()]; }
  bool is_machine(std::size_t node) const noexcept { return node >= references_.size(); }
  IpAddress address_of(std::size_t node) const noexcept;
  std::size_t node_of(const std::string& name) const;
  const std::string& name_of(std::size_t node) const;
  const PairModel* pair(std::size_t from, std::size_t to) const;
  Path& path(std::size_t from, std::size_t to, bool up);
  RealTime unleapt(double at_s) const noexcept;
  wire::Leap announced() const noexcept;

  WorldModel model_;
  std::uint64_t seed_;
  double now_s_ = 0;
  double leap_s_ = 1e18;  // when the count steps
  std::uint64_t order_ = 0;
  std::map<std::pair<double, std::uint64_t>, std::function<void()>> agenda_{};
  std::vector<Reference> references_{};
  std::vector<Machine> machines_{};
  std::vector<Shell> shells_{};
  std::map<std::tuple<std::size_t, std::size_t, bool>, Path> paths_{};
};

}  // namespace ntp::sim
