"""Two network namespaces of our own, joined by one virtual cable: a server's and its clients'.

Nothing here touches the host's network. Needs CAP_SYS_ADMIN, or an unprivileged user namespace:
enter() re-executes the script inside one where it must.
"""

import ctypes
import os
import socket
import struct
import subprocess
import sys
from contextlib import contextmanager

CLONE_NEWNET = 0x40000000
SERVER_V4 = ("192.0.2.1", "192.0.2.9")           # two: replies must leave from the one asked
SERVER_V6 = ("2001:db8::1", "2001:db8::9")
CLIENTS_V4 = "10.77.0.0/16"                      # every address of it is a client
CLIENTS_V6 = "2001:db8:77::/64"
_libc = ctypes.CDLL(None, use_errno=True)


def _call(name, *arguments):
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def enter_or_skip(code=77):
    """Re-executes the script where namespaces can be made; exits with `code` where they cannot."""
    if os.environ.get("NTP_TEST_IN_NAMESPACE"):
        return
    flags = ["--net"] if os.geteuid() == 0 else ["--net", "--map-root-user"]
    command = ["unshare", *flags]
    if subprocess.run([*command, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        print("skipped: this machine lets us make no network namespace")
        sys.exit(code)
    os.environ["NTP_TEST_IN_NAMESPACE"] = "1"
    os.execvp("unshare", [*command, sys.executable, *sys.argv])


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


def set_sysctl(name, value):
    with open("/proc/sys/net/" + name.replace(".", "/"), "w", encoding="ascii") as knob:
        knob.write(str(value))


class Network:
    """The calling process ends up in the clients' namespace; the server's is entered by fd."""

    def __init__(self):
        ip("link", "set", "lo", "up")
        self.server = os.open("/proc/self/ns/net", os.O_RDONLY)
        holder = os.getpid()
        # From inside the server's namespace: make the clients', then pull the cable across.
        _call("unshare", CLONE_NEWNET)
        self.clients = os.open("/proc/self/ns/net", os.O_RDONLY)
        ip("link", "set", "lo", "up")
        with self.inside(self.server):
            ip("link", "add", "to-clients", "type", "veth", "peer", "name", "to-server",
               "netns", f"/proc/{holder}/fd/{self.clients}")
            for address in SERVER_V4:
                ip("addr", "add", f"{address}/24", "dev", "to-clients")
            for address in SERVER_V6:
                ip("addr", "add", f"{address}/64", "dev", "to-clients", "nodad")
            ip("link", "set", "to-clients", "up")
            # Packets with forged sources are to reach the socket, where the server must see them.
            for device in ("all", "to-clients"):
                set_sysctl(f"ipv4.conf.{device}.rp_filter", 0)
                set_sysctl(f"ipv4.conf.{device}.accept_local", 1)
                set_sysctl(f"ipv4.conf.{device}.route_localnet", 1)
        ip("addr", "add", "192.0.2.2/24", "dev", "to-server")
        ip("addr", "add", "2001:db8::2/64", "dev", "to-server", "nodad")
        ip("link", "set", "to-server", "up")
        set_sysctl("ipv6.ip_nonlocal_bind", 1)
        ip("route", "add", "local", CLIENTS_V4, "dev", "lo")
        ip("-6", "route", "add", "local", CLIENTS_V6, "dev", "lo")
        with self.inside(self.server):
            ip("route", "add", CLIENTS_V4, "via", "192.0.2.2")
            ip("-6", "route", "add", CLIENTS_V6, "via", "2001:db8::2")

    @contextmanager
    def inside(self, namespace):
        """Sockets and processes made meanwhile belong to `namespace`."""
        _call("setns", namespace, CLONE_NEWNET)
        try:
            yield
        finally:
            _call("setns", self.clients, CLONE_NEWNET)

    def udp_sent(self):
        """How many UDP datagrams the server's namespace has sent since it exists."""
        with self.inside(self.server):
            with open("/proc/thread-self/net/snmp", encoding="ascii") as table:
                names, values = [line.split() for line in table if line.startswith("Udp:")]
            sent = int(values[names.index("OutDatagrams")])
            with open("/proc/thread-self/net/snmp6", encoding="ascii") as table:
                rows = dict(line.split() for line in table)
            return sent + int(rows["Udp6OutDatagrams"])


def udp_socket(family, port):
    """Takes every address of the family; says whom it was sent to, sends from whom it is told."""
    one = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET:
        one.setsockopt(socket.IPPROTO_IP, 8, 1)       # IP_PKTINFO
    else:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    one.bind(("", port))
    one.setblocking(False)
    return one


def raw_udp(family, source, sport, to, dport, payload):
    """The IP packet, for a socket of SOCK_RAW, IPPROTO_RAW: any source, port 0 too."""
    udp = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0)
    a, b = (socket.inet_pton(family, text) for text in (source, to))
    if family == socket.AF_INET:                      # checksums: the kernel's, and none
        return struct.pack("!BBHHHBBH", 0x45, 0, 28 + len(payload), 0, 0, 64, 17, 0) + a + b \
            + udp + payload
    pseudo = a + b + struct.pack("!II", 8 + len(payload), 17) + udp + payload
    total = sum(struct.unpack(f"!{(len(pseudo) + 1) // 2}H", pseudo + bytes(len(pseudo) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    udp = udp[:6] + struct.pack("!H", (~total & 0xFFFF) or 0xFFFF)
    return struct.pack("!IHBB", 6 << 28, 8 + len(payload), 17, 64) + a + b + udp + payload
