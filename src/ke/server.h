// The loop of the key establishment process: one thread over epoll(7), bounded in everything.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/settings.h"
#include "ke/door.h"
#include "ke/files.h"
#include "ke/message.h"
#include "ke/session.h"
#include "os/fd.h"

namespace ntp::ke {

struct Plan {
  std::vector<int> listeners{};  // bound TCP sockets (ke/listen.h)
  std::string certificate{};
  std::string key{};
  std::uint16_t ntp_port = 123;  // where clients are to ask for the time
  config::Sandbox sandbox = config::Sandbox::automatic;
};

inline constexpr std::chrono::seconds kDeadline{5};  // of a connection as a whole
inline constexpr std::chrono::seconds kIdle{2};      // without an octet
inline constexpr std::chrono::seconds kLinger{1};    // for the other end to close
inline constexpr std::chrono::seconds kGrace{2};     // for those that are there when we end
inline constexpr std::size_t kMostOctets = std::size_t{64} << 10;  // from one connection

class Server {
 public:
  // `channel` is our end of the pair with the server's main process; its end of stream is our order
  // to stop.
  Server(const Plan& plan, int channel);
  // Everything that needs more than the sandbox grants.
  bool prepare();
  void run();
  bool tell(const Message& message);

 private:
  using Id = Door::Id;
  struct Connection {
    os::Fd fd{};
    RawTime entered{};
    RawTime heard{};
    std::vector<std::byte> first{};  // a part of the first record
    std::size_t octets = 0;
    std::unique_ptr<Session> session{};
    int progress = 0;
    bool sends = false;  // epoll tells when it can go on
    bool counted = false;
    bool lingers = false;  // everything is said
  };

  bool watch(int fd, std::uint64_t id, std::uint32_t events, int how);
  void take_turn(std::chrono::milliseconds longest);
  void listen_when_ready();
  void accept_some(int listener);
  bool accept_one(int listener);
  bool make_room();
  void serve(Id id, std::uint32_t events);
  bool receive(Id id, Connection& connection);
  bool hear_out(Id id, Connection& connection, bool orderly);
  bool take_octets(Id id, Connection& connection, std::span<const std::byte> octets);
  bool begin_talk(Id id, Connection& connection);
  bool talk(Id id, Connection& connection, std::span<const std::byte> octets);
  bool send(Id id, Connection& connection);
  void count(Connection& connection, control::KeOutcome outcome);
  void end(Id id, control::KeOutcome outcome);
  void look_at_clocks();
  void read_channel();
  void obey(const Message& message);
  void look_at_files(bool anyway);
  void report();
  void stop_accepting();

  std::vector<int> listeners_;
  int channel_;
  CertificateFiles files_;
  Mint mint_;
  Door door_;
  os::Fd epoll_;
  std::unordered_map<Id, Connection> connections_;
  Id last_id_ = 0;
  RawTime now_{};
  RawTime looked_{};        // at the files
  RawTime swept_{};         // for connections that are over
  RawTime paused_until_{};  // no descriptor was to be had
  bool listening_ = false;
  std::string deaf_;  // why not, as it was told
  bool paused_ = false;
  bool stopping_ = false;
  RawTime stop_at_{};
  control::KeCounters counters_{};
  control::KeCounters reported_{};
  RawTime reported_at_{};
  control::KeCertificate shown_{};
};

}  // namespace ntp::ke
