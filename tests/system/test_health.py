"""healthcheck and the HTTP probes say the truth, and cannot be fooled by a neighbour."""
import os, signal, sys, unittest
from harness import *

PROGRAM = LIBRARY = None


class Health(unittest.TestCase):
    def start(self, *arguments, environment=None, **fields):
        kernel = FakeKernel(LIBRARY, **fields)
        server = Server(PROGRAM, *arguments, environment={**kernel.environment(), **(environment or {})})
        server.kernel = kernel
        self.addCleanup(server.__exit__)
        return kernel, server

    def expect(self, server, code, pattern, *arguments):
        got, text = server.healthcheck(*arguments)
        self.assertEqual(got, code, text)
        self.assertRegex(text, pattern)
        self.assertEqual(text.count("\n"), 1, "one line")

    def test_the_states_of_a_server_and_its_exit_codes(self):
        synchronised, lost = dict(), dict(status=STA_UNSYNC, maxerror_us=16_000_000)
        refuse = {"NTP_SERVER_SERVER_UNSYNCHRONISED": "refuse"}
        #     kernel at start, then   environment  liveness  --max-error 50ms  healthz readyz
        cases = ((synchronised, None,         {},      0,        0,               200,   200),
                 (synchronised, lost,         {},      0,        1,               200,   503),
                 (synchronised, lost,         refuse,  0,        1,               200,   503),
                 (lost,         None,         {},      0,        1,               200,   503),
                 (lost,         None,         refuse,  1,        1,               503,   503),
                 (lost,         synchronised, refuse,  0,        0,               200,   200),
                 (dict(maxerror_us=60_001), None, {},  0,        1,               200,   200),
                 (dict(maxerror_us=160_001), None, {}, 0,        1,               200,   503))
        for number, (first, then, environment, live, within, healthz, readyz) in enumerate(cases):
            with self.subTest(case=number):
                kernel, server = self.start(environment=environment, **first)
                try:
                    self.check(kernel, server, environment, first, then, live, within, healthz, readyz)
                finally:
                    server.__exit__()

    def check(self, kernel, server, environment, first, then, live, within, healthz, readyz):
        if then is not None:
            if not first:  # who has served once stays alive; it looks once a second whether it does
                until(lambda: server.healthcheck()[0] == 0, 5, "healthy")
            self.assertEqual(ask().leap, 3 if environment and first else 0)
            kernel.set(**{**dict(status=0, maxerror_us=12345), **then})
            stratum = 3 if not then else 0 if environment else 10
            until_answer(lambda r: r.stratum == stratum, 5.0, f"stratum {stratum}")
        self.expect(server, live, "^(healthy|unhealthy): ")
        self.expect(server, within, "synchronised", "--max-error", "50ms")
        self.assertEqual(server.get("/healthz")[0], healthz)
        self.assertEqual(server.get("/readyz")[0], readyz)

    def test_a_frozen_server_is_unhealthy_and_a_thawed_one_healthy_again(self):
        for threads in ("auto", "0"):
            kernel, server = self.start("--threads", threads)
            self.expect(server, 0, "^healthy: UDP answered in")
            server.process.send_signal(signal.SIGSTOP)
            self.expect(server, 1, "^unhealthy: .*", "--timeout", "500ms")
            server.process.send_signal(signal.SIGCONT)
            self.expect(server, 0, "^healthy")
            server.stop()

    def test_a_dead_server_is_unhealthy(self):
        kernel, server = self.start()
        server.stop(signal.SIGKILL)
        self.expect(server, 1, "unhealthy: no ntp-server answers here")
        path = server.environment["NTP_SERVER_HEALTH_SOCKET"]
        self.assertTrue(os.path.exists(path), "it could not clear up")
        _, successor = self.start(environment={"NTP_SERVER_HEALTH_SOCKET": path})
        self.expect(successor, 0, "^healthy")

    def test_nobody_at_a_later_place_vouches_for_one_that_died_or_froze(self):
        """Found by review: each failure but "no such file" used to lead on to the next place."""
        with tempfile.TemporaryDirectory() as place:
            os.chmod(place, 0o777)
            first = {"NTP_SERVER_HEALTH_SOCKET": None, "RUNTIME_DIRECTORY": place}
            kernel, server = self.start(environment=first)
            _, other = self.start("--listen", "127.0.0.1:1123", "--http", "off", environment={**first, "RUNTIME_DIRECTORY": None})
            self.expect(other, 0, "^healthy")  # at /run/ntp-server or /dev/shm
            self.expect(server, 0, "^healthy")
            server.freeze()
            self.expect(server, 1, "unhealthy: no ntp-server answers here", "--timeout", "300ms")
            server.stop(signal.SIGKILL)
            self.expect(server, 1, "unhealthy: no ntp-server answers here: connect to " + place)
            os.unlink(f"{place}/health.sock")
            self.expect(server, 0, "^healthy")
            other.stop()

    def test_a_file_where_the_socket_should_be_is_told_and_left_alone(self):
        with tempfile.NamedTemporaryFile() as file:
            kernel, server = self.start(environment={"NTP_SERVER_HEALTH_SOCKET": file.name})
            server.wait_line(f"`ntp-server healthcheck` will not work yet: listen on {file.name}, which is no socket: File exists")
            self.expect(server, 1, f"unhealthy: no ntp-server answers here: connect to {file.name}: Connection refused")
            self.assertTrue(os.path.isfile(file.name))

    def test_a_stranger_cannot_speak_for_the_server_where_everybody_may_write(self):
        impostor = ("import os, socket, sys; os.setuid(61998); s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); print(flush=True)\n"
                    "while True: s.accept()[0].sendall(b'healthy: ha\\n')")
        kernel, server = self.start()
        with tempfile.TemporaryDirectory() as place:
            for mode, code, pattern in ((0o1777, 1, "unhealthy: no ntp-server answers here: trust .* where uid 61998 answers"), (0o755, 0, "^healthy: ha")):
                os.chmod(place, 0o1777)
                path = f"{place}/{mode}"
                with subprocess.Popen([sys.executable, "-c", impostor, path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
                    process.stdout.readline()
                    os.chmod(place, mode)
                    if mode == 0o755:
                        os.chown(place, 61998, 0)
                    try:
                        self.expect(server, code, pattern, "--socket", path)
                    finally:
                        process.kill()

    def test_a_neighbour_on_the_same_port_does_not_answer_for_a_dead_one(self):
        kernel, server = self.start()
        _, neighbour = self.start("--http", "off")
        neighbour.wait_line("shared with ntp-server .pid")
        self.expect(server, 0, "^healthy: UDP answered")
        self.expect(neighbour, 0, "shared with another process, which answers now")
        server.stop(signal.SIGKILL)
        self.assertIsNotNone(ask())
        self.expect(server, 1, "unhealthy")
        self.expect(neighbour, 0, "^healthy: UDP answered")

    def test_a_wildcard_and_an_address_that_it_covers_are_both_ours(self):
        for threads in ("auto", "0"):
            for wildcard, address in (("0.0.0.0:1123", "127.0.0.1:1123"), ("[::]:1123", "[::1]:1123")):
                with self.subTest(threads=threads, wildcard=wildcard):
                    kernel, server = self.start("--listen", wildcard, "--listen", address, "--threads", threads)
                    self.expect(server, 0, "^healthy: UDP answered", "--max-error", "50ms")
                    server.stop()

    def test_one_frozen_worker_is_noticed(self):
        kernel, server = self.start("--listen", "127.0.0.1:123", "--threads", "2")
        self.expect(server, 0, "^healthy")
        tids = sorted(int(t) for t in os.listdir(f"/proc/{server.process.pid}/task"))
        worker = next(t for t in tids if t != server.process.pid and
                      self.waits_for_datagrams(server, t))
        with FrozenThread(worker):
            until(lambda: server.healthcheck()[0] == 1, 6, "unhealthy")
            self.expect(server, 1, "no sign of life|no answer")
            self.assertEqual(server.metric("ntp_server_workers_stalled"), 1)
        until(lambda: server.healthcheck()[0] == 0, 3, "healthy again")

    def waits_for_datagrams(self, server, tid):
        return read(f"/proc/{server.process.pid}/task/{tid}/syscall").split()[0] in ("299", "243")  # recvmmsg, amd64 and arm64

    def test_a_network_without_ipv6_is_no_illness(self):  # Docker's bridge: [::] can be bound, ::1 does not exist
        switch = "/proc/sys/net/ipv6/conf/lo/disable_ipv6"
        def write(value):
            with open(switch, "w") as file:
                file.write(value)
        self.addCleanup(write, read(switch))
        write("1")
        kernel, server = self.start()
        self.expect(server, 0, "^healthy: UDP answered in")

    def test_the_channel_survives_garbage_and_many_callers(self):
        kernel, server = self.start()
        path = server.environment["NTP_SERVER_HEALTH_SOCKET"]
        for text in (b"\n", b"GET / HTTP/1.1\r\n", b"health\n", b"health -1\n", b"health 1 x\n", b"\0" * 500, b"health 99999999999999999999\n"):
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(path)
                s.settimeout(3)
                s.sendall(text)
                try:
                    self.assertEqual(s.recv(100), b"", text)
                except ConnectionResetError:
                    pass  # closed with octets unread
        idle = []
        for _ in range(40):
            s = socket.socket(socket.AF_UNIX)
            s.connect(path)
            idle.append(s)
        self.expect(server, 0, "^healthy")
        for s in idle:
            s.close()

    def test_the_channel_is_for_root_and_the_servers_own_user(self):
        """By who calls, not by the file's mode: a root without CAP_DAC_OVERRIDE obeys that."""
        kernel, server = self.start()
        socket_path = server.environment["NTP_SERVER_HEALTH_SOCKET"]
        bare = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
        for who, code in ((bare, 0), ((*bare, "--reuid=65532", "--regid=65532", "--clear-groups"), 0), ((*bare, "--reuid=61998", "--regid=61998", "--clear-groups"), 1)):
            for command, refusal in (("healthcheck", 1), ("ctl", 69)):
                done = subprocess.run([*who, PROGRAM, command, "--socket", socket_path], capture_output=True, text=True)
                self.assertEqual(done.returncode, code and refusal, f"{who}: {done.stdout}{done.stderr}")

    def test_output_that_cannot_be_written_is_no_success(self):
        kernel, server = self.start()
        with open("/dev/full", "w") as full:
            for command, code in (("healthcheck",), 1), (("ctl",), 71), (("ctl", "--json"), 71), (("ctl", "waitsync", "--timeout", "0s"), 71):
                done = subprocess.run([PROGRAM, *command], env=server.environment, stdout=full, stderr=subprocess.PIPE, text=True, timeout=20)
                self.assertEqual((done.returncode, done.stderr), (code, "ntp-server: cannot write the output: No space left on device\n"), command)

    def test_a_configuration_gone_bad_or_moved_leaves_the_check_right(self):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o777)
            path = os.path.join(folder, "ntp.toml")

            def write(text):
                with open(path, "w") as file:
                    file.write(text)

            def check():
                return subprocess.run([PROGRAM, "healthcheck", "--config", path], capture_output=True, text=True, env={}).returncode
            write(f"[health]\nsocket = '{folder}/one.sock'\n")
            kernel = FakeKernel(LIBRARY)
            server = Server(PROGRAM, "--config", path, environment={**kernel.environment(), "NTP_SERVER_HEALTH_SOCKET": None})
            self.addCleanup(server.__exit__)
            self.assertEqual(check(), 0)
            write(f"[server]\nstratum = 99\nstratun = 1\n[health]\nsocket = '{folder}/one.sock'\n")
            self.assertEqual(check(), 0, "the server runs on as it was started")
            write(f"[health]\nsocket = '{folder}/two.sock'\n")
            self.assertEqual(check(), 1, "nobody has told the server yet")
            server.process.send_signal(signal.SIGHUP)
            until(lambda: check() == 0, 5, "the socket at its new place")
            self.assertFalse(os.path.exists(f"{folder}/one.sock"))

    @not_sanitized
    def test_a_clock_that_nobody_looks_at_is_noticed(self):
        kernel, server = self.start("--listen", "127.0.0.1:123", "--threads", "1")
        self.expect(server, 0, "^healthy")
        tids = sorted(int(t) for t in os.listdir(f"/proc/{server.process.pid}/task"))
        keeper = next(t for t in tids if t != server.process.pid and not self.waits_for_datagrams(server, t))
        with FrozenThread(keeper):
            until(lambda: server.healthcheck()[0] == 1, 15, "unhealthy")
            self.expect(server, 1, "nobody has looked at the clock")
        until(lambda: server.healthcheck()[0] == 0, 3, "healthy again")

    def test_a_stranger_on_the_same_port_proves_nothing_of_ours(self):
        kernel, server = self.start()
        _, neighbour = self.start("--http", "off")
        neighbour.wait_line("shared with ntp-server .pid")
        code, text = neighbour.healthcheck("--max-error", "1s")
        self.assertEqual(code, 1, text)
        self.assertRegex(text, "shared with another process")


if __name__ == "__main__":
    enter_own_network()
    LIBRARY, PROGRAM = sys.argv.pop(), os.path.abspath(sys.argv.pop())
    unittest.main(verbosity=2)
