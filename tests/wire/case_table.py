"""The wire case table: its notation, and the octets of NTP packets for whoever writes cases.

One case is one line of five tab-separated columns (see docs/formats/wire.md):

  id       group/name, unique
  section  where the decision stands: the row of the project's conformance rules, and the RFC
  source   who sends it, one of SOURCES
  payload  the UDP payload: tokens of hex digits, `XX*N` for N times the octets XX, `-` for nothing
  expect   `silence REASON`, or `reply version=V mode=M poll=P origin=HEX`; a reply has 48 octets, but
           with ` mac=KEY size=S` a MAC of that key behind them, with ` cookies=N size=S` the seal
           of NTS; `nak … size=S` is NTSN (RFC 8915 5.7): the unique identifier and no time
"""

import hashlib
import re
from dataclasses import dataclass

SOURCES = (
    "client",          # an ephemeral port of another machine
    "port_123",        # port 123 of another machine: old clients and symmetric peers
    "port_0",
    "own_endpoint",    # the very address and port that the packet is sent to
    "own_address",     # the server's own address, an ephemeral port: a client on the same machine
    "loopback",        # 127.0.0.1 or ::1, by the loopback interface
    "stray_loopback",  # 127.0.0.1 or ::1, by any other interface
    "unspecified",
    "multicast",
    "broadcast",       # 255.255.255.255; IPv4 only
)

# Every reason for silence, as it stands in the metric ntp_server_dropped_packets_total.
REASONS = ("too_short", "too_long", "bad_length", "bad_version", "bad_mode", "to_many", "bad_source", "denied",
           "malformed_extension", "malformed_mac", "unknown_key", "nts_disabled", "bad_mac", "malformed_nts", "over_limit")


@dataclass(frozen=True)
class Reply:
    version: int
    mode: int
    poll: int
    origin: bytes
    mac: int = 0            # the key whose MAC it has; 0: none
    cookies: int = 0        # sealed by NTS, with so many of them
    nak: bool = False       # NTSN
    size: int = 48

    def __str__(self):
        text = (f"{'nak' if self.nak else 'reply'} version={self.version} mode={self.mode} "
                f"poll={self.poll} origin={self.origin.hex()}")
        if self.mac:
            text += f" mac={self.mac}"
        if self.cookies:
            text += f" cookies={self.cookies}"
        return text + f" size={self.size}" * (self.size != 48)


@dataclass(frozen=True)
class Silence:
    reason: str

    def __str__(self):
        return f"silence {self.reason}"


@dataclass(frozen=True)
class Case:
    id: str
    section: str
    source: str
    payload: bytes
    expect: Reply | Silence


def pack(payload):
    """Octets -> notation. Runs of eight and more equal octets become `XX*N`."""
    if not payload:
        return "-"
    tokens = []
    for match in re.finditer(rb"(.)\1{7,}|(?:(.)(?!\2{7}))+", payload, re.DOTALL):
        run = match.group(0)
        tokens.append(f"{run[:1].hex()}*{len(run)}" if match.group(1) else run.hex())
    return " ".join(tokens)


def unpack(notation):
    """Notation -> octets."""
    if notation == "-":
        return b""
    octets = b""
    for token in notation.split(" "):
        digits, _, count = token.partition("*")
        octets += bytes.fromhex(digits) * int(count or 1)
    return octets


def parse_expect(text):
    kind, *words = text.split(" ")
    if kind == "silence":
        assert words[0] in REASONS, text
        return Silence(words[0])
    assert kind in ("reply", "nak"), text
    fields = dict(word.split("=") for word in words)
    return Reply(int(fields["version"]), int(fields["mode"]), int(fields["poll"]),
                 bytes.fromhex(fields["origin"]), int(fields.get("mac", 0)),
                 int(fields.get("cookies", 0)), kind == "nak", int(fields.get("size", 48)))


def to_line(case):
    assert case.source in SOURCES, case
    return "\t".join((case.id, case.section, case.source, pack(case.payload), str(case.expect)))


def parse_line(line):
    name, section, source, payload, expect = line.rstrip("\n").split("\t")
    return Case(name, section, source, unpack(payload), parse_expect(expect))


def read_table(path):
    with open(path, encoding="ascii") as lines:
        return [parse_line(line) for line in lines if not line.startswith("#")]


# ---- octets of packets ---------------------------------------------------------------------------

HEADER = 48
XMT = slice(40, 48)


def stamp_of(name):
    """A transmit stamp that no other case has: a reply can be told by its origin."""
    return hashlib.sha256(name.encode()).digest()[:8]


def header(name="", version=4, mode=3, leap=0, stratum=0, poll=0, precision=0, root=bytes(8),
           refid=bytes(4), reftime=bytes(8), org=bytes(8), rec=bytes(8), xmt=None):
    """RFC 5905 figure 8. poll and precision may be signed or unsigned."""
    first = leap << 6 | version << 3 | mode
    octets = bytes((first, stratum, poll & 0xFF, precision & 0xFF)) + root + refid + reftime
    octets += org + rec + (stamp_of(name) if xmt is None else xmt)
    assert len(octets) == HEADER
    return octets


def field(kind, body, length=None):
    """One extension field; `length` lies about its size where given."""
    size = len(body) + 4 if length is None else length
    return kind.to_bytes(2, "big") + size.to_bytes(2, "big") + body


def padded(body, multiple=4):
    return body + bytes(-len(body) % multiple)
