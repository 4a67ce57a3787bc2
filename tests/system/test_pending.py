"""Failing inputs of known faults, not run by CTest: each moves to the file that it names once the fault is mended."""
import os, resource, signal, sys, unittest
from harness import *

PROGRAM = LIBRARY = None


def everywhere():
    """Two floods: one for each family, from many sources, so that every worker has more than it can do."""
    for command in ("sysctl -qw net.ipv6.ip_nonlocal_bind=1", "ip -6 route replace local 2001:db8:77::/48 dev lo"):
        subprocess.run(command.split(), check=True)
    return Flood(("127.0.0.1", [f"127.0.3.{n}" for n in range(1, 65)]), ("2001:db8::1", [f"2001:db8:77:{n:x}::1" for n in range(1, 65)]))


class Pending(unittest.TestCase):
    def server(self, *arguments, **named):
        server = Server(PROGRAM, *arguments, **named)
        self.addCleanup(server.__exit__)
        return server

    def test_sigterm_at_saturation_takes_under_a_second_with_any_number_of_workers(self):
        """test_saturation.py. Workers are drained one after the other, up to 200 ms each."""
        for threads in ("auto", "8", "0"):
            with self.subTest(threads=threads):
                server = self.server("--threads", threads)
                with everywhere() as flood:
                    flood.wait_saturated()
                    code, took = server.stop(seconds=20)
                self.assertEqual(code, 0)
                self.assertLess(took, 1.0)

    def test_a_saturated_server_is_healthy(self):
        """test_saturation.py, check_health. The probe's own request is lost in a full queue: an overload looks like a death."""
        for threads in ("auto", "0"):
            kernel = FakeKernel(LIBRARY)
            server = self.server("--threads", threads, environment=kernel.environment())
            with everywhere() as flood:
                flood.wait_saturated()
                for number in range(5):
                    with self.subTest(threads=threads, number=number):
                        code, text = server.healthcheck()
                        self.assertEqual(code, 0, text)

    def test_a_reload_for_which_a_thread_is_missing_leaves_the_old_configuration_in_force(self):
        """test_start_failures.py. The running server ends with 71."""
        user = "[server]\nuser = '61999:61999'\nthreads = 1\n"
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            os.chmod(file.name, 0o644)
            file.write(user + "listen = ['127.0.0.1:1123']\n")
            file.flush()
            server = self.server("--config", file.name, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NPROC, (3, 3)))
            file.seek(0)
            file.write(user + "listen = ['127.0.0.1:1123', '127.0.0.1:1124']\n")
            file.flush()
            server.process.send_signal(signal.SIGHUP)
            server.wait_line("cannot start a thread")
            server.wait_line("the old one stays in force")
            self.assertIsNotNone(ask(port=1123))
            self.assertIsNone(ask(port=1124, timeout=0.1))


if __name__ == "__main__":
    enter_own_network()
    LIBRARY, PROGRAM = sys.argv.pop(), os.path.abspath(sys.argv.pop())
    unittest.main(verbosity=2)
