"""Which AEAD algorithm is agreed on with whom, and that the time comes by it, cookie after cookie.

Debian 13's chronyd and a server of ours that was built on Debian 13 have AES-128-GCM-SIV, and agree on keys that are exported as
RFC 8915 has it (chrony's record 1024). All others have AES-SIV-CMAC-256 in common: nettle has the other from 3.9 on, which Debian
12 lacks, Debian's ntpsec and ntpd-rs do not know it. tests/docker runs this with the program of the image."""
import json, os, re, tempfile

import clients
from nts import Authority, chrony, chronyd, ntpd_rs
from nts_upstreams import credentials, follows, lab_query, listening
from world import FakeKernel, OurNode, daemon, no_clock, run, until

SIV_CMAC, GCM_SIV, OLD_GCM_SIV = "AES-SIV-CMAC-256", "AES-128-GCM-SIV", "AES-128-GCM-SIV/chrony-4.4"
NUMBERS = {SIV_CMAC: (15, 256), GCM_SIV: (30, 128)}  # of the algorithm, and the bits of a key
STA_PLL, STA_NANO = 0x0001, 0x2000
JAR = 8  # cookies that a client keeps


def best_of_ours(lab):
    listening(lab, lab.secure, lambda: "")
    return GCM_SIV if GCM_SIV in lab_query(lab, lab.secure.v4, lab.authority.root) else SIV_CMAC


class Alone(OurNode):
    """A server of ours, ahead by a known time, that nobody but the one client asks."""

    def __init__(self, lab, name):
        node = lab.node(name)
        self.authority = Authority(lab.program, node.v4, name)
        with open("/etc/hosts", "a") as file:
            file.write(f"{node.v4} {name}\n")
        kernel = FakeKernel(lab.fake_kernel, status=STA_PLL | STA_NANO, step_ns=int(clients.AHEAD_S * 1e9))
        super().__init__(lab, node, kernel, environment=self.authority.settings)
        listening(lab, node, lambda: "\n".join(self.server.lines))

    def given(self):
        """Keys handed out, by algorithm."""
        return {aead: count for aead, count in self.status()["nts"]["aeads"].items() if count}

    def has_answered(self, more_than, said, within_s=30):
        try:
            until(lambda: self.status()["packets"]["nts_accepted"] > more_than, within_s)
        except AssertionError:
            raise AssertionError(f"no {more_than} answers\n{said()}\n{self.status()['packets']}\n{self.status()['nts']}") from None
        assert self.status()["packets"]["nts_naks"] == 0, self.status()


def chronyd_of_ours(lab, package, name, aead):
    """What both say of it: the algorithm, whose keys, no NAK, more answers than cookies, and the time that is taken."""
    with Alone(lab, name) as ours:
        command, environment, control = chronyd(package, ours.node.v4, ours.authority.root, "-d", "-x")
        command = [word.replace("maxsamples 1 nts", "minpoll -4 maxpoll -4 nts") for word in command]

        def ask(about):
            words, asking = chrony(package, "chronyc", "-h", control, "-n", about)
            return run(words, asking)[1]
        with daemon(command, environment) as said:
            ours.has_answered(3 * JAR, said)
            # Name  Mode KeyID Type KLen Last Atmp NAK Cook CLen
            line = re.search(r"(?m)^\S+ +NTS +\d+ +(\d+) +(\d+) +\S+ +\d+ +(\d+) +(\d+) +(\d+)", ask("authdata"))
            kind, bits, naks, jar, _ = map(int, line.groups())
            assert (kind, bits) == NUMBERS[aead] and naks == 0 and jar >= JAR - 2, line[0]
            text = ask("ntpdata")
            assert re.search("Authenticated +: Yes", text) and clients.first(r"(?m)^Total valid RX +: (\d+)", text) > 2 * JAR, text
            text = ask("tracking")
            offset = clients.first(r"(?m)^System time +: (\S+) seconds slow of NTP time", text)
            assert offset is not None and abs(offset - clients.AHEAD_S) < clients.TOLERANCE_S, text
            until(lambda: ours.given() == {aead: 1}, 3, f"{aead}, told by us: {ours.given()}")


