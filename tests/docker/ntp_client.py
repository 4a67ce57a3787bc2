#!/usr/bin/python3
"""A client that is not our own program, small enough to be run inside a network namespace.

    ntp_client.py query HOST PORT   one request; the reply's fields as JSON; status 69 without a reply
    ntp_client.py watch HOST PORT   a request every 50 ms until standard input ends; then what was answered, as JSON
"""
import json
import os
import select
import socket
import struct
import sys
import time

INTERVAL_S = 0.05
TIMEOUT_S = 2.0


def request():
    """A version 4 client request whose transmit timestamp is a nonce that the reply must return."""
    nonce = os.urandom(8)
    return bytes([0x23]) + bytes(39) + nonce, nonce


def parse(reply, nonce):
    """The fields of a reply to that request, or None when it is not one."""
    if len(reply) < 48 or reply[24:32] != nonce or reply[0] & 7 != 4:
        return None
    seconds, fraction = struct.unpack("!II", reply[40:48])
    return {
        "leap": reply[0] >> 6,
        "version": reply[0] >> 3 & 7,
        "stratum": reply[1],
        "refid": reply[12:16].decode("latin-1").rstrip("\0"),
        "offset": seconds - 2208988800 + fraction / 2**32 - time.time(),
    }


def query(host, port):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(TIMEOUT_S)
        udp.connect((host, port))
        packet, nonce = request()
        try:
            udp.send(packet)
            answer = parse(udp.recv(2048), nonce)
        except OSError as error:
            print(f"no reply: {error}", file=sys.stderr)
            return 69
    if answer is None:
        print("a datagram that does not answer the request", file=sys.stderr)
        return 69
    print(json.dumps(answer))
    return 0


def watch(host, port):
    sent, replies = {}, []
    start = due = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("", 0))
        while True:
            ready, _, _ = select.select([udp, sys.stdin], [], [], max(0.0, due - time.monotonic()))
            now = time.monotonic()
            if sys.stdin in ready and not sys.stdin.buffer.raw.read(1):
                break
            if udp in ready:
                reply = udp.recv(2048)
                if parse(reply, reply[24:32]) and sent.pop(reply[24:32], None):
                    replies.append(now)
            if now >= due:
                packet, nonce = request()
                sent[nonce] = now
                try:
                    udp.sendto(packet, (host, port))
                except OSError:
                    pass  # counted as unanswered
                due += INTERVAL_S
    edges = [start, *replies, time.monotonic()]
    print(json.dumps({
        "answered": len(replies),
        "lost": len(sent),
        "longest_gap_s": round(max(b - a for a, b in zip(edges, edges[1:])), 3),
    }))
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in ("query", "watch"):
        sys.exit(__doc__)
    sys.exit({"query": query, "watch": watch}[sys.argv[1]](sys.argv[2], int(sys.argv[3])))
