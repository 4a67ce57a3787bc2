#!/usr/bin/env python3
"""Plays the wire case table through the real program's UDP socket.

  socket_cases.py NTP-SERVER FAKE-KERNEL [--table FILE] [--threads auto|0|N]...

FAKE-KERNEL is the library of tests/system that answers for the kernel's clock: the table is played
once while that is synchronised, once while it is not and the local clock is served, and once while
it is not and no time is served (leap 3). What is silence and what is a reply does not depend on it.

A server with keys is played the cases of case_keyed.py: those of symmetric keys, and where the program
can have it those of NTS, with cookies of today. Their replies are verified and opened here.

The server runs in a network namespace of its own on port 123, IPv4 and IPv6; every case comes from
a client address of its own in a second namespace. Silence means: the drop counter of the expected
reason went up by one, no other counter did, and the server's namespace sent nothing. A reply must
be the expected one, one only, and come from the very address that was asked (G2, G11).
"""

import argparse
import collections
import contextlib
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import case_keyed
import netns
from case_table import Case, Reply, Silence, header, read_table

sys.path.insert(0, str(Path(__file__).parents[1] / "system"))
from harness import STA_UNSYNC, FakeKernel  # noqa: E402

DEADLINE_S = 20.0
WINDOW = 48                     # datagrams under way: fits the smallest receive buffer
WINDOW_OCTETS = 60_000
HTTP = 9559
NTP = 123
# What Linux itself refuses before a socket sees it: RFC 1122 3.2.1.3 and RFC 4291 2.7, 2.5.3.
STOPPED_BY_THE_KERNEL = {(socket.AF_INET, "unspecified"), (socket.AF_INET6, "multicast"),
                         (socket.AF_INET6, "stray_loopback")}
FORGED = {"own_endpoint", "port_0", "stray_loopback", "unspecified", "multicast", "broadcast"}
NAMES = {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}


@dataclass(frozen=True)
class Clock:
    """What the kernel says of its clock, the policy, and what every reply then has to say."""
    name: str
    kernel: dict
    leap: int
    stratum: int
    refid: bytes
    environment: dict = field(default_factory=dict)

    def problems_of(self, octets):
        got = (octets[0] >> 6, octets[1], octets[12:16])
        if got != (self.leap, self.stratum, self.refid):
            return [f"G15: leap, stratum and refid are {got} while {self.name}"]
        # No time is served: nothing of the clock may be told but that its error is the largest.
        if self.leap == 3 and (octets[16:24] != bytes(8) or octets[4:12] != bytes(4) + b"\0\x10\0\0"):
            return [f"G9: leap 3 with root fields {octets[4:12].hex()}, reftime {octets[16:24].hex()}"]
        return []


UNSYNCHRONISED = {"status": STA_UNSYNC, "maxerror_us": 16_000_000}
CLOCKS = (Clock("synchronised", {}, 0, 3, b"\x7f\x7f\0\1"),
          Clock("serving the local clock", UNSYNCHRONISED, 0, 10, b"LOCL"),
          Clock("refusing", UNSYNCHRONISED, 3, 0, bytes(4),
                {"NTP_SERVER_SERVER_UNSYNCHRONISED": "refuse"}))


class Failure(Exception):
    pass


def wait_for(what, condition, deadline_s=DEADLINE_S):
    """Polls until `condition` returns something true, and returns it."""
    end = time.monotonic() + deadline_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise Failure(f"no {what} within {deadline_s:.0f} s")
        time.sleep(0.002)


