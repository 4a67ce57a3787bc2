"""kill -9 at random moments under load: every restart answers at once, NTS included, no state is torn, what was learned stays."""
import os, re, signal, socket, threading, time

import campaign, ke_client, nts_questions
from campaign import Row, percentile
from harness import FakeKernel, Reply, Server, ke_process, read, request, until
from load import Load

BAR_MS, SHORT_LIFE_S, LEARNED_S, LONGEST_STOP_S = 100.0, 0.25, (1.0, 1.6), (0.006, 0.1, 0.4)

SURELY_TOLD_S = 0.2  # a life that is killed before may not have come to the line that says what it knows
HANDSHAKES, COUNTED_S = 'ntp_nts_ke_handshakes_total{outcome="ok"}', 1.0  # within which a handshake is in that count


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


class NtsAsker(threading.Thread):
    """Sends one question with a cookie of before the kill, again and again, until the server that is being started has answered it."""

    def __init__(self, association):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.3.1", 0))
        self.socket.setblocking(False)
        self.association, self.question, self.answer, self.running = association, None, None, True
        self.naks, self.wrong = 0, []

    def next(self):
        """The answer to the question so far is judged, its cookie taken; then the next one. True: it had an answer."""
        question, answer = self.question, self.answer
        self.question = None
        if answer is not None:
            cookie = self.association.fresh_cookie(question, answer)
            if cookie is None:
                self.wrong.append(answer.hex())
            else:
                self.association.cookie = cookie
        made = self.association.question(int.from_bytes(os.urandom(8), "big") | 1)
        self.answer, self.question = None, made
        return answer is not None

    def run(self):
        while self.running:
            question = self.question
            try:
                if question and self.answer is None:
                    self.socket.sendto(question, ("127.0.0.1", 123))
                self.collect(question)
            except OSError:
                pass
            time.sleep(0.001)

    def collect(self, question):
        while True:
            try:
                octets = self.socket.recv(2000)
            except OSError:
                return
            if nts_questions.is_nak(octets):
                self.naks += 1
            elif question and self.association.may_answer(question, octets):
                self.answer = octets


def one(server, asker, nts, begun, random, path):
    """A life that ends by SIGKILL; every third is long enough to learn something, and is killed while it writes that down.
    In most the old cookie's answer is waited for; others end before."""
    first = until(lambda: asker.first_since(begun), 5.0, "the first answer:\n" + "\n".join(server.lines[-5:]))
    learns = random.random() < 1 / 3
    if learns or random.random() < 0.7:
        until(lambda: nts.answer, 5.0, "an answer to a cookie of before the kill:\n" + "\n".join(server.lines[-5:]))
    time.sleep(random.uniform(*LEARNED_S) if learns else random.uniform(0, SHORT_LIFE_S))
    if learns or random.random() < 0.2:
        server.process.send_signal(signal.SIGTERM)
        time.sleep(random.uniform(0, random.choice(LONGEST_STOP_S)))  # the processes of NTS make an end longer
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


def frequencies_differ(told, before):
    return abs(told - frequency(before)) > 0.001


