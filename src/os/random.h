// Randomness of the kernel: for whatever nobody may guess.
#pragma once

#include "base/random.h"

namespace ntp::os {

class KernelRandom final : public RandomSource {
 public:
  std::uint64_t next() override;
};

}  // namespace ntp::os
