#include "tls/connection.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <string>

#include "base/check.h"
#include "tls/hello.h"

namespace ntp::tls {
namespace {

struct FreeSsl {
  void operator()(SSL* ssl) const noexcept { SSL_free(ssl); }
};

Failure classify(unsigned long code) {
  switch (ERR_GET_REASON(code)) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
      return Failure::version;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_NO_SUITABLE_GROUPS:
      return Failure::no_agreement;
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
      return Failure::not_tls;
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
      return Failure::broken_off;
    default:
      break;
  }
  const bool from_peer = ERR_GET_REASON(code) > SSL_AD_REASON_OFFSET;
  return from_peer ? Failure::refused_by_it : Failure::refused_by_us;
}

}  // namespace

struct Connection::Inside {
  HelloNotes notes;
  std::unique_ptr<SSL, FreeSsl> ssl;
  State state = State::handshake;
  Failure failure = Failure::refused_by_us;
  std::string reason;

  BIO* in() const noexcept { return SSL_get_rbio(ssl.get()); }
  BIO* out() const noexcept { return SSL_get_wbio(ssl.get()); }
};

Connection::Connection(SSL* ssl) : inside_(std::make_unique<Inside>()) {
  NTP_CHECK(ssl != nullptr);  // memory only
  inside_->ssl.reset(ssl);
  SSL_set_app_data(ssl, &inside_->notes);
  SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  NTP_CHECK(SSL_get_rbio(ssl) != nullptr && SSL_get_wbio(ssl) != nullptr);
}

Connection::~Connection() = default;
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;

void Connection::feed(std::span<const std::byte> octets) {
  if (inside_->state == State::failed || inside_->state == State::ended || octets.empty()) return;
  NTP_CHECK(BIO_write(inside_->in(), octets.data(), static_cast<int>(octets.size())) ==
            static_cast<int>(octets.size()));
  if (inside_->state == State::handshake) advance();
}

void Connection::advance() {
  ERR_clear_error();
  const int result = SSL_do_handshake(inside_->ssl.get());
  if (result == 1) {
    inside_->state = State::open;
  } else {
    fail(result);
  }
}

// Of a call that did not succeed: perhaps it only wants more.
void Connection::fail(int result) {
  const int why = SSL_get_error(inside_->ssl.get(), result);
  if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return;
  if (why == SSL_ERROR_ZERO_RETURN) {
    inside_->state = State::ended;
    return;
  }
  inside_->failure = inside_->notes.refused.value_or(classify(ERR_peek_error()));
  if (const char* text = ERR_reason_error_string(ERR_peek_error())) inside_->reason = text;
  inside_->state = State::failed;
  ERR_clear_error();
}

// One that has said its last word (close_notify) may still be answered.
bool Connection::is_up() const noexcept {
  return inside_->state == State::open || inside_->state == State::ended;
}

Connection::State Connection::state() const noexcept { return inside_->state; }
Failure Connection::failure() const noexcept { return inside_->failure; }
std::string_view Connection::reason() const noexcept { return inside_->reason; }
SSL* Connection::ssl() const noexcept { return inside_->ssl.get(); }

std::size_t Connection::read(std::span<std::byte> out) {
  if (inside_->state != State::open || out.empty()) return 0;
  ERR_clear_error();
  std::size_t size = 0;
  const int result = SSL_read_ex(inside_->ssl.get(), out.data(), out.size(), &size);
  if (result == 1) return size;
  fail(result);
  return 0;
}

bool Connection::write(std::span<const std::byte> octets) {
  if (!is_up()) return false;
  ERR_clear_error();
  std::size_t size = 0;
  const int result = SSL_write_ex(inside_->ssl.get(), octets.data(), octets.size(), &size);
  if (result != 1) fail(result);
  return result == 1 && size == octets.size();
}

void Connection::close() {
  if (!is_up()) return;
  ERR_clear_error();
  SSL_shutdown(inside_->ssl.get());
  ERR_clear_error();
}

std::size_t Connection::drain(std::span<std::byte> out) {
  const int size = BIO_read(inside_->out(), out.data(), static_cast<int>(out.size()));
  return size > 0 ? static_cast<std::size_t>(size) : 0;
}

std::size_t Connection::pending() const noexcept { return BIO_ctrl_pending(inside_->out()); }

bool Connection::export_key(std::string_view label, std::span<const std::byte> context,
                            std::span<std::byte> out) const {
  if (!is_up()) return false;
  const auto* octets = reinterpret_cast<const unsigned char*>(context.data());
  return SSL_export_keying_material(inside_->ssl.get(),
                                    reinterpret_cast<unsigned char*>(out.data()), out.size(),
                                    label.data(), label.size(), octets, context.size(), 1) == 1;
}

int Connection::progress() const noexcept {
  return static_cast<int>(SSL_get_state(inside_->ssl.get()));
}

}  // namespace ntp::tls
