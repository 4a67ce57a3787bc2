#!/usr/bin/env python3
"""./dev bench: ntp-server beside chrony, one core each, in the same rounds (bench/README.md)."""

import argparse
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import time

import extras
import peers as peers_of
import report
from lab import CLIENTS, Lab, LabError, in_own_session, memory_kib, read

TOP = pathlib.Path(__file__).resolve().parent.parent
OUT = TOP / "build" / "bench"
ATTEMPTS = 2  # a run without one answer: the server was not given a CPU
GOAL_RATIO = 1.4
GOAL_ANONYMOUS_MIB = 6.0
# What is asked: in the order of the tables. NTS has goals of its own: one core, and the other mode.
ASKED = ("plain", "nts", *peers_of.KEYS)
GOALS = {("plain", "T"): GOAL_RATIO, ("nts", "T"): 1.8, ("nts", "S"): 1.4}


def say(line=""):
    print(line, flush=True)


def arguments():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="of counting in each run")
    parser.add_argument("--modes", default="S,T", help="S: receive stack on the generator's CPU; "
                        "T: on the server's (what one core can do)")
    parser.add_argument("--ask", default="plain,nts", help=f"of {','.join(ASKED)}")
    parser.add_argument("--no-open", action="store_true", help="only the closed loop")
    parser.add_argument("--rate", type=float, default=20000, help="of the open loop")
    parser.add_argument("--peers", default="", help=f"also: {','.join(peers_of.OTHERS)}")
    parser.add_argument("--server", action="append", metavar="[NAME=]PROGRAM",
                        help="instead of build/release/ntp-server; may be repeated")
    parser.add_argument("--ipv6", action="store_true")
    parser.add_argument("--ladder", action="store_true", help="find the rate with under 1 %% loss")
    parser.add_argument("--growth", action="store_true", help="CPU and memory, 1 to 10^7 clients")
    parser.add_argument("--growth-to", type=int, default=10_000_000, help=argparse.SUPPRESS)
    parser.add_argument("--workers", action="store_true", help="two workers beside one")
    parser.add_argument("--placeholders", action="store_true",
                        help="NTS: many cookies asked for beside one")
    parser.add_argument("--only", action="store_true", help="only what the flags above ask for")
    parser.add_argument("--realtime", action="store_true",
                        help="SCHED_RR for all parts; steadier, but starves all other programs")
    parser.add_argument("--no-build", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def build():
    log = OUT / "build.log"
    with open(log, "w", encoding="utf-8") as output:
        for command in (["cmake", "--preset", "release", "-DNTP_SERVER_BENCH=ON"],
                        ["cmake", "--build", "build/release", "-j", str(os.cpu_count()), "--target",
                         "ntp-server", "ntpload", "nts_session"]):
            done = subprocess.run(command, cwd=TOP, stdout=output, stderr=output, check=False)
            if done.returncode != 0:
                raise LabError(f"{' '.join(command)} failed:\n{read(log)[-2000:]}")


def choose_servers(options, asked):
    chosen = []
    credentials = None
    if asked != ["plain"] or options.placeholders:
        credentials = peers_of.Credentials(str(TOP / "build/release/ntp-server"), OUT)
    for text in options.server or [str(TOP / "build/release/ntp-server")]:
        name, _, program = text.rpartition("=")
        chosen.append(peers_of.ours(program, name or "ntp-server", credentials=credentials))
    others = peers_of.collect([name for name in options.peers.split(",") if name], OUT / "packages",
                              OUT, options.ipv6, say, credentials)
    names = [peer.name for peer in chosen]
    if len(set(names)) != len(names):
        raise LabError("two servers of one name: use --server NAME=PROGRAM")
    return chosen + others, others[0].name, credentials


class Question:
    """What the generator asks a server that has just been started."""

    def __init__(self, asked, credentials):
        self.asked = asked
        self.credentials = credentials

    def options(self, lab):
        if self.asked == "plain":
            return ()
        if self.asked != "nts":
            return ("--key", peers_of.KEYS[self.asked])
        session = OUT / "nts.session"
        session.write_text(self._establish(lab), encoding="ascii")
        return ("--nts", str(session))

    def _establish(self, lab):
        """Servers may answer NTP before they take connections."""
        command = [str(TOP / "build/release/bench/nts_session"), "127.0.0.1", "4460",
                   self.credentials.authority]
        until = time.monotonic() + 5
        while True:
            try:
                return lab.in_server(*command)
            except LabError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)


