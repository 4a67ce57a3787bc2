"""systemd's side of the service: its messages, its sockets and its unit files, played and judged."""
import contextlib, glob, os, re, signal, socket, tempfile, time

from world import Server, ask, run, until

UNITS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "packaging", "systemd")
# What systemd does between fork and exec: sockets from descriptor 3 on, and the number of the process.
PLAY_SYSTEMD = """
import os, sys
fds, names, command = sys.argv[1].split(',') if sys.argv[1] else [], sys.argv[2].split(','), sys.argv[3:]
spare = [os.dup2(int(fd), 60 + i) for i, fd in enumerate(fds)]
for i, fd in enumerate(spare): os.dup2(fd, 3 + i)
os.closerange(3 + len(fds), 100)
if fds: os.environ['LISTEN_FDS'] = str(len(fds))
for name in filter(None, names): os.environ[name] = str(os.getpid())
os.execvp(command[0], command)
"""
UNPRIVILEGED = ["setpriv", "--reuid=64999", "--regid=64999", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]


class Notifications:
    """The socket that $NOTIFY_SOCKET names."""

    def __init__(self, abstract=False):
        self.scratch = tempfile.TemporaryDirectory(dir="/run")
        os.chmod(self.scratch.name, 0o755)
        self.name = f"@ntp-interop-{id(self)}" if abstract else self.scratch.name + "/notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.name.replace("@", "\0", 1))
        if not abstract:
            os.chmod(self.name, 0o777)

    def next(self, seconds=10.0):
        """Fields of the next message and when it came; an empty one after the deadline."""
        self.socket.settimeout(seconds)
        try:
            text = self.socket.recv(4096).decode()
        except TimeoutError:
            return {}, time.monotonic()
        return dict(line.split("=", 1) for line in text.splitlines()), time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        self.scratch.cleanup()


def started(lab, *arguments, fds=(), pid_names=("LISTEN_PID",), prefix=(), wait=True, **environment):
    """The program as systemd would start it."""
    for fd in fds:
        os.set_inheritable(fd, True)
    play = ["/usr/bin/python3", "-c", PLAY_SYSTEMD, ",".join(map(str, fds)), ",".join(pid_names), *prefix]
    return Server(lab.program, "run", "--http", "off", *arguments, environment=environment, prefix=play, wait=wait, pass_fds=fds)


def at_free_port(lab):
    port = lab.free_port()
    return port, ["--listen", f"127.0.0.1:{port}"]


def ready_when_it_answers(lab, abstract):
    port, listen = at_free_port(lab)
    with Notifications(abstract) as systemd, started(lab, *listen, wait=False, NOTIFY_SOCKET=systemd.name):
        message, _ = systemd.next()
        assert message.get("READY") == "1" and message.get("STATUS"), message
        reply = ask("127.0.0.1", port, timeout=5)
        assert reply and reply.mode == 4, "READY before it answers"


def reload_is_told(lab, text, logged):
    port, listen = at_free_port(lab)
    with tempfile.NamedTemporaryFile("w", suffix=".toml", dir="/run") as config, Notifications() as systemd:
        os.chmod(config.name, 0o644)
        with started(lab, *listen, "--config", config.name, NOTIFY_SOCKET=systemd.name) as server:
            assert systemd.next()[0].get("READY") == "1"
            config.write(text)
            config.flush()
            before = time.monotonic_ns() // 1000
            server.process.send_signal(signal.SIGHUP)
            begun, _ = systemd.next()
            assert begun.get("RELOADING") == "1", begun
            assert before <= int(begun["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000, begun
            done, _ = systemd.next()
            assert done.get("READY") == "1", done  # also after a bad file: the old settings are in force
            server.wait_line(logged)
            assert ask("127.0.0.1", port, timeout=5)


def stopping_is_told(lab):
    port, listen = at_free_port(lab)
    with Notifications() as systemd, started(lab, *listen, NOTIFY_SOCKET=systemd.name) as server:
        assert systemd.next()[0].get("READY") == "1"
        code, _ = server.stop()
        assert systemd.next()[0].get("STOPPING") == "1" and code == 0, code


def watchdog_is_fed(lab):
    _, listen = at_free_port(lab)
    with Notifications() as systemd, started(lab, *listen, pid_names=("WATCHDOG_PID",), NOTIFY_SOCKET=systemd.name, WATCHDOG_USEC="2000000") as server:
        assert systemd.next()[0].get("READY") == "1"
        stamps = []
        for _ in range(3):
            message, at = systemd.next()
            assert message == {"WATCHDOG": "1"}, message
            stamps.append(at)
        gaps = [b - a for a, b in zip(stamps, stamps[1:])]
        assert all(gap < 2.0 for gap in gaps), gaps
        server.process.send_signal(signal.SIGSTOP)  # a process that hangs feeds no watchdog
        systemd.next(0.1)
        assert systemd.next(2.5)[0] == {}, "fed while stopped"
        server.process.send_signal(signal.SIGCONT)


def watchdog_of_another(lab):
    _, listen = at_free_port(lab)
    with Notifications() as systemd, started(lab, *listen, NOTIFY_SOCKET=systemd.name, WATCHDOG_USEC="300000", WATCHDOG_PID="1"):
        assert systemd.next()[0].get("READY") == "1"
        message, _ = systemd.next(1.5)
        assert message == {}, message


def sockets(*endpoints, dual=False):
    made = []
    for address, port in endpoints:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        s = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not dual))
        s.bind((address, port))
        made.append(s)
    return made


