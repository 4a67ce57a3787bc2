"""Cases about the header, the source, the length and the attacks of history.

Every group states its own decision from the conformance rules (docs/formats/wire.md, G1-G16) in
the words of the rule, and knows nothing of how the server parses.
"""

from case_table import (HEADER, XMT, Case, Reply, Silence, field, header, stamp_of)

ANSWERING_VERSIONS = (1, 2, 3, 4)                 # G3, G5
REPLY_MODE = {3: 4, 1: 2}                         # client -> server, active -> passive (G3)


def clamp_poll(poll):
    """G16, with the server's default minimum of -6."""
    return max(-6, min(17, poll))


def answer(packet, mode=None):
    """The reply to a good packet: G5, G6, G7, G16 read off the request's own octets."""
    poll = packet[2] - 256 if packet[2] > 127 else packet[2]
    version = packet[0] >> 3 & 7
    return Reply(version, mode or REPLY_MODE[packet[0] & 7], clamp_poll(poll), packet[XMT])


def versions_and_modes():
    """G3: mode 3 and mode 1 of v1-v4, and v1 mode 0 from any port but 123. Nothing else."""
    for source in ("client", "port_123"):
        for version in range(8):
            for mode in range(8):
                for leap in range(4):
                    name = f"sweep/v{version}-m{mode}-l{leap}-{source}"
                    packet = header(name, version, mode, leap)
                    if version not in ANSWERING_VERSIONS:
                        expect = Silence("bad_version")
                    elif mode in REPLY_MODE:
                        expect = answer(packet)
                    elif (version, mode, source) == (1, 0, "client"):
                        expect = answer(packet, mode=4)
                    else:
                        expect = Silence("bad_mode")
                    yield Case(name, "G3 G5; RFC 5905 fig. 10; RFC 1059", source, packet, expect)


def reason_for_length(length):
    """The row "length" of the header table for octets that are no extension field."""
    if length < HEADER:
        return "too_short"
    if length % 4:
        return "bad_length"
    if length in (52, 56, 60, 64):
        return "malformed_mac"          # 4 is a crypto-NAK, 8 to 16 are no MAC of anybody
    if length in (68, 72):
        return "unknown_key"            # key id + 16 or 20 octets of digest
    return "malformed_extension"        # over 24 octets: no MAC, and no field either


def lengths():
    """Header table, rows 1-4: what follows the header is nothing, a MAC, or nonsense."""
    for version in ANSWERING_VERSIONS:
        for length in range(161):
            name = f"length/v{version}-{length}"
            packet = (header(name, version) + bytes(160))[:length]
            expect = answer(packet) if length == HEADER else Silence(reason_for_length(length))
            yield Case(name, "header: length; RFC 5905 7.3", "client", packet, expect)
    for mode, version in ((1, 4), (1, 3), (0, 1)):
        for length in (0, 1, 47, 48, 49, 52, 68, 72, 76):
            name = f"length/v{version}-m{mode}-{length}"
            packet = (header(name, version, mode) + bytes(160))[:length]
            if mode == 0 and length > HEADER:
                expect = Silence("bad_mode")           # G3: exactly 48 octets
            elif length == HEADER:
                expect = answer(packet, mode=4 if mode == 0 else None)
            else:
                expect = Silence(reason_for_length(length))
            yield Case(name, "G3; header: length", "client", packet, expect)


def long_packets():
    """Nothing over 1,500 octets is looked at, whatever it says (G4 goes first)."""
    for total in (1456, 1496, 1500, 1504, 1508, 2048, 4000, 9000, 65504):
        name = f"long/field-{total}"
        packet = header(name) + field(0x2005, bytes(total - HEADER - 4))
        expect = answer(packet) if total <= 1500 else Silence("too_long")
        yield Case(name, "header: length; RFC 7822 7.5", "client", packet, expect)
    for total in (1501, 1502, 2047, 2049, 65507):
        name = f"long/odd-{total}"
        yield Case(name, "header: length", "client", header(name) + bytes(total - HEADER),
                   Silence("too_long"))
    for mode in (4, 6, 7):
        name = f"long/mode-{mode}"
        yield Case(name, "header: length; G4", "client", header(name, 2, mode) + bytes(1453),
                   Silence("too_long"))
    name = "long/odd-1499"
    yield Case(name, "header: length", "client", header(name) + bytes(1451), Silence("bad_length"))


