#include "daemon/cookie_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "daemon/cookie_secret.h"
#include "daemon/first_day.h"
#include "server/state.h"

namespace ntp::daemon {
namespace {

// How often the age of the epoch is written: as often as the server has grown twice as old.
constexpr std::chrono::seconds kKeepAgeFirst = std::chrono::minutes(1);
constexpr std::chrono::seconds kKeepAge = std::chrono::hours(1);
constexpr int kKeepsOfAnEpoch = 8;

std::chrono::seconds since_1970(RealTime time) {
  return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch());
}

}  // namespace

CookieKeyKeeper::CookieKeyKeeper(const config::NtsSettings& settings,
                                 const std::string& state_directory, Log& log, RandomSource& random)
    : settings_(settings),
      state_file_(state_directory.empty() ? "" : state_directory + "/cookie-keys"),
      rotation_(std::chrono::floor<std::chrono::seconds>(settings.rotation)),
      log_(log),
      random_(random) {}

bool CookieKeyKeeper::look(const Time& now) {
  if (!settings_.enabled()) return false;
  return settings_.cookie_secret_file.empty() ? look_at_own(now) : look_at_shared(now);
}

std::string CookieKeyKeeper::where() const {
  if (!settings_.cookie_secret_file.empty()) {
    return epoch_ ? fmt::format("shared, epoch {}", *epoch_)
                  : "shared; the time is not known, so cookies of any epoch are accepted";
  }
  if (!own_) return "none";
  return fmt::format("this server's own, epoch {}, {}", own_->epoch,
                     state_file_.empty() ? "lost when it ends" : "kept in " + state_file_);
}

// Of a row of the same problem the first is logged.
void CookieKeyKeeper::say(std::string problem) {
  if (problem_ != problem && !problem.empty()) log_.error("NTS: " + problem);
  if (!problem_.empty() && problem.empty()) log_.info("NTS: the cookie keys are in order again");
  problem_ = std::move(problem);
}

nts::CookieKey CookieKeyKeeper::sealing_key() const {
  if (own_) return keys_->current_key();
  return nts::derive_cookie_key(shared_.current.view(), sealing_epoch_);
}

// ---- the secret that a fleet shares

std::uint32_t CookieKeyKeeper::epoch(RealTime time) const {
  return nts::epoch_at(since_1970(time), rotation_);
}

bool CookieKeyKeeper::read_one(const std::string& path, nts::Secret& out, std::string& problem) {
  if (path.empty()) {
    out.clear();
    return true;
  }
  auto secret = read_cookie_secret(path);
  if (!secret) {
    problem = secret.error();
    return false;
  }
  if (!secret->warning.empty() && anyway_) log_.warning("NTS: " + secret->warning);
  out.assign(std::as_bytes(std::span(secret->text)));
  os::wipe(secret->text);
  return true;
}

// Whether the secrets are others now. What cannot be read leaves those in force that are there.
bool CookieKeyKeeper::read_shared() {
  const auto mark = os::file_mark(settings_.cookie_secret_file);
  const auto previous_mark = os::file_mark(settings_.cookie_secret_previous_file);
  if (!anyway_ && mark == mark_ && previous_mark == previous_mark_) return false;
  mark_ = mark;
  previous_mark_ = previous_mark;
  Shared read;
  std::string problem;
  const bool good = read_one(settings_.cookie_secret_file, read.current, problem) &&
                    read_one(settings_.cookie_secret_previous_file, read.previous, problem);
  anyway_ = false;
  if (!good) {
    say(problem +
        (keys_ ? "; the secret from before stays in force" : "; no handshakes until then"));
    return false;
  }
  say("");
  const bool changed = read.current != shared_.current || read.previous != shared_.previous;
  if (changed && keys_) log_.info("NTS: the cookie secret has changed");
  shared_ = read;
  return changed;
}

