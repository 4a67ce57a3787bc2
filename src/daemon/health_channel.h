// The process's own channel for `ntp-server healthcheck` and `ctl`: a Unix socket, one line in, one
// line out. Nothing can be changed by it.
//   health TIMEOUT_MS [MAX_ERROR_S]   ->   healthy: WHY   |   unhealthy: WHY
//   (whoever may not ask)             ->   refused: WHY
//   status                            ->   docs/formats/status.md, without line breaks
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "os/fd.h"
#include "os/poll_loop.h"

namespace ntp::daemon {

struct HealthQuestion {
  std::chrono::milliseconds timeout{2000};
  std::optional<double> max_error_s;
};

inline constexpr std::string_view kStatusQuestion = "status";
inline constexpr std::string_view kRefused = "refused: ";

std::optional<HealthQuestion> parse_question(const std::string& line);
std::string to_line(const HealthQuestion& question);

// At most kMaxClients at a time, none for much longer than the longest timeout; the oldest gives
// way. Service thread only.
class HealthChannel {
 public:
  static constexpr std::size_t kMaxClients = 8;
  using Answer = std::function<void(const std::string& line)>;
  struct Answers {
    std::function<void(const HealthQuestion&, Answer)> health;
    std::function<std::string()> status;
  };

  HealthChannel(os::PollLoop& loop, os::Fd listener, std::string path, Answers answers);
  ~HealthChannel();

 private:
  struct Client {
    os::Fd fd;
    os::PollLoop::Id watch{};
    std::uint64_t number = 0;
    RawTime since{};
    std::string text;
    bool asked = false;
  };

  void on_connect();
  void on_input(std::uint64_t number);
  void ask(std::uint64_t number, const std::string& line);
  void reply(std::uint64_t number, const std::string& line);
  void close(std::uint64_t number);
  Client* find(std::uint64_t number);

  os::PollLoop& loop_;
  os::Fd listener_;
  std::string path_;
  Answers answers_;
  os::PollLoop::Id watch_{};
  os::PollLoop::Id patience_{};
  std::uint64_t last_number_ = 0;
  std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace ntp::daemon
