// Asks our own sockets for the time, over UDP like any client, and makes sure that it was one of
// our own workers that answered: on a host's network another process may share the port.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "daemon/served.h"
#include "daemon/workers.h"
#include "os/poll_loop.h"

namespace ntp::daemon {

struct ProbeResult {
  bool answered = false;  // every listening endpoint gave a right answer
  bool foreign = false;   // another process answered for one of them
  std::string text;       // for people: "answered in 0.12 ms"
};

// One round at a time; whoever asks during a round gets its result. Service thread only.
class SelfProbe {
 public:
  using Done = std::function<void(const ProbeResult&)>;

  SelfProbe(os::PollLoop& loop, Served& served, const Workers& workers);
  ~SelfProbe();

  // `done` is called once, from the loop, at the latest after `timeout`.
  void start(std::chrono::nanoseconds timeout, Done done);

 private:
  struct Target {
    Endpoint bound;
    os::Fd fd;
    os::PollLoop::Id watch{};
    int tries = 0;
    std::uint64_t replies_before = 0;  // of our workers there, to anybody
    bool foreign = false;              // somebody else answered
    bool ours = false;
    bool unreachable = false;  // the wildcard of a family in which this machine has no address

    bool settled() const { return ours || foreign || unreachable; }
  };

  void ask(Target& target);
  void on_reply(Target& target);
  void on_timer(RawTime now);
  void finish();
  void publish_nonce(std::uint64_t nonce);
  std::uint64_t replies_of(const Endpoint& bound) const;
  ProbeResult conclude() const;

  os::PollLoop& loop_;
  Served& served_;
  const Workers& workers_;
  os::PollLoop::Id timer_{};
  std::uint64_t nonce_ = 0;
  RawTime started_{};
  RawTime deadline_{};
  std::vector<std::unique_ptr<Target>> targets_;
  std::vector<Done> waiting_;
};

}  // namespace ntp::daemon
