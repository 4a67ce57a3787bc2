"""Our server behind five of chrony's, in trouble and under load, for as long as one likes: the bound holds and nothing grows."""
import contextlib, json, multiprocessing, os, random, re, signal, socket, ssl, subprocess, sys, tempfile, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
import ke_client  # noqa: E402
from upstreams import FOLLOWED, Site, Watch
from world import request, run, until

CLIENTS, CLIENTS_FIRST = "10.200.0.0/16", "10.200.0.1"
HARD_SHARE = 0.7
WARM_UP = 0.1  # of the time; by then all memory that will be used has been
GROWTH_KIB, GROWTH_FILES = 1024, 10


class Load:
    """Near the limit of one address, from a process of its own; how many requests went unanswered."""

    def __init__(self, address, per_second=900):
        self.address, self.burst, self.counts = address, per_second // 100, multiprocessing.Array("Q", 2)
        self.process = multiprocessing.get_context("fork").Process(target=self._run, daemon=True)

    def _run(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect((self.address, 123))
            s.setblocking(False)
            while True:
                for _ in range(self.burst):
                    s.send(request())
                time.sleep(0.01)
                answered = 0
                with contextlib.suppress(BlockingIOError):
                    while s.recv(100):
                        answered += 1
                with self.counts.get_lock():
                    self.counts[0] += self.burst
                    self.counts[1] += answered

    def __enter__(self):
        self.process.start()
        return self

    def __exit__(self, *_):
        died = not self.process.is_alive()
        with self.counts.get_lock():  # it is asleep, or waits
            self.process.kill()
        self.process.join()
        assert not died, "nobody made load to the end"
        self.sent, self.answered = self.counts

    def describe(self):
        return f"load: {self.answered} of {self.sent} answered"

    def check(self, text):
        assert self.answered > 0.99 * self.sent, text


class HeavyLoad:
    """A share of what the server answers at most, by bench/ntpload with 1,000 clients' addresses; every reply is judged."""

    def __init__(self, generator, node, seconds, share):
        subprocess.run(["ip", "route", "replace", "local", CLIENTS, "dev", "lo"], check=True)
        self.words = [generator, node.v4, "--source", CLIENTS_FIRST, "--clients", "1000", "--patient", "--lost-after", "2", "--json"]
        most = json.loads(run([*self.words, "--duration", "5"], None, 30)[1])["rate"]
        self.most, self.rate, self.seconds, self.result = most, most * share, seconds, None

    def __enter__(self):
        self.process = subprocess.Popen([*self.words, "--rate", f"{self.rate:.0f}", "--duration", f"{self.seconds:.0f}"],
                                        stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_):
        self.result = json.loads(self.process.communicate(timeout=60)[0])

    def describe(self):
        return (f"load: {self.rate:.0f}/s of at most {self.most:.0f}/s, {self.result['replies']} of {self.result['sent']} answered, "
                f"wrong replies: {self.result['faults'] or 'none'}")

    def check(self, text):
        assert not self.result["faults"] and self.result["replies"] > 0.99 * self.result["sent"], text


class Handshakes:
    """Somebody gets keys every second; whoever meets the end of the process that gives them tries again."""

    def __init__(self, address, root):
        self.address, self.stopped, self.done, self.failed = address, threading.Event(), 0, 0
        self.context = ssl.create_default_context(cafile=root)
        self.context.check_hostname = False
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.set_alpn_protocols(["ntske/1"])
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self.stopped.wait(1):
            try:
                self.done += len(ke_client.cookies(ke_client.establish(self.context, self.address))) == 8
            except OSError:
                self.failed += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join(10)


def process_of(pid):
    """CPU seconds, resident KiB, open descriptors."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    with open(f"/proc/{pid}/status") as file:
        rss = int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), rss, len(os.listdir(f"/proc/{pid}/fd"))


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


class Events:
    """What happens to a site; at most one server is away or wrong at a time."""

    def __init__(self, site, dice):
        self.site, self.ours, self.dice, self.happened = site, site.ours, dice, []

    def one(self, kinds):
        kind = self.dice.choice(kinds)
        self.happened.append(kind)
        getattr(self, kind)()

    def signalled(self, words):
        since = len(self.ours.server.lines)
        self.ours.server.process.send_signal(signal.SIGHUP)
        self.ours.server.wait_line(words, since=since)

    def reload(self):
        self.signalled("configuration reloaded")

    def killed(self):
        server = self.dice.choice(self.site.servers)
        server.kill()
        self.ours.until_verdict(server.node.v4, ["unreachable"])
        server.start()
        self.ours.until_verdict(server.node.v4, FOLLOWED, 60)

    def stepped(self):
        server = self.dice.choice(self.site.servers)
        server.shift(self.dice.choice([-1, 1]) * 10 ** self.dice.uniform(-1, 1))
        self.ours.until_verdict(server.node.v4, ["falseticker"])
        server.shift(0)
        self.ours.until_verdict(server.node.v4, FOLLOWED, 60)

    def _with(self, text, words):
        """A reload with something more in the file, and another without it."""
        path = self.ours.file.name
        with open(path) as file:
            before = file.read()
        for content, expected in ((before + text, words), (before, "configuration reloaded")):
            with open(path, "w") as file:
                file.write(content)
            self.signalled(expected)

    def bad_reload(self):
        self._with("\n[server]\nstratum = 99\n", "old one stays in force")

    def moved(self):
        self._with("\n[server]\nlisten = ['0.0.0.0:123', '[::]:123', '127.0.0.1:1123']\n", "configuration reloaded")

    def host_stepped(self):
        self.ours.kernel.set(step_ns=int(self.dice.choice([-1, 1]) * 10 ** self.dice.uniform(6, 10)))
        time.sleep(2)
        self.ours.kernel.set(step_ns=0)

    def wire_flapped(self):
        for state in ("down", "up"):
            subprocess.run(["ip", "link", "set", self.ours.node.link, state], check=True)
            time.sleep(0.05)

    def paused(self):
        self.ours.server.process.send_signal(signal.SIGSTOP)
        time.sleep(0.05)
        self.ours.server.process.send_signal(signal.SIGCONT)

    def handshakes_killed(self):
        keeper = children(self.ours.server.process.pid)[0]
        os.kill(until(lambda: children(keeper), 10, "the process of the handshakes")[0], signal.SIGKILL)

    def certificate_renewed(self):
        self.site.authority.renew()
        self.signalled("configuration reloaded")


EASY = ("killed", "stepped", "reload")
HARD = (*EASY, "bad_reload", "moved", "host_stepped", "wire_flapped", "paused", "handshakes_killed", "certificate_renewed")


def soak(lab, package, seconds, event_s, say=lambda line: None, generator=None):
    """With a generator: at a share of the most that the server can do, and with every kind of fault."""
    seed = int.from_bytes(os.urandom(4), "big")
    begun = time.monotonic()
    kinds, settings, authority = EASY, {}, None
    if generator:
        authority = Authority(lab)
        kinds, settings = HARD, authority.settings
    with contextlib.ExitStack() as stack:
        site = stack.enter_context(Site(lab, package, "soak", **settings))
        site.authority, ours = authority, site.ours
        ours.until_synchronised()
        site.until_all_followed()
        load = HeavyLoad(generator, ours.node, seconds, HARD_SHARE) if generator else Load(ours.node.v4)
        handshakes = stack.enter_context(Handshakes(ours.node.v4, authority.root)) if generator else None
        events, first = Events(site, random.Random(seed)), None
        begun = time.monotonic()
        with Watch(ours.node.v4, pause_s=1) as watch, load:
            while time.monotonic() < begun + seconds:
                time.sleep(event_s)
                events.one(kinds)
                cpu, rss, files = process_of(ours.server.process.pid)
                if first is None and time.monotonic() > begun + WARM_UP * seconds:
                    first = rss, files
                say(f"{time.monotonic() - begun:5.0f} s  {events.happened[-1]:19} {rss:6} KiB {files:3} files  {watch.describe()}")
        cpu, rss, files = process_of(ours.server.process.pid)
    counted = ", ".join(f"{kind} {events.happened.count(kind)}" for kind in kinds)
    text = (f"seed {seed}, {time.monotonic() - begun:.0f} s, {len(events.happened)} events ({counted}): {watch.describe()}; {load.describe()}; "
            f"CPU {cpu:.1f} s, resident {first[0]} -> {rss} KiB, descriptors {first[1]} -> {files}")
    if handshakes:
        text += f"; handshakes: {handshakes.done} of {handshakes.done + handshakes.failed}"
        assert handshakes.failed <= 3 * events.happened.count("handshakes_killed") + events.happened.count("wire_flapped"), text
    assert not watch.broken() and all(one.synchronised for one in watch.seen) and (generator or watch.silent == 0), text
    assert rss - first[0] < GROWTH_KIB and files - first[1] < GROWTH_FILES, text
    load.check(text)
    return text


class Authority:
    """A certificate of our own making, renewed at will."""

    def __init__(self, lab):
        self.program, self.folder = lab.program, tempfile.mkdtemp(dir="/run")
        os.chmod(self.folder, 0o755)
        self._run("init")
        self.root = f"{self.folder}/ca.crt"
        self.settings = {"NTP_SERVER_NTS_CERTIFICATE": f"{self.folder}/server.crt", "NTP_SERVER_NTS_KEY": f"{self.folder}/server.key"}

    def _run(self, word):
        subprocess.run([self.program, "ca", word, "--dir", self.folder, "soak.test"], check=True, stdout=subprocess.DEVNULL)

    def renew(self):
        self._run("issue")


def checks(lab):
    lab.check("sources: a minute of soak", ["chrony"], lambda p: soak(lab, p, 60, 3))
