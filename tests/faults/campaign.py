"""What the parts of the fault campaign share: the table, networks of their own, the settings of a run."""
import ctypes, dataclasses, hmac, os, random, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
import harness  # noqa: E402

harness.PATIENCE = 1  # here waits are bars

CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x20000000, 0x40000000


@dataclasses.dataclass
class Row:
    """One line of the table. A bar that only the long command has says so in `bar`."""
    fault: str
    runs: int
    bar: str
    measured: str
    verdict: str  # ok, MISSED or skipped

    @staticmethod
    def of(fault, runs, bar, measured, is_met):
        return Row(fault, runs, bar, measured, "ok" if is_met else "MISSED")


@dataclasses.dataclass
class Settings:
    program: str
    libraries: str          # the folder with fake_kernel, fail_allocation and fail_call
    long: bool
    seed: int
    tsan: str = ""          # a build with the thread sanitizer, for the reloads
    load: str = ""          # bench's ntpload
    say: object = print

    @property
    def fake_kernel(self):
        return os.path.join(self.libraries, "libfake_kernel.so")

    def random(self, name):
        """Of one part: whether the others ran as well changes nothing."""
        return random.Random(f"{self.seed} {name}")


def table(rows):
    cells = [("fault", "runs", "bar", "measured", "verdict")] + [(r.fault, f"{r.runs:,}", r.bar, r.measured, r.verdict) for r in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(5)]
    lines = ["  ".join(text.rjust(w) if i == 1 else text.ljust(w) for i, (text, w) in enumerate(zip(row, widths))).rstrip() for row in cells]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def unshare(flags):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def own_network():
    """The calling process ends up in a network namespace in which there is loopback only."""
    unshare(CLONE_NEWNET)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def folder():
    """A temporary one that any user may write in."""
    made = tempfile.TemporaryDirectory(prefix="ntp-faults-")
    os.chmod(made.name, 0o777)
    return made


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o644)


def set_sysctl(name, value):
    with open("/proc/sys/net/" + name, "w", encoding="ascii") as file:
        file.write(value)


def cpu_s(pid):
    """Processor time of a process so far."""
    fields = harness.read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def state_is_whole(text):
    """Whether a state file says what its last line promises (docs/decisions/0010)."""
    body, mark, sum_text = text.rpartition("checksum ")
    value = 0xcbf29ce484222325
    for octet in body.encode():
        value = (value ^ octet) * 0x100000001b3 % 2**64
    return mark != "" and sum_text.strip() == f"{value:016x}"


def cookie_keys_are_whole(text):
    """The same of the file of cookie keys: HKDF-SHA256 without salt and info."""
    body, mark, sum_text = text.rpartition("checksum ")
    extracted = hmac.digest(bytes(32), body.encode(), "sha256")
    return mark != "" and sum_text.strip() == hmac.digest(extracted, b"\1", "sha256")[:8].hex()


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def right(reply, tolerance_s=0.25):
    """A reply that no client could be harmed by: of a server, for this question, and of the right time or of none."""
    if reply is None or reply.mode != 4 or reply.version != 4 or len(reply.octets) != 48:
        return False
    if reply.leap == 3:
        return reply.stratum == 0
    return reply.rec <= reply.xmt and reply.sent - tolerance_s <= reply.time <= reply.received + tolerance_s


def ask_right(host="127.0.0.1", port=123, timeout=1.0):
    """True: answered rightly. False: not answered. An answer that is wrong ends the run."""
    nonce = int.from_bytes(os.urandom(8), "big") | 1
    reply = harness.ask(host, port, harness.request(xmt=nonce), timeout)
    if reply is None:
        return False
    if reply.org != nonce or not right(reply):
        raise AssertionError(f"a wrong reply from {host}: leap {reply.leap} stratum {reply.stratum} mode {reply.mode}, "
                             f"{reply.time - reply.sent:+.6f} s, {reply.octets.hex()}")
    return True


def wait(condition, seconds, what):
    return harness.until(condition, seconds, what)


def now():
    return time.monotonic()
