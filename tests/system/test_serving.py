"""The program answers: every version, address, family, thread model; and logs what the guide shows."""
import os, signal, socket, sys, unittest
from harness import *

PROGRAM = LIBRARY = None


class Serving(unittest.TestCase):
    def each_model(self):
        for threads in ("auto", "0", "3"):
            with self.subTest(threads=threads), Server(PROGRAM, "--threads", threads) as server:
                yield server

    def test_every_version_gets_its_own_version_back_over_both_families(self):
        for server in self.each_model():
            for host in ("127.0.0.1", "::1", "192.0.2.1", "2001:db8::1"):
                for version in (1, 2, 3, 4):
                    payload = request(version)
                    reply = ask(host, payload=payload)
                    self.assertIsNotNone(reply, f"{host} v{version}")
                    self.assertEqual((reply.version, reply.mode, len(reply.octets)), (version, 4, 48))
                    self.assertEqual(reply.octets[24:32], payload[40:48])
                    self.assertLessEqual(abs(reply.time - reply.received), 1.0)
                    self.assertLessEqual(reply.rec, reply.xmt)

    def test_the_reply_leaves_from_the_very_address_that_was_asked(self):
        for server in self.each_model():
            for host in ("192.0.2.1", "192.0.2.2", "127.0.0.5", "2001:db8::1", "2001:db8::2"):
                source = {"192.0.2.1": "192.0.2.2", "192.0.2.2": "192.0.2.1"}.get(host)
                reply = ask(host, source=source)
                self.assertIsNotNone(reply, host)
                self.assertEqual(reply.address, host)

    def test_the_reply_leaves_by_the_interface_that_the_request_came_by(self):
        """Two networks, the same client address in both; the routing table knows one of them only."""
        names = ("left", "right")
        clients = {name: self.network(name) for name in names}
        subprocess.run(["ip", "route", "add", "10.77.0.9/32", "dev", "left"], check=True)
        question = ("import sys; sys.path.insert(0, sys.argv[1]); from harness import ask; "
                    "r = ask(sys.argv[2], source=sys.argv[3], timeout=2); print(r and r.address)")
        for _ in self.each_model():
            for host, source in (("192.0.2.1", "10.77.0.9"), ("fe80::1%to-server", "fe80::9%to-server")):
                for name in names:
                    done = subprocess.run(["nsenter", "-n", "-t", str(clients[name].pid), sys.executable, "-c", question,
                                           os.path.dirname(os.path.abspath(__file__)), host, source], capture_output=True, text=True)
                    self.assertEqual(done.stdout.split("%")[0].strip(), host.split("%")[0], f"{name} {host}: {done.stderr}")

    def network(self, name):
        """A namespace at the other end of a new interface; the process that keeps it."""
        keeper = subprocess.Popen(["unshare", "--net", "sleep", "300"])
        self.addCleanup(lambda: (keeper.kill(), keeper.wait()))
        own = os.readlink("/proc/self/ns/net")
        until(lambda: os.readlink(f"/proc/{keeper.pid}/ns/net") != own, what="namespace")
        for command in (f"link add {name} type veth peer name to-server netns {keeper.pid}", f"link set {name} up", f"link set {name} addrgenmode none",
                        f"-6 addr add fe80::1/64 dev {name} nodad"):
            subprocess.run(["ip", *command.split()], check=True)
        for command in ("link set to-server addrgenmode none", "link set to-server up", "addr add 10.77.0.9/32 dev to-server", "route add 192.0.2.0/24 dev to-server",
                        "-6 addr add fe80::9/64 dev to-server nodad"):
            subprocess.run(["nsenter", "-n", "-t", str(keeper.pid), "ip", *command.split()], check=True)
        self.addCleanup(subprocess.run, ["ip", "link", "del", name], check=True)
        return keeper

    def test_only_the_addresses_that_are_listened_on_answer(self):
        with Server(PROGRAM, "--listen", "192.0.2.1:1123", "--listen", "[2001:db8::2]:1124"):
            self.assertIsNotNone(ask("192.0.2.1", 1123))
            self.assertIsNotNone(ask("2001:db8::2", 1124))
            for host, port in (("192.0.2.2", 1123), ("2001:db8::1", 1124), ("192.0.2.1", 1124), ("127.0.0.1", 123)):
                self.assertIsNone(ask(host, port, timeout=0.2), f"{host} {port}")

    def test_a_question_to_everybody_gets_silence(self):
        with Server(PROGRAM) as server:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s6:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                s.settimeout(0.2)
                s6.settimeout(0.2)
                s.sendto(request(), ("192.0.2.255", 123))
                s6.sendto(request(), ("ff02::1", 123, 0, socket.if_nametoindex("outside")))
                for each in (s, s6):
                    with self.assertRaises(TimeoutError):
                        each.recv(100)
            self.assertGreaterEqual(server.metric('ntp_server_dropped_packets_total{reason="to_many"}'), 2)

    def test_replies_carry_kernel_stamps_and_are_counted(self):
        with Server(PROGRAM) as server:
            for _ in range(20):
                ask()
            until(lambda: server.metric("ntp_server_response_latency_seconds_count") >= 20, what="latency of 20 replies")
            self.assertEqual(server.metric("ntp_server_stamps_missing_total"), 0)
            self.assertEqual(server.metric('ntp_server_requests_total{version="4"}'), 20)

    def test_a_client_meets_one_worker_from_whatever_port_and_clients_are_spread(self):
        """The server is stopped, so that what arrives stays in the queues: one socket is one worker's."""
        for command in ("sysctl -qw net.ipv6.ip_nonlocal_bind=1", "ip -6 route replace local 2001:db8:77::/48 dev lo"):
            subprocess.run(command.split(), check=True)
        one_client = ([f"127.0.1.{n}"] * 64 for n in (1, 2, 3, 77))
        one_network = ([f"2001:db8:77:{n}::{host:x}" for host in range(1, 65)] for n in (1, 2, 3, 77))  # a client may own all of a /64
        cases = (("127.0.0.1", one_client, [f"127.0.1.{n}" for n in range(1, 65)]),
                 ("2001:db8::1", one_network, [f"2001:db8:77:{n:x}::1" for n in range(1, 65)]))
        for host, clients, crowd in cases:
            with Server(PROGRAM, "--threads", "4", "--listen", f"[{host}]:123" if ":" in host else f"{host}:123") as server:
                for client in clients:
                    self.assertEqual(len(self.queues_met(server, host, client)), 1, client[0])
                self.assertEqual(len(self.queues_met(server, host, crowd)), 4)

    def test_the_survivor_of_a_hand_over_gives_a_client_one_worker_again(self):
        one_client = ["127.0.1.1"] * 64
        with Server(PROGRAM, "--threads", "4", "--listen", "127.0.0.1:123", "--http", "off") as old:
            with Server(PROGRAM, "--threads", "4", "--listen", "127.0.0.1:123") as new:
                old.stop()
                new.wait_line("UDP 127.0.0.1:123 is no longer shared")
                self.assertEqual(len(self.queues_met(new, "127.0.0.1", one_client)), 1)

    def queues_met(self, server, host, sources):
        """Asks once from each source, each time from another port; the sockets of the server that got something."""
        def filled():
            return {fields[9]: int(fields[4].split(":")[1], 16) for fields in sockets_of(123) if not fields[4].endswith(":00000000")}
        until(lambda: not filled(), what="empty queues")
        server.freeze()
        clients = []
        for source in sources:
            s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
            s.bind((source, 0))
            s.settimeout(5)
            s.sendto(request(), (host, 123))
            clients.append(s)
        met = filled()
        server.process.send_signal(signal.SIGCONT)
        for s in clients:
            self.assertEqual(len(s.recv(100)), 48)  # none was lost: the queues held them all
            s.close()
        return met

    def test_the_guides_lines_are_logged_and_requests_only_on_demand(self):
        for flag, expected in (([], False), (["--log-requests"], True)):
            with Server(PROGRAM, "--listen", "0.0.0.0:123", *flag) as server:
                self.assertTrue(any("Local socket:  ('0.0.0.0', 123)" in line for line in server.lines))
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                    s.connect(("127.0.0.1", 123))
                    s.send(request())
                    s.recv(100)
                    port = s.getsockname()[1]
                if expected:
                    server.wait_line("Received 1 packets")
                    server.wait_line(f"Sent to 127.0.0.1:{port}$")
                server.stop()
                self.assertEqual(any("Sent to" in line for line in server.lines), expected)
        with Server(PROGRAM, "--log-level", "error", "--listen", "127.0.0.1:123", wait=False) as server:
            server.wait_line(r"Local socket:  \('127.0.0.1', 123\)")

    def test_request_lines_are_rate_limited_and_say_so(self):
        with Server(PROGRAM, "--log-requests", "--listen", "127.0.0.1:123") as server:
            for _ in range(300):
                ask()
            server.wait_line("suppressed [0-9]+ lines")

            def accounted_for():
                told = sum(int(m[1]) for l in server.lines if (m := re.search(r"suppressed (\d+) lines", l)))
                return told + len([l for l in server.lines if "Sent to" in l or "Received" in l])
            until(lambda: accounted_for() == 600, 5, "every line printed or told of")  # Received and Sent to of each
            self.assertLess(len([l for l in server.lines if "Sent to" in l or "Received" in l]), 100)

    def test_time_in_the_log_is_local_with_its_offset(self):
        for zone, offset in (("UTC", "+00:00"), ("Asia/Kolkata", "+05:30"), ("EST5EDT", "-0[45]:00")):
            with Server(PROGRAM, environment={"TZ": zone}) as server:
                self.assertRegex(server.lines[0], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}" + offset.replace("+", r"\+") + " info ")
        with Server(PROGRAM, environment={"TZ": "Mars/Olympus"}) as server:
            server.wait_line("warning .*TZ=Mars/Olympus is not a time zone")

    def test_without_ipv6_the_default_addresses_still_serve_and_a_named_one_is_refused(self):
        without = {"LD_PRELOAD": os.path.join(os.path.dirname(LIBRARY), "libno_ipv6.so")}
        for threads in ("1", "0"):
            with Server(PROGRAM, "--threads", threads, environment=without) as server:
                self.assertIsNotNone(ask())
                self.assertIsNone(ask("::1", timeout=0.3))
                self.assertTrue(any("Local socket:  ('0.0.0.0', 123)" in line for line in server.lines))
                self.assertFalse(any("Local socket:  ('::'" in line for line in server.lines))
        done = subprocess.run([PROGRAM, "--listen", "[::]:123"], env=without, capture_output=True, text=True, timeout=10)
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stdout + done.stderr, r"error .*\[::\]:123.*Address family not supported")

    @not_sanitized
    def test_memory_does_not_grow_with_requests(self):
        """Counted by the kernel: no page is touched anew, so nothing is allocated."""
        with Server(PROGRAM, "--threads", "1", "--listen", "127.0.0.1:123") as server:
            def faults():
                return int(read(f"/proc/{server.process.pid}/stat").rsplit(")", 1)[1].split()[7])
            for _ in range(200):
                ask()
            before = faults()
            for _ in range(2000):
                ask()
            self.assertLessEqual(faults() - before, 8)


if __name__ == "__main__":
    enter_own_network()
    LIBRARY, PROGRAM = sys.argv.pop(), os.path.abspath(sys.argv.pop())
    unittest.main(verbosity=2)
