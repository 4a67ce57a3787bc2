"""Sources that prove themselves: our own servers upstream, by NTS and by symmetric keys."""
import os, re, shutil, signal, socket, struct, subprocess, sys, threading, unittest
from harness import *
from ke_client import Authority

PROGRAM = LIBRARY = None
BELOW, UP = "192.0.2.1", "127.0.7.1"
SERVICE = 65532  # what root becomes
METRICS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "operate", "metrics.md")


class NtsSources(unittest.TestCase):
    def folder(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        os.chmod(folder.name, 0o777)
        return folder.name

    def upstream(self, authority=None, address=UP, state=None, **more):
        """A server that is synchronised as far as its kernel says; with NTS where there is an authority."""
        kernel = FakeKernel(LIBRARY, maxerror_us=1234)
        environment = {**kernel.environment(), **(authority.environment() if authority else {}), **more}
        if authority:
            environment["NTP_SERVER_NTS_LISTEN"] = f"{address}:4460"
        if state:
            environment["NTP_SERVER_CLOCK_STATE_DIRECTORY"] = state
        server = Server(PROGRAM, "--listen", f"{address}:123", "--http", "off", environment=environment)
        self.addCleanup(server.__exit__)
        if authority:  # it listens for that once its process has the certificate and a key
            until(lambda: self.listens(address), 10, "key establishment")
        return server

    @staticmethod
    def listens(address):
        try:
            socket.create_connection((address, 4460), 1).close()
            return True
        except OSError:
            return False

    def downstream(self, fields, address=UP, state="off", top="", threads="1", since=0.0, wait=True, **environment):
        kernel = FakeKernel(LIBRARY, status=STA_UNSYNC, maxerror_us=16_000_000)
        self.addCleanup(lambda kept=kernel: None)  # its file is there until the test is over
        text = (f"[server]\nlisten = ['{BELOW}:123']\n{top}\n[clock]\nstate_directory = '{state}'\n[rate]\nlimit = 0\n"
                f"[[source]]\naddress = '{address}'\nminpoll = -2\nmaxpoll = 0\n{fields}\n")
        self.file = tempfile.NamedTemporaryFile("w", suffix=".toml")
        os.chmod(self.file.name, 0o644)
        self.file.write(text)
        self.file.flush()
        server = Server(PROGRAM, "--config", self.file.name, "--threads", threads,
                        environment={**kernel.environment(), **environment}, wait=wait)
        self.addCleanup(server.__exit__)
        return server

    def authority(self, *hosts):
        authority = Authority(PROGRAM, *(hosts or ("127.0.7.1", "127.0.7.2")))
        self.addCleanup(authority.__exit__)
        return authority

    def synchronised(self, server):
        until_answer(lambda r: r.leap == 0, 15.0, "synchronisation", host=BELOW)
        until(lambda: server.status()["sources"][0]["verdict"] in ("selected", "combined"), 15.0, "the source")

    def never_synchronised(self, server, seconds=3.0):
        """Nor asked at all."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            reply = ask(BELOW)
            self.assertEqual((reply.leap, reply.stratum), (3, 0))
            time.sleep(0.2)
        self.assertEqual(server.status()["sources"][0]["samples"], 0)

    def nts(self, server):
        return server.status()["sources"][0]["nts"]

    def trusting(self, authority):
        return f"nts = true\nnts_ca = '{authority.root}'"

    # ---- NTS ---------------------------------------------------------------------------------------

    def test_it_is_synchronised_by_nts_and_the_cookies_do_not_run_out(self):
        authority = self.authority()
        upstream = self.upstream(authority)
        for threads in ("1", "0"):
            with self.subTest(threads=threads):
                server = self.downstream(self.trusting(authority), threads=threads)
                server.wait_line(r"source 127\.0\.7\.1 has keys \(NTS\): AES-(SIV-CMAC-256|128-GCM-SIV), 8 cookies")
                self.synchronised(server)
                until(lambda: server.status()["sources"][0]["samples"] > 20, 30, "more answers than cookies")
                nts = self.nts(server)
                self.assertTrue(nts["has_keys"])
                self.assertGreaterEqual(nts["cookies"], 7)
                self.assertEqual((nts["establishments"], nts["naks"]), (1, 0))
                self.assertEqual(server.metric('ntp_source_nts_cookies_available{name="127.0.7.1",address="127.0.7.1:123"}'), nts["cookies"])
                written = dict(re.findall(r"(?m)^# TYPE (ntp_(?:source_nts|nts_client)_\w+) (\w+)$", server.get("/metrics")[1]))
                self.assertEqual(dict(re.findall(r"(?m)^\| `(ntp_(?:source_nts|nts_client)_\w+)(?:\{[\w,]+\})?` \| (\w+) \|", read(METRICS))), written)
                server.wait_line(r" info +NTS: sandbox of key establishment with sources files=.* system_calls=filtered")
                self.is_shut_in(self.key_process(server))
                code, text = server.ctl("sources")
                self.assertEqual(code, 0)
                self.assertRegex(text, "NTS")
                self.assertEqual(server.stop()[0], 0)

    @staticmethod
    def key_process(server):
        """The process id of that which establishes keys with the sources."""
        children = lambda pid: [int(child) for child in read(f"/proc/{pid}/task/{pid}/children").split()]
        return next(child for keeper in children(server.process.pid) for child in children(keeper)
                    if read(f"/proc/{child}/comm") == "ntp-ke-client\n")

    def is_shut_in(self, pid):
        standing = dict(line.split(":\t", 1) for line in read(f"/proc/{pid}/status").splitlines())
        self.assertEqual((standing["Seccomp"], standing["NoNewPrivs"]), ("2", "1"))
        for capabilities in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
            self.assertEqual(int(standing[capabilities], 16), 0, capabilities)
        self.assertEqual(os.stat(f"/proc/{pid}/mem").st_uid, 0, "nobody without privilege may dump or trace it")

    def test_there_is_no_way_back_to_plain_time(self):
        authority = self.authority()
        self.upstream()  # without NTS
        server = self.downstream(self.trusting(authority))
        server.wait_line(r"127\.0\.7\.1 .*gives no keys \(NTS\): connect to TCP 127\.0\.7\.1:4460: Connection refused")
        self.never_synchronised(server)
        self.assertEqual(server.status()["sources"][0]["questions"], 0)

    def test_a_wrong_authority_a_wrong_name_and_a_late_certificate_are_refused_with_words(self):
        authority, other = self.authority(), self.authority()
        upstream = self.upstream(authority)
        server = self.downstream(self.trusting(other))
        server.wait_line(r"gives no keys \(NTS\): its certificate is not trusted")
        self.never_synchronised(server, 2)
        self.assertEqual(self.nts(server)["trouble"], "untrusted")
        server.stop()
        # The port of key establishment is at another address, for which there is no certificate.
        wrong = self.authority("127.0.7.77")
        upstream.stop()
        upstream = self.upstream(wrong)
        server = self.downstream(self.trusting(wrong))
        server.wait_line(r"gives no keys \(NTS\): its certificate is not for this name")
        self.never_synchronised(server, 2)
        self.assertEqual(self.nts(server)["trouble"], "wrong_name")

    def expired(self, authority):
        """The certificate as it would be a day after its end: the key signs itself anew by openssl."""
        subprocess.run(["openssl", "x509", "-req", "-in", self.request(authority), "-CA", authority.root, "-CAkey",
                        os.path.join(authority.folder, "ca.key"), "-out", authority.certificate, "-days", "-1",
                        "-extfile", self.names(authority)], check=True, capture_output=True)

    def request(self, authority):
        path = os.path.join(authority.folder, "request.pem")
        subprocess.run(["openssl", "req", "-new", "-key", authority.key, "-subj", "/CN=127.0.7.1", "-out", path], check=True, capture_output=True)
        return path

    def names(self, authority):
        path = os.path.join(authority.folder, "names.cnf")
        with open(path, "w") as file:
            file.write("subjectAltName=IP:127.0.7.1\n")
        return path

    def test_an_expired_certificate_is_refused_unless_the_time_is_not_known_and_that_is_tolerated(self):
        authority = self.authority()
        try:
            self.expired(authority)
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            self.skipTest(f"openssl makes no such certificate: {error}")
        self.upstream(authority)
        server = self.downstream(self.trusting(authority))
        server.wait_line(r"gives no keys \(NTS\): its certificate has expired")
        self.never_synchronised(server, 2)
        server.stop()
        server = self.downstream(self.trusting(authority), NTP_SERVER_NTS_CERTIFICATE_TIMES="synchronised")
        self.synchronised(server)

    def test_a_missing_file_of_roots_is_said_and_taken_once_it_is_there(self):
        authority = self.authority()
        self.upstream(authority)
        path = os.path.join(self.folder(), "roots.pem")
        server = self.downstream(f"nts = true\nnts_ca = '{path}'")
        server.wait_line(r"gives no keys \(NTS\): .*roots\.pem")
        with open(authority.root) as source, open(path, "w") as file:
            file.write(source.read())
        until(lambda: self.nts(server)["has_keys"], 40, "keys")

    def test_a_server_that_is_started_anew_is_followed_on_with_the_cookies_that_there_are(self):
        authority, state = self.authority(), self.folder()
        upstream = self.upstream(authority, state=state)
        server = self.downstream(self.trusting(authority))
        self.synchronised(server)
        upstream.stop()
        self.upstream(authority, state=state)
        before = server.status()["sources"][0]["samples"]
        until(lambda: server.status()["sources"][0]["samples"] > before + 3, 20, "answers again")
        self.assertEqual(self.nts(server)["establishments"], 1)

    def test_a_server_that_has_lost_its_keys_is_asked_for_new_ones(self):
        authority = self.authority()
        upstream = self.upstream(authority)  # its keys live as long as itself
        server = self.downstream(self.trusting(authority))
        self.synchronised(server)
        upstream.stop()
        self.upstream(authority)
        until(lambda: self.nts(server)["naks"] > 0, 20, "a NAK")
        until(lambda: self.nts(server)["establishments"] == 2, 30, "new keys")
        before = server.status()["sources"][0]["samples"]
        until(lambda: server.status()["sources"][0]["samples"] > before + 3, 20, "answers again")

    def test_the_keys_outlive_a_restart_and_kill_9(self):
        authority, state = self.authority(), self.folder()
        self.upstream(authority)
        server = self.downstream(self.trusting(authority), state=state)
        self.synchronised(server)
        for number in (signal.SIGTERM, signal.SIGKILL):
            server.stop(number)
            path = os.path.join(state, "source-cookies")
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
            server = self.downstream(self.trusting(authority), state=state)
            self.synchronised(server)
            nts = self.nts(server)
            self.assertEqual((nts["establishments"], nts["naks"], nts["recalled"]), (0, 0, True), number)
        server.stop()
        with open(path, "r+b") as file:  # spoilt: said, and no harm done
            file.seek(30)
            file.write(b"#")
        server = self.downstream(self.trusting(authority), state=state)
        server.wait_line(r"source-cookies: wrong checksum; keys are established anew")
        self.synchronised(server)

    def test_keys_of_other_roots_are_not_used_after_a_restart(self):
        authority, state = self.authority(), self.folder()
        self.upstream(authority)
        trusted = os.path.join(self.folder(), "ca.crt")
        shutil.copy(authority.root, trusted)
        settings = self.trusting(authority).replace(authority.root, trusted)
        server = self.downstream(settings, state=state)
        self.synchronised(server)
        server.stop()
        shutil.copy(trusted, trusted + ".new")  # the same roots, renewed as a whole
        os.replace(trusted + ".new", trusted)
        server = self.downstream(settings, state=state)
        self.synchronised(server)
        self.assertTrue(self.nts(server)["recalled"])
        server.stop()
        shutil.copy(self.authority().root, trusted)
        server = self.downstream(settings, state=state)
        server.wait_line("the roots of sources have changed; their keys are established anew")
        until(lambda: self.nts(server)["failures"].get("untrusted", 0) > 0, 20, "a refusal")
        self.assertFalse(self.nts(server)["recalled"])

    def test_a_storm_of_forged_naks_costs_neither_the_time_nor_an_establishment(self):
        authority = self.authority()
        self.upstream(authority, address="127.0.7.2")
        # On the way: it answers each question with NAKs before it passes it on.
        relay = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        relay.bind((UP, 123))
        stop, naks = threading.Event(), [0]

        def carry():
            relay.settimeout(0.1)
            while not stop.is_set():
                try:
                    question, client = relay.recvfrom(2000)
                except TimeoutError:
                    continue
                nak = bytearray(48)
                nak[0], nak[12:16], nak[24:32] = 0xe4, b"NTSN", question[40:48]
                for _ in range(50):
                    relay.sendto(bytes(nak) + question[48:84], client)  # with its unique identifier
                    naks[0] += 1
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as beyond:
                    beyond.settimeout(1)
                    beyond.sendto(question, ("127.0.7.2", 123))
                    try:
                        relay.sendto(beyond.recv(2000), client)
                    except TimeoutError:
                        pass
        thread = threading.Thread(target=carry, daemon=True)
        thread.start()
        # Keys by the address of the server itself; its time by that of the one on the way.
        tunnel = self.tunnel((UP, 4460), ("127.0.7.2", 4460))
        try:
            server = self.downstream(self.trusting(authority))
            self.synchronised(server)
            until(lambda: server.status()["sources"][0]["samples"] > 15, 30, "answers")
            nts = self.nts(server)
            self.assertGreater(nts["naks"], 500)
            self.assertEqual(nts["establishments"], 1)
        finally:
            stop.set()
            thread.join()
            relay.close()
            tunnel.shutdown(socket.SHUT_RDWR)  # else the thread in accept() keeps it
            tunnel.close()

    def tunnel(self, here, there):
        """TCP from here to there, octet for octet."""
        listener = socket.create_server(here)

        def pump(a, b):
            try:
                while octets := a.recv(4096):
                    b.sendall(octets)
                b.shutdown(socket.SHUT_WR)
            except OSError:
                pass

        def serve():
            while True:
                try:
                    near, _ = listener.accept()
                except OSError:
                    return
                far = socket.create_connection(there)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()
        threading.Thread(target=serve, daemon=True).start()
        return listener

    def test_the_process_that_establishes_keys_is_started_again_and_ends_with_the_server(self):
        authority = self.authority()
        self.upstream(authority)
        server = self.downstream(self.trusting(authority))
        self.synchronised(server)
        def children(pid):
            return [int(child) for child in read(f"/proc/{pid}/task/{pid}/children").split()]
        keeper = next(pid for pid in children(server.process.pid) if "ntp-ke-keeper" in read(f"/proc/{pid}/comm"))
        process = children(keeper)[0]
        self.assertEqual(read(f"/proc/{process}/comm").strip(), "ntp-ke-client")
        def told():
            process = server.status()["nts_client"]
            return process["up"], process["restarts"], process["sandbox"]["system_calls"]
        until(lambda: told() == (True, 0, True), 5, "told of the process")
        os.kill(process, signal.SIGKILL)
        server.wait_line(r"the process that establishes keys with sources was ended by signal 9; starting it again")
        until(lambda: children(keeper) not in ([], [process]), 5, "another one")
        until(lambda: told() == (True, 1, True), 5, "told of the other")
        self.assertEqual((server.metric("ntp_nts_client_up"), server.metric("ntp_nts_client_restarts_total")), (1, 1))
        code, took = server.stop()
        self.assertEqual(code, 0)
        self.assertLess(took, 2.0)
        self.assertFalse(os.path.exists(f"/proc/{keeper}/exe"))

    def test_a_reload_cannot_bring_nts_where_there_was_none(self):
        authority = self.authority()
        self.upstream(authority)
        server = self.downstream("")
        self.synchronised(server)
        self.file.write(self.trusting(authority) + "\n")
        self.file.flush()
        since = len(server.lines)
        server.process.send_signal(signal.SIGHUP)
        server.wait_line(r"no source had nts at the start", since=since)
        server.wait_line(r"cannot be served without a restart; the old one stays in force", since=since)

    def query(self, *arguments):
        done = subprocess.run([PROGRAM, "query", "--nts", *arguments], capture_output=True, text=True, timeout=30, env={"PATH": os.environ["PATH"]})
        return done.returncode, done.stdout, done.stderr

    def test_query_nts_shows_what_is_negotiated_and_believes_nobody_else(self):
        authority, other = self.authority(), self.authority()
        self.upstream(authority)
        code, out, error = self.query("--ca", authority.root, UP)
        self.assertEqual((code, error), (0, ""))
        self.assertRegex(out, r"127\.0\.7\.1:4460  NTS AES-\S+  TLS_\S+  8 cookies of \d+ octets  certificate CN = 127\.0\.7\.1 .*until 20")
        self.assertRegex(out, r"127\.0\.7\.1:123  stratum 3  offset")
        code, out, _ = self.query("--ca", authority.root, UP, "--json", "--count", "2")
        document = json.loads(out)
        self.assertEqual((code, document["received"], document["nts"]["cookies"]), (0, 2, 8))
        self.assertEqual(document["nts"]["certificate"]["subject"], "CN = 127.0.7.1")
        page = read(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/formats/query.md"))
        told = {f"nts.{key}" for key in document["nts"] if key != "certificate"} | {f"nts.certificate.{key}" for key in document["nts"]["certificate"]}
        self.assertEqual(told, set(re.findall(r"(?m)^\| `(nts\.[^`]+)` \|", page)))
        for arguments, why in ((("--ca", other.root, UP), "its certificate is not trusted"), ((UP,), "its certificate is not trusted|no root certificates"),
                               (("--ca", authority.root, "127.0.7.1:123"), "Connection refused"), (("--ca", "/nowhere", UP), "open /nowhere"),
                               (("--ca", authority.root, "localhost:4460"), "Connection refused")):
            code, out, error = self.query(*arguments)
            self.assertEqual((code, out), (69, ""), arguments)
            self.assertRegex(error, why)

    # ---- symmetric keys ----------------------------------------------------------------------------

    def keys(self, text):
        path = os.path.join(self.folder(), "keys")
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, 0o600)
        if os.geteuid() == 0:
            os.chown(path, SERVICE, SERVICE)
        return path

    def test_a_source_is_believed_by_its_own_key_only(self):
        theirs = self.keys("1 SHA256 ASCII:correct-horse\n2 AES128 HEX:000102030405060708090a0b0c0d0e0f\n")
        upstream = self.upstream(NTP_SERVER_SERVER_KEYS_FILE=theirs)
        for number, ours, good in ((1, "1 SHA256 ASCII:correct-horse\n", True), (2, "2 AES128 HEX:000102030405060708090a0b0c0d0e0f\n", True),
                                   (1, "1 SHA256 ASCII:battery-staple\n", False), (3, "3 SHA256 ASCII:correct-horse\n", False)):
            with self.subTest(number=number, good=good):
                server = self.downstream(f"key = {number}", top=f"keys_file = '{self.keys(ours)}'")
                if good:
                    self.synchronised(server)
                    self.assertEqual(server.status()["sources"][0]["key"], number)
                else:
                    self.never_synchronised(server)
                server.stop()
        self.assertIsNotNone(ask(UP), "plain requests are answered as ever")

    def test_a_key_that_is_not_in_the_file_is_no_start(self):
        server = self.downstream("key = 9", top=f"keys_file = '{self.keys('1 SHA1 ASCII:x1x1')}'", wait=False)
        server.wait_line(r"source 127\.0\.7\.1 has key 9, which .*keys does not have")
        self.assertEqual(server.process.wait(5), 78)


if __name__ == "__main__":
    enter_own_network()
    LIBRARY, PROGRAM = sys.argv.pop(), os.path.abspath(sys.argv.pop())
    unittest.main(verbosity=2)