class Server:
    """The program under test, in the server's namespace."""

    def __init__(self, program, network, threads, folder, http=HTTP, listen=(), environment=None,
                 settings=""):
        self.url = f"http://{netns.SERVER_V4[0]}:{http}/metrics"
        self.log = folder / f"server-{threads}-{http}.log"
        config = folder / "ntp.toml"
        # In a user namespace there is no other uid to become.
        user = "" if is_real_root() else 'server.user = "0:0"\n'
        config.write_text(user + settings, encoding="ascii")
        with network.inside(network.server), open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [program, "run", "--config", str(config), "--threads", threads,
                 "--http", f"0.0.0.0:{http}", *listen], stdout=log, stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})})
        wait_for("metrics", self.is_up)

    def is_up(self):
        if self.process.poll() is not None:
            raise Failure(f"the server ended: {self.log.read_text()}")
        try:
            return self.counters()
        except OSError:
            return None

    def counters(self):
        """Datagrams received, replies, and drops by reason."""
        with urllib.request.urlopen(self.url, timeout=5) as answer:
            text = answer.read().decode()
        found = collections.Counter()
        for line in text.splitlines():
            name, _, value = line.rpartition(" ")
            if name.startswith("ntp_server_dropped_packets_total{reason="):
                found[name.split('"')[1]] = int(float(value))
            elif name == "ntp_server_received_packets_total":
                found["received"] = int(float(value))
            elif name == "ntp_server_sent_packets_total":
                found["sent"] = int(float(value))
        return found

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(DEADLINE_S)
        if code != 0:
            raise Failure(f"SIGTERM ended the server with {code}")

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def is_real_root():
    uid_map = Path("/proc/self/uid_map").read_text(encoding="ascii").split()
    return uid_map == ["0", "0", str(2**32 - 1)]


class Player:
    """Sends cases of one family and collects what comes back."""

    def __init__(self, network, family):
        self.network = network
        self.family = family
        self.v4 = family == socket.AF_INET
        self.servers = netns.SERVER_V4 if self.v4 else netns.SERVER_V6
        self.clients = ipaddress.ip_network(netns.CLIENTS_V4 if self.v4 else netns.CLIENTS_V6)
        self.used = 0
        self.sockets = {"client": netns.udp_socket(family, 0),
                        "port_123": netns.udp_socket(family, NTP)}
        self.local = {}                               # our sockets beside the server, by case
        self.raw_outside = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
        with network.inside(network.server):
            self.raw_inside = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.waiting = {}                             # where a reply would arrive -> case
        self.replies = []                             # (case or None, octets, from, asked)

    def close(self):
        for one in (*self.sockets.values(), *self.local.values(), self.raw_outside,
                    self.raw_inside):
            one.close()

    def send(self, case):
        self.used += 1
        client = str(self.clients[256 + self.used])
        to = self.servers[self.used % 2]
        if case.source in FORGED:
            self.send_forged(case, client, to)
        elif case.source in self.sockets:
            self.waiting[(case.source, client)] = (case, to)
            self.sockets[case.source].sendmsg([case.payload], self.source_control(client), 0,
                                              (to, NTP))
        else:
            self.send_locally(case, to)

    def source_control(self, client):
        octets = socket.inet_pton(self.family, client)
        if self.v4:
            return [(socket.IPPROTO_IP, 8, bytes(4) + octets + bytes(4))]
        return [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, octets + bytes(4))]

    def send_locally(self, case, to):
        """From the server's own machine: its loopback interface, or its own address."""
        if case.source == "loopback":
            to = "127.0.0.1" if self.v4 else "::1"
        with self.network.inside(self.network.server):
            one = socket.socket(self.family, socket.SOCK_DGRAM)
        one.bind((to, 0))
        one.setblocking(False)
        self.local[case.id] = one
        self.waiting[(case.source, case.id)] = (case, to)
        one.sendto(case.payload, (to, NTP))

    def send_forged(self, case, client, to):
        """A source that no socket can have. Linux checks none of them on its own loopback."""
        source = {"own_endpoint": to, "port_0": client,
                  "stray_loopback": "127.0.0.1" if self.v4 else "::1",
                  "unspecified": "0.0.0.0" if self.v4 else "::",
                  "multicast": "224.0.1.1" if self.v4 else "ff02::101",
                  "broadcast": "255.255.255.255"}[case.source]
        port = {"own_endpoint": NTP, "port_0": 0}.get(case.source, 40_000)
        outside = case.source in ("port_0", "stray_loopback")
        if (self.family, case.source) == (socket.AF_INET, "unspecified"):
            return self.send_frame(source, port, to, case.payload)
        raw = self.raw_outside if outside else self.raw_inside
        raw.sendto(netns.raw_udp(self.family, source, port, to, NTP, case.payload), (to, 0))

    def send_frame(self, source, port, to, payload):
        """Below IP: a raw socket would fill in an empty source."""
        packet = bytearray(netns.raw_udp(self.family, source, port, to, NTP, payload))
        packet[2:4] = len(packet).to_bytes(2, "big")
        total = sum(int.from_bytes(packet[i:i + 2], "big") for i in range(0, 20, 2))
        total = (total & 0xFFFF) + (total >> 16)
        packet[10:12] = (~total & 0xFFFF).to_bytes(2, "big")
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800)) as frame:
            frame.sendto(packet, ("to-server", 0x0800, 0, 0, b"\xff" * 6))

    def collect(self):
        """Reads whatever has arrived."""
        for name, one in self.sockets.items():
            with contextlib.suppress(BlockingIOError):
                while True:
                    octets, control, _, source = one.recvmsg(65536, 256)
                    case, to = self.waiting.get((name, self.asked_by(control)), (None, None))
                    self.replies.append((case, octets, source, to))
        for name, one in self.local.items():
            with contextlib.suppress(BlockingIOError):
                while True:
                    octets, source = one.recvfrom(65536)
                    case, to = next((value for key, value in self.waiting.items()
                                     if key[1] == name), (None, None))
                    self.replies.append((case, octets, source, to))

    def asked_by(self, control):
        """The address that a datagram came to: the client that had asked."""
        for _, _, octets in control:
            return socket.inet_ntop(self.family, octets[8:12] if self.v4 else octets[:16])
        return None

    def forget(self):
        self.waiting.clear()
        self.replies.clear()
        for one in self.local.values():
            one.close()
        self.local.clear()


