// What a certificate says, for people and for the report. For this folder only.
#pragma once

#include <string>

#include "tls/server_context.h"

struct x509_st;

namespace ntp::tls {

// Printable, at most 200 octets.
std::string subject_of(const x509_st* certificate);
std::string issuer_of(const x509_st* certificate);

// The times that are left for a chain with this certificate in it, too.
void narrow(CertificateFacts& facts, const x509_st* certificate);

}  // namespace ntp::tls
