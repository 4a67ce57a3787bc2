#include "os/error.h"

#include <cstring>

namespace ntp::os {

std::string Error::text() const { return doing + ": " + std::strerror(code); }

}  // namespace ntp::os
