"""The actuator `system`: the clock of a fake kernel is led to the served one. The program runs in a user namespace of its own, where
CAP_SYS_TIME is worth nothing to the real kernel: whatever the fake might let through would be refused."""
import os, sys, unittest
from harness import *

PROGRAM = LIBRARY = None
BELOW = "192.0.2.1"
CAP_SYS_TIME = 1 << 25
METRICS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "operate", "metrics.md")

# Becomes root of a new user namespace that knows all the users, keeps the capabilities named, and executes the rest.
OWN_USERS = """
import ctypes, os, sys
ready, go = os.pipe(), os.pipe()
if os.fork() == 0:
    os.read(ready[0], 1)
    for name in "uid_map", "gid_map":
        with open(f"/proc/{os.getppid()}/{name}", "w") as file:
            file.write("0 0 65536")
    os.write(go[1], b"x")
    os._exit(0)
if ctypes.CDLL(None, use_errno=True).unshare(0x10000000) != 0:
    sys.exit(f"unshare: {os.strerror(ctypes.get_errno())}")
os.write(ready[1], b"x")
os.read(go[0], 1)
os.wait()
os.execvp(sys.argv[1], sys.argv[1:])
"""


class Steering(unittest.TestCase):
    def upstream(self, **fields):
        kernel = FakeKernel(LIBRARY, maxerror_us=1234, **fields)
        server = Server(PROGRAM, "--listen", "127.0.7.1:123", "--http", "off", environment=kernel.environment())
        self.addCleanup(server.__exit__)
        return kernel, server

    def configure(self, more="", sources=True):
        text = f"[server]\nlisten = ['{BELOW}:1123']\n[clock]\n{more}\n"
        if sources:
            text += "[[source]]\naddress = '127.0.7.1'\nminpoll = -2\nmaxpoll = 0\n"
        with open(self.path, "w") as file:
            file.write(text)

    def start(self, more="steer = 'system'", threads="1", prefix=(), wait=True, **fields):
        kernel = FakeKernel(LIBRARY, **{**dict(status=STA_UNSYNC, maxerror_us=16_000_000, settable=1), **fields})
        self.configure(more)
        server = Server(PROGRAM, "--config", self.path, "--threads", threads, wait=wait, environment=kernel.environment(),
                        prefix=(sys.executable, "-c", OWN_USERS, *prefix))
        self.addCleanup(server.__exit__)
        return kernel, server

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        os.chmod(folder.name, 0o755)
        self.path = f"{folder.name}/ntp.toml"

    def led(self, kernel, server, within=0.002, seconds=25.0):
        until(lambda: abs(kernel.error()) < within and (server.status()["steering"] or {}).get("state") == "steering", seconds,
              "the clock of the kernel is right")

    def capabilities(self, server):
        """Of each thread: the permitted and the effective set."""
        tasks = f"/proc/{server.process.pid}/task"
        return [tuple(int(re.search(rf"Cap{s}:\s+(\w+)", read(f"{tasks}/{tid}/status"))[1], 16) for s in ("Prm", "Eff"))
                for tid in os.listdir(tasks)]

    def test_the_kernels_clock_is_stepped_once_and_then_led(self):
        self.upstream()
        for threads in ("1", "0"):
            kernel, server = self.start(threads=threads, raw_ns=time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW),
                                        real_ns=time.time_ns() - 30 * 10**9)  # half a minute slow
            self.led(kernel, server)
            self.assertEqual(kernel.get("steps"), 1)
            self.assertEqual(kernel.get("status") & STA_UNSYNC, 0)
            self.assertLess(kernel.get("maxerror_us"), 1_000_000)
            reply = ask(BELOW, port=1123)
            bound = reply.root_delay / 2 + reply.root_dispersion
            self.assertLess(abs(reply.time - reply.sent), bound + 0.1)
            self.assertEqual(server.metric('ntp_steering_state{state="steering"}'), 1)
            self.assertEqual(server.metric("ntp_steering_steps_total"), 1)
            written = re.findall(r"^# TYPE (ntp_steering_\S+) (\S+)", server.get("/metrics")[1], re.M)
            documented = re.findall(r"^\| `(ntp_steering_\w+)(?:\{\w+\})?` \| (\w+) \|", read(METRICS), re.M)
            self.assertEqual(documented, written)
            self.assertRegex(server.ctl("tracking")[1], r"Steering +: steering, error .* ppm, 1 steps, 0 refused, 0 disturbed")
            self.assertEqual(server.stop()[0], 0)
            self.assertEqual(kernel.get("tick"), 10_000)
            self.assertLess(abs(kernel.rate()), 200e-6, "no share of a slew is left behind")

    def test_only_the_thread_that_steers_may(self):
        self.upstream()
        for threads, expected in (("2", [(0, 0)] * 3 + [(CAP_SYS_TIME,) * 2]), ("0", [(CAP_SYS_TIME,) * 2])):
            kernel, server = self.start(threads=threads)
            self.assertEqual(sorted(self.capabilities(server)), expected)
            self.assertRegex(read(f"/proc/{server.process.pid}/status"), r"Uid:\s+65532\s+65532")
            server.stop()
            kernel, server = self.start(threads=threads, more="")
            self.assertEqual({*self.capabilities(server)}, {(0, 0)})
            self.assertEqual(kernel.get("writes"), 0)
            server.stop()

    def test_without_the_capability_it_does_not_start(self):
        for threads in ("1", "0"):
            _, server = self.start(threads=threads, wait=False, prefix=("setpriv", "--bounding-set=-sys_time", "--inh-caps=-all"))
            server.wait_line(r"error +clock.steer = .system. needs the capability CAP_SYS_TIME.*--cap-add SYS_TIME.*AmbientCapabilities=CAP_SYS_TIME")
            self.assertEqual(server.process.wait(5), 77)

    def test_a_reload_ends_it_and_cannot_begin_it_without_the_capability(self):
        self.upstream()
        kernel, server = self.start()
        self.led(kernel, server)
        self.configure()
        server.process.send_signal(signal.SIGHUP)
        server.wait_line("configuration reloaded")
        until(lambda: server.status()["steering"] is None, 5.0, "the end of steering")
        writes = kernel.get("writes")
        self.configure("steer = 'system'\nstep_updates = 0")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: kernel.get("writes") > writes, 10.0, "it begins again: the thread has kept its capability")
        server.stop()
        kernel, server = self.start(more="")
        self.configure("steer = 'system'")
        server.process.send_signal(signal.SIGHUP)
        server.wait_line("needs CAP_SYS_TIME, which was given up at the start")
        server.wait_line("cannot be served without a restart")
        self.assertEqual(kernel.get("writes"), 0)

    def test_what_another_program_does_is_told_once_and_undone(self):
        self.upstream()
        kernel, server = self.start()
        self.led(kernel, server)
        for freq in (100 << 16, -100 << 16):
            before = server.status()["steering"]["disturbances"]
            kernel.set(freq=freq)
            until(lambda: server.status()["steering"]["disturbances"] > before, 5.0, "a disturbance")
        self.led(kernel, server)
        self.assertEqual(sum("another program changes the frequency" in line for line in server.lines), 1)

    def test_an_error_over_the_limit_is_refused(self):
        self.upstream()
        kernel, server = self.start(more="steer = 'system'\nmax_change = '100s'\nstep_updates = 2")
        self.led(kernel, server)
        until(lambda: kernel.get("writes") > 8, 10.0, "the first updates are over")
        kernel.set(step_ns=3600 * 10**9)
        server.wait_line(r"error +the host's clock is off by \+3[56]\d\d\.\d+ s, more than clock.max_change")
        until(lambda: kernel.get("status") & STA_UNSYNC, 5.0, "the kernel is told that its clock is wrong")
        self.assertAlmostEqual(kernel.error(), 3600, delta=1)
        self.assertEqual(server.status()["steering"]["state"], "refused")
        reply = ask(BELOW, port=1123)
        self.assertEqual(reply.leap, 0)
        self.assertLess(abs(reply.time - reply.sent), 0.5, "the served clock is the sources'")
        kernel.set(step_ns=0)
        self.led(kernel, server)

    def test_a_kernel_that_refuses_stops_nothing(self):
        self.upstream()
        kernel, server = self.start(refuses=1)
        server.wait_line(r"error +.*kernel's clock: Operation not permitted", 15.0)
        self.assertEqual(ask(BELOW, port=1123).leap, 0)
        self.assertEqual(server.status()["steering"]["state"], "failed")
        kernel.set(refuses=0)
        self.led(kernel, server)

    def test_the_kernel_is_called_unsynchronised_while_nobody_tells_the_time(self):
        self.upstream()
        kernel, server = self.start()
        self.led(kernel, server)
        self.configure("steer = 'system'\nmax_root_distance = '1ms'")  # the source's own bound is above that
        server.process.send_signal(signal.SIGHUP)
        until(lambda: kernel.get("status") & STA_UNSYNC, 15.0, "STA_UNSYNC")
        server.wait_line("the host's clock is no longer led")
        self.assertEqual(server.status()["steering"]["state"], "waiting")
        writes = kernel.get("writes")
        self.configure("steer = 'system'")
        server.process.send_signal(signal.SIGHUP)
        self.led(kernel, server)
        self.assertEqual(kernel.get("status") & STA_UNSYNC, 0)
        self.assertGreater(kernel.get("writes"), writes)


if __name__ == "__main__":
    enter_own_network()
    LIBRARY, PROGRAM = sys.argv.pop(), os.path.abspath(sys.argv.pop())
    unittest.main(verbosity=2)
