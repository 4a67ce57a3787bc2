"""Cases for a server that has symmetric keys and answers NTS: KEY_FILE is its file of keys, SECRET its
cookie secret. What NTS cookies are made with depends on the day: `nts_cases(epoch)` makes the cases of
any, the table those of EPOCH.
"""

import functools
import hashlib

import siv
from case_fields import GOOD, MAX_PACKET, flipped
from case_table import Case, Reply, Silence, field, header, padded

EPOCH = 20_000
SECRET = bytes(range(1, 33))
OTHER_SECRET = bytes(range(2, 34))
C2S = bytes(range(10, 42))
S2C = bytes(range(90, 122))
MAX_REPLY = 1232


# ---- symmetric keys -------------------------------------------------------------------------------

AES128 = bytes.fromhex("00112233445566778899aabbccddeeff")
KEYS = {                                              # number: type, key, MAC
    1: ("MD5", b"md5-of-sixteen-o", lambda k, m: hashlib.md5(k + m).digest()),
    2: ("SHA1", b"sha1-of-sixteen-", lambda k, m: hashlib.sha1(k + m).digest()),
    3: ("SHA256", b"sha256-of-sixtee", lambda k, m: hashlib.sha256(k + m).digest()[:20]),
    4: ("SHA384", b"sha384-of-sixtee", lambda k, m: hashlib.sha384(k + m).digest()[:20]),
    5: ("SHA512", b"sha512-of-sixtee", lambda k, m: hashlib.sha512(k + m).digest()[:20]),
    6: ("AES128", AES128, siv.cmac),
    7: ("AES256", AES128 + AES128[::-1], siv.cmac),
}
KEY_FILE = "".join(f"{number} {kind} HEX:{key.hex()}\n" for number, (kind, key, _) in KEYS.items())


def mac_of(number, message, as_number=None):
    _, key, function = KEYS[number]
    return (number if as_number is None else as_number).to_bytes(4, "big") + function(key, message)


def expected(packet, **more):
    """The reply to a mode 3 request of versions 1-4 (G5, G6, G16)."""
    poll = int.from_bytes(packet[2:3], "big", signed=True)
    return Reply(packet[0] >> 3 & 7, 4, min(max(poll, -6), 17), packet[40:48], **more)


UNCUT = {3: hashlib.sha256, 4: hashlib.sha384, 5: hashlib.sha512}


def uncut(number, message, as_number=None):
    """chrony's clients ask in version 3 with keys of SHA-2, and do not cut the digest there."""
    key = (number if as_number is None else as_number).to_bytes(4, "big")
    return key + UNCUT[number](KEYS[number][1] + message).digest()


def uncut_macs():
    section = "keys; G7; chrony's clients"
    for number in UNCUT:
        kind = KEYS[number][0].lower()
        for version in (1, 2, 3, 4):
            name = f"mac/v{version}-{kind}-uncut"
            plain = header(f"keyed-{name}", version)
            mac = uncut(number, plain)
            if version != 3:
                yield Case(name, section, "client", plain + mac, Silence("malformed_extension"))
                continue
            yield Case(name, section, "client", plain + mac,
                       expected(plain, mac=number, size=48 + len(mac)))
            for what, packet, reason in (
                    ("bad-last-octet", plain + flipped(mac, len(mac) - 1), "bad_mac"),
                    ("bad-first-octet", plain + flipped(mac, 4), "bad_mac"),
                    ("bad-header", flipped(plain, 5) + mac, "bad_mac"),
                    ("cut-by-4", plain + mac[:-4], "malformed_extension"),
                    ("longer-by-4", plain + mac + bytes(4), "malformed_extension"),
                    ("of-sha1", plain + uncut(number, plain, 2), "malformed_extension"),
                    ("unknown-key", plain + uncut(number, plain, 99), "malformed_extension")):
                yield Case(f"{name}-{what}", section, "client", packet, Silence(reason))


def macs():
    section = "keys; G7; RFC 5905 7.3, RFC 8573"
    for version in (1, 2, 3, 4):
        for with_field in (False, True) if version == 4 else (False,):
            for number, (kind, _, _) in KEYS.items():
                name = f"mac/v{version}-{kind.lower()}" + "-field" * with_field
                plain = header(f"keyed-{name}", version) + GOOD.octets() * with_field
                yield from mac_cases(name, section, number, plain)


