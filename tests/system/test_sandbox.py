"""What the running server has shut itself into, that everything goes on working in there, and kernels that have no sandbox."""
import os, pwd, shutil, sys, threading, unittest
from harness import *
from ke_client import Authority

PROGRAM = LIBRARY = DENY = None
STATUS = re.compile(r"^(\w+):\s+(.*)$", re.MULTILINE)
TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "src", "os", "system_calls.cpp")
LOCAL = {"NTP_SERVER_CLOCK_UNSYNCHRONISED": "local"}  # healthy before the sources have answered
OFF = {"NTP_SERVER_SERVER_SANDBOX": "off"}
REQUIRED = {"NTP_SERVER_SERVER_SANDBOX": "required"}


def threads_of(pid):
    """/proc/PID/task/*/status as dictionaries."""
    return [dict(STATUS.findall(read(f"/proc/{pid}/task/{tid}/status"))) for tid in os.listdir(f"/proc/{pid}/task")]


def listed_calls():
    """Name -> letters of the roles, as the table of the program's source has it."""
    return dict(re.findall(r'^    SystemCall\{"(\w+)", ([\w| ]+)', read(TABLE), re.MULTILINE))


class NameServer(threading.Thread):
    """Answers every question of a resolver with one IPv4 address: over UDP that the answer is too long, over TCP the answer."""

    def __init__(self, at, address):
        super().__init__(daemon=True)
        self.address, self.over_tcp = socket.inet_aton(address), 0
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((at, 53))
        self.tcp = socket.create_server((at, 53))
        self.start()
        threading.Thread(target=self.serve_tcp, daemon=True).start()

    def answer(self, question, truncated):
        end = 12 + question[12:].index(b"\0") + 5
        wants_v4 = question[end - 4:end - 2] == b"\0\x01"
        records = b"" if truncated or not wants_v4 else b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04" + self.address
        flags = 0x8180 | (0x0200 if truncated else 0)
        return question[:2] + struct.pack("!HHHHH", flags, 1, 1 if records else 0, 0, 0) + question[12:end] + records

    def run(self):
        while True:
            question, client = self.udp.recvfrom(2048)
            self.udp.sendto(self.answer(question, True), client)

    def serve_tcp(self):
        while True:
            connection, _ = self.tcp.accept()
            threading.Thread(target=self.serve_connection, args=(connection,), daemon=True).start()

    def serve_connection(self, connection):
        with connection:
            try:
                while head := connection.recv(2, socket.MSG_WAITALL):
                    answer = self.answer(connection.recv(struct.unpack("!H", head)[0], socket.MSG_WAITALL), False)
                    connection.sendall(struct.pack("!H", len(answer)) + answer)
                    self.over_tcp += 1
            except OSError:
                pass


