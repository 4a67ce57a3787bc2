#!/usr/bin/env python3
"""./dev attack: the bars for attacks, each measured on the running program, as one table.

  run.py NTP-SERVER NTPLOAD [--short] [--only TEXT]

Ids are those of the attack table that the project started from; docs/decisions/0013 has the reasons for
the limits. Everything happens in network namespaces of its own. Exit code 1 when a bar is missed.
"""

import argparse
import json
import random
import select
import signal
import socket
import struct
import sys
import time

from lab import SECOND, SERVER, Lab, Server, asked_and_answered, extension, request

import netns  # noqa: I001  found by lab

QUIET_S = 0.3  # silence is judged after this


def silence(lab, server, payloads, source="10.77.1.1", port=0):
    """None may be answered; each is counted with a reason."""
    with lab.client(source, port) as one:
        def send():
            for payload in payloads:
                one.sendto(payload, (SERVER, 123))
        got = lab.reaction(server, send, len(payloads))
        time.sleep(QUIET_S)
        answered = bool(select.select([one], [], [], 0)[0])
    counted = sum(got["dropped"].values())
    good = not answered and got["replies"] == 0 and counted == got["received"] == len(payloads)
    reasons = ", ".join(f"{number} {reason}" for reason, number in got["dropped"].items())
    return good, f"{got['replies']} replies; {reasons}"


def a01(lab, server, _):
    return silence(lab, server, [bytes.fromhex("1700032a") + bytes(n) for n in range(189)])


def a02(lab, server, _):
    return silence(lab, server, [bytes.fromhex("9700000000000000")] * 10, port=123)


def a03(lab, server, _):
    payloads = []
    for opcode in range(32):
        for bits in range(8):
            for count in (0, 1, 468, 65535):
                head = struct.pack("!BBHHHHH", 0x16, bits << 5 | opcode, 7, 0, 0, 0, count)
                payloads.append(head + bytes(min(count, 468)))
    return silence(lab, server, payloads)


def a04_itself(lab, server, _):
    sent = lab.network.udp_sent()
    before = server.packets()["received"]
    with lab.network.inside(lab.network.server):
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    for first in range(256):
        raw.sendto(netns.raw_udp(socket.AF_INET, SERVER, 123, SERVER, 123, request(first=first)),
                   (SERVER, 0))
    raw.close()
    lab.until("forged packets", lambda: server.packets()["received"] >= before + 256)
    soon = lab.network.udp_sent()
    time.sleep(0.5)
    later = lab.network.udp_sent()
    return soon == sent and later == soon, f"{soon - sent} datagrams, then {later - soon}"


def a04_two(lab, _, __):
    with Server(lab, address=SERVER) as one, Server(lab, address=SECOND, http=9560) as two:
        with lab.network.inside(lab.network.server):
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        sent, before = lab.network.udp_sent(), two.packets()["received"]
        for first in range(256):
            raw.sendto(netns.raw_udp(socket.AF_INET, SERVER, 123, SECOND, 123,
                                     request(first=first)), (SECOND, 0))
        raw.close()
        lab.until("forged packets", lambda: two.packets()["received"] >= before + 256)
        time.sleep(0.5)
        datagrams, answers = lab.network.udp_sent() - sent, one.packets()["sent"]
    # From port 123 versions 1 to 4 of modes 1 and 3 are requests, with any leap: 32.
    return datagrams == 32 and answers == 0, f"{datagrams} replies to 256, {answers} replies to those"


def a08(lab, server, _):
    return silence(lab, server, [request() + bytes(4)] * 10)


def a14(lab, server, short):
    """Random lengths, types and ends; every reply is held against its request."""
    seed = random.SystemRandom().getrandbits(32)
    dice, lengths, longer, replies = random.Random(seed), {}, 0, 0
    one = netns.udp_socket(socket.AF_INET, 0)
    count = 5_000 if short else 50_000
    for number in range(count + 1):
        if number == count // 5 - 500:
            server.process.send_signal(signal.SIGSTOP)
        if number == count // 5:
            server.process.send_signal(signal.SIGCONT)
            time.sleep(0.5)
            rss = server.resident_kib()  # those of a full batch have used each buffer
        if number % 50 == 0 or number == count:
            while select.select([one], [], [], 0.5 if number == count else 0)[0]:
                reply = one.recv(4096)
                replies += 1
                longer += len(reply) > lengths.get(reply[24:32], 0)
        fields = b"".join(
            extension(dice.choice((0, 0x0104, 0x0204, 0x0304, 0x0404, 0x2005, 0xF323, 0xFFFF)),
                      dice.choice((0, 1, 3, 4, 15, 16, 20, 24, 28, 32, 64, 1020, 65535)),
                      dice.choice((4, 8, 16, 24, 28, 32, 64, 400)))
            for _ in range(dice.randrange(4)))
        payload = request(first=dice.choice((0x23, 0x23, 0x1B, dice.randrange(256)))) + fields
        payload = payload[:dice.choice((len(payload), len(payload), dice.randrange(1, len(payload) + 1)))]
        lengths[payload[40:48]] = len(payload)
        source = f"10.77.{dice.randrange(256)}.{dice.randrange(1, 255)}"
        pktinfo = struct.pack("=I4s4s", 0, socket.inet_aton(source), bytes(4))
        one.sendmsg([payload], [(socket.IPPROTO_IP, 8, pktinfo)], 0, (SERVER, 123))
    one.close()
    grown = server.resident_kib() - rss
    return longer == 0 and replies > count / 20 and grown <= 64, \
        f"{replies} replies to {count:,}, {longer} longer, RSS {grown:+} KiB (seed {seed})"


