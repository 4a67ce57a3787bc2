// Only where OpenSSL is linked into the program: parts of it that it does without, so that the
// linker has no reason to bring them in. An object of ours is found first; should a later OpenSSL
// put something else beside these functions, the linker says that they are there twice.
#include <openssl/bio.h>
#include <openssl/comp.h>

#include <cstdlib>

// OpenSSL 3.0 (Debian 12) has neither: it is built without compressors there, and would look into
// what we say is not there.
#if OPENSSL_VERSION_NUMBER >= 0x30200000L

extern "C" {

// As if it had been built without compressors, which Debian 13's is not. TLS 1.3 knows no
// compression but that of certificates, which we do not use.
COMP_METHOD* COMP_zlib() { return nullptr; }
COMP_METHOD* COMP_zlib_oneshot() { return nullptr; }
COMP_METHOD* COMP_zstd() { return nullptr; }
COMP_METHOD* COMP_zstd_oneshot() { return nullptr; }
const BIO_METHOD* BIO_f_zlib() { return nullptr; }
const BIO_METHOD* BIO_f_zstd() { return nullptr; }
void ossl_comp_zlib_cleanup() {}
void ossl_comp_zstd_cleanup() {}

// AES-GCM and AES-XTS by vectors of 512 bits: 740 KB of loops unrolled for bulk data. A handshake
// has a few hundred octets and is as fast with AES-NI. "Not capable" keeps the others from being
// called.
int ossl_vaes_vpclmulqdq_capable() { return 0; }
int aesni_xts_avx512_eligible() { return 0; }
[[noreturn]] void ossl_aes_gcm_init_avx512() { std::abort(); }
[[noreturn]] void ossl_aes_gcm_setiv_avx512() { std::abort(); }
[[noreturn]] void ossl_aes_gcm_update_aad_avx512() { std::abort(); }
[[noreturn]] void ossl_aes_gcm_encrypt_avx512() { std::abort(); }
[[noreturn]] void ossl_aes_gcm_decrypt_avx512() { std::abort(); }
[[noreturn]] void ossl_aes_gcm_finalize_avx512() { std::abort(); }
[[noreturn]] void ossl_gcm_gmult_avx512() { std::abort(); }
[[noreturn]] void aesni_xts_128_encrypt_avx512() { std::abort(); }
[[noreturn]] void aesni_xts_128_decrypt_avx512() { std::abort(); }
[[noreturn]] void aesni_xts_256_encrypt_avx512() { std::abort(); }
[[noreturn]] void aesni_xts_256_decrypt_avx512() { std::abort(); }
}

#endif
