// A world for tests of the discipline.
#pragma once

#include <chrono>
#include <cmath>
#include <optional>
#include <vector>

#include "clock/discipline.h"

namespace ntp::clock {

using namespace std::chrono_literals;

inline RealTime utc(int year, unsigned month, unsigned day,
                    std::chrono::seconds time = std::chrono::seconds(0)) {
  using namespace std::chrono;
  const sys_days date(
      year_month_day{std::chrono::year(year), std::chrono::month(month), std::chrono::day(day)});
  return RealTime(date.time_since_epoch()) + time;
}

// A world with true time, a raw clock that is `drift` fast of it, and sources that are right, wrong
// or gone. Everybody's time is what NTP shows: with leap seconds repeated or left out.
struct World {
  struct Source {
    double error_s = 0;  // constant, within its root distance
    bool reachable = true;
    wire::Leap leap = wire::Leap::none;
    std::uint8_t stratum = 2;
    double lie_s = 0;
    int samples = 8;
    double sampled_s = 0;  // when: seconds since the start
    std::uint32_t reference = 0;
    bool noselect = false;
    bool loop = false;
  };

  explicit World(std::size_t sources = 4, RealTime begin = utc(2026, 9, 1))
      : start(begin), clock(ClockMap{RawTime(1000s), begin + 300ms, 0}, -23), all(sources) {
    for (std::size_t i = 0; i < all.size(); ++i) all[i].error_s = 0.001 * static_cast<double>(i);
  }

  RealTime start;
  Discipline clock;
  std::vector<Source> all;
  DisciplinePolicy policy{};
  const LeapTable* table = nullptr;
  double drift = 10e-6;
  double elapsed_s = 0;  // of true time
  std::optional<PlannedLeap> real_leap{};
  std::chrono::nanoseconds slept{};
  Decision last{};

  RawTime raw() const {
    return RawTime(1000s) + std::chrono::nanoseconds(std::llround(elapsed_s * (1 - drift) * 1e9));
  }
  RealTime truth() const {
    const RealTime plain = start + std::chrono::nanoseconds(std::llround(elapsed_s * 1e9));
    if (!real_leap) return plain;
    if (real_leap->kind == wire::Leap::insert)
      return plain - (plain >= real_leap->midnight ? 1s : 0s);
    return plain + (plain >= real_leap->midnight - 1s ? 1s : 0s);
  }
  // Against the base as the keeper has it, in which leap seconds have been taken out of the way.
  double true_offset_s() const {
    const RealTime base = last.served.map.at == RawTime{} ? start + 300ms + (raw() - RawTime(1000s))
                                                          : last.base(raw());
    return seconds(truth() - base);
  }

  std::vector<Candidate> candidates() {
    std::vector<Candidate> out;
    for (std::size_t i = 0; i < all.size(); ++i) {
      Source& s = all[i];
      if (s.reachable) s.sampled_s = elapsed_s;
      Candidate c{.id = static_cast<std::uint32_t>(i + 1)};
      const double age_s = elapsed_s - s.sampled_s;
      c.estimate = {.at = raw() - std::chrono::nanoseconds(std::llround(age_s * 1e9)),
                    .offset_s = true_offset_s() - drift * age_s + s.error_s + s.lie_s,
                    .rate = drift,
                    .offset_var = 1e-10,
                    .rate_var = 1e-18,
                    .wander = 1e-20};
      c.root_delay_s = 0.020;
      c.root_dispersion_s = 0.0005;
      c.leap = s.leap;
      c.stratum = s.stratum;
      c.refid = 0x0a000001 + static_cast<std::uint32_t>(i);
      c.reference = s.reference;
      c.options.noselect = s.noselect;
      c.loop = s.loop;
      c.reachable = s.reachable;
      c.samples = s.samples;
      out.push_back(c);
    }
    return out;
  }

  const Decision& tick(double s = 1) {
    elapsed_s += s;
    const auto now = candidates();
    last = clock.update({raw(), truth() + 5s, slept}, now, policy, table);
    return last;
  }
  const Decision& run(int ticks) {
    for (int i = 0; i < ticks; ++i) tick();
    return last;
  }
  double error_s() const { return seconds(last.served(raw()) - truth()); }
};

}  // namespace ntp::clock
