// OpenSSL in a process of its own.
#pragma once

namespace ntp::tls {

// The status with which a process ends to which OpenSSL's memory was refused.
inline constexpr int kNoMemory = 12;  // ENOMEM

// OpenSSL's memory is wiped when it is given back: what it has read of a key's file, and what it
// derives on the way to session keys, it leaves behind in places. And where there is none, the
// process ends (kNoMemory): OpenSSL would go on, at times for good without what it could not set
// up just then, and call a good certificate's key too small. For the whole process; before anything
// else of OpenSSL is called. False: it was too late.
[[nodiscard]] bool govern_memory() noexcept;

// Whether it can make contexts. What fails in OpenSSL's own beginning fails for as long as the
// process lives: only another one helps.
bool can_begin() noexcept;

}  // namespace ntp::tls
