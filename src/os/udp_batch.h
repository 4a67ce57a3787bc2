// A batch of datagrams in and their replies out, in arrays made once.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/time.h"
#include "nts/request.h"
#include "server/responder.h"
#include "wire/packet.h"

namespace ntp::os {

// How the kernel is asked: many datagrams a call, or one (simulators and the smallest machines).
enum class Calls : bool { one, many };

// Not thread-safe; about 230 KiB, so it lives on the heap. After receive() the slots 0..n-1 hold
// datagrams until the next receive().
class UdpBatch {
 public:
  static constexpr std::size_t kSlots = 64;

  UdpBatch(bool is_v4, std::uint16_t local_port, Calls calls) noexcept;

  // Number of datagrams; 0 when there is none now: a timeout, a signal, or what failure() then
  // tells.
  std::size_t receive(int fd, bool wait) noexcept;

  bool is_single() const noexcept { return calls_ == Calls::one; }

  // errno of the last receive() when it failed for a reason that waiting does not cure, else 0.
  int failure() const noexcept { return failure_; }

  // What arrived in a slot. Borrowed until the next receive().
  server::Arrival arrival(std::size_t slot) const noexcept;
  // When the kernel took it from the network (CLOCK_REALTIME), if it said so.
  std::optional<RealTime> stamp(std::size_t slot) const noexcept { return stamps_[slot]; }

  // How many datagrams the kernel has dropped since the socket was opened, its queue being full, as
  // of the last one that told (modulo 2^32; SO_RXQ_OVFL).
  std::uint32_t lost() const noexcept { return lost_; }

  // Room for the `size` octets to send back to a slot's source from the address that it asked.
  std::span<std::byte> reply(std::size_t slot, std::size_t size) noexcept;
  // Appends a slot to the replies to send, in order, with the size that reply() was asked for last.
  void queue(std::size_t slot) noexcept;
  std::size_t queued() const noexcept { return queued_; }
  // Sends what is queued and empties the queue. Returns how many the kernel accepted.
  std::size_t send(int fd) noexcept;

 private:
  // One octet more than is ever looked at, so that a longer datagram is seen to be cut.
  static constexpr std::size_t kBufferSize = wire::kMaxPacketSize + 1;
  static constexpr std::size_t kControlSize = 128;
  // The largest reply, aligned so that a plain one lies within one line of the cache.
  static constexpr std::size_t kReplySize = (nts::kMaxReply + 63) / 64 * 64;

  void arm() noexcept;
  int ask_kernel(int fd, bool wait) noexcept;
  void read_control(std::size_t slot) noexcept;

  bool is_v4_;
  std::uint16_t local_port_;
  Calls calls_;
  int failure_ = 0;
  std::uint32_t lost_ = 0;
  std::size_t queued_ = 0;
  std::size_t dirty_ = kSlots;  // slots whose headers the last receive changed
  std::array<std::array<std::byte, kBufferSize>, kSlots> buffers_{};
  alignas(cmsghdr) std::array<std::array<std::byte, kControlSize>, kSlots> control_{};
  alignas(cmsghdr) std::array<std::array<std::byte, kControlSize>, kSlots> reply_control_{};
  std::array<sockaddr_in6, kSlots> names_{};  // large enough for both families
  std::array<iovec, kSlots> vectors_{};
  std::array<mmsghdr, kSlots> messages_{};
  std::array<std::optional<RealTime>, kSlots> stamps_{};
  std::array<IpAddress, kSlots> asked_{};
  std::array<unsigned, kSlots> interfaces_{};
  std::array<bool, kSlots> to_many_{};
  // Not set to zero: what no reply has needed costs no memory.
  alignas(64) std::array<std::array<std::byte, kReplySize>, kSlots> replies_;
  std::array<std::size_t, kSlots> reply_sizes_{};
  std::array<iovec, kSlots> reply_vectors_{};
  std::array<mmsghdr, kSlots> reply_messages_{};
};

}  // namespace ntp::os