def mac_cases(name, section, number, plain):
    mac = mac_of(number, plain)

    def silent(what, packet, reason):
        return Case(f"{name}-{what}", section, "client", packet, Silence(reason))

    yield Case(name, section, "client", plain + mac, expected(plain, mac=number, size=48 + len(mac)))
    yield Case(f"{name}-port-123", section, "port_123", plain + mac, expected(plain, mac=number, size=48 + len(mac)))
    yield silent("bad-last-octet", plain + flipped(mac, len(mac) - 1), "bad_mac")
    yield silent("bad-first-octet", plain + flipped(mac, 4), "bad_mac")
    yield silent("bad-header", flipped(plain, 5) + mac, "bad_mac")
    yield silent("bad-xmt", flipped(plain, 47) + mac, "bad_mac")
    if len(plain) > 48:
        yield silent("bad-field", flipped(plain, len(plain) - 1) + mac, "bad_mac")
    yield silent("of-the-header-alone" if len(plain) > 48 else "of-nothing",
                 plain + mac_of(number, plain[:48] if len(plain) > 48 else b""), "bad_mac")
    for other in KEYS:
        if other != number:
            yield silent(f"made-with-{other}", plain + mac_of(other, plain, number), "bad_mac")
    for unknown in (0, 8, 99, 0xFFFFFFFF):
        yield silent(f"key-{unknown}", plain + mac_of(number, plain, unknown), "unknown_key")
    yield silent("zeros", plain + mac[:4] + bytes(len(mac) - 4), "bad_mac")
    yield silent("crypto-nak", plain + bytes(4), "malformed_mac")
    for cut in (8, 12, 16):
        yield silent(f"cut-to-{cut}", plain + mac[:cut], "malformed_mac")
    if len(mac) == 24:
        yield silent("cut-to-20", plain + mac[:20], "bad_mac")
    else:
        yield silent("padded-to-24", plain + mac + bytes(4), "bad_mac")
    for size in (28, 36, 52, 68):                     # longer than any MAC: read as a field
        is_uncut = plain[0] >> 3 & 7 == 3 and number in UNCUT and size == len(uncut(number, plain))
        yield silent(f"long-{size}", plain + mac.ljust(size, b"\x5c"),
                     "bad_mac" if is_uncut else "malformed_extension")
    yield silent("odd", plain + mac + b"\0", "bad_length")


# ---- NTS ------------------------------------------------------------------------------------------

@functools.cache
def cookie_key(secret, epoch):
    return siv.hkdf(secret, b"ntp-server cookie" + epoch.to_bytes(4, "big"), 32)


def cookie(epoch, secret=SECRET, c2s=C2S, s2c=S2C, aead=15):
    clear = epoch.to_bytes(4, "big")
    nonce = hashlib.sha256(clear + secret + c2s).digest()[:16]
    plaintext = aead.to_bytes(2, "big") + bytes(2) + c2s + s2c
    return clear + nonce + siv.seal(cookie_key(secret, epoch), [clear, nonce], plaintext)


UNIQUE_ID = bytes(range(0x40, 0x60))


def unique_id(body=UNIQUE_ID):
    return field(0x0104, body)


def authenticator(before, key=C2S, nonce=b"\x6e" * 16, plaintext=b"", padding=0):
    sealed = siv.seal(key, [before, nonce], plaintext)
    return field(0x0404, len(nonce).to_bytes(2, "big") + len(sealed).to_bytes(2, "big")
                 + padded(nonce) + padded(sealed) + bytes(padding))


def fields_of(octets):
    """(type, body) of each field, or None where they are none."""
    found = []
    while octets:
        size = int.from_bytes(octets[2:4], "big")
        if size < 16 or size % 4 or size > len(octets):
            return None
        found.append((int.from_bytes(octets[:2], "big"), octets[4:size]))
        octets = octets[size:]
    return found


