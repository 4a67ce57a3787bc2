// The loop of the process that establishes keys with other servers for our sources: one thread over
// poll(2), bounded in everything. It looks no names up and knows no clock but for its deadlines.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "config/settings.h"
#include "ke/client_message.h"
#include "ke/client_session.h"
#include "os/fd.h"
#include "os/secret_file.h"

namespace ntp::ke {

struct ClientPlan {
  std::vector<std::string> roots{};    // files of root certificates; empty: the system's
  std::vector<std::uint16_t> ports{};  // of the servers, for the sandbox
  config::Sandbox sandbox = config::Sandbox::automatic;
};

inline constexpr std::chrono::seconds kClientDeadline{10};  // from connect to the last cookie
inline constexpr std::size_t kMostTalks = 16;               // at a time
inline constexpr std::size_t kMostWishes = 256;             // that wait
inline constexpr std::size_t kMostFromServer = std::size_t{128} << 10;  // octets

// One key establishment over a socket that does not block. Wait for events(), then proceed().
class Talk {
 public:
  Talk(const Wish& wish, const tls::ClientContext& context, RawTime now);

  int fd() const noexcept { return fd_.get(); }
  short events() const noexcept;
  void proceed(RawTime now);
  RawTime deadline() const noexcept { return begun_ + kClientDeadline; }

  std::uint32_t number() const noexcept { return number_; }
  const std::optional<nts::Establishment>& outcome() const noexcept { return outcome_; }
  const ClientSession& session() const noexcept { return session_; }

 private:
  bool connect(const Endpoint& server);
  void finish_connect();
  void send();
  void receive();
  void fail(nts::KeTrouble trouble, const std::string& why);

  std::uint32_t number_;
  RawTime begun_;
  std::string server_;
  ClientSession session_;
  os::Fd fd_;
  bool connected_ = false;
  std::size_t octets_ = 0;
  std::optional<nts::Establishment> outcome_;
};

class Client {
 public:
  // `channel` is our end of the pair; its end of stream is our order to stop.
  Client(const ClientPlan& plan, int channel);
  // Everything that needs more than the sandbox grants: the roots are read for the first time.
  bool prepare();
  void run();

 private:
  struct Roots {
    std::string file{};
    os::FileMark mark{};
    std::optional<tls::ClientContext> context{};
    std::string problem{};
  };

  void take_turn();
  void read_channel();
  void begin_talks();
  void begin(const Wish& wish);
  void look_at(Roots& roots);
  void answer(std::uint32_t number, nts::Establishment outcome);

  int channel_;
  std::vector<Roots> roots_;
  std::deque<Wish> wishes_;
  std::vector<std::unique_ptr<Talk>> talks_;
  bool stopping_ = false;
};

}  // namespace ntp::ke
