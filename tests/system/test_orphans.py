"""An isolated set of servers that agree on one time: real daemons, the clocks of whose hosts are hours apart."""
import os, select, sys, unittest
from harness import *

PROGRAM = LIBRARY = None
TRUTH = "192.0.2.9"  # a server that has the true time, when its kernel says so
SET = {f"192.0.2.{n}": hours * 3600 for n, hours in ((11, -5), (12, 3), (13, 7))}  # and how wrong their hosts are, in seconds


class Relay(threading.Thread):
    """What a published port does: passes datagrams on to `to`, under an address that the server does not know for its own."""

    def __init__(self, at, to):
        super().__init__(daemon=True)
        self.door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.door.bind((at, 123))
        self.to, self.out, self.ended = to, {}, False
        self.start()

    def run(self):
        while not self.ended:
            for ready in select.select([self.door, *self.out.values()], [], [], 0.2)[0]:
                try:
                    if ready is self.door:
                        octets, client = ready.recvfrom(2048)
                        if client not in self.out:
                            self.out[client] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                            self.out[client].connect(self.to)
                        self.out[client].send(octets)
                    else:
                        octets = ready.recv(2048)
                        client = next(c for c, s in self.out.items() if s is ready)
                        self.door.sendto(octets, client)
                        self.out.pop(client).close()
                except ConnectionRefusedError:
                    pass  # nobody is there, or no longer

    def close(self):
        self.ended = True
        self.join()
        for one in (self.door, *self.out.values()):
            one.close()


