"""`ntp-server query` against our own server, and against servers that answer as they should not."""
import json, os, sys, unittest
from harness import *

PROGRAM = LIBRARY = None
RIGHT = dict(first=4 << 3 | 4, stratum=2, refid=b"\x0a\0\0\1", step=0.0)


def reply_to(question, first, stratum, refid, step, org=None, zero_stamps=False):
    """Header of a server whose clock is `step` seconds ahead."""
    stamp = 0 if zero_stamps else int((time.time() + UNIX_IN_NTP + step) * 2**32)
    return struct.pack("!BBbbII4sQ8sQQ", first, stratum, 6, -20, 0x8000, 0x4000, refid, 0, org or question[40:48], stamp, stamp)


class Script:
    """Answers every question with what `act` makes of it: a list of datagrams."""

    def __init__(self, act, host="127.0.0.1"):
        self.act, self.questions = act, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self):
        while True:
            question, client = self.socket.recvfrom(2048)
            if not question:
                return
            self.questions.append(question)
            for datagram in self.act(question):
                self.socket.sendto(datagram, client)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.socket.sendto(b"", self.socket.getsockname())
        self.thread.join(5)
        self.socket.close()


def query(*arguments):
    done = subprocess.run([PROGRAM, "query", *arguments], capture_output=True, text=True, timeout=30, env={"PATH": os.environ["PATH"]})
    return done.returncode, done.stdout, done.stderr


