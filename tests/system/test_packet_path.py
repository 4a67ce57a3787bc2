"""What one worker does for each datagram, seen from outside: its system calls, and its allocations."""
import os, pathlib, re, shutil, sys, unittest
from harness import *

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))
from case_table import read_table  # noqa: E402
from socket_cases import keyed  # noqa: E402

PROGRAM = COUNTER = None
RECVMMSG = {"x86_64": "299", "aarch64": "243"}.get(os.uname().machine)
CASES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire", "cases.tsv")
CLIENTS = 16
UNDER_WAY = 32


class Load:
    """The datagrams of the wire case tables, good and bad ones, from several addresses."""

    def __init__(self, cases):
        self.payloads = [case.payload for case in (*read_table(CASES), *cases)]
        self.sockets = []
        for number in range(CLIENTS):
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.bind((f"127.0.4.{number + 1}", 0))
            s.connect(("127.0.0.1", 123))
            s.setblocking(False)
            self.sockets.append(s)

    def play(self, server):
        """Sends them all, no more at a time than any receive buffer holds. Returns how many."""
        begun = server.metric("ntp_server_received_packets_total")
        for sent in range(0, len(self.payloads), UNDER_WAY):
            for number, payload in enumerate(self.payloads[sent:sent + UNDER_WAY]):
                self.sockets[number % CLIENTS].send(payload)
            due = begun + min(sent + UNDER_WAY, len(self.payloads))
            until(lambda: server.metric("ntp_server_received_packets_total") >= due, 20, f"{due} datagrams received")
            self.empty()
        return len(self.payloads)

    def empty(self):
        for s in self.sockets:
            try:
                while True:
                    s.recv(2048)
            except BlockingIOError:
                pass

    def close(self):
        for s in self.sockets:
            s.close()


def only_worker(server):
    """The thread of the one worker: it waits in recvmmsg."""
    tasks = f"/proc/{server.process.pid}/task"
    def waiting():
        return [tid for tid in os.listdir(tasks) if read(f"{tasks}/{tid}/syscall").split()[0] == RECVMMSG]
    found = until(waiting, what="a worker that waits for datagrams")
    assert len(found) == 1, found
    return int(found[0])


def clock_calls_of_this_machine():
    """Empty where the vDSO reads the clock, as every usual machine's does."""
    done = subprocess.run(["strace", "-f", "-e", "trace=clock_gettime", "date"], capture_output=True, text=True, check=True)
    return {"clock_gettime"} if "clock_gettime(" in done.stderr else set()


class SystemCalls:
    """Every system call of one thread, told by strace, until the end of the with block."""

    def __init__(self, tid):
        self.file = tempfile.NamedTemporaryFile("r")
        self.strace = subprocess.Popen(["strace", "-e", "verbose=none", "-o", self.file.name, "-p", str(tid)], stderr=subprocess.PIPE, text=True)
        line = self.strace.stderr.readline()
        assert "attached" in line, line
        # The call that was interrupted by the attaching is not told: begin behind the first that is.
        until(lambda: ask(timeout=0.3) and "recvmmsg(" in read(self.file.name), what="a line of strace")
        self.calls = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.strace.send_signal(2)
        self.strace.wait()
        self.strace.stderr.close()
        self.calls = re.findall(r"^(\w+)\((?:.*\) += (-?\d+))?", self.file.read(), re.MULTILINE)
        self.file.close()

    def sum_of(self, name):
        return sum(max(0, int(result or 0)) for call, result in self.calls if call == name)


class PacketPath(unittest.TestCase):
    def start(self, *arguments, environment=None):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        settings, cases = keyed(PROGRAM, pathlib.Path(folder.name))  # MACs and NTS, too
        config = os.path.join(folder.name, "ntp.toml")
        with open(config, "w") as file:
            file.write(settings)
        server = Server(PROGRAM, "--config", config, "--threads", "1", "--listen", "127.0.0.1:123", *arguments, environment=environment)
        self.addCleanup(server.__exit__)
        load = Load(cases)
        self.addCleanup(load.close)
        return server, load

    @unittest.skipUnless(shutil.which("strace"), "SKIPPED: there is no strace here")
    @unittest.skipUnless(RECVMMSG, "SKIPPED: the number of recvmmsg is not known for this machine")
    def test_a_worker_makes_no_system_call_but_recvmmsg_and_sendmmsg(self):
        allowed = {"recvmmsg", "sendmmsg"} | clock_calls_of_this_machine()
        for flags in ([], ["--log-requests"]):
            server, load = self.start(*flags)
            with SystemCalls(only_worker(server)) as told:
                before = server.status()["packets"]
                load.play(server)
                self.assertEqual(server.healthcheck()[0], 0)  # its probe passes through the worker too
                after = server.status()["packets"]
            end = server.status()["packets"]
            # strace saw all of it: what the calls returned adds up to what the server counted meanwhile.
            for call, counter in (("recvmmsg", "received"), ("sendmmsg", "sent")):
                self.assertGreater(after[counter] - before[counter], 1000)
                self.assertGreaterEqual(told.sum_of(call), after[counter] - before[counter])
                self.assertLessEqual(told.sum_of(call), end[counter])
            self.assertEqual({name for name, _ in told.calls} - allowed, set())
            server.stop()

    @unittest.skipUnless(RECVMMSG, "SKIPPED: the number of recvmmsg is not known for this machine")
    def test_a_worker_asks_for_no_memory_whatever_arrives(self):
        for flags in ([], ["--log-requests"]):
            with tempfile.NamedTemporaryFile() as table:
                table.truncate(64 * 16)
                server, load = self.start(*flags, environment={"LD_PRELOAD": os.path.abspath(COUNTER), "COUNT_ALLOCATIONS": table.name})
                worker = only_worker(server)
                def calls():
                    with open(table.name, "rb") as file:
                        return {tid: count for tid, _, count in struct.iter_unpack("=iiq", file.read()) if tid != 0}
                before = calls()
                self.assertGreater(load.play(server), 5000)
                after = calls()
                self.assertGreater(server.metric("ntp_server_nts_accepted_packets_total"), 50)
                self.assertGreater(server.metric("ntp_server_mac_accepted_packets_total"), 50)
                self.assertEqual(after.get(worker, 0), before.get(worker, 0))
                # The counter counts: the main thread has answered for the metrics.
                self.assertGreater(after[server.process.pid], before[server.process.pid] + 100)
                server.stop()


if __name__ == "__main__":
    enter_own_network()
    COUNTER, PROGRAM = sys.argv.pop(), os.path.abspath(sys.argv.pop())
    unittest.main(verbosity=2)
