"""What the process of key establishment and its keeper have shut themselves into, and that everything goes on working in there."""
import platform, ssl, sys
from harness import *
from ke_client import *
from tracing import Injected

PROGRAM = LIBRARY = DENY = None
STATUS = re.compile(r"^(\w+):\s+(.*)$", re.MULTILINE)
TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "src", "os", "system_calls.cpp")
REFUSED = re.compile("the sandbox refused one of its system calls")


def status_of(pid):
    return dict(STATUS.findall(read(f"/proc/{pid}/status")))


def calls_of(*letters):
    """The names on the list of a role, by the letters that stand for it."""
    rows = re.findall(r'^    SystemCall\{"(\w+)", ([\w| ]+)', read(TABLE), re.MULTILINE)
    return {name for name, roles in rows if set(roles.split(" | ")) & set(letters)}


class KeySandbox(unittest.TestCase):
    def server(self, *arguments, environment=None, authority=None, **named):
        self.authority = authority or Authority(PROGRAM)
        self.addCleanup(self.authority.__exit__)
        server = begin(self, PROGRAM, *arguments, environment=self.authority.environment(**(environment or {})), **named)
        self.context = self.authority.context()
        until(is_open, 10, "key establishment")
        return server

    def shakes_hands(self):
        self.assertEqual(len(cookies(establish(self.context))), 8)

    def folder(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        os.chmod(directory.name, 0o755)
        return directory.name

    @staticmethod
    def served(server):
        """The certificate that is shown, in PEM."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["ntske/1"])
        with connect() as plain, context.wrap_socket(plain) as tls:
            return ssl.DER_cert_to_PEM_cert(tls.getpeercert(True)).replace("\n", "")

    def shown_is(self, path):
        return self.served(None) in read(path).replace("\n", "")

    @not_sanitized
    def test_both_processes_are_filtered_and_have_no_privilege(self):
        for threads in ("auto", "0"):
            server = self.server("--threads", threads)
            self.shakes_hands()
            for name, filters in (("ntp-ke-keeper", 1), ("ntp-ke", 2)):
                pid = ke_process(server, name)
                standing = status_of(pid)
                self.assertEqual((standing["Name"], standing["Seccomp"], standing["Seccomp_filters"], standing["NoNewPrivs"]), (name, "2", str(filters), "1"))
                for capabilities in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
                    self.assertEqual(int(standing[capabilities], 16), 0, capabilities)
                self.assertEqual(os.stat(f"/proc/{pid}/mem").st_uid, 0, "nobody without privilege may dump or trace it")
                self.assertRegex(read(f"/proc/{pid}/limits"), r"Max core file size +0 ")
            view = server.status()["nts"]["sandbox"]
            self.assertEqual(view["system_calls"], True)
            self.assertEqual((view["landlock"], view["memory"]), (server.status()["sandbox"]["landlock"], server.status()["sandbox"]["memory"]),
                             "what the kernel has, both have")
            self.assertEqual(server.metric('ntp_nts_ke_sandbox{part="system_calls"}'), 1)
            server.wait_line(r"NTS: sandbox of key establishment files=.* system_calls=filtered")
            server.stop()

    def test_renewal_by_renaming_and_by_exchanging_links_is_seen_inside(self):
        authority = Authority(PROGRAM)
        folder = self.folder()
        os.chown(folder, 65532, 65532)
        # As certbot and Kubernetes do it: names are links, and a directory of versions is exchanged as a whole.
        for version in ("v1", "v2"):
            os.mkdir(os.path.join(folder, version))
            authority.issue()
            for source, name in ((authority.certificate, "tls.crt"), (authority.key, "tls.key")):
                path = os.path.join(folder, version, name)
                with open(path, "w") as file:
                    file.write(read(source))
                os.chmod(path, 0o600)
                os.chown(path, 65532, 65532)
        os.symlink("v1", os.path.join(folder, "data"))
        for name in ("tls.crt", "tls.key"):
            os.symlink(f"data/{name}", os.path.join(folder, name))
        certificate, key = (os.path.join(folder, name) for name in ("tls.crt", "tls.key"))
        server = self.server(authority=authority, environment={"NTP_SERVER_NTS_CERTIFICATE": certificate, "NTP_SERVER_NTS_KEY": key})
        until(lambda: self.shown_is(os.path.join(folder, "v1/tls.crt")), 5, "the first version")
        os.symlink("v2", os.path.join(folder, "next"))
        os.rename(os.path.join(folder, "next"), os.path.join(folder, "data"))
        until(lambda: self.shown_is(os.path.join(folder, "v2/tls.crt")), 5, "the version of the exchanged link")
        authority.issue()
        for source, path in ((authority.key, key), (authority.certificate, certificate)):
            with open(path + ".new", "w") as file:
                file.write(read(source))
            os.chmod(path + ".new", 0o600)
            os.chown(path + ".new", 65532, 65532)
            os.rename(path + ".new", path)
        until(lambda: self.shown_is(certificate), 5, "the renamed one")
        self.assertEqual(server.metric("ntp_nts_ke_restarts_total"), 0)
        self.assertFalse([line for line in server.lines if REFUSED.search(line)])

    @not_sanitized
    def test_files_elsewhere_are_out_of_reach_and_it_says_so(self):
        server = self.server()
        if server.status()["nts"]["sandbox"]["landlock"] == 0:
            self.skipTest("no Landlock here")
        elsewhere = self.folder()
        path = os.path.join(elsewhere, "server.crt")
        with open(path, "w") as file:
            file.write(read(self.authority.certificate))
        os.chmod(path, 0o644)
        os.unlink(self.authority.certificate)
        os.symlink(path, self.authority.certificate)
        server.wait_line("server.crt: Permission denied; its mode lets us, but the sandbox has no access to where it lies: a restart is needed; "
                         "the certificate from before stays in force")
        self.shakes_hands()
        self.assertEqual(server.metric("ntp_nts_ke_restarts_total"), 0)

    def test_a_secret_beside_the_certificate_is_warned_of(self):
        authority = Authority(PROGRAM)
        for folder, exposed in ((os.path.dirname(authority.certificate), True), (self.folder(), False)):
            path = os.path.join(folder, "cookie-secret")
            with open(path, "w") as file:
                file.write(os.urandom(32).hex())
            os.chmod(path, 0o600)
            os.chown(path, 65532, 65532)
            server = self.server(authority=authority, environment={"NTP_SERVER_NTS_COOKIE_SECRET_FILE": path})
            self.assertEqual(len([line for line in server.lines if f"{path} lies where the certificate or its key does" in line]), exposed)
            self.assertEqual(server.stop()[0], 0)

    @unittest.skipUnless(platform.machine() == "x86_64", "the test knows the registers of x86-64")
    @not_sanitized
    def test_a_call_that_is_not_on_the_list_ends_it_and_the_keeper_starts_it_again(self):
        server = begin(self, PROGRAM, environment=self.start_with_authority())
        server.refusals_are_expected = True
        until(is_open, 10, "key establishment")
        for number, (name, call) in enumerate((("socket", 41), ("execve", 59), ("clone", 56), ("connect", 42), ("ptrace", 101)), 1):
            with self.subTest(call=name):
                process = ke_process(server)
                Injected(process).make(call)
                until(lambda: not os.path.exists(f"/proc/{process}"), 3, "its end")
                self.assertIsNotNone(ask())
                until(lambda: server.metric("ntp_nts_ke_restarts_total") == number, 15, "a new one")
                self.shakes_hands()
        self.assertEqual(len([line for line in server.lines if REFUSED.search(line)]), 5)
        pid = ke_process(server)
        Injected(pid).make(202)  # futex, which is on the list and fails here: it is the call that ends it, not the tracing
        time.sleep(0.3)
        self.assertEqual(ke_process(server), pid)
        self.shakes_hands()

    def start_with_authority(self, **more):
        self.authority = Authority(PROGRAM)
        self.addCleanup(self.authority.__exit__)
        self.context = self.authority.context()
        return self.authority.environment(**more)

    def test_after_a_crash_the_new_process_is_in_the_same_sandbox(self):
        server = self.server()
        before = server.status()["nts"]["sandbox"]
        os.kill(ke_process(server), signal.SIGKILL)
        until(lambda: server.metric("ntp_nts_ke_restarts_total") == 1, 5, "a new one")
        self.shakes_hands()
        self.assertEqual(server.status()["nts"]["sandbox"], before)
        if not SANITIZED:
            self.assertEqual(status_of(ke_process(server))["Seccomp_filters"], "2")

    def test_off_is_off_for_both(self):
        server = self.server(environment={"NTP_SERVER_SERVER_SANDBOX": "off"})
        self.shakes_hands()
        for name in ("ntp-ke-keeper", "ntp-ke"):
            self.assertEqual(status_of(ke_process(server, name))["Seccomp"], "0")
        self.assertEqual(server.status()["nts"]["sandbox"], dict(landlock=0, system_calls=False, memory=False))
        self.assertEqual(os.stat(f"/proc/{ke_process(server)}/mem").st_uid, 0, "keys are dumped in no case")

    def test_a_kernel_without_a_part_of_it_is_told_of_and_served_on(self):
        for call, error, part in (("landlock_create_ruleset", "ENOSYS", "files"), ("landlock_restrict_self", "EPERM", "files"),
                                  ("landlock_add_rule", "EINVAL", "files"), ("seccomp", "ENOSYS", "system_calls"),
                                  ("seccomp", "EINVAL", "system_calls"), ("memfd_create", "ENOSYS", "system_calls"),
                                  ("landlock_restrict_self", "OK", "files"), ("seccomp", "OK", "system_calls")):
            if SANITIZED and (call, error) == ("landlock_restrict_self", "OK"):
                continue  # all files may be reached in such a build
            with self.subTest(call=call, error=error):
                server = self.server(prefix=(DENY, error, call))
                said = server.wait_line("NTS: the sandbox of key establishment is not complete: ")
                self.assertIn("files and ports" if part == "files" else "system calls", said)
                self.assertEqual("the kernel took the" in said, error == "OK", said)
                self.shakes_hands()
                self.assertEqual(server.metric(f'ntp_nts_ke_sandbox{{part="{part}"}}'), 0)
                self.assertEqual(server.stop()[0], 0)

    def test_what_is_required_is_there_or_nothing_starts(self):
        for call in ("landlock_create_ruleset", "seccomp"):
            environment = self.start_with_authority(NTP_SERVER_SERVER_SANDBOX="required")
            with Server(PROGRAM, environment=environment, prefix=(DENY, "ENOSYS", call), wait=False) as server:
                self.assertEqual(server.process.wait(5), 77)
        server = begin(self, PROGRAM, environment=self.start_with_authority(NTP_SERVER_SERVER_SANDBOX="required"), wait=False)
        until(lambda: any("ready" in line for line in server.lines) or server.process.poll() is not None, 5, "ready, or an end")
        if server.process.poll() is not None:
            self.skipTest("no Landlock here")
        until(is_open, 10, "key establishment")
        self.shakes_hands()

    @not_sanitized
    def test_the_calls_of_a_whole_life_are_those_of_the_list(self):
        trace = os.path.join(self.folder(), "trace")
        with open(trace, "w") as out:
            server = self.server("--threads", "1", environment={"NTP_SERVER_SERVER_SANDBOX": "auto"})
            pid = ke_process(server)
            tracer = subprocess.Popen(["strace", "-f", "-qq", "-e", "signal=none", "-o", trace, "-p", str(pid)], stderr=subprocess.DEVNULL)
            self.addCleanup(tracer.kill)
            until(lambda: status_of(pid)["TracerPid"] != "0", 5, "the tracer")
            self.shakes_hands()
            for _ in range(2):
                self.authority.issue()
                since = len(server.lines)
                server.process.send_signal(signal.SIGHUP)
                server.wait_line("certificate loaded", since=since)
                self.shakes_hands()
            with Idlers(100):
                time.sleep(0.3)
                self.shakes_hands()
            with connect() as s:
                s.sendall(b"GET / HTTP/1.1\r\n\r\n")
                s.recv(100)
            self.assertEqual(server.stop()[0], 0)
        tracer.wait(5)
        used = set(re.findall(r"^\d+ +(?:<\.\.\. )?(\w+)(?:\(| resumed)", read(trace), re.MULTILINE))
        listed = calls_of("K", "KS", "kKeAlone", "kServerAlone")
        self.assertGreater(len(used), 12)
        self.assertEqual(used - listed, set(), "used, not on the list")
        print(f"\n{len(listed)} calls of key establishment, {len(calls_of('P', 'K', 'KS', 'kKeeperAlone'))} of its keeper; {len(used)} used in this run; "
              f"not met: {' '.join(sorted(listed - used))}", flush=True)


if __name__ == "__main__":
    enter_own_network()
    DENY, LIBRARY, PROGRAM = os.path.abspath(sys.argv.pop()), sys.argv.pop(), os.path.abspath(sys.argv.pop())
    unittest.main(verbosity=2)
