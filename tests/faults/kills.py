"""kill -9 at random moments under load: every restart answers at once, no state is torn, what was learned stays."""
import os, re, signal, socket, subprocess, threading, time

import campaign
from campaign import Row, percentile
from harness import FakeKernel, Reply, Server, read, request, until

BAR_MS, SHORT_LIFE_S, LEARNED_S, LONGEST_STOP_S = 100.0, 0.25, (1.0, 1.6), 0.006

SURELY_TOLD_S = 0.2  # a life that is killed before may not have come to the line that says what it knows


class Asker(threading.Thread):
    """Asks every half millisecond and keeps when the last right answer came; what is wrong is counted."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.open, self.heard, self.wrong, self.running = {}, [], [], True

    def run(self):
        while self.running:
            nonce = int.from_bytes(os.urandom(8), "big") | 1
            self.open[nonce] = (time.monotonic(), time.time())
            try:
                self.socket.sendto(request(xmt=nonce), ("127.0.0.1", 123))
                self.collect()
            except OSError:
                pass
            if len(self.open) > 4000:
                self.open = dict(list(self.open.items())[-2000:])
            time.sleep(0.0005)

    def collect(self):
        while True:
            try:
                octets = self.socket.recv(500)
            except OSError:
                return
            now = time.monotonic()
            asked = self.open.pop(int.from_bytes(octets[24:32], "big"), None)
            reply = Reply(octets, asked[1] if asked else 0, time.time())
            if asked and campaign.right(reply):
                self.heard.append(now)
            else:
                self.wrong.append(octets.hex())

    def first_since(self, moment):
        return next((t for t in self.heard if t >= moment), None)


def one(server, asker, begun, random, path):
    """A life that ends by SIGKILL; every third is long enough to learn something, and is killed while it writes that down."""
    first = until(lambda: asker.first_since(begun), 5.0, "the first answer:\n" + "\n".join(server.lines[-5:]))
    learns = random.random() < 1 / 3
    time.sleep(random.uniform(*LEARNED_S) if learns else random.uniform(0, SHORT_LIFE_S))
    if learns or random.random() < 0.2:
        server.process.send_signal(signal.SIGTERM)
        time.sleep(random.uniform(0, LONGEST_STOP_S))
    server.process.kill()
    server.process.wait()
    server.reader.join(2)
    text = read(path) if os.path.exists(path) else ""
    asker.heard.clear()
    return (first - begun) * 1e3, text, time.monotonic() - first > SURELY_TOLD_S


def known(server):
    """What it said to know of the oscillator, or None."""
    found = [re.search(r"frequency=([+-][0-9.]+)ppm", line) for line in server.lines if "known from before" in line]
    return float(found[0][1]) if found else None


def frequency(text):
    found = re.search(r"^frequency (\S+)$", text, re.MULTILINE)
    return float(found[1]) * 1e6 if found else None


def run(settings):
    campaign.unshare(campaign.CLONE_NEWNET)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    random, runs = settings.random("kills"), 1000 if settings.long else 15
    first_ms, torn, forgotten, written = [], [], [], 0
    with campaign.folder() as folder:
        kernel = FakeKernel(settings.fake_kernel, maxerror_us=1234)
        upstream = Server(settings.program, "--listen", "127.0.7.1:123", "--http", "off", environment=kernel.environment())
        config, path = os.path.join(folder, "ntp.toml"), os.path.join(folder, "clock")
        campaign.write(config, f"[server]\nlisten = ['127.0.0.1:123']\n[clock]\nstate_directory = '{folder}'\n"
                               "[[source]]\naddress = '127.0.7.1'\nminpoll = -2\nmaxpoll = 0\n")
        arguments = dict(environment=kernel.environment(), wait=False)
        with Server(settings.program, "--config", config, **arguments) as server:  # learns the frequency that all later ones know
            server.wait_line("ready")
            until(lambda: server.status()["clock"]["state"] == "synchronised", 20.0, "synchronisation")
            server.stop()
        asker = Asker()
        asker.start()
        text = read(path)
        for number in range(runs):
            begun = time.monotonic()  # before the fork, so that exec is later than this
            with Server(settings.program, "--config", config, **arguments) as server:
                before = text
                took, text, must_know = one(server, asker, begun, random, path)
                told = known(server)
            first_ms.append(took)
            written += text != before
            if not campaign.state_is_whole(text):
                torn.append(number)
            afresh = any("learned afresh" in line for line in server.lines)
            if afresh or (must_know if told is None else abs(told - frequency(before)) > 0.001):
                forgotten.append(number)
        asker.running = False
        asker.join()
        upstream.__exit__()
    median, p99, worst = percentile(first_ms, 0.5), percentile(first_ms, 0.99), max(first_ms)
    settings.say(f"  kill -9: first right answer after {median:.1f} ms (median), {p99:.1f} (p99), {worst:.1f} (max); the state was written {written} times")
    in_time = not settings.long or p99 < BAR_MS
    return [Row.of("kill -9 under load, some while ending", runs, "first right answer p99 < 100 ms" + ("" if settings.long else " (long only)"),
                   f"{median:.1f} / {p99:.1f} / {worst:.1f} ms median, p99, max", in_time and not asker.wrong),
            Row.of("state file after each kill", runs, "whole, frequency kept", f"{len(torn)} torn, {len(forgotten)} forgotten, {written} rewritten, "
                   f"{len(asker.wrong)} wrong replies", not torn and not forgotten and not asker.wrong and written > 0)]