class Place:
    """What all lives have in common: an upstream with NTS, whose count of handshakes tells whether keys were kept, and the configuration."""

    def __init__(self, settings, folder):
        self.settings, self.folder = settings, folder
        self.kernel = FakeKernel(settings.fake_kernel, maxerror_us=1234)
        self.authority = ke_client.Authority(settings.program, "127.0.0.1", "127.0.7.1")
        self.upstream = Server(settings.program, "--listen", "127.0.7.1:123", "--http", "127.0.7.1:9559", environment=self.authority.environment(
            **self.kernel.environment(), NTP_SERVER_NTS_LISTEN="127.0.7.1:4460", NTP_SERVER_CLOCK_STATE_DIRECTORY="off"))
        until(lambda: ke_client.is_open("127.0.7.1"), 10, "key establishment upstream")
        self.config = os.path.join(folder, "ntp.toml")
        self.clock, self.cookie_keys, self.source_cookies = (os.path.join(folder, name) for name in ("clock", "cookie-keys", "source-cookies"))
        campaign.write(self.config, f"[server]\nlisten = ['127.0.0.1:123']\n[clock]\nstate_directory = '{folder}'\n"
                                    f"[nts]\nlisten = ['127.0.0.1:4460']\ncertificate = '{self.authority.certificate}'\nkey = '{self.authority.key}'\n"
                                    f"[[source]]\naddress = '127.0.7.1'\nminpoll = -2\nmaxpoll = 0\nnts = true\nnts_ca = '{self.authority.root}'\n")

    def server(self):
        return Server(self.settings.program, "--config", self.config, environment=self.kernel.environment(), wait=False)

    def upstream_count(self, name):
        for line in self.upstream.get("/metrics", host="127.0.7.1")[1].splitlines():
            if line.startswith(name + " "):
                return int(float(line.split()[-1]))
        raise KeyError(name)

    def first_life(self):
        """Learns the frequency, the keys of the source and the cookie that all later ones know; the keys in that cookie."""
        with self.server() as server:
            server.wait_line("ready")
            until(lambda: server.status()["clock"]["state"] == "synchronised", 20.0, "synchronisation")
            until(ke_client.is_open, 10.0, "key establishment")
            cookie = ke_client.cookies(ke_client.establish(self.authority.context()))[0]
            association = nts_questions.Association(cookie, nts_questions.secret_in(self.cookie_keys))
            server.stop()
        # Its process tells the server of handshakes a little later.
        self.handshakes = until(lambda: self.upstream_count(HANDSHAKES), 5.0, "the handshake of the first life")
        self.answered = self.upstream_count("ntp_server_nts_accepted_packets_total")
        return association

    def end(self):
        """Handshakes, answers with time and NAKs of the upstream since the first life."""
        time.sleep(COUNTED_S)
        found = (self.upstream_count(HANDSHAKES) - self.handshakes,
                 self.upstream_count("ntp_server_nts_accepted_packets_total") - self.answered,
                 self.upstream_count("ntp_server_nts_nak_packets_total"))
        self.upstream.__exit__()
        self.authority.__exit__()
        return found


def text_of(path):
    return read(path) if os.path.exists(path) else ""


class Lives:
    """All of them, one after the other, and what was seen."""

    def __init__(self, place, association):
        self.place, self.asker, self.nts = place, Asker(), NtsAsker(association)
        self.first_ms, self.torn, self.forgotten, self.secrets_torn = [], [], [], []
        self.written = self.answered = self.source_rewritten = self.key_changes = 0
        self.text, self.source_text = read(place.clock), text_of(place.source_cookies)
        self.secret = nts_questions.secret_in(place.cookie_keys)

    def run(self, runs, random):
        self.asker.start()
        self.nts.start()
        for number in range(runs):
            self.nts.next()
            begun = time.monotonic()  # before the fork, so that exec is later than this
            with self.place.server() as server:
                took, text, must_know = one(server, self.asker, self.nts, begun, random, self.place.clock)
            self.first_ms.append(took)
            self.judge(number, text, known(server), must_know, any("learned afresh" in line for line in server.lines))
            self.answered += self.nts.answer is not None
        for asker in (self.nts, self.asker):
            asker.running = False
            asker.join()
        self.nts.next()  # judges the last one

    def judge(self, number, text, told, must_know, afresh):
        before, self.text = self.text, text
        self.written += text != before
        if not campaign.state_is_whole(text):
            self.torn.append(number)
        if afresh or (must_know if told is None else frequencies_differ(told, before)):
            self.forgotten.append(number)
        keys, sources = text_of(self.place.cookie_keys), text_of(self.place.source_cookies)
        if not campaign.cookie_keys_are_whole(keys) or not campaign.cookie_keys_are_whole(sources):
            self.secrets_torn.append(number)
        else:
            self.key_changes += nts_questions.secret_in(self.place.cookie_keys) != self.secret
        self.source_rewritten += sources != self.source_text
        self.source_text = sources


