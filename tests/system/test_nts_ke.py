"""NTS key establishment: what clients are told, and that nobody keeps others from it."""
import shutil, ssl, sys
from harness import *
from ke_client import *
from load import Load
sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))
import case_keyed, siv
from case_table import field

PROGRAM = LIBRARY = None
SHORT = 0.25  # p99 of others' handshakes, whatever is done to the port


def processor_time(pid):
    fields = read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class KeyEstablishment(unittest.TestCase):
    def server(self, *arguments, authority=None, environment=None, **named):
        self.authority = authority or Authority(PROGRAM)
        self.addCleanup(self.authority.__exit__)
        server = Server(PROGRAM, *arguments, environment=self.authority.environment(**(environment or {})), **named)
        self.addCleanup(server.__exit__)
        self.context = self.authority.context()
        until(is_open, 10, "key establishment")
        return server

    def handshakes(self, seconds, **named):
        """How long each took, one after the other."""
        took, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            begun = time.monotonic()
            self.assertEqual(len(cookies(establish(self.context, **named))), 8)
            took.append(time.monotonic() - begun)
        return took

    def outcome(self, server, name):
        return server.metric(f'ntp_nts_ke_handshakes_total{{outcome="{name}"}}')

    # ---- what clients are told ---------------------------------------------------------------------

    def test_a_client_gets_eight_cookies_over_tls_13_and_no_ticket(self):
        for threads in ("auto", "0"):
            server = self.server("--threads", threads)
            for host in ("127.0.0.1", "::1"):
                answer = establish(self.context, host)
                self.assertEqual(establish.version, "TLSv1.3")
                self.assertFalse(establish.session.has_ticket)
                found = records(answer)
                self.assertEqual(found[0], (NEXT_PROTOCOL, True, u16(0)))
                self.assertIn((AEAD, SIV_CMAC_256), [(kind, int.from_bytes(body, "big")) for kind, _, body in found])
                self.assertEqual(found[-1], (EOM, True, b""))
                jar = cookies(answer)
                self.assertEqual(len(set(jar)), 8)
                self.assertEqual(len({len(cookie) for cookie in jar}), 1)
                self.assertEqual(len(jar[0]) % 4, 0)
            until(lambda: self.outcome(server, "ok") == 2, 3, "two counted")
            self.assertEqual(server.stop()[0], 0)

    def test_without_the_right_alpn_or_tls_13_nobody_gets_in(self):
        server = self.server()
        for name, context in (("no_alpn", self.authority.context(alpn=())), ("wrong_alpn", self.authority.context(alpn=("h2", "ntske/2"))),
                              ("tls_version", self.authority.context(most=ssl.TLSVersion.TLSv1_2))):
            with self.assertRaisesRegex(ssl.SSLError, "(?i)no_application_protocol|protocol.version|alert", msg=name):
                establish(context)
            until(lambda: self.outcome(server, name) == 1, 3, name)
        for name, octets in (("not_tls", b"GET / HTTP/1.1\r\n\r\n"), ("not_tls", b"\x00" * 100)):
            with connect() as s:
                s.sendall(octets)
                while s.recv(100):  # at most an alert
                    pass
        until(lambda: self.outcome(server, "not_tls") + self.outcome(server, "tls_malformed") == 2, 3, "not TLS")
        self.assertEqual(self.outcome(server, "ok"), 0)

    def test_bad_records_are_answered_with_their_error(self):
        server = self.server()
        for request, error in ((record(EOM), 1), (record(NEXT_PROTOCOL, u16(0)) + record(EOM), 1), (record(0x55, b"x") + REQUEST, 0),
                               (record(ERROR, u16(1)) + REQUEST, 1), (record(COOKIE, b"x" * 100, False) + REQUEST, 1),
                               (record(NEXT_PROTOCOL, u16(0)) + record(AEAD, b"\0\x0f\0") + record(EOM), 1)):
            found = records(establish(self.context, request=request))
            self.assertIn((ERROR, True, u16(error)), found, request)
            self.assertEqual([kind for kind, _, _ in found if kind == COOKIE], [])
        for request in (record(NEXT_PROTOCOL, u16(7)) + record(EOM), record(NEXT_PROTOCOL, u16(0)) + record(AEAD, u16(99)) + record(EOM)):
            self.assertEqual(cookies(establish(self.context, request=request)), [])
        self.assertEqual(len(cookies(establish(self.context, request=record(0x55, b"x", False) + REQUEST))), 8)
        until(lambda: self.outcome(server, "unknown_critical") == 1, 3, "counted")

    def test_a_request_may_come_octet_by_octet_in_as_many_tls_records(self):
        self.server()
        with connect() as plain, self.context.wrap_socket(plain, server_hostname="127.0.0.1", suppress_ragged_eofs=False) as tls:
            for octet in REQUEST:
                tls.sendall(bytes([octet]))
            answer = b""
            while chunk := tls.recv(4096):
                answer += chunk
        self.assertEqual(len(cookies(answer)), 8)

    def test_octets_after_the_end_of_the_message_end_it_without_an_answer(self):
        self.server()
        self.assertEqual(establish(self.context, request=REQUEST + b"x" * 1000), b"")

    # ---- those who do not want anything ------------------------------------------------------------

    def test_idle_connections_are_closed_after_two_seconds_and_slow_ones_after_five(self):
        server = self.server()
        begun = time.monotonic()
        with connect(timeout=10) as idle:
            self.assertEqual(idle.recv(1), b"")
        self.assertAlmostEqual(time.monotonic() - begun, 2.2, delta=0.8)
        begun = time.monotonic()
        with connect(timeout=10) as slow:
            slow.setblocking(False)
            for octet in b"\x16\x03\x01\x02\x00" + b"\x01" * 20:
                try:
                    slow.send(bytes([octet]))
                except OSError:
                    break
                if select.select([slow], [], [], 0.5)[0]:
                    break
        self.assertAlmostEqual(time.monotonic() - begun, 5.5, delta=1.2)
        with connect(timeout=10) as plain, self.context.wrap_socket(plain, server_hostname="127.0.0.1") as tls:
            begun = time.monotonic()
            tls.sendall(REQUEST[:-4])  # and never the end of the message
            self.assertEqual(tls.recv(1), b"")
            self.assertLess(time.monotonic() - begun, 6)
        until(lambda: (self.outcome(server, "idle"), self.outcome(server, "too_slow")) == (2, 1), 3, "counted")

    def crowd(self, count, seconds=3.0, **named):
        with Idlers(count, **named) as idlers:
            took, end = [], time.monotonic() + seconds
            while time.monotonic() < end:
                idlers.tend()
                if named:
                    idlers.drip()
                took += self.handshakes(0.1)
            return took

    @not_sanitized
    def test_idle_connections_in_any_number_are_in_nobodys_way(self):
        server = self.server()
        for count in (0, 10, 150, 700):
            took = self.crowd(count)
            print(f"  {count} idle: {len(took)} handshakes, median {percentile(took, 0.5) * 1e3:.1f} ms, p99 {percentile(took, 0.99) * 1e3:.1f} ms")
            self.assertLess(percentile(took, 0.99), SHORT, count)
        self.assertEqual(server.metric("ntp_nts_ke_accept_errors_total"), 0)

    @not_sanitized
    def test_slow_writers_are_in_nobodys_way(self):
        self.server()
        load = Load.during(self, 200)
        took = self.crowd(150, first=b"\x16\x03\x01")
        self.assertEqual((load.finish(), load.wrong), (0, 0), "questions over UDP")
        self.assertGreater(load.sent, 300)
        self.assertLess(percentile(took, 0.99), SHORT)

    def test_when_descriptors_run_out_the_idlest_goes_and_nothing_spins(self):
        server = self.server(prefix=("prlimit", "--nofile=40"))
        with Idlers(1000) as idlers:
            pid = ke_process(server)
            before, begun = processor_time(pid), time.monotonic()
            time.sleep(1)
            self.assertLess((processor_time(pid) - before) / (time.monotonic() - begun), 0.3)
            idlers.tend()
            self.assertLess(percentile(self.handshakes(1), 0.5), SHORT)
        self.assertIsNotNone(ask())

    @unittest.skipUnless(shutil.which("strace"), "SKIPPED: there is no strace here")
    @not_sanitized
    def test_an_error_of_the_network_sends_no_guest_away(self):
        server = self.server(environment={"NTP_SERVER_SERVER_SANDBOX": "off"})  # strace makes the call one that no filter knows
        evicted = lambda: server.metric('ntp_nts_ke_handshakes_total{outcome="evicted"}')
        waited = lambda: server.metric("ntp_nts_ke_accept_errors_total")
        for error, wanted in (("EPROTO", 0), ("EHOSTUNREACH", 0), ("EPERM", 0), ("ENOMEM", 1)):
            with self.subTest(error=error), Idlers(20):
                until(lambda: server.metric("ntp_nts_ke_connections_open") >= 20, 3, "all in")
                before, errors = evicted(), waited()
                tracer = subprocess.Popen(["strace", "-qq", "-e", f"inject=accept4:error={error}", "-e", "trace=accept4", "-o", "/dev/null",
                                           "-p", str(ke_process(server))], stderr=subprocess.DEVNULL)
                self.addCleanup(tracer.kill)
                until(lambda: "TracerPid:\t0" not in read(f"/proc/{ke_process(server)}/status"), 3, "the tracer")
                with connect():
                    until(lambda: waited() > errors, 3, "an error")
                    tracer.send_signal(signal.SIGINT)
                    tracer.wait(5)
                until(lambda: len(cookies(establish(self.context))) == 8, 3, "a handshake")
                time.sleep(0.3)
                until(lambda: (evicted() > before) == wanted, 2, f"{evicted() - before} evicted after {error}")
                self.assertEqual(evicted() > before, wanted)

    def test_rubbish_makes_no_lines(self):
        server = self.server()
        before = len(server.lines)
        for number in range(2000):
            with connect() as s:
                s.sendall(b"\x16\x03\x01\x00\x04line\n\x1b[31m%s\xff" if number % 2 else os.urandom(50))
        until(lambda: server.metric("ntp_nts_ke_connections_total") >= 2000, 5, "all accepted")
        self.assertLess(len(server.lines) - before, 5)
        self.assertEqual(len(cookies(establish(self.context))), 8)

    # ---- certificates ------------------------------------------------------------------------------

    def test_certificates_change_under_handshakes_and_none_fails(self):
        server = self.server()
        changes, seconds, clients = 0, 4, 8
        done, failed, took = threading.Event(), [], []

        def change():
            nonlocal changes
            while not done.is_set():
                self.authority.issue()  # a rename over the old one
                if changes % 2:
                    server.process.send_signal(signal.SIGHUP)
                changes += 1
                done.wait(0.2)

        def client():
            while not done.is_set():
                begun = time.monotonic()
                try:
                    if len(cookies(establish(self.context))) != 8:
                        failed.append("other than eight cookies")
                except Exception as error:  # whatever it is: a thread must not keep it to itself
                    failed.append(repr(error))
                took.append(time.monotonic() - begun)
        threads = [threading.Thread(target=work) for work in (change, *[client] * clients)]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        done.set()
        for thread in threads:
            thread.join()
        print(f"  {len(took)} handshakes of {clients} clients at once ({len(took) / seconds:.0f} a second) over {changes} certificates, "
              f"p99 {percentile(took, 0.99) * 1e3:.1f} ms")
        self.assertEqual(failed, [])
        self.assertGreater(len(took), clients)
        self.assertGreater(changes, 3)
        self.assertGreaterEqual(len([line for line in server.lines if "certificate loaded" in line]), 3)

    def test_a_bad_new_certificate_leaves_the_old_one_in_force(self):
        server = self.server()
        good = read(self.authority.key)
        with open(self.authority.key, "w") as file:
            file.write("nonsense\n")
        server.wait_line("server.key: it holds no private key.*from before stays in force")
        self.assertEqual(len(cookies(establish(self.context))), 8)
        self.assertEqual(server.metric("ntp_nts_certificate_problem"), 1)
        self.assertRegex(server.ctl("status")[1], "certificate .*holds no private key")
        with open(self.authority.key, "w") as file:
            file.write(good)
        until(lambda: server.metric("ntp_nts_certificate_problem") == 0, 5, "no problem any more")
        self.assertEqual(len(cookies(establish(self.context))), 8)

    def test_a_certificate_may_come_after_the_start(self):
        authority = Authority(PROGRAM)
        os.rename(authority.key, authority.key + ".later")
        server = Server(PROGRAM, environment=authority.environment())
        self.addCleanup(authority.__exit__)
        self.addCleanup(server.__exit__)
        server.wait_line("server.key: No such file.*is the path right")
        self.assertIsNotNone(ask())
        self.assertFalse(is_open())
        self.assertEqual(server.healthcheck()[0], 0)
        os.rename(authority.key + ".later", authority.key)
        until(is_open, 5, "key establishment")
        self.assertEqual(len(cookies(establish(authority.context()))), 8)

    def test_the_end_of_a_certificate_is_told(self):
        server = self.server()
        status = server.status()["nts"]
        self.assertTrue(status["certificate"]["loaded"])
        self.assertAlmostEqual(status["certificate"]["expires_in_s"], 730 * 86400, delta=7200)
        self.assertAlmostEqual(server.metric("ntp_nts_certificate_expires_in_seconds"), 730 * 86400, delta=7200)
        self.assertRegex(server.ctl("status")[1], r"nts +up, \d+ handshakes")
        self.assertRegex(server.ctl("status")[1], r"certificate +CN = localhost, until 20")

    def test_every_metric_of_it_stands_in_the_document(self):
        server = self.server()
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/operate/metrics.md")) as file:
            documented = dict(re.findall(r"(?m)^\| `(ntp_nts_(?:ke|certificate)_\w+)(?:\{\w+\})?` \| (\w+) \|", file.read()))
        written = dict(re.findall(r"(?m)^# TYPE (ntp_nts_(?:ke|certificate)_\S+) (\S+)", server.get("/metrics")[1]))
        self.assertEqual(documented, written)

    def test_check_says_what_is_wrong_with_the_files(self):
        authority = Authority(PROGRAM)
        self.addCleanup(authority.__exit__)

        def check(**more):
            done = subprocess.run([PROGRAM, "check"], env=authority.environment(**more), capture_output=True, text=True)
            return done.returncode, done.stdout + done.stderr
        self.assertEqual(check()[0], 0)
        code, text = check(NTP_SERVER_NTS_KEY=os.path.join(authority.folder, "ca.key"))
        self.assertEqual(code, 78)
        self.assertIn("does not belong to the first certificate", text)
        short = os.path.join(authority.folder, "short")
        with open(short, "w") as file:
            file.write("short\n")
        os.chmod(short, 0o600)
        code, text = check(NTP_SERVER_NTS_COOKIE_SECRET_FILE=short)
        self.assertEqual(code, 78)
        self.assertIn("it holds 5 octets", text)

    # ---- the process -------------------------------------------------------------------------------

    def test_a_crash_of_the_process_is_nothing_to_udp_and_little_to_handshakes(self):
        server = self.server()
        for number in (1, 2):
            os.kill(ke_process(server), signal.SIGKILL)
            self.assertIsNotNone(ask())
            begun = time.monotonic()
            self.assertEqual(len(cookies(establish(self.context))), 8)  # it waited in the queue
            self.assertLess(time.monotonic() - begun, 2)
            until(lambda: server.metric("ntp_nts_ke_restarts_total") == number, 3, "counted")
        self.assertEqual(server.metric("ntp_nts_ke_up"), 1)
        self.assertRegex("\n".join(server.lines), "was ended by signal 9; starting it again in 100 ms")

    def test_without_its_keeper_time_is_served_and_the_lack_is_told(self):
        server = self.server()
        process = ke_process(server)
        os.kill(ke_process(server, "ntp-ke-keeper"), signal.SIGKILL)
        until(lambda: not os.path.exists(f"/proc/{process}"), 3, "its process has ended with it")
        server.wait_line("keeper of key establishment is gone; restart the server")
        self.assertIsNotNone(ask())
        self.assertEqual(server.metric("ntp_nts_ke_up"), 0)

    def test_nothing_outlives_the_server(self):
        server = self.server()
        pids = [ke_process(server), ke_process(server, "ntp-ke-keeper")]
        server.process.kill()
        until(lambda: not any(os.path.exists(f"/proc/{pid}") and "Z" not in read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()[0] for pid in pids),
              3, "both have ended")

    def test_it_is_nice_and_has_given_up_what_the_server_gave_up(self):
        server = self.server()
        pid = ke_process(server)
        self.assertEqual(os.getpriority(os.PRIO_PROCESS, pid), 10)
        status = read(f"/proc/{pid}/status")
        self.assertRegex(status, r"(?m)^Uid:\s+65532\s+65532\s+65532\s+65532$")
        self.assertRegex(status, r"(?m)^CapEff:\s+0+$")
        self.assertRegex(status, r"(?m)^NoNewPrivs:\s+1$")
        if not SANITIZED:  # ThreadSanitizer has a thread of its own
            self.assertRegex(status, r"(?m)^Threads:\s+1$")
        links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        self.assertEqual(len([link for link in links if link.startswith("socket:")]), 3 if len(server.status()["listening"]) == 2 else 2)

    def test_it_ends_at_once_when_idle_and_serves_who_is_there_first(self):
        server = self.server()
        code, took = server.stop()
        self.assertEqual(code, 0)
        self.assertLess(took, 1.0)
        server = self.server()
        with connect() as plain, self.context.wrap_socket(plain, server_hostname="127.0.0.1", suppress_ragged_eofs=False) as tls:
            server.process.send_signal(signal.SIGTERM)
            server.wait_line("stopping")
            time.sleep(0.2)
            tls.sendall(REQUEST)
            answer = b""
            while chunk := tls.recv(4096):
                answer += chunk
            self.assertEqual(len(cookies(answer)), 8)
        self.assertEqual(server.stop()[0], 0)
        server = self.server()
        with Idlers(100):
            time.sleep(0.3)
            self.assertLess(server.stop()[1], 3.0)

    def test_a_successor_takes_over_the_port(self):
        first = self.server()
        again = {"NTP_SERVER_HTTP_LISTEN": "127.0.0.1:9560"}
        second = Server(PROGRAM, environment=self.authority.environment(**again))
        self.addCleanup(second.__exit__)
        until(lambda: second.metric("ntp_nts_certificate_loaded", 9560) == 1, 5, "the second is ready")
        self.assertEqual(first.stop()[0], 0)
        self.assertEqual(len(self.handshakes(0.5)) > 0, True)

    # ---- the fleet ---------------------------------------------------------------------------------

    def test_a_client_that_meets_another_server_at_each_request_gets_no_nak(self):
        """One secret, two servers, of which neither knows of the other; the cookies come from a third, which has ended."""
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        os.chmod(scratch.name, 0o755)
        path = os.path.join(scratch.name, "secret")
        with open(path, "w") as file:
            file.write(os.urandom(32).hex())
        os.chmod(path, 0o600)
        os.chown(path, 65532, 65532)
        kernel = FakeKernel(LIBRARY)
        secret = {"NTP_SERVER_NTS_COOKIE_SECRET_FILE": path, "NTP_SERVER_HTTP_LISTEN": "off", **kernel.environment()}
        third = self.server(environment=secret)
        jar = cookies(establish(self.context))
        self.assertEqual(third.stop()[0], 0)
        servers = ("127.0.0.1", "127.0.0.2")
        for number, host in enumerate(servers):
            begin(self, PROGRAM, "--listen", f"{host}:123", environment=self.authority.environment(
                **secret, NTP_SERVER_NTS_LISTEN=f"{host}:4460"))
        key = case_keyed.cookie_key(read(path).encode(), int.from_bytes(jar[0][:4], "big"))
        c2s, s2c = (siv.unseal(key, [jar[0][:4], jar[0][4:20]], jar[0][20:])[at:at + 32] for at in (4, 36))
        for number in range(40):
            start = request() + case_keyed.unique_id(os.urandom(32)) + field(0x0204, jar.pop(0))
            reply = ask(servers[number % 2], payload=start + case_keyed.authenticator(start, c2s))
            self.assertIsNotNone(reply, number)
            self.assertNotEqual((reply.stratum, reply.refid), (0, b"NTSN"), f"a NAK at request {number}")
            before = 48 + 36
            body = reply.octets[before + 4:]
            plain = siv.unseal(s2c, [reply.octets[:before], body[4:20]], body[20:20 + int.from_bytes(body[2:4], "big")])
            self.assertIsNotNone(plain, "sealed for this client")
            jar.append(plain[4:])


if __name__ == "__main__":
    enter_own_network()
    LIBRARY, PROGRAM = sys.argv.pop(), os.path.abspath(sys.argv.pop())
    unittest.main(verbosity=2)