def a15(lab, server, _):
    sent = lab.network.udp_sent()
    for source in ("127.0.0.1", "127.1.2.3"):
        for port in (123, 40000):
            lab.forge(source, port, request())
    for port in (123, 40000):
        lab.forge("::1", port, request(), to=netns.SERVER_V6[0])
    time.sleep(QUIET_S)
    dropped, replies = server.packets()["dropped"]["bad_source"], lab.network.udp_sent() - sent
    return replies == 0 and dropped > 0, f"{replies} replies to 6, {dropped} in all known as forged"


def a26(rate, requests, spacing_s, least, settle_s=0.0):
    """The bar is about a machine that keeps up: where others took the processor, it is tried again."""
    def bar(lab, server, short):
        asked = requests // 2 if short and rate >= 20_000 else requests
        for attempt in range(1, 4):
            victim, before = f"10.77.26.{rate % 250 + attempt}", server.packets()["lost"]
            with lab.client(victim) as one, lab.flood(victim, rate):
                time.sleep(settle_s)
                served = asked_and_answered(one, asked, spacing_s)
            lost = server.packets()["lost"] - before
            if served >= least * asked or lost == 0:
                break
        return served >= least * asked, \
            f"{served} of {asked} served, {lost} datagrams lost (attempt {attempt})"
    return bar


def nts_victim(rate, forged):
    """A client with NTS while its address is forged, by plain requests or by ones with random cookies."""
    def bar(lab, _, short):
        per_s = 20 if short else 10
        with Server(lab, nts=True) as server:
            session, victim = ("--nts", lab.session()), f"10.77.28.{rate % 250 + 1}"
            for attempt in range(1, 4):
                before = server.packets()["lost"]
                with lab.flood(victim, rate, options=(*session, "--forged") if forged else ()):
                    time.sleep(1.0)  # at 20,000/s above the limit by then
                    result = lab.ask(victim, 1, per_s, 40.5 / per_s, *session)
                lost = server.packets()["lost"] - before
                if result["lost"] == 0 or lost == 0:
                    break
            packets = server.packets()
            over, refused = packets["dropped"]["over_limit"], packets["nts_naks"]
        return result["replies"] >= 40 and result["lost"] == 0 and not result["faults"] and forged == (refused > 0), \
            f"{result['replies']} of {result['sent']} served, {over:,} others dropped, {refused:,} refused, {lost} lost (attempt {attempt})"
    return bar


def garbage(lab, _, short):
    """The same honest client, beside forged sources that send random cookies and beside plain ones."""
    served = {}
    with Server(lab, nts=True) as server:
        session = lab.session()
        for kind, options in (("plain", ()), ("forged NTS", ("--nts", session, "--forged"))):
            for attempt in range(3):
                before = server.packets()["lost"]
                with lab.client("10.77.29.7") as one, \
                        lab.flood("10.128.0.1", 15_000, 4_000_000, options):
                    served[kind] = asked_and_answered(one, 40, 0.05 if short else 0.1)
                if served[kind] >= 39 or server.packets()["lost"] == before:
                    break
    return min(served.values()) >= 39, ", ".join(f"{number} of 40 beside {kind}" for kind, number in served.items())


