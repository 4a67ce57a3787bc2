#!/usr/bin/python3
"""Interop: Debian's own time programs, each really run against the server (and the other way round).

run.py PROGRAM [WORD…]         only the checks whose name holds one of the words
run.py PROGRAM --soak MINUTES [GENERATOR]  our server behind five of chrony's in trouble, under load; with bench/ntpload
                               at 70 % of what it can do, and with every kind of fault
Needs root, Debian, iproute2, util-linux, gcc. Programs are unpacked into build/interop-cache, never installed; nothing
may set this machine's clock; the network, the processes and what they write are gone when this ends."""
import concurrent.futures, os, socket, subprocess, sys, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(os.path.join(HERE, "..", "..", "build"))
CACHE = os.path.join(BUILD, "interop-cache")
sys.path.insert(0, HERE)
import clients, debian, monitors, nts, nts_aead, nts_upstreams, peers, service, soak, upstreams, world  # noqa: E402

PROGRAMS = ["chrony", "chrony-trixie", "ntpsec", "ntpsec-ntpdig", "ntpsec-ntpdate", "openntpd", "ntpd-rs", "busybox", "systemd-timesyncd", "rdate", "toybox",
            "monitoring-plugins-basic", "prometheus-node-exporter", "zabbix-agent", "python3-ntplib", "libnet-ntp-perl", "nmap", "tshark", "systemd", "sslscan", "openssl"]
AT_ONCE = 8  # nearly all of them wait
STA_PLL, STA_UNSYNC, STA_NANO = 0x0001, 0x0040, 0x2000


class Served(world.Node):
    """A namespace with our server in it, its kernel's clock in a state of our choice."""

    def __init__(self, lab, name, number, leap, stratum, refid, status, step_ns=0, **settings):
        super().__init__(name, number)
        self.leap, self.stratum, self.refid = leap, stratum, refid
        self.kernel = world.FakeKernel(lab.fake_kernel, status=status, step_ns=step_ns)
        self.capture = (self.link,)
        self.settings, self.lab, self.server = settings, lab, None

    def start(self):
        preload = [f"{key}={value}" for key, value in self.kernel.environment().items()]
        self.server = world.Server(self.lab.program, "run", "--http", f"{self.v4}:9559", environment=self.settings,
                                   prefix=[*self.enter, "env", *preload])
        self.server.wait_line(r"Local socket:  \('::', 123\)")

    def drops(self, reason):
        for line in self.server.get("/metrics", host=self.v4)[1].splitlines():
            if f'reason="bad_{reason}"' in line:
                return float(line.split()[-1])
        raise KeyError(reason)


