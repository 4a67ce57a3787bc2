// Only where OpenSSL is linked into the program: as if it had been built without compressors, which
// Debian 13's is not. TLS 1.3 knows no compression but that of certificates, which we do not use;
// with these the linker has no reason to bring in zlib and zstd.
#include <openssl/bio.h>
#include <openssl/comp.h>

extern "C" {
COMP_METHOD* COMP_zlib() { return nullptr; }
COMP_METHOD* COMP_zlib_oneshot() { return nullptr; }
COMP_METHOD* COMP_zstd() { return nullptr; }
COMP_METHOD* COMP_zstd_oneshot() { return nullptr; }
const BIO_METHOD* BIO_f_zlib() { return nullptr; }
const BIO_METHOD* BIO_f_zstd() { return nullptr; }
void ossl_comp_zlib_cleanup() {}
void ossl_comp_zstd_cleanup() {}
}