class Sandbox(unittest.TestCase):
    def server(self, *arguments, **named):
        return begin(self, PROGRAM, *arguments, **named)

    def folder(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        os.chmod(directory.name, 0o755)
        return directory.name

    def everything_works(self, server):
        self.assertIsNotNone(ask())
        self.assertEqual(server.get("/healthz")[0], 200)
        self.assertIn("ntp_server_workers", server.get("/metrics")[1])
        self.assertEqual(server.healthcheck()[0], 0)
        self.assertEqual(server.ctl("status")[0], 0)
        done = subprocess.run([PROGRAM, "query", "127.0.0.1"], env=server.environment, capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 0, done.stderr)

    @not_sanitized
    def test_every_thread_is_filtered_and_has_no_privilege(self):
        for threads, source in (("2", ()), ("0", ()), ("2", ("--source", "127.0.8.2"))):
            server = self.server("--threads", threads, *source, environment=LOCAL)
            self.everything_works(server)
            standing = threads_of(server.process.pid)
            self.assertEqual(len(standing), 1 if threads == "0" else 6)
            filters = sorted(int(thread["Seccomp_filters"]) for thread in standing)
            self.assertEqual(filters, [1] if threads == "0" else [1, 2, 2, 2, 2, 2], "the main thread has one, the others their own too")
            for thread in standing:
                self.assertEqual((thread["Seccomp"], thread["NoNewPrivs"]), ("2", "1"))
                for name in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
                    self.assertEqual(int(thread[name], 16), 0, name)
            self.assertEqual(os.stat(f"/proc/{server.process.pid}/mem").st_uid, 0, "nobody without privilege may dump or trace it")
            view = server.status()["sandbox"]
            self.assertEqual((view["system_calls"], view["refused_calls"], view["unconfined_threads"]), (True, 0, 0))
            self.assertEqual(server.metric('ntp_server_sandbox{part="system_calls"}'), 1)
            server.wait_line(r"sandbox files=.* system_calls=filtered")
            server.stop()

    @not_sanitized
    def test_only_the_thread_that_leads_the_clock_may_set_it(self):
        kernel = FakeKernel(LIBRARY, settable=1)
        server = self.server("--source", "127.0.8.2", environment={**kernel.environment(), "NTP_SERVER_CLOCK_STEER": "system"})
        capable = until(lambda: [c for c in ([int(t["CapEff"], 16) for t in threads_of(server.process.pid)],) if sorted(c)[-2] == 0], what="the rest given up")[0]
        self.assertEqual(sorted(capable)[-1], 1 << 25, "CAP_SYS_TIME")
        self.assertEqual({t["Seccomp"] for t in threads_of(server.process.pid)}, {"2"})

    @not_sanitized
    def test_another_user_of_the_same_uid_cannot_read_its_memory(self):
        server = self.server()
        done = subprocess.run(["setpriv", "--reuid=65532", "--regid=65532", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all",
                               "cat", f"/proc/{server.process.pid}/environ"], capture_output=True)
        self.assertNotEqual(done.returncode, 0)

    def test_a_reload_reads_what_others_have_renamed_into_place(self):
        folder = self.folder()
        kernel = FakeKernel(LIBRARY)
        # As Kubernetes mounts it: the name is a link to a link to a directory, which is exchanged as a whole.
        for version, stratum in (("v1", 4), ("v2", 5)):
            os.mkdir(os.path.join(folder, version))
            with open(os.path.join(folder, version, "ntp.toml"), "w") as file:
                file.write(f"[server]\nlisten = ['127.0.0.1:1123']\nstratum = {stratum}\n")
        os.symlink("v1", os.path.join(folder, "data"))
        path = os.path.join(folder, "ntp.toml")
        os.symlink("data/ntp.toml", path)
        server = self.server("--config", path, environment=kernel.environment())
        until_answer(lambda r: r.stratum == 4, what="stratum 4", port=1123)
        os.symlink("v2", os.path.join(folder, "new"))
        os.rename(os.path.join(folder, "new"), os.path.join(folder, "data"))
        server.process.send_signal(signal.SIGHUP)
        until_answer(lambda r: r.stratum == 5, what="stratum 5", port=1123)
        with open(os.path.join(folder, "draft"), "w") as file:
            file.write("[server]\nlisten = ['127.0.0.1:1123']\nstratum = 6\n")
        os.rename(os.path.join(folder, "draft"), path)
        os.mkdir(os.path.join(folder, "conf.d"))
        with open(os.path.join(folder, "conf.d", "listen.toml"), "w") as file:
            file.write("[server]\nlisten = ['127.0.0.1:1123', '127.0.0.2:1123']\n[http]\nlisten = '127.0.0.1:9999'\n")
        server.process.send_signal(signal.SIGHUP)
        until_answer(lambda r: r.stratum == 6, what="stratum 6", port=1123)
        until_answer(lambda r: r.stratum == 6, what="a new listener", host="127.0.0.2", port=1123)
        server.wait_line("HTTP address=127.0.0.1:9999")
        self.assertEqual(server.get("/healthz", port=9999)[0], 200)
        self.assertEqual(server.healthcheck()[0], 0)

    @not_sanitized
    def test_a_link_that_leads_elsewhere_is_followed_there(self):
        folder, elsewhere = self.folder(), self.folder()
        with open(os.path.join(elsewhere, "real.toml"), "w") as file:
            file.write("[server]\nlisten = ['127.0.0.1:123']\nlocal_stratum = 11\n")
        path = os.path.join(folder, "ntp.toml")
        os.symlink(os.path.join(elsewhere, "real.toml"), path)
        server = self.server("--config", path)
        server.process.send_signal(signal.SIGHUP)
        server.wait_line("configuration reloaded")
        self.assertEqual(ask().stratum, 11)

    @not_sanitized
    def test_a_file_of_access_rules_is_read_again_wherever_it_is(self):
        folder, elsewhere = self.folder(), self.folder()
        path, rules = os.path.join(folder, "ntp.toml"), os.path.join(elsewhere, "rules")
        with open(rules, "w") as file:
            file.write("allow 127.0.0.0/8\n")
        with open(path, "w") as file:
            file.write(f"[access]\nrules = '{rules}'\n")
        server = self.server("--config", path)
        self.assertIsNotNone(ask())
        with open(rules + ".new", "w") as file:
            file.write("deny 127.0.0.0/8\n")
        os.rename(rules + ".new", rules)
        server.process.send_signal(signal.SIGHUP)
        server.wait_line("configuration reloaded")
        self.assertIsNone(ask(timeout=0.3))

    @not_sanitized
    def test_a_reload_that_needs_files_out_of_reach_is_refused(self):
        folder, elsewhere = self.folder(), self.folder()
        shutil.chown(elsewhere, 65532)
        with open(os.path.join(elsewhere, "keys"), "w") as file:
            file.write("1 SHA1 HEX:000102030405060708090a0b0c0d0e0f\n")
        os.chmod(file.name, 0o600)
        shutil.chown(file.name, 65532)
        path = os.path.join(folder, "ntp.toml")
        for text, named in ((f"[health]\nsocket = '{elsewhere}/health.sock'\n", f"{elsewhere}/health.sock"),
                            ("[clock]\nleap_seconds = '/var/lib/dpkg/leap-seconds.list'\n", "/var/lib/dpkg/leap-seconds.list"),
                            (f"[server]\nkeys_file = '{elsewhere}/keys'\n", f"{elsewhere}/keys")):
            with open(path, "w") as file:
                file.write("")
            server = self.server("--config", path, environment={"NTP_SERVER_HEALTH_SOCKET": None if "health" in text else ""})
            if server.status()["sandbox"]["landlock"] == 0:
                self.skipTest("no Landlock here")
            with open(path, "w") as file:
                file.write(text)
            server.process.send_signal(signal.SIGHUP)
            server.wait_line(f"the sandbox has no access to {re.escape(named)}")
            server.wait_line("cannot be served without a restart; the old one stays in force")
            self.assertIsNotNone(ask())
            server.stop()

    @not_sanitized
    def test_a_key_file_whose_link_leads_out_of_reach_says_so_and_the_keys_stay(self):
        folder, elsewhere = self.folder(), self.folder()
        for name in (f"{folder}/keys", f"{elsewhere}/keys", f"{folder}/secret", f"{elsewhere}/secret"):
            with open(name, "w") as file:
                file.write("1 SHA1 HEX:000102030405060708090a0b0c0d0e0f1011\n")
            os.chmod(name, 0o600)
            shutil.chown(name, 65532)
        authority = Authority(PROGRAM)
        self.addCleanup(authority.__exit__)
        server = self.server(environment=authority.environment(NTP_SERVER_SERVER_KEYS_FILE=f"{folder}/keys", NTP_SERVER_NTS_COOKIE_SECRET_FILE=f"{folder}/secret"))
        if server.status()["sandbox"]["landlock"] == 0:
            self.skipTest("no Landlock here")
        for name in ("keys", "secret"):
            os.symlink(f"{elsewhere}/{name}", f"{folder}/link")
            os.rename(f"{folder}/link", f"{folder}/{name}")
        server.wait_line("secret: Permission denied; its mode lets us, but the sandbox has no access to where it lies: a restart is needed; "
                         "the secret from before stays in force")
        server.process.send_signal(signal.SIGHUP)
        server.wait_line("the new configuration cannot be served")
        self.assertIsNotNone(ask())

    def test_names_are_looked_up_inside_over_tcp_too(self):
        folder = self.folder()
        name_server = NameServer("127.0.9.53", "192.0.2.77")
        for name, text in (("resolv.conf", "nameserver 127.0.9.53\noptions timeout:5 attempts:2\n"), ("nsswitch.conf", "hosts: files dns\n")):
            with open(os.path.join(folder, name), "w") as file:
                file.write(text)
        script = f"mount --bind {folder}/resolv.conf /etc/resolv.conf && mount --bind {folder}/nsswitch.conf /etc/nsswitch.conf && exec \"$@\""
        for threads in ("1", "0"):
            before = name_server.over_tcp
            server = self.server("--threads", threads, "--source", "ntp.example.test", prefix=("unshare", "--mount", "sh", "-c", script, "sh"))
            until(lambda: any(s["address"] == "192.0.2.77:123" for s in server.status()["sources"]), 30.0, "the address of the name")
            self.assertGreater(name_server.over_tcp, before)
            server.stop()

    def test_the_state_file_is_written_inside(self):
        folder = self.folder()
        shutil.chown(folder, 65532)
        upstream = FakeKernel(LIBRARY)
        up = self.server("--listen", "127.0.8.2:123", "--http", "off", environment=upstream.environment())
        server = self.server("--listen", "127.0.0.1:123", "--source", "127.0.8.2", environment={"NTP_SERVER_CLOCK_STATE_DIRECTORY": folder})
        until_answer(lambda r: r.stratum == 4, 15.0, "synchronised")
        until(lambda: server.status()["sources"][0]["samples"] >= 4, 15.0, "samples")
        server.stop()
        self.assertEqual(os.listdir(folder), ["clock"], "\n".join(server.lines))
        up.stop()

    def test_off_is_said(self):
        server = self.server(environment=OFF)
        server.wait_line("server.sandbox is off")
        self.assertEqual({thread["Seccomp"] for thread in threads_of(server.process.pid)}, {"0"})
        self.assertEqual(server.status()["sandbox"], dict(landlock=0, system_calls=False, memory=False, refused_calls=0, unconfined_threads=0))

    def test_a_kernel_without_a_part_of_it_is_told_of_and_served_on(self):
        for call, error, part in (("landlock_create_ruleset", "ENOSYS", "files"), ("landlock_create_ruleset", "EOPNOTSUPP", "files"),
                                  ("landlock_restrict_self", "EPERM", "files"), ("landlock_add_rule", "EINVAL", "files"),
                                  ("seccomp", "ENOSYS", "system_calls"), ("seccomp", "EPERM", "system_calls"), ("seccomp", "EINVAL", "system_calls"),
                                  ("memfd_create", "ENOSYS", "system_calls")):
            for threads in ("2", "0"):
                with self.subTest(call=call, error=error, threads=threads):
                    server = self.server("--threads", threads, prefix=(DENY, error, call))
                    said = server.wait_line("the sandbox is not complete: ")
                    self.assertIn("files and ports" if part == "files" else "system calls", said)
                    self.everything_works(server)
                    self.assertEqual(server.metric(f'ntp_server_sandbox{{part="{part}"}}'), 0)
                    server.stop()

    def test_a_kernel_that_says_yes_and_does_nothing_is_found_out(self):
        first = self.server("--listen", "127.0.0.1:1123")
        has_landlock = first.status()["sandbox"]["landlock"] > 0 and not SANITIZED  # all files may be reached in such a build
        first.stop()
        for call, part, said in (("seccomp", "system_calls", "system calls: the kernel took the filter, and does not run it"),
                                 ("landlock_restrict_self", "files", "files and ports: the kernel took the rules, and does not keep to them"),
                                 ("capset", None, "privileges: the kernel did not take all capabilities away")):
            if part == "files" and not has_landlock:
                continue
            # Who stays root keeps what capset(2) does not take.
            more = {"NTP_SERVER_SERVER_USER": "0:0"} if call == "capset" else {}
            with self.subTest(call=call):
                server = self.server("--threads", "2", environment=more, prefix=(DENY, "OK", call))
                server.wait_line(f"the sandbox is not complete: .*{re.escape(said)}")
                self.everything_works(server)
                if part:
                    self.assertEqual(server.metric(f'ntp_server_sandbox{{part="{part}"}}'), 0)
                server.stop()
                with Server(PROGRAM, environment={**REQUIRED, **more}, prefix=(DENY, "OK", call), wait=False) as server:
                    self.assertEqual(server.process.wait(5), 77)
                    server.reader.join(2)
                    self.assertRegex("\n".join(server.lines), f'server.sandbox is "required", and the kernel does not let us: .*{re.escape(said)}')

    @not_sanitized
    def test_its_own_trial_is_made_and_is_no_refusal(self):
        trace = os.path.join(self.folder(), "trace")
        server = self.server("--threads", "2", "--source", "127.0.8.2", environment=LOCAL, prefix=("strace", "-f", "-qq", "-o", trace))
        served = int(subprocess.run(["pgrep", "-P", str(server.process.pid)], capture_output=True, text=True).stdout.split()[0])
        self.addCleanup(lambda: os.path.exists(f"/proc/{served}") and os.kill(served, signal.SIGKILL))
        self.everything_works(server)
        self.assertEqual(server.status()["sandbox"]["refused_calls"], 0)
        self.assertFalse([line for line in server.lines if "refused" in line])
        os.kill(served, signal.SIGTERM)
        server.process.wait(10)
        text = read(trace)
        asked = dict(re.findall(r"(?m)^(\d+) +(?:getsid\(0|<\.\.\. getsid resumed>)\) += -1 \(errno (\d+)\)", text))
        self.assertEqual(len(asked), 6, "every thread asks whose filter it is under")
        self.assertEqual(sorted(asked.values()), ["256", "257"] + ["259"] * 4, "service, timekeeper and workers have answers of their own")
        self.assertEqual(len(re.findall(r"SIGSYS.*si_syscall=__NR_getpgid", text)), 1)

    def test_systemds_unit_lets_the_program_shut_itself_in(self):
        unit = read(os.path.join(os.path.dirname(TABLE), "..", "..", "packaging", "systemd", "ntp-server.service"))
        named = set(" ".join(re.findall(r"^SystemCallFilter=([^~@].*)$", unit, re.MULTILINE)).split())
        self.assertLessEqual({"seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "memfd_create"}, named,
                             "@system-service has not all of them in every version of systemd")

    def test_what_is_required_and_missing_refuses_the_start(self):
        for call in ("landlock_create_ruleset", "seccomp"):
            with Server(PROGRAM, environment=REQUIRED, prefix=(DENY, "ENOSYS", call), wait=False) as server:
                self.assertEqual(server.process.wait(5), 77)
                server.reader.join(2)
                self.assertRegex("\n".join(server.lines), 'server.sandbox is "required", and the kernel does not let us: (files and ports|system calls): .*')
        if self.server("--listen", "127.0.0.1:1123").status()["sandbox"]["landlock"] == 0:
            self.skipTest("no Landlock here")
        server = self.server("--http", "127.0.0.1:9560", environment=REQUIRED)
        self.assertIsNotNone(ask())

    @not_sanitized
    def test_no_call_that_a_kernel_refuses_ends_in_anything_but_service_or_a_reason(self):
        # Those without which no program starts at all are left out.
        for call in ("adjtimex", "clock_adjtime", "membarrier", "getrandom", "sched_getaffinity", "capset", "prctl", "setgroups", "setuid", "setsockopt",
                     "recvmmsg", "sendmmsg", "getsockname", "eventfd2", "readlink", "getdents64", "umask", "setfsuid", "madvise"):
            for error in ("ENOSYS", "EPERM"):
                with self.subTest(call=call, error=error):
                    server = Server(PROGRAM, "--threads", "1", prefix=(DENY, error, call), wait=False)
                    self.addCleanup(server.__exit__)
                    until(lambda: server.process.poll() is not None or any("ready" in line for line in server.lines), what="ready, or an end")
                    if server.process.poll() is None:
                        code, _ = server.stop()
                        self.assertEqual(code, 0)
                    else:
                        server.reader.join(2)
                        self.assertIn(server.process.returncode, (69, 71, 77), "\n".join(server.lines))
                        self.assertIn("error", "\n".join(server.lines))

    @not_sanitized
    def test_the_calls_of_a_whole_run_are_those_of_the_list(self):
        folder = self.folder()
        listed, used = listed_calls(), set()
        self.assertGreater(len(listed), 50, "the table is read")
        for threads in ("2", "0"):
            trace, path = os.path.join(folder, f"trace{threads}"), os.path.join(folder, "ntp.toml")
            with open(path, "w") as file:
                file.write("[server]\nlisten = ['127.0.0.1:123']\n")
            server = self.server("--threads", threads, "--config", path, "--source", "localhost", environment=LOCAL,
                                 prefix=("strace", "-f", "-qq", "-e", "signal=none", "-o", trace))
            served = int(subprocess.run(["pgrep", "-P", str(server.process.pid)], capture_output=True, text=True).stdout.split()[0])
            self.addCleanup(lambda pid=served: os.path.exists(f"/proc/{pid}") and os.kill(pid, signal.SIGKILL))  # strace's end is not its
            self.everything_works(server)
            with open(path, "w") as file:
                file.write("[server]\nlisten = ['127.0.0.1:1123', '127.0.0.1:123']\n[http]\nlisten = '127.0.0.1:9999'\n")
            os.kill(served, signal.SIGHUP)
            server.wait_line("configuration reloaded")
            os.kill(served, signal.SIGTERM)
            server.process.wait(10)
            confined = False
            for line in read(trace).splitlines():
                call = re.match(r"\d+ +(?:<\.\.\. )?(\w+)(?:\(| resumed)", line)
                if confined and call:
                    used.add(call[1])
                confined = confined or re.search(r"seccomp\(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, \{len=", line) is not None
            self.assertTrue(confined)
        self.assertGreater(len(used), 30)
        self.assertEqual(used - set(listed), {"getsid", "getpgid"}, "used, not on the list: those of the self-test alone")
        worker = [name for name, roles in listed.items() if "W" in roles.split(" | ") or roles == "kWorkerAlone"]
        print(f"\n{len(listed)} calls on the list, {len(worker)} of a worker; {len(used)} used in this run; not met: {' '.join(sorted(set(listed) - used))}", flush=True)


if __name__ == "__main__":
    enter_own_network()
    DENY, LIBRARY, PROGRAM = os.path.abspath(sys.argv.pop()), sys.argv.pop(), os.path.abspath(sys.argv.pop())
    unittest.main(verbosity=2)
