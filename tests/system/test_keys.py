"""Symmetric keys of the running program: the file, its rights, its reload (RFC 5905 section 7.3, RFC 8573)."""
import contextlib, hashlib, os, signal, sys, tempfile, threading, unittest
from harness import *

PROGRAM = LIBRARY = None
SERVICE = 65532  # what root becomes


class Keys(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        os.chmod(folder.name, 0o755)
        self.path = os.path.join(folder.name, "keys")

    def write(self, text, mode=0o600):
        with open(self.path + ".new", "w") as file:
            file.write(text)
        os.chmod(self.path + ".new", mode)
        if os.geteuid() == 0:
            os.chown(self.path + ".new", SERVICE, SERVICE)
        os.rename(self.path + ".new", self.path)

    def server(self, threads="auto", **more):
        return Server(PROGRAM, "--threads", threads, environment={"NTP_SERVER_SERVER_KEYS_FILE": self.path, "NTP_SERVER_RATE_LIMIT": "0"}, **more)

    def answered(self, number, key, host="127.0.0.1"):
        """Whether a request with that key's SHA1 gets a reply with one."""
        payload = request()
        reply = ask(host, payload=payload + number.to_bytes(4, "big") + hashlib.sha1(key + payload).digest(), timeout=0.5)
        if reply is None:
            return False
        octets = reply.octets
        self.assertEqual((len(octets), int.from_bytes(octets[48:52], "big")), (72, number))
        self.assertEqual(octets[52:], hashlib.sha1(key + octets[:48]).digest())
        return True

    def answered_of_a_batch(self, server, number, key, hosts):
        """Which of them hear of all their requests, where all of these are received at once; the others hear of none."""
        clients = {host: socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for host in hosts}
        for host, client in clients.items():
            self.addCleanup(client.close)
            client.bind((host, 0))
            client.settimeout(0.5)
        server.freeze()
        for _ in range(12):
            for client in clients.values():
                payload = request()
                client.sendto(payload + number.to_bytes(4, "big") + hashlib.sha1(key + payload).digest(), ("127.0.0.1", 123))
        server.process.send_signal(signal.SIGCONT)
        heard = {}
        for host, client in clients.items():
            with contextlib.suppress(TimeoutError):
                while True:
                    self.assertEqual(len(client.recv(100)), 72)
                    heard[host] = heard.get(host, 0) + 1
        self.assertEqual(set(heard.values()), {12})
        return set(heard)

    def reload(self, server, pattern):
        since = len(server.lines)
        server.process.send_signal(signal.SIGHUP)
        return server.wait_line(pattern, since=since)

    def test_a_key_is_answered_with_and_another_is_not(self):
        self.write("5 SHA1 ASCII:correct-horse\n")
        for threads in ("auto", "0"):
            with self.subTest(threads=threads), self.server(threads) as server:
                for host in ("127.0.0.1", "::1"):
                    self.assertTrue(self.answered(5, b"correct-horse", host))
                    self.assertFalse(self.answered(5, b"battery-staple", host))
                    self.assertFalse(self.answered(6, b"correct-horse", host))
                self.assertEqual(server.metric("ntp_server_mac_accepted_packets_total"), 2)
                self.assertIsNotNone(ask(), "plain requests are answered as ever")

    def test_a_key_for_some_clients_is_nobody_elses(self):
        for threads in ("auto", "0"):
            self.write("5 SHA1 ASCII:correct-horse 192.0.2.0/24,127.0.0.1\n6 SHA1 ASCII:battery-staple ::1\n")
            with self.subTest(threads=threads), self.server(threads) as server:
                self.assertTrue(self.answered(5, b"correct-horse"))
                self.assertFalse(self.answered(5, b"correct-horse", "::1"))
                self.assertTrue(self.answered(6, b"battery-staple", "::1"))
                self.assertFalse(self.answered(6, b"battery-staple"))
                self.assertEqual(server.metric('ntp_server_dropped_packets_total{reason="unknown_key"}'), 2)
                self.assertEqual(self.answered_of_a_batch(server, 5, b"correct-horse", ("127.0.0.1", "127.0.0.2")), {"127.0.0.1"})
                self.write("5 SHA1 ASCII:correct-horse 127.0.0.2\n")
                self.reload(server, "configuration reloaded")
                self.assertEqual(self.answered_of_a_batch(server, 5, b"correct-horse", ("127.0.0.1", "127.0.0.2")), {"127.0.0.2"})

    def test_a_reload_takes_the_new_keys_and_keeps_the_old_ones_if_it_cannot(self):
        self.write("5 SHA1 ASCII:correct-horse\n")
        for threads in ("auto", "0"):
            self.write("5 SHA1 ASCII:correct-horse\n")
            with self.subTest(threads=threads), self.server(threads) as server:
                self.assertTrue(self.answered(5, b"correct-horse"))
                self.write("5 SHA1 ASCII:battery-staple\n")
                self.reload(server, "configuration reloaded")
                self.assertTrue(self.answered(5, b"battery-staple"))
                self.assertFalse(self.answered(5, b"correct-horse"))
                self.write("# nothing\n")
                self.reload(server, "the old one stays in force")
                self.assertTrue(self.answered(5, b"battery-staple"))
                os.unlink(self.path)
                self.reload(server, "the old one stays in force")
                self.assertTrue(self.answered(5, b"battery-staple"))

    def test_a_file_of_ours_that_others_may_read_is_refused(self):
        self.write("5 SHA1 ASCII:correct-horse\n", 0o644)
        with self.server(wait=False) as server:
            server.wait_line("keys.*(read|mode|0644|chmod)")
            self.assertNotEqual(server.process.wait(5), 0)

    def test_a_file_that_is_not_there_is_no_start(self):
        with self.server(wait=False) as server:
            server.wait_line("keys")
            self.assertEqual(server.process.wait(5), 66)  # EX_NOINPUT

    def test_md5_is_warned_of_and_no_key_is_ever_logged(self):
        self.write("5 MD5 ASCII:correct-horse\n6 SHA1 short\nnonsense correct horse battery\n")
        with self.server() as server:
            server.wait_line("MD5")
            server.wait_line("guessed")
            server.wait_line("line 3")
            self.assertFalse([line for line in server.lines if "horse" in line or "short" in line.split("keys", 1)[-1]])

    def test_reloads_under_load_lose_nothing_and_answer_with_one_key_or_the_other(self):
        self.write("5 SHA1 ASCII:first-key-of-two\n")
        with self.server("2") as server:
            ended = threading.Event()
            def turn():
                for i in range(40):
                    self.write(f"5 SHA1 ASCII:{('first', 'other')[i % 2]}-key-of-two\n")
                    self.reload(server, "configuration reloaded")
                ended.set()
            turning = threading.Thread(target=turn)
            turning.start()
            both = (b"first-key-of-two", b"other-key-of-two")
            answered = plain = 0
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.connect(("127.0.0.1", 123))
                client.settimeout(1)
                while turning.is_alive():
                    payload = request()
                    for tail in (*(b"\0\0\0\5" + hashlib.sha1(key + payload).digest() for key in both), b""):
                        client.send(payload + tail)
                    octets = client.recv(100)          # in order: that of a key, if it is in force, then the plain one
                    while len(octets) > 48:
                        self.assertIn(octets[52:], [hashlib.sha1(key + octets[:48]).digest() for key in both])
                        answered += 1
                        octets = client.recv(100)
                    plain += 1
            turning.join()
            self.assertTrue(ended.is_set())
            self.assertGreater(plain, 40)
            # In each round one of the two is in force; a turn between them may give both an answer, or none.
            self.assertLessEqual(abs(answered - plain), 40)


if __name__ == "__main__":
    enter_own_network()
    PROGRAM, LIBRARY = os.path.abspath(sys.argv[1]), sys.argv[2]
    unittest.main(argv=sys.argv[:1], verbosity=1)
