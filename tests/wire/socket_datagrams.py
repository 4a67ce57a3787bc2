#!/usr/bin/env python3
"""Replies as they are on the wire: what leaves the server is caught behind its cable (AF_PACKET).

  socket_datagrams.py NTP-SERVER FAKE-KERNEL

Every reply, of plain time, of a MAC, of NTS with any number of cookies, NTSN and RATE, is one datagram of
1,232 octets at most, never longer than its request, and over IPv4 says "don't fragment" (A29). So it does
after a router has (or somebody in its name has) told of a narrow path.
"""

import collections
import os
import socket
import struct
import sys
import tempfile
import time
from pathlib import Path

import netns
from case_table import header
from socket_cases import CLOCKS, NTP, FakeKernel, Server, keyed

MOST = 1232
ETH_P_ALL = 3
UDP, ICMP = 17, 1
RATE = "rate.limit = 2\nrate.burst = 2\nrate.leak = 1000\nrate.kiss = true\n"


class Wire:
    """The IP packets from the server's port, as they arrive at the clients' end of the cable."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self.socket.bind(("to-server", ETH_P_ALL))
        self.socket.settimeout(0.3)

    def packets(self, wait_s=0.3):
        """All until nothing has come for a while."""
        self.socket.settimeout(wait_s)
        try:
            while True:
                octets, (_, protocol, kind, *_) = self.socket.recvfrom(65536)
                if kind != socket.PACKET_OUTGOING and protocol in (0x0800, 0x86DD):
                    yield octets
        except TimeoutError:
            return


def problems_of_v4(packet):
    flags = struct.unpack_from("!H", packet, 6)[0]
    if flags & 0x3FFF:
        yield "a fragment"
    if not flags & 0x4000:
        yield "DF is not set"


def udp_of(packet):
    """Source port, payload and problems of an IP packet; nothing where it is no UDP."""
    if packet[0] >> 4 == 4:
        at, protocol, problems = (packet[0] & 15) * 4, packet[9], list(problems_of_v4(packet))
    else:
        at, protocol, problems = 40, packet[6], []
        if protocol == 44:
            return NTP, b"", ["a fragment"]
    if protocol != UDP:
        return None
    size = struct.unpack_from("!H", packet, at + 4)[0]
    return struct.unpack_from("!H", packet, at)[0], packet[at + 8:at + size], problems


def kind_of(reply):
    """What a reply is, by its octets."""
    if reply[1] == 0 and reply[12:16] in (b"RATE", b"NTSN"):
        return reply[12:16].decode()
    if len(reply) == 48:
        return "plain"
    return "NTS" if reply[48:50] == b"\x01\x04" else "MAC"


class Play:
    def __init__(self, network):
        self.wire, self.failures, self.kinds, self.longest = Wire(), [], collections.Counter(), 0
        self.network = network
        self.requests = {}                             # transmit stamp: octets

    def ask(self, family, payloads):
        """Sends them, each from an address of its own, and judges all that comes back."""
        client, server = ("192.0.2.2", netns.SERVER_V4[0]) if family == socket.AF_INET else ("2001:db8::2", netns.SERVER_V6[0])
        last = None
        with socket.socket(family, socket.SOCK_DGRAM) as one:
            one.bind((client, 0))
            for at, payload in enumerate(payloads):
                self.requests[payload[40:48]] = len(payload)
                one.sendto(payload, (server, NTP))
                if at % 16 == 15:
                    last = self.collect(0.05) or last
            return self.collect() or last

    def collect(self, wait_s=0.3):
        last = None
        for packet in self.wire.packets(wait_s):
            found = udp_of(packet)
            if found is None or found[0] != NTP:
                continue
            last = packet
            _, reply, problems = found
            if len(reply) < 48:
                self.failures += [f"{problem}, {len(packet)} octets" for problem in problems or ["no reply"]]
                continue
            kind = kind_of(reply)
            self.kinds[f"IPv{packet[0] >> 4} {kind}"] += 1
            self.longest = max(self.longest, len(reply))
            if len(reply) > MOST:
                problems.append(f"longer than {MOST}")
            if len(reply) > self.requests.get(reply[24:32], 0):
                problems.append("longer than its request")
            self.failures += [f"{kind} reply of {len(reply)} octets: {problem}" for problem in problems]
        return last

    def tell_of_a_narrow_path(self, packet, mtu=576):
        """ICMP "fragmentation needed" about a packet that the server has sent (RFC 1191)."""
        quoted = packet[:28]
        body = struct.pack("!BBHHH", 3, 4, 0, 0, mtu) + quoted
        total = sum(struct.unpack(f"!{len(body) // 2}H", body))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        body = body[:2] + struct.pack("!H", ~total & 0xFFFF) + body[4:]
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, ICMP) as raw:
            raw.sendto(body, (netns.SERVER_V4[0], 0))


def answered(cases):
    return [case.payload for case in cases if case.source == "client" and hasattr(case.expect, "version")]


def main():
    # The judge itself: what it must not let pass.
    assert list(problems_of_v4(bytes(6) + b"\x20\0" + bytes(12))) == ["a fragment", "DF is not set"]
    netns.enter_or_skip()
    network = netns.Network()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = os.path.abspath(sys.argv[1])
        settings, cases = keyed(program, folder)
        payloads = [header(f"datagrams-{number}", version) for number, version in enumerate((1, 2, 3, 4))] + answered(cases)
        play = Play(network)
        for threads, more in (("auto", "rate.limit = 0\n"), ("0", "rate.limit = 0\n"), ("auto", RATE)):
            fake = FakeKernel(sys.argv[2], **CLOCKS[0].kernel)
            server = Server(program, network, threads, folder, environment=fake.environment(), settings=more + settings)
            try:
                for family in (socket.AF_INET, socket.AF_INET6):
                    if more == RATE:
                        time.sleep(1.2)                # a kiss a second
                        play.ask(family, [header(f"rate-{family}-{number}") for number in range(60)])
                        continue
                    last = play.ask(family, payloads)
                    if family == socket.AF_INET and last is not None:
                        play.tell_of_a_narrow_path(last)
                        play.ask(family, payloads)
                server.stop()
            finally:
                server.kill()
    kinds = ["plain", "MAC", "RATE"] + (["NTS", "NTSN"] if "nts." in settings else [])
    for kind in (f"IPv{version} {kind}" for version in (4, 6) for kind in kinds):
        if not play.kinds[kind]:
            play.failures.append(f"no {kind} reply was seen: nothing is proven")
    if "nts." in settings and play.longest != MOST:
        play.failures.append(f"the longest reply had {play.longest} octets: the limit was not tried")
    for text in play.failures[:40]:
        print(f"FAILED {text}")
    print(f"datagrams: {sum(play.kinds.values())} replies, {dict(sorted(play.kinds.items()))}, "
          f"the longest {play.longest} octets, {len(play.failures)} failures")
    sys.exit(1 if play.failures else 0)


if __name__ == "__main__":
    main()