def ignored_fields():
    """Header table: leap, stratum, precision, root fields and refid of any value are ignored."""
    section = "header: fields of any value; RFC 5905 9.2"

    def case(name, **fields):
        packet = header(name, **fields)
        return Case(name, section, "client", packet, answer(packet))

    for stratum in range(256):
        yield case(f"stratum/{stratum}", stratum=stratum)
    for precision in (-128, -64, -32, -31, -30, -20, -6, -5, -1, 0, 1, 5, 32, 127):
        yield case(f"precision/{precision}", precision=precision)
    for root in ("00000000ffffffff", "ffffffff00000000", "ffffffffffffffff", "0001000000010000",
                 "8000000080000000", "7fffffff7fffffff"):
        yield case(f"root/{root}", root=bytes.fromhex(root))
    for refid in (b"LOCL", b"INIT", b"RATE", b"DENY", b"NTSN", b"\xff" * 4, b"\x7f\0\0\x01",
                  b"\x7f\x7f\0\x01"):
        for version in (3, 4):
            yield case(f"refid/v{version}-{refid.hex()}", version=version, refid=refid)


def polls():
    """G16 over every octet, for a client and for a symmetric peer."""
    for mode in (3, 1):
        for poll in range(-128, 128):
            if mode == 1 and -9 < poll < 0:
                continue
            name = f"poll/m{mode}-{poll}"
            packet = header(name, mode=mode, poll=poll)
            yield Case(name, "G16; RFC 5905 7.3", "client", packet, answer(packet))


def stamps():
    """G6: the origin is the request's transmit stamp, bit for bit, whatever it is."""
    interesting = ("0000000000000000", "ffffffffffffffff", "0000000000000001", "0000000100000000",
                   "8000000000000000", "7fffffffffffffff", "ffffffff00000000", "00000000ffffffff",
                   "83aa7e8000000000", "ee7ac400deadbeef")
    for version in ANSWERING_VERSIONS:
        for xmt in interesting:
            for mode in (3, 1):
                packet = header(version=version, mode=mode, xmt=bytes.fromhex(xmt))
                yield Case(f"xmt/v{version}-m{mode}-{xmt}", "G6; header: xmt zero, all ones",
                           "client", packet, answer(packet))
        packet = bytes((version << 3 | 3,)) + bytes(47)
        yield Case(f"stamps/v{version}-all-zero", "header: whole body zero", "client", packet,
                   answer(packet))
        packet = bytes((version << 3 | 3,)) + b"\xff" * 47
        yield Case(f"stamps/v{version}-all-ones", "header: whole body ones", "client", packet,
                   answer(packet))
        name = f"stamps/v{version}-org-rec-xmt-equal"
        stamp = stamp_of(name)
        packet = header(version=version, org=stamp, rec=stamp, xmt=stamp)
        yield Case(name, "header: org = rec = xmt; RFC 9769 2", "client", packet, answer(packet))
        name = f"stamps/v{version}-looks-interleaved"
        packet = header(name, version, org=stamp, rec=b"\xee\x7a\xc4\0\0\0\0\1")
        yield Case(name, "interleaved is off: basic; RFC 9769 2", "client", packet, answer(packet))
    for magic in (b"NTP5NTP5", b"NTP5DRFT"):
        for version in (3, 4):
            name = f"stamps/v{version}-{magic.decode()}"
            packet = header(name, version, reftime=magic)
            yield Case(name, "header: NTP5NTP5 while v5 is off", "client", packet, answer(packet))


def sources():
    """Header table, last row: sources that no honest client has. G4: the gate goes before."""
    refused = ("port_0", "own_endpoint", "stray_loopback", "unspecified", "multicast", "broadcast")
    for source in refused + ("own_address", "loopback", "port_123"):
        for version in ANSWERING_VERSIONS:
            for mode in (1, 3):
                name = f"source/{source}-v{version}-m{mode}"
                packet = header(name, version, mode)
                expect = Silence("bad_source") if source in refused else answer(packet)
                yield Case(name, "header: source; attack A04, A15", source, packet, expect)
        for name, packet, reason in (
                ("short", bytes(47), "too_short"),
                ("mode-4", header("", 4, 4), "bad_mode"),
                ("mode-7", header("", 2, 7), "bad_mode"),
                ("version-5", header("", 5, 3), "bad_version"),
                ("odd", header("") + b"\0", "bad_length")):
            yield Case(f"source/{source}-{name}", "G4: gate before source", source, packet,
                       Silence(reason))
    # Version 1 knows no modes: the very same packet from the server's own endpoint.
    packet = header("source/v1-m0", 1, 0)
    yield Case("source/port_0-v1-m0", "header: source; G3", "port_0", packet,
               Silence("bad_source"))