def one_run(lab, peer, load_options, question=Question("plain", None)):
    """Starts a server anew, waits until it answers well, measures, stops it."""
    log = OUT / f"{peer.name}.log"
    for _ in range(ATTEMPTS):
        child = lab.start(peer.command, log, peer.environment)
        try:
            lab.wait_until_answering(child, log, peer.name, peer.load_options)
            result = lab.measure(child, *load_options, *peer.load_options, *question.options(lab))
            result["memory"] = memory_kib(child.pid)
        finally:
            lab.stop(child)
        if result["faults"]:
            raise LabError(f"{peer.name} gave wrong answers: {result['faults']}")
        if result["replies"] > 0:
            return result
    raise LabError(f"{peer.name} gave no answers {ATTEMPTS} times; its log:\n{read(log)[-1500:]}")


def interleaved(lab, peers, rounds, load_options, question=Question("plain", None)):
    """All servers in every round, each round beginning with another one."""
    done = []
    for number in range(rounds):
        turn = number % len(peers)
        results = {}
        for peer in peers[turn:] + peers[:turn]:
            results[peer.name] = one_run(lab, peer, load_options, question)
        done.append(results)
    return report.Series(done)


def machine():
    model = re.search(r"model name\s*:\s*(.*)", read("/proc/cpuinfo"))
    return {"cpu": model.group(1) if model else platform.machine(), "cpus": os.cpu_count(),
            "kernel": platform.release(), "virtual": "hypervisor" in read("/proc/cpuinfo"),
            "load": os.getloadavg()}


def describe_machine(about):
    say(f"{about['cpu']}, {about['cpus']} CPUs{' (virtual)' if about['virtual'] else ''}, "
        f"Linux {about['kernel']}, load average {about['load'][0]:.2f}")


def bench_mode(lab, peers, base, mode, options, question):
    lab.set_mode(mode)
    # On a busy machine a server may stand still for a while; an answer is not wrong for coming then.
    seconds = ("--duration", options.seconds, "--warm-up", 0.3, "--lost-after", 2)
    where = "the generator's CPU" if mode == "S" else "the server's CPU (one core does it all)"
    say(f"\nMode {mode}, {question.asked}: receive stack on {where}. Closed loop, 128 outstanding, {CLIENTS} clients; "
        f"medians of {options.rounds} rounds, ratios per round [min-max]")
    closed = interleaved(lab, peers, options.rounds, seconds, question)
    say(report.closed_table(closed, peers, base))
    done = {"closed": {"rate": report.summary(closed, peers, base, report.closed_rate),
                       "cpu_ns": report.summary(closed, peers, base, report.cpu_per_request),
                       "rounds": closed.rounds}}
    if options.no_open:
        return done
    say(f"\nMode {mode}, {question.asked}: open loop at {options.rate:,.0f} requests/s")
    opened = interleaved(lab, peers, options.rounds, (*seconds, "--rate", options.rate),
                         question)
    say(report.open_table(opened, peers, base))
    done["open"] = {"p99_us": report.summary(opened, peers, base, report.p99),
                    "rounds": opened.rounds}
    return done


