// One TLS connection without a socket, of either side: octets go in and out, the caller carries
// them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

struct ssl_st;

namespace ntp::tls {

// Why a connection failed. Each is a label of a counter.
enum class Failure : std::uint8_t {
  no_alpn,        // the client named no protocol
  wrong_alpn,     // only others
  version,        // the other end does not speak TLS 1.3
  no_agreement,   // no cipher, group or signature in common
  not_tls,        // something else altogether, HTTP for example
  refused_by_us,  // the other end broke the protocol in another way, or is not trusted
  refused_by_it,  // it sent an alert: it does not trust the certificate, for example
  broken_off,     // the stream ended without close_notify
};
inline constexpr std::array<std::string_view, 8> kFailureNames = {
    "no_alpn", "wrong_alpn",    "tls_version", "tls_no_agreement",
    "not_tls", "tls_malformed", "tls_alert",   "broken_off"};
static_assert(kFailureNames.size() == static_cast<std::size_t>(Failure::broken_off) + 1);

// feed() what arrived, read() what was said, write() the answer, drain() what is to be sent, until
// nothing is left. After a failure drain() still yields the alert.
class Connection {
 public:
  enum class State : std::uint8_t { handshake, open, ended, failed };

  Connection(Connection&&) noexcept;
  Connection& operator=(Connection&&) noexcept;

  // Octets from the network; goes on with the handshake. What is fed after the end is ignored.
  void feed(std::span<const std::byte> octets);

  State state() const noexcept;
  Failure failure() const noexcept;  // only when failed
  // What OpenSSL says of the failure, for people; empty: nothing.
  std::string_view reason() const noexcept;

  // Plain octets from the other end, as far as there are any: 0 means later, or the end (state()).
  std::size_t read(std::span<std::byte> out);
  // At most 16 KiB at a time; false before the handshake is over and after a failure. One that
  // has sent its close_notify (State::ended) can still be answered.
  bool write(std::span<const std::byte> octets);
  // Says that nothing more will come (close_notify).
  void close();

  // Octets for the network, as many as there are and fit.
  std::size_t drain(std::span<std::byte> out);
  std::size_t pending() const noexcept;  // octets that drain() would yield

  // RFC 8446 section 7.5; false where write() says so too.
  bool export_key(std::string_view label, std::span<const std::byte> context,
                  std::span<std::byte> out) const;

  // How far the handshake is: changes whenever something was achieved.
  int progress() const noexcept;

 protected:
  // Takes `ssl`, whose side is set, and gives it its buffers.
  explicit Connection(ssl_st* ssl);
  ~Connection();

  ssl_st* ssl() const noexcept;
  void advance();  // the handshake, as far as it goes

 private:
  struct Inside;
  bool is_up() const noexcept;
  void fail(int result);

  std::unique_ptr<Inside> inside_;
};

}  // namespace ntp::tls
