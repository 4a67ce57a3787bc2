"""Two network namespaces joined by a veth pair, and programs pinned to CPUs in them."""

import contextlib
import gzip
import json
import os
import pathlib
import platform
import signal
import subprocess
import sys
import time

SERVER_CPU = 1
CLIENT_CPU = 0
SERVER_MAC = "02:00:00:00:00:01"
CLIENT_MAC = "02:00:00:00:00:02"
# Replies go to a MAC address that nobody has: the client's IP stack drops them at the door, so that
# almost all of the CPU time beside the server's own is the network stack's on the server's side.
GATEWAY_MAC = "02:00:00:00:00:99"
CLIENTS = 1024  # enough of them that none is above the limit of one address
V4 = {"server": "10.99.0.2", "gateway": "10.99.0.1", "prefix": 30, "clients": "10.0.0.0/8",
      "first": "10.1.0.0"}
V6 = {"server": "fd99::2", "gateway": "fd99::1", "prefix": 64, "clients": "fd10::/16",
      "first": "fd10::1:0"}
STAT_COLUMNS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


class LabError(Exception):
    """The bench cannot be set up here."""


def run(*command, check=True):
    done = subprocess.run(command, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def cpu_ns(pid):
    """CPU time of all threads of a process; on most kernels with the softirqs that hit it."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total += int(read(f"/proc/{pid}/task/{thread}/schedstat").split()[0])
    return total


def memory_kib(pid):
    """Resident memory, total and anonymous."""
    sizes = {}
    for line in read(f"/proc/{pid}/smaps_rollup").splitlines()[1:]:
        name, value = line.split(":")
        sizes[name] = int(value.split()[0])
    return {"rss": sizes["Rss"], "anonymous": sizes["Anonymous"]}


def accounts_irq_time():
    """Whether softirq time is kept apart from the time of the process that it interrupts."""
    with contextlib.suppress(OSError):
        with gzip.open("/proc/config.gz", "rt") as file:
            return "CONFIG_IRQ_TIME_ACCOUNTING=y" in file.read()
    with contextlib.suppress(OSError):
        return "CONFIG_IRQ_TIME_ACCOUNTING=y" in read(f"/boot/config-{platform.release()}")
    return False


def cpu_columns():
    """Seconds per column of /proc/stat, of the two CPUs."""
    tick = os.sysconf("SC_CLK_TCK")
    columns = {}
    for line in read("/proc/stat").splitlines():
        for cpu in (CLIENT_CPU, SERVER_CPU):
            if line.startswith(f"cpu{cpu} "):
                values = [int(value) / tick for value in line.split()[1:9]]
                columns[cpu] = dict(zip(STAT_COLUMNS, values))
    return columns


def in_own_session(work):
    """Runs `work` in a session that weighs as much as nice -20 against all others; its exit code.

    With autogroup the kernel shares a CPU between sessions first: nice inside of one does nothing
    against another. The child is in nobody's foreground, so interrupts are passed on to it."""
    child = os.fork()
    if child == 0:
        os.setsid()
        with contextlib.suppress(OSError):
            pathlib.Path("/proc/self/autogroup").write_text("-20", encoding="ascii")
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: terminated"))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.exit(work())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os.kill(child, number))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Lab:
    """Context manager: everything that it made is gone afterwards, also after an exception."""

    def __init__(self, load_program, ipv6=False, realtime=False):
        self.load_program = load_program
        self.net = V6 if ipv6 else V4
        self.ipv6 = ipv6
        self.realtime = realtime
        self.server_ns = f"ntpbench-{os.getpid()}-s"
        self.client_ns = f"ntpbench-{os.getpid()}-c"
        # In the name of the NAPI thread, which is found by it among all of the machine's.
        self.server_dev = f"nb{os.getpid()}"
        self.client_dev = f"nc{os.getpid()}"
        self.mode = None
        self.napi = None
        self.children = []
        self.irq_apart = accounts_irq_time()

    def __enter__(self):
        try:
            self._make_network()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        for child in list(self.children):
            self.stop(child)
        for name in (self.server_ns, self.client_ns):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)

    def _in(self, name, *command):
        return run("ip", "netns", "exec", name, *command)

    def _make_network(self):
        net = self.net
        for name in (self.server_ns, self.client_ns):
            run("ip", "netns", "add", name)
            self._in(name, "ip", "link", "set", "lo", "up")
            for key in ("all", "default"):
                self._in(name, "sysctl", "-qw", f"net.ipv4.conf.{key}.rp_filter=0")
        run("ip", "link", "add", self.server_dev, "netns", self.server_ns, "address", SERVER_MAC,
            "type", "veth",
            "peer", "name", self.client_dev, "netns", self.client_ns, "address", CLIENT_MAC)
        self._in(self.server_ns, "sysctl", "-qw", f"net.ipv4.conf.{self.server_dev}.rp_filter=0")
        nodad = ["nodad"] if self.ipv6 else []
        self._in(self.server_ns, "ip", "address", "add", f"{net['server']}/{net['prefix']}", "dev",
                 self.server_dev, *nodad)
        self._in(self.server_ns, "ip", "link", "set", self.server_dev, "up")
        self._in(self.client_ns, "ip", "link", "set", self.client_dev, "up")
        self._in(self.server_ns, "ip", "neigh", "replace", net["gateway"], "lladdr", GATEWAY_MAC,
                 "dev", self.server_dev, "nud", "permanent")
        self._in(self.server_ns, "ip", "route", "add", net["clients"], "via", net["gateway"])

    def set_mode(self, mode):
        """S: the receive stack runs on the generator's CPU. T: in a NAPI thread on the server's."""
        threaded = mode == "T"
        # veth hands a frame to the peer's NAPI only when it could be merged with others, which for
        # a datagram means: when the sending end does no segmentation offload.
        self._in(self.client_ns, "ethtool", "-K", self.client_dev,
                 "tso", "off" if threaded else "on")
        # Threads can be switched on and off only while there is a NAPI, which is what GRO makes.
        gro = ["ethtool", "-K", self.server_dev, "gro", "on" if threaded else "off"]
        switch = ["sh", "-c", f"echo {int(threaded)} > /sys/class/net/{self.server_dev}/threaded"]
        if threaded:
            self._in(self.server_ns, *gro)
            self._in(self.server_ns, *switch)
        else:
            if self.mode == "T":
                self._in(self.server_ns, *switch)
            self._in(self.server_ns, *gro)
        self.mode = mode
        self.napi = self._wait_for_napi_thread() if threaded else None
        if self.napi:
            os.sched_setaffinity(self.napi, {SERVER_CPU})
            if self.realtime:
                os.sched_setscheduler(self.napi, os.SCHED_RR, os.sched_param(5))
            else:
                os.setpriority(os.PRIO_PROCESS, self.napi, -20)

    def _wait_for_napi_thread(self):
        until = time.monotonic() + 5
        while time.monotonic() < until:
            for pid in filter(str.isdigit, os.listdir("/proc")):
                with contextlib.suppress(OSError):
                    if read(f"/proc/{pid}/comm").startswith(f"napi/{self.server_dev}-"):
                        return int(pid)
            time.sleep(0.01)
        raise LabError("the kernel made no NAPI thread for the server's veth")

    def _pinned(self, cpus):
        return (["chrt", "-r", "5"] if self.realtime else []) + ["taskset", "-c", cpus]

    def start(self, command, log, environment=None, cpus=str(SERVER_CPU)):
        """A server in its namespace on its CPU. `ip` and `taskset` become it: it has their PID."""
        with open(log, "w", encoding="utf-8") as output:
            child = subprocess.Popen(
                ["ip", "netns", "exec", self.server_ns, *self._pinned(cpus), *command],
                stdout=output, stderr=output, stdin=subprocess.DEVNULL,
                env={**os.environ, **(environment or {})})
        self.children.append(child)
        return child

    def stop(self, child):
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(3)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if child in self.children:
            self.children.remove(child)

    def in_server(self, *command):
        """A short command beside the server; what it says."""
        return self._in(self.server_ns, *command)

    def load(self, *options, clients=CLIENTS):
        """One run of the load generator: its JSON."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.client_ns, *self._pinned(str(CLIENT_CPU)),
             self.load_program, self.net["server"], "--transport", "packet",
             "--interface", self.client_dev, "--to-mac", SERVER_MAC, "--from-mac", GATEWAY_MAC,
             "--source", self.net["first"], "--clients", str(clients), "--json",
             *map(str, options)], capture_output=True, text=True, check=False)
        if not done.stdout:
            raise LabError(f"ntpload: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def wait_until_answering(self, child, log, name, extra=()):
        """Until the server gives a right answer; its log when it does not."""
        until = time.monotonic() + 15
        result = {}
        while time.monotonic() < until and child.poll() is None:
            result = self.load("--duration", 0.02, "--warm-up", 0, "--outstanding", 1,
                               "--lost-after", 0.05, *extra)
            if result["replies"] > 0 and not result["faults"]:
                return
        raise LabError(f"{name} gives no right answer (faults: {result.get('faults')}); its log:\n"
                       f"{read(log)[-1500:]}")

    def measure(self, child, *options, clients=CLIENTS):
        """A run of the generator with the CPU time that it cost and what else the CPUs did."""
        server, napi, stat, start = self._counters(child)
        result = self.load(*options, clients=clients)
        server_after, napi_after, stat_after, end = self._counters(child)
        answered = max(result["all_replies"], 1)
        result["server_ns"] = (server_after - server) / answered
        result["napi_ns"] = (napi_after - napi) / answered
        result["cpu_ns"] = result["server_ns"] + result["napi_ns"]
        wall = end - start
        spent = {column: stat_after[SERVER_CPU][column] - stat[SERVER_CPU][column]
                 for column in STAT_COLUMNS}
        ours = (server_after - server + napi_after - napi) / 1e9
        result["others_server_cpu"] = max(0.0, self._busy(spent) - ours) / wall
        spent_client = {column: stat_after[CLIENT_CPU][column] - stat[CLIENT_CPU][column]
                        for column in STAT_COLUMNS}
        result["others_client_cpu"] = max(0.0, self._busy(spent_client) - result["cpu_s"]) / wall
        result["steal"] = max(spent["steal"], spent_client["steal"]) / wall
        if self.mode == "T" and result["all_replies"] > 0 and napi_after == napi:
            raise LabError("mode T: the NAPI thread did no work, so this would be mode S")
        return result

    def _counters(self, child):
        return (cpu_ns(child.pid), cpu_ns(self.napi) if self.napi else 0, cpu_columns(),
                time.monotonic())

    def _busy(self, spent):
        columns = ["user", "nice", "system"] + ([] if self.irq_apart else ["irq", "softirq"])
        return sum(spent[column] for column in columns)