class Orphans(unittest.TestCase):
    def truth(self):
        """Until its kernel knows the time it serves a stratum that nobody here believes."""
        self.kernel = FakeKernel(LIBRARY, status=STA_UNSYNC, maxerror_us=16_000_000)
        server = Server(PROGRAM, "--listen", f"{TRUTH}:123", "--http", "off", environment={**self.kernel.environment(), "NTP_SERVER_SERVER_LOCAL_STRATUM": "13"})
        self.addCleanup(server.__exit__)

    def begin(self, address, listen=None, sources=(TRUTH, *SET), threads="1"):
        kernel = FakeKernel(LIBRARY, status=STA_UNSYNC, maxerror_us=16_000_000, step_ns=SET[address] * 10**9)
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            os.chmod(file.name, 0o644)
            file.write("[clock]\nunsynchronised = 'orphan'\norphan_wait = '4s'\n")
            file.write("".join(f"[[source]]\naddress = '{source}'\nminpoll = -2\nmaxpoll = -2\n" for source in sources))
            file.flush()
            server = Server(PROGRAM, "--config", file.name, "--listen", listen or f"{address}:123", "--http", f"{address}:9559", "--threads", threads,
                            environment=kernel.environment())
        server.address = address
        self.addCleanup(server.__exit__)
        return server

    def status(self, server):
        return json.loads(server.get("/api/v1/status", host=server.address)[1])

    def follow_one(self, servers, address_of=lambda server: server.address):
        """Waits until one of them leads, all the others say that they follow it and they agree within their bounds; the leader and its time minus the truth."""
        def agreed():
            replies = [ask(server.address, timeout=0.3) for server in servers]
            if any(reply is None or reply.leap != 0 for reply in replies):
                return None
            leaders = [(s, r) for s, r in zip(servers, replies) if r.stratum == 10]
            if len(leaders) != 1 or any(r.stratum != 11 for r in replies if r is not leaders[0][1]):
                return None
            leader, reply = leaders[0]
            # Two may have begun to lead at once: then one of them is about to follow the other.
            clocks = {s: self.status(s)["clock"] for s in servers}
            if any((c["state"], c["leader"]) != ("orphan", None if s is leader else address_of(leader) + ":123") for s, c in clocks.items()):
                return None
            offset = reply.time - reply.received
            for other in replies:
                bound = other.root_delay / 2 + other.root_dispersion + reply.root_dispersion
                if abs(other.time - other.received - offset) > bound + (other.received - other.sent) + (reply.received - reply.sent):
                    return None
            return leader, offset
        return until(agreed, 30.0, "one leader whom the others follow: " + "; ".join(str(self.status(s)["clock"]) for s in servers))

    def is_called_orphan(self, servers, leader, address_of=lambda server: server.address):
        for server in servers:
            status = self.status(server)
            self.assertEqual((status["clock"]["state"], status["system"]["synchronised"], status["system"]["error_bound_s"]), ("orphan", False, None),
                             f"{server.address}: {status['clock']}")
            self.assertIn("the time of an orphan is served", status["ready"]["why"])
            metrics = server.get("/metrics", host=server.address)[1]
            self.assertIn('ntp_clock_state{state="orphan"} 1\n', metrics)
            self.assertIn("ntp_system_synchronised 0\n", metrics)
            said = "leading: " if server is leader else f"following {address_of(leader)}:123: "
            server.wait_line(f"NOT SYNCHRONISED to the sources \\(orphan\\): {said}")
            self.assertRegex(server.ctl("tracking")[1], f"Clock +: orphan, {said}")
        first = ask(leader.address).refid[0]
        self.assertGreaterEqual(first, 240, "the number of an orphan")

    def test_a_set_without_the_true_time_agrees_on_one_and_gives_it_up_for_the_true_one(self):
        self.truth()
        servers = [self.begin(address, threads=threads) for address, threads in zip(SET, ("1", "0", "1"))]
        for server in servers:
            self.assertEqual(ask(server.address).leap, 3, "a real source may yet come")
        leader, offset = self.follow_one(servers)
        self.assertAlmostEqual(offset, SET[leader.address], delta=0.1, msg="its host's")
        self.is_called_orphan(servers, leader)

        leader.stop()
        others = [server for server in servers if server is not leader]
        second, kept = self.follow_one(others)
        self.assertAlmostEqual(kept, offset, delta=0.1, msg="the time of the set goes on")
        self.is_called_orphan(others, second)

        back = self.begin(leader.address)  # and its host's clock would lead again
        servers = [*others, back]
        leader, now = self.follow_one(servers)
        self.assertIs(leader, second, "who joins follows")
        self.assertAlmostEqual(now, offset, delta=0.1)

        self.kernel.set(status=0, maxerror_us=1234)
        for server in servers:
            reply = until_answer(lambda r: r.leap == 0 and r.stratum < 10 and abs(r.time - r.received) < 1, 30.0, "the true time", host=server.address)
            self.assertLess(abs(reply.time - reply.received), reply.root_delay / 2 + reply.root_dispersion + reply.received - reply.sent)
            until(lambda: self.status(server)["clock"]["state"] == "synchronised", 20.0, "synchronised")

    def test_nobody_needs_to_know_the_address_by_which_others_see_him(self):
        seen = dict(zip(SET, ("192.0.2.21", "192.0.2.22", "192.0.2.23")))
        for address, public in seen.items():
            self.addCleanup(Relay(public, (address, 1123)).close)
            self.addCleanup(Relay(address, (address, 1123)).close)  # for this test's own questions
        servers = [self.begin(address, f"{address}:1123", seen.values()) for address in SET]
        address_of = lambda server: seen[server.address]
        leader, _ = self.follow_one(servers, address_of)
        self.is_called_orphan(servers, leader, address_of)
        itself = next(s for s in self.status(leader)["sources"] if s["name"] == seen[leader.address])
        self.assertEqual(itself["verdict"], "loop", "it knows its own number")


if __name__ == "__main__":
    enter_own_network()
    for last in (9, 11, 12, 13, 21, 22, 23):
        subprocess.run(["ip", "addr", "add", f"192.0.2.{last}/24", "dev", "outside"], check=True)
    LIBRARY, PROGRAM = sys.argv.pop(), os.path.abspath(sys.argv.pop())
    unittest.main(verbosity=2)
