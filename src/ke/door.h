// Who may come in, who stays and who has to make room: the book of open connections. Pure.
//
// Nobody is turned away because others sit around: where there is no room, the connection goes that
// has achieved nothing for the longest time, of the newcomer's own network (/24, /56) if that holds
// too many, else of all. Guests that have said enough for a handshake cost memory; there are fewer
// places for them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

#include "base/ip.h"
#include "base/time.h"

namespace ntp::ke {

struct DoorLimits {
  // Connections that have not said enough yet, in all and of one network. They cost some 4 KB each,
  // most of it the kernel's.
  std::size_t waiting = 12'288;
  std::size_t waiting_of_network = 10'240;
  // Those in a handshake, at some 50 KB.
  std::size_t talking = 512;
  std::size_t talking_of_network = 256;
  std::size_t total = 12'800;  // both, by the descriptors that there are
  // Handshakes of one network, on average: a processor does hardly more.
  double rate_hz = 1500;
  double burst = 3000;
};

class Door {
 public:
  using Id = std::uint64_t;  // the caller's, never reused

  explicit Door(DoorLimits limits) : limits_(limits) {}

  // Who has to go before one from `address` can come in.
  std::optional<Id> crowded_by(const IpAddress& address) const;
  void enter(Id id, const IpAddress& address, RawTime now);

  // Its first record is there: a handshake begins. False: its network has had too many lately, and
  // it has to go.
  bool may_talk(Id id, RawTime now);
  // Who has to go before this one can talk.
  std::optional<Id> crowded_by_talk(Id id) const;
  void talk(Id id);

  void progress(Id id);  // it has achieved something
  void leave(Id id);

  // Who would have to go first, for example when descriptors run out.
  std::optional<Id> idlest() const;
  std::size_t size() const noexcept { return guests_.size(); }
  std::size_t networks() const noexcept { return networks_.size(); }  // that are remembered

 private:
  enum class Room : std::uint8_t { waiting, talking };
  using Prefix = std::array<std::uint8_t, 9>;  // family, then the leading octets
  using Order = std::map<std::uint64_t, Id>;   // the idlest first

  struct Network {
    std::array<Order, 2> rooms{};
    double tokens = 0;
    RawTime at{};  // of tokens
  };
  struct Guest {
    Prefix prefix{};
    Room room = Room::waiting;
    std::uint64_t rank = 0;
  };

  static Prefix prefix_of(const IpAddress& address) noexcept;
  static std::optional<Id> first(const Order& order);
  Order& all(Room room) noexcept { return rooms_[static_cast<std::size_t>(room)]; }
  std::size_t size(Room room) const noexcept {
    return rooms_[static_cast<std::size_t>(room)].size();
  }
  std::optional<Id> crowded(const Prefix& prefix, Room room, std::size_t limit,
                            std::size_t limit_of_network) const;
  void put(Id id, Guest& guest);
  void take(Guest& guest);
  double tokens(const Network& network, RawTime now) const noexcept;
  void forget_networks(RawTime now);

  DoorLimits limits_;
  std::uint64_t last_rank_ = 0;
  std::map<Id, Guest> guests_;
  std::map<Prefix, Network> networks_;
  std::array<Order, 2> rooms_{};
};

}  // namespace ntp::ke
