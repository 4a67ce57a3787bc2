"""What the system tests share: a network of their own, the program, the kernel's clock faked, NTP by hand."""
import ctypes, json, mmap, os, re, signal, socket, struct, subprocess, sys, tempfile, threading, time, unittest, urllib.error, urllib.request

STA_INS, STA_DEL, STA_UNSYNC, STA_NANO = 0x10, 0x20, 0x40, 0x2000
UNIX_IN_NTP = 2208988800


def enter_own_network():
    """Runs this script again inside a fresh network namespace with loopback and two more addresses."""
    if os.environ.get("NTP_TEST_NETNS") != "1":
        os.environ["NTP_TEST_NETNS"] = "1"
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
    for command in ("link set lo up", "link add outside type veth peer name beyond", "link set beyond up", "addr add 192.0.2.1/24 dev outside",
                    "addr add 192.0.2.2/24 dev outside", "-6 addr add 2001:db8::1/64 dev outside nodad",
                    "-6 addr add 2001:db8::2/64 dev outside nodad", "link set outside up"):
        subprocess.run(["ip", *command.split()], check=True)


PATIENCE = 4  # a machine whose processors are taken away is slow; what is there at once costs no patience


def until(condition, seconds=5.0, what="condition", patience=None):
    """The first true value of condition(), polled; a failure after PATIENCE times `seconds`, or 1 times where they are a promise."""
    seconds *= PATIENCE if patience is None else patience
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.01)


def until_answer(condition, seconds=5.0, what="answer", patience=None, **question):
    """The first reply that condition() likes; a reply that does not come is one that it does not like yet."""
    def heard():
        reply = ask(**{"timeout": 0.3, **question})
        return reply if reply is not None and condition(reply) else None
    return until(heard, seconds, what, patience)


def read(path):
    with open(path) as file:
        return file.read()


class FakeKernel:
    """The kernel's opinion of its clock, for a program started with FakeKernel.environment()."""
    FIELDS = dict(fails="i", status="i", state="i", tai="i", maxerror_us="q", esterror_us="q", offset="q", step_ns="q", slept_ns="q", adjtime_us="q",
                  settable="i", refuses="i", tick="q", freq="q", raw_ns="q", real_ns="q", steps="q", writes="q")
    LAYOUT = struct.Struct("=" + "".join(FIELDS.values()))

    def __init__(self, library, **fields):
        self.library = os.path.abspath(library)
        self.file = tempfile.NamedTemporaryFile()
        self.file.write(b"\0" * self.LAYOUT.size)
        self.file.flush()
        os.chmod(self.file.name, 0o666)
        self.memory = mmap.mmap(self.file.fileno(), self.LAYOUT.size)
        self.set(**{**dict(tai=37, maxerror_us=12345, esterror_us=100, tick=10_000), **fields})

    def _place(self, name):
        before = list(self.FIELDS.values())[:list(self.FIELDS).index(name)]
        return "=" + self.FIELDS[name], struct.calcsize("=" + "".join(before))

    def set(self, **fields):
        for name, value in fields.items():
            struct.pack_into(self._place(name)[0], self.memory, self._place(name)[1], value)

    def get(self, name):
        return struct.unpack_from(self._place(name)[0], self.memory, self._place(name)[1])[0]

    def rate(self):
        """That the program has set, seconds per second."""
        return (self.get("tick") - 10_000) * 1e-4 + self.get("freq") / 65536e6

    def error(self):
        """The settable clock minus this machine's own."""
        raw, real = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW), time.time_ns()
        elapsed = raw - self.get("raw_ns")
        return (self.get("real_ns") + elapsed + elapsed * self.rate() + self.get("step_ns") - real) / 1e9

    def environment(self):
        preload = self.library
        return {"LD_PRELOAD": preload, "FAKE_KERNEL": self.file.name}


SANITIZED = bool(os.environ.get("PROGRAM_IS_SANITIZED"))  # set for the programs that are built with a sanitizer
A_BUGS_WORDS = re.compile(r"(Address|Thread|Leak|Memory)Sanitizer|runtime error:|check failed:|terminate called")
CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP, signal.SIGSYS)


def begin(test, program, *arguments, **named):
    """A server that ends with the test at the latest."""
    server = Server(program, *arguments, **named)
    test.addCleanup(server.__exit__)
    return server


def not_sanitized(test):
    """For what a sanitizer changes: memory, threads of its own, start-up."""
    return unittest.skipIf(SANITIZED, "says nothing of a sanitized program")(test)


class FrozenThread:
    """Stops one thread of a process, and only that one (ptrace), until the end of the with block."""
    SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17

    def __init__(self, tid):
        self.tid = tid
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

    def _ptrace(self, what):
        if self.libc.ptrace(what, self.tid, None, None) != 0:
            raise OSError(ctypes.get_errno(), f"ptrace {what} of thread {self.tid}")

    def __enter__(self):
        self._ptrace(self.SEIZE)
        self._ptrace(self.INTERRUPT)
        os.waitpid(self.tid, 0x40000000)  # __WALL
        return self

    def __exit__(self, *_):
        self._ptrace(self.DETACH)


class Reply:
    def __init__(self, octets, sent=0.0, received=0.0, address=None):
        (first, self.stratum, self.poll, self.precision, delay, dispersion, self.refid,
         self.reftime, self.org, self.rec, self.xmt) = struct.unpack("!BBbbII4sQQQQ", octets[:48])
        self.leap, self.version, self.mode = first >> 6, (first >> 3) & 7, first & 7
        self.root_delay, self.root_dispersion = delay / 65536, dispersion / 65536
        self.octets, self.address, self.sent, self.received = octets, address, sent, received

    @property
    def time(self):
        return self.xmt / 2**32 - UNIX_IN_NTP


