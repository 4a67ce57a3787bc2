// The files of a clock made of sources: the table of leap seconds, what was learned of the
// oscillator, and what sources are proved by. None is required.
#pragma once

#include <optional>
#include <string>

#include "client/client.h"
#include "clock/leap.h"
#include "clock/state_text.h"
#include "daemon/log.h"
#include "daemon/time_settings.h"

namespace ntp::daemon {

class LeapFile {
 public:
  explicit LeapFile(Log& log) : log_(log) {}

  // Empty where there is no such file or it is unusable. The log says what is new, and nothing of a
  // default that is not there.
  std::optional<clock::LeapTable> read(const std::string& path, bool is_default, RealTime now);

 private:
  void warn(const std::string& text);

  Log& log_;
  std::string told_;
};

// Of a path that may be empty, which stands for none.
class StateFile {
 public:
  StateFile(std::string path, Log& log) : path_(std::move(path)), log_(log) {}

  clock::ClockFilter::Memory read(RealTime now) const;
  // Does nothing while the client has nothing to tell. Of a row of failures the first is logged.
  void write(const client::Client& client, RawTime now);

 private:
  std::string path_;
  Log& log_;
  bool failing_ = false;
};

// The keys and cookies of sources with NTS, for our eyes only. Of a path that may be empty, which
// stands for none.
class NtsFile {
 public:
  NtsFile(std::string path, const KeyChannel& channel, Log& log)
      : path_(std::move(path)), channel_(channel), log_(log) {}

  // Empty where there is no such file or it is unusable, which the log says. Keys that were proved
  // by roots that are not those of today are not among them.
  std::vector<client::SavedNts> read(const Instant& now);
  // Nothing is written while there never was anything. Of a row of failures the first is logged.
  void write(std::vector<client::SavedNts> all, const Instant& now);

 private:
  std::string mark_of(const std::string& roots) const;

  std::string path_;
  KeyChannel channel_;
  Log& log_;
  bool is_there_ = false;
  bool failing_ = false;
};

}  // namespace ntp::daemon