def fairness(share, most):
    """A hundred clients while four million forged addresses ask for so much of what can be answered.

    Without a bar (`most` is None) it is told only: what the kernel drops of a full queue it drops
    without regard to who asked, so no bar could be kept on every machine (decision 13)."""
    def bar(lab, server, short):
        seconds = 2 if short else 6
        capacity = json.loads(lab.generate("10.64.0.1", 100_000, "--duration", 2).communicate()[0])["rate"]
        # The clients look patient and the flood spins: what it could not send is not an overload.
        flood = lab.generate("10.128.0.1", 4_000_000, "--rate", round(share * capacity), "--duration", seconds + 1)
        time.sleep(0.5)
        before = server.packets()
        result = lab.ask("10.77.24.1", 100, 200, seconds)
        lost = server.packets()["lost"] - before["lost"]
        read = server.packets()["received"] - before["received"]
        sent = json.loads(flood.communicate()[0])
        offered = sent["sent"] / sent["duration_s"] / capacity
        unanswered = result["lost"] / max(1, result["sent"])
        return None if most is None else unanswered < most, \
            f"{100 * unanswered:.1f} % of {result['sent']} unanswered at {offered:.2f} x {capacity:,.0f}/s; " \
            f"the kernel dropped {100 * lost / max(1, lost + read):.0f} % of all"
    return bar


def kisses(settings, least, most_per_s):
    def bar(lab, _, __):
        with Server(lab, f"[rate]\nburst = 0\n{settings}") as server:
            with lab.flood("10.77.27.1", 20_000):
                begun = time.monotonic()
                time.sleep(3)
                count = server.status()["rate"]["kisses"]
                seconds = time.monotonic() - begun
            over = server.packets()["dropped"]["over_limit"]
        return least <= count <= most_per_s * (seconds + 1) and over > 1000, \
            f"{count} in {seconds:.1f} s, {over:,} met with silence"
    return bar


