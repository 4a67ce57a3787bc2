#include "client/exchange.h"

#include <algorithm>

#include "wire/packet.h"

namespace ntp::client {

wire::Header make_request(std::uint64_t nonce, std::uint8_t version) noexcept {
  wire::Header request;
  request.version = version;
  request.mode = wire::Mode::client;
  request.xmt = {nonce};
  return request;
}

Path path_of(const wire::Header& reply, RealTime sent, RealTime received) noexcept {
  const double there_s = difference_s(reply.rec, NtpTimestamp::from(sent));
  const double back_s = difference_s(reply.xmt, NtpTimestamp::from(received));
  return {.offset_s = (there_s + back_s) / 2, .delay_s = there_s - back_s};
}

std::string_view describe(Mismatch mismatch) noexcept {
  switch (mismatch) {
    case Mismatch::malformed:
      return "the answer is not an NTP packet";
    case Mismatch::not_a_reply:
      return "the answer is not a server's";
    case Mismatch::not_ours:
      return "the answer belongs to another question";
    case Mismatch::kiss:
      return "the server sent a kiss of death";
  }
  return {};
}

std::expected<Measurement, Mismatch> measure(std::span<const std::byte> datagram,
                                             std::uint64_t nonce, RealTime sent,
                                             RealTime received) noexcept {
  const auto packet = wire::parse_packet(datagram);
  if (!packet) return std::unexpected(Mismatch::malformed);
  const wire::Header& reply = packet->header;
  if (reply.mode != wire::Mode::server) return std::unexpected(Mismatch::not_a_reply);
  if (reply.org.bits != nonce) return std::unexpected(Mismatch::not_ours);
  if (reply.stratum == 0 && reply.refid != 0 && reply.rec.bits == 0) {
    return std::unexpected(Mismatch::kiss);
  }
  const Path path = path_of(reply, sent, received);
  Measurement result{.reply = reply, .offset_s = path.offset_s};
  result.delay_s = std::max(0.0, path.delay_s);
  result.root_distance_s =
      reply.root_delay.seconds() / 2 + reply.root_dispersion.seconds() + result.delay_s / 2;
  return result;
}

}  // namespace ntp::client
