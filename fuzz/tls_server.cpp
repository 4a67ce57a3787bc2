// tls::ServerConnection on any octets from the network: it comes to a state, says why where it has
// failed, and where the stream was cut decides nothing. The first octet says where to cut. OpenSSL
// itself is not instrumented: this is for what we do with it (src/tls/hello.cpp,
// server_connection.cpp).
#include <array>

#include "check.h"
#include "tls/server_connection.h"
#include "tls_files.h"

namespace {

using namespace ntp;
using State = tls::ServerConnection::State;

const tls::ServerContext& context() {
  static const fuzz::TlsFiles files;
  static const auto loaded = tls::ServerContext::load(files.certificate(), files.key(), "ntske/1");
  NTP_CHECK(loaded.has_value());
  return *loaded;
}

std::size_t drain(tls::ServerConnection& connection) {
  std::array<std::byte, 4096> out;
  std::size_t all = 0;
  while (const std::size_t octets = connection.drain(out)) all += octets;
  NTP_CHECK(connection.pending() == 0);
  return all;
}

void look_at(tls::ServerConnection& connection) {
  std::array<std::byte, 256> plain;
  NTP_CHECK(connection.read(plain) == 0 || connection.state() != State::handshake);
  std::array<std::byte, 32> key;
  const bool up = connection.export_key("EXPORTER-network-time-security", plain, key);
  NTP_CHECK(up == connection.write({}) || connection.state() == State::open);
  if (connection.state() != State::failed) return;
  NTP_CHECK(!up);
  NTP_CHECK(static_cast<std::size_t>(connection.failure()) < tls::kFailureNames.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto octets = fuzz::octets_of(data, size).subspan(1);
  tls::ServerConnection whole(context());
  whole.feed(octets);
  look_at(whole);
  NTP_CHECK(drain(whole) < 16'384);  // a flight of one small certificate
  tls::ServerConnection halves(context());
  const std::size_t cut = octets.empty() ? 0 : data[0] * octets.size() / 255;
  halves.feed(octets.first(cut));
  look_at(halves);
  halves.feed(octets.subspan(cut));
  look_at(halves);
  drain(halves);
  NTP_CHECK(halves.state() == whole.state());
  if (whole.state() == State::failed) NTP_CHECK(halves.failure() == whole.failure());
  whole.close();
  whole.feed(octets);
  drain(whole);
  return 0;
}
