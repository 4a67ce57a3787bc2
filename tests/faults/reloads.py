"""Reloads under load, half of them invalid: every question is answered, what is bad changes nothing and is told with its place.
The good ones change keys, access rules, limits, the certificate and listeners, while plain, signed and NTS questions are asked."""
import hashlib, os, re, signal, time

import campaign, ke_client, nts_questions
from campaign import Row, percentile
from harness import Server, ask, request, until
from load import Load

SERVICE = 65532  # what root becomes
KEPT_KEY, KEPT_SECRET = 5, b"stays-in-every-file"
TURNING_KEY = 6
SOMETIMES_DENIED = [f"127.0.9.{number}" for number in range(1, 9)]
EXTRA_LISTENER = "127.0.0.9:1123"  # a port that needs no capability: it is bound after the start

START = "[server]\nlisten = ['127.0.0.1:123']\n"
BAD = ((START + "poll_minimum = 17\nnonsense = 1\n", r"ntp\.toml:4:1: unknown key"),
       ("[server]\nlisten = ['127.0.0.1:123'\n", r"ntp\.toml:\d+:\d+"),
       (START + "stratum = 99\n", r"ntp\.toml:3:11"),
       (START + "[access]\ndeny = ['127.0.2.0/24', '127.0.0.300']\n", r"ntp\.toml:4"),
       ("server = 3\n", r"ntp\.toml:1"))


def signed(payload, number, key):
    return payload + number.to_bytes(4, "big") + hashlib.sha1(key + payload).digest()


def is_signed(octets, number, key):
    return octets[48:] == number.to_bytes(4, "big") + hashlib.sha1(key + octets[:48]).digest()


class SignedLoad(Load):
    """Of a key that every version of the file has."""

    def question(self, nonce):
        return signed(super().question(nonce), KEPT_KEY, KEPT_SECRET)

    def is_right(self, reply):
        return is_signed(reply, KEPT_KEY, KEPT_SECRET)


class NtsLoad(Load):
    """A few questions, made beforehand, sent again and again; of the answers some are opened."""
    MADE, OPENED_OF = 64, 10

    def __init__(self, rate, association):
        super().__init__(rate, clients=4)
        self.association, self.answers, self.opened = association, 0, 0
        nonces = [int.from_bytes(os.urandom(8), "big") for _ in range(self.MADE)]
        self.questions = {nonce.to_bytes(8, "big"): association.question(nonce) for nonce in nonces}

    def send_one(self):
        nonce = next((nonce for nonce in self.questions if nonce not in self.unanswered), None)
        self.sent += 1
        if nonce is None:  # all of them are on the way: a loss will be seen in them
            return
        self.questions[nonce] = self.questions.pop(nonce)  # the last one to be sent again
        self.send(nonce, self.questions[nonce])
        self.unanswered[nonce] = time.monotonic()

    def is_right(self, reply):
        self.answers += 1
        question = self.questions[reply[24:32]]
        if self.answers % self.OPENED_OF:
            return self.association.may_answer(question, reply)
        self.opened += 1
        return self.association.fresh_cookie(question, reply) is not None


