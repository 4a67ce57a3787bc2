#include "tls/certificate.h"

#include <algorithm>
#include <ctime>
#include <limits>

#include "tls/openssl.h"

namespace ntp::tls {
namespace {

constexpr std::size_t kLongestSubject = 200;

RealTime time_of(const ASN1_TIME* time, RealTime otherwise) {
  std::tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return otherwise;
  // RealTime counts nanoseconds: a date that it cannot hold (9999 stands for "never") is its end.
  constexpr std::int64_t kLast_s = std::numeric_limits<std::int64_t>::max() / 1'000'000'000 - 1;
  const std::int64_t s = std::min<std::int64_t>(::timegm(&parts), kLast_s);
  return RealTime(std::chrono::seconds(s));
}

std::string text_of(const X509_NAME* name) {
  const Bio out(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  std::string text(data, static_cast<std::size_t>(std::max(size, 0L)));
  std::ranges::replace_if(text, [](unsigned char c) { return c < 0x20 || c > 0x7e; }, '?');
  return text.substr(0, kLongestSubject);
}

}  // namespace

std::string subject_of(const x509_st* certificate) {
  return text_of(X509_get_subject_name(certificate));
}
std::string issuer_of(const x509_st* certificate) {
  return text_of(X509_get_issuer_name(certificate));
}

void narrow(CertificateFacts& facts, const x509_st* certificate) {
  const RealTime from = time_of(X509_get0_notBefore(certificate), RealTime{});
  const RealTime until = time_of(X509_get0_notAfter(certificate), RealTime{});
  facts.valid_from = facts.chain == 0 ? from : std::max(facts.valid_from, from);
  facts.valid_until = facts.chain == 0 ? until : std::min(facts.valid_until, until);
  ++facts.chain;
}

}  // namespace ntp::tls
