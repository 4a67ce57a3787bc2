// Verdicts as people read them, in logs, status and metrics alike.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "clock/selection.h"

namespace ntp::clock {
namespace {

struct Unit {
  double in_s = 1;
  const char* name = "s";
};

// One unit for a whole sentence, that of its largest number.
Unit unit_for(double largest_s) noexcept {
  if (largest_s >= 0.9995) return {1, "s"};
  if (largest_s >= 0.9995e-3) return {1e-3, "ms"};
  return {1e-6, "us"};
}

std::string falseticker_text(const Verdict& v) {
  const Unit u = unit_for(
      std::max({std::abs(v.offset_s), std::abs(v.majority.low_s), std::abs(v.majority.high_s)}));
  return fmt::format(
      "falseticker: offset {:+.3f} {} outside the majority interval [{:+.3f} {}, {:+.3f} {}]",
      v.offset_s / u.in_s, u.name, v.majority.low_s / u.in_s, u.name, v.majority.high_s / u.in_s,
      u.name);
}

}  // namespace

std::string describe(const Verdict& v) {
  switch (v.standing) {
    case Standing::selected:
    case Standing::combined:
    case Standing::noselect:
    case Standing::unreachable:
      return std::string(kStandingNames[static_cast<std::size_t>(v.standing)]);
    case Standing::outlier:
      return "outlier: agrees, but further from the others than they are from each other";
    case Standing::not_preferred:
      return "not preferred: agrees, but others are marked prefer";
    case Standing::falseticker:
      return falseticker_text(v);
    case Standing::ambiguous:
      return "ambiguous: contradicts another source that the majority allows as well";
    case Standing::no_majority:
      return fmt::format("no majority: at most {} of {} votes agree", v.have, v.want);
    case Standing::contested:
      return fmt::format(
          "contested: contradicts the clock kept so far, which {} of {} sources support", v.have,
          v.want);
    case Standing::too_few:
      return fmt::format("too few: {} of {} sources agree", v.have, v.want);
    case Standing::required_missing:
      return "waiting for a required source";
    case Standing::too_distant:
      return fmt::format("root distance {:.3g} s over {:.3g} s", v.distance_s, v.limit_s);
    case Standing::stratum_too_high:
      return fmt::format("stratum {} over {}", v.have, v.want);
    case Standing::unsynchronised:
      return "unsynchronised: it says so itself";
    case Standing::loop:
      return "loop: it takes its time from us, or is this server itself";
    case Standing::waiting:
      return fmt::format("waiting: {} of {} samples", v.have, v.want);
    case Standing::invalid:
      return "invalid: its numbers make no sense";
  }
  return "unknown";
}

std::string describe(const Selection& s) {
  switch (s.outcome) {
    case Outcome::selected:
      return fmt::format("{} of {} sources agree", s.agreeing, s.voters);
    case Outcome::no_source:
      return s.verdicts.empty() ? "no source has an address yet: names are being resolved"
                                : "no source is usable";
    case Outcome::no_majority:
      return fmt::format("no majority: at most {} of {} sources agree", s.agreeing, s.voters);
    case Outcome::contested:
      return fmt::format(
          "contested: {} of {} sources contradict the clock kept so far, which {} support",
          s.agreeing, s.voters, s.supporting);
    case Outcome::too_few:
      return fmt::format("too few sources: {} agree, {} are needed (minsources)", s.agreeing,
                         s.wanted);
    case Outcome::required_missing:
      return "no source marked require agrees with the majority";
  }
  return "unknown";
}

}  // namespace ntp::clock