bool CookieKeyKeeper::look_at_shared(const Time& now) {
  const bool changed = read_shared();
  if (shared_.current.empty()) return false;
  // The machine's own clock stood still, and nobody knows for how long our neighbours went on.
  if (before_ && server::slept(now.boot_lead - before_->boot_lead, now.raw - before_->raw)) {
    known_.reset();
  }
  before_ = now;
  if (now.known) known_ = now;
  // Once known, it goes on by the machine's own clock, whoever sets that of the host.
  const RealTime time = known_ ? known_->real + (now.raw - known_->raw) : now.real;
  const std::uint32_t oldest = epoch(kFirstDay);
  const auto present = known_ ? std::optional(epoch(time)) : std::nullopt;
  const std::uint32_t sealing = std::max(oldest, epoch(time));
  if (!changed && keys_ && present == epoch_ && sealing == sealing_epoch_) return false;
  epoch_ = present;
  sealing_epoch_ = sealing;
  keys_ = std::make_shared<const nts::CookieKeys>(
      nts::CookieKeys::Options{.secret = shared_.current.view(),
                               .previous = shared_.previous.view(),
                               .epoch = present,
                               .oldest = oldest});
  return true;
}

// ---- keys of this server's own

void CookieKeyKeeper::read_own() {
  own_ = OwnCookieSecret::make(random_);
  if (state_file_.empty()) {
    log_.warning(
        "NTS: the cookie keys are lost when the server ends, and clients then have to get new "
        "cookies: there is neither nts.cookie_secret_file nor clock.state_directory");
    return;
  }
  std::error_code failed;
  if (!std::filesystem::exists(state_file_, failed) && !failed) return;
  auto text = os::read_secret_file(state_file_, kLargestOwnSecretText);
  if (!text) {
    // Perhaps it can be at the next start: what clients hold is worth more than what we make now.
    unreadable_ = text.error();
    return;
  }
  auto parsed = parse_own_secret(text->text);
  os::wipe(text->text);
  if (parsed) {
    own_ = *parsed;
    return;
  }
  log_.warning(
      fmt::format("NTS: {}: {}; new cookie keys are made, and clients have to get new cookies",
                  state_file_, parsed.error()));
}

void CookieKeyKeeper::keep() { write_own({}); }

std::chrono::seconds CookieKeyKeeper::until_next_write() const {
  const auto most = std::min(kKeepAge, rotation_ / kKeepsOfAnEpoch);
  const auto ran = std::chrono::floor<std::chrono::seconds>(looked_ - begun_);
  return std::clamp(ran, std::min(kKeepAgeFirst, most), most);
}

void CookieKeyKeeper::write_own(std::chrono::seconds ahead) {
  if (!own_ || state_file_.empty()) return;
  kept_ = looked_;
  keep_at_ = looked_ + ahead;
  if (!unreadable_.empty()) {
    return say(unreadable_ +
               "; the file is left as it is, and until a restart finds it readable the cookie keys "
               "are others, which are lost when the server ends");
  }
  OwnCookieSecret then = *own_;
  then.age += ahead;
  std::string text = format_own_secret(then);
  const auto written = os::replace_secret_file(state_file_, text);
  os::wipe(text);
  say(written ? "" : written.error() + "; the cookie keys are lost when the server ends");
}

bool CookieKeyKeeper::look_at_own(const Time& now) {
  const bool first = !own_;
  if (first) {
    read_own();
    begun_ = looked_ = now.raw;
  }
  const auto elapsed = std::chrono::floor<std::chrono::seconds>(now.raw - looked_);
  looked_ += elapsed;
  const bool next = own_->advance(elapsed, rotation_, random_);
  if (first || next) {
    keys_ = std::make_shared<const nts::CookieKeys>(nts::CookieKeys::Options{
        .secret = own_->current.view(), .previous = own_->previous.view(), .epoch = own_->epoch});
  }
  const bool retry = !problem_.empty() && looked_ - kept_ >= std::chrono::minutes(1);
  if (first || next || retry || looked_ >= keep_at_) write_own(until_next_write());
  return first || next;
}

}  // namespace ntp::daemon
