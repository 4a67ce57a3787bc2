"""A whole life of the program, in which one system call (or request for memory) may fail: start, questions over
IPv4 and IPv6, HTTP, health channel, a reload, a bad one, with sources or NTS the state files too, SIGTERM."""
import dataclasses, errno, mmap, os, re, shutil, signal, socket, ssl, struct, time

import campaign
import ke_client
from harness import UNIX_IN_NTP, FakeKernel, Server, ask, read, request, until

CALLS = ("accept4 bind capget capset clone3 close connect eventfd2 fcntl fstat getdents64 getrandom getsockname getsockopt ioctl listen "
         "membarrier mkdir mmap mprotect newfstatat openat poll ppoll prctl read readlink recvfrom recvmmsg recvmsg rename sched_getaffinity sendmmsg "
         "sendmsg sendto setfsuid setgid setgroups setsockopt setuid shutdown socket adjtimex clock_adjtime unlink chown write "
         "lstat stat access fsync renameat renameat2 unlinkat mkdirat clone pipe2 writev lseek prlimit64 sysinfo "
         "epoll_create1 epoll_ctl epoll_wait epoll_pwait inotify_init1 inotify_add_watch timerfd_create landlock_create_ruleset landlock_add_rule "
         "landlock_restrict_self seccomp statx faccessat open pwrite64 socketpair wait4 setpriority fstatfs getppid").split()
ALLOCATIONS = "allocations"
KEEP_ANSWERS = {"sendmmsg", "sendmsg"}  # of which a failure may cost the one answer
TELLS = {"write", "poll", "ppoll", ALLOCATIONS}  # of which a failure may cost a line of the log
EXIT_CODES = {69, 71, 77, 78}           # docs/man, EXIT STATUS
SPIN_SHARE, SPIN_LOOK_S = 0.5, 0.03
SERVICE = 65532  # what root becomes


@dataclasses.dataclass(frozen=True)
class Fault:
    call: str = ""
    error: int = 0
    first: int = 0
    count: int = 1

    def __str__(self):
        many = f" to {self.first + self.count - 1}" if self.count > 1 else ""
        return f"{self.call} {errno.errorcode.get(self.error, 0)} at {self.first}{many}" if self.call else "no fault"


class Control:
    """The file of control.h."""
    SIZE, LAYOUT = 40 + 128 * 8, struct.Struct("=iiiiqqq")

    def __init__(self, path):
        self.path = path
        campaign.write(path, "\0" * self.SIZE)
        os.chmod(path, 0o666)
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), self.SIZE)

    def prepare(self, fault):
        what = 127 if fault.call == ALLOCATIONS else CALLS.index(fault.call) if fault.call else -1
        self.memory[:] = bytes(self.SIZE)
        self.LAYOUT.pack_into(self.memory, 0, 0, what, fault.error, 0, fault.first, fault.first + fault.count - 1, 0)

    def end_of_trouble(self):
        """From now on nothing fails."""
        struct.pack_into("=q", self.memory, 24, 0)

    def failed(self):
        return self.LAYOUT.unpack_from(self.memory)[6]

    def calls(self):
        counts = struct.unpack_from("=128q", self.memory, 40)
        return {**{name: counts[i] for i, name in enumerate(CALLS) if counts[i]}, ALLOCATIONS: counts[127]}


