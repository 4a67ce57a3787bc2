"""A clock made of sources: our own servers upstream, whose clocks are shifted at will; the machine's is never touched."""
import os, sys, unittest
from harness import *

PROGRAM = LIBRARY = None
BELOW = "192.0.2.1"


class Sources(unittest.TestCase):
    def upstream(self, number, **fields):
        """A server at 127.0.7.number that is synchronised, as far as its kernel says."""
        kernel = FakeKernel(LIBRARY, maxerror_us=1234, **fields)
        server = Server(PROGRAM, "--listen", f"127.0.7.{number}:123", "--http", "off", environment=kernel.environment())
        self.addCleanup(server.__exit__)
        return kernel, server

    def downstream(self, *numbers, more="", last="", threads="1", **fields):
        kernel = FakeKernel(LIBRARY, status=STA_UNSYNC, maxerror_us=16_000_000, **fields)
        text = f"[server]\nlisten = ['{BELOW}:123']\n{more}\n[rate]\nlimit = 0\n"  # asked in loops without a pause
        text += "".join(f"[[source]]\naddress = '127.0.7.{n}'\nminpoll = -2\nmaxpoll = 0\n" for n in numbers) + last
        self.file = tempfile.NamedTemporaryFile("w", suffix=".toml")
        os.chmod(self.file.name, 0o644)
        self.file.write(text)
        self.file.flush()
        server = Server(PROGRAM, "--config", self.file.name, "--threads", threads, environment=kernel.environment())
        self.addCleanup(server.__exit__)
        return kernel, server

    def synchronised(self, server, sources=1):
        until_answer(lambda r: r.leap == 0, 15.0, "synchronisation", host=BELOW)
        until(lambda: sum(s["verdict"] in ("selected", "combined") for s in server.status()["sources"]) >= sources, 15.0, "the sources")

    def within_bound(self, reply):
        """The test's own clock is the upstreams', so it is the truth here."""
        bound = reply.root_delay / 2 + reply.root_dispersion
        self.assertGreaterEqual(reply.time, reply.sent - bound)
        self.assertLessEqual(reply.time, reply.received + bound)
        return bound

    def test_it_is_synchronised_within_seconds_and_says_how_well(self):
        self.upstream(1)
        for threads in ("1", "0"):
            kernel, server = self.downstream(1, threads=threads)
            reply = ask(BELOW)
            self.assertEqual((reply.leap, reply.stratum), (3, 0), "before the first answers nobody knows the time")
            self.synchronised(server)
            reply = ask(BELOW)
            self.assertEqual((reply.stratum, reply.refid), (4, bytes([127, 0, 7, 1])))
            self.assertLess(self.within_bound(reply), 0.05)
            self.assertLessEqual(reply.reftime, reply.rec)
            status = server.status()
            self.assertEqual(status["clock"]["state"], "synchronised")
            self.assertEqual(status["sources"][0]["verdict"], "selected")
            self.assertEqual(server.metric('ntp_clock_state{state="synchronised"}'), 1)
            server.stop()

    def test_what_was_learned_is_known_at_the_next_start(self):
        self.upstream(1)
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o777)
            more, path = f"[clock]\nstate_directory = '{folder}'\n", f"{folder}/clock"
            for threads in ("1", "0"):
                kernel, server = self.downstream(1, more=more, threads=threads)
                self.synchronised(server)
                server.stop()
                self.assertRegex(read(path), r"^ntp-server-state 1\nboot [0-9a-f-]{36}\ntime \d+\nfrequency ")
                self.assertEqual(os.listdir(folder), ["clock"])
            kernel, server = self.downstream(1, more=more)
            server.wait_line("the oscillator is known from before .*frequency=[+-]")
            server.stop()
            with open(path, "r+") as file:
                file.seek(60)
                file.write("x")
            kernel, server = self.downstream(1, more=more)
            server.wait_line(f"{path}: state file: wrong checksum; the clock is learned afresh")
            self.synchronised(server)
            server.stop()
            os.unlink(path)
            os.chmod(folder, 0o755)
            kernel, server = self.downstream(1, more=more)
            self.synchronised(server)
            server.stop()
            server.wait_line(f"write {path}.new: Permission denied; what is learned of the oscillator is lost at the next start")

    def test_the_table_of_leap_seconds_is_read_and_its_faults_are_told(self):
        self.upstream(1)
        def text(expires):
            return f"#@ {expires + UNIX_IN_NTP}\n2272060800 10\n2287785600 11\n"
        now = int(time.time())
        with tempfile.NamedTemporaryFile("w", suffix=".list") as file:
            os.chmod(file.name, 0o644)
            kernel, server = self.downstream(1, more=f"[clock]\nleap_seconds = '{file.name}'\n")
            server.wait_line("leap second list: the file has no entry; leap seconds are taken from the majority of the sources")
            for expires, line in ((now - 86400, "has expired on "), (now + 86400, "expires on .*; get a newer one"), (now + 90 * 86400, "leap seconds are known")):
                file.seek(0)
                file.write(text(expires))
                file.flush()
                since = len(server.lines)
                server.process.send_signal(signal.SIGHUP)
                server.wait_line(line, since=since)
            server.stop()

    def test_a_server_that_follows_us_is_not_followed(self):
        self.upstream(1)
        kernel = FakeKernel(LIBRARY, status=STA_UNSYNC)
        follower = Server(PROGRAM, "--listen", "127.0.7.2:123", "--http", "off", "--source", BELOW, environment=kernel.environment())
        self.addCleanup(follower.__exit__)
        _, server = self.downstream(1, 2)
        self.synchronised(server)
        until_answer(lambda r: r.leap == 0 and r.refid == bytes([192, 0, 2, 1]), 30.0, "the follower", host="127.0.7.2")
        loop = lambda: next(s for s in server.status()["sources"] if s["address"].startswith("127.0.7.2"))
        until(lambda: loop()["rejects"].get("loop", 0) > 1, 30.0, "replies of a loop")
        source = loop()
        self.assertEqual((source["samples"], source["verdict"], source["refused"]), (0, "loop", "loop"))
        self.assertGreater(server.metric('ntp_source_rejected_total{name="127.0.7.2",address="127.0.7.2:123",reason="loop"}'), 1)
        self.assertEqual(server.metric('ntp_source_verdict{name="127.0.7.2",address="127.0.7.2:123",verdict="loop"}'), 1)
        self.assertRegex(server.ctl("sources")[1], r"(?m)^127\.0\.7\.2 .* loop +loop$")
        self.assertRegex(server.ctl("sourcestats")[1], r"(?m)^127\.0\.7\.2 .* loop \d+(,|$)")
        self.assertRegex(server.ctl("selection")[1], r"(?m)^127\.0\.7\.2 +loop +loop: .* refused: the server is synchronised to us$")

    def test_a_host_whose_clock_is_stepped_moves_nothing(self):
        self.upstream(1)
        for threads in ("1", "0"):
            kernel, server = self.downstream(1, threads=threads)
            self.synchronised(server)
            for step in (1.0, -1.0, 3600.0, -86400.0, 0.0):
                kernel.set(step_ns=int(step * 1e9))
                deadline = time.monotonic() + 1.2  # before, while and after it is noticed
                while time.monotonic() < deadline:
                    reply = ask(BELOW)
                    self.assertEqual(reply.leap, 0)
                    self.within_bound(reply)
            server.stop()

    def test_a_host_whose_clock_is_slewed_by_500_ppm_moves_nothing(self):
        """In a dozen seconds that makes six milliseconds; what is served stays with the sources."""
        self.upstream(1)
        for threads, ppm in (("1", 500), ("0", -500)):
            kernel, server = self.downstream(1, threads=threads, settable=1)
            self.synchronised(server)
            kernel.set(raw_ns=time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW), real_ns=time.time_ns(), freq=ppm << 16)
            deadline, worst = time.monotonic() + 12, 0
            while time.monotonic() < deadline:
                replies = [ask(BELOW) for _ in range(8)]
                for reply in replies:
                    self.assertEqual(reply.leap, 0)
                    self.within_bound(reply)
                best = min(replies, key=lambda r: r.received - r.sent)
                worst = max(worst, abs(best.time - (best.sent + best.received) / 2))
                time.sleep(0.1)
            self.assertGreater(abs(kernel.error()), 0.005, "the host's clock has gone away")
            self.assertLess(worst, 0.003, "and the served one has not followed")
            self.assertAlmostEqual(server.status()["clock"]["host_offset_s"], kernel.error(), delta=0.003)
            server.stop()

    def test_a_host_that_is_wrong_from_the_start_is_not_believed(self):
        self.upstream(1)
        kernel, server = self.downstream(1, step_ns=-400 * 86400 * 10**9)
        self.synchronised(server)
        self.within_bound(ask(BELOW))
        self.assertAlmostEqual(server.status()["clock"]["host_offset_s"], -400 * 86400, delta=0.1)

    def test_a_false_source_is_outvoted_and_named(self):
        for number, step in ((1, 0), (2, 0), (3, 10**9)):
            self.upstream(number, step_ns=step)
        kernel, server = self.downstream(1, 2, 3)
        self.synchronised(server, 2)
        false = until(lambda: next((s for s in server.status()["sources"] if s["verdict"] == "falseticker"), None), 15.0, "a falseticker")
        self.assertEqual(false["address"], "127.0.7.3:123")
        self.assertRegex(false["why"], r"offset \+(1\.0|0\.99)")
        self.within_bound(ask(BELOW))

    def test_ctl_shows_what_is_thought_of_the_sources(self):
        self.upstream(1)
        self.upstream(3, step_ns=10**9)
        self.upstream(2)
        for threads in ("1", "0"):
            kernel, server = self.downstream(1, 2, 3, more="[clock]\nminsources = 2\n", threads=threads)
            self.assertEqual(server.ctl("waitsync", "--timeout", "0s")[0], 1, "nobody knows the time yet")
            code, text = server.ctl("waitsync", "--timeout", "30s", "--max-error", "1s")
            self.assertEqual((code, text.startswith("synchronised within 0.")), (0, True), text)
            until(lambda: "falseticker: offset" in server.ctl("selection")[1], 15.0, "the falseticker")
            code, text = server.ctl()
            self.assertRegex(text, r"(?s)up \d+ s.*served as      stratum 4, reference 127\.0\.7\.[12], leap none.*used of 3")
            self.assertRegex(server.ctl("tracking")[1], r"(?s)Stratum +: 4.*Error bound +: [0-9.]+ ms.*synchronised, ")
            table = server.ctl("sources")[1].splitlines()
            self.assertRegex(table[0], r"^SOURCE +STRATUM +POLL +REACH +AGE +OFFSET")
            self.assertEqual(len(table), 4, table)
            self.assertRegex(next(line for line in table if line.startswith("127.0.7.3")), r"\+(1\.0|9)\S* m?s.* falseticker$")
            self.assertRegex(server.ctl("activity")[1], r"^3  reachable\n$")
            self.assertEqual(len(server.ctl("sourcestats")[1].splitlines()), 4)
            document = json.loads(server.ctl("sources", "--json")[1])
            self.assertEqual({s["name"] for s in document["sources"]}, {f"127.0.7.{n}" for n in (1, 2, 3)})
            self.assertEqual(json.loads(server.ctl("--json")[1]).keys(), server.status().keys())
            server.stop()
            code, text = server.ctl("sources")
            self.assertEqual((code, "no ntp-server answers here" in text), (69, True), text)

    def test_a_synchronised_host_is_served_until_sources_tell_the_time_local_or_not(self):
        for more in ("", "[clock]\nunsynchronised = 'local'\n"):
            kernel, server = self.downstream(1, more=more)
            kernel.set(status=0, maxerror_us=1234)
            until_answer(lambda r: r.stratum == 3, 5.0, "the host's clock", host=BELOW)
            self.within_bound(ask(BELOW))
            kernel.set(status=STA_UNSYNC)
            until_answer(lambda r: (r.leap, r.refid) == ((0, b"LOCL") if more else (3, bytes(4))), 5.0, "no clock", host=BELOW)
            server.stop()

    def test_two_that_contradict_each_other_leave_nobody_right(self):
        self.upstream(1)
        self.upstream(2, step_ns=10**9)
        kernel, server = self.downstream(1, 2)
        until(lambda: all(s["samples"] >= 4 for s in server.status()["sources"]), 15.0, "samples of both")
        until(lambda: [s["verdict"] for s in server.status()["sources"]] == ["no_majority"] * 2, 5.0, "no majority")

    def test_a_source_that_ends_leaves_a_clock_that_runs_on_with_a_growing_bound(self):
        _, upstream = self.upstream(1)
        kernel, server = self.downstream(1)
        self.synchronised(server)
        upstream.stop()
        until(lambda: server.status()["clock"]["state"] == "holdover", 30.0, "holdover")
        first = self.within_bound(ask(BELOW))
        until(lambda: self.within_bound(ask(BELOW)) > first, 10.0, "a larger bound")
        self.upstream(1)
        until(lambda: server.status()["clock"]["state"] == "synchronised", 30.0, "synchronised again")

    def test_a_source_that_serves_its_local_clock_is_followed_at_that_stratum(self):
        upstream, _ = self.upstream(1)
        kernel, server = self.downstream(1)
        self.synchronised(server)
        upstream.set(status=STA_UNSYNC, fails=0)  # now it serves LOCL at stratum 10: still a time, but another state
        upstream.set(maxerror_us=16_000_000)
        until_answer(lambda r: r.stratum == 11, 15.0, "its stratum is passed on", host=BELOW)

    def test_a_required_source_is_waited_for(self):
        """The grace of ten minutes is for a clock that has known the time: without the required source none ever has."""
        self.upstream(1)
        kernel, server = self.downstream(1, 2, last="require = true\n")
        until(lambda: any(s["verdict"] == "required_missing" for s in server.status()["sources"]), 15.0, "that it is missed")
        self.assertEqual(ask(BELOW).leap, 3)
        self.upstream(2)
        self.synchronised(server, 2)
        self.within_bound(ask(BELOW))

    def test_minsources_are_waited_for(self):
        self.upstream(1)
        kernel, server = self.downstream(1, 2, more="[clock]\nminsources = 2\n")
        until(lambda: any(s["verdict"] == "too_few" for s in server.status()["sources"]), 15.0, "too few")
        self.assertEqual(ask(BELOW).leap, 3)
        self.upstream(2)
        self.synchronised(server, 2)

    def test_a_reload_takes_sources_away_and_brings_them_back(self):
        self.upstream(1)
        kernel, server = self.downstream(1)
        self.synchronised(server)
        text = f"[server]\nlisten = ['{BELOW}:123']\n"
        for more, expected in (("", 10), ("[[source]]\naddress = '127.0.7.1'\nminpoll = -2\nmaxpoll = 0\n", 4)):
            self.file.seek(0)
            self.file.truncate()
            self.file.write(text + more)
            self.file.flush()
            server.process.send_signal(signal.SIGHUP)
            until_answer(lambda r: r.stratum == expected, 15.0, f"stratum {expected}", host=BELOW)

    def test_names_are_resolved_and_a_name_that_is_none_stops_nothing(self):
        self.upstream(1)
        kernel = FakeKernel(LIBRARY, status=STA_UNSYNC)
        with Server(PROGRAM, "--listen", f"{BELOW}:123", environment={**kernel.environment(), "NTP_SERVERS": "nowhere.invalid,127.0.7.1"}) as server:
            self.synchronised(server)
            server.wait_line("nowhere.invalid.*", 40.0)
            self.within_bound(ask(BELOW))


if __name__ == "__main__":
    enter_own_network()
    LIBRARY, PROGRAM = sys.argv.pop(), os.path.abspath(sys.argv.pop())
    unittest.main(verbosity=2)
