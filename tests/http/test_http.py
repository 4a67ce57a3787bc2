"""HTTP from outside: what the pages say, and that no HTTP client, however hostile, touches NTP.

usage: test_http.py PROGRAM FAKE_KERNEL [unittest arguments]
"""
import http.client, os, random, resource, sys, unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
from harness import *
from test_lifecycle import Load

PROGRAM = LIBRARY = None
HTTP = ("127.0.0.1", 9559)
LIMIT = 32  # connections
GET = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"
LAST_GET = b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def connect(timeout=3.0, receive_buffer=None):
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.settimeout(timeout)
    if receive_buffer:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    s.connect(HTTP)
    return s


def exchange(octets, timeout=5.0):
    """Everything that comes back until the server hangs up; b'' when it does so at once."""
    with connect(timeout) as s:
        try:
            s.sendall(octets)
        except ConnectionError:
            pass  # the server may hang up while we still talk; what it said is read below
        received = b""
        try:
            while chunk := s.recv(65536):
                received += chunk
        except ConnectionError:
            pass
        return received


def reset(s):
    """Closes with RST instead of FIN."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def descriptors(server):
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def cpu_seconds(server):
    with open(f"/proc/{server.process.pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kib(server):
    with open(f"/proc/{server.process.pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])


class HttpTest(unittest.TestCase):
    def start(self, *arguments, prefix=(), environment=None, synchronised=True):
        kernel = FakeKernel(LIBRARY, status=0 if synchronised else STA_UNSYNC)
        # The file must outlive the program; unittest keeps it until the test is over.
        self.addCleanup(lambda: kernel)
        server = Server(PROGRAM, *(arguments or ("run",)), prefix=prefix,
                        environment={**kernel.environment(), **(environment or {})})
        self.addCleanup(server.__exit__)
        until(lambda: self.page("/metrics")[0] == 200, what="/metrics answers")
        return server

    def page(self, path, method="GET", **more):
        connection = http.client.HTTPConnection(*HTTP, timeout=3)
        try:
            connection.request(method, path, **more)
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode()
        except (ConnectionError, http.client.HTTPException):
            return 0, {}, ""
        finally:
            connection.close()


class Pages(HttpTest):
    def test_each_page_says_what_it_is(self):
        self.start()
        until(lambda: self.page("/readyz")[0] == 200, what="ready")
        for path, kind in (("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
                           ("/api/v1/status", "application/json"),
                           ("/healthz", "text/plain; charset=utf-8"),
                           ("/readyz", "text/plain; charset=utf-8")):
            with self.subTest(path):
                status, headers, body = self.page(path)
                self.assertEqual(status, 200, body)
                self.assertEqual(headers["Content-Type"], kind)
                self.assertEqual(int(headers["Content-Length"]), len(body.encode()))
                self.assertEqual(headers["Cache-Control"], "no-store")
                self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
                self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
                self.assertNotIn("Server", headers)
                self.assertTrue(body.endswith("\n"))

    def test_health_pages_are_one_line(self):
        self.start()
        until(lambda: self.page("/readyz")[0] == 200, what="ready")
        for path in ("/healthz", "/readyz"):
            self.assertEqual(self.page(path)[2].count("\n"), 1)

    def test_a_server_that_is_not_synchronised_is_alive_but_not_ready(self):
        self.start(synchronised=False)
        until(lambda: self.page("/healthz")[0] == 200, what="alive")
        status, _, why = self.page("/readyz")
        self.assertEqual(status, 503)
        self.assertIn("not synchronised", why)
        state = json.loads(self.page("/api/v1/status")[2])
        self.assertTrue(state["system"]["local_clock"])
        self.assertIsNone(state["system"]["error_bound_s"])
        self.assertEqual(state["system"]["refid"], "LOCL")
        metrics = self.page("/metrics")[2]
        self.assertIn("\nntp_system_error_bound_seconds +Inf\n", metrics)
        self.assertIn("\nntp_system_local_clock 1\n", metrics)

    def test_counters_agree_with_what_was_sent(self):
        server = self.start()
        until(lambda: ask(), what="an NTP reply")
        def counters():
            return json.loads(self.page("/api/v1/status")[2])["packets"]
        before = counters()
        for version in (1, 2, 3, 4, 4):
            mode = 0 if version == 1 else 3
            self.assertIsNotNone(ask(payload=request(version=version, mode=mode)), version)
        for bad in (b"x", b"x" * 47, request(version=7), request(mode=4), request() + b"x" * 4 + b"y"):
            ask(payload=bad, timeout=0.01)
        def settled():
            now = counters()
            return now["received"] - before["received"] >= 10 and now
        now = until(settled, what="ten datagrams counted")
        versions = {v: now["versions"][v] - before["versions"][v] for v in now["versions"]}
        self.assertEqual(versions, {"1": 1, "2": 1, "3": 1, "4": 2})
        dropped = {r: now["dropped"][r] - before["dropped"][r] for r in now["dropped"]}
        self.assertEqual({r: n for r, n in dropped.items() if n},
                         {"too_short": 2, "bad_version": 1, "bad_mode": 1, "bad_length": 1})
        self.assertEqual(now["accepted"] + now["ignored"], now["received"])
        metrics = self.page("/metrics")[2]
        self.assertIn(f'ntp_server_dropped_packets_total{{reason="too_short"}} {now["dropped"]["too_short"]}\n', metrics)
        self.assertIn(f'ntp_server_received_packets_total {now["received"]}\n', metrics)
        count = int(re.search(r"ntp_server_response_latency_seconds_count (\d+)", metrics)[1])
        self.assertEqual(count + now["stamps_missing"] + now["stamps_discarded"], now["accepted"])
        self.assertEqual(server.process.poll(), None)

    def test_other_methods_paths_and_hosts(self):
        self.start()
        status, headers, body = self.page("/metrics", "HEAD")
        self.assertEqual((status, body), (200, ""))
        self.assertGreater(int(headers["Content-Length"]), 1000)
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
            status, headers, _ = self.page("/metrics", method)
            self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD"), method)
        for path in ("/", "/metrics/", "/Metrics", "/%6detrics", "/../metrics", "/metrics/../metrics", "//metrics"):
            self.assertEqual(self.page(path)[0], 404, path)
        self.assertEqual(self.page("/metrics?name=x")[0], 200)
        self.assertEqual(self.page("/metrics", headers={"Host": "anything.example:1"})[0], 200)

    def test_a_taken_port_is_waited_for_while_ntp_is_served(self):
        with socket.socket() as squatter:
            squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            squatter.bind(HTTP)
            squatter.listen()
            kernel = FakeKernel(LIBRARY)
            server = Server(PROGRAM, "run", environment=kernel.environment())
            self.addCleanup(server.__exit__)
            server.wait_line(r"warning.*9559")
            self.assertIsNotNone(until(ask, what="NTP without HTTP"))
        until(lambda: self.page("/healthz")[0] == 200, seconds=15, what="HTTP on the port that became free")


class Hostile(HttpTest):
    """Each attack runs beside steady NTP requests, none of which may get lost, and a scraper who must be served."""
    RATE = 300

    def setUp(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))

    def under(self, attack, *arguments, prefix=()):
        server = self.start(*arguments, prefix=prefix)
        until(ask, what="an NTP reply")
        before = descriptors(server)
        load = Load(self.RATE)
        load.start()
        try:
            attack(server)
            while load.sent < 200:
                attack(server)
            self.scrape("after the attack")
        finally:
            lost = load.finish()
        self.assertEqual(lost, 0, f"of {load.sent} NTP requests")
        self.assertEqual(load.wrong, 0)
        self.assertEqual(server.process.poll(), None, server.lines[-5:])
        # Everything that was closed by either side is given back; lingering and idling have limits.
        until(lambda: descriptors(server) <= before, seconds=10, what="descriptors given back")
        self.assertEqual([l for l in server.lines if " error " in l], [])
        return server

    def scrape(self, when):
        begun = time.monotonic()
        response = exchange(LAST_GET)
        self.assertTrue(response.startswith(b"HTTP/1.1 200 OK\r\n"), f"{when}: {response[:60]}")
        self.assertIn(b"\nntp_server_workers ", response)
        return time.monotonic() - begun

    def slow_writers(self, server):
        base = descriptors(server)
        flock = []
        for number in range(1000):
            s = connect()
            s.setblocking(False)
            s.send(b"GET /metrics HTTP/1.1\r\nX: ")
            flock.append(s)
            if number % 50 == 49:
                self.assertLessEqual(descriptors(server), base + LIMIT + 1)
                for slow in flock[-LIMIT:]:
                    try:
                        slow.send(b"x")
                    except OSError:
                        pass  # evicted
                self.scrape(f"beside {number + 1} slow writers")
        self.assertLess(resident_kib(server), 64 * 1024)
        for s in flock:
            s.close()

    def test_a_thousand_slow_writers(self):
        self.under(self.slow_writers)

    def test_a_thousand_slow_writers_when_one_thread_does_everything(self):
        self.under(self.slow_writers, "run", "--threads", "0")

    def slow_readers(self, server):
        flock = []
        for number in range(200):
            s = connect(receive_buffer=1024)
            try:
                s.sendall(GET * 100)  # and never reads
            except ConnectionError:
                pass
            flock.append(s)
            if number % 20 == 19:
                self.scrape(f"beside {number + 1} slow readers")
        self.assertLess(resident_kib(server), 64 * 1024)
        for s in flock:
            s.close()

    def test_two_hundred_slow_readers(self):
        self.under(self.slow_readers)

    def test_two_hundred_slow_readers_when_one_thread_does_everything(self):
        self.under(self.slow_readers, "run", "--threads", "0")

    def test_the_end_of_file_at_every_octet(self):
        def attack(_):
            for size in range(len(GET) + 1):
                for end in (socket.socket.close, reset, lambda s: s.shutdown(socket.SHUT_WR)):
                    with connect() as s:
                        s.sendall(GET[:size])
                        end(s)
        self.under(attack)

    def test_garbage_and_things_that_look_like_requests(self):
        def attack(_):
            dice = random.Random(20261123)
            for _ in range(300):
                size = dice.randrange(1, 3000)
                junk = dice.randbytes(size)
                if dice.random() < 0.5:
                    whole = bytearray(GET * dice.randrange(1, 4))
                    for _ in range(dice.randrange(1, 6)):
                        whole[dice.randrange(len(whole))] = dice.randrange(256)
                    junk = bytes(whole)
                with connect(0.05) as s:
                    s.sendall(junk)
                    try:
                        answer = s.recv(64)
                        self.assertTrue(answer == b"" or re.match(rb"HTTP/1.1 (200|4\d\d|505) ", answer), answer)
                    except (TimeoutError, ConnectionError):
                        pass  # it waits for more, or has hung up
        self.under(attack)

    def test_giants(self):
        def attack(_):
            for head, status in ((b"GET /" + b"a" * (1 << 20), b"414"),
                                 (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * (1 << 20), b"431"),
                                 (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 65 + b"\r\n", b"431"),
                                 (b"\r\n" * (1 << 19), b"431"),
                                 (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n" + b"a" * (1 << 20), b"405"),
                                 (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n" + b"a" * 30000, b"413"),
                                 (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"a" * 30000, b"400")):
                answer = exchange(head)
                # Beyond 64 KiB of unread octets the server may hang up hard, and TCP then loses the answer.
                if answer or len(head) < 60000:
                    self.assertTrue(answer.startswith(b"HTTP/1.1 " + status), (status, answer[:60]))
        self.under(attack)

    def test_pipelines_get_one_answer_for_each_request(self):
        def attack(_):
            answers = exchange(GET * 99 + LAST_GET)
            self.assertEqual(answers.count(b"HTTP/1.1 200 OK\r\n"), 100)
            self.assertEqual(answers.count(b"Connection: close\r\n"), 1)
            answers = exchange(GET * 150)
            self.assertEqual(answers.count(b"HTTP/1.1 200 OK\r\n"), 100, "no connection gets more than a hundred")
        self.under(attack)

    def test_connections_that_come_and_go(self):
        def attack(_):
            for number in range(2000):
                s = connect()
                (reset if number % 2 else socket.socket.close)(s)
        self.under(attack)

    def test_out_of_descriptors_it_neither_spins_nor_stops(self):
        def attack(server):
            flock = [connect() for _ in range(60)]
            begun, used = time.monotonic(), cpu_seconds(server)
            while time.monotonic() < begun + 1.5:  # a measurement, not a wait
                for s in flock[-5:]:
                    try:
                        s.send(b"G")
                    except OSError:
                        pass
                time.sleep(0.05)
            self.assertGreater(descriptors(server), needed + 8, "the limit was reached")
            share = (cpu_seconds(server) - used) / (time.monotonic() - begun)
            self.assertLess(share, 0.5, "it spins")
            for s in flock:
                s.close()
            until(lambda: exchange(LAST_GET).startswith(b"HTTP/1.1 200"), what="a scrape once descriptors are free")
        # Enough to start with, too few for 32 connections.
        server = self.start()
        needed = descriptors(server)
        server.stop()
        self.under(attack, prefix=("prlimit", f"--nofile={needed + 12}"))

    def test_idle_connections_cost_nothing(self):
        def attack(server):
            flock = [connect() for _ in range(LIMIT)]
            for s in flock:
                s.sendall(GET)
                self.assertTrue(s.recv(64).startswith(b"HTTP/1.1 200"))
            begun = time.monotonic()
            for s in flock:
                s.settimeout(15)  # a server that never hangs up is a TimeoutError here
                with s:
                    while s.recv(65536):
                        pass
            self.assertGreater(time.monotonic() - begun, 3.5, "idling is allowed for five seconds")
        self.under(attack)


if __name__ == "__main__":
    enter_own_network()
    PROGRAM, LIBRARY = (os.path.abspath(path) for path in sys.argv[1:3])
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