def seal_of(case, octets):
    """What stands behind the header of a reply, as Reply tells it."""
    tail = octets[48:]
    if not tail:
        return {}
    if tail[:2] != b"\1\4":                           # no unique identifier
        key = int.from_bytes(tail[:4], "big")
        made = [case_keyed.mac_of(key, octets[:48])] if key in case_keyed.KEYS else []
        made += [case_keyed.uncut(key, octets[:48])] if key in case_keyed.UNCUT else []
        return {"mac": key if tail in made else -1, "size": len(octets)}
    size = {"size": len(octets)}
    end = 48 + int.from_bytes(tail[2:4], "big")
    if octets[48:end] not in case.payload:
        return {"cookies": -1}
    if end == len(octets):
        nothing = octets[1:2] + octets[4:12] + octets[16:24] + octets[32:48]
        return {"nak": octets[0] >> 6 == 3 and octets[12:16] == b"NTSN" and not any(nothing), **size}
    cookies = case_keyed.cookies_of(octets, end)
    return {"cookies": -1 if cookies is None else len(cookies), **size}


def problems_of(case, octets, source, asked):
    """Why a reply is not the one that the table and the golden rules ask for."""
    expect = case.expect
    found = []
    if source[1] != NTP or ipaddress.ip_address(source[0]) != ipaddress.ip_address(asked):
        found.append(f"G11: it came from {source[0]} port {source[1]}, asked was {asked}")
    if len(octets) < 48 or len(octets) > len(case.payload):
        return found + [f"G1, G7: {len(octets)} octets"]
    poll = int.from_bytes(octets[2:3], "big", signed=True)
    got = Reply(octets[0] >> 3 & 7, octets[0] & 7, poll, octets[24:32], **seal_of(case, octets))
    if got != expect:
        found.append(f"got {got}, expected {expect}")
    if got.nak:
        return found                                  # it has no stamps
    reftime, rec, xmt = (int.from_bytes(octets[i:i + 8], "big") for i in (16, 32, 40))
    if (xmt - rec) % 2**64 >= 2**63 or (reftime and (rec - reftime) % 2**64 >= 2**63):
        found.append("G10: stamps out of order")
    if not -30 <= int.from_bytes(octets[3:4], "big", signed=True) <= -5:
        found.append("G10: precision")
    if octets[16:20] == b"NTP5":
        found.append("a reference time that was the request's")
    return found