def cookies_of(reply, before):
    """The fresh cookies of a sealed reply whose authenticator stands at `before`, or None: the seal is
    wrong, or a cookie that is none of ours."""
    (kind, body), = fields_of(reply[before:]) or [(0, b"")]
    nonce, sealed = (int.from_bytes(body[i:i + 2], "big") for i in (0, 2))
    start = 4 + len(padded(bytes(nonce)))
    if kind != 0x0404 or any(body[start + len(padded(bytes(sealed))):]):
        return None
    plain = siv.unseal(S2C, [reply[:before], body[4:4 + nonce]], body[start:start + sealed])
    inside = None if plain is None else fields_of(plain)
    if not inside or any(field_type != 0x0204 for field_type, _ in inside):
        return None
    for _, one in inside:
        key = cookie_key(SECRET, int.from_bytes(one[:4], "big"))
        if siv.unseal(key, [one[:4], one[4:20]], one[20:]) != b"\0\x0f\0\0" + C2S + S2C:
            return None
    return [one for _, one in inside]


class NtsCases:
    """Each group of rows of CONFORMANCE's table "NTS packets", for one epoch."""

    def __init__(self, epoch):
        self.epoch = epoch
        self.cookie = cookie(epoch)

    def start(self, name, fields, **header_fields):
        return header(f"keyed-nts-{name}", **header_fields) + fields

    def case(self, name, packet, reason, section="RFC 8915 5.7"):
        return Case(f"nts/{name}", f"NTS packets; G8; {section}", "client", packet, Silence(reason))

    def time(self, name, packet, cookies, section="RFC 8915 5.7", source="client"):
        expect = expected(packet, cookies=cookies, size=min(len(packet), MAX_REPLY))
        return Case(f"nts/{name}", f"NTS packets; G8; {section}", source, packet, expect)

    def nak(self, name, packet, section="RFC 8915 5.7", unique=UNIQUE_ID):
        expect = expected(packet, nak=True, size=48 + 4 + len(unique))
        return Case(f"nts/{name}", f"NTS packets; G8; {section}", "client", packet, expect)

    def whole(self, name, fields=None, key=C2S, behind=b"", header_fields=None, **seal):
        """Header, fields (unique identifier and cookie where none are given), authenticator."""
        fields = unique_id() + field(0x0204, self.cookie) if fields is None else fields
        start = self.start(name, fields, **(header_fields or {}))
        return start + authenticator(start, key, **seal) + behind

    def placeholders(self):
        usual = unique_id() + field(0x0204, self.cookie)
        for count in range(13):
            name = f"{count}-placeholders"
            packet = self.whole(name, usual + field(0x0304, bytes(104)) * count)
            if len(packet) > MAX_PACKET:
                yield self.case(name, packet, "too_long")
            else:
                yield self.time(name, packet, min(count + 1, 8), "RFC 8915 5.4, 5.7")
        for size in (12, 36, 72, 100, 108, 140, 400):
            name = f"placeholder-of-{size}"
            packet = self.whole(name, usual + field(0x0304, bytes(size)))
            yield self.case(name, packet, "malformed_nts", "RFC 8915 5.5")
            name = f"second-placeholder-of-{size}"
            packet = self.whole(name, usual + field(0x0304, bytes(104)) + field(0x0304, bytes(size)))
            yield self.case(name, packet, "malformed_nts", "RFC 8915 5.5")
        packet = self.whole("placeholder-not-zero", usual + field(0x0304, b"\x77" * 104))
        yield self.time("placeholder-not-zero", packet, 2, "RFC 8915 5.5")
        before = field(0x0304, bytes(104)) + usual
        yield self.time("placeholder-first", self.whole("placeholder-first", before), 2,
                        "RFC 8915 5.5")

    def lacking(self):
        usual = unique_id() + field(0x0204, self.cookie)
        some = {"no-unique-id": field(0x0204, self.cookie), "no-cookie": unique_id(),
                "two-unique-ids": unique_id() + usual, "two-unique-ids-last": usual + unique_id(),
                "two-cookies": usual + field(0x0204, self.cookie), "nothing-before": b"",
                "two-other-cookies": usual + field(0x0204, cookie(self.epoch, c2s=S2C))}
        for name, fields in some.items():
            yield self.case(name, self.whole(name, fields), "malformed_nts", "RFC 8915 5.3, 5.4")
        for name, fields in {"lone-unique-id": unique_id(), "lone-cookie": field(0x0204, self.cookie),
                             "lone-placeholder": field(0x0304, bytes(104)),
                             "no-authenticator": usual}.items():
            yield self.case(name, self.start(name, fields), "malformed_nts", "RFC 8915 5.6")
        for size in (12, 16, 24, 28):
            name = f"unique-id-of-{size}"
            packet = self.whole(name, unique_id(bytes(size)) + field(0x0204, self.cookie))
            yield self.case(name, packet, "malformed_nts", "RFC 8915 5.3")
        for size in (32, 36, 64, 128, 500):
            name = f"unique-id-of-{size}"
            packet = self.whole(name, unique_id(b"\x1d" * size) + field(0x0204, self.cookie))
            yield self.time(name, packet, 1, "RFC 8915 5.3")
        for size in (0, 4, 8):
            name = f"cookie-of-{size}"
            packet = self.whole(name, unique_id() + field(0x0204, bytes(size)))
            yield self.case(name, packet, "malformed_extension", "RFC 7822 7.5")

    def cookies(self):
        def with_cookie(name, octets, key=C2S):
            return self.whole(name, unique_id() + field(0x0204, octets), key)

        for size in (12, 16, 36, 40, 72, 100, 104, 108, 200, 400):
            name = f"random-cookie-of-{size}"
            octets = hashlib.shake_256(name.encode()).digest(size)
            yield self.nak(name, with_cookie(name, octets), "RFC 8915 6")
        for at in range(0, 104, 4):
            name = f"cookie-octet-{at}-flipped"
            yield self.nak(name, with_cookie(name, flipped(self.cookie, at)), "RFC 8915 6")
        yield self.nak("unknown-cookie-key", with_cookie(
            "unknown-cookie-key", cookie(self.epoch, OTHER_SECRET)), "RFC 8915 6")
        yield self.nak("wrong-c2s", with_cookie("wrong-c2s", self.cookie, S2C))
        for aead in (0, 14, 16, 17, 30):
            name = f"cookie-says-aead-{aead}"
            yield self.nak(name, with_cookie(name, cookie(self.epoch, aead=aead)), "RFC 8915 6")
        for ahead in range(-10, 4):
            name = f"key-of-epoch-{ahead:+d}"
            packet = with_cookie(name, cookie(self.epoch + ahead))
            if -7 <= ahead <= 1:
                yield self.time(name, packet, 1, "RFC 8915 6")
            else:
                yield self.nak(name, packet, "RFC 8915 6")

    def flips(self):
        """What the authenticator covers, and the authenticator itself."""
        for at in range(48):
            name = f"header-octet-{at}-flipped"
            good = self.whole(name)
            mask = 0x80 if at == 0 else 0x01                      # leap: not version and mode
            bad = good[:at] + bytes((good[at] ^ mask,)) + good[at + 1:]
            yield self.nak(name, bad)
        for at in range(0, 32, 4):
            name = f"unique-id-octet-{at}-flipped"
            yield self.nak(name, flipped(self.whole(name), 52 + at))
        size = len(self.whole(""))
        for what, first in (("nonce", size - 32), ("tag", size - 16)):
            for at in (0, 7, 15):
                name = f"{what}-octet-{at}-flipped"
                yield self.nak(name, flipped(self.whole(name), first + at))

    def authenticators(self):
        section = "RFC 8915 5.6"
        for size in (16, 17, 18, 19, 20, 24, 28, 31, 32, 64):
            name = f"nonce-of-{size}"
            yield self.time(name, self.whole(name, nonce=b"\x6e" * size), 1, section)
        for size in (1, 4, 8, 12):
            name = f"nonce-of-{size}-without-room"
            yield self.case(name, self.whole(name, nonce=b"\x6e" * size), "malformed_nts", section)
            name = f"nonce-of-{size}-with-room"
            packet = self.whole(name, nonce=b"\x6e" * size, padding=16 - len(padded(bytes(size))))
            yield self.time(name, packet, 1, section)
        for padding in (4, 16, 100):
            name = f"padding-of-{padding}"
            yield self.time(name, self.whole(name, padding=padding), 1, section)
        usual = unique_id() + field(0x0204, self.cookie)
        for nonce, text in ((0, 16), (16, 0), (16, 15), (16, 17), (16, 400), (17, 16), (33, 16),
                            (0xFFFF, 16), (16, 0xFFFF), (0xFFFF, 0xFFFF), (0, 0)):
            name = f"says-nonce-{nonce}-ciphertext-{text}"
            start = self.start(name, usual)
            lying = nonce.to_bytes(2, "big") + text.to_bytes(2, "big") + bytes(32)
            yield self.case(name, start + field(0x0404, lying), "malformed_nts", section)
        for cut in (4, 8, 12):
            name = f"authenticator-cut-by-{cut}"
            yield self.case(name, self.whole(name)[:-cut], "malformed_extension", section)
        name = "authenticator-first"
        start = self.start(name, b"")
        yield self.case(name, start + authenticator(start) + usual, "malformed_nts", section)
        name = "two-authenticators"
        packet = self.whole(name)
        yield self.time(name, packet + authenticator(packet), 1, section)

    def inside(self):
        for name, text in {"garbage": b"\xa5" * 16, "zeros": bytes(16), "short-field": field(7, bytes(8)),
                           "field-past-the-end": field(0x4204, bytes(12), 32)}.items():
            yield self.case(f"{name}-encrypted", self.whole(f"{name}-encrypted", plaintext=text),
                            "malformed_nts", "RFC 8915 5.6")
        for name, text in {"unknown-field": field(0x4204, bytes(28)), "small-field": field(7, bytes(12)),
                           "two-fields": field(7, bytes(12)) + field(8, bytes(40)),
                           "cookie": field(0x0204, bytes(104)), "unique-id": unique_id()}.items():
            yield self.time(f"{name}-encrypted", self.whole(f"{name}-encrypted", plaintext=text), 1,
                            "RFC 8915 5.6")

    def around(self):
        usual = unique_id() + field(0x0204, self.cookie)
        for name, fields in {"field-before": GOOD.octets() + usual,
                             "field-between": unique_id() + GOOD.octets() + field(0x0204, self.cookie),
                             "field-last-before": usual + field(0x4204, bytes(12)),
                             "cookie-first": field(0x0204, self.cookie) + unique_id()}.items():
            yield self.time(name, self.whole(name, fields), 1)
        for name, behind in {"field-after": GOOD.octets(), "cookie-after": field(0x0204, self.cookie),
                             "unique-id-after": unique_id(),
                             "placeholder-after": field(0x0304, bytes(104))}.items():
            yield self.time(name, self.whole(name, behind=behind), 1)
        for size, reason in ((4, "malformed_mac"), (8, "malformed_mac"), (12, "malformed_mac"),
                             (16, "malformed_mac"), (20, "malformed_nts"), (24, "malformed_nts")):
            name = f"mac-of-{size}-after"
            yield self.case(name, self.whole(name, behind=b"\0\0\0\2" + bytes(size - 4)), reason, "G7")
        name = "good-mac-after"
        packet = self.whole(name)
        yield self.case(name, packet + mac_of(2, packet), "malformed_nts", "G7")
        for mode in range(8):
            if mode != 3:
                name = f"mode-{mode}"
                reason = "malformed_nts" if mode == 1 else "bad_mode"
                yield self.case(name, self.whole(name, header_fields={"mode": mode}), reason)
        for version, reason in ((0, "bad_version"), (1, "malformed_extension"),
                                (2, "malformed_extension"), (3, "malformed_extension"),
                                (5, "bad_version"), (6, "bad_version"), (7, "bad_version")):
            name = f"v{version}"
            yield self.case(name, self.whole(name, header_fields={"version": version}), reason)
        for poll in (-128, -6, 0, 10, 17, 127):
            name = f"poll-{poll}"
            yield self.time(name, self.whole(name, header_fields={"poll": poll}), 1, "G16")
        for source in ("port_123", "own_address", "loopback"):
            yield self.time(f"from-{source}", self.whole(f"from-{source}"), 1, source=source)


def nts_cases(epoch=EPOCH):
    made = NtsCases(epoch)
    for group in (made.placeholders, made.lacking, made.cookies, made.flips, made.authenticators,
                  made.inside, made.around):
        yield from group()


GROUPS = (macs, uncut_macs, nts_cases)
