"""What the attacks share: the server in a network of its own, clients with any address, floods, counts."""

import contextlib
import json
import os
import re
import secrets
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "wire"))
import netns  # noqa: E402

SERVER, SECOND = netns.SERVER_V4
FORGED = "10.0.0.0/8"  # whatever is forged comes back over the cable
UDP_SEGMENT = 103


def request(xmt=None, first=0x23):
    return bytes((first,)) + bytes(39) + (xmt or secrets.token_bytes(8))


class Server:
    """The program, in the server's namespace; asked over HTTP through the cable."""

    def __init__(self, lab, settings="", address=None, http=9559, nts=False):
        self.lab = lab
        self.url = f"http://{SERVER}:{http}"
        folder = Path(lab.folder)
        self.log = folder / f"server-{http}.log"
        config = folder / f"server-{http}.toml"
        listen = f'listen = ["{address}:123"]\n' if address else ""
        user = "" if netns_is_root() else 'user = "0:0"\n'
        if nts:
            settings += lab.nts_settings()
        config.write_text(f"[server]\n{listen}{user}{settings}", encoding="ascii")
        with lab.network.inside(lab.network.server), open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [lab.program, "run", "--config", str(config), "--http", f"{SERVER}:{http}"],
                stdout=log, stderr=subprocess.STDOUT,
                env={**os.environ, "NTP_SERVER_HEALTH_SOCKET": str(folder / f"health-{http}")})
        lab.until("the server", lambda: " ready " in self.text() or self.has_ended())

    def has_ended(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"the server ended:\n{self.text()}")
        return False

    def text(self):
        return self.log.read_text(encoding="utf-8", errors="replace")

    def lines(self):
        return len(self.text().splitlines())

    def status(self):
        with urllib.request.urlopen(f"{self.url}/api/v1/status", timeout=5) as answer:
            return json.load(answer)

    def packets(self):
        return self.status()["packets"]

    def resident_kib(self):
        """Without the program's own pages: those come 64 KiB at a time, when code is run for the first time."""
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(re.search(r"RssAnon:\s+(\d+)", text)[1])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)


def netns_is_root():
    return Path("/proc/self/uid_map").read_text(encoding="ascii").split() == ["0", "0", str(2**32 - 1)]