class Run:
    """All cases through one server, one family."""

    def __init__(self, server, clock, network, family):
        self.server = server
        self.clock = clock
        self.network = network
        self.player = Player(network, family)
        self.family = family
        self.failures = []

    def play(self, cases):
        groups = collections.defaultdict(list)
        stopped = []
        for case in cases:
            if self.family == socket.AF_INET6 and case.source == "broadcast":
                continue
            if (self.family, case.source) in STOPPED_BY_THE_KERNEL:
                stopped.append(case)
            else:
                key = case.expect.reason if isinstance(case.expect, Silence) else "reply"
                groups[key].append(case)
        self.warm_up(groups["reply"][0])
        for key, group in groups.items():
            for window in windows_of(group):
                self.play_window(key, window)
        self.play_stopped(stopped)
        self.player.close()
        return sum(map(len, groups.values())), len(stopped)

    def warm_up(self, case):
        """The first datagrams of a young network may be lost to neighbour discovery, which is not ours to judge."""
        def answered():
            self.player.forget()
            self.player.send(case)
            time.sleep(0.02)
            self.player.collect()
            return self.player.replies
        wait_for("first reply", answered)
        quiet = time.monotonic() + 0.2            # what waited for the neighbour comes all at once
        while time.monotonic() < quiet:
            self.player.collect()
            time.sleep(0.002)

    def play_window(self, key, window):
        found = self.differences(key, window)
        if found and len(window) > 1:                 # who was it?
            single = [(case, self.differences(key, [case])) for case in window]
            named = [f"{case.id}: {text}" for case, texts in single for text in texts]
            # Nobody: a question of the server to itself, of which there is one a second, may have come in between.
            found = named or [f"{texts} (only together)" for texts in self.differences(key, window)]
        elif found:
            found = [f"{window[0].id}: {text}" for text in found]
        self.failures.extend(found)

    def differences(self, key, window):
        """Sends the cases, waits until the server has counted them all, and compares."""
        player = self.player
        player.forget()
        before = self.server.counters()
        sent_before = self.network.udp_sent()
        # Our own datagrams from beside the server are counted in its namespace too.
        ours = sum(case.source in ("loopback", "own_address") for case in window)
        for case in window:
            player.send(case)
        replies = len(window) if key == "reply" else 0
        try:
            wait_for("count of all datagrams", lambda: self.server.counters()["received"]
                     >= before["received"] + len(window), 3)
            wait_for("all replies", lambda: player.collect() or len(player.replies) >= replies, 3)
        except Failure as failure:
            return [f"{failure}: {dict(self.server.counters() - before)}"]
        after = self.server.counters()
        player.collect()
        change = {name: after[name] - before[name] for name in after if after[name] != before[name]}
        expected = {"received": len(window), "sent" if replies else key: len(window)}
        found = []
        if change != expected:
            found.append(f"counters changed by {change}, not {expected}")
        if self.network.udp_sent() - sent_before != replies + ours:
            found.append(f"{self.network.udp_sent() - sent_before - ours} datagrams were sent")
        return found + self.wrong_replies(replies)

    def wrong_replies(self, expected):
        found = []
        seen = collections.Counter()
        for case, octets, source, asked in self.player.replies:
            if case is None or isinstance(case.expect, Silence):
                found.append(f"an unexpected datagram of {len(octets)} octets from {source}")
                continue
            seen[case.id] += 1
            found.extend(problems_of(case, octets, source, asked))
            found.extend([] if case.expect.nak else self.clock.problems_of(octets))
        found.extend(f"{name}: {count} replies" for name, count in seen.items() if count > 1)
        if len(self.player.replies) != expected:
            found.append(f"{len(self.player.replies)} replies, not {expected}")
        return found

    def play_stopped(self, cases):
        """The kernel lets none of them through: the server hears only the request behind them."""
        if not cases:
            return
        payload = header("behind")
        marker = Case("marker", "", "client", payload, Reply(4, 4, 0, payload[40:48]))
        before = self.server.counters()
        self.player.forget()
        for case in cases:
            self.player.send(case)
        self.player.send(marker)
        wait_for("answer to the marker", lambda: self.player.collect() or self.player.replies)
        received = self.server.counters()["received"] - before["received"]
        if received != 1:
            self.failures.append(f"{received - 1} of {len(cases)} forged packets reached the server")


