"""Cases about what follows the header: extension fields, MACs, NTS.

A packet is planned as a list of fields, each with the length that it declares and the octets that
are really there, and a MAC. The decision is made from that plan and RFC 7822, never by reading the
octets again.
"""

import hashlib
import hmac
from dataclasses import dataclass

from case_headers import answer
from case_table import HEADER, Case, Silence, field, header, padded

MAX_PACKET = 1500
MAX_UDP = 65507
FILLER = b"\xaa"     # read as a length, it says 43,690: past the end of any packet
NTS_TYPES = (0x0104, 0x0204, 0x0304, 0x0404)          # RFC 8915 7.5
TYPES = (0x0000, *NTS_TYPES, 0x010A, 0x2005, 0x4204, 0xC005, 0xF323, 0xF5FF, 0xFFFF)
LENGTHS = (0, 1, 2, 3, 4, 8, 12, 15, 16, 17, 20, 24, 27, 28, 29, 30, 31, 32, 36, 64, 1020, 65532,
           65535)
PLACES = ("only", "first", "last", "30")
MACS = (0, 4, 20, 24)


@dataclass(frozen=True)
class Planned:
    """A field: `there` octets, head included, of which it says that they are `declared`."""

    kind: int
    declared: int
    there: int

    def octets(self):
        return field(self.kind, FILLER * (self.there - 4), self.declared)


GOOD = Planned(0x2005, 32, 32)


def mac_octets(size):
    """Key 10 and a digest; its head is no extension field (length 10, the key's lower half)."""
    return b"\0\0\0\x0a"[:size] + b"\x5c" * max(0, size - 4)


def judge_rest(size):
    """RFC 7822 7.5: 24 octets or fewer at the end are a MAC: none, or one of a size we know."""
    if size == 0:
        return None
    return "unknown_key" if size in (20, 24) else "malformed_mac"


def judge_length(total):
    """What the gate says to the length of the whole packet."""
    if total > MAX_PACKET:
        return "too_long"
    return "bad_length" if total % 4 else None


def judge(fields, mac):
    """Why a v4 packet of this plan gets no answer; None: it gets one.

    While its fields tell the truth, each needs 16 octets or more, a multiple of 4. A length
    that lies moves the end of its field into what follows, where filler is no field.
    """
    rest = sum(planned.there for planned in fields) + mac
    gate = judge_length(HEADER + rest)
    if gate:
        return gate
    nts = False
    for planned in fields:
        if rest <= 24:
            break                                     # too short for the last field: a MAC
        if planned.declared < 16 or planned.declared % 4 or planned.declared > rest:
            return "malformed_extension"
        nts |= planned.kind in NTS_TYPES
        rest -= planned.declared
        if planned.declared != planned.there:
            if rest > 24:
                return "malformed_extension"          # filler where a field should begin
            break
    if rest > 24:
        return "malformed_extension"
    reason = judge_rest(rest)
    if reason == "malformed_mac":
        return reason
    return "nts_disabled" if nts else reason          # G8 goes before G7


def expectation(packet, reason):
    return Silence(reason) if reason else answer(packet)


def planned_case(group, section, planned, place, mac, **fields_of_header):
    plan = {"only": [planned], "first": [planned, GOOD], "last": [GOOD, planned],
            "30": [planned] * 30}[place]
    if HEADER + sum(f.there for f in plan) + mac > MAX_UDP:
        return None
    name = (f"{group}/{planned.kind:04x}-says{planned.declared}-has{planned.there}-{place}"
            f"-mac{mac}")
    packet = header(name, **fields_of_header) + b"".join(f.octets() for f in plan)
    packet += mac_octets(mac)
    return Case(name, section, "client", packet, expectation(packet, judge(plan, mac)))


def all_fields(lengths=LENGTHS, kinds=TYPES, places=PLACES, macs=MACS):
    """The whole cross product of the conformance rules (about 12,000 cases)."""
    for length in lengths:
        theres = sorted({t for t in (length - 4, length, length + 4, 128) if 4 <= t})
        for there in theres:
            for kind in kinds:
                for place in places:
                    for mac in macs:
                        case = planned_case("field", "fields; RFC 7822 7.5",
                                            Planned(kind, length, there), place, mac)
                        if case:
                            yield case


def field_lengths():
    """Every length, lying and true, at every place, with and without a MAC."""
    for case in all_fields(kinds=(0x2005,), macs=(0, 20)):
        yield case
    for case in all_fields(lengths=(16, 24, 28, 32), kinds=(0x2005,), macs=(4, 24)):
        yield case


def field_types():
    """Every type at every place: unknown ones are ignored, those of NTS are not (G7, G8)."""
    for kind in TYPES:
        for length in (16, 24, 28):
            for place in PLACES:
                for mac in MACS if length == 28 else (0,):
                    yield planned_case("type", "fields: types; G7, G8",
                                       Planned(kind, length, length), place, mac)
    for kind in (0x2005, 0x0104):
        case = planned_case("type-m1", "fields: types; G3", Planned(kind, 32, 32), "only", 0,
                            mode=1)
        yield case


