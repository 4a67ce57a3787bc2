"""Access lists: who is met with silence, per listener, from a file, over reloads under load."""
import os, signal, socket, sys, tempfile, threading, unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import SANITIZED, Server, ask, enter_own_network, read, request


class Access(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        os.chmod(self.folder.name, 0o755)
        self.path, self.rules = (os.path.join(self.folder.name, name) for name in ("ntp.toml", "rules"))

    def write(self, access, listen='["0.0.0.0:123", "[::]:123"]', rules=None):
        if rules is not None:
            with open(self.rules, "w") as file:
                file.write(rules)
            access += f'\nrules = "{self.rules}"'
        with open(self.path, "w") as file:
            file.write(f"[server]\nlisten = {listen}\n[rate]\nlimit = 0\n[access]\n{access}\n")

    def server(self, *arguments):
        server = Server(PROGRAM, "--config", self.path, *arguments)
        self.addCleanup(server.__exit__)
        return server

    def reload(self, server, word="configuration reloaded"):
        since = len(server.lines)
        server.process.send_signal(signal.SIGHUP)
        server.wait_line(word, since=since)

    def denied(self, server):
        return server.status()["packets"]["dropped"]["denied"]

    def test_denied_clients_meet_silence_and_are_counted(self):
        self.write('deny = ["127.0.0.2", "2001:db8::/64"]\nallow = ["2001:db8::2"]\nunlisted = "allow"')
        for threads in ("auto", "0"):
            with self.subTest(threads=threads):
                server = self.server("--threads", threads)
                self.assertIsNotNone(ask(source="127.0.0.1"))
                self.assertIsNone(ask(source="127.0.0.2", timeout=0.3))
                self.assertIsNotNone(ask("2001:db8::1", source="2001:db8::2"))
                self.assertIsNone(ask("2001:db8::1", source="2001:db8::1", timeout=0.3))
                self.assertEqual(self.denied(server), 2)
                self.assertEqual(server.metric('ntp_server_dropped_packets_total{reason="denied"}'), 2)
                server.stop()

    def test_who_is_denied_is_judged_after_the_gate(self):
        self.write('deny = ["127.0.0.2"]')
        server = self.server()
        self.assertIsNone(ask(source="127.0.0.2", payload=request(mode=4), timeout=0.3))
        self.assertEqual((self.denied(server), server.status()["packets"]["dropped"]["bad_mode"]), (0, 1))

    def test_a_listener_has_rules_of_its_own(self):
        self.write('allow = ["127.0.0.1", "127.0.0.2@127.0.0.9"]', '["127.0.0.8", "127.0.0.9"]')
        self.server()
        for host, source, answers in (("127.0.0.8", "127.0.0.1", True), ("127.0.0.8", "127.0.0.2", False),
                                      ("127.0.0.9", "127.0.0.1", False), ("127.0.0.9", "127.0.0.2", True)):
            self.assertEqual(ask(host, source=source, timeout=0.3) is not None, answers, (host, source))

    def test_a_denied_machine_is_healthy(self):
        """The server's question to itself comes from loopback, which nothing allows here."""
        self.write('allow = ["192.0.2.77"]')
        for threads in ("auto", "0"):
            server = self.server("--threads", threads)
            code, text = server.healthcheck()
            self.assertEqual(code, 0, text)
            self.assertIsNone(ask(timeout=0.3))
            server.stop()

    def test_a_reload_applies_the_rules_and_a_bad_one_leaves_them(self):
        self.write("", rules="deny 127.0.0.2\n")
        server = self.server()
        self.assertIsNone(ask(source="127.0.0.2", timeout=0.3))
        self.write("", rules="deny 127.0.0.3\n")
        self.reload(server)
        self.assertIsNotNone(ask(source="127.0.0.2"))
        self.assertIsNone(ask(source="127.0.0.3", timeout=0.3))
        self.write("", rules="# wrong\ndeny 127.0.0.300\n")
        self.reload(server, rf'{self.rules}:2:6: has "127.0.0.300"')
        server.wait_line("the old one stays in force")
        self.assertIsNone(ask(source="127.0.0.3", timeout=0.3))
        self.write("")
        self.reload(server)
        self.assertIsNotNone(ask(source="127.0.0.3"))

    def test_a_file_with_faults_does_not_start(self):
        self.write("", rules="allow 10.0.0.0/8\ndeny 10.0.0.0/8\n")
        server = Server(PROGRAM, "--config", self.path, wait=False)
        with server:
            self.assertEqual(server.process.wait(5), 78)
            server.reader.join(2)
            self.assertIn(f'{self.rules}:2:1: "10.0.0.0/8" is both allowed and denied', "\n".join(server.lines))

    def test_a_new_listener_begins_with_its_rules(self):
        self.write('deny = ["127.0.0.2@127.0.0.8:1123"]', '["127.0.0.8:1123"]')
        server = self.server()
        self.write('deny = ["127.0.0.2@127.0.0.9:1123"]', '["127.0.0.8:1123", "127.0.0.9:1123"]')
        self.reload(server)
        self.assertIsNone(ask("127.0.0.9", 1123, source="127.0.0.2", timeout=0.3))
        self.assertIsNotNone(ask("127.0.0.8", 1123, source="127.0.0.2"))

    def anonymous_kib(self, server):
        return int(next(line.split()[1] for line in read(f"/proc/{server.process.pid}/status").splitlines() if line.startswith("RssAnon")))

    def test_nobody_is_judged_by_half_a_list_and_no_table_is_left_behind(self):
        """Reloads under load: one client is allowed and one denied by every version of the rules."""
        def rules(number):
            return "".join(f"deny 10.{i // 256}.{i % 256}.0/24\n" for i in range(number % 7 * 900)) + "deny 127.0.0.2\n"
        self.write("", rules=rules(0))
        server = self.server()
        stop, wrong, answered = threading.Event(), [], [0]

        def client(source, allowed):
            while not stop.is_set():
                reply = ask(source=source, timeout=2.0 if allowed else 0.05)
                answered[0] += reply is not None
                if (reply is not None) != allowed:
                    wrong.append((source, reply))
        clients = [threading.Thread(target=client, args=arguments) for arguments in (("127.0.0.1", True), ("127.0.0.2", False))]
        for thread in clients:
            thread.start()
        for number in range(40):
            self.write("", rules=rules(number))
            self.reload(server)
            if number == 13:
                before = self.anonymous_kib(server)
        after = self.anonymous_kib(server)  # twenty-six reloads later, of 300 KiB and more each
        stop.set()
        for thread in clients:
            thread.join()
        self.assertEqual(wrong, [])
        self.assertGreater(answered[0], 100)
        if not SANITIZED:
            self.assertLess(after - before, 2048)


if __name__ == "__main__":
    enter_own_network()
    LIBRARY, PROGRAM = sys.argv.pop(), os.path.abspath(sys.argv.pop())
    unittest.main(verbosity=2)
