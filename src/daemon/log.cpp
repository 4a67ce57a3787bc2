#include "daemon/log.h"

#include <poll.h>
#include <unistd.h>

#include "control/log_format.h"
#include "os/clocks.h"
#include "os/machine.h"

namespace ntp::daemon {
namespace {

constexpr int kPatience_ms = 100;

}  // namespace

void Log::configure(const config::LogSettings& settings) noexcept {
  level_ = settings.level;
  format_ = settings.format;
}

void Log::error(std::string message, Fields fields) {
  write(config::LogLevel::error, std::move(message), std::move(fields));
}
void Log::warning(std::string message, Fields fields) {
  write(config::LogLevel::warning, std::move(message), std::move(fields));
}
void Log::info(std::string message, Fields fields) {
  write(config::LogLevel::info, std::move(message), std::move(fields));
}
void Log::debug(std::string message, Fields fields) {
  write(config::LogLevel::debug, std::move(message), std::move(fields));
}
void Log::always(std::string message, Fields fields) {
  print(config::LogLevel::info, std::move(message), std::move(fields));
}

void Log::write(config::LogLevel level, std::string message, Fields fields) {
  if (level > level_.load(std::memory_order_relaxed)) return;
  print(level, std::move(message), std::move(fields));
}

// One write(2) a line: lines of several threads do not mix. A reader that is gone or has fallen
// asleep is no reason to stop serving: what it does not take is lost.
void Log::print(config::LogLevel level, std::string message, Fields fields) {
  const RealTime now = os::real_now();
  const auto unix_s = std::chrono::floor<std::chrono::seconds>(now.time_since_epoch()).count();
  const control::LogEvent event{
      .time = now, .level = level, .message = std::move(message), .fields = std::move(fields)};
  const std::string line = control::format_line(event, format_.load(std::memory_order_relaxed),
                                                std::chrono::seconds(os::utc_offset_s(unix_s))) +
                           "\n";
  if (!is_file_) {
    pollfd reader{.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
    const bool ready = ::poll(&reader, 1, reader_sleeps_ ? 0 : kPatience_ms) > 0;
    reader_sleeps_.store(!ready, std::memory_order_relaxed);
    if (!ready) return;
  }
  (void)!::write(STDOUT_FILENO, line.data(), line.size());
}

}  // namespace ntp::daemon
