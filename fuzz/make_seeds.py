#!/usr/bin/env python3
"""make_seeds.py: writes the seeds of fuzz/corpus/ that come from tables of cases or are made of valid
keyed messages; the others are written by hand. Run it again when a table has changed."""

import hashlib
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "wire"))

import case_keyed  # noqa: E402
from case_table import field, header  # noqa: E402

MAGIC = bytes.fromhex("6e6b6501")


def write(target, name, octets):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / re.sub(r"[^A-Za-z0-9.+-]", "_", name)).write_bytes(octets)


def octets_of(notation):
    out = b""
    for word in notation.split() if notation != "-" else []:
        digits, _, times = word.partition("*")
        out += bytes.fromhex(digits) * int(times or 1)
    return out


def table(path):
    with open(path, encoding="utf-8") as file:
        return [line.rstrip("\n").split("\t") for line in file if line.strip() and line[0] != "#"]


def keyed_datagrams():
    """Every eighth case, and all that are answered with something of their own."""
    control = bytes([0, 8, 0xe8, 0xfa, 2, 0, 1, 7])  # stratum 3, precision -24, a tenth of a second old
    for at, (name, _, _, payload, expected) in enumerate(table(HERE.parent / "tests/wire/cases_keyed.tsv")):
        answered = expected.startswith(("reply", "nak")) and not re.search("octet|flipped|poll|/v[12]", name)
        if answered or at % 16 == 0:
            write("responder_keyed", name, control + octets_of(payload))


def ke_messages():
    for name, _, octets, _ in table(HERE.parent / "tests/ke/cases.tsv"):
        message = octets_of(octets)
        if len(message) <= 600:
            write("ke_server", name, bytes([hashlib.sha256(message).digest()[0]]) + message)


def ke_answers():
    start = bytes.fromhex("80010002000080040002000f")
    cookie = bytes.fromhex("00050068") + bytes(range(104))
    end = bytes.fromhex("80000000")
    write("ke_answer", "eight-cookies", start + 8 * cookie + end)
    write("ke_answer", "nine-cookies", start + 9 * cookie + end)
    write("ke_answer", "elsewhere", start + b"\x80\x06\x00\x09time.test" + b"\x80\x07\x00\x02\x04\x63" + cookie + end)
    gcm = bytes.fromhex("80010002000080040002001e")
    write("ke_answer", "gcm-siv", gcm + bytes.fromhex("04000000") + 8 * (bytes.fromhex("00050048") + bytes(72)) + end)
    write("ke_answer", "gcm-siv-older-chrony", gcm + 8 * (bytes.fromhex("00050048") + bytes(72)) + end)
    write("ke_answer", "no-aead", bytes.fromhex("80010002000080040000") + end)
    write("ke_answer", "internal-error", bytes.fromhex("80020002000280000000"))
    write("ke_answer", "unknown-critical", start + bytes.fromhex("c0000000") + cookie + end)
    write("ke_answer", "behind-the-end", start + cookie + end + end)
    write("ke_answer", "cookie-of-no-size", start + bytes.fromhex("0005000300000000050000") + cookie + end)


def ke_channel():
    write("ke_message", "sealing-key", b"\1\0" + (20_000).to_bytes(4, "big") + bytes(range(32)))
    for kind, name in ((1, "look-again"), (2, "started"), (3, "ended"), (9, "unknown-kind")):
        write("ke_message", name, bytes([1, kind]))
    write("ke_message", "counted", b"\1\4" + b"".join(n.to_bytes(8, "big") for n in range(24)))
    until = (1_800_000_000 * 10**9).to_bytes(8, "big")
    shown = b"\1\5\1" + bytes(8) + until + b"\0\x07CN = us" + b"\0\0"
    write("ke_message", "shown", shown)
    write("ke_message", "shown-with-a-problem", b"\1\5\0" + bytes(16) + b"\0\0" + b"\0\x0ait is gone")
    write("ke_message", "shown-not-loaded-2", b"\1\5\2" + shown[3:])
    for level in range(4):
        write("ke_message", f"told-{level}", b"\1\6" + bytes([level]) + b"\0\x05hello")
    write("ke_message", "told-too-long", b"\1\6\2\x01\x91" + b"a" * 401)
    write("ke_message", "told-not-printable", b"\1\6\2\0\2a\n")
    write("ke_message", "raw-short", b"\0" + MAGIC + b"\1")
    write("ke_message", "raw-whole", b"\0" + (MAGIC + b"\1").ljust(512, b"\0"))
    write("ke_message", "raw-other-magic", b"\0" + b"nke\2\1".ljust(512, b"\0"))


