// The configuration's access rules as the listeners have them.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "base/ip.h"
#include "config/settings.h"
#include "server/access.h"

namespace ntp::daemon {

// Tables are null where everybody is answered.
struct AccessPlan {
  std::shared_ptr<const server::AccessTable> general{};
  std::vector<std::pair<Endpoint, std::shared_ptr<const server::AccessTable>>> own{};

  // Of the listener that was asked for as `listener`.
  const std::shared_ptr<const server::AccessTable>& of(const Endpoint& listener) const noexcept;
};

AccessPlan access_plan(const config::AccessSettings& access);

}  // namespace ntp::daemon
