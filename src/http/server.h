// A small HTTP/1.1 server for reading out: GET and HEAD, no content, no TLS (docs/decisions says
// why it is our own). It is bounded in everything a client can make it spend.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "http/request.h"
#include "http/response.h"
#include "os/fd.h"
#include "os/poll_loop.h"

namespace ntp::http {

// Called in the loop's thread: what it does must be quick.
using Route = std::function<Response(const Request&)>;
using Routes = std::map<std::string, Route, std::less<>>;  // by exact path

struct Limits {
  std::size_t connections = 32;
  int requests = 100;  // of one connection
  // From the first octet of a request (or the connection's start) to the last of its response.
  std::chrono::nanoseconds request{std::chrono::seconds(2)};
  std::chrono::nanoseconds idle{std::chrono::seconds(5)};  // between two requests
  // After the last response, for the client to read it and close.
  std::chrono::nanoseconds linger{std::chrono::seconds(1)};
};

struct Options {
  Limits limits{};
  // The Date of responses; empty function or nullopt: none, as a clock not believed has to.
  std::function<std::optional<RealTime>()> date{};
};

struct Activity {  // since the start
  std::uint64_t connections = 0;
  std::uint64_t responses = 0;
  std::uint64_t evicted = 0;    // closed to make room for a newer connection
  std::uint64_t timed_out = 0;  // past Limits::request
  std::uint64_t refused = 0;    // accept failed for want of descriptors or memory
};

// Lives in one PollLoop, which must outlive it; destroying it closes every connection.
class Server {
 public:
  // `listener`: non-blocking and listening, see listen_on().
  Server(os::PollLoop& loop, os::Fd listener, Routes routes, Options options = {});
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  const Activity& activity() const noexcept { return activity_; }
  std::size_t open_connections() const noexcept { return open_; }

 private:
  enum class Phase : std::uint8_t {
    idle,       // between requests, nothing received
    reading,    // waiting for (the rest of) a request
    pending,    // the next request is here already; it gets its turn in the loop's next one
    writing,    // waiting for the client to read
    lingering,  // everything is sent; waiting for the client to close
    closed,     // to be swept
  };
  struct Connection {
    os::Fd fd;
    os::PollLoop::Id watch{};
    Phase phase = Phase::reading;
    RawTime since{};     // when the request under way, or the idling, began
    RawTime deadline{};  // of the phase
    std::string in;      // at most kMaxHead
    std::string out;
    std::size_t sent = 0;       // of `out`
    std::size_t discarded = 0;  // octets ignored while lingering
    int responses = 0;
    bool last = false;  // close after this response
  };

  void accept_some();
  void add(os::Fd fd);
  void pause_accepting();
  void evict_one();
  void on_ready(Connection& connection);
  void receive(Connection& connection);
  void serve(Connection& connection);
  void respond(Connection& connection, const Response& response, bool head_only);
  void flush(Connection& connection);
  void finish_response(Connection& connection);
  void discard(Connection& connection);
  void expire(Connection& connection);
  void close(Connection& connection) noexcept;
  void on_timer(RawTime now);
  void settle();

  os::PollLoop& loop_;
  os::Fd listener_;
  Routes routes_;
  Options options_;
  Activity activity_;
  std::size_t open_ = 0;
  std::vector<std::unique_ptr<Connection>> connections_;
  os::PollLoop::Id accepting_{};
  os::PollLoop::Id timer_{};
  os::PollLoop::Id resume_{};
};

}  // namespace ntp::http