def cookies():
    inside = bytes([0, 15, 0, 0]) + case_keyed.C2S + case_keyed.S2C
    for epoch in range(12):
        write("cookie", f"sealed-epoch-{epoch}", bytes([1 | 2 | epoch << 3]) + inside)
        write("cookie", f"sealed-epoch-{epoch}-no-time", bytes([1 | epoch << 3]) + inside)
    write("cookie", "sealed-by-the-previous-secret", bytes([1 | 2 | 4 | 9 << 3]) + inside)
    write("cookie", "sealed-gcm-siv", bytes([1 | 2 | 9 << 3, 0, 30, 0, 0]) + bytes(32))
    write("cookie", "sealed-unknown-aead", bytes([1 | 2 | 9 << 3, 0, 99, 0, 0]) + bytes(64))
    write("cookie", "sealed-short", bytes([1 | 2 | 9 << 3, 0, 15]))
    write("cookie", "sealed-nothing", bytes([1 | 2 | 9 << 3]))
    write("cookie", "sealed-one-too-many", bytes([1 | 2 | 9 << 3]) + inside + b"\0")
    for size in (0, 3, 4, 35, 36, 40, 72, 104, 108):
        write("cookie", f"raw-{size}", b"\2" + (20_000).to_bytes(4, "big").ljust(size, b"\x5a")[:size])


