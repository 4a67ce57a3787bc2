// Certificate files of any text, as chain and as key: loaded, or refused with one line that says
// which file. OpenSSL itself is not instrumented: this is for what we do with it
// (src/tls/server_context.cpp). The input stands in for the key where it begins with 'k', else for
// the certificates.
#include <algorithm>

#include "check.h"
#include "tls/server_context.h"
#include "tls_files.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ntp;
  static const fuzz::TlsFiles files;
  if (size == 0) return 0;
  fuzz::TlsFiles::write(files.other(), fuzz::text_of(data, size).substr(1));
  const std::string chain = data[0] == 'k' ? files.certificate() : files.other();
  const std::string key = data[0] == 'c' ? files.key() : files.other();
  const auto loaded = tls::ServerContext::load(chain, key, "ntske/1");
  if (!loaded) {
    NTP_CHECK(loaded.error().starts_with(files.other()) || loaded.error().starts_with(files.key()));
    NTP_CHECK(loaded.error().find('\n') == std::string::npos && loaded.error().size() < 1000);
    return 0;
  }
  const auto& facts = loaded->certificate();
  NTP_CHECK(facts.chain >= 1 && facts.chain <= 10 && facts.subject.size() <= 200);
  NTP_CHECK(std::ranges::all_of(facts.subject, [](char c) { return c >= ' ' && c <= '~'; }));
  tls::validity_warning(facts, facts.valid_from);
  tls::validity_warning(facts, RealTime::max());
  return 0;
}
