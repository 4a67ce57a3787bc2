#include "http/server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "http/listen.h"
#include "os/sockaddr.h"
#include "os/udp_socket.h"

// The real server on a real socket, with a clock that only the tests move: no test waits for time.
namespace ntp::http {
namespace {

using namespace std::chrono_literals;

const std::string kGet = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kLastGet = "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
constexpr std::size_t kBigBody = 16 << 20;  // more than the kernel buffers

struct World {
  RawTime time{1000s};
  os::PollLoop loop{[this] { return time; }};
  Endpoint endpoint;
  int calls = 0;
  Server server;

  explicit World(Limits limits = {}, os::Fd listener = open())
      : endpoint(*os::local_endpoint(listener.get())),
        server(loop, std::move(listener), routes(), {.limits = limits}) {}

  static os::Fd open() { return std::move(*listen_on(*parse_endpoint("127.0.0.1", 0))); }

  Routes routes() {
    return {{"/hello",
             [this](const Request&) {
               ++calls;
               return Response{.body = "hello\n"};
             }},
            {"/big", [](const Request&) { return Response{.body = std::string(kBigBody, 'x')}; }}};
  }

  void turns(int count = 3) {
    for (int i = 0; i < count; ++i) loop.run_once(0s);
  }
  void pass(std::chrono::nanoseconds span) {
    time += span;
    turns();
  }
};

class Client {
 public:
  explicit Client(World& world) : world_(world) {
    const os::SocketAddress address(world.endpoint);
    fd_ = os::Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(fd_.get(), address.get(), address.size()), 0);
    world_.turns();
  }

  void send(std::string_view octets) {
    // A server that has hung up is a test's business, not a reason to die.
    (void)::send(fd_.get(), octets.data(), octets.size(), MSG_NOSIGNAL);
    world_.turns();
  }
  void finish() { ::shutdown(fd_.get(), SHUT_WR); }

  // What has come since the last look.
  std::string take() {
    receive();
    return std::exchange(received_, {});
  }
  std::string ask(std::string_view octets) {
    send(octets);
    return take();
  }
  bool hung_up() {
    receive();
    return closed_ || reset_;
  }
  bool reset() const { return reset_; }
  void close() { fd_.reset(); }

 private:
  void receive() {
    world_.turns();
    std::array<char, 65536> buffer;
    for (;;) {
      const ssize_t size = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (size == 0) closed_ = true;
      if (size < 0 && errno != EAGAIN) reset_ = true;
      if (size <= 0) return;
      received_.append(buffer.data(), static_cast<std::size_t>(size));
    }
  }