class Lab:
    def __init__(self, program, words):
        self.program, self.words, self.packages = os.path.abspath(program), words, {}
        self.queue, self.passed, self.failed, self.skipped = [], 0, 0, 0
        self.numbers, self.mutex, self.locks, self.lent = 10, threading.Lock(), {}, []

        self.fake_kernel = self.library(HERE + "/../system/fake_kernel.c")
        self.no_clock = self.library(HERE + "/no_clock.c")
        self.shifted_clock = self.library(HERE + "/shifted_clock.c")

    def build_network(self):
        self.capture_file = "/run/all.pcap"
        synced = dict(leap="0", stratum=3, refid=b"\x7f\x7f\x00\x01", status=STA_PLL | STA_NANO)
        self.synced = Served(self, "synced", 1, **synced)
        self.ahead = Served(self, "ahead", 2, **synced, step_ns=int(clients.AHEAD_S * 1e9))
        self.local = Served(self, "local", 3, "0", 10, b"LOCL", STA_UNSYNC | STA_NANO)
        self.refusing = Served(self, "refusing", 4, "3", 0, b"\0\0\0\0", STA_UNSYNC | STA_NANO, NTP_SERVER_SERVER_UNSYNCHRONISED="refuse")
        self.nodes = [self.synced, self.ahead, self.local, self.refusing]
        self.authority = nts.Authority(self.program)
        self.secure = Served(self, "secure", 5, **synced, step_ns=int(clients.AHEAD_S * 1e9), **self.authority.settings)
        self.capture = world.Capture(self.capture_file, [node.link for node in self.nodes])
        for node in [*self.nodes, self.secure]:
            node.start()
            for address in node.addresses:  # neighbours find each other once; a first packet would wait for that
                world.until(lambda: (reply := world.ask(address)) and reply.received - reply.sent < 0.05, 20, f"{address} is reached")

    @staticmethod
    def library(source):
        target = os.path.join(CACHE, os.path.basename(source).replace(".c", ".so"))
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-w", "-o", target, source], check=True)
        return target

    def node(self, name):
        """A further namespace, for a program that needs its own port 123; routed to all others."""
        with self.mutex:
            self.numbers += 1
            return world.Node(f"n-{name}", self.numbers)

    def lock(self, name):
        return self.locks.setdefault(name, threading.Lock())

    def free_port(self):
        while True:
            with socket.create_server(("127.0.0.1", 0)) as listener:
                port = listener.getsockname()[1]
            if port not in self.lent:
                self.lent.append(port)
                return port

    def foreign(self, package, program, *arguments):
        """A program of another release, by that release's loader if it came along."""
        try:
            loader = package.path("/usr/lib/*-linux-gnu*/ld-linux-*.so*", "/lib/*-linux-gnu*/ld-linux-*.so*")
        except debian.Missing:
            return [program, *arguments]
        return [loader, "--library-path", os.path.dirname(loader), package.path(f"/usr/bin/{program}"), *arguments]

    def check(self, name, packages, function, lock=None):
        if not self.words or any(word in name for word in self.words):
            self.queue.append((name, packages, function, lock))

    def run_one(self, name, packages, function, lock):
        found = [self.packages[package] for package in packages]
        missing = [f"{package}: {why}" for package, why in zip(packages, found) if isinstance(why, str)]
        if missing:
            return self.tell("skip", f"{name} ({'; '.join(missing)})")
        begun = time.monotonic()
        try:
            if lock:
                with lock:
                    begun = time.monotonic()
                    function(*found)
            else:
                function(*found)
        except debian.Missing as why:
            return self.tell("skip", f"{name} ({why})")
        except Exception as error:  # noqa: BLE001: whatever it is, the other checks go on
            text = "\n      ".join(f"{type(error).__name__}: {error}".strip().splitlines()[-40:])
            return self.tell("FAIL", f"{name}\n      {text}")
        self.tell("ok", f"{name} ({time.monotonic() - begun:.1f} s)")

    def tell(self, verdict, text):
        with self.mutex:
            self.passed += verdict == "ok"
            self.failed += verdict == "FAIL"
            self.skipped += verdict == "skip"
            print(f"{verdict:4}  {text}", flush=True)

    def run_queue(self):
        queue, self.queue = self.queue, []
        # Those that wait for their turn go last, so that they do not hold the places of the others.
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            for name, packages, function, lock in sorted(queue, key=lambda check: check[3] is not None):
                pool.submit(self.run_one, name, packages, function, lock)


def main():
    if len(sys.argv) < 2 or not os.access(sys.argv[1], os.X_OK) or os.geteuid() != 0:
        sys.exit(__doc__)
    minutes = float(sys.argv[3]) if sys.argv[2:3] == ["--soak"] else 0
    if os.environ.get("NTP_INTEROP_WORLD") != "1":
        print("fetching what is not in build/interop-cache", flush=True)
        debian.fetch_all(["chrony"] if minutes else PROGRAMS, CACHE)
    world.enter()
    lab = Lab(sys.argv[1], sys.argv[2:])
    if minutes:
        generator = os.path.abspath(sys.argv[4]) if len(sys.argv) > 4 else None
        return print(soak.soak(lab, debian.cached("chrony", CACHE), minutes * 60, 10, lambda line: print(line, flush=True), generator))
    lab.packages = {name: debian.cached(name, CACHE) for name in PROGRAMS}
    for name, package in lab.packages.items():
        print(f"#     {name} {package if isinstance(package, str) else package.version}")
    lab.build_network()
    monitors.check_of_delays(lab)  # alone: chronyd takes the waits of a busy machine for those of the path
    lab.run_queue()
    for part in (upstreams, soak, clients, nts, nts_upstreams, nts_aead, monitors, peers, service):
        part.checks(lab)
    lab.run_queue()
    lab.capture.stop()
    if not lab.words or "tshark" in lab.words:
        monitors.checks_of_capture(lab)
        lab.run_queue()
    for node in [*lab.nodes, lab.secure]:
        code, took = node.server.stop()
        lab.tell("ok" if code == 0 and took < 1 else "FAIL", f"server {node.name}: ends with 0 within a second ({code}, {took:.2f} s)")
    print(f"{lab.passed} passed, {lab.failed} failed" + (f", {lab.skipped} skipped" if lab.skipped else ""))
    sys.exit(1 if lab.failed or (lab.skipped and os.environ.get("TESTS_MAY_NOT_SKIP")) else 0)


if __name__ == "__main__":
    main()