class Lab:
    def __init__(self, program, generator):
        self.program, self.generator = str(Path(program).resolve()), str(Path(generator).resolve())
        self.network = netns.Network()
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = self.scratch.name
        os.chmod(self.folder, 0o777)
        with self.network.inside(self.network.server):
            netns.ip("route", "add", FORGED, "via", "192.0.2.2")
            self.server_mac = mac_of("to-clients")
        self.client_mac = mac_of("to-server")
        self.raw = {}

    @staticmethod
    def until(what, condition, seconds=10.0):
        end = time.monotonic() + seconds
        while not (found := condition()):
            if time.monotonic() > end:
                raise RuntimeError(f"no {what} within {seconds:.0f} s")
            time.sleep(0.005)
        return found

    def client(self, source, port=0, family=socket.AF_INET):
        """A socket with an address of our choosing; all of 10.77.0.0/16 is ours."""
        one = socket.socket(family, socket.SOCK_DGRAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((source, port))
        return one

    def forge(self, source, sport, payload, to=SERVER, dport=123):
        """One packet with any source. It leaves by the cable."""
        family = socket.AF_INET6 if ":" in to else socket.AF_INET
        if family not in self.raw:
            self.raw[family] = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.raw[family].sendto(netns.raw_udp(family, source, sport, to, dport, payload), (to, 0))

    def reaction(self, server, send, count):
        """How `server` reacts to `count` datagrams that send() sends: replies, and drops by reason."""
        before, sent_before = server.packets(), self.network.udp_sent()
        send()
        self.until(f"{count} datagrams at the server",
                   lambda: server.packets()["received"] >= before["received"] + count)
        after = server.packets()
        reasons = {reason: number - before["dropped"][reason]
                   for reason, number in after["dropped"].items()
                   if number > before["dropped"][reason]}
        return {"replies": self.network.udp_sent() - sent_before, "dropped": reasons,
                "received": after["received"] - before["received"]}

    def nts_settings(self):
        """A certificate from an authority of our own, made once."""
        tls = Path(self.folder) / "tls"
        if not tls.exists():
            subprocess.run([self.program, "ca", "init", "--dir", str(tls), "127.0.0.1"], check=True,
                           stdout=subprocess.DEVNULL, env={"PATH": os.environ["PATH"]})
        return f'[nts]\ncertificate = "{tls}/server.crt"\nkey = "{tls}/server.key"\n'

    def session(self):
        """A session of NTS with the server that runs: a file for the generator."""
        path = Path(self.folder) / "nts.session"
        establish = [str(Path(self.generator).parent / "nts_session"), "127.0.0.1", "4460",
                     f"{self.folder}/tls/ca.crt"]

        def done():
            with self.network.inside(self.network.server), open(path, "wb") as out:
                return subprocess.run(establish, stdout=out, stderr=subprocess.DEVNULL,
                                      check=False).returncode == 0
        self.until("key establishment", done)
        return str(path)

    def ask(self, source, clients, rate, seconds, *options):
        """Honest clients that ask so often and look at every answer, NTS and all."""
        child = subprocess.Popen(
            [self.generator, SERVER, "--transport", "udp", "--source", source, "--clients",
             str(clients), "--any-leap", "--json", "--patient", "--warm-up", "0", "--lost-after",
             "0.5", "--rate", str(rate), "--duration", str(seconds), *options],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return json.loads(child.communicate()[0])

    @contextlib.contextmanager
    def flood(self, source, rate, clients=1, options=()):
        """Requests forged in the name of `source` (and of those above it) from one port each."""
        child = self.generate(source, clients, "--rate", rate, "--duration", 3600, *options)
        try:
            time.sleep(0.3)
            yield child
        finally:
            child.kill()
            child.wait()

    def generate(self, source, clients, *options):
        return subprocess.Popen(
            [self.generator, SERVER, "--transport", "packet", "--interface", "to-server",
             "--to-mac", self.server_mac, "--from-mac", self.client_mac, "--source", source,
             "--clients", str(clients), "--any-leap", "--json", "--warm-up", "0",
             *map(str, options)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def pour(self, payload, count, source="10.77.200.1"):
        """`count` copies as fast as this machine can, many with a call."""
        with self.client(source) as sender:
            sender.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, len(payload))
            sender.connect((SERVER, 123))
            at_once = min(64, 60_000 // len(payload))
            sent = 0
            while sent < count:
                with contextlib.suppress(ConnectionRefusedError):
                    sender.send(payload * min(at_once, count - sent))
                    sent += min(at_once, count - sent)


def mac_of(device):
    return Path(f"/sys/class/net/{device}/address").read_text(encoding="ascii").strip() \
        if Path(f"/sys/class/net/{device}/address").exists() else mac_by_ip(device)


def mac_by_ip(device):  # /sys shows the namespace that it was mounted in
    text = subprocess.run(["ip", "-json", "link", "show", device], check=True, capture_output=True,
                          text=True).stdout
    return json.loads(text)[0]["address"]


def asked_and_answered(one, requests, spacing_s, wait_s=0.5):
    """Of so many requests of a client, how many get their answer."""
    served, open_questions = 0, set()
    for number in range(requests + 1):
        end = time.monotonic() + (spacing_s if number < requests else wait_s)
        if number < requests:
            xmt = secrets.token_bytes(8)
            open_questions.add(xmt)
            one.sendto(request(xmt), (SERVER, 123))
        while (left := end - time.monotonic()) > 0:
            if select.select([one], [], [], left)[0]:
                reply = one.recv(2048)
                if reply[24:32] in open_questions and reply[12:16] != b"RATE":
                    open_questions.discard(reply[24:32])
                    served += 1
    return served


def extension(kind, length, octets):
    return struct.pack("!HH", kind, length) + bytes(max(0, octets - 4))