def kills_of_the_server(settings):
    runs = 1000 if settings.long else 15
    with campaign.folder() as folder:
        place = Place(settings, folder)
        lives = Lives(place, place.first_life())
        lives.run(runs, settings.random("kills"))
        handshakes, source_answers, source_naks = place.end()
    median, p99, worst = percentile(lives.first_ms, 0.5), percentile(lives.first_ms, 0.99), max(lives.first_ms)
    settings.say(f"  kill -9: first right answer after {median:.1f} ms (median), {p99:.1f} (p99), {worst:.1f} (max); the state was written {lives.written} times")
    in_time, wrong, nts = not settings.long or p99 < BAR_MS, len(lives.asker.wrong), lives.nts
    return [Row.of("kill -9 under load, some while ending", runs, "first right answer p99 < 100 ms" + ("" if settings.long else " (long only)"),
                   f"{median:.1f} / {p99:.1f} / {worst:.1f} ms median, p99, max", in_time and not wrong),
            Row.of("state file after each kill", runs, "whole, frequency kept", f"{len(lives.torn)} torn, {len(lives.forgotten)} forgotten, {lives.written} rewritten, "
                   f"{wrong} wrong replies", not lives.torn and not lives.forgotten and not wrong and lives.written > 0),
            Row.of("cookies of before the kill, asked from the start on", lives.answered, "no NAK, every answer proven",
                   f"{nts.naks} NAKs, {len(nts.wrong)} wrong, keys changed {lives.key_changes} times", not nts.naks and not nts.wrong and not lives.key_changes and lives.answered > runs / 2),
            Row.of("files cookie-keys and source-cookies after each kill", runs, "whole", f"{len(lives.secrets_torn)} torn, source-cookies rewritten {lives.source_rewritten} times",
                   not lives.secrets_torn and lives.source_rewritten > 0),
            Row.of("NTS source over the kills", runs, "no new handshake, no NAK", f"{handshakes} handshakes, {source_naks} NAKs, {source_answers} answers",
                   handshakes == 0 and source_naks == 0 and source_answers > runs / 3)]


class Handshaker(threading.Thread):
    """One handshake after the other; those on the way when the process is killed fail, and only that is allowed."""

    def __init__(self, context):
        super().__init__(daemon=True)
        self.context, self.running, self.done, self.broken = context, True, 0, 0

    def run(self):
        while self.running:
            try:
                self.done += len(ke_client.cookies(ke_client.establish(self.context, timeout=3.0))) == 8
            except (OSError, EOFError, AssertionError):  # ssl.SSLError is an OSError
                self.broken += 1
                time.sleep(0.01)


def kills_of_key_establishment(settings):
    """The process ntp-ke and its keeper, under handshakes and questions over UDP."""
    runs, keepers, random = (100, 20, settings.random("ke")) if settings.long else (4, 2, settings.random("ke"))
    authority = ke_client.Authority(settings.program, "127.0.0.1")
    told = back = lost = wrong = done = broken = 0
    slowest = 0.0
    for life in range(keepers):
        with Server(settings.program, "--listen", "127.0.0.1:123", environment=authority.environment(
                NTP_SERVER_NTS_LISTEN="127.0.0.1:4460", NTP_SERVER_CLOCK_STATE_DIRECTORY="off")) as server:
            until(ke_client.is_open, 10, "key establishment")
            load, clients = Load(500), [Handshaker(authority.context()) for _ in range(3)]
            for thread in (load, *clients):
                thread.start()
            for _ in range(runs // keepers):
                time.sleep(random.uniform(0.05, 0.4))
                took = kill_and_wait(server, authority)
                back, slowest = back + (took is not None), max(slowest, took or 0.0)
            os.kill(ke_process(server, "ntp-ke-keeper"), signal.SIGKILL)
            try:
                server.wait_line("keeper of key establishment is gone", 5.0)
                told += 1
            except AssertionError as error:
                settings.say(f"  MISSED {error}")
            time.sleep(0.1)
            for client in clients:
                client.running = False
            lost, wrong = lost + load.finish(), wrong + load.wrong
            for client in clients:
                client.join(5)
            done, broken = done + sum(c.done for c in clients), broken + sum(c.broken for c in clients)
    authority.__exit__()
    return [Row.of("kill -9 of ntp-ke under handshakes", runs, "back each time, no question over UDP lost",
                   f"{back} back, the slowest in {slowest:.2f} s, {lost} lost, {wrong} wrong; {done} handshakes, {broken} broken", back == runs and not lost and not wrong and done > runs),
            Row.of("kill -9 of the keeper of ntp-ke", keepers, "told, no question over UDP lost", f"{told} told, {lost} lost", told == keepers and not lost)]


def kill_and_wait(server, authority):
    """How long until another process has handed out cookies, or None."""
    process = until(lambda: ke_process(server), 5.0, "the process of key establishment")
    begun = time.monotonic()
    os.kill(process, signal.SIGKILL)
    while time.monotonic() < begun + 10:
        try:
            if ke_process(server) not in (None, process) and len(ke_client.cookies(ke_client.establish(authority.context(), timeout=2.0))) == 8:
                return time.monotonic() - begun
        except (OSError, EOFError):
            pass
        time.sleep(0.005)
    return None


def run(settings):
    campaign.own_network()
    return kills_of_the_server(settings) + kills_of_key_establishment(settings)