def ours_of_chronyd(lab, package, name, aead):
    node = lab.node(name)
    authority = credentials(lab, node)
    state = tempfile.mkdtemp(dir="/run")
    command, environment = chrony(package, "chronyd", "-d", "-x", "-u", "root", "local stratum 2", "allow", "cmdport 0",
                                  f"bindcmdaddress {state}/sock", f"pidfile {state}/pid", f"ntsserverkey {authority.folder}/server.key",
                                  f"ntsservercert {authority.folder}/server.crt", f"ntsdumpdir {state}")
    words, asking = chrony(package, "chronyc", "-h", f"{state}/sock", "serverstats")
    with daemon([*node.enter, *no_clock(*command)], environment) as said:
        listening(lab, node, said)
        # Of the same server, by hand: whether keys are exported as the RFC has it is no matter of a source's status.
        told = json.loads(run([lab.program, "query", "--nts", "--json", "--ca", authority.root, node.v4], dict(os.environ), 20)[1])
        assert told["nts"]["aead"] == aead and told["nts"]["exported_as_rfc"], told
        before = clients.first(r"Authenticated NTP packets +: (\d+)", run(words, asking)[1])
        for address in (node.v4, node.v6):
            follows(lab, f"{name}{'v4' if address == node.v4 else 'v6'}", address, authority, aead)
        text = run(words, asking)[1]
        assert clients.first(r"Authenticated NTP packets +: (\d+)", text) - before > 3 * JAR, text


def ntpsec_of_ours(lab, package):
    with Alone(lab, "as") as ours:
        config = tempfile.mktemp(suffix=".conf", dir="/run")
        with open(config, "w") as file:
            file.write(f"server as nts ca {ours.authority.root} iburst\ndriftfile {config}.drift\n")
        _, text = run(no_clock("ntpd", "-n", "-q", "-c", config), package.environment(), 20)
        offset = clients.first(r"ntpd: time (?:slew|set) (\S+?)s", text)
        assert offset is not None and abs(offset - clients.AHEAD_S) < clients.TOLERANCE_S, text
        ours.has_answered(2, lambda: text)
        assert ours.given() == {SIV_CMAC: 1}, ours.given()


def ntpsec_lasts(lab, package):
    """As a lasting client: what ntpq tells of its cookies, answers and choice, and what we count of it."""
    with Alone(lab, "al") as ours:
        node = lab.node("alc")
        config = tempfile.mktemp(suffix=".conf", dir="/run")
        with open(config, "w") as file:
            file.write(f"server al nts ca {ours.authority.root} iburst minpoll 0 maxpoll 0\ndisable ntp\nrestrict default noquery\nrestrict 127.0.0.1\n"
                       f"driftfile {config}.drift\n")  # it ends where it may not lead the clock, so it does not try

        def ntpq(*words):
            asked = [word for command in words for word in ("-c", command)]
            return run([*node.enter, "/usr/bin/python3", package.path("/usr/bin/ntpq"), "-n", *asked, "127.0.0.1"], package.environment())[1]
        with daemon([*node.enter, *no_clock("ntpd", "-n", "-g", "-c", config)], package.environment()) as said:
            ours.has_answered(2 * JAR, said, 75)  # it asks every other second at most
            text = until(lambda: (now := ntpq("rv &1")) and "sys.peer" in now and now, 30, f"its choice\n{said()}\n{ntpq('rv &1', 'ntsinfo')}")
            assert clients.first(r"ntscookies=(\d+)", text) >= JAR - 2 and "stratum=3" in text, text
            offset_s = clients.first(r"\boffset=([-\d.]+)", text) / 1000
            assert abs(offset_s - clients.AHEAD_S) < clients.TOLERANCE_S, text
            text = ntpq("ntsinfo")
            good, bad = clients.first(r"(?mi)^NTS client recvs good: +(\d+)", text), clients.first(r"(?mi)^NTS client recvs w error: +(\d+)", text)
            assert good > JAR and bad == 0, text
            assert ours.given() == {SIV_CMAC: 1}, f"a second handshake: {ours.given()}"


def ntpd_rs_of_ours(lab, package):
    with Alone(lab, "ar") as ours:
        with daemon(*ntpd_rs(lab, package, "ar", ours.authority.root)) as said:
            until(lambda: ours.given() == {SIV_CMAC: 1}, 20, said())
            ours.has_answered(0, said)


def checks(lab):
    best = best_of_ours(lab)
    for package, release, aead in (("chrony", "12", SIV_CMAC), ("chrony-trixie", "13", best)):
        lab.check(f"nts: Debian {release}'s chronyd takes the time from ours by {aead}", [package],
                  lambda p, name=f"a{release}", aead=aead: chronyd_of_ours(lab, p, name, aead))
        lab.check(f"nts: ours takes the time from Debian {release}'s chronyd by {aead}", [package],
                  lambda p, name=f"k{release}", aead=aead: ours_of_chronyd(lab, p, name, aead))
    lab.check(f"nts: ntpsec takes the time from ours by {SIV_CMAC}", ["ntpsec"], lambda p: ntpsec_of_ours(lab, p), lab.lock("ntpsec"))
    lab.check("nts: ntpsec lives on the cookies of ours", ["ntpsec"], lambda p: ntpsec_lasts(lab, p), lab.lock("ntpsec"))
    lab.check(f"nts: ntpd-rs takes the time from ours by {SIV_CMAC}", ["ntpd-rs"], lambda p: ntpd_rs_of_ours(lab, p))
