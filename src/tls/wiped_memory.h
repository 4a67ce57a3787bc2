// OpenSSL's memory, wiped when it is given back: what it has read of a key's file, and what it
// derives on the way to session keys, it leaves behind in places.
#pragma once

namespace ntp::tls {

// For the whole process; before anything else of OpenSSL is called. False: it was too late.
bool wipe_freed_memory() noexcept;

}  // namespace ntp::tls
