"""The network of these tests: one namespace for the clients, one for each server, all gone when this process ends.

Everything runs in namespaces of our own (network, mounts, processes): whatever a program forks ends with us, and
what it needs to find (users, /run) is laid over this machine's for it alone."""
import contextlib, json, os, re, select, socket, struct, subprocess, sys, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
from harness import FakeKernel, Server, ask, request, until  # noqa: E402,F401

# Daemons drop to users that only their packages' scripts would create.
USERS = {"_chrony": 64101, "ntpsec": 64102, "ntpd": 64106, "ntpd-rs": 64107, "_ntp": 64103, "openntpd": 64103, "systemd-timesync": 64104, "zabbix": 64105}


def enter():
    """Runs this script again as the first process of its own namespaces; the kernel cleans up after it."""
    if os.environ.get("NTP_INTEROP_WORLD") == "1":
        return prepare()
    os.environ["NTP_INTEROP_WORLD"] = "1"
    os.execvp("unshare", ["unshare", "--net", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc",
                          sys.executable, *sys.argv])


def prepare():
    mount = lambda *words: subprocess.run(["mount", *words], check=True)
    mount("--make-rprivate", "/")
    for folder in ("/run", "/var/lib", "/var/log"):  # nothing that a daemon keeps outlives the test
        mount("-t", "tmpfs", "tmpfs", folder)
    for folder in ("/run/netns", "/run/systemd/netif", "/run/lock", "/run/empty", "/var/lib/openntpd/db", "/var/lib/openntpd/run"):
        os.makedirs(folder)
    subprocess.run(["cp", "-a", "/etc", "/run/etc"], check=True)
    for name, line in (("passwd", "{0}:x:{1}:{1}::/run/empty:/usr/sbin/nologin\n"), ("group", "{0}:x:{1}:\n")):
        with open(f"/run/etc/{name}", "r+") as file:
            known = {entry.split(":")[0] for entry in file}
            file.writelines(line.format(user, number) for user, number in USERS.items() if user not in known)
    with open("/run/etc/services", "a") as file:  # a bare machine has none
        file.write("ntp 123/udp\n")
    mount("--bind", "/run/etc", "/etc")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for switch in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        with open(f"/proc/sys/net/{switch}", "w") as file:
            file.write("1")


class Node:
    """A network namespace behind a veth pair; `name` is "a" … and `number` its subnet."""

    def __init__(self, name, number):
        self.name = name
        self.v4, self.v6 = f"198.18.{number}.1", f"2001:db8:{number}::1"
        self.peer_v4, self.peer_v6 = f"198.18.{number}.2", f"2001:db8:{number}::2"
        self.link = f"to-{name}"
        run = lambda line: subprocess.run(line.split(), check=True)
        run(f"ip netns add {name}")
        run(f"ip link add {self.link} type veth peer name wire netns {name}")
        for prefix, link, v4, v6 in (("", self.link, self.peer_v4, self.peer_v6), (f"-n {name} ", "wire", self.v4, self.v6)):
            run(f"ip {prefix}addr add {v4}/24 dev {link}")
            run(f"ip {prefix}-6 addr add {v6}/64 dev {link} nodad")
            run(f"ip {prefix}link set {link} up")
        run(f"ip -n {name} link set lo up")
        run(f"ip -n {name} route add default via {self.peer_v4}")
        run(f"ip -n {name} -6 route add default via {self.peer_v6}")

    @property
    def addresses(self):
        return (self.v4, self.v6)

    @property
    def enter(self):
        return ["ip", "netns", "exec", self.name]


class Capture:
    """Every frame of some interfaces, from before the first request on, as a pcap file."""

    def __init__(self, path, interfaces):
        self.file = open(path, "wb")
        self.file.write(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        self.poll, self.sockets, self.stopped = select.poll(), {}, threading.Event()
        for interface in interfaces:
            tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            tap.bind((interface, 0))
            tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            tap.setblocking(False)
            self.sockets[tap.fileno()] = tap
            self.poll.register(tap, select.POLLIN)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while (ready := self.poll.poll(200)) or not self.stopped.is_set():
            for number, _ in ready:
                frame, now = self.sockets[number].recv(65535), time.time()
                self.file.write(struct.pack("=IIII", int(now), int(now % 1 * 1e6), len(frame), len(frame)) + frame)

    def stop(self):
        self.stopped.set()
        self.thread.join(5)
        self.file.close()
        for tap in self.sockets.values():
            tap.close()


def no_clock(*command):
    """The command without the power to set any clock, now or later."""
    return ["setpriv", "--bounding-set", "-sys_time", "--inh-caps", "-sys_time", *command]


def run(command, environment, seconds=40, **more):
    """Exit code and everything that was said."""
    try:
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=seconds, **more)
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired as slow:
        return None, (slow.stdout or b"").decode(errors="replace") + f"\n(ended by the test after {seconds} s)"


@contextlib.contextmanager
def daemon(command, environment, **more):
    """A program in the background; yields a function that returns what it has said so far."""
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True, **more)
    said = []

    def read():
        for line in process.stdout:
            said.append(line)
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    text = lambda: re.sub("\x1b\\[[0-9;]*m", "", "".join(said))
    text.process = process
    try:
        yield text
    finally:
        process.terminate()
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, 9)  # children that it left behind
        reader.join(2)
        process.stdout.close()


class OurNode:
    """Our server alone on a node of its own, by the clock of `kernel`."""

    def __init__(self, lab, node, kernel, *arguments, environment):
        self.node, self.kernel = node, kernel
        preload = [f"{key}={value}" for key, value in kernel.environment().items()]
        self.server = Server(lab.program, "run", *arguments, "--http", f"{node.v4}:9559", environment=environment,
                             prefix=[*node.enter, "env", *preload])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.__exit__()

    def status(self):
        return json.loads(self.server.get("/api/v1/status", host=self.node.v4)[1])