def nts_requests():
    """Fields that fuzz/nts_request.cpp seals behind a good cookie; the first octet: 1 + 2 x words before the seal."""
    unique = field(0x0104, bytes(range(32)))
    place = field(0x0304, bytes(104))
    for name, before, inside in (
            ("sealed-plain", unique, b""), ("sealed-unique-64", field(0x0104, bytes(64)), b""),
            ("sealed-unique-24", field(0x0104, bytes(24)), b""), ("sealed-placeholder", unique + place, b""),
            ("sealed-two-placeholders", unique + 2 * place, b""), ("sealed-placeholder-of-72", unique + field(0x0304, bytes(72)), b""),
            ("sealed-unknown-inside", unique, field(0x4711, bytes(28))), ("sealed-cookie-inside", unique, field(0x0204, bytes(104))),
            ("sealed-garbage-inside", unique, bytes(32)), ("sealed-short-inside", unique, bytes.fromhex("47110008") + bytes(4)),
            ("sealed-unknown-before", field(0x4711, bytes(12)) + unique, b""), ("sealed-two-fields-inside", unique, 2 * field(0x4711, bytes(28)))):
        write("nts_request", name, bytes([1 | min(127, len(before) // 4) << 1]) + before + inside)


def nts_answers():
    cookie = field(0x0204, bytes(104))
    for count in (1, 2, 8, 9):
        write("nts_answer", f"sealed-{count}-cookies", b"\1" + count * cookie)
    write("nts_answer", "sealed-unknown", b"\1" + field(0x4711, bytes(28)) + cookie)
    write("nts_answer", "sealed-short-cookie", b"\1" + field(0x0204, bytes(12)))
    write("nts_answer", "sealed-past-the-end", b"\1" + bytes.fromhex("0204ffff") + bytes(28))


def key_files():
    hexes = {kind: "00112233445566778899aabbccddeeff" * (2 if kind == "AES256" else 1) for kind in
             ("MD5", "SHA1", "SHA256", "SHA384", "SHA512", "AES128", "AES256")}
    write("symmetric_keys", "every-type", "".join(f"{n} {k} HEX:{h}\n" for n, (k, h) in enumerate(hexes.items(), 1)).encode())
    for name, text in {"two-words": "1 secret\n", "ascii": "5 SHA1 ASCII:a-long-enough-key\n", "lower": "7 aes128 hex:" + hexes["AES128"] + "\n",
                       "comments": "# a\n% b\n; c\n! d\n\n 1 MD5 x\n", "twice": "1 MD5 one-of-ten-oct\n1 SHA1 two-of-ten-oct\n", "no-end-of-line": "1 MD5 abcdefghij",
                       "crlf": "1 MD5 abcdefghij\r\n2 SHA1 klmnopqrst\r\n", "number-0": "0 MD5 abcdefghij\n", "number-last": "4294967295 MD5 abcdefghij\n",
                       "number-past": "4294967296 MD5 abcdefghij\n", "negative": "-1 MD5 abcdefghij\n", "unknown-type": "1 SHA3 abcdefghij\n",
                       "odd-hex": "1 MD5 HEX:123\n", "no-hex": "1 MD5 HEX:xyzzyx\n", "empty-hex": "1 MD5 HEX:\n", "aes-too-short": "1 AES128 HEX:0011\n",
                       "too-many-words": "1 MD5 a b c\n", "clients": "1 MD5 abcdefghij 192.0.2.0/24,2001:db8::/32,198.51.100.7\n",
                       "not-clients": "1 MD5 abcdefghij b\n", "no-last-client": "1 MD5 abcdefghij 192.0.2.7,\n", "one-word": "1\n", "nul": "1 MD5 a\0b\n", "long-key": "1 SHA512 " + "k" * 129 + "\n",
                       "longest-key": "1 SHA512 " + "k" * 128 + "\n", "empty": "", "blank": " \t\n\n"}.items():
        write("symmetric_keys", name, text.encode())


def client_hello(alpn, versions=(0x0304,)):
    def extension(kind, body):
        return kind.to_bytes(2, "big") + len(body).to_bytes(2, "big") + body

    def counted(body, octets):
        return len(body).to_bytes(octets, "big") + body

    names = b"".join(counted(name, 1) for name in alpn)
    extensions = extension(43, counted(b"".join(v.to_bytes(2, "big") for v in versions), 1))
    extensions += extension(10, counted(bytes.fromhex("001d0017"), 2)) + extension(13, counted(bytes.fromhex("04030804"), 2))
    extensions += extension(51, counted(bytes.fromhex("001d0020") + bytes([9]) + bytes(31), 2))
    if alpn:
        extensions += extension(16, counted(names, 2))
    body = b"\3\3" + bytes(32) + b"\0" + counted(bytes.fromhex("130113021303"), 2) + b"\1\0" + counted(extensions, 2)
    message = b"\1" + counted(body, 3)
    return b"\x16\3\1" + counted(message, 2)


def saved_texts():
    """From 0x80 on a checksum is added; the first octet modulo 3: state, source cookies, own secret."""
    digits = "00112233445566778899aabbccddeeff" * 2
    key, short, cookie = digits, digits[:32], digits * 3 + digits[:16]
    state = "ntp-server-state 1\nboot 01234567-89ab-cdef-0123-456789abcdef\ntime 1790000000123456789\n" \
            "frequency -1.234e-05\nfrequency_deviation 2e-09\nwander 1e-19\n"
    plain = f"source time.example 4460 192.0.2.1 192.0.2.1:123 1799990000 - - 15 {key} {key}\n"
    rooted = f"source time.example 4460 2001:db8::1 [2001:db8::1]:1123 1799990000 2f61 00ff 30 {short} {short}\n"
    secret = f"ntp-server-cookie-keys 1\nepoch 20000\nage 3600\nmade 19998\ncurrent {digits}\nprevious -\n"
    for name, first, text in (
            ("state", 0x81, state), ("state-no-checksum", 0, state), ("state-no-boot", 0x81, state.replace("01234567-89ab-cdef-0123-456789abcdef", "")),
            ("state-not-a-number", 0x81, state.replace("2e-09", "nan")), ("state-too-fast", 0x81, state.replace("-1.234e-05", "0.2")),
            ("cookies", 0x82, f"ntp-server-nts 2\n{plain}cookie {cookie}\ncookie {cookie}\n{rooted}cookie {cookie}\n"),
            ("cookies-no-checksum", 1, f"ntp-server-nts 2\n{plain}cookie {cookie}\n"), ("cookies-none", 0x82, f"ntp-server-nts 2\n{plain}"),
            ("cookies-of-nobody", 0x82, f"ntp-server-nts 2\ncookie {cookie}\n"), ("cookies-nine", 0x82, f"ntp-server-nts 2\n{plain}" + f"cookie {short}\n" * 9),
            ("cookies-of-tomorrow", 0x82, f"ntp-server-nts 2\n{plain.replace('1799990000', '9223372036854775807')}cookie {cookie}\n"),
            ("cookies-before-1970", 0x82, f"ntp-server-nts 2\n{plain.replace('1799990000', '-9223372036854775808')}cookie {cookie}\n"),
            ("secret", 0x80, secret), ("secret-no-checksum", 2, secret), ("secret-two", 0x80, secret.replace("-\n", digits + "\n")),
            ("secret-made-later", 0x80, secret.replace("19998", "20001")), ("secret-last-epoch", 0x80, secret.replace("20000", "4294967295")),
            ("secret-oldest", 0x80, secret.replace("3600", "9223372036854775807"))):
        write("saved_text", name, bytes([first]) + text.encode())


def tls_streams():
    hello = client_hello([b"ntske/1"])
    for cut in (0, 64, 128, 254):
        write("tls_server", f"hello-cut-{cut}", bytes([cut]) + hello)
    write("tls_server", "hello-two-names", b"\x80" + client_hello([b"h2", b"ntske/1"]))
    write("tls_server", "hello-other-name", b"\x80" + client_hello([b"h2"]))
    write("tls_server", "hello-longer-name", b"\x80" + client_hello([b"ntske/11", b"ntske/"]))
    write("tls_server", "hello-no-name", b"\x80" + client_hello([]))
    write("tls_server", "hello-tls12", b"\x80" + client_hello([b"ntske/1"], (0x0303,)))
    write("tls_server", "hello-tls12-too", b"\x80" + client_hello([b"ntske/1"], (0x0303, 0x0304)))
    write("tls_server", "hello-and-more", b"\x80" + hello + b"\x14\3\3\0\1\1" + b"\x17\3\3\0\x20" + bytes(32))
    write("tls_server", "hello-twice", b"\x80" + hello + hello)
    write("tls_server", "alert", b"\0\x15\3\1\0\2\2\x28")
    write("tls_server", "http", b"\0GET / HTTP/1.1\r\nHost: time.test\r\n\r\n")
    write("tls_server", "ssl2", b"\0\x80\x2e\1\3\1\0\x15\0\0\0\x10" + bytes(40))


def main():
    for make in (keyed_datagrams, ke_messages, ke_answers, ke_channel, cookies, nts_requests, nts_answers, key_files, saved_texts, tls_streams):
        make()


if __name__ == "__main__":
    main()
