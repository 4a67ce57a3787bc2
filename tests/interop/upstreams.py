"""Our server follows Debian's daemons and they follow it, for real: the machine's clock is the truth, and nobody's to set."""
import contextlib, math, mmap, os, re, socket, statistics, struct, tempfile, threading, time
from dataclasses import dataclass

from world import FakeKernel, OurNode, ask, daemon, no_clock, run, until

STA_UNSYNC = 0x40
FOLLOWED = ("selected", "combined")
# Of who follows ours over a wire of some 50 us, asking every second or sixteen. On a machine that is busy with other work a
# program loses its processor for longer than that now and then, but not whenever it asks.
GOOD_S = 0.005


class Chronyd:
    """A real server on a node of its own, whose clock can be shifted, and which can be killed and started again."""

    def __init__(self, lab, package, name, *options):
        self.node, self.package = lab.node(name), package
        self.file = tempfile.NamedTemporaryFile(dir="/run")
        self.file.write(bytes(8))
        self.file.flush()
        self.shift_ns = mmap.mmap(self.file.fileno(), 8)
        self.control = f"/run/chrony-{name}/control"
        self.command = ["chronyd", "-d", "-x", "-u", "root", *(options or ["local stratum 2"]), "allow", "cmdport 0",
                        f"bindcmdaddress {self.control}", f"pidfile /run/chronyd-{name}.pid"]
        self.preload = {"LD_PRELOAD": lab.shifted_clock, "SHIFTED_CLOCK": self.file.name}
        self.running = None

    def start(self):
        self.running = contextlib.ExitStack()
        self.said = self.running.enter_context(daemon([*self.node.enter, *no_clock(*self.command)], self.package.environment(**self.preload)))

    def kill(self):
        self.said.process.kill()
        self.running.close()

    def shift(self, seconds):
        self.shift_ns[:] = struct.pack("=q", int(seconds * 1e9))

    def tracking(self):
        """What it says of itself: chronyc's fields by name."""
        status, text = run(["chronyc", "-h", self.control, "-n", "tracking"], self.package.environment(), 10)
        return dict(re.findall(r"(?m)^(.+?) +: (.*)$", text)) if status == 0 else {}

    def errors(self):
        """The offset that it found last, by how much its time is ahead of the machine's, and its root distance, all in seconds."""
        said = self.tracking()
        number = lambda key: float(said[key].split()[0])
        ahead_s = number("System time") * (1 if "slow" in said["System time"] else -1)
        return number("Last offset"), ahead_s, number("Root delay") / 2 + number("Root dispersion")


class Ours(OurNode):
    """With nothing to go by but its sources."""

    def __init__(self, lab, name, addresses, more="", **settings):
        self.file = tempfile.NamedTemporaryFile("w", suffix=".toml", dir="/run")
        os.chmod(self.file.name, 0o644)
        self.file.write("".join(f"[[source]]\naddress = '{a}'\nminpoll = -2\nmaxpoll = 0\n{more}" for a in addresses))
        self.file.flush()
        kernel = FakeKernel(lab.fake_kernel, status=STA_UNSYNC, maxerror_us=16_000_000)
        super().__init__(lab, lab.node(name), kernel, "--config", self.file.name, environment=settings)

    def verdict(self, address):
        """The word of the verdict about a source, and the sentence."""
        source = next(s for s in self.status()["sources"] if s["address"] and s["address"].startswith((address, f"[{address}]")))
        return source["verdict"], source["why"]

    def until(self, condition, what, seconds=30):
        try:
            until(condition, seconds, what)
        except AssertionError as error:
            clock, words = self.status()["clock"], [f"{s['address']} {s['verdict']}: {s['why']}" for s in self.status()["sources"]]
            numbers = [self.server.ctl(about)[1] for about in ("sources", "sourcestats")]
            raise AssertionError("\n".join([str(error), f"{clock['state']}: {clock['why']}", *words, *numbers, *self.server.lines[-20:]])) from None

    def until_verdict(self, address, words, seconds=30):
        self.until(lambda: self.verdict(address)[0] in words, f"{words} about {address}", seconds)

    def until_synchronised(self):
        self.until(lambda: (reply := ask(self.node.v4)) and reply.leap == 0, "synchronisation")


@dataclass
class Seen:
    """One second: the best exchange's error, the bound, and whether the truth can have been within it."""
    error_s: float
    bound_s: float
    synchronised: bool
    inside: bool