def judge(result, peers, base):
    """The goals, in words. Only ratios carry over to other machines."""
    for (asked, name), goal in GOALS.items():
        mode = result["modes"].get(asked, {}).get(name)
        for peer in (peer for peer in peers if peer.is_ours and mode):
            ratio = mode["closed"]["rate"][peer.name]["ratio"]["median"]
            lines = [(f"{asked}, mode {name}: {ratio:.2f} x {base} (goal {goal})", ratio >= goal)]
            if (asked, name) == ("plain", "T"):
                anonymous = max(one[peer.name]["memory"]["anonymous"]
                                for one in mode["closed"]["rounds"]) / 1024
                lines += [(f"{anonymous:.1f} MiB anonymous (goal {GOAL_ANONYMOUS_MIB:.0f} at most)",
                           anonymous <= GOAL_ANONYMOUS_MIB)]
            if (asked, name) == ("plain", "T") and "open" in mode:
                p99 = mode["open"]["p99_us"][peer.name]["ratio"]["median"]
                lines += [(f"p99 {p99:.2f} x {base}'s (goal 1 at most)", p99 <= 1)]
            for text, met in lines:
                say(f"{'met    ' if met else 'NOT MET'}  {peer.name}: {text}")


def measure_all(options, result):
    asked = options.ask.split(",")
    if not set(asked) <= set(ASKED):
        raise LabError(f"--ask: one or more of {','.join(ASKED)}")
    peers, base, credentials = choose_servers(options, asked)
    result["base"] = base
    result["servers"] = {peer.name: {"version": peer.version, "command": peer.command}
                         for peer in peers}
    for peer in peers:
        if peer.version:
            say(f"{peer.name}: {peer.version}")
    load_program = str(TOP / "build/release/bench/ntpload")
    with Lab(load_program, options.ipv6, options.realtime) as lab:
        result["modes"] = {}
        for what in [] if options.only else asked:
            question = Question(what, credentials)
            result["modes"][what] = {mode: bench_mode(lab, peers, base, mode, options, question)
                                     for mode in options.modes.split(",")}
        lab.set_mode("T")
        if options.ladder:
            result["ladder"] = extras.ladder(lab, peers, one_run, say)
        if options.growth:
            compared = [peer for peer in peers if peer.is_ours or peer.name == base]
            result["growth"] = extras.growth(lab, compared, OUT, options, say)
        if options.placeholders:
            result["placeholders"] = extras.placeholders(
                lab, [peer for peer in peers if peer.is_ours][0], Question("nts", credentials), OUT,
                options, say)
        if options.workers:
            result["workers"] = extras.workers(lab, [peer for peer in peers if peer.is_ours][0],
                                               interleaved, options, say)
    say()
    judge(result, peers, base)
    rounds = [one for what in result["modes"].values() for mode in what.values()
              for part in mode.values() for line in part["rounds"] for one in line.values()]
    if not rounds:
        return
    disturbed = sum(map(report.is_disturbed, rounds))
    result["disturbed_runs"] = {"disturbed": disturbed, "all": len(rounds)}
    say(f"disturbed by other programs or the hypervisor: {disturbed} of {len(rounds)} runs"
        + (" (too many: the figures are doubtful)" if disturbed * 5 > len(rounds) else ""))


def bench(options):
    if os.cpu_count() < 2:
        raise LabError("needs two CPUs: one for the server, one for the generator")
    OUT.mkdir(parents=True, exist_ok=True)
    if not options.no_build:
        build()
    about = machine()
    describe_machine(about)
    result = {"machine": about, "options": vars(options)}
    measure_all(options, result)
    path = OUT / "result.json"
    path.write_text(json.dumps(result, indent=1), encoding="utf-8")
    say(f"everything measured: {path.relative_to(TOP)}")


def main():
    options = arguments()
    if os.geteuid() != 0:
        if not shutil.which("sudo"):
            sys.exit("bench: needs root, for network namespaces and priorities")
        os.execvp("sudo", ["sudo", sys.executable, *sys.argv])

    def guarded():
        try:
            bench(options)
        except LabError as problem:
            return f"bench: {problem}"
        except KeyboardInterrupt:
            return "bench: interrupted"
        return 0
    sys.exit(in_own_session(guarded))


if __name__ == "__main__":
    main()