class Lives:
    """Lives of one process of the campaign, in a network of its own; with sources, an upstream lives as long as this, with
    NTS an authority."""

    def __init__(self, settings, kind, threads):
        self.settings, self.kind, self.threads = settings, kind, threads
        campaign.own_network()
        self.folder = campaign.folder()
        self.control = Control(os.path.join(self.folder.name, "control"))
        self.config = os.path.join(self.folder.name, "ntp.toml")
        self.state = os.path.join(self.folder.name, "state")
        self.known_state = self.authority = None
        self.kept = {"sources": "clock", "nts": "cookie-keys"}.get(kind)
        if kind == "nts":
            self.authority = ke_client.Authority(settings.program, "127.0.0.1")
        if kind == "sources":
            self.kernel = FakeKernel(settings.fake_kernel, maxerror_us=1234)
            self.upstream = Server(settings.program, "--listen", "127.0.7.1:123", "--listen", "127.0.0.1:1123", "--listen", "[::1]:1123",
                                   "--http", "off", environment=self.kernel.environment())

    def text(self, more=""):
        text = f"[server]\nlisten = ['127.0.0.1:123', '[::1]:123']\nthreads = {self.threads}\n{more}"
        if self.kind == "sources":
            text += (f"[clock]\nstate_directory = '{self.state}'\n[[source]]\naddress = '127.0.7.1'\nminpoll = -2\nmaxpoll = 0\n"
                     "[[source]]\naddress = 'localhost:1123'\nminpoll = -2\nmaxpoll = 0\n")
        if self.kind == "nts":
            text += (f"[clock]\nstate_directory = '{self.state}'\n[nts]\nlisten = ['127.0.0.1:4460']\ncertificate = '{self.authority.certificate}'\n"
                     f"key = '{self.authority.key}'\n")
        return text

    def run(self, fault=Fault()):
        """What happened, in a word; AssertionError with everything known where it must not."""
        shutil.rmtree(self.state, ignore_errors=True)
        os.mkdir(self.state)
        os.chmod(self.state, 0o777)
        if self.known_state:
            self.keep(self.known_state)
        campaign.write(self.config, self.text())
        self.control.prepare(fault)
        library = os.path.join(self.settings.libraries, "libfail_allocation.so")
        prefix = (os.path.join(self.settings.libraries, "fail_call"), self.control.path, ",".join(CALLS), "env", f"LD_PRELOAD={library}",
                  f"FAULTS={self.control.path}")
        with Server(self.settings.program, "--config", self.config, prefix=prefix, wait=False) as server:
            try:
                return self.live(server, fault)
            except AssertionError as error:
                tail = "\n    ".join(server.lines[-12:])
                raise AssertionError(f"{self.kind}, {self.threads} threads, {fault}: {error}\n    {tail}") from None

    def live(self, server, fault):
        """glibc itself ends a program to which a netlink socket says what none can say: then nothing is learned of us."""
        try:
            return self.lived(server, fault)
        except AssertionError:
            server.reader.join(0.5)
            if any("on netlink descriptor" in line for line in server.lines):
                return "impossible"
            raise

    def lived(self, server, fault):
        self.server, self.fault, self.lost = server, fault, 0
        if not self.starts():
            return self.refused()
        self.questions()
        if fault.count > 1:
            self.reload_is_heard()
            self.has_not_spun()
            self.questions()
            self.control.end_of_trouble()
        synchronised = self.kind != "sources" or self.synchronises()
        self.handshake()
        self.web()
        self.health()
        self.reload()
        self.bad_reload()
        self.questions()
        self.handshake()
        self.has_not_spun()
        try:
            code, _ = server.stop(seconds=4.0)
        except AssertionError:
            raise AssertionError("does not end by SIGTERM") from None
        assert code == 0, f"SIGTERM ended it with {code}"
        if self.kept:
            self.state_is_kept(synchronised)
        most = self.fault.count if self.fault.call in KEEP_ANSWERS and self.fault.error != errno.EINTR else 0
        assert self.lost <= most, f"{self.lost} questions unanswered, {most} may be"
        return f"served, {self.lost} lost" if self.lost else "served"

    def starts(self):
        """Until the first answer, or the end."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            if self.server.process.poll() is not None:
                return False
            if any("ready start=" in line for line in self.server.lines):
                return True
            if time.monotonic() > deadline - 4.5 and ask(timeout=0.02):  # the line may be what was lost
                return True
            time.sleep(0.001)
        raise AssertionError("neither serves nor ends within 5 s")

    def refused(self):
        self.server.reader.join(2)
        code, text = self.server.process.returncode, "\n".join(self.server.lines)
        assert code in EXIT_CODES, f"ended with {code}"
        assert re.search(r"error |ntp-server: ", text) or self.fault.call in TELLS, "ended without a word why"
        return f"exit {code}"

    def alive(self):
        code = self.server.process.poll()
        assert code is None, f"ended with {code} while serving"

    def question(self, host):
        for _ in range(4):
            if campaign.ask_right(host):
                return
            self.alive()
            self.lost += 1
        raise AssertionError(f"{host} does not answer any more")

    def questions(self):
        for host in ("127.0.0.1", "::1") * 3:
            self.question(host)

    def web(self):
        """A page may be lost with its connection, the service may not."""
        def served():
            self.alive()
            try:
                return all("200 OK" in self.page(path) for path in ("/metrics", "/healthz", "/api/v1/status"))
            except OSError:
                return False
        until(served, 8.0, "HTTP")

    def page(self, path):
        with socket.create_connection(("127.0.0.1", 9559), timeout=1.0) as s:
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            return b"".join(iter(lambda: s.recv(65536), b"")).decode()[:20]

    def health(self):
        def healthy():
            self.alive()
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
                s.settimeout(2.5)
                try:
                    s.connect(self.server.environment["NTP_SERVER_HEALTH_SOCKET"])
                    s.sendall(b"health 2000\n")
                    return s.recv(500).startswith(b"healthy")
                except OSError:
                    return any("will not work yet" in line for line in self.server.lines) and self.fault.error == errno.EACCES
        until(healthy, 12.0, "health")

    def poll_in_force(self, value, seconds):
        """Whether the setting poll_minimum of the configuration is heard in replies."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            reply = ask(timeout=0.2)
            if reply and reply.poll == value:
                return True
            time.sleep(0.001)  # no more than the limit allows an address: the next questions shall be answered
        return False

    def reload_is_heard(self):
        """While the fault lasts; applied or not."""
        self.server.process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        self.alive()

    def reload(self):
        campaign.write(self.config, self.text("poll_minimum = 8\n"))
        since = len(self.server.lines)
        self.server.process.send_signal(signal.SIGHUP)
        if self.poll_in_force(8, 0.6):
            return
        self.alive()
        told = any("stays in force" in line for line in self.server.lines[since:])
        assert told or self.fault.call in TELLS, "a reload was neither applied nor refused"
        self.server.process.send_signal(signal.SIGHUP)
        assert self.poll_in_force(8, 2.0), "nor is the next reload applied"

    def bad_reload(self):
        campaign.write(self.config, self.text("poll_minimum = 9\nnonsense = 1\n"))
        since = len(self.server.lines)
        self.server.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + (2.0 if self.fault.call not in TELLS else 0.2)
        while not any("stays in force" in line for line in self.server.lines[since:]):
            self.alive()
            if time.monotonic() > deadline:
                assert self.fault.call in TELLS, "a bad reload was not refused"
                break
            time.sleep(0.002)
        assert self.poll_in_force(8, 1.0), "a bad reload changed what is served"

    def has_not_spun(self):
        def used_ns():
            tasks = f"/proc/{self.server.process.pid}/task"
            return sum(int(read(f"{tasks}/{tid}/schedstat").split()[0]) for tid in os.listdir(tasks))
        self.alive()
        before, begun = used_ns(), time.monotonic_ns()
        time.sleep(SPIN_LOOK_S)
        share = (used_ns() - before) / (time.monotonic_ns() - begun)
        assert share < SPIN_SHARE, f"spins: {share:.0%} of a processor while nobody asks"

    def synchronises(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            self.alive()
            reply = ask(timeout=0.2)
            if reply and reply.leap == 0:
                assert campaign.right(reply), "a wrong time"
                return True
            time.sleep(0.02)
        raise AssertionError("is not synchronised within 20 s")

    def handshake(self):
        """A connection may be lost with a fault, and so may the process that has it: another one comes."""
        if not self.authority:
            return

        def done():
            self.alive()
            try:
                return len(ke_client.cookies(ke_client.establish(self.authority.context(), timeout=2.0))) == 8
            except (OSError, ssl.SSLError):
                # Who had to stay root without its rights cannot read the files of the user it would have become; and a
                # sandbox that could not be given a file stays without it.
                excuses = "the keeper of key establishment is gone", "readable for uid 0", "a restart is needed; no handshakes until then"
                return any(excuse in line for line in self.server.lines for excuse in excuses)
        until(done, 15.0, "a handshake")

    def keep(self, text):
        path = os.path.join(self.state, self.kept)
        campaign.write(path, text)
        os.chmod(path, 0o666 if self.kind == "sources" else 0o600)
        os.chown(path, SERVICE, SERVICE)

    def state_is_kept(self, synchronised):
        path = os.path.join(self.state, self.kept)
        text = read(path) if os.path.exists(path) else ""
        if self.kind == "nts":
            return self.cookie_keys_are_kept(text)
        assert text == "" or campaign.state_is_whole(text), f"a torn state file: {text!r}"
        if text and text != self.known_state:
            return
        told = any("is lost at the next start" in line for line in self.server.lines)
        assert told or self.fault.call in TELLS or not synchronised, "the state was not written, and nothing says so"
        assert self.known_state is None or text == self.known_state, "the state of before is gone"

    def cookie_keys_are_kept(self, text):
        """What clients hold is opened by the next start, too; or the log says that it is not."""
        assert text == "" or campaign.cookie_keys_are_whole(text), "a torn file of cookie keys"
        secret = lambda text: re.findall(r"(?m)^current .*", text)
        told = any("cookie" in line for line in self.server.lines)
        assert told or self.fault.call in TELLS or (text and secret(text) == secret(self.known_state or text)), "cookies are lost, and nothing says so"

    def learn_state(self):
        """A first life, whose state file all later ones find."""
        self.run()
        self.known_state = read(os.path.join(self.state, self.kept))
