#include "ke/door.h"

#include <algorithm>

#include "base/check.h"

namespace ntp::ke {
namespace {

// Networks without a guest are remembered for their rate alone, and only so many.
constexpr std::size_t kMostNetworks = 8192;

}  // namespace

Door::Prefix Door::prefix_of(const IpAddress& address) noexcept {
  const IpAddress plain = unmapped(address);
  const std::size_t size = plain.is_v4() ? 3 : 7;
  Prefix prefix{};
  prefix[0] = static_cast<std::uint8_t>(plain.family);
  std::copy_n(plain.octets.begin(), size, prefix.begin() + 1);
  return prefix;
}

std::optional<Door::Id> Door::first(const Order& order) {
  if (order.empty()) return std::nullopt;
  return order.begin()->second;
}

std::optional<Door::Id> Door::crowded(const Prefix& prefix, Room room, std::size_t limit,
                                      std::size_t limit_of_network) const {
  const auto network = networks_.find(prefix);
  const auto index = static_cast<std::size_t>(room);
  if (network != networks_.end() &&
      network->second.rooms[index].size() >= std::min(limit, limit_of_network)) {
    return first(network->second.rooms[index]);
  }
  return size(room) >= limit ? first(rooms_[index]) : std::nullopt;
}

std::optional<Door::Id> Door::crowded_by(const IpAddress& address) const {
  const std::size_t limit = std::min(limits_.waiting, limits_.total);
  if (const auto id =
          crowded(prefix_of(address), Room::waiting, limit, limits_.waiting_of_network)) {
    return id;
  }
  return guests_.size() >= limits_.total ? idlest() : std::nullopt;
}

void Door::enter(Id id, const IpAddress& address, RawTime now) {
  const Prefix prefix = prefix_of(address);
  if (networks_.size() >= kMostNetworks && !networks_.contains(prefix)) forget_networks(now);
  const auto [network, is_new] = networks_.try_emplace(prefix);
  if (is_new) {
    network->second.tokens = limits_.burst;
    network->second.at = now;
  }
  const auto [guest, entered] = guests_.try_emplace(id, Guest{.prefix = prefix});
  NTP_CHECK(entered);
  put(id, guest->second);
}

bool Door::may_talk(Id id, RawTime now) {
  Network& network = networks_.at(guests_.at(id).prefix);
  network.tokens = tokens(network, now);
  network.at = now;
  if (network.tokens < 1) return false;
  network.tokens -= 1;
  return true;
}

std::optional<Door::Id> Door::crowded_by_talk(Id id) const {
  return crowded(guests_.at(id).prefix, Room::talking, std::min(limits_.talking, limits_.total),
                 limits_.talking_of_network);
}

void Door::talk(Id id) {
  Guest& guest = guests_.at(id);
  take(guest);
  guest.room = Room::talking;
  put(id, guest);
}

void Door::progress(Id id) {
  Guest& guest = guests_.at(id);
  take(guest);
  put(id, guest);
}

void Door::leave(Id id) {
  const auto guest = guests_.find(id);
  NTP_CHECK(guest != guests_.end());
  take(guest->second);
  guests_.erase(guest);
}

std::optional<Door::Id> Door::idlest() const {
  const auto& [waiting, talking] = rooms_;
  if (waiting.empty()) return first(talking);
  if (talking.empty()) return first(waiting);
  return first(waiting.begin()->first < talking.begin()->first ? waiting : talking);
}

void Door::put(Id id, Guest& guest) {
  guest.rank = ++last_rank_;
  all(guest.room).emplace(guest.rank, id);
  networks_.at(guest.prefix).rooms[static_cast<std::size_t>(guest.room)].emplace(guest.rank, id);
}

void Door::take(Guest& guest) {
  all(guest.room).erase(guest.rank);
  networks_.at(guest.prefix).rooms[static_cast<std::size_t>(guest.room)].erase(guest.rank);
}

double Door::tokens(const Network& network, RawTime now) const noexcept {
  const double grown = network.tokens + limits_.rate_hz * seconds(now - network.at);
  return std::clamp(grown, 0.0, limits_.burst);
}

// Whoever has a full bucket loses nothing; then whoever is not here. Never one with guests.
void Door::forget_networks(RawTime now) {
  const auto is_away = [](const auto& entry) {
    return std::ranges::all_of(entry.second.rooms, &Order::empty);
  };
  std::erase_if(networks_, [&](const auto& entry) {
    return is_away(entry) && tokens(entry.second, now) >= limits_.burst;
  });
  if (networks_.size() >= kMostNetworks) std::erase_if(networks_, is_away);
}

}  // namespace ntp::ke
