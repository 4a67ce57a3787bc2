"""Every start that cannot succeed: what it says, what it advises, and its exit code (sysexits.h)."""
import os, resource, sys, threading, unittest
from harness import *

PROGRAM = LIBRARY = None
UNPRIVILEGED = ("setpriv", "--reuid=65532", "--regid=65532", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all")


PLAY_SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execvp(sys.argv[2], sys.argv[2:])
"""


def activated(passed):
    """For Server: a start by systemd, which passes this socket."""
    return dict(prefix=(sys.executable, "-c", PLAY_SYSTEMD, str(passed.fileno())), pass_fds=(passed.fileno(),))


def limit_processes(limit):
    """For Popen's preexec_fn. Root is above this limit, whomever it becomes is not."""
    return lambda: resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))


def processes_of(uid):
    found = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            found += os.stat(f"/proc/{pid}").st_uid == uid
        except FileNotFoundError:
            pass
    return found


def limit_of_processes_is_obeyed(uid):
    child = os.fork()
    if child == 0:
        limit_processes(1)()
        os.setresuid(uid, uid, uid)
        try:
            threading.Thread(target=lambda: None).start()
        except RuntimeError:
            os._exit(0)
        os._exit(1)
    return os.waitpid(child, 0)[1] == 0


class StartFailures(unittest.TestCase):
    def refused(self, code, pattern, *arguments, **named):
        with Server(PROGRAM, *arguments, wait=False, **named) as server:
            self.assertEqual(server.process.wait(5), code)
            server.reader.join(2)
            text = "\n".join(server.lines)
            self.assertRegex(text, pattern)
            self.assertNotIn("ready", text)

    def test_a_port_that_another_program_holds_is_named_with_its_holder(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("0.0.0.0", 123))
            holder = read("/proc/self/comm").strip()
            for threads in ("auto", "0"):
                self.refused(69, rf"cannot bind UDP 0.0.0.0:123: the port is held by {holder} \(pid {os.getpid()}\).*"
                             r"--listen ADDR:PORT.*ss -ulpn", "--threads", threads)
            with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", "w") as f:
                f.write("0")
            self.refused(69, "held by another process", "--listen", "0.0.0.0", prefix=UNPRIVILEGED)
            with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", "w") as f:
                f.write("1024")

    def test_a_privileged_port_without_the_privilege(self):
        self.refused(77, "cannot bind UDP 0.0.0.0:123: .*NET_BIND_SERVICE.*--cap-add.*higher port", prefix=UNPRIVILEGED)

        self.refused(77, "need the capability CAP_NET_BIND_SERVICE, which this root lacks. .*--cap-add NET_BIND_SERVICE, or listen",
                     prefix=("setpriv", "--bounding-set=-all", "--inh-caps=-all"))

    def test_an_address_of_another_machine(self):
        self.refused(69, "cannot bind UDP 198.51.100.7:123: this machine does not have the address", "--listen", "198.51.100.7")
        self.refused(69, r"cannot bind UDP \[2001:db8:9::9\]:123", "--listen", "[2001:db8:9::9]")

    def test_one_bad_address_among_good_ones_refuses_the_start(self):
        self.refused(69, "198.51.100.7", "--listen", "127.0.0.1", "--listen", "198.51.100.7")

    def test_a_configuration_file_that_is_missing_or_wrong(self):
        self.refused(78, "/nonexistent/ntp.toml.*No such file", "--config", "/nonexistent/ntp.toml")
        self.refused(2, "threads", "--threads", "many")
        self.refused(78, "NTP_SERVER_SERVER_STRATUM", environment={"NTP_SERVER_SERVER_STRATUM": "99"})

    def test_a_socket_of_systemd_that_no_client_could_ask(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unbound, socket.create_server(("127.0.0.1", 0)) as stream:
            self.refused(78, r"socket 3 passed by systemd is not bound to a port \(ListenDatagram=\)", **activated(unbound))
            self.refused(78, r"socket 3 passed by systemd is not a UDP socket \(ListenDatagram=\)", **activated(stream))

    def test_addresses_that_the_sockets_of_systemd_replace(self):
        for arguments in (), ("--listen", "127.0.0.1:1124"):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.bind(("127.0.0.1", 1123))
                with Server(PROGRAM, *arguments, **activated(s)) as server:
                    self.assertIsNotNone(ask(port=1123))
                    self.assertEqual("server.listen has no effect: the sockets that systemd passed are served" in "\n".join(server.lines),
                                     arguments != ())

    def test_a_limit_of_processes_that_leaves_no_room_for_every_thread(self):
        uid = next(uid for uid in range(61000, 61999) if not processes_of(uid))
        # One listener of two workers: with the main thread and the clock's keeper that makes four.
        arguments = ("--threads", "2", "--listen", "127.0.0.1:1123")
        advice = r"error +cannot start a thread: Resource temporarily unavailable.*--pids-limit, TasksMax=.*server.threads lower"
        ways = {"as root, which it gives up": dict(environment={"NTP_SERVER_SERVER_USER": f"{uid}:{uid}"}),
                "unprivileged": dict(prefix=("setpriv", f"--reuid={uid}", f"--regid={uid}", *UNPRIVILEGED[3:]))}
        if not limit_of_processes_is_obeyed(uid):
            print("\nSKIPPED, NOT TESTED: this machine does not obey RLIMIT_NPROC", flush=True)
            self.skipTest("RLIMIT_NPROC is not obeyed")
        for name, how in ways.items():
            for limit in (1, 2, 3):  # none, one and both of the workers start
                with self.subTest(way=name, limit=limit):
                    self.refused(71, advice, *arguments, preexec_fn=limit_processes(limit), **how)
            with self.subTest(way=name), Server(PROGRAM, *arguments, preexec_fn=limit_processes(4), **how):
                self.assertIsNotNone(ask(port=1123))

    def test_the_limits_of_systemds_unit_leave_room_for_the_largest_setting(self):
        unit = read(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "packaging", "systemd", "ntp-server.service"))
        tasks = int(re.search(r"^TasksMax=(\d+)$", unit, re.MULTILINE)[1])
        octets = int(re.search(r"^MemoryMax=(\d+)M$", unit, re.MULTILINE)[1]) << 20
        uid = next(uid for uid in range(61000, 61999) if not processes_of(uid))
        self.refused(2, "from 0 to 64", "--threads", "65")
        with Server(PROGRAM, "--threads", "64", environment={"NTP_SERVER_SERVER_USER": f"{uid}:{uid}"},
                    preexec_fn=limit_processes(tasks)) as server:
            for n in range(1, 255):  # most workers have a client
                self.assertIsNotNone(ask(source=f"127.0.5.{n}"))
            status = read(f"/proc/{server.process.pid}/status")
            self.assertEqual(int(re.search(r"Threads:\s+(\d+)", status)[1]), 2 * 64 + 2)
            self.assertLess(int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) << 10, octets / 2)

    def test_a_health_socket_that_cannot_be_made_is_told_and_the_service_runs(self):
        with Server(PROGRAM, environment={"NTP_SERVER_HEALTH_SOCKET": "/nonexistent/health.sock"}) as server:
            server.wait_line("healthcheck. will not work yet: listen on /nonexistent/health.sock: No such file")
            self.assertIsNotNone(ask())

    def test_a_reload_for_which_a_thread_is_missing_leaves_the_old_configuration_in_force(self):
        uid = next(uid for uid in range(61000, 61999) if not processes_of(uid))
        user = f"[server]\nuser = '{uid}:{uid}'\nthreads = 1\n"
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            os.chmod(file.name, 0o644)
            file.write(user + "listen = ['127.0.0.1:1123']\n")
            file.flush()
            server = Server(PROGRAM, "--config", file.name, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NPROC, (3, 3)))
            self.addCleanup(server.__exit__)
            file.seek(0)
            file.write(user + "listen = ['127.0.0.1:1123', '127.0.0.1:1124']\n")
            file.flush()
            server.process.send_signal(signal.SIGHUP)
            server.wait_line("cannot start a thread")
            server.wait_line("the old one stays in force")
            self.assertIsNotNone(ask(port=1123))
            self.assertIsNone(ask(port=1124, timeout=0.1))


if __name__ == "__main__":
    enter_own_network()
    LIBRARY, PROGRAM = sys.argv.pop(), os.path.abspath(sys.argv.pop())
    unittest.main(verbosity=2)
