#!/usr/bin/env python3
"""Two of our servers, and packets to the one forged in the name of the other (CVE-2024-2169).

  socket_ping_pong.py NTP-SERVER

Every first octet there is, from port 123 to port 123: at most one reply each, which the other
server drops; then the line is silent.
"""

import socket
import sys
import tempfile
from pathlib import Path

import netns
from socket_cases import HTTP, NTP, Server, wait_for

# v1-v4, modes 1 and 3, any leap: the only requests that there are from port 123 (G3).
REQUESTS = 4 * 2 * 4


def play(network, family, addresses, servers):
    """Forges packets of the first server to the second; returns what went wrong."""
    with network.inside(network.server):
        raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
    before = [server.counters() for server in servers]
    sent_before = network.udp_sent()
    for first in range(256):
        packet = netns.raw_udp(family, addresses[0], NTP, addresses[1], NTP,
                               bytes((first,)) + bytes(47))
        raw.sendto(packet, (addresses[1], 0))
    raw.close()

    def change(name, of):
        return servers[of].counters()[name] - before[of][name]

    wait_for("all forged packets at the second server", lambda: change("received", 1) >= 256)
    wait_for("its replies at the first", lambda: change("received", 0) >= REQUESTS)
    found = {"replies of the second": change("sent", 1), "replies of the first": change("sent", 0),
             "dropped by the first as no request": change("bad_mode", 0),
             "received by the second": change("received", 1),
             "datagrams in the world": network.udp_sent() - sent_before}
    expected = dict(zip(found, (REQUESTS, 0, REQUESTS, 256, REQUESTS)))
    return [] if found == expected else [f"{found}, expected {expected}"]


def main():
    netns.enter_or_skip()
    network = netns.Network()
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        servers = []
        try:
            for number in range(2):
                listen = ["--listen", netns.SERVER_V4[number],
                          "--listen", f"[{netns.SERVER_V6[number]}]"]
                servers.append(Server(sys.argv[1], network, "auto", Path(folder), HTTP + number,
                                      listen))
            for family, addresses in ((socket.AF_INET, netns.SERVER_V4),
                                      (socket.AF_INET6, netns.SERVER_V6)):
                failures += play(network, family, addresses, servers)
            for server in servers:
                server.stop()
        finally:
            for server in servers:
                server.kill()
    for text in failures:
        print(f"FAILED {text}")
    print(f"ping-pong: 2 servers, 512 forged packets, {len(failures)} failures")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
