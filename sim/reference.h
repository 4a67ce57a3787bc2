// A server that is not ours, told what to say. Honest replies are made by the production code, and
// only then spoilt.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "server/responder.h"
#include "sim/random.h"
#include "sim/world_model.h"

namespace ntp::sim {

using Octets = std::vector<std::byte>;

class Reference {
 public:
  // `lies` are its own.
  Reference(ServerModel model, std::vector<Lie> lies, std::uint64_t seed, std::uint64_t stream);

  // The replies to a request that came at `at_s`, in the order of their sending; `utc` is the true
  // time then, `unleapt` what it would be without the leap second.
  std::vector<Octets> answer(const server::Arrival& request, double at_s, RealTime utc,
                             RealTime unleapt, wire::Leap announced);

  const ServerModel& model() const noexcept { return model_; }

 private:
  server::ServerState state(double at_s, RealTime utc, RealTime unleapt, wire::Leap announced);
  void spoil(Octets& reply, const Lie& lie);
  std::vector<Octets> forgeries(const Octets& reply, const Lie& lie);

  ServerModel model_;
  std::vector<Lie> lies_;
  Random random_;
  NoiseSource noise_;
  Octets before_{};  // the last honest reply
};

}  // namespace ntp::sim
