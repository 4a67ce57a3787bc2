// The shell of client::Client: sockets, names and clocks for the sources of the configuration.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "client/client.h"
#include "daemon/clock_files.h"
#include "daemon/key_establisher.h"
#include "daemon/log.h"
#include "daemon/time_settings.h"
#include "os/client_socket.h"
#include "os/poll_loop.h"
#include "os/random.h"
#include "os/resolver.h"

namespace ntp::daemon {

// Lives in one loop and its thread, which must outlive it.
class SourceKeeper {
 public:
  // `decided` is called after every decision.
  SourceKeeper(os::PollLoop& loop, Log& log, int precision, const TimeSettings& settings,
               std::function<void()> decided);
  ~SourceKeeper();

  void configure(const TimeSettings& settings);

  const client::Client& client() const noexcept { return client_; }
  std::optional<control::KeProcess> key_process() const { return establisher_.process(); }

 private:
  struct Exchange {
    explicit Exchange(os::ClientSocket opened) : socket(std::move(opened)) {}
    os::ClientSocket socket;
    Endpoint server{};
    os::PollLoop::Id watch{};
  };

  void on_timer();
  void send(const client::Outgoing& outgoing);
  void look_up(const client::Resolve& resolve);
  void establish(const client::Establish& wanted);
  void on_established(client::AssociationId id, nts::Establishment outcome,
                      const std::optional<IpAddress>& server);
  void on_ready(client::AssociationId id);
  void close(client::AssociationId id);
  void settle();  // after whatever made the client act
  void look_around();
  void save();
  void save_nts();
  void read_leap_seconds();

  os::PollLoop& loop_;
  Log& log_;
  std::function<void()> decided_;
  os::KernelRandom random_;
  TimeSettings settings_;
  LeapFile leap_file_;
  StateFile state_;
  NtsFile nts_;
  client::Client client_;
  os::Resolver resolver_;
  KeyEstablisher establisher_;
  std::map<client::AssociationId, std::unique_ptr<Exchange>> exchanges_;
  os::PollLoop::Id timer_{};
  os::PollLoop::Id looks_{};
  os::PollLoop::Id saves_{};
};

}  // namespace ntp::daemon