class Versions:
    """The configuration in force and the files that it names; turn() makes another good one."""

    def __init__(self, folder, authority, random):
        self.authority, self.random, self.number = authority, random, 0
        self.config, self.keys = os.path.join(folder, "ntp.toml"), os.path.join(folder, "keys")
        self.certificates = 0
        self.turn()

    def turn(self):
        random, self.number = self.random, self.number + 1
        self.poll = random.randint(4, 12)
        self.denied = random.sample(SOMETIMES_DENIED, random.randint(0, 7))
        self.secret = os.urandom(16).hex().encode()
        self.write_keys()
        if self.number % 10 == 0:
            self.authority.issue()
            self.certificates += 1
        listen = ["127.0.0.1:123"] + [EXTRA_LISTENER] * (self.number // 20 % 2)  # others in every twentieth
        allow = "allow = ['127.0.0.0/8']\n" if random.random() < 0.5 else ""
        campaign.write(self.config, f"[server]\nlisten = {listen}\nthreads = 2\npoll_minimum = {self.poll}\nkeys_file = '{self.keys}'\n"
                       f"[access]\n{allow}deny = {self.denied}\n"
                       f"[rate]\nlimit = {random.choice((0, 1000, 5000))}\nburst = {random.choice((2000, 8000))}\nleak = {random.randint(1, 4)}\n"
                       f"[clock]\nstate_directory = '{os.path.dirname(self.config)}'\n"
                       f"[nts]\nlisten = ['127.0.0.1:4460']\ncertificate = '{self.authority.certificate}'\nkey = '{self.authority.key}'\n")

    def write_keys(self):
        """The kept key, the one that always changes, and others, at another place each time."""
        lines = [f"{KEPT_KEY} SHA1 HEX:{KEPT_SECRET.hex()}\n", f"{TURNING_KEY} SHA1 HEX:{self.secret.hex()}\n"]
        lines += [f"{100 + number} SHA256 HEX:{os.urandom(20).hex()}\n" for number in self.random.sample(range(50), self.random.randint(0, 20))]
        self.random.shuffle(lines)
        campaign.write(self.keys + ".new", "".join(lines))
        os.chmod(self.keys + ".new", 0o600)
        os.chown(self.keys + ".new", SERVICE, SERVICE)
        os.rename(self.keys + ".new", self.keys)

    def faults(self):
        """What replies say that is not of the version in force."""
        reply = ask(timeout=5)
        if reply is None or reply.poll != self.poll or not campaign.right(reply, 5.0):
            yield f"poll {reply and reply.poll} in a reply, {self.poll} is in force"
        reply = ask(payload=signed(request(), TURNING_KEY, self.secret), timeout=5)
        if reply is None or not is_signed(reply.octets, TURNING_KEY, self.secret):
            yield "the new key is not in force"
        for address in SOMETIMES_DENIED[:2]:
            is_denied = address in self.denied
            if (ask(source=address, timeout=0.1 if is_denied else 5) is None) != is_denied:
                yield f"{address} is {'not ' * is_denied}denied"

    def handshake_fault(self):
        try:
            return None if len(ke_client.cookies(ke_client.establish(self.authority.context()))) == 8 else "not eight cookies"
        except (OSError, EOFError) as error:
            return f"a handshake: {error!r}"


class Campaign:
    def __init__(self, settings, program, rate):
        self.settings, self.program, self.rate, self.random = settings, program, rate, settings.random("reloads")
        self.wrong, self.took, self.handshakes = [], [], 0

    def run(self, runs):
        authority = ke_client.Authority(self.settings.program, "127.0.0.1")
        with campaign.folder() as folder:
            self.versions = Versions(folder, authority, self.random)
            with Server(self.program, "--config", self.versions.config, wait=False) as server:
                server.wait_line(r"ready.*start", 30.0)
                until(ke_client.is_open, 30.0, "key establishment")
                cookie = ke_client.cookies(ke_client.establish(authority.context()))[0]
                association = nts_questions.Association(cookie, nts_questions.secret_in(os.path.join(folder, "cookie-keys")))
                self.loads = Load(self.rate), SignedLoad(self.rate / 4), NtsLoad(self.rate / 10, association)
                for load in self.loads:
                    load.start()
                for number in range(runs):
                    self.one(server, number)
                self.lost = [load.finish(3.0) for load in self.loads]
                self.code, self.seconds = server.stop(seconds=20)
        authority.__exit__()

    def one(self, server, number):
        is_good, pattern = number % 2 == 0, "configuration reloaded"
        if is_good:
            self.versions.turn()
        else:
            text, pattern = self.random.choice(BAD)
            campaign.write(self.versions.config, text)
        since, begun = len(server.lines), time.monotonic()
        server.process.send_signal(signal.SIGHUP)
        server.wait_line("configuration reloaded" if is_good else "stays in force", 20.0, since=since)
        self.took.append(time.monotonic() - begun)
        if not is_good and not any(re.search(pattern, line) for line in server.lines[since:]):
            self.wrong.append(f"{number}: no {pattern} in {server.lines[since:]}")
        if number % 20 < 2:  # the thread of the worker reads its policy after each receive
            self.wrong += [f"{number}: {fault}" for fault in self.versions.faults()]
        if number % 20 == 10:
            self.handshakes += 1
            if fault := self.versions.handshake_fault():
                self.wrong.append(f"{number}: {fault}")
        if number % 100 == 99:
            del server.lines[:-50]

    def rows(self, name, runs):
        for text in self.wrong[:5]:
            self.settings.say("  MISSED " + text)
        plain, macs, nts = self.loads
        wrong = len(self.wrong) + sum(load.wrong for load in self.loads)
        asked = f"{plain.sent:,} plain, {macs.sent:,} signed, {nts.answers:,} NTS ({nts.opened:,} opened)"
        fine = not wrong and not any(self.lost) and self.code == 0 and nts.opened > 0
        self.settings.say(f"  {name}: {asked}; {self.handshakes} handshakes over {self.versions.certificates} certificates")
        return Row.of(name, runs, "none lost, none wrong, places told, exit 0",
                      f"{'/'.join(map(str, self.lost))} of {asked} lost, {wrong} wrong, p99 {percentile(self.took, 0.99) * 1e3:.0f} ms, "
                      f"exit {self.code} in {self.seconds:.2f} s", fine)


def campaign_of(settings, program, name, runs, rate):
    one = Campaign(settings, program, rate)
    one.run(runs)
    return one.rows(name, runs)


def run(settings):
    campaign.own_network()
    rows = [campaign_of(settings, settings.program, "reloads under load, half of them invalid", 10_000 if settings.long else 100, 1000)]
    if settings.long and settings.tsan:
        os.environ["TSAN_OPTIONS"] = "halt_on_error=0:exitcode=66"
        rows.append(campaign_of(settings, settings.tsan, "the same with the thread sanitizer", 10_000, 300))
    elif settings.long:
        rows.append(Row("the same with the thread sanitizer", 0, "no race", "no build/tsan/ntp-server", "MISSED"))
    return rows
