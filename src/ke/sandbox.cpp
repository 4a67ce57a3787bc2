#include "ke/sandbox.h"

#include <time.h>

#include "os/places.h"
#include "os/privileges.h"
#include "os/seccomp.h"

namespace ntp::ke {

os::Reach reach_of(const Plan& plan) {
  // Should this process come to speak to servers as a client too, then `tcp_to` is where their
  // ports belong, and socket, connect and getsockopt get the letter K in os/system_calls.cpp.
  os::Reach reach{.tcp_listens = false};
  for (const std::string& file : {plan.certificate, plan.key}) os::add_places(reach.read, file);
  if constexpr (os::kInstrumented) reach.replace.push_back("/");
  return reach;
}

os::Confinement shut_in_keeper(const Plan& plan) {
  os::Confinement made;
  if (plan.sandbox == config::Sandbox::off) return made;
  if constexpr (!os::kInstrumented) made.memory = os::close_memory();
  made.filtered = os::confine_process(os::ThreadRole::keeper).has_value();
  return made;
}

os::Confinement shut_in(const Plan& plan) {
  if (plan.sandbox == config::Sandbox::off) return {};
  ::tzset();  // timegm(3) of a certificate's dates would read it later
  return os::confine(reach_of(plan), os::ThreadRole::key_establishment);
}

}  // namespace ntp::ke
