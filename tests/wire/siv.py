"""AES-128, CMAC, AES-SIV-CMAC-256 and HKDF in plain Python: what the cases of MACs and NTS are sealed
with. A second implementation on purpose: the program's own must agree with it. Slow and without any
care for side channels: for tests only.
"""

import functools
import hashlib
import hmac

# ---- AES (FIPS 197), encryption only --------------------------------------------------------------


def _times_two(value):
    return (value << 1 ^ (0x11B if value & 0x80 else 0)) & 0xFF


def _make_sbox():
    box, p, q = [0] * 256, 1, 1
    while True:
        p ^= _times_two(p)                                  # times three
        for shift in (1, 2, 4):                             # divided by three
            q ^= q << shift & 0xFF
        q ^= 0x09 if q & 0x80 else 0
        rotated = functools.reduce(lambda x, n: x ^ (q << n | q >> 8 - n) & 0xFF, range(1, 5), q)
        box[p] = rotated ^ 0x63
        if p == 1:
            box[0] = 0x63
            return box


SBOX = _make_sbox()


@functools.lru_cache(maxsize=4096)
def _schedule(key):
    words = [list(key[i:i + 4]) for i in range(0, len(key), 4)]
    size, rounds, constant = len(words), len(words) + 6, 1
    for i in range(size, 4 * (rounds + 1)):
        word = list(words[-1])
        if i % size == 0:
            word = [SBOX[b] for b in word[1:] + word[:1]]
            word[0] ^= constant
            constant = _times_two(constant)
        elif size > 6 and i % size == 4:
            word = [SBOX[b] for b in word]
        words.append([a ^ b for a, b in zip(word, words[i - size])])
    return [sum(words[4 * r:4 * r + 4], []) for r in range(rounds + 1)]


def aes(key, block):
    keys = _schedule(bytes(key))
    state = [a ^ b for a, b in zip(block, keys[0])]
    for number, round_key in enumerate(keys[1:], 1):
        state = [SBOX[state[(i + 4 * (i % 4)) % 16]] for i in range(16)]
        if number < len(keys) - 1:
            mixed = []
            for c in range(0, 16, 4):
                column = state[c:c + 4]
                every = functools.reduce(int.__xor__, column)
                mixed += [column[i] ^ every ^ _times_two(column[i] ^ column[(i + 1) % 4])
                          for i in range(4)]
            state = mixed
        state = [a ^ b for a, b in zip(state, round_key)]
    return bytes(state)


# ---- CMAC (RFC 4493) and SIV (RFC 5297) -----------------------------------------------------------

def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def double(block):
    number = int.from_bytes(block, "big") << 1
    return (number & (1 << 128) - 1 ^ (0x87 if number >> 128 else 0)).to_bytes(16, "big")


def cmac(key, message):
    subkey = double(aes(key, bytes(16)))
    blocks = max(1, -(-len(message) // 16))
    last = message[16 * (blocks - 1):]
    if len(last) < 16:
        subkey = double(subkey)
        last = (last + b"\x80").ljust(16, b"\0")
    mac = bytes(16)
    for i in range(blocks - 1):
        mac = aes(key, xor(mac, message[16 * i:16 * i + 16]))
    return aes(key, xor(xor(mac, last), subkey))


def _s2v(key, components, plaintext):
    d = cmac(key, bytes(16))
    for component in components:
        d = xor(double(d), cmac(key, component))
    if len(plaintext) >= 16:
        return cmac(key, plaintext[:-16] + xor(plaintext[-16:], d))
    return cmac(key, xor((plaintext + b"\x80").ljust(16, b"\0"), double(d)))


def _counter(key, iv, text):
    number = int.from_bytes(iv, "big") & ~(1 << 63 | 1 << 31)
    stream = b"".join(aes(key, (number + i & (1 << 128) - 1).to_bytes(16, "big"))
                      for i in range(-(-len(text) // 16)))
    return xor(text, stream)


def seal(key, components, plaintext):
    """AEAD_AES_SIV_CMAC_256: the components are associated data and nonce, in this order."""
    iv = _s2v(key[:16], components, plaintext)
    return iv + _counter(key[16:], iv, plaintext)


def unseal(key, components, sealed):
    """The plaintext, or None."""
    plaintext = _counter(key[16:], sealed[:16], sealed[16:])
    return plaintext if _s2v(key[:16], components, plaintext) == sealed[:16] else None


def hkdf(secret, info, size, salt=b""):
    """RFC 5869 with SHA-256."""
    key = hmac.new(salt or bytes(32), secret, hashlib.sha256).digest()
    out, block = b"", b""
    for i in range(1, -(-size // 32) + 1):
        block = hmac.new(key, block + info + bytes((i,)), hashlib.sha256).digest()
        out += block
    return out[:size]


def self_test():
    """FIPS 197 C.1 and C.3, RFC 4493, RFC 5297 A.1, RFC 5869 A.1."""
    h = bytes.fromhex
    plain = h("00112233445566778899aabbccddeeff")
    assert aes(h("000102030405060708090a0b0c0d0e0f"), plain) == h("69c4e0d86a7b0430d8cdb78070b4c55a")
    assert aes(bytes(range(32)), plain) == h("8ea2b7ca516745bfeafc49904b496089")
    key = h("2b7e151628aed2a6abf7158809cf4f3c")
    assert cmac(key, b"") == h("bb1d6929e95937287fa37d129b756746")
    assert cmac(key, h("6bc1bee22e409f96e93d7e117393172a")) == h("070a16b46b4d4144f79bdd9dd04a287c")
    sealed = seal(h("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"),
                  [h("101112131415161718191a1b1c1d1e1f2021222324252627")],
                  h("112233445566778899aabbccddee"))
    assert sealed == h("85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c")
    okm = hkdf(b"\x0b" * 22, h("f0f1f2f3f4f5f6f7f8f9"), 42, h("000102030405060708090a0b0c"))
    assert okm[:8] == h("3cb25f25faacd57a")


if __name__ == "__main__":
    self_test()
    print("siv.py agrees with the published vectors")
