#include "daemon/clock_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "client/nts_text.h"
#include "os/machine.h"
#include "os/secret_file.h"
#include "os/text_file.h"

namespace ntp::daemon {
namespace {

constexpr std::chrono::days kSoon{28};

std::string day(RealTime time) {
  const std::chrono::sys_time<std::chrono::nanoseconds> at(time.time_since_epoch());
  const std::chrono::year_month_day date(std::chrono::floor<std::chrono::days>(at));
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
}

}  // namespace

std::optional<clock::LeapTable> LeapFile::read(const std::string& path, bool is_default,
                                               RealTime now) {
  constexpr const char* kInstead = "; leap seconds are taken from the majority of the sources";
  if (path.empty()) return std::nullopt;
  const auto text = os::read_text_file(path, clock::kMaxLeapList);
  if (!text) {
    if (!is_default || text.error().code != ENOENT) warn(text.error().text() + kInstead);
    return std::nullopt;
  }
  auto table = clock::parse_leap_list(*text);
  if (!table) {
    warn(path + ": " + describe(table.error()) + kInstead);
    return std::nullopt;
  }
  const std::string until = day(table->expires);
  if (table->expires <= now) {
    warn(fmt::format("{} has expired on {}{}", path, until, kInstead));
  } else if (table->expires - now < kSoon) {
    warn(fmt::format("{} expires on {}; get a newer one", path, until));
  } else if (std::exchange(told_, until) != until) {
    log_.info("leap seconds are known", {{"file", path}, {"until", until}});
  }
  return std::move(*table);
}

void LeapFile::warn(const std::string& text) {
  if (std::exchange(told_, text) != text) log_.warning(text);
}

clock::ClockFilter::Memory StateFile::read(RealTime now) const {
  if (path_.empty()) return {};
  const auto text = os::read_text_file(path_, clock::kMaxStateText);
  if (!text) {
    if (text.error().code != ENOENT) {
      log_.warning(text.error().text() + "; the clock is learned afresh");
    }
    return {};
  }
  const auto state = clock::parse_state(*text);
  if (!state) {
    log_.warning(path_ + ": " + describe(state.error()) + "; the clock is learned afresh");
    return {};
  }
  const auto memory = clock::recall(*state, os::boot_id(), now);
  log_.info("the oscillator is known from before",
            {{"frequency", fmt::format("{:+.3f}ppm", memory.rate * 1e6)},
             {"frequency_error", fmt::format("{:.3f}ppm", memory.rate_sd * 1e6)}});
  return memory;
}

std::string NtsFile::mark_of(const std::string& roots) const {
  const auto at = std::ranges::find(channel_.roots, roots) - channel_.roots.begin();
  const auto index = static_cast<std::size_t>(at);
  return index < channel_.marks.size() ? channel_.marks[index] : std::string();
}

std::vector<client::SavedNts> NtsFile::read(const Instant& now) {
  if (path_.empty() || os::file_mark(path_) == os::FileMark{}) return {};
  is_there_ = true;
  auto text = os::read_secret_file(path_, client::kMaxNtsText);
  if (!text) {
    log_.warning(text.error() + "; keys are established anew");
    return {};
  }
  auto all = client::parse_nts(text->text, now);
  os::wipe(text->text);
  if (!all) {
    log_.warning(fmt::format("{}: {}; keys are established anew", path_, all.error()));
    return {};
  }
  const auto dropped = std::erase_if(*all, [this](const client::SavedNts& saved) {
    return saved.mark.empty() || saved.mark != mark_of(saved.roots);
  });
  if (dropped > 0) {
    log_.info("NTS: the roots of sources have changed; their keys are established anew",
              {{"sources", fmt::format("{}", dropped)}});
  }
  return std::move(*all);
}

void NtsFile::write(std::vector<client::SavedNts> all, const Instant& now) {
  if (path_.empty() || (all.empty() && !is_there_)) return;
  for (client::SavedNts& saved : all) saved.mark = mark_of(saved.roots);
  std::string text = client::format_nts(all, now);
  const auto written = os::replace_secret_file(path_, text);
  os::wipe(text);
  if (!written && !failing_) {
    log_.warning(written.error() + "; keys of sources are established anew at the next start");
  }
  failing_ = !written;
  is_there_ = is_there_ || written.has_value();
}

void StateFile::write(const client::Client& client, RawTime now) {
  const auto memory = client.memory();
  if (path_.empty() || !memory) return;
  const clock::SavedState state{
      .boot = os::boot_id(), .time = client.decision().served(now), .memory = *memory};
  const auto written = os::replace_text_file(path_, clock::format_state(state));
  if (!written && !failing_) {
    log_.warning(written.error().text() +
                 "; what is learned of the oscillator is lost at the next start");
  }
  failing_ = !written;
}

}  // namespace ntp::daemon