def a37(settings):
    def bar(lab, _, short):
        bad = 100_000 if short else 1_000_000
        with Server(lab, settings) as server:
            lines, begun = server.lines(), time.monotonic()
            for first in (0x27, 0x26, 0x24, 0x33, 0x00):  # modes 7, 6 and 4, version 6, nothing
                lab.pour(request(first=first), bad // 5)
            time.sleep(1)  # the log is written four times a second
            packets = server.packets()
            seconds, lines = time.monotonic() - begun, server.lines() - lines
        return lines <= 100 and packets["sent"] == 0 and packets["received"] + packets["lost"] > bad / 2, \
            f"{lines} lines in {seconds:.1f} s; {packets['received']:,} read, {packets['lost']:,} lost"
    return bar


def a45(lab, server, _):
    before = server.packets()
    with lab.client("10.77.45.1") as one:
        for size in (1504, 4000, 65_507):
            one.sendto(request() + bytes(size - 48), (SERVER, 123))
        time.sleep(QUIET_S)
        answered = bool(select.select([one], [], [], 0)[0])
    after = server.packets()
    known = after["dropped"]["too_long"] - before["dropped"]["too_long"]
    return not answered and known == 3, f"{known} of 3 known as too long, {'a' if answered else 'no'} reply"


def memory(lab, server, short):
    sources = 200_000 if short else 2_000_000
    with Server(lab) as fresh:
        json.loads(lab.generate("10.64.0.1", 1000, "--duration", 0.5).communicate()[0])
        rss, files, asked = fresh.resident_kib(), fresh.descriptors(), 0
        end = time.monotonic() + 240
        while asked < sources and time.monotonic() < end:  # the loop visits all before any twice
            seconds = 2 if asked == 0 else 1.3 * sources / rate
            result = json.loads(lab.generate("10.0.0.1", sources, "--duration", f"{seconds:.1f}")
                                .communicate()[0])
            rate, asked = max(result["rate"], 1), result["all_replies"]
        grown, opened = fresh.resident_kib() - rss, fresh.descriptors() - files
    return asked >= sources and grown <= 64 and opened == 0, \
        f"{grown:+} KiB and {opened:+} descriptors after {asked:,} answers to {sources:,} addresses"


def honest(lab, server, _):
    """One client that polls, while forged sources flood at what this machine bears easily."""
    with lab.client("10.77.25.7") as one, lab.flood("10.128.0.1", 15_000, 4_000_000):
        served = asked_and_answered(one, 40, 0.1)
    return served >= 39, f"{served} of 40 served"


def crowd(lab, _, __):
    """As many clients behind one address as three thousand requests a second are of."""
    with Server(lab, "[rate]\nburst = 500\n") as server:
        clients = [lab.client("10.77.17.1") for _ in range(400)]
        for one in clients:
            one.setblocking(False)
            one.connect((SERVER, 123))
        asked = served = 0
        begun = noticed = time.monotonic()
        while time.monotonic() < begun + 4:
            for one in clients[asked % 400:asked % 400 + 20]:
                one.send(request())
            asked += 20
            time.sleep(0.005)
            if server.text().find("most requests come from 10.77.17.1") < 0:
                noticed = time.monotonic()
        time.sleep(QUIET_S)
        over = server.packets()["dropped"]["over_limit"]
        lines = server.text().count("most requests come from")
        for one in clients:
            try:
                while one.recv(100):
                    served += 1
            except BlockingIOError:
                one.close()
    return lines == 1 and served >= 0.85 * asked, \
        f"said after {noticed - begun:.1f} s in {lines} line; {served:,} of {asked:,} served, {over} cut"


def access(lab, _, __):
    with Server(lab, '[access]\ndeny = ["10.77.99.0/24"]\n') as server:
        good, text = silence(lab, server, [request()] * 20, source="10.77.99.5")
        with lab.client("10.77.98.5") as one:
            served = asked_and_answered(one, 5, 0.02)
    return good and served == 5, f"{text}; a neighbour: {served} of 5 served"


# Id, attack, bar, how it is measured.
BARS = (
    ("A01", "mode 7 monlist, 0 to 188 octets more", "silence, each counted", a01),
    ("A02", "mode 7 ping-pong from port 123", "silence, each counted", a02),
    ("A03", "mode 6, all opcodes, bits and four counts", "silence, each counted", a03),
    ("A04", "forged from the server to itself, 256 first octets", "0 datagrams", a04_itself),
    ("A04", "forged from one server to another", "<= 1 each, then silence", a04_two),
    ("A08", "request with a crypto-NAK behind it", "silence, each counted", a08),
    ("A14", "random extension fields, cut anywhere", "no reply longer, RSS constant", a14),
    ("A15", "loopback addresses over the cable", "silence", a15),
    ("A25", "15,000/s forged from 4,000,000 addresses", ">= 39 of 40 of an honest client", honest),
    ("A26", "victim's address forged at 20/s", ">= 38 of 40", a26(20, 40, 0.1, 38 / 40)),
    ("A26", "victim's address forged at 200/s", ">= 38 of 40", a26(200, 40, 0.1, 38 / 40)),
    ("A26", "victim's address forged at 20,000/s", ">= 20 of 40, >= 45 % of 1000",
     a26(20_000, 1000, 0.01, 0.45, settle_s=1.0)),
    *(("A26", f"NTS client's address forged at {rate:,}/s, {words}", "40 of 40", nts_victim(rate, forged))
      for forged, words in ((False, "plain"), (True, "random cookies")) for rate in (20, 200, 20_000)),
    ("A25", "15,000/s with random cookies, 4,000,000 addresses", ">= 39 of 40, as beside plain ones", garbage),
    ("F24", "100 clients, flood of 80 % of what can be answered", "< 1 % unanswered", fairness(0.8, 0.01)),
    ("F24", "the same, twice what can be answered", "goal < 10 %: told, not judged", fairness(2.0, None)),
    ("A27", "kiss-o'-death for a forged flood, as by default", "0", kisses("", 0, 0)),
    ("A27", "the same with rate.kiss and nothing leaked", "<= 1/s",
     kisses("leak = 1000\nkiss = true\n", 1, 1)),
    ("", "400 clients behind one address, 3,000/s in all", "noticed, one line, >= 85 % served", crowd),
    ("A37", "bad packets as fast as they go", "<= 100 lines", a37("")),
    ("A37", "the same with --log-requests", "<= 100 lines, or 10/s", a37("[log]\nrequests = true\n")),
    ("A45", "1,504, 4,000 and 65,507 octets", "silence, each counted", a45),
    ("F21", "as many sources as there is time for", "RSS and descriptors constant", memory),
    ("", "clients that [access] denies", "silence, each counted", access),
)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("program")
    options.add_argument("generator")
    options.add_argument("--short", action="store_true", help="fewer packets: half a minute")
    options.add_argument("--only", default="", help="bars whose id or words have this text")
    chosen = options.parse_args()
    netns.enter_or_skip()
    lab = Lab(chosen.program, chosen.generator)
    print(f"{'':6} {'attack':52} {'bar':32} verdict  measured", flush=True)
    passed = failed = 0
    for name, attack, bar, measure in BARS:
        if chosen.only not in f"{name} {attack}":
            continue
        try:
            with Server(lab) if needs_server(measure) else NoServer() as server:
                good, text = measure(lab, server, chosen.short)
        except (RuntimeError, OSError) as error:
            good, text = False, f"could not be measured: {error}"
        passed, failed = passed + bool(good), failed + (good is False)
        verdict = {True: "met    ", False: "MISSED ", None: "told   "}[good]
        print(f"{name:6} {attack:52} {bar:32} {verdict}  {text}", flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


class NoServer:
    """For bars that start servers with settings of their own."""

    def __enter__(self):
        return None

    def __exit__(self, *_):
        pass


def needs_server(measure):
    return measure.__name__ != "bar" and measure not in (a04_two, memory, crowd, access, garbage) or \
        measure.__qualname__.startswith(("a26", "fairness"))


if __name__ == "__main__":
    main()
