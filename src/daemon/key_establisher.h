// Asks the process of key establishment (ke/client.h) for the keys of sources.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>

#include "client/source_set.h"
#include "control/log_format.h"
#include "daemon/log.h"
#include "daemon/time_settings.h"
#include "ke/client_message.h"
#include "ke/message.h"
#include "os/poll_loop.h"
#include "os/resolver.h"

namespace ntp::daemon {

// Lives in one loop and its thread, which must outlive it, as must the channel.
class KeyEstablisher {
 public:
  // `server` is the address of the server of time that the answer names; empty: it names none.
  using Done = std::function<void(client::AssociationId, nts::Establishment,
                                  const std::optional<IpAddress>& server)>;

  KeyEstablisher(os::PollLoop& loop, Log& log, os::Resolver& resolver, KeyChannel channel,
                 std::uint32_t first_number, Done done);
  ~KeyEstablisher();
  KeyEstablisher(const KeyEstablisher&) = delete;
  KeyEstablisher& operator=(const KeyEstablisher&) = delete;

  std::optional<control::KeProcess> process() const;  // empty: there is none

  // Sooner or later `done` is called, perhaps at once; at the end of the process at the latest.
  void begin(const client::Establish& wanted, const tls::CertificateTimes& times);

 private:
  void collect();
  void take(const ke::Answered& answered);
  void take(const ke::Message& message);
  void find_server(client::AssociationId id, nts::Established established);
  void fail(client::AssociationId id, nts::KeTrouble trouble, std::string why);
  void lose_all(const std::string& why);

  os::PollLoop& loop_;
  Log& log_;
  os::Resolver& resolver_;
  KeyChannel channel_;
  Done done_;
  os::PollLoop::Id watch_{};
  bool watching_ = false;
  std::uint32_t next_number_;
  std::map<std::uint32_t, client::AssociationId> open_;
  control::LogLimiter lines_;
};

}  // namespace ntp::daemon