def fields_by_name():
    """The rows of the extension field table that the sweeps do not spell out."""
    section = "fields; RFC 7822 7.5"

    def case(name, tail, reason, version=4, mode=3):
        packet = header(name, version, mode) + tail
        return Case(f"fields/{name}", section, "client", packet, expectation(packet, reason))

    for version in (1, 2, 3):
        for tail in (field(0x2005, bytes(24)), field(0x2005, bytes(28)),
                     field(0x0104, bytes(32)), field(0x2005, bytes(28)) + mac_octets(20)):
            yield case(f"v{version}-{len(tail)}", tail, "malformed_extension", version)
    yield case("28-then-16", field(0x2005, bytes(24)) + field(0x2005, bytes(12)), "malformed_mac")
    yield case("28-then-20", field(0x2005, bytes(24)) + field(0x2005, bytes(16)), "unknown_key")
    yield case("28-then-24", field(0x2005, bytes(24)) + field(0x2005, bytes(20)), "unknown_key")
    yield case("16-then-28", field(0x2005, bytes(12)) + field(0x2005, bytes(24)), None)
    yield case("16-16-then-28", field(0x2005, bytes(12)) * 2 + field(0x2005, bytes(24)), None)
    for extra in (1, 2, 3):
        yield case(f"28-then-{extra}", field(0x2005, bytes(24)) + bytes(extra), "bad_length")
    for extra in (4, 8, 12, 16):
        yield case(f"28-then-{extra}-zeros", field(0x2005, bytes(24)) + bytes(extra),
                   "malformed_mac")
    for extra in (28, 32, 64, 1000):
        yield case(f"32-then-{extra}-zeros", GOOD.octets() + bytes(extra), "malformed_extension")
    yield case("loop-of-zero-lengths", (b"\x20\x05\0\0" * 60), "malformed_extension")
    yield case("loop-of-fours", (b"\x20\x05\0\x04" * 60), "malformed_extension")
    yield case("loop-of-twelves", field(0x2005, bytes(8)) * 20, "malformed_extension")
    yield case("sixteens", field(0x2005, bytes(12)) * 20, "malformed_mac")
    yield case("90-sixteens-then-28", field(0x2005, bytes(12)) * 88 + field(0x2005, bytes(24)),
               None)
    yield case("body-of-ones", field(0x2005, b"\xff" * 28), None)
    yield case("body-like-a-request", field(0x2005, header("body")), None)
    yield case("padding-not-zero", field(0xF501, b"\1" * 100), None)
    yield case("type-swapped-nts", field(0x0401, bytes(28)), None)
    yield case("nts-hidden-in-a-body", field(0x2005, field(0x0104, bytes(32))), None)
    yield case("nts-hidden-in-a-mac", field(0x2005, bytes(28)) + field(0x0104, bytes(20)),
               "unknown_key")
    yield case("nts-behind-a-lying-length", field(0x2005, bytes(28), 36) + field(0x0104, bytes(32)),
               "malformed_extension")
    yield case("m1-with-field", field(0x2005, bytes(28)), None, mode=1)
    yield case("m4-with-field", field(0x2005, bytes(28)), "bad_mode", mode=4)


# ---- symmetric keys, while no key is configured ---------------------------------------------------

SECRET = b"an example of a shared secret"
DIGESTS = {
    "md5": lambda octets: hashlib.md5(SECRET + octets).digest(),
    "sha1": lambda octets: hashlib.sha1(SECRET + octets).digest(),
    "sha256-160": lambda octets: hashlib.sha256(SECRET + octets).digest()[:20],
    # 16 octets, as AES-CMAC has: without a key nobody can tell the difference.
    "cmac-sized": lambda octets: hmac.new(SECRET, octets, hashlib.sha256).digest()[:16],
}


def flipped(octets, at):
    return octets[:at] + bytes((octets[at] ^ 1,)) + octets[at + 1:]


def macs():
    """No key is known: a MAC of any kind is answered by silence, never by plain time (G7)."""
    section = "keys off; G7; RFC 5905 7.3, RFC 8573"
    for version in (1, 2, 3, 4):
        for with_field in (False, True) if version == 4 else (False,):
            for key in (0, 1, 99, 0xFFFFFFFF):
                for algorithm, digest in DIGESTS.items():
                    name = f"mac/v{version}-key{key}-{algorithm}" + "-field" * with_field
                    plain = header(name, version) + (GOOD.octets() if with_field else b"")
                    mac = key.to_bytes(4, "big") + digest(plain)
                    yield Case(name, section, "client", plain + mac, Silence("unknown_key"))
                    if key == 1:
                        yield from bad_macs(name, section, plain, mac)


