"""Faults of the machine: files, descriptors, memory, clocks, pauses, the reader of the log."""
import contextlib, os, resource, signal, socket, subprocess, threading, time

import campaign
from campaign import Row
from harness import FakeKernel, Server, ask, read, until

SOURCE = "[[source]]\naddress = '127.0.7.1'\nminpoll = -2\nmaxpoll = 0\n"


@contextlib.contextmanager
def upstream(settings):
    """A source; gives the kernel of whoever follows it."""
    kernel = FakeKernel(settings.fake_kernel, maxerror_us=1234)
    with Server(settings.program, "--listen", "127.0.7.1:123", "--http", "off", environment=kernel.environment()):
        yield FakeKernel(settings.fake_kernel, status=0x40, maxerror_us=16_000_000)  # of who follows: only its sources know the time


def config(folder, text):
    path = os.path.join(folder, "ntp.toml")
    campaign.write(path, text)
    return path


def follower(folder, state):
    return config(folder, f"[server]\nlisten = ['127.0.0.1:123']\nthreads = 1\n[clock]\nstate_directory = '{state}'\n{SOURCE}")


def synchronised(server):
    until(lambda: (reply := ask(timeout=0.3)) and reply.leap == 0 and campaign.right(reply), 20.0, "synchronisation")


def asked(seconds, every_s=0.01):
    """How many questions were asked in that time, and how many were lost."""
    number = lost = 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        number += 1
        lost += not campaign.ask_right(timeout=1.0)
        time.sleep(every_s)
    return number, lost


def bit_flips(settings):
    """Of each octet of the state file one bit; as the file is a text with a checksum, none may be believed."""
    with campaign.folder() as folder, upstream(settings) as kernel:
        path = follower(folder, folder)
        with Server(settings.program, "--config", path, environment=kernel.environment()) as server:
            synchronised(server)
            server.stop()
        state = os.path.join(folder, "clock")
        with open(state, "rb") as file:
            good = file.read()
        random, believed, places = settings.random("flips"), [], range(len(good))
        for place in places if settings.long else random.sample(places, 12):
            bad = bytearray(good)
            bad[place] ^= 1 << random.randrange(8)
            with open(state, "wb") as file:
                file.write(bad)
            with Server(settings.program, "--config", path, environment=kernel.environment()) as server:
                told = until(lambda: next((l for l in server.lines if "known from before" in l or "learned afresh" in l), None), 5.0, "the state")
                if "learned afresh" not in told or not campaign.ask_right(timeout=2.0):
                    believed.append(place)
                server.process.kill()
        runs = len(good) if settings.long else 12
    return Row.of("bit flips in the state file", runs, "none believed, each told", f"{len(believed)} believed", not believed)


@contextlib.contextmanager
def disk_of(options):
    """A folder with a tmpfs mounted in it."""
    with campaign.folder() as folder:
        disk = os.path.join(folder, "disk")
        os.mkdir(disk)
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", disk], check=True)
        try:
            yield folder, disk
        finally:
            subprocess.run(["umount", "--lazy", disk], check=True)


def full_disk(settings):
    with disk_of("size=4k,mode=777") as (folder, disk), upstream(settings) as kernel:
        path = follower(folder, disk)
        with Server(settings.program, "--config", path, environment=kernel.environment()) as server:
            synchronised(server)
            server.stop()
        good = read(os.path.join(disk, "clock"))
        outcomes = []
        for _ in range(5 if settings.long else 2):  # the old state is the disk's one page: no other file fits
            with Server(settings.program, "--config", path, environment=kernel.environment()) as server:
                synchronised(server)
                code, _ = server.stop()
                server.wait_line("No space left on device; what is learned of the oscillator is lost")
            outcomes.append(code == 0 and read(os.path.join(disk, "clock")) == good)
    return Row.of("disk full (tmpfs of 4 KiB)", len(outcomes), "serves, told, old state whole", f"{sum(outcomes)} of {len(outcomes)} so", all(outcomes))


