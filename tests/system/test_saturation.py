"""More requests than the server can answer: it still ends, reloads, tells its state and keeps its clock."""
import os, signal, sys, unittest
from harness import *

PROGRAM = LIBRARY = None
# Bounds in seconds, for a machine whose processors are all taken by the flood as well.
ENDS, ANSWERS_HTTP, RELOADS, HEARS_OF_THE_CLOCK, TELLS_HEALTH = 1.0, 1.0, 1.0, 2.0, 2.5


def sources_v4():
    return [f"127.0.3.{n}" for n in range(1, 33)]


def everywhere(threads):
    """Floods of both families, from many sources. The more workers share the processors with the senders, the more senders it takes."""
    workers = os.cpu_count() if threads == "auto" else int(threads)
    for command in ("sysctl -qw net.ipv6.ip_nonlocal_bind=1", "ip -6 route replace local 2001:db8:77::/48 dev lo"):
        subprocess.run(command.split(), check=True)
    families = (("127.0.0.1", [f"127.0.3.{n}" for n in range(1, 65)]), ("2001:db8::1", [f"2001:db8:77:{n:x}::1" for n in range(1, 65)]))
    return Flood(*families * max(1, min(workers, 8) // 2))


class Saturation(unittest.TestCase):
    def server(self, *arguments, **named):
        return begin(self, PROGRAM, *arguments, **named)

    def flood(self, *targets):
        flood = Flood(*(targets or [("127.0.0.1", sources_v4())] * 2))
        self.addCleanup(flood.__exit__)
        flood.wait_saturated()
        return flood

    def took(self, condition, what):
        begun = time.monotonic()
        until(condition, 20.0, what)
        return time.monotonic() - begun

    def test_sigterm_ends_it_with_0_in_under_a_second_with_any_number_of_workers(self):
        for threads in ("auto", "8", "0"):
            with self.subTest(threads=threads):
                took = [self.time_to_end(threads)]
                if took[0] >= ENDS:  # the senders may have had all processors: two of three then
                    took += [self.time_to_end(threads) for _ in range(2)]
                self.assertLess(sorted(took)[len(took) // 2], ENDS, took)

    def time_to_end(self, threads):
        server = self.server("--threads", threads)
        with everywhere(threads) as flood:
            flood.wait_saturated()
            code, took = server.stop(seconds=20)
        self.assertEqual(code, 0)
        self.assertRegex(server.lines[-1], "stopped")
        return took

    def test_it_knows_that_requests_come_faster_than_it_reads_them(self):
        for threads in ("auto", "0"):
            with self.subTest(threads=threads):
                server = self.server("--threads", threads)
                self.assertFalse(server.status()["rate"]["threatened"])
                with everywhere(threads) as flood:
                    flood.wait_saturated()
                    self.took(lambda: server.status()["rate"]["threatened"], "it notices")
                    self.assertGreater(server.status()["packets"]["lost"], 0)
                self.took(lambda: not server.status()["rate"]["threatened"], "it forgets")
                server.stop(seconds=20)

    def test_an_overloaded_server_is_not_called_dead(self):
        """Most questions are lost, the health check's own with them; but some are answered."""
        for threads in ("auto", "0"):
            kernel = FakeKernel(LIBRARY)
            server = self.server("--threads", threads, environment=kernel.environment())
            with everywhere(threads) as flood:
                flood.wait_saturated()
                for number in range(5):
                    with self.subTest(threads=threads, number=number):
                        code, text = server.healthcheck()
                        self.assertEqual(code, 0, text)
            server.stop(seconds=20)

    def test_everything_else_is_still_served(self):
        for threads in ("auto", "0"):
            with self.subTest(threads=threads), tempfile.TemporaryDirectory() as folder:
                os.chmod(folder, 0o755)
                path = os.path.join(folder, "ntp.toml")
                with open(path, "w") as file:
                    file.write("[server]\nstratum = 3\n")
                kernel = FakeKernel(LIBRARY)
                server = self.server("--threads", threads, "--config", path, environment=kernel.environment())
                flood = self.flood()
                self.check_http(server)
                self.check_health(server)
                self.check_reload(server, path)
                self.check_clock(server, kernel)
                flood.wait_saturated()  # and it has been so all the time
                self.assertEqual(server.stop(seconds=20)[0], 0)
                flood.__exit__()

    def check_http(self, server):
        for page in ("/metrics", "/healthz", "/readyz", "/api/v1/status") * 5:
            self.assertLess(self.took(lambda: server.get(page)[0] == 200, page), ANSWERS_HTTP, page)

    def check_health(self, server):
        begun = time.monotonic()
        _, text = server.healthcheck()
        self.assertRegex(text, "^healthy: .*UDP")
        self.assertLess(time.monotonic() - begun, TELLS_HEALTH)

    def check_reload(self, server, path):
        with open(path, "w") as file:
            file.write("[server]\nstratum = 7\n")
        server.process.send_signal(signal.SIGHUP)
        self.assertLess(self.took(lambda: any("configuration reloaded" in line for line in server.lines), "reload"), RELOADS)
        # Most questions find a full queue, so the state is asked for over HTTP.
        self.assertLess(self.took(lambda: server.status()["system"]["stratum"] == 7, "stratum 7"), HEARS_OF_THE_CLOCK)

    def check_clock(self, server, kernel):
        for status, stratum, maxerror_us in ((STA_UNSYNC, 10, 16_000_000), (0, 7, 4321)):
            kernel.set(status=status, maxerror_us=maxerror_us)
            self.assertLess(self.took(lambda: server.status()["system"]["stratum"] == stratum, f"stratum {stratum}"), HEARS_OF_THE_CLOCK)
            answers = Answers(sources_v4()[0])
            self.took(lambda: answers.stratum() == stratum, "a reply that says so")  # how soon one gets through is luck
            answers.close()


class Answers:
    """What clients hear meanwhile: asks often, since most of it is lost."""

    def __init__(self, source):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((source, 0))
        self.socket.connect(("127.0.0.1", 123))
        self.socket.setblocking(False)

    def stratum(self):
        """Of the last reply that has come, or None."""
        for _ in range(64):
            self.socket.send(request())
        last = None
        try:
            while True:
                last = Reply(self.socket.recv(100)).stratum
        except BlockingIOError:
            return last

    def close(self):
        self.socket.close()


if __name__ == "__main__":
    enter_own_network()
    LIBRARY, PROGRAM = sys.argv.pop(), os.path.abspath(sys.argv.pop())
    unittest.main(verbosity=2)