def windows_of(cases):
    """Groups that fit the server's receive buffer at once."""
    window, octets = [], 0
    for case in cases:
        if window and (len(window) == WINDOW or octets + len(case.payload) > WINDOW_OCTETS):
            yield window
            window, octets = [], 0
        window.append(case)
        octets += len(case.payload) + 700             # what the kernel keeps beside the octets
    if window:
        yield window


def play_all(program, kernel, clock, network, table, threads, folder, settings=""):
    fake = FakeKernel(kernel, **clock.kernel)
    server = Server(program, network, threads, folder,
                    environment={**fake.environment(), **clock.environment}, settings=settings)
    failures = []
    try:
        for family in (socket.AF_INET, socket.AF_INET6):
            run = Run(server, clock, network, family)
            start = time.monotonic()
            played, stopped = run.play(table)
            how = f"{NAMES[family]}, --threads {threads}, {clock.name}"
            print(f"wire cases, {how}: {played} played, {len(run.failures)} differ, "
                  f"{stopped} stopped by the kernel, {time.monotonic() - start:.1f} s", flush=True)
            failures += [f"{how}: {text}" for text in run.failures]
        server.stop()
    finally:
        server.kill()
    if failures:
        print(server.log.read_text(encoding="utf-8", errors="replace")[-2000:])
    return failures


def secret_file(folder, name, octets):
    """A file that the server's user alone may read, as it has to be."""
    path = folder / name
    path.write_bytes(octets)
    path.chmod(0o600)
    if is_real_root():
        os.chown(path, 65532, 65532)
    return path


def keyed(program, folder):
    """Settings of a server with keys, and the cases for it."""
    folder.chmod(0o755)
    keys = secret_file(folder, "keys", case_keyed.KEY_FILE.encode())
    settings = f'server.keys_file = "{keys}"\n'
    cases = [*case_keyed.macs(), *case_keyed.uncut_macs()]
    shown = subprocess.run([program, "config", "show"], capture_output=True, text=True, check=True)
    if "cookie_secret_file" not in shown.stdout:
        return settings, cases                        # a program without key establishment
    tls = folder / "tls"
    subprocess.run([program, "ca", "init", "--dir", tls, "time.lan"], check=True, capture_output=True)
    secret = secret_file(folder, "secret", case_keyed.SECRET)
    key = secret_file(folder, "key.pem", (tls / "server.key").read_bytes())
    settings += (f'nts.certificate = "{tls}/server.crt"\nnts.key = "{key}"\n'
                 f'nts.cookie_secret_file = "{secret}"\n')
    return settings, cases + list(case_keyed.nts_cases(int(time.time()) // 86_400))


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("program")
    options.add_argument("kernel")
    options.add_argument("--table", default=Path(__file__).with_name("cases.tsv"))
    options.add_argument("--threads", action="append")
    chosen = options.parse_args()
    netns.enter_or_skip()
    network = netns.Network()
    table = read_table(chosen.table)
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        for clock in CLOCKS:
            for threads in chosen.threads or ["auto", "0"]:
                failures += play_all(os.path.abspath(chosen.program), chosen.kernel, clock, network,
                                     table, threads, Path(folder))
        settings, cases = keyed(os.path.abspath(chosen.program), Path(folder))
        table += cases
        for threads in chosen.threads or ["auto", "0"]:
            failures += play_all(os.path.abspath(chosen.program), chosen.kernel, CLOCKS[0], network,
                                 cases, threads, Path(folder), settings)
    for text in failures[:40]:
        print(f"FAILED {text}")
    print(f"wire cases, socket: {len(table)} cases, {len(CLOCKS)} states of the clock, "
          f"{len(failures)} failures")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
