// What the configuration says of a source.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "client/association.h"

namespace ntp::client {

inline constexpr int kMostPoolMembers = 16;

enum class SourceMode : std::uint8_t {
  server,  // one host: one of its addresses is used, the others are spare
  pool,    // a name of many hosts: up to max_sources of its addresses are used
};

struct SourceOptions {
  std::string host{};  // a name, or an address in numbers
  std::uint16_t port = 123;
  SourceMode mode = SourceMode::server;
  bool iburst = true;
  int minpoll = 6;  // log2 s
  int maxpoll = 10;
  bool prefer = false;
  bool trust = false;
  bool noselect = false;
  bool require = false;
  int version = 4;
  bool nts = false;
  int nts_port = 4460;   // TCP, of key establishment
  std::string nts_ca{};  // file of the roots that its certificate must lead to; empty: the system's
  int key = 0;           // number of a symmetric key; 0: none
  std::chrono::nanoseconds max_delay{std::chrono::seconds(3)};
  int max_sources = 4;  // of a pool; also the most that are taken from one answer of the resolver

  AssociationOptions association() const noexcept {
    return {.version = static_cast<std::uint8_t>(version),
            .iburst = iburst,
            .minpoll = minpoll,
            .maxpoll = maxpoll,
            .max_delay_s = seconds(max_delay),
            .nts = nts,
            .key = static_cast<std::uint32_t>(key)};
  }
  // The same host for the resolver and for a reload, whatever else is set; what proves it is a part
  // of who it is.
  bool same_host(const SourceOptions& other) const {
    return host == other.host && port == other.port && mode == other.mode && nts == other.nts &&
           nts_port == other.nts_port && nts_ca == other.nts_ca && key == other.key;
  }

  friend bool operator==(const SourceOptions&, const SourceOptions&) = default;
};

}  // namespace ntp::client
