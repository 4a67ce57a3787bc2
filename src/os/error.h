// Why a set-up step failed: what was being done, and the errno of the call.
#pragma once

#include <cerrno>
#include <string>
#include <utility>

namespace ntp::os {

struct Error {
  std::string doing;  // "bind 0.0.0.0:123"
  int code = 0;       // errno; 0: no call failed, and the words say it all

  static Error last(std::string doing) { return {std::move(doing), errno}; }
  std::string text() const;  // "bind 0.0.0.0:123: Address already in use"
};

}  // namespace ntp::os
