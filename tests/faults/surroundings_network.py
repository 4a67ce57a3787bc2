"""Faults of the network: interfaces that come and go, names that nobody answers for, families and loopback that lack."""
import contextlib, os, socket, struct, subprocess, threading, time

import campaign
from campaign import Row
from harness import FakeKernel, Server, ask, until


def ip(text, check=True):
    subprocess.run(["ip", *text.split()], check=check, stderr=subprocess.DEVNULL)


def flaps(settings):
    """An interface that goes down and up, an address that leaves and returns: afterwards all is served as before, loopback all the time."""
    for command in ("link add outside type veth peer name beyond", "link set beyond up", "addr add 192.0.2.1/24 dev outside", "link set outside up"):
        ip(command)
    lost = late = 0
    runs = 100 if settings.long else 5
    with Server(settings.program, "--http", "off") as server:
        for number in range(runs):
            if number % 2:
                ip("link set outside down")
                lost += not campaign.ask_right(timeout=1.0)
                ip("link set outside up")
            else:
                ip("addr del 192.0.2.1/24 dev outside")
                lost += not campaign.ask_right(timeout=1.0)
                ip("addr add 192.0.2.1/24 dev outside")
            begun = time.monotonic()
            until(lambda: campaign.ask_right("192.0.2.1", timeout=0.2), 5.0, "the address is served again")
            late = max(late, time.monotonic() - begun)
            lost += not campaign.ask_right(timeout=1.0)
        code, _ = server.stop()
    return Row.of("interface down and up, address gone and back", runs, "served < 1 s after, loopback always", f"{late * 1e3:.0f} ms at most, {lost} lost, exit {code}",
                  late < 1.0 and lost == 0 and code == 0)