class Watch:
    """Asks a server again and again and holds what it says against the machine's clock, or one that is `ahead_s` of it."""

    def __init__(self, address, exchanges=8, pause_s=0.1, ahead_s=0.0):
        self.address, self.exchanges, self.pause_s, self.ahead_s = address, exchanges, pause_s, ahead_s
        self.seen, self.silent, self.stopped = [], 0, threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def heard(self):
        try:
            return ask(self.address, timeout=0.5)
        except OSError:  # the wire is down at this moment
            return None

    def look(self):
        replies = [reply for _ in range(self.exchanges) if (reply := self.heard())]
        if not replies:
            self.silent += 1
            return
        bound = lambda r: r.root_delay / 2 + r.root_dispersion
        told = [r for r in replies if r.leap != 3]
        best = min(told or replies, key=lambda r: r.received - r.sent)
        inside = all(r.sent - bound(r) <= r.time - self.ahead_s <= r.received + bound(r) for r in told)
        self.seen.append(Seen(best.time - self.ahead_s - (best.sent + best.received) / 2, bound(best), bool(told), inside))

    def _run(self):
        while not self.stopped.wait(self.pause_s):
            self.look()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        died = not self.thread.is_alive()
        self.stopped.set()
        self.thread.join(10)
        assert not died, "nobody watched to the end"

    def broken(self):
        return [one for one in self.seen if not one.inside]

    def describe(self):
        told = [one for one in self.seen if one.synchronised]
        if not told:
            return f"never synchronised in {len(self.seen)} looks"
        rms = math.sqrt(statistics.fmean(one.error_s**2 for one in told))
        worst = max(abs(one.error_s) for one in told)
        bound = statistics.median(one.bound_s for one in told)
        return (f"{len(told)} of {len(self.seen)} looks synchronised, {len(self.broken())} outside of the bound, error RMS {rms * 1e6:.0f} us, "
                f"largest {worst * 1e6:.0f} us, median bound {bound * 1e6:.0f} us, {self.silent} without an answer")


def bound_of(reply):
    return reply.root_delay / 2 + reply.root_dispersion


def follows(lab, name, upstream_v4, upstream_v6, stratum, ahead_s=0.0):
    """Ours behind both addresses of one daemon, one after the other; the head of the row is `ahead_s` of the machine's clock."""
    for family, address in (("4", upstream_v4), ("6", upstream_v6)):
        with Ours(lab, f"{name}{family}", [address]) as ours:
            ours.until_synchronised()
            with Watch(ours.node.v4, pause_s=0, ahead_s=ahead_s) as watch:
                ours.until_verdict(address, FOLLOWED)
                # A daemon that has just started says little of itself.
                ours.until(lambda: len(watch.seen) >= 20 and watch.seen[-1].bound_s < 0.05, f"a good bound: {watch.describe()}", 60)
                ours.until(lambda: abs(watch.seen[-1].error_s) < GOOD_S, f"a good time: {watch.describe()}")
            reply = ask(ours.node.v4)
            assert reply.stratum == stratum and not watch.broken(), (reply.stratum, watch.describe())
            assert len(watch.seen) >= 20 and watch.silent == 0, watch.describe()
            assert family == "6" or reply.refid == socket.inet_aton(address), reply.refid


def chronyd_both_ways(lab, package):
    """Ours → chronyd → ours; chronyd says itself whom it follows and how well. The head is ahead of the machine's clock, with
    which chronyd starts: who is right has learned it. Its own clock exists in its memory only (-x), and it serves that."""
    ahead_s = lab.ahead.kernel.get("step_ns") / 1e9
    for family, address in (("4", lab.ahead.v4), ("6", lab.ahead.v6)):
        peer = Chronyd(lab, package, f"way{family}", f"server {address} iburst minpoll 0 maxpoll 0", "makestep 0.1 1")
        peer.start()
        with peer.running:
            until(lambda: peer.tracking().get("Leap status") == "Normal", 30, f"chronyd's synchronisation: {peer.tracking()} {peer.said()}")
            tracking = peer.tracking()
            assert tracking["Stratum"] == "4" and (family == "6" or f"({address})" in tracking["Reference ID"]), tracking
            ours_s = lab.ahead.kernel.get("maxerror_us") / 1e6  # no nearer to the truth than ours says of itself, nor much further

            def is_good():
                last_s, shift_s, distance_s = peer.errors()
                return abs(last_s) < GOOD_S and abs(shift_s - ahead_s) < GOOD_S and ours_s < distance_s < ours_s + 0.02
            try:
                until(is_good, 30)
            except AssertionError:
                raise AssertionError(f"last offset, shift, distance {peer.errors()}; wanted about 0, {ahead_s}, {ours_s}") from None
            with Watch(peer.node.v4, ahead_s=ahead_s) as watch:
                until(lambda: len(watch.seen) >= 20, 30)
            assert not watch.broken() and abs(watch.seen[-1].error_s) < GOOD_S and watch.silent == 0, watch.describe()
            if family == "4":
                follows(lab, "behind", peer.node.v4, peer.node.v6, 5, ahead_s)