def read_only_state(settings):
    with disk_of("ro") as (folder, disk), upstream(settings) as kernel:
        path = follower(folder, disk)
        with Server(settings.program, "--config", path, environment=kernel.environment()) as server:
            synchronised(server)
            code, _ = server.stop()
            server.wait_line("is lost at the next start")
    return Row.of("read-only state directory", 1, "serves, told, exit 0", f"exit {code}", code == 0)


def descriptors(settings):
    """RLIMIT_NOFILE 32 and a thousand connections for HTTP: NTP, health and the processor are none of theirs."""
    with campaign.folder() as folder:
        path = config(folder, "[server]\nlisten = ['127.0.0.1:123']\nthreads = 1\n[http]\nlisten = '127.0.0.1:9559'\n")
        with Server(settings.program, "--config", path, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))) as server:
            seconds, connections = (10 if settings.long else 2), []
            resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
            for _ in range(1000):
                s = socket.socket()
                s.setblocking(False)
                s.connect_ex(("127.0.0.1", 9559))
                connections.append(s)
            before, begun = campaign.cpu_s(server.process.pid), time.monotonic()
            healthy = [server.healthcheck("--timeout", "2s")[0] == 0 for _ in range(3)]
            number, lost = asked(seconds)
            share = (campaign.cpu_s(server.process.pid) - before) / (time.monotonic() - begun)
            for s in connections:
                s.close()
            until(lambda: page(server), 5.0, "HTTP afterwards")
            code, _ = server.stop()
    fine = lost == 0 and all(healthy) and share < 0.05 + 0.1 and code == 0  # a hundred questions a second are in it
    return Row.of("RLIMIT_NOFILE 32, 1,000 connections", number, "0 lost, healthy, CPU < 15 %", f"{lost} lost, {sum(healthy)} of {len(healthy)} healthy, CPU {share:.1%}", fine)


def page(server):
    try:
        return server.get("/healthz")[0] == 200
    except OSError:
        return False