class Names(threading.Thread):
    """A name server that misbehaves as told."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.53", 53))
        self.manner, self.asked = "silent", 0
        self.tcp = socket.create_server(("127.0.0.53", 53))
        threading.Thread(target=self.serve_tcp, daemon=True).start()

    def run(self):
        while True:
            query, client = self.socket.recvfrom(600)
            self.asked += 1
            if reply := self.answer(query, False):
                self.socket.sendto(reply, client)

    def serve_tcp(self):
        while True:
            connection, _ = self.tcp.accept()
            with connection, contextlib.suppress(OSError, struct.error):
                connection.settimeout(5)
                while True:  # libc asks for both families at once
                    size = struct.unpack("!H", connection.recv(2, socket.MSG_WAITALL))[0]
                    reply = self.answer(connection.recv(size, socket.MSG_WAITALL), True)
                    connection.sendall(struct.pack("!H", len(reply)) + reply)

    def answer(self, query, whole):
        end = query.index(b"\0", 12) + 5
        question, kind = query[12:end], struct.unpack("!H", query[end - 4:end - 2])[0]
        flags = {"servfail": 0x8182, "nxdomain": 0x8183}.get(self.manner, 0x8180)
        if self.manner == "silent":
            return None
        if self.manner == "garbage":
            return os.urandom(200)
        records = []
        if flags == 0x8180 and kind == 1:
            if self.manner == "thousand" and not whole:
                return query[:2] + struct.pack("!HHHHH", 0x8380, 1, 0, 0, 0) + question  # truncated: ask by TCP
            addresses = [f"127.0.{7 if n == 0 else 9}.{n % 250 + 1}" for n in range(1000 if self.manner == "thousand" else 1)]
            records = [b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 1, 4) + socket.inet_aton(a) for a in addresses]
        return query[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0) + question + b"".join(records)


def names(settings):
    """Serving goes on whatever the resolver does, and once a name is answered for it is followed."""
    with campaign.folder() as folder:
        resolv = os.path.join(folder, "resolv.conf")
        campaign.write(resolv, "nameserver 127.0.0.53\noptions timeout:1 attempts:1\n")
        subprocess.run(["mount", "--bind", resolv, os.path.realpath("/etc/resolv.conf")], check=True)
        names, number, lost, followed = Names(), 0, 0, []
        names.start()
        kernel = FakeKernel(settings.fake_kernel, maxerror_us=1234)
        path = os.path.join(folder, "ntp.toml")
        manners = ("silent", "servfail", "nxdomain", "garbage", "thousand")
        with Server(settings.program, "--listen", "0.0.0.0:1123", "--http", "off", environment=kernel.environment()):
            for manner in manners if settings.long else manners[1:]:
                campaign.write(path, "[server]\nlisten = ['127.0.0.1:123']\nthreads = 1\n[[source]]\naddress = 'time.example:1123'\nminpoll = -2\nmaxpoll = 0\n")
                names.manner = manner
                unsynchronised = FakeKernel(settings.fake_kernel, status=0x40, maxerror_us=16_000_000)
                with Server(settings.program, "--config", path, environment=unsynchronised.environment()) as server:
                    deadline = time.monotonic() + (8 if settings.long else 0.7)
                    while time.monotonic() < deadline:
                        number += 1
                        lost += not campaign.ask_right(timeout=1.0)
                        time.sleep(0.02)
                    if settings.long:
                        if manner != "thousand":
                            names.manner = "right"
                        until(lambda: (reply := ask(timeout=0.5)) and reply.leap == 0, 120.0, f"synchronisation after {manner}")
                        followed.append(manner)
                    assert server.stop()[0] == 0
        subprocess.run(["umount", os.path.realpath("/etc/resolv.conf")], check=True)
    return Row.of("names: silence, SERVFAIL, NXDOMAIN, garbage, 1,000 addresses", number, "0 lost; followed once answered for",
                  f"{lost} lost, {names.asked} asked, {len(followed)} followed", lost == 0 and names.asked > 0 and (not settings.long or len(followed) == len(manners)))


def families(settings):
    """A machine without IPv6, without IPv4 addresses, without loopback; and with bindv6only."""
    ip("link add outside type veth peer name beyond")
    for command in ("link set beyond up", "link set outside up", "addr add 192.0.2.1/24 dev outside", "addr add 2001:db8::1/64 dev outside nodad"):
        ip(command)
    served = {}

    def serves(name, *hosts):
        with Server(settings.program, "--http", "off", wait=False) as server:
            until(lambda: any("ready" in line for line in server.lines), 5.0, f"start, {name}:\n" + "\n".join(server.lines))
            served[name] = all(campaign.ask_right(host, timeout=1.0) for host in hosts) and server.stop()[0] == 0

    campaign.set_sysctl("ipv6/bindv6only", "1")
    serves("bindv6only", "192.0.2.1", "2001:db8::1")
    campaign.set_sysctl("ipv6/bindv6only", "0")
    campaign.set_sysctl("ipv6/conf/all/disable_ipv6", "1")
    serves("IPv4 only", "192.0.2.1", "127.0.0.1")
    campaign.set_sysctl("ipv6/conf/all/disable_ipv6", "0")
    ip("addr add ::1/128 dev lo", check=False)
    ip("-6 addr replace 2001:db8::1/64 dev outside nodad")
    ip("-4 addr flush dev outside")
    ip("-4 addr flush dev lo")
    serves("IPv6 only", "2001:db8::1", "::1")
    ip("addr add 127.0.0.1/8 dev lo")
    ip("link set lo down")
    with Server(settings.program, "--http", "off", wait=False) as server:  # nobody on this machine can ask then; but it starts
        until(lambda: any("ready" in line for line in server.lines), 5.0, "start without loopback")
        ip("link set lo up")
        served["no loopback"] = bool(until(lambda: campaign.ask_right(timeout=0.3), 3.0, "an answer")) and server.stop()[0] == 0
    wrong = [name for name, fine in served.items() if not fine]
    return Row.of("IPv4 only, IPv6 only, bindv6only, no loopback", len(served), "starts and serves", f"not: {', '.join(wrong)}" if wrong else "all served", not wrong)
