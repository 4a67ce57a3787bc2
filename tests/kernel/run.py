#!/usr/bin/python3
"""clock.steer = "system" on a real kernel: Debian's, in a virtual machine whose clock is the program's to set.

run.py PROGRAM [WORD…]   only the scenarios whose name holds one of the words
The truth is a server of ours on this machine's loopback (with a kernel of its own, faked, over this machine's clock, which
nobody may set); the machine reaches it through QEMU's user network. Needs Debian on amd64, gcc, util-linux, qemu-system-x86."""
import calendar, json, os, re, socket, subprocess, sys, tempfile, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.path.join(HERE, "..", "..", "build", "kernel-cache")
sys.path[:0] = [HERE, os.path.join(HERE, "..", "system")]
import machine  # noqa: E402
from harness import UNIX_IN_NTP, FakeKernel, Server, until  # noqa: E402

STA_INS, STA_UNSYNC, CAP_SYS_TIME = 0x10, 0x40, 1 << 25
GOOD_S = 0.002  # of the machine's clock once it is led: what user networking and another scheduler cost
SOURCE = "[[source]]\naddress = '10.0.2.2:%d'\nminpoll = -2\nmaxpoll = 0\n"
# As packaging/systemd/ntp-server.service starts it with CAP_SYS_TIME added to both lines, and as Docker does with
# --user 0 --cap-add SYS_TIME: its default set and that.
AS_UNIT = ("/usr/bin/setpriv --reuid=64999 --regid=64999 --clear-groups --bounding-set=-all,+net_bind_service,+sys_time "
           "--inh-caps=-all,+net_bind_service,+sys_time --ambient-caps=-all,+net_bind_service,+sys_time --no-new-privs ")
AS_DOCKER = ("/usr/bin/setpriv --inh-caps=-all --bounding-set=-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,"
             "+net_bind_service,+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap,+sys_time ")


class Truth:
    """A server on loopback whose clock is this machine's, or `ahead_s` of it."""

    def __init__(self, program, library, ahead_s=0.0):
        self.kernel = FakeKernel(library, maxerror_us=1234, step_ns=int(ahead_s * 1e9))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.server = Server(program, "run", "--listen", f"127.0.0.1:{self.port}", "--http", "off", environment=self.kernel.environment())

    def now(self):
        return time.time() + self.kernel.get("step_ns") / 1e9