def bad_macs(name, section, plain, mac):
    for what, packet in (("bad-digest", plain + flipped(mac, len(mac) - 1)),
                         ("bad-header", flipped(plain, 5) + mac),
                         ("bad-first-octet-of-digest", plain + flipped(mac, 4))):
        yield Case(f"{name}-{what}", section, "client", packet, Silence("unknown_key"))
    for cut in (8, 12, 16):
        yield Case(f"{name}-cut-to-{cut}", section, "client", plain + mac[:cut],
                   Silence("malformed_mac"))
    for size in (28, 36, 52, 68):                     # longer than any MAC: read as a field
        yield Case(f"{name}-long-{size}", section, "client", plain + mac.ljust(size, b"\x5c"),
                   Silence("malformed_extension"))
    yield Case(f"{name}-odd", section, "client", plain + mac + b"\0", Silence("bad_length"))


# ---- NTS, while it is off -------------------------------------------------------------------------

def unique_id(size=32):
    return field(0x0104, padded(b"\x1d" * size))


def cookie(size=100):
    return field(0x0204, b"\xc0" * size)


def placeholder(size=100):
    return field(0x0304, bytes(size))


def authenticator(nonce=16, ciphertext=16):
    body = nonce.to_bytes(2, "big") + ciphertext.to_bytes(2, "big")
    return field(0x0404, body + padded(b"\x0e" * nonce) + padded(b"\xce" * ciphertext))


def nts():
    """G8: a request with any NTS field never gets plain time. NTS is off: it gets nothing."""
    section = "NTS off; G8; RFC 8915 5.7"
    whole = unique_id() + cookie() + authenticator()
    off = "nts_disabled"

    def case(name, tail, reason=off, version=4, mode=3):
        packet = header(f"nts-{name}", version, mode) + tail
        gate = judge_length(len(packet))
        return Case(f"nts/{name}", section, "client", packet, Silence(gate or reason))

    for count in range(13):
        yield case(f"{count}-placeholders", unique_id() + cookie() + placeholder() * count
                   + authenticator())
    yield case("placeholder-shorter", unique_id() + cookie() + placeholder(60) + authenticator())
    yield case("placeholder-longer", unique_id() + cookie() + placeholder(140) + authenticator())
    yield case("placeholder-not-zero", unique_id() + cookie() + field(0x0304, b"\1" * 100)
               + authenticator())
    yield case("lone-unique-id", unique_id())
    yield case("lone-cookie", cookie())
    yield case("lone-placeholder", placeholder())
    yield case("lone-authenticator", authenticator())
    yield case("no-unique-id", cookie() + authenticator())
    yield case("no-cookie", unique_id() + authenticator())
    yield case("no-authenticator", unique_id() + cookie())
    for size in (12, 16, 24, 28, 31, 64, 500):
        yield case(f"unique-id-of-{size}", unique_id(size) + cookie() + authenticator())
    yield case("two-unique-ids", unique_id() * 2 + cookie() + authenticator())
    yield case("two-cookies", unique_id() + cookie() * 2 + authenticator())
    yield case("cookie-of-4", unique_id() + cookie(4) + authenticator(), "malformed_extension")
    yield case("cookie-of-0", unique_id() + cookie(0) + authenticator(), "malformed_extension")
    for nonce in (0, 12, 15, 16, 17, 32, 64):
        yield case(f"nonce-of-{nonce}", unique_id() + cookie() + authenticator(nonce))
    for text in (0, 15, 17, 400):
        yield case(f"ciphertext-of-{text}", unique_id() + cookie() + authenticator(16, text))
    lying = field(0x0404, b"\xff\xff\xff\xff" + bytes(32))
    yield case("lengths-past-the-body", unique_id() + cookie() + lying)
    yield case("authenticator-cut", whole[:-4], "malformed_extension")
    yield case("authenticator-cut-to-a-mac", whole[:-16])   # the fields before it are NTS still
    yield case("field-after", whole + GOOD.octets())
    yield case("field-before", GOOD.octets() + whole)
    yield case("field-between", unique_id() + GOOD.octets() + cookie() + authenticator())
    yield case("authenticator-first", authenticator() + unique_id() + cookie())
    yield case("two-authenticators", whole + authenticator())
    yield case("mac-20-after", whole + mac_octets(20))
    yield case("mac-24-after", whole + mac_octets(24))
    yield case("crypto-nak-after", whole + mac_octets(4), "malformed_mac")
    for mode in range(8):
        if mode != 3:
            yield case(f"mode-{mode}", whole, off if mode == 1 else "bad_mode", mode=mode)
    for version in (1, 2, 3):
        yield case(f"v{version}", whole, "malformed_extension", version)
    for version in (0, 5, 6, 7):
        yield case(f"v{version}", whole, "bad_version", version)


GROUPS = (field_lengths, field_types, fields_by_name, macs, nts)
