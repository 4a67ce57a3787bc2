// A machine of ours: client::Client and server::respond() as they are, with virtual clocks around
// them. It does what daemon::SourceKeeper, Timekeeper and Worker do, less the sockets.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "client/client.h"
#include "server/responder.h"
#include "server/timescale.h"
#include "sim/kernel.h"
#include "sim/oscillator.h"
#include "sim/reference.h"
#include "sim/world_model.h"

namespace ntp::sim {

class Machine {
 public:
  Machine(MachineModel model, RealTime start, std::uint64_t seed, std::uint64_t stream);

  // True time goes forward only; all that takes `at_s` must not be older than the last advance.
  void advance(double at_s);
  RawTime raw(double at_s) const noexcept;
  RealTime host(double at_s) const noexcept;
  clock::Moment moment(double at_s) const noexcept;
  double frequency() const noexcept { return oscillator_.frequency(); }
  double true_at(RawTime when) const noexcept;  // if the frequency stays
  // When the process, stopped or asleep now, goes on; empty while it runs.
  std::optional<double> resumes_at(double at_s) const noexcept;

  void restart(double at_s, bool remembers);
  void lead_kernel(double at_s);  // once a second, where the machine steers
  const Kernel& kernel() const noexcept { return kernel_; }
  client::Client& client() noexcept { return *client_; }
  const client::Client& client() const noexcept { return *client_; }
  RandomSource& random() noexcept { return nonces_; }
  const MachineModel& model() const noexcept { return model_; }

  // What the workers have read at that time.
  server::ServerState served(double at_s) const;
  struct Asked {
    Octets datagram{};
    Endpoint from{};
    Endpoint to{};
    RealTime stamp{};
  };
  std::optional<Octets> answer(const Asked& asked, double at_s);

 private:
  MachineModel model_;
  RealTime start_;
  Oscillator oscillator_;
  Kernel kernel_{};
  SeededRandom nonces_;
  NoiseSource noise_;
  server::Timescale timescale_{};
  std::optional<client::Client> client_{};
};

}  // namespace ntp::sim