def ntpd_rs_both_ways(lab, package):
    """Ours → ntpd-rs → ours; its own control program says whom it follows."""
    node, config = lab.node("rs"), "/run/both-ways.toml"
    with open("/etc/hosts", "a") as file:  # it takes an IPv6 address for a name
        file.write(f"{lab.synced.v6} ours-by-v6\n")
    with open(config, "w") as file:
        file.write('[observability]\nobservation-path = "/run/both-ways.sock"\n[[server]]\nlisten = "[::]:123"\n'
                   + "".join(f'[[source]]\nmode = "server"\naddress = "{name}"\n' for name in (lab.synced.v4, "ours-by-v6"))
                   + "[source-defaults]\npoll-interval-limits = { min = 4, max = 4 }\n[synchronization]\nminimum-agreeing-sources = 1\n")
    environment = package.environment(LD_LIBRARY_PATH="", LD_PRELOAD=lab.no_clock)
    with daemon([*node.enter, *lab.foreign(package, "ntp-daemon", "-c", config)], environment) as said:
        status = lambda: run([*node.enter, *lab.foreign(package, "ntp-ctl", "-c", config, "status")], environment, 10)[1]
        until(lambda: os.path.exists("/run/both-ways.sock"), 30, said())
        # It says for each source that it has one; then the stratum, which is ours and one.
        until(lambda: all(f"{word}:123 (" in (text := status()) for word in (lab.synced.v4, f"[{lab.synced.v6}]")) and "Stratum: 4" in text, 60,
              f"both: {status()}\n{said()}")
        text, ours_s = status(), lab.synced.kernel.get("maxerror_us") / 1e6
        numbers = lambda pattern: [float(number) for number in re.findall(pattern, text)]
        offsets, theirs = numbers(r"\): ([-+][\d.]+)±"), numbers(r"root dispersion: ([\d.]+)s")
        assert len(offsets) == 2 and all(abs(offset) < GOOD_S for offset in offsets), text
        assert len(theirs) == 2 and all(ours_s < dispersion < ours_s + 0.02 for dispersion in theirs), text
        # Its own mixes the two sources' as if their errors were independent.
        distance_s = numbers(r"Dispersion: ([\d.]+)s")[0] + numbers(r"Dispersion: .* Delay: ([\d.]+)s")[0] / 2
        assert ours_s / 2 < distance_s < ours_s + 0.02, text
        follows(lab, "behind-rs", node.v4, node.v6, 5)


class Site:
    """Five real servers and ours behind them."""

    def __init__(self, lab, package, name, **settings):
        self.stack = contextlib.ExitStack()
        self.servers = [Chronyd(lab, package, f"{name}{n}") for n in range(1, 6)]
        for server in self.servers:
            server.start()
            self.stack.callback(lambda server=server: server.running.close())
        self.ours = self.stack.enter_context(Ours(lab, name, [s.node.v4 for s in self.servers], **settings))

    def until_all_followed(self):
        for server in self.servers:
            self.ours.until_verdict(server.node.v4, FOLLOWED)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()


def troubles(lab, package):
    """One lies from the start, one is killed and comes back, one steps, then most of them lie alike."""
    with Site(lab, package, "site") as site:
        ours, (liar, mortal, stepper, *_) = site.ours, site.servers
        liar.shift(0.8)
        with Watch(ours.node.v4) as watch:
            ours.until_synchronised()
            ours.until_verdict(liar.node.v4, ["falseticker"])
            named = [line for line in ours.server.ctl("selection")[1].splitlines() if liar.node.v4 in line]
            assert named and "falseticker" in named[0], ours.server.ctl("selection")
            ours.server.wait_line(f"source {liar.node.v4} is not believed: falseticker: offset ")
            mortal.kill()
            ours.until_verdict(mortal.node.v4, ["unreachable"])
            mortal.start()
            ours.until_verdict(mortal.node.v4, FOLLOWED)
            stepper.shift(1)
            ours.until_verdict(stepper.node.v4, ["falseticker"])
            stepper.shift(0)
            ours.until_verdict(stepper.node.v4, FOLLOWED)
            assert all(one.synchronised for one in watch.seen[-50:]), watch.describe()
            for server in (mortal, stepper):  # three of five
                server.shift(0.8)
            ours.until(lambda: ask(ours.node.v4).leap == 3, "the end of trust")
            ours.until(lambda: ours.status()["clock"]["state"] == "unsynchronised", "its state", 3)  # told once a second
            ours.server.wait_line("contradict")
            for server in site.servers:
                server.shift(0)
            ours.until_synchronised()
            site.until_all_followed()
        assert not watch.broken() and watch.silent == 0, watch.describe()


def checks(lab):
    lab.check("sources: ours, chronyd, ours in a row, over IPv4 and IPv6", ["chrony"], lambda p: chronyd_both_ways(lab, p))
    lab.check("sources: ours, ntpd-rs, ours in a row, over IPv4 and IPv6", ["ntpd-rs"], lambda p: ntpd_rs_both_ways(lab, p))
    lab.check("sources: a liar, a killed one, a step, a false majority", ["chrony"], lambda p: troubles(lab, p))
