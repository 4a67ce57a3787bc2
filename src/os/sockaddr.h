// Endpoint <-> sockaddr.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "base/ip.h"

namespace ntp::os {

inline sockaddr_storage to_sockaddr(const Endpoint& endpoint, socklen_t& size) noexcept {
  sockaddr_storage storage{};
  if (endpoint.address.is_v4()) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.port);
    std::memcpy(&v4.sin_addr, endpoint.address.octets.data(), sizeof v4.sin_addr);
    std::memcpy(&storage, &v4, sizeof v4);
    size = sizeof v4;
  } else {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(endpoint.port);
    v6.sin6_scope_id = endpoint.scope;
    std::memcpy(&v6.sin6_addr, endpoint.address.octets.data(), sizeof v6.sin6_addr);
    std::memcpy(&storage, &v6, sizeof v6);
    size = sizeof v6;
  }
  return storage;
}

inline Endpoint to_endpoint(const sockaddr_storage& storage) noexcept {
  Endpoint endpoint;
  if (storage.ss_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &storage, sizeof v6);
    endpoint.address.family = IpAddress::Family::v6;
    std::memcpy(endpoint.address.octets.data(), &v6.sin6_addr, sizeof v6.sin6_addr);
    endpoint.port = ntohs(v6.sin6_port);
    endpoint.scope = v6.sin6_scope_id;
  } else {
    sockaddr_in v4;
    std::memcpy(&v4, &storage, sizeof v4);
    std::memcpy(endpoint.address.octets.data(), &v4.sin_addr, sizeof v4.sin_addr);
    endpoint.port = ntohs(v4.sin_port);
  }
  return endpoint;
}

class SocketAddress {
 public:
  SocketAddress() noexcept : size_(sizeof storage_) {}
  explicit SocketAddress(const Endpoint& endpoint) noexcept
      : storage_(to_sockaddr(endpoint, size_)) {}

  sockaddr* get() noexcept { return reinterpret_cast<sockaddr*>(&storage_); }
  const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t size() const noexcept { return size_; }
  socklen_t* size_for_kernel() noexcept { return &size_; }
  Endpoint endpoint() const noexcept { return to_endpoint(storage_); }

 private:
  socklen_t size_ = 0;
  sockaddr_storage storage_{};
};

}  // namespace ntp::os
