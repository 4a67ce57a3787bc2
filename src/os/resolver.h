// Names to addresses without ever waiting for them.
#pragma once

#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/ip.h"
#include "os/poll_loop.h"

namespace ntp::os {

// getaddrinfo(3) may take half a minute and knows no time limit, so every question has a thread of
// its own that nobody waits for, at the end of the program neither. Nothing is started before the
// first question. Lives in one loop, which must outlive it; answers come in the loop's thread, and
// none after the resolver is gone.
class Resolver {
 public:
  using Addresses = std::expected<std::vector<IpAddress>, std::string>;  // in the resolver's order
  using Answer = std::function<void(const Addresses&)>;

  explicit Resolver(PollLoop& loop) : loop_(loop) {}
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  void ask(const std::string& name, Answer answer);

 private:
  struct Shared;  // with the threads

  void deliver();

  PollLoop& loop_;
  PollLoop::Id watch_{};
  PollLoop::Id looks_{};  // instead of watch_, where no descriptor is left for it
  std::shared_ptr<Shared> shared_;
  std::vector<std::pair<std::uint64_t, Answer>> waiting_;
  std::uint64_t last_ = 0;
};

}  // namespace ntp::os
