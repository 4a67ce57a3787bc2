"""Requests as fast as this machine can make them, until killed: flood.py HOST PORT SOURCE…

Sixty-four datagrams leave with each system call (UDP_SEGMENT), so that even this slow language
outruns the server; the replies are read by nobody. A program of its own: see harness.Flood.
"""
import ctypes, os, signal, socket, sys

PR_SET_PDEATHSIG, UDP_SEGMENT, REQUEST, AT_ONCE = 1, 103, 48, 64


def main():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    host, port, *sources = sys.argv[1:]
    sockets = []
    for source in sources:
        s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        s.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, REQUEST)
        s.bind((source, 0))
        s.connect((host, int(port)))
        sockets.append(s)
    while True:
        requests = b"".join(b"\x23" + bytes(39) + os.urandom(8) for _ in range(AT_ONCE))
        for s in sockets:
            try:
                s.send(requests)
            except (BlockingIOError, ConnectionRefusedError):
                pass


if __name__ == "__main__":
    main()
