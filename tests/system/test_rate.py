"""Limits of one address: what they cut, whom they leave alone, and what is said of it."""
import os, signal, socket, sys, tempfile, time, unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Reply, ask, begin, enter_own_network, request, until


class Burst:
    """Requests from one address and some of its ports; the replies are counted."""

    def __init__(self, source, ports=1):
        self.sockets = []
        for _ in range(ports):
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.bind((source, 0))
            s.connect(("127.0.0.1", 123))
            s.settimeout(0.2)
            self.sockets.append(s)

    def send(self, count):
        """In small steps, so that no queue overflows; returns the replies, late ones too."""
        replies = []
        for i in range(count):
            s = self.sockets[i % len(self.sockets)]
            s.send(request())
            self.receive(s, 0.02, replies)
        for s in self.sockets:
            while self.receive(s, 0.5 / len(self.sockets), replies):
                pass
        return replies

    @staticmethod
    def receive(s, seconds, replies):
        s.settimeout(seconds)
        try:
            replies.append(Reply(s.recv(100)))
        except TimeoutError:
            return False
        return True

    def close(self):
        for s in self.sockets:
            s.close()


class Rate(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        os.chmod(self.folder.name, 0o755)
        self.path = os.path.join(self.folder.name, "ntp.toml")

    def server(self, rate, *arguments):
        self.write(rate)
        return begin(self, PROGRAM, "--config", self.path, *arguments)

    def write(self, rate):
        with open(self.path, "w") as file:
            file.write(f"[rate]\n{rate}\n")

    def burst(self, *arguments):
        burst = Burst(*arguments)
        self.addCleanup(burst.close)
        return burst

    def test_a_loud_address_is_cut_and_its_neighbour_is_not(self):
        for threads in ("auto", "0"):
            with self.subTest(threads=threads):
                server = self.server("limit = 1\nburst = 99\nleak = 1000", "--threads", threads)
                loud = self.burst("127.0.0.2")
                begun = time.monotonic()
                replies = loud.send(200)
                # One more a second, and one in a thousand of those above the limit, by a dice.
                self.assertTrue(100 <= len(replies) <= 106 + time.monotonic() - begun, len(replies))
                until(lambda: self.dropped(server) == 200 - len(replies), 5, "as many dropped as went unanswered")
                self.assertEqual(len(self.burst("127.0.0.3").send(50)), 50)
                code, text = server.healthcheck()
                self.assertEqual(code, 0, text)
                server.stop()

    def dropped(self, server):
        return server.status()["packets"]["dropped"]["over_limit"]

    def test_the_servers_question_to_itself_is_answered_where_loopback_is_loud(self):
        server = self.server("limit = 1\nburst = 0\nleak = 1000")
        self.burst("127.0.0.1").send(50)
        for _ in range(3):
            code, text = server.healthcheck()
            self.assertEqual(code, 0, text)

    def test_half_of_what_is_above_the_limit_is_answered(self):
        server = self.server("limit = 1\nburst = 9\nleak = 2")  # enough for its questions to itself: all above is ours
        replies = self.burst("127.0.0.2").send(300)
        self.assertTrue(100 <= len(replies) <= 200, len(replies))
        status = server.status()
        self.assertEqual(status["rate"]["limit"], 1)
        # Counted at the end of a batch, when the reply may have been read already.
        until(lambda: server.metric("ntp_server_leaked_requests_total") == server.status()["rate"]["leaked"] > 80, 5, "both tell of as many")

    def test_a_reload_changes_the_limit(self):
        server = self.server("limit = 1\nburst = 0\nleak = 1000")
        burst = self.burst("127.0.0.2")
        self.assertLess(len(burst.send(20)), 10)
        self.write("limit = 0")
        server.process.send_signal(signal.SIGHUP)
        server.wait_line("configuration reloaded")
        self.assertEqual(len(burst.send(50)), 50)

    def test_a_kiss_of_death_a_second_tells_of_the_limit_where_it_is_asked_for(self):
        server = self.server("limit = 1\nburst = 9\nleak = 1000\nkiss = true")
        begun = time.monotonic()
        kisses = [reply for reply in self.burst("127.0.0.2").send(120) if reply.refid == b"RATE"]
        self.assertTrue(1 <= len(kisses) <= time.monotonic() - begun + 2, len(kisses))
        for kiss in kisses:
            self.assertEqual((kiss.leap, kiss.mode, kiss.stratum, kiss.rec, kiss.xmt, kiss.reftime), (3, 4, 0, 0, 0, 0))
            self.assertEqual(len(kiss.octets), 48)
        until(lambda: server.metric("ntp_server_kiss_packets_total") == len(kisses), 5, "as many kisses as came")

    def test_many_clients_behind_one_address_are_noticed_and_served(self):
        server = self.server("limit = 50\nburst = 50\nleak = 1000")
        crowd = self.burst("127.0.0.2", 300)

        def push():
            for s in crowd.sockets:
                s.send(request())
            time.sleep(0.1)  # 3,000 a second at most
            return server.status()["rate"]["crowd"] == "127.0.0.2"
        until(push, 10, "a crowd is noticed")
        server.wait_line(r"warning most requests come from 127\.0\.0\.2, more than 50 a second")
        self.assertEqual(server.metric("ntp_server_rate_crowd"), 1)
        self.assertRegex(server.ctl("status")[1], "many clients seem to share 127.0.0.2; they are all answered")
        before = self.dropped(server)
        push()
        self.assertEqual(self.dropped(server), before)
        for s in crowd.sockets:
            self.assertIsNotNone(s.recv(100))
        # When it is over, so is the notice; the line in the log stays alone.
        until(lambda: server.status()["rate"]["crowd"] is None, 10, "the crowd has gone")
        self.assertEqual(len([line for line in server.lines if "most requests come from" in line]), 1)

    def test_a_flood_of_one_port_is_no_crowd(self):
        server = self.server("limit = 50\nburst = 50\nleak = 2")
        loud = self.burst("127.0.0.2")
        begun = time.monotonic()
        while time.monotonic() < begun + 3:
            loud.sockets[0].send(request())
            time.sleep(0.001)
        self.assertIsNone(server.status()["rate"]["crowd"])
        self.assertGreater(self.dropped(server), 300)


if __name__ == "__main__":
    enter_own_network()
    LIBRARY, PROGRAM = sys.argv.pop(), os.path.abspath(sys.argv.pop())
    unittest.main(verbosity=2)
