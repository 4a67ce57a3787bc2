#include "os/resolver.h"

#include <netdb.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <mutex>
#include <thread>

#include "base/memory.h"
#include "os/fd.h"
#include "os/machine.h"
#include "os/ntp_exchange.h"
#include "os/privileges.h"
#include "os/seccomp.h"

namespace ntp::os {
namespace {

constexpr std::chrono::milliseconds kLook{100};
constexpr int kPause_ms = 100;

}  // namespace

struct Resolver::Shared {
  Fd wake{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  std::mutex mutex;
  std::vector<std::pair<std::uint64_t, Addresses>> answers;

  void put(std::uint64_t number, Addresses addresses) {
    {
      const std::lock_guard lock(mutex);
      answers.emplace_back(number, std::move(addresses));
    }
    const std::uint64_t one = 1;
    if (wake) (void)!::write(wake.get(), &one, sizeof one);
  }
};

Resolver::~Resolver() {
  loop_.unwatch(watch_);
  loop_.remove_timer(looks_);
}

void Resolver::ask(const std::string& name, Answer answer) {
  if (!shared_) {
    auto shared = std::make_shared<Shared>();
    if (shared->wake) {
      watch_ = loop_.watch(shared->wake.get(), POLLIN, [this](short) { deliver(); });
    } else {
      looks_ = loop_.every(kLook, [this](RawTime) { deliver(); });
    }
    shared_ = std::move(shared);
  }
  const std::uint64_t number = ++last_;
  waiting_.emplace_back(number, std::move(answer));
  try {
    std::thread([shared = shared_, number, name] {
      block_signals();
      drop_thread_capabilities();  // the asking thread may steer the clock
      confine_thread(ThreadRole::resolver);
      // Nobody could tell of this thread's end otherwise: where memory runs out, it has to wait.
      while (!within_memory([&] {
        auto found = resolve(name, 0);
        if (!found) return shared->put(number, std::unexpected(found.error()));
        std::vector<IpAddress> addresses;
        for (const Endpoint& endpoint : *found) addresses.push_back(endpoint.address);
        shared->put(number, std::move(addresses));
      })) {
        ::poll(nullptr, 0, kPause_ms);
      }
    }).detach();
  } catch (const std::exception& error) {  // the limit of threads, or of memory
    shared_->put(number, std::unexpected(std::string(error.what())));
  }
}

void Resolver::deliver() {
  std::uint64_t count = 0;
  if (shared_->wake) (void)!::read(shared_->wake.get(), &count, sizeof count);
  std::vector<std::pair<std::uint64_t, Addresses>> answers;
  {
    const std::lock_guard lock(shared_->mutex);
    answers.swap(shared_->answers);
  }
  for (const auto& [number, addresses] : answers) {
    const auto found =
        std::ranges::find(waiting_, number, &std::pair<std::uint64_t, Answer>::first);
    if (found == waiting_.end()) continue;
    const Answer answer = std::move(found->second);
    waiting_.erase(found);
    answer(addresses);
  }
}

}  // namespace ntp::os