def answers(port, addresses, seconds=5):
    for address in addresses:
        reply = ask(address, port, timeout=seconds)
        assert reply, f"no answer from {address}"
        came_from = reply.address.removeprefix("::ffff:")
        assert came_from == address and reply.mode == 4, (address, came_from)


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def activated(lab, *arguments, dual=False):
    """Sockets from systemd, no privilege; answers from the very address; a second start on the same sockets."""
    port = lab.free_port()
    held = sockets(("::", port), dual=True) if dual else sockets(("0.0.0.0", port), ("::", port))
    addresses = [lab.synced.peer_v4, lab.ahead.peer_v4, lab.synced.peer_v6, lab.ahead.peer_v6, "127.0.0.1", "::1"]
    with contextlib.ExitStack() as stack:
        for s in held:
            stack.enter_context(s)
        for start in ("first", "second"):
            with started(lab, *arguments, fds=[s.fileno() for s in held], prefix=UNPRIVILEGED) as server:
                # The listed endpoints are systemd's, not those of the configuration.
                assert str(port) in server.wait_line("Local socket:"), server.lines
                answers(port, addresses)
                worked, begun = cpu_s(server.process.pid), time.monotonic()
                while time.monotonic() < begun + 1.5:
                    answers(port, addresses[:1])
                    time.sleep(0.1)
                worked = cpu_s(server.process.pid) - worked
                assert worked < 0.3, f"{worked} s of CPU in 1.5 s with nothing to do ({start} start)"
                code, took = server.stop()
                assert code == 0 and took < 1, (start, code, took)


def pending_request_is_answered(lab):
    """What arrived before the service was started (and started it) gets its answer."""
    port = lab.free_port()
    held = sockets(("127.0.0.1", port))
    with held[0], socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"\x23" + bytes(47), ("127.0.0.1", port))
        with started(lab, fds=[held[0].fileno()], prefix=UNPRIVILEGED):
            client.settimeout(5)
            assert len(client.recv(100)) == 48


def sockets_of_another(lab):
    """LISTEN_PID of another process: not for us, so the configuration's own sockets are opened."""
    port, listen = at_free_port(lab)
    with started(lab, *listen, pid_names=(), LISTEN_PID="1", LISTEN_FDS="1"):
        answers(port, ["127.0.0.1"])


def stream_socket_is_refused(lab):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with started(lab, fds=[listener.fileno()], prefix=UNPRIVILEGED, wait=False) as server:
            until(lambda: server.process.poll() is not None, 10, "its end")
            server.reader.join(2)
            assert server.process.returncode == 78 and "not a UDP socket" in "\n".join(server.lines), (server.process.returncode, server.lines)


def analyze(package, *arguments):
    return run(["systemd-analyze", *arguments], package.environment(SYSTEMD_PAGER=""))


def units_verify(lab, package):
    with tempfile.TemporaryDirectory(dir="/run") as folder:
        units = []
        for unit in sorted(glob.glob(f"{UNITS}/ntp-server.*")):
            units.append(f"{folder}/{os.path.basename(unit)}")
            with open(unit) as old, open(units[-1], "w") as new:
                new.write(re.sub(r"(?m)^(Exec\w+=)\S*/ntp-server", rf"\1{lab.program}", old.read()))
        assert len(units) == 2, units
        status, text = analyze(package, "verify", "--man=no", "--recursive-errors=no", *units)
        complaints = [line for line in text.splitlines() if "ntp-server" in line]
        assert status == 0 and not complaints, text


def units_are_hardened(lab, package):
    status, text = analyze(package, "security", "--offline=true", "--no-pager", f"{UNITS}/ntp-server.service")
    level = re.search(r"Overall exposure level for \S+ (\d+\.\d+) (\w+)", text)
    assert level and float(level[1]) <= 1.8, text[-2000:]


def checks(lab):
    for kind in ("path", "abstract"):
        lab.check(f"systemd: READY=1 when it answers ({kind} socket)", [], lambda kind=kind: ready_when_it_answers(lab, kind == "abstract"))
    lab.check("systemd: RELOADING=1 with a stamp, then READY=1", [], lambda: reload_is_told(lab, "[server]\nstratum = 5\n", "reloaded"))
    lab.check("systemd: READY=1 also after a bad configuration", [], lambda: reload_is_told(lab, "[server]\nstratum = 99\n", "old one stays in force"))
    lab.check("systemd: STOPPING=1", [], lambda: stopping_is_told(lab))
    lab.check("systemd: WATCHDOG=1 in time, and none from a stopped process", [], lambda: watchdog_is_fed(lab))
    lab.check("systemd: another process's watchdog is left alone", [], lambda: watchdog_of_another(lab))
    for words, arguments in (("", ()), (" in one thread", ("--threads", "0"))):
        lab.check(f"systemd: sockets of both families, twice, without privilege{words}", [], lambda arguments=arguments: activated(lab, *arguments))
        lab.check(f"systemd: one socket for both families, twice{words}", [], lambda arguments=arguments: activated(lab, *arguments, dual=True))
    lab.check("systemd: the request that started the service is answered", [], lambda: pending_request_is_answered(lab))
    lab.check("systemd: another process's sockets are left alone", [], lambda: sockets_of_another(lab))
    lab.check("systemd: a stream socket is refused with exit 78", [], lambda: stream_socket_is_refused(lab))
    lab.check("systemd-analyze verify: no complaint about either unit", ["systemd"], lambda p: units_verify(lab, p))
    lab.check("systemd-analyze security: exposure at most 1.8", ["systemd"], lambda p: units_are_hardened(lab, p))
