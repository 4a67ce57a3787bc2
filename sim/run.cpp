#include "sim/run.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <optional>

#include "clock/clock_filter.h"
#include "clock/selection.h"

namespace ntp::sim {
namespace {

double clock_at(const Run& run, double at_s) {
  const auto last = static_cast<double>(run.clock_s.size() - 1);
  const double inside = std::clamp(at_s, 0.0, last);
  const auto second = std::min(static_cast<std::size_t>(inside), run.clock_s.size() - 2);
  const double from = run.clock_s[second];
  return from + (run.clock_s[second + 1] - from) * (at_s - static_cast<double>(second));
}

double source_at(const Run& run, double at_s) {
  double sum = 0;
  for (const auto& step : run.source_steps) {
    if (at_s >= step.at_s) sum += step.offset_s;
  }
  return sum;
}

RawTime raw_time(double true_s, double offset_s) {
  return RawTime(std::chrono::nanoseconds(std::llround((true_s + offset_s) * 1e9)));
}

clock::Sample sample_of(const Run& run, const Exchange& x) {
  const double arrived_s = x.sent_s + x.up_s;
  const double back_s = arrived_s + x.down_s;
  const double t1 = clock_at(run, x.sent_s);
  const double t4 = clock_at(run, back_s);
  const double source = source_at(run, arrived_s);
  const double out = x.up_s + source - t1;
  const double back = -x.down_s + source - t4;
  return {.at = raw_time((x.sent_s + back_s) / 2, (t1 + t4) / 2),
          .offset_s = (out + back) / 2,
          .delay_s = out - back,
          .leap = wire::Leap::none,
          .stratum = 1};
}

struct Sums {
  double squares = 0;
  double rate_squares = 0;
  double largest = 0;
  std::uint64_t covered = 0;
  std::vector<double> bounds{};

  void add(double error, double rate_error, double bound) {
    squares += error * error;
    rate_squares += rate_error * rate_error;
    largest = std::max(largest, std::fabs(error));
    covered += std::fabs(error) <= bound ? 1 : 0;
    bounds.push_back(bound);
  }
  void into(Result& result) {
    if (bounds.empty()) return;
    const auto n = static_cast<double>(bounds.size());
    result.rms_s = std::sqrt(squares / n);
    result.rate_rms = std::sqrt(rate_squares / n);
    result.max_s = largest;
    result.coverage = static_cast<double>(covered) / n;
    const auto middle = bounds.begin() + static_cast<std::ptrdiff_t>(bounds.size() / 2);
    std::ranges::nth_element(bounds, middle);
    result.bound_median_s = *middle;
  }
};

}  // namespace

Run simulate(const OscillatorModel& oscillator, const LinkModel& link, const Polling& polling,
             int length_s, std::uint64_t seed) {
  Run run;
  run.clock_s = record(Oscillator(oscillator, seed), length_s);
  Path up(link.up, seed, 2);
  Path down(link.down, seed, 3);
  Random phase(seed, 4);
  int sent = 0;
  for (double at_s = 0.5 + phase.uniform(); at_s < length_s - 20;
       at_s += ++sent < polling.burst ? 2 : polling.interval_s) {
    const double up_s = up.delay(at_s);
    const bool up_lost = up.loses();
    const double down_s = down.delay(at_s + up_s);
    const bool down_lost = down.loses();
    if (!up_lost && !down_lost) run.exchanges.push_back({at_s, up_s, down_s});
  }
  return run;
}

std::expected<Run, std::string> replay(const std::string& file, int length_s) {
  const auto numbers = [](const std::string& name) {
    std::ifstream in(name, std::ios::binary | std::ios::ate);
    std::vector<double> values(in ? static_cast<std::size_t>(in.tellg()) / sizeof(double) : 0);
    in.seekg(0);
    in.read(reinterpret_cast<char*>(values.data()),
            static_cast<std::streamsize>(values.size() * sizeof(double)));
    return values;
  };
  const auto rates = numbers(file + ".raw");
  const auto packets = numbers(file + ".pkt");
  if (rates.empty() || packets.empty()) return std::unexpected("cannot read " + file);
  Run run;
  run.clock_s.push_back(1e-3);
  for (std::size_t i = 0; i < rates.size() && i < static_cast<std::size_t>(length_s); ++i) {
    run.clock_s.push_back(run.clock_s.back() + rates[i]);
  }
  std::optional<Exchange> open;
  for (std::size_t i = 0; i + 2 < packets.size(); i += 3) {
    const bool request = packets[i + 1] == 2;
    const double delay = packets[i + 2];
    if (request) open.reset();
    if (delay < 0) continue;
    if (request) {
      open = Exchange{packets[i], delay, 0};
    } else if (open) {
      open->down_s = delay;
      run.exchanges.push_back(*open);
      open.reset();
    }
  }
  return run;
}

Result follow(const Run& run, const Measure& measure) {
  clock::ClockFilter filter;
  Result result;
  Sums sums;
  std::chrono::nanoseconds spent{};
  std::size_t next = 0;
  const int length = std::min(static_cast<int>(run.clock_s.size()) - 1, measure.to_s);
  for (int second = 0; second < length; ++second) {
    for (; next < run.exchanges.size(); ++next) {
      const Exchange& x = run.exchanges[next];
      if (x.sent_s + x.up_s + x.down_s > second) break;
      const clock::Sample sample = sample_of(run, x);
      const auto before = std::chrono::steady_clock::now();
      filter.update(sample);
      spent += std::chrono::steady_clock::now() - before;
    }
    if (filter.empty()) continue;
    const double true_s = run.clock_s[static_cast<std::size_t>(second)];
    const clock::Estimate estimate = filter.estimate(raw_time(second, true_s));
    const double error = estimate.offset_s + true_s - source_at(run, second);
    if (measure.settle_at_s > 0 && std::fabs(error) > measure.settle_at_s) {
      result.settled_s = second + 1;
    }
    if (second < measure.from_s) continue;
    const double clock_rate = run.clock_s[static_cast<std::size_t>(second) + 1] - true_s;
    const double bound =
        filter.path().recent_delay_s() / 2 + clock::kCoverage * std::sqrt(estimate.offset_var);
    sums.add(error, estimate.rate + clock_rate, bound);
  }
  sums.into(result);
  result.ns_per_sample =
      static_cast<double>(spent.count()) / static_cast<double>(std::max<std::size_t>(1, next));
  return result;
}

}  // namespace ntp::sim