def request(version=4, mode=3, xmt=None):
    return struct.pack("!BBbbIIIQQQQ", version << 3 | mode, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                       xmt if xmt is not None else int.from_bytes(os.urandom(8), "big"))


def ask(host="127.0.0.1", port=123, payload=None, timeout=2.0, source=None):
    """One request, one reply (or None)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(timeout)
        if source:
            s.bind(socket.getaddrinfo(source, 0, family, socket.SOCK_DGRAM)[0][4])
        sent = time.time()
        s.sendto(payload or request(), (host, port))
        try:
            octets, address = s.recvfrom(2048)
        except (TimeoutError, ConnectionError):
            return None
        return Reply(octets, sent, time.time(), address[0])


class Flood:
    """Programs that send requests from many addresses as fast as they can (flood.py), until the end of the with block."""

    def __init__(self, *targets, port=123):
        """Each target is (host, sources)."""
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "flood.py")
        self.port = port
        self.senders = [subprocess.Popen([sys.executable, script, host, str(port), *sources]) for host, sources in targets]

    def lost(self):
        """How many datagrams found the queues of the server full."""
        return sum(int(fields[-1]) for fields in sockets_of(self.port))

    def wait_saturated(self, seconds=20.0):
        """Returns while queues overflow again and again: the server cannot keep up."""
        for sender in self.senders:
            assert sender.poll() is None, "a sender ended"
        for _ in range(3):
            before = self.lost()
            until(lambda: self.lost() > before + 1000, seconds, "saturation")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for sender in self.senders:
            sender.kill()
        for sender in self.senders:
            sender.wait()


def sockets_of(port):
    """The lines of /proc/net/udp and udp6 about one local port, as lists of fields."""
    lines = read("/proc/net/udp").splitlines()[1:] + read("/proc/net/udp6").splitlines()[1:]
    return [fields for fields in map(str.split, lines) if fields[1].endswith(f":{port:04X}") and fields[2].endswith(":0000")]


def ke_process(server, name="ntp-ke"):
    """The process id of the handshakes' process, or of its keeper."""
    def children(pid):
        return [int(child) for child in read(f"/proc/{pid}/task/{pid}/children").split()]
    for keeper in children(server.process.pid):
        if name == "ntp-ke-keeper":
            return keeper
        for process in children(keeper):
            return process
    return None


class Server:
    """The program, running; its log lines are kept."""

    def __init__(self, program, *arguments, environment=None, wait=True, prefix=(), **more):
        self.lines, self.program, self.refusals_are_expected = [], program, False
        clean = {"PATH": os.environ["PATH"], "HEALTH": "", **(environment or {})}
        self.scratch = tempfile.TemporaryDirectory()
        os.chmod(self.scratch.name, 0o777)
        clean.setdefault("NTP_SERVER_HEALTH_SOCKET", os.path.join(self.scratch.name, "health.sock"))
        clean.update({name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")})
        clean = {name: value for name, value in clean.items() if value is not None}
        self.environment = clean
        self.process = subprocess.Popen([*prefix, program, *arguments], env=clean, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, errors="replace", **more)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if wait:
            self.wait_line(r"ready.*start")

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_line(self, pattern, seconds=5.0, since=0):
        def find():
            for line in list(self.lines)[since:]:
                if re.search(pattern, line):
                    return line
            if self.process.poll() is not None:
                self.reader.join(1)
                if not any(re.search(pattern, l) for l in self.lines[since:]):
                    raise AssertionError(f"ended with {self.process.returncode} before {pattern!r}:\n" + "\n".join(self.lines))
        return until(find, seconds, f"{pattern!r} in the log:\n" + "\n".join(self.lines[-20:]))

    def get(self, path, port=9559, host="127.0.0.1"):
        try:
            with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=3) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name, port=9559):
        for line in self.get("/metrics", port)[1].splitlines():
            if line.startswith(name + " "):
                return float(line.split()[-1])
        raise KeyError(name)

    def status(self, port=9559):
        return json.loads(self.get("/api/v1/status", port)[1])

    def ctl(self, *arguments):
        """Exit code and what it printed: standard output, or else standard error."""
        done = subprocess.run([self.program, "ctl", *arguments], env=self.environment, capture_output=True, text=True, timeout=120)
        assert not A_BUGS_WORDS.search(done.stderr), done.stderr
        return done.returncode, done.stdout or done.stderr

    def healthcheck(self, *arguments):
        done = subprocess.run([self.program, "healthcheck", *arguments], env=self.environment,
                              capture_output=True, text=True, timeout=20)
        return done.returncode, done.stdout + done.stderr

    def freeze(self):
        """SIGSTOP, until every thread has stopped."""
        self.process.send_signal(signal.SIGSTOP)
        tasks = f"/proc/{self.process.pid}/task"
        until(lambda: all(read(f"{tasks}/{tid}/stat").rsplit(")", 1)[1].split()[0] in "Tt" for tid in os.listdir(tasks)), what="all threads stopped")

    def stop(self, number=signal.SIGTERM, seconds=5.0):
        """Exit code and how long it took; waited for with PATIENCE, since a handover waits for the kernel's grace period."""
        begun = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("did not end:\n" + "\n".join(self.lines[-20:])) from None
        took = time.monotonic() - begun
        self.reader.join(2)
        return code, took

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join(2)
        found = [line for line in self.lines if A_BUGS_WORDS.search(line) or "the sandbox refused" in line and not self.refusals_are_expected]
        if -self.process.returncode in CRASHES:
            found.append(f"ended by {signal.Signals(-self.process.returncode).name} (SIGSYS: a worker made a system call that is not on its list)")
        self.process.stdout.close()
        self.scratch.cleanup()
        if found:
            raise AssertionError("\n".join([*self.lines, *found[-1:]]))
