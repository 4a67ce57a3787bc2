#include "os/error.h"

#include <cstring>

namespace ntp::os {

std::string Error::text() const { return code == 0 ? doing : doing + ": " + std::strerror(code); }

}  // namespace ntp::os
