#include "os/ntp_exchange.h"

#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/random.h>

#include <array>
#include <cstring>

#include "os/client_socket.h"
#include "os/clocks.h"
#include "os/machine.h"
#include "os/random.h"
#include "os/sockaddr.h"

namespace ntp::os {
namespace {

std::uint64_t nonce() noexcept {
  std::uint64_t value = 0;
  while (value == 0) {
    if (::getrandom(&value, sizeof value, 0) != sizeof value) value = random_seed();
  }
  return value;
}

// The answer to `value`, or why there is none.
std::expected<client::Measurement, std::string> await(const ClientSocket& socket,
                                                      std::uint64_t value, RealTime sent,
                                                      RawTime deadline, client::NtsSession* nts) {
  std::string refused;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - raw_now()).count();
    pollfd ready{.fd = socket.fd(), .events = POLLIN, .revents = 0};
    const int count = left > 0 ? ::poll(&ready, 1, static_cast<int>(left)) : 0;
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return std::unexpected("no answer" + refused);
    std::array<std::byte, 1500> buffer;
    const auto received = socket.receive(buffer);
    if (!received && received.error().code == EAGAIN) continue;
    if (!received) return std::unexpected(received.error().text());
    const auto datagram = std::span(buffer).first(received->size);
    auto measured = client::measure(datagram, value, sent, received->at.real);
    if (!measured && measured.error() != client::Mismatch::kiss) continue;
    if (nts != nullptr) {
      if (const auto opened = nts->open(datagram); !opened) {
        refused = fmt::format(" that its keys prove; one was refused: {}",
                              client::describe(opened.error()));
        continue;
      }
    }
    if (measured) return *measured;
    if (measured.error() == client::Mismatch::kiss) {
      return std::unexpected(std::string(client::describe(measured.error())));
    }
  }
}

}  // namespace

std::expected<std::vector<Endpoint>, std::string> resolve(const std::string& host,
                                                          std::uint16_t port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* list = nullptr;
  const int failure = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (failure != 0) return std::unexpected(std::string(::gai_strerror(failure)));
  std::vector<Endpoint> endpoints;
  for (const addrinfo* a = list; a != nullptr; a = a->ai_next) {
    sockaddr_storage storage{};
    std::memcpy(&storage, a->ai_addr, a->ai_addrlen);
    Endpoint endpoint = to_endpoint(storage);
    endpoint.port = port;
    endpoints.push_back(endpoint);
  }
  ::freeaddrinfo(list);
  return endpoints;
}

std::expected<client::Measurement, std::string> exchange(const Endpoint& server,
                                                         std::chrono::nanoseconds timeout,
                                                         client::NtsSession* nts) {
  const auto socket = ClientSocket::open(server);
  if (!socket) return std::unexpected(socket.error().text());
  const std::uint64_t value = nonce();
  std::vector<std::byte> request(wire::kHeaderSize);
  if (nts != nullptr) {
    KernelRandom random;
    request = nts->write_question(client::make_request(value), raw_now(), random);
    if (request.empty()) return std::unexpected("no cookie is left");
  } else {
    encode_header(client::make_request(value), std::span(request).first<wire::kHeaderSize>());
  }
  const RawTime deadline = raw_now() + timeout;
  const auto sent = socket->send(request);
  if (!sent) return std::unexpected(sent.error().text());
  return await(*socket, value, sent->real, deadline, nts);
}

}  // namespace ntp::os
