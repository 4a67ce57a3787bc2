// The log of the process: whole lines on standard output. Any thread may call; never the packet
// path.
#pragma once

#include <unistd.h>

#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "config/settings.h"
#include "os/text_file.h"

namespace ntp::daemon {

class Log {
 public:
  using Fields = std::vector<std::pair<std::string, std::string>>;

  void configure(const config::LogSettings& settings) noexcept;

  void error(std::string message, Fields fields = {});
  void warning(std::string message, Fields fields = {});
  void info(std::string message, Fields fields = {});
  void debug(std::string message, Fields fields = {});
  // At level info, whatever the configured level: what an operator must always find in the log.
  void always(std::string message, Fields fields = {});

 private:
  void write(config::LogLevel level, std::string message, Fields fields);
  void print(config::LogLevel level, std::string message, Fields fields);

  const bool is_file_ = os::is_regular_file(STDOUT_FILENO);  // which takes every line at once
  std::atomic<bool> reader_sleeps_{false};  // it did not take the last line: no more waiting
  std::atomic<config::LogLevel> level_{config::LogLevel::info};
  std::atomic<config::LogFormat> format_{config::LogFormat::text};
};

}  // namespace ntp::daemon