  World& world_;
  os::Fd fd_;
  std::string received_;
  bool closed_ = false;
  bool reset_ = false;
};

int count(std::string_view text, std::string_view what) {
  int found = 0;
  for (auto at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++found;
  return found;
}

TEST(HttpServer, AnswersAndKeepsTheConnection) {
  World world;
  Client client(world);
  for (int i = 0; i < 3; ++i) {
    const auto response = client.ask(kGet);
    EXPECT_TRUE(response.starts_with("HTTP/1.1 200 OK\r\n")) << response;
    EXPECT_TRUE(response.ends_with("\r\nConnection: keep-alive\r\n\r\nhello\n")) << response;
  }
  EXPECT_FALSE(client.hung_up());
  EXPECT_EQ(world.server.activity().connections, 1u);
  EXPECT_EQ(world.server.activity().responses, 3u);
}

TEST(HttpServer, HangsUpWhenAsked) {
  World world;
  Client client(world);
  EXPECT_TRUE(client.ask(kLastGet).ends_with("Connection: close\r\n\r\nhello\n"));
  EXPECT_TRUE(client.hung_up());
  EXPECT_FALSE(client.reset());
  client.close();
  world.turns();
  EXPECT_EQ(world.server.open_connections(), 0u);
}

TEST(HttpServer, AnswersErrorsInKind) {
  World world;
  const auto first_line = [&](std::string_view request) {
    Client client(world);
    const auto response = client.ask(request);
    return response.substr(0, response.find("\r\n"));
  };
  EXPECT_EQ(first_line("GET /none HTTP/1.0\r\n\r\n"), "HTTP/1.1 404 Not Found");
  EXPECT_EQ(first_line("GET /hello/ HTTP/1.0\r\n\r\n"), "HTTP/1.1 404 Not Found");
  EXPECT_EQ(first_line("POST /hello HTTP/1.0\r\n\r\n"), "HTTP/1.1 405 Method Not Allowed");
  EXPECT_EQ(first_line("nonsense\r\n\r\n"), "HTTP/1.1 400 Bad Request");
  EXPECT_EQ(first_line("\x16\x03\x01"), "HTTP/1.1 400 Bad Request");
  EXPECT_EQ(first_line("GET /hello HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc"),
            "HTTP/1.1 413 Content Too Large");
  EXPECT_EQ(first_line("GET /" + std::string(9000, 'a')), "HTTP/1.1 414 URI Too Long");
  EXPECT_EQ(first_line("GET / HTTP/1.0\r\nA: " + std::string(9000, 'a')),
            "HTTP/1.1 431 Request Header Fields Too Large");
  EXPECT_EQ(world.calls, 0);
}

TEST(HttpServer, TheAnswerToAnUploadIsNotLostToAReset) {
  World world;
  Client client(world);
  client.send("POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n" +
              std::string(30000, 'x'));
  EXPECT_TRUE(client.take().starts_with("HTTP/1.1 405 ")) << "reset: " << client.reset();
  EXPECT_FALSE(client.reset());
}

TEST(HttpServer, AnEndlessUploadIsCutOff) {
  World world;
  Client client(world);
  client.send("POST /hello HTTP/1.1\r\nHost: a\r\n\r\n");
  for (int i = 0; i < 20; ++i) client.send(std::string(8192, 'x'));
  world.turns(20);
  EXPECT_EQ(world.server.open_connections(), 0u);
}

TEST(HttpServer, ServesARequestThatComesOctetByOctet) {
  World world;
  Client client(world);
  for (const char octet : kGet) client.send({&octet, 1});
  EXPECT_TRUE(client.take().ends_with("hello\n"));
  EXPECT_EQ(world.calls, 1);
}

TEST(HttpServer, ServesPipelinedRequestsOneATurn) {
  World world;
  Client client(world);
  std::string ten;
  for (int i = 0; i < 10; ++i) ten += kGet;
  client.send(ten);
  EXPECT_LT(world.calls, 10) << "one client must not get ten turns in a row";
  world.turns(20);
  EXPECT_EQ(count(client.take(), "hello\n"), 10);
  EXPECT_FALSE(client.hung_up());
}

TEST(HttpServer, EndsAConnectionAfterItsShareOfRequests) {
  World world({.requests = 5});
  Client client(world);
  std::string ten;
  for (int i = 0; i < 10; ++i) ten += kGet;
  client.send(ten);
  world.turns(20);
  const auto text = client.take();
  EXPECT_EQ(count(text, "hello\n"), 5);
  EXPECT_EQ(count(text, "Connection: close"), 1);
  EXPECT_TRUE(client.hung_up());
}

TEST(HttpServer, AnswersAClientThatHasClosedItsHalf) {
  World world;
  Client client(world);
  client.finish();
  Client other(world);
  other.send(kGet);
  other.finish();
  EXPECT_TRUE(other.take().ends_with("hello\n"));
  EXPECT_TRUE(other.hung_up());
  EXPECT_TRUE(client.hung_up());
  EXPECT_EQ(world.server.open_connections(), 0u);
}

TEST(HttpServer, SurvivesAClientThatIsGoneMidWay) {  // no SIGPIPE, no spinning, no leak
  World world;
  for (const std::string& part : {std::string(), kGet.substr(0, 10), kGet}) {
    Client client(world);
    client.send(part);
    client.close();
    world.turns();
    EXPECT_EQ(world.server.open_connections(), 0u) << part;
  }
  Client reader(world);
  reader.send("GET /big HTTP/1.0\r\n\r\n");
  EXPECT_FALSE(reader.take().empty());
  reader.close();
  world.turns();
  EXPECT_EQ(world.server.open_connections(), 0u);
}

TEST(HttpServer, ASlowWriterHasTwoSeconds) {
  World world;
  Client client(world);
  for (int i = 0; i < 4; ++i) {  // activity does not extend the deadline
    client.send("G");
    world.pass(400ms);
    EXPECT_FALSE(client.hung_up()) << i;
  }
  world.pass(400ms);
  EXPECT_TRUE(client.take().starts_with("HTTP/1.1 408 "));
  client.close();
  world.turns();
  EXPECT_EQ(world.server.open_connections(), 0u);
  EXPECT_EQ(world.server.activity().timed_out, 1u);
}

TEST(HttpServer, ASlowReaderHasTwoSeconds) {
  World world;
  Client client(world);
  client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_GT(client.take().size(), 1000u);
  world.pass(1900ms);
  EXPECT_EQ(world.server.open_connections(), 1u);
  world.pass(200ms);
  EXPECT_EQ(world.server.open_connections(), 0u);
  EXPECT_EQ(world.server.activity().timed_out, 1u);
}

TEST(HttpServer, AReaderThatKeepsUpGetsABigBodyWhole) {
  World world;
  Client client(world);
  client.send("GET /big HTTP/1.0\r\n\r\n");
  for (int i = 0; i < 100'000 && !client.hung_up(); ++i) {
  }
  const auto response = client.take();
  EXPECT_EQ(response.size() - response.find("\r\n\r\n") - 4, kBigBody);
}

TEST(HttpServer, IdleConnectionsEndAfterFiveSecondsSilentOnesAfterTwo) {
  World world;
  Client silent(world);
  Client idle(world);
  EXPECT_FALSE(idle.ask(kGet).empty());
  world.pass(2100ms);
  EXPECT_TRUE(silent.hung_up());
  EXPECT_FALSE(idle.hung_up());
  EXPECT_FALSE(idle.ask(kGet).empty());
  world.pass(4900ms);
  EXPECT_FALSE(idle.hung_up());
  world.pass(200ms);
  EXPECT_TRUE(idle.hung_up());
  EXPECT_EQ(world.server.open_connections(), 0u);
  EXPECT_EQ(world.server.activity().timed_out, 0u) << "nobody was kept waiting";
}

TEST(HttpServer, SlowClientsCannotKeepANewOneOut) {
  World world;
  std::vector<std::unique_ptr<Client>> slow;
  for (int i = 0; i < 100; ++i) {
    slow.push_back(std::make_unique<Client>(world));
    slow.back()->send(i % 2 ? "GET /hello HT" : "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_LE(world.server.open_connections(), 32u);
    if (i % 10 == 9) {
      Client scraper(world);
      EXPECT_TRUE(scraper.ask(kLastGet).ends_with("hello\n")) << i;
    }
  }
  EXPECT_GE(world.server.activity().evicted, 68u);
}

TEST(HttpServer, AnIdleConnectionMakesRoomBeforeOneThatIsBeingServed) {
  World world({.connections = 2});
  Client busy(world);
  busy.send("GET /hel");
  Client idle(world);
  EXPECT_FALSE(idle.ask(kGet).empty());
  Client third(world);
  EXPECT_TRUE(idle.hung_up());
  EXPECT_TRUE(busy.ask("lo HTTP/1.0\r\n\r\n").ends_with("hello\n"));
}

TEST(HttpServer, OutOfDescriptorsItPausesInsteadOfSpinning) {
  World world;
  Client waiting(world);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  // The next client takes the last number below the limit; accepting it finds none.
  const os::Fd probe(::fcntl(0, F_DUPFD_CLOEXEC, 0));
  const rlimit tight{static_cast<rlim_t>(probe.get()) + 1, before.rlim_max};
  const int last = probe.get();
  const_cast<os::Fd&>(probe).reset();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  Client refused(world);
  const auto tries = world.server.activity().refused;
  world.turns(100);
  EXPECT_EQ(world.server.activity().refused, tries) << "it spins";
  EXPECT_EQ(tries, 1u) << "descriptor " << last;
  EXPECT_TRUE(waiting.hung_up()) << "the oldest connection gave up its descriptor";
  world.pass(300ms);
  EXPECT_TRUE(refused.ask(kGet).ends_with("hello\n")) << "served after the pause";
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST(HttpServer, DestroyingItClosesEverything) {
  RawTime time{1000s};
  os::PollLoop loop([&] { return time; });
  Endpoint endpoint;
  {
    auto listener = World::open();
    endpoint = *os::local_endpoint(listener.get());
    Server server(loop, std::move(listener), {});
  }
  time += 100s;
  EXPECT_EQ(loop.run_once(0s), os::PollLoop::Turn::ran);
  EXPECT_TRUE(listen_on(endpoint).has_value()) << "the address is free again";
}

TEST(ListenOn, ReportsAnAddressInUse) {
  const auto first = World::open();
  const auto endpoint = *os::local_endpoint(first.get());
  const auto second = listen_on(endpoint);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, EADDRINUSE);
  EXPECT_EQ(second.error().text(),
            "bind HTTP to " + to_string(endpoint) + ": Address already in use");
}

TEST(ListenOn, MakesASocketThatNeitherBlocksNorIsInherited) {
  const auto fd = World::open();
  EXPECT_NE(::fcntl(fd.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC, 0);
}

}  // namespace
}  // namespace ntp::http