def memory(settings):
    """64 MiB in all, and a million sources (forged, as far as the server can know)."""
    if not settings.load:
        return Row("64 MiB, 10^6 sources", 0, "RSS < 64 MiB", "ntpload is not built", "skipped")
    name = f"ntp-faults-{os.getpid()}"
    group = f"/sys/fs/cgroup/memory/{name}"
    limited = os.path.isdir("/sys/fs/cgroup/memory")
    for command in ("link add outside address 02:00:00:00:00:01 type veth peer name beyond", "addr add 10.99.0.2/30 dev outside", "link set outside up", "link set beyond up",
                    "route add 10.0.0.0/8 via 10.99.0.1", "neigh add 10.99.0.1 lladdr 02:00:00:00:00:99 dev outside nud permanent"):
        subprocess.run(["ip", *command.split()], check=True)
    for device in ("all", "outside"):
        campaign.set_sysctl(f"ipv4/conf/{device}/rp_filter", "0")
    mac = "02:00:00:00:00:01"
    if limited:
        os.mkdir(group)
        with open(f"{group}/memory.limit_in_bytes", "w", encoding="ascii") as file:
            file.write(str(64 << 20))
    enter = (lambda: open(f"{group}/cgroup.procs", "w", encoding="ascii").write(str(os.getpid()))) if limited else None
    try:
        with Server(settings.program, "--listen", "10.99.0.2:123", "--listen", "127.0.0.1:123", "--http", "off", preexec_fn=enter) as server:
            clients, seconds = (1_000_000, 30) if settings.long else (100_000, 3)
            load = subprocess.Popen([settings.load, "10.99.0.2", "--transport", "packet", "--interface", "beyond", "--to-mac", mac, "--from-mac", "02:00:00:00:00:99",
                                     "--source", "10.1.0.0", "--clients", str(clients), "--rate", "40000", "--duration", str(seconds), "--any-leap", "--json"],
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            peak = 0
            while load.poll() is None:
                peak = max(peak, int(next(l for l in read(f"/proc/{server.process.pid}/status").splitlines() if l.startswith("VmRSS")).split()[1]))
                time.sleep(0.1)
            said = load.stdout.read().strip()
            number, lost = asked(0.5)
            code, _ = server.stop()
    finally:
        if limited:
            until(lambda: remove(group), 5.0, "the group is empty")
    if load.returncode != 0:
        settings.say("  ntpload: " + said[-300:])
    return Row.of(f"64 MiB{'' if limited else ' (no cgroup: not limited)'}, {clients:,} sources", clients, "RSS < 64 MiB, serves",
                  f"RSS {peak / 1024:.1f} MiB, {lost} of {number} lost afterwards, exit {code}", peak < 65536 and lost == 0 and code == 0 and load.returncode == 0)


def remove(group):
    with contextlib.suppress(OSError):
        os.rmdir(group)
        return True
    return False


def pauses(settings):
    """SIGSTOP and SIGCONT: what waited is answered, with the time of now and not of then."""
    wrong = runs = 0
    with Server(settings.program, "--listen", "127.0.0.1:123", "--http", "off") as server:
        for seconds in (0.05, 0.3, 1.0, 3.0) * (5 if settings.long else 1):
            runs += 1
            server.freeze()
            answers = []
            thread = threading.Thread(target=lambda: answers.append(ask(timeout=seconds + 3)))
            thread.start()
            time.sleep(seconds)
            server.process.send_signal(signal.SIGCONT)
            thread.join()
            reply = answers[0]
            late = reply and abs(reply.time - reply.received) < 0.2 and reply.rec <= reply.xmt  # xmt is of when it left
            wrong += not late
            wrong += not campaign.ask_right(timeout=1.0)
        code, _ = server.stop()
    return Row.of("SIGSTOP for 50 ms to 3 s, SIGCONT", runs, "answered, with the time of now", f"{wrong} wrong, exit {code}", wrong == 0 and code == 0)


def clock_steps(settings):
    """The host's clock steps: a server with sources keeps the sources' time within its bound."""
    wrong, number = [], 0
    with campaign.folder() as folder, upstream(settings) as kernel:
        with Server(settings.program, "--config", follower(folder, folder), environment=kernel.environment()) as server:
            synchronised(server)
            steps = (0.001, -0.01, 1, -1, 3600, -86400, 315_360_000, -315_360_000, 0) if settings.long else (1, -86400, 0)
            for step in steps:
                kernel.set(step_ns=int(step * 1e9))
                deadline = time.monotonic() + 1.3
                while time.monotonic() < deadline:
                    number += 1
                    reply = ask(timeout=1.0)
                    bound = reply.root_delay / 2 + reply.root_dispersion if reply else 0
                    if not reply or reply.leap != 0 or not reply.sent - bound <= reply.time <= reply.received + bound:
                        wrong.append(step)
                    time.sleep(0.005)
            code, _ = server.stop()
    return Row.of(f"{len(steps)} steps of the host's clock, 1 ms to 10 y", number, "each reply within its bound", f"{len(wrong)} wrong, exit {code}", not wrong and code == 0)


def log_that_nobody_reads(settings):
    """Standard output is a full device, a closed pipe, a pipe that nobody empties."""
    lost = number = 0
    codes = []
    with campaign.folder() as folder:
        path = config(folder, "[server]\nlisten = ['127.0.0.1:123']\nthreads = 1\n[http]\nlisten = 'off'\n[log]\nrequests = true\n")
        for kind in ("/dev/full", "closed pipe", "full pipe"):
            reader, writer = os.pipe()
            out = os.open("/dev/full", os.O_WRONLY) if kind == "/dev/full" else writer
            if kind == "closed pipe":
                os.close(reader)
            process = subprocess.Popen([settings.program, "--config", path], stdout=out, stderr=out, env={"PATH": os.environ["PATH"], "NTP_SERVER_HEALTH_SOCKET": "off"})
            until(lambda: ask(timeout=0.1), 5.0, f"an answer with {kind}")
            n, gone = asked(3 if settings.long else 1, 0.002)
            process.send_signal(signal.SIGHUP)
            m, more = asked(0.3)
            process.send_signal(signal.SIGTERM)
            codes.append(process.wait(10))
            number, lost = number + n + m, lost + gone + more
            for fd in {out, writer} | ({reader} if kind != "closed pipe" else set()):
                os.close(fd)
    return Row.of("log to /dev/full, a closed and a full pipe", number, "0 lost, exit 0", f"{lost} lost, exits {codes}", lost == 0 and not any(codes))
