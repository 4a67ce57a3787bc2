// The network between two machines: how long each packet takes, and whether it arrives.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/random.h"
#include "sim/span.h"

namespace ntp::sim {

enum class Shape : std::uint8_t {
  exponential,  // mean `scale_s`
  gaussian,     // standard deviation `scale_s`, mean 0: the sum is cut at zero delay
  uniform,      // 0 to `scale_s`
  product,      // of three exponentials, mean `scale_s`: Wi-Fi's many small and few huge delays
};

struct Jitter {
  Shape shape = Shape::exponential;
  double scale_s = 0;
  double probability = 1;  // below 1: spikes
};

// Comes and goes: in each period, from `from_s` on for `length_s`.
struct Queue {
  double period_s = 7200;
  double from_s = 0;
  double length_s = 1800;
  bool rises_and_falls = false;  // a triangle over its length instead of at once
  double level_s = 0;            // what stands in it
  Jitter jitter{};
};

struct Route {
  double from_s = 0;
  double added_s = 0;  // to the minimum, from then on (until the next)
};

struct PathModel {
  double minimum_s = 0;
  std::vector<Jitter> jitters{};
  std::vector<Queue> queues{};
  std::vector<Route> routes{};
  double loss = 0;
  double duplicates = 0;           // share of packets that come twice
  double late = 0;                 // share of packets that come `late_s` after their time:
  double late_s = 2.5;             // after others that were sent later
  std::vector<Span> cuts{};        // nothing arrives
  std::vector<double> recorded{};  // s; taken in turn, in place of minimum and jitters
};

// One direction.
class Path {
 public:
  Path(PathModel model, std::uint64_t seed, std::uint64_t stream);

  double delay(double at_s);  // of a packet sent then, whether or not it arrives
  bool loses() { return random_.chance(model_.loss); }
  // The delays of what arrives of it: none, one or two.
  std::vector<double> deliveries(double at_s);

 private:
  double draw(const Jitter& jitter);

  double draw_travel();

  PathModel model_;
  Random random_;
  std::size_t next_ = 0;  // of the recorded delays
};

struct LinkModel {
  PathModel up{};    // from the client to its source
  PathModel down{};  // and back
};

}  // namespace ntp::sim
