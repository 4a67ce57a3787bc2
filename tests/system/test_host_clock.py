"""What the kernel says of its clock is what clients hear, within two seconds."""
import os, sys, time, unittest
from harness import *

PROGRAM = LIBRARY = None


class HostClock(unittest.TestCase):
    def start(self, *arguments, **fields):
        kernel = FakeKernel(LIBRARY, **fields)
        server = Server(PROGRAM, *arguments, environment=kernel.environment())
        self.addCleanup(server.__exit__)
        return kernel, server

    def test_a_synchronised_kernel_is_served_with_its_own_bound(self):
        for threads in ("auto", "0"):
            kernel, server = self.start("--threads", threads, "--listen", "0.0.0.0:1123")
            reply = ask(port=1123)
            self.assertEqual((reply.leap, reply.stratum, reply.refid), (0, 3, b"\x7f\x7f\x00\x01"))
            self.assertAlmostEqual(reply.root_dispersion, 0.013345, delta=0.0015)
            self.assertEqual(server.get("/readyz")[0], 200)
            status = server.status()
            self.assertTrue(status["system"]["synchronised"])
            server.stop()

    def test_losing_synchronisation_is_heard_within_two_seconds_and_so_is_regaining_it(self):
        kernel, server = self.start()
        self.assertEqual(ask().stratum, 3)
        kernel.set(status=STA_UNSYNC, maxerror_us=16_000_000)
        until_answer(lambda r: r.stratum == 10 and r.refid == b"LOCL" and r.leap == 0, 2.0, "LOCL at stratum 10", patience=1)
        server.wait_line("warning NOT SYNCHRONISED.*serving the local clock at stratum 10")
        self.assertEqual(server.get("/readyz")[0], 503)
        self.assertEqual(server.metric("ntp_system_local_clock"), 1)
        self.assertEqual(server.metric("ntp_system_synchronised"), 0)
        kernel.set(status=0, maxerror_us=4321)
        until_answer(lambda r: r.stratum == 3, 2.0, "stratum 3 again", patience=1)

    def test_refuse_means_leap_3_and_stratum_0(self):
        kernel, server = self.start(status=STA_UNSYNC)
        server.stop()
        kernel = FakeKernel(LIBRARY, status=STA_UNSYNC)
        with Server(PROGRAM, environment={**kernel.environment(), "NTP_SERVER_SERVER_UNSYNCHRONISED": "refuse"}) as server:
            reply = ask()
            self.assertEqual((reply.leap, reply.stratum, reply.reftime), (3, 0, 0))
            self.assertEqual(server.metric("ntp_system_leap_indicator"), 3)
            server.wait_line("replies say so .leap 3")

    def test_a_stepped_host_clock_is_served_at_once_and_told_within_two_seconds(self):
        for step in (1.0, -1.0, 86400.0):
            kernel, server = self.start()
            reply = ask()
            self.assertTrue(reply.sent - 0.001 <= reply.time <= reply.received + 0.001)
            kernel.set(step_ns=int(step * 1e9), status=STA_UNSYNC, maxerror_us=16_000_000)
            reply = ask()
            self.assertTrue(reply.sent - 0.001 <= reply.time - step <= reply.received + 0.001)
            self.assertLessEqual(reply.rec, reply.xmt)
            server.wait_line(rf"stepped by \{'+' if step > 0 else '-'}{abs(step):.0f}\.", 2.0)
            self.assertEqual(server.metric("ntp_host_clock_steps_total"), 1)
            reply = ask()
            self.assertLessEqual(reply.reftime, reply.rec)
            server.stop()

    def test_a_kernel_that_may_not_be_asked_is_not_synchronised(self):
        kernel, server = self.start(fails=1)
        self.assertEqual(ask().refid, b"LOCL")
        server.wait_line("the kernel does not tell")

    def test_an_error_over_the_limit_is_not_synchronised(self):
        kernel, server = self.start(maxerror_us=1_600_001)
        self.assertEqual(ask().refid, b"LOCL")
        kernel.set(maxerror_us=1_400_001)
        until_answer(lambda r: r.stratum == 3, what="below the limit")

    def test_leap_seconds_of_the_kernel_are_announced(self):
        kernel, server = self.start(status=STA_INS, state=1)
        self.assertEqual(ask().leap, 1)
        kernel.set(status=STA_DEL, state=2)
        until_answer(lambda r: r.leap == 2, what="delete")
        kernel.set(status=STA_INS, state=4)
        until_answer(lambda r: r.leap == 0, what="TIME_WAIT: it is over")

    def test_a_maxerror_reset_to_zero_gets_the_larger_floor(self):
        kernel, server = self.start(maxerror_us=0)
        self.assertGreaterEqual(ask().root_dispersion, 0.1)
        server.wait_line("resets the kernel's error")

    def test_after_a_suspend_no_reply_claims_time_until_the_clock_was_set(self):
        for threads in ("auto", "0"):
            kernel, server = self.start("--threads", threads)
            self.assertEqual(ask().stratum, 3)
            kernel.set(slept_ns=3_000_000_000)  # an hour or three seconds: the next reply must not be of before
            self.assertNotEqual(ask().stratum, 3)
            server.wait_line("the machine was suspended")
            self.assertEqual(ask().leap, 3)
            kernel.set(slept_ns=3_000_000_000, maxerror_us=777)  # somebody judged the clock anew
            until_answer(lambda r: r.stratum == 3, what="stratum 3 again")
            server.stop()

    def test_what_adjtime_has_left_to_slew_is_part_of_the_bound(self):
        kernel, server = self.start(adjtime_us=-400_000)
        self.assertGreaterEqual(ask().root_dispersion, 0.4)
        kernel.set(adjtime_us=0)
        until_answer(lambda r: r.root_dispersion < 0.02, what="slewed")

    def test_dispersion_grows_between_the_readings(self):
        kernel, server = self.start()
        pairs = set()
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            reply = until_answer(lambda r: True)
            pairs.add((reply.reftime, round(reply.root_dispersion * 65536)))
        for reftime in {r for r, _ in pairs}:
            values = {d for r, d in pairs if r == reftime}
            self.assertLessEqual(max(values) - min(values), 0.0011 * 65536)
        self.assertTrue(any(len({d for r, d in pairs if r == reftime}) > 5 for reftime in {r for r, _ in pairs}))


if __name__ == "__main__":
    enter_own_network()
    LIBRARY, PROGRAM = sys.argv.pop(), os.path.abspath(sys.argv.pop())
    unittest.main(verbosity=2)
