// The keys of NTS cookies: from the secret that a fleet shares, or this server's own. Reads and
// writes the files; whoever owns it asks it once a second.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/random.h"
#include "config/settings.h"
#include "daemon/log.h"
#include "daemon/own_cookie_secret.h"
#include "nts/cookie.h"
#include "os/secret_file.h"

namespace ntp::daemon {

class CookieKeyKeeper {
 public:
  // `state_directory` may be empty: then keys of the server's own live as long as the process.
  CookieKeyKeeper(const config::NtsSettings& settings, const std::string& state_directory, Log& log,
                  RandomSource& random);

  struct Time {
    RawTime raw{};
    RealTime real{};                       // the served time, or the host's where none is served
    bool known = false;                    // it is synchronised
    std::chrono::nanoseconds boot_lead{};  // os::boot_lead()
  };
  // Whether the keys have become others.
  bool look(const Time& now);
  // The files may be others (SIGHUP): the next look reads them anyway.
  void look_again() noexcept { anyway_ = true; }
  // At the end: how old the epoch has become. Until then the file says how old it will be when it
  // is written next, so that who is killed has not lived for nothing.
  void keep();

  // Null: there are none, because the secret cannot be read.
  const std::shared_ptr<const nts::CookieKeys>& keys() const noexcept { return keys_; }
  // What key establishment is to make cookies with; only where there are keys.
  nts::CookieKey sealing_key() const;

  std::string where() const;
  const std::string& problem() const noexcept { return problem_; }

 private:
  struct Shared {
    nts::Secret current{};
    nts::Secret previous{};
  };

  bool look_at_shared(const Time& now);
  bool read_shared();
  bool read_one(const std::string& path, nts::Secret& out, std::string& problem);
  std::uint32_t epoch(RealTime time) const;
  bool look_at_own(const Time& now);
  void read_own();
  void write_own(std::chrono::seconds ahead);
  std::chrono::seconds until_next_write() const;
  void say(std::string problem);

  const config::NtsSettings settings_;
  const std::string state_file_;
  const std::chrono::seconds rotation_;
  Log& log_;
  RandomSource& random_;
  std::shared_ptr<const nts::CookieKeys> keys_;
  std::string problem_;
  bool anyway_ = true;

  Shared shared_;
  os::FileMark mark_{}, previous_mark_{};
  std::optional<Time> before_;  // of the last look
  std::optional<Time> known_;   // when the time was known last, and the machine has not slept since
  std::optional<std::uint32_t> epoch_;  // of keys_; nothing: the time is not known
  std::uint32_t sealing_epoch_ = 0;

  std::optional<OwnCookieSecret> own_;
  std::string unreadable_;  // why the file that is there could not be read: it is not replaced
  RawTime begun_{};
  RawTime looked_{};
  RawTime kept_{};
  RawTime keep_at_{};
};

}  // namespace ntp::daemon