class Campaign:
    def __init__(self, program, words):
        self.program, self.words, self.failed, self.passed = program, words, 0, 0
        self.scratch = tempfile.TemporaryDirectory()
        build = lambda *words: subprocess.run(["gcc", "-O1", "-w", *words], check=True)
        library, probe = f"{self.scratch.name}/fake.so", f"{self.scratch.name}/probe"
        build("-shared", "-fPIC", "-o", library, f"{HERE}/../system/fake_kernel.c")
        build("-static", "-o", probe, f"{HERE}/probe.c")
        self.image = f"{self.scratch.name}/initramfs"
        with open(self.image, "wb") as file:
            file.write(machine.initramfs(CACHE, {"/bin/ntp-server": program, "/bin/probe": probe, "/usr/bin/setpriv": "/usr/bin/setpriv"}))
        self.truth_of = lambda ahead_s=0.0: Truth(program, library, ahead_s)
        self.truth = self.truth_of()

    def check(self, name, good, facts):
        self.passed, self.failed = self.passed + bool(good), self.failed + (not good)
        print(f"{'ok' if good else 'FAIL':4}  {name} ({facts})", flush=True)

    # In the machine -----------------------------------------------------------------------------

    def probe(self, *words):
        return {key: int(value) for key, value in re.findall(r"(\w+)=(-?\d+)", self.vm.run(f"probe {' '.join(words)}"))}

    def error(self, truth):
        """The machine's clock minus the truth, and what that measurement can be wrong by: half of the best round trip of sixteen."""
        text = self.vm.run(f"ntp-server query 10.0.2.2:{truth.port} --count 16 --json 2>/dev/null", 60)
        best = json.loads(text[text.index("{"):])["best"]
        return -best["offset_s"], best["delay_s"] / 2

    def settled(self, truth, seconds=60.0, limit_s=GOOD_S):
        """The error once it is small, or at the deadline."""
        deadline = time.monotonic() + seconds
        while True:
            error_s, doubt_s = self.error(truth)
            if abs(error_s) < limit_s + doubt_s or time.monotonic() > deadline:
                return error_s, doubt_s
            time.sleep(2)

    def start(self, truth, prefix="", threads=1, more=""):
        self.vm.write("/tmp/ntp.toml", f"[server]\nlisten = ['127.0.0.1:123']\nthreads = {threads}\n[http]\nlisten = 'off'\n[clock]\nsteer = 'system'\n"
                      f"leap_seconds = '/tmp/leap.list'\n{more}\n{SOURCE % truth.port}")
        self.vm.run(f"NTP_SERVER_HEALTH_SOCKET=/tmp/health.$$ {prefix}ntp-server run --config /tmp/ntp.toml >/tmp/log 2>&1 &\nsleep 1; echo $! >/tmp/pid")
        self.wait_log("leading the host's clock", 60)

    def wait_log(self, words, seconds):
        until(lambda: words in self.vm.run("cat /tmp/log"), seconds, f"{words!r} in the log:\n{self.vm.run('cat /tmp/log')}")

    def stop(self):
        self.vm.run("kill $(cat /tmp/pid); wait $(cat /tmp/pid)", 20)

    def steps(self):
        return self.vm.run("grep -c \"stepping the host's clock\" /tmp/log; true")

    def leap_list(self, expires, *more):
        entries = ["3692217600 37", *(f"{int(midnight) + UNIX_IN_NTP} {offset}" for midnight, offset in more)]
        self.vm.write("/tmp/leap.list", "\n".join([f"#@ {int(expires) + UNIX_IN_NTP}", *entries]))

    def threads(self):
        """The permitted and effective capabilities of each thread, and the process's users."""
        text = self.vm.run("cat /proc/$(cat /tmp/pid)/task/*/status")
        sets = list(zip(*(map(lambda word: int(word, 16), re.findall(rf"Cap{kind}:\s+(\w+)", text)) for kind in ("Prm", "Eff", "Amb"))))
        return sorted(sets), sorted(set(re.findall(r"Uid:\s+(\d+)\s+(\d+)", text)))

    # Scenarios ----------------------------------------------------------------------------------

    def kernel_is_told(self, truth, tai):
        now, (error_s, doubt_s) = self.probe(), self.error(truth)
        maxerror_s, esterror_s = now["maxerror_us"] / 1e6, now["esterror_us"] / 1e6
        self.check("the kernel is synchronised and knows how well", not now["status"] & STA_UNSYNC and 0 < esterror_s <= maxerror_s < 0.2
                   and abs(error_s) <= maxerror_s + doubt_s, f"status {now['status']:#x}, maxerror {maxerror_s} s, esterror {esterror_s} s, really {error_s:+.6f} s")
        self.check(f"its TAI offset is {tai}", now["tai"] == tai, now["tai"])
        return now

    def started(self, name, prefix, threads, off_s, stepped):
        """The clock is `off_s` and 300 ppm fast: it is led to the truth, and its frequency with it."""
        print(f"#     {name}", flush=True)
        self.probe("rate", "300")
        error_s, _ = self.error(self.truth)
        self.probe("offset", str(int((off_s - error_s) * 1e9)))
        begun = time.monotonic()
        self.start(self.truth, prefix, threads)
        error_s, doubt_s = self.settled(self.truth, 120)
        took = time.monotonic() - begun
        self.check(f"a clock {off_s:+} s off is right", abs(error_s) < GOOD_S + doubt_s, f"{error_s * 1e6:+.0f} us within {took:.0f} s, measured to {doubt_s * 1e6:.0f} us")
        self.check(f"and was stepped {stepped} times", self.steps() == str(stepped), self.steps())
        capabilities, users = self.threads()
        self.check("CAP_SYS_TIME is all that is left, in one thread, for another user",
                   [one for one in capabilities if any(one)] in ([(CAP_SYS_TIME, CAP_SYS_TIME, 0)], [(CAP_SYS_TIME,) * 3]) and all("0" not in pair for pair in users),
                   f"{len(capabilities)} threads, {[tuple(map(hex, one)) for one in capabilities if any(one)]}, users {users}")
        self.kernel_is_told(self.truth, 37)
        self.stop()
        self.left_alone()

    def left_alone(self):
        """After the end the clock runs on at the frequency that is right: of 300 ppm nothing is left, nor of a slew."""
        now, (before_s, doubt_s), begun = self.probe(), self.error(self.truth), time.monotonic()
        time.sleep(30)
        after_s, doubt_later_s = self.error(self.truth)
        drift, doubt = (after_s - before_s) / (time.monotonic() - begun), (doubt_s + doubt_later_s) / 30
        self.check("after the end the frequency that is right stays", now["tick"] == 10_000 and abs(now["freq"] / 65536) < 100 and abs(drift) < 5e-6 + doubt,
                   f"{now['freq'] / 65536:+.3f} ppm set, drift {drift * 1e6:+.2f} ppm to {doubt * 1e6:.1f}")

    def leap_second(self):
        """The truth is a minute before a midnight with a leap second; the kernel of the machine inserts it."""
        midnight = calendar.timegm((2027, 1, 1, 0, 0, 0))
        truth = self.truth_of(midnight - 60 - time.time())
        self.leap_list(midnight + 90 * 86400, (midnight, 38))
        self.start(truth)
        error_s, _ = self.settled(truth, 30)
        self.check("a clock a month off is right", abs(error_s) < GOOD_S, f"{error_s * 1e6:+.0f} us")
        announced = self.kernel_is_told(truth, 37)
        self.check("the kernel has been told of the leap second", announced["status"] & STA_INS, f"status {announced['status']:#x}")
        left_s = midnight - truth.now()

        def insert():
            truth.kernel.set(step_ns=truth.kernel.get("step_ns") - 10**9)
        threading.Timer(left_s, insert).start()
        seen = self.vm.run(f"probe watch {left_s + 5:.3f}", left_s + 60)
        steps = [(int(step), int(at)) for step, at in re.findall(r"step_ns=(-?\d+) before_ns=(\d+)", seen)]
        self.check("the kernel inserts it at midnight, and nothing else steps", len(steps) == 1 and abs(steps[0][0] + 10**9) < 10**7
                   and abs(steps[0][1] - midnight * 10**9) < 2 * 10**7, seen or "no step")
        time.sleep(25)  # nothing is written around a leap second
        error_s, doubt_s = self.settled(truth, 30)
        self.check("the clock is right afterwards", abs(error_s) < GOOD_S + doubt_s and self.steps() == "1", f"{error_s * 1e6:+.0f} us, {self.steps()} steps of ours")
        after = self.kernel_is_told(truth, 38)
        self.check("the announcement is over", not after["status"] & STA_INS, f"status {after['status']:#x}")
        self.stop()
        truth.server.stop()

    def run(self):
        now = time.time()
        with machine.Machine(CACHE, self.image, now - 1000, machine.accelerator(CACHE, self.image)) as self.vm:
            print(f"#     Linux {self.vm.kernel}, {self.vm.accelerator}, clock source {self.vm.run('cat /sys/devices/system/clocksource/clocksource0/current_clocksource')}", flush=True)
            self.leap_list(now + 90 * 86400)
            scenarios = [("stepped, as root", lambda name: self.started(name, "", 1, -1000, 1)),
                         ("slewed, in one thread", lambda name: self.started(name, "", 0, 0.02, 0)),
                         ("as the systemd unit with both lines", lambda name: self.started(name, AS_UNIT, 1, -100, 1)),
                         ("as the unit, in one thread", lambda name: self.started(name, AS_UNIT, 0, 100, 1)),
                         ("as Docker with --cap-add SYS_TIME", lambda name: self.started(name, AS_DOCKER, 1, 1, 1)),
                         ("leap second", lambda name: self.leap_second())]
            for name, scenario in scenarios:
                if self.words and not any(word in name for word in self.words):
                    continue
                try:
                    scenario(name)
                except (AssertionError, KeyError, ValueError) as error:
                    self.check(name, False, error)
                    self.vm.run("kill -9 $(cat /tmp/pid); cat /tmp/log", status=None)
        self.truth.server.stop()
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0


if __name__ == "__main__":
    if len(sys.argv) < 2 or not os.access(sys.argv[1], os.X_OK):
        sys.exit(__doc__)
    machine.fetch(CACHE)
    sys.exit(Campaign(os.path.abspath(sys.argv[1]), sys.argv[2:]).run())