def control_and_private():
    """Modes 6 and 7 have no code here: attacks A01-A03 (CVE-2013-5211, CVE-2009-3563)."""
    for size in (0, 4, 8, 36, 40, 44, 48, 100, 184, 188):
        packet = bytes.fromhex("1700032a") + bytes(size)
        yield Case(f"monlist/{size}", "attack A01; G3", "client", packet,
                   Silence("too_short" if size + 4 < HEADER else "bad_mode"))
    for source in ("client", "port_123"):
        yield Case(f"mode7-reply/{source}", "attack A02; G3", source,
                   bytes.fromhex("9700000000000000"), Silence("too_short"))
        yield Case(f"mode7-reply/{source}-48", "attack A02; G3", source,
                   bytes.fromhex("97000000") + bytes(44), Silence("bad_mode"))
    for opcode in range(32):
        for bits in range(8):
            for count in (0, 468):
                head = bytes((0x16, bits << 5 | opcode, 0, 1, 0, 0, 0, 0, 0, 0))
                packet = head + count.to_bytes(2, "big") + bytes(count)
                yield Case(f"mode6/op{opcode}-rem{bits}-{count}", "attack A03; RFC 9327", "client",
                           packet, Silence("bad_mode" if count else "too_short"))
    for version in (1, 2, 3, 4):
        for mode in (6, 7):
            name = f"mode{mode}/v{version}-lies-about-its-count"
            packet = bytes((version << 3 | mode, 2)) + bytes(8) + b"\xff\xff" + bytes(40)
            yield Case(name, "attack A01, A03", "client", packet, Silence("bad_mode"))


def crypto_naks():
    """Four octets after the header are a crypto-NAK: never a request, never sent (A07, A08)."""
    for version in ANSWERING_VERSIONS:
        for mode in range(8):
            for nak in ("00000000", "00000001", "ffffffff"):
                name = f"nak/v{version}-m{mode}-{nak}"
                packet = header(name, version, mode) + bytes.fromhex(nak)
                reason = "malformed_mac" if mode in REPLY_MODE else "bad_mode"
                yield Case(name, "G7; attack A07, A08; RFC 5905 9.2", "client", packet,
                           Silence(reason))


def answers_and_loops():
    """A server's answer, sent to a server, ends there: attack A04 (CVE-2024-2169)."""
    for version in range(1, 8):
        for mode in (2, 4, 5):
            for source in ("client", "port_123", "own_endpoint"):
                name = f"loop/v{version}-m{mode}-{source}"
                stamp = stamp_of(name)
                packet = header(name, version, mode, 0, 3, 6, -20, refid=b"\x7f\x7f\0\x01",
                                reftime=stamp, org=stamp, rec=stamp)
                reason = "bad_mode" if version <= 4 else "bad_version"
                yield Case(name, "G3; attack A04", source, packet, Silence(reason))


def known_clients():
    """Requests in the shape that programs of the field are known to send."""
    for name, first, rest in (
            ("ntpdate", 0xE3, "0003fa 00010000 00010000"),
            ("ntpd-client", 0xE3, "0006e9 00000000 0000007f 494e4954"),
            ("ntpd-peer", 0xE1, "0006e9 00000000 0000007f 494e4954"),
            ("chrony", 0x23, "000020"),
            ("chrony-synchronised", 0x23, "030620 00000c00 00000800 c0000207"),
            ("ntpd-rs", 0x23, "000000"),
            ("timesyncd", 0x23, ""),
            ("openntpd", 0x23, "000000"),
            ("busybox-ntpd", 0xE3, "000000"),
            ("sntp-version-1", 0x0B, ""),
            ("sntp-version-2", 0x13, ""),
            ("sntp-version-3", 0x1B, ""),
            ("windows", 0xDB, "0011e9 00000000 00010000"),
            ("windows-peer", 0xD9, "0011e9 00000000 00010000"),
            ("nmap-ntp-info", 0xE3, "0004fa 00010000 00010000"),
            ("arduino", 0xE3, "0006ec 00000000 00000000 314e3134")):
        fields = bytes((first,)) + bytes.fromhex(rest)
        packet = fields + bytes(40 - len(fields)) + stamp_of(name)
        for source in ("client", "port_123"):
            yield Case(f"client/{name}-{source}", "RFC 4330 5; RFC 5905 7.3", source, packet,
                       answer(packet))
    for name, packet in (
            ("ms-sntp-zero-key", header("", 3) + bytes(20)),
            ("ms-sntp-rid", header("", 3) + bytes.fromhex("5a040000") + bytes(16)),
            ("ms-sntp-peer", header("", 3, 1) + bytes(20))):
        yield Case(f"client/{name}", "header: MS-SNTP; G7", "client", packet,
                   Silence("unknown_key"))
    yield Case("client/ms-sntp-extended", "header: MS-SNTP, 120 octets; G7", "client",
               header("", 3) + bytes(72), Silence("malformed_extension"))
    packet = header("ntpv5", 5, 3, poll=6)
    yield Case("client/ntpv5", "G3: v5 is off", "client", packet, Silence("bad_version"))
    packet = header("v5-id", 5, 3) + field(0xF5FF, b"draft-ietf-ntp-ntpv5-07\0")
    yield Case("client/ntpv5-draft-id", "G3: v5 is off", "client", packet, Silence("bad_version"))


GROUPS = (versions_and_modes, lengths, long_packets, ignored_fields, polls, stamps, sources,
          control_and_private, crypto_naks, answers_and_loops, known_clients)
