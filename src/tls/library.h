// OpenSSL in a process of its own.
#pragma once

namespace ntp::tls {

// OpenSSL's memory is wiped when it is given back: what it has read of a key's file, and what it
// derives on the way to session keys, it leaves behind in places. For the whole process; before
// anything else of OpenSSL is called. False: it was too late.
bool wipe_freed_memory() noexcept;

// Whether it can make contexts. What fails in OpenSSL's own beginning, for want of memory say,
// fails for as long as the process lives: only another one helps.
bool can_begin() noexcept;

}  // namespace ntp::tls
