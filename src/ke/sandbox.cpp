#include "ke/sandbox.h"

#include <time.h>

#include "os/places.h"
#include "os/privileges.h"
#include "os/seccomp.h"
#include "tls/client_context.h"

namespace ntp::ke {

namespace {

// What it lacks, its child lacks too, which tells.
void shut_in_keeper_as(os::ThreadRole role, config::Sandbox wanted) {
  if (wanted == config::Sandbox::off) return;
  if constexpr (!os::kInstrumented) os::close_memory();
  (void)os::confine_process(role);
}

os::Confinement shut_in_as(os::ThreadRole role, config::Sandbox wanted, const os::Reach& reach) {
  if (wanted == config::Sandbox::off) return {};
  ::tzset();  // timegm(3) of a certificate's dates would read it later
  return os::confine(reach, role);
}

os::Reach reading(const std::vector<std::string>& files) {
  os::Reach reach{.tcp_listens = false};
  for (const std::string& file : files) os::add_places(reach.read, file);
  if constexpr (os::kInstrumented) reach.replace.push_back("/");
  return reach;
}

}  // namespace

os::Reach reach_of(const Plan& plan) { return reading({plan.certificate, plan.key}); }

os::Reach reach_of(const ClientPlan& plan) {
  std::vector<std::string> files;
  for (const std::string& root : plan.roots) {
    if (!root.empty()) {
      files.push_back(root);
    } else {
      for (const std::string& file : tls::system_root_files()) files.push_back(file);
    }
  }
  os::Reach reach = reading(files);
  reach.tcp_to = plan.ports;
  return reach;
}

void shut_in_keeper(const Plan& plan) { shut_in_keeper_as(os::ThreadRole::keeper, plan.sandbox); }
void shut_in_keeper(const ClientPlan& plan) {
  shut_in_keeper_as(os::ThreadRole::client_keeper, plan.sandbox);
}

os::Confinement shut_in(const Plan& plan) {
  return shut_in_as(os::ThreadRole::key_establishment, plan.sandbox, reach_of(plan));
}
os::Confinement shut_in(const ClientPlan& plan) {
  return shut_in_as(os::ThreadRole::key_client, plan.sandbox, reach_of(plan));
}

}  // namespace ntp::ke