class Query(unittest.TestCase):
    def asked(self, act, *arguments):
        with Script(act) as script:
            return (*query(f"127.0.0.1:{script.port}", *arguments), script)

    def test_our_own_server_over_both_families_and_by_name(self):
        kernel = FakeKernel(LIBRARY)
        with Server(PROGRAM, environment=kernel.environment()):
            for host in ("127.0.0.1", "127.0.0.1:123", "192.0.2.1", "::1", "[2001:db8::1]:123", "localhost", "localhost:123"):
                with self.subTest(host=host):
                    code, out, error = query(host)
                    self.assertEqual((code, error), (0, ""))
                    self.assertRegex(out, r"^\S+:123  stratum 3  offset [+-]0\.0\d+ s  delay 0\.\d+ s  root distance 0\.0\d+ s"
                                          r"  leap none  refid 127\.127\.0\.1\n$")

    def test_the_offset_and_the_leap_are_the_servers(self):
        for leap, word in enumerate(("none", "insert", "delete", "unsynchronised")):
            code, out, _, script = self.asked(lambda q, leap=leap: [reply_to(q, **{**RIGHT, "first": leap << 6 | RIGHT["first"], "step": 40})])
            self.assertEqual(code, 0)
            self.assertRegex(out, rf"stratum 2  offset \+(39\.9|40\.0)\d+ s .* leap {word}  refid 10\.0\.0\.1\n")
            question = script.questions[0]
            self.assertEqual((len(question), question[0]), (48, 0x23))
            self.assertEqual(question[1:40], bytes(39), "a question tells nothing of who asks")

    def test_json_tells_every_sample_and_the_best(self):
        code, out, error, script = self.asked(lambda q: [reply_to(q, **RIGHT)], "--count", "2", "--json")
        self.assertEqual((code, error), (0, ""))
        told = json.loads(out)
        self.assertEqual((told["sent"], told["received"], len(told["samples"])), (2, 2, 2))
        self.assertEqual(told["server"], f"127.0.0.1:{script.port}")
        self.assertIn(told["best"], told["samples"])
        self.assertEqual(told["best"]["delay_s"], min(sample["delay_s"] for sample in told["samples"]))
        for sample in told["samples"]:
            self.assertEqual((sample["root_delay_s"], sample["root_dispersion_s"], sample["stratum"], sample["version"]), (0.5, 0.25, 2, 4))
            self.assertLess(abs(sample["offset_s"]), 1)
        self.assertNotEqual(script.questions[0][40:], script.questions[1][40:], "every question has a nonce of its own")

    def test_it_compares_with_the_time_that_our_own_server_serves(self):
        upstream, wrong = FakeKernel(LIBRARY, maxerror_us=1234), FakeKernel(LIBRARY, step_ns=100 * 10**9)
        with Server(PROGRAM, "--listen", "127.0.7.1", "--http", "off", environment=upstream.environment()), \
                Server(PROGRAM, "--listen", "192.0.2.1", "--source", "127.0.7.1", environment=wrong.environment()) as server:
            def asked(*arguments):
                done = subprocess.run([PROGRAM, "query", "127.0.7.1", *arguments], env=server.environment, capture_output=True, text=True, timeout=30)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                return done.stdout
            until(lambda: server.status()["clock"]["state"] == "synchronised", 20.0, "synchronisation")
            self.assertRegex(asked(), r"  offset -(99\.9|100\.0)\d+ s  .*\n  against the time served here: [+-][0-9.]+ [mun]s \+- [0-9.]+ [mun]s; that time is right within [0-9.]+ ms\n$")
            told = json.loads(asked("--json"))
            sample = told["samples"][0]
            self.assertAlmostEqual(sample["offset_s"], -100, delta=0.1)
            served = sample["served"]
            self.assertLess(abs(served["offset_s"]), served["offset_error_s"] + served["error_bound_s"])
            self.assertAlmostEqual(served["offset_error_s"], sample["delay_s"] / 2, delta=1e-9)
            self.assertEqual(self.fields(told), {field for field in self.documented() if not field.startswith("nts")})
            server.stop()
            self.assertEqual(len(asked().splitlines()), 1, "nobody is there to compare with")
            self.assertIsNone(json.loads(asked("--json"))["best"]["served"])

    def fields(self, value, path=""):
        if isinstance(value, dict) and path != "best":
            return set().union(*(self.fields(inner, f"{path}.{key}" if path else key) for key, inner in value.items()))
        if isinstance(value, list):
            return set().union(*(self.fields(inner, path + "[]") for inner in value))
        return {path}

    def documented(self):
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        return set(re.findall(r"(?m)^\| `([^`]+)` \|", read(os.path.join(root, "docs/formats/query.md"))))

    def test_a_forged_answer_does_not_end_the_wait_for_the_true_one(self):
        def act(question):
            return [reply_to(question, **RIGHT, org=bytes(8)), b"", question, reply_to(question, **{**RIGHT, "step": 9})[:40],
                    reply_to(question, **{**RIGHT, "step": 5})]
        code, out, error, _ = self.asked(act)
        self.assertEqual((code, error), (0, ""))
        self.assertRegex(out, r"offset \+(4\.9|5\.0)")

    def test_a_kiss_of_death_is_told_and_is_no_time(self):
        code, out, error, script = self.asked(lambda q: [reply_to(q, first=0xe4, stratum=0, refid=b"DENY", step=0, zero_stamps=True)])
        self.assertEqual((code, out), (69, ""))
        self.assertEqual(error, f"ntp-server: 127.0.0.1:{script.port}: the server sent a kiss of death\n")

    def test_silence_ends_after_the_timeout(self):
        begun = time.monotonic()
        code, out, error, script = self.asked(lambda q: [], "--timeout", "300ms", "--json")
        took = time.monotonic() - begun
        self.assertEqual((code, error), (69, f"ntp-server: 127.0.0.1:{script.port}: no answer\n"))
        self.assertEqual((json.loads(out)["received"], "best" in json.loads(out)), (0, False))
        self.assertTrue(0.3 <= took < 3, took)

    def test_one_answer_of_two_is_success_and_the_loss_is_told(self):
        first = []
        code, out, error, _ = self.asked(lambda q: [] if not first and not first.append(q) else [reply_to(q, **RIGHT)],
                                         "--count", "2", "--timeout", "200ms")
        self.assertEqual((code, len(out.splitlines())), (0, 1))
        self.assertIn("no answer", error)

    def test_output_that_cannot_be_written_is_no_success(self):
        with Script(lambda q: [reply_to(q, **RIGHT)]) as script, open("/dev/full", "w") as full:
            for arguments in ("--count", "3"), ("--json",):
                done = subprocess.run([PROGRAM, "query", f"127.0.0.1:{script.port}", *arguments], stdout=full, stderr=subprocess.PIPE, text=True, timeout=30)
                self.assertEqual((done.returncode, done.stderr), (71, "ntp-server: cannot write the output: No space left on device\n"))
            self.assertEqual(len(script.questions), 2, "nobody is asked when nobody can hear the answer")

    def test_a_closed_port_is_told_at_once(self):
        code, out, error = query("127.0.0.1:9", "--timeout", "10s")
        self.assertEqual((code, out), (69, ""))
        self.assertEqual(error, "ntp-server: 127.0.0.1:9: receive: Connection refused\n")

    def test_an_address_without_a_route(self):
        code, _, error = query("203.0.113.1")
        self.assertEqual(code, 69)
        self.assertIn("203.0.113.1:123", error)
        self.assertIn("Network is unreachable", error)

    def test_what_is_no_server(self):
        for host in ("192.0.2.1:", "192.0.2.1:0", "[::1]:0", "host:0", "192.0.2.1:99999", "host:port", ":123", "[::1", "2001:db8::1::2"):
            with self.subTest(host=host):
                code, out, error = query(host)
                self.assertEqual((code, out), (2, ""))
                self.assertEqual(error, f'ntp-server: "{host}" is not HOST or HOST:PORT (IPv6: [ADDRESS]:PORT; PORT from 1 to 65535)\n')
        code, _, error = query("nowhere.invalid")
        self.assertEqual(code, 69)
        self.assertRegex(error, r"^ntp-server: cannot find nowhere\.invalid: ")


if __name__ == "__main__":
    enter_own_network()
    LIBRARY, PROGRAM = sys.argv.pop(), os.path.abspath(sys.argv.pop())
    unittest.main(verbosity=2)
