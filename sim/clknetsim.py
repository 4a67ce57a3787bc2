#!/usr/bin/env python3
"""chronyd or ntp-server, the whole programs, under clknetsim: prints lines of a table of errors.

  sim/clknetsim.py --clknetsim FOLDER --chronyd PROGRAM [--ntp-server PROGRAM] [--keep FOLDER]
                   [--scenarios a,b] [--polls 64,16,default] [--seeds 5] [--length SECONDS]
                   [--steer system] [--jobs 1]
  sim/clknetsim.py --compare OURS.tsv CHRONYS.tsv

FOLDER holds a built github.com/mlichvar/clknetsim (clknetsim, clknetsim.so). The servers are
chronyds with perfect clocks; the client that is measured is ntp-server where it is given, else
chronyd. It starts 1 ms and 10 ppm off; of its 200,000 s the first 40,000 s do not count. One more
node, a chronyd that follows nobody over links without delay, asks the client every 16 s: what it
hears is what the client serves. Groups of scenarios: lines (those of scenarios.cpp, with one
server), several (with liars), hops, events.

Of each run with one server KEEP/SCENARIO-POLL-SEED.raw and .pkt is kept, which
`filter_accuracy --replay KEEP` follows: the same packets and the same clock.
"""

import argparse
import itertools
import math
import os
import re
import statistics
import struct
import subprocess
import sys
import tempfile
from array import array
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

LENGTH, FROM = 200_000, 40_000
START = 1_795_420_000  # of the simulated time, in seconds since 1970
NTP_TO_UNIX = 2_208_988_800
UNSYNCHRONISED = 3  # leap


def exponential(least, mean):
    return f"(+ {least} (* {mean} (exponential)))"


def lossy(least, mean, probability):  # a negative delay is a lost packet
    return (f"(+ {least} (* {mean} (exponential)) "
            f"(* -1000 (equal {probability / 2} (uniform) 0.5)))")


def wander(per_root_second, more=""):
    walk = f"(sum (* {per_root_second} (normal)))"
    return f"(+ {walk} {more})" if more else walk


LAN, WAN, CALM = exponential(9e-5, 1e-5), exponential(9e-3, 1e-3), exponential(9e-3, 5e-4)
SPIKES = "(+ 9e-3 (* 1e-4 (exponential)) (* 1e-2 (exponential) (equal 0.05 (uniform) 0.5)))"
GAUSS, GAUSS_LAN = "(+ 2e-2 (* 1e-3 (normal)))", "(+ 2e-4 (* 1e-5 (normal)))"
UNIFORM = "(+ 9e-3 (* 4e-3 (uniform)))"
ROUTE = "(+ 9e-3 (* 3e-3 (equal 10000 (% time 40000) 10000)) (* 5e-4 (exponential)))"
HALF_HOUR = "(equal 900 (% time 7200) 900)"  # of two hours
STANDING = f"(+ {CALM} (* (+ 2e-2 (* 1e-2 (exponential))) {HALF_HOUR}))"
BUSY = f"(+ {CALM} (* 2e-2 (exponential) {HALF_HOUR}))"
WIFI = "(+ 1.5e-3 (* 5e-4 (exponential) (exponential) (exponential)))"
BY_DAY = ("(* 4.6296e-5 (max 0 (+ -21600 (min (% time 86400) "
          "(+ 86400 (* -1 (% time 86400)))))))")
CONGESTED = f"(+ {CALM} (* {BY_DAY} (+ 3e-3 (* 6e-3 (exponential)))))"
COARSE = "(+ 1e-5 (* 1e-6 (exponential)) (* 1e-6 (uniform)))"
INSTANT = "(+ 1e-9)"


@dataclass(frozen=True)
class Scenario:
    up: str
    down: str
    frequency: str
    offsets: tuple = (0.0,)  # of the servers' clocks: as many servers
    hops: int = 1  # machines in a row, each of which asks the one before
    offset: float = 1e-3  # of the client's clock at the start
    rate: float = 1e-5  # and of its frequency
    step: float = 0.0  # of the client's clock, by somebody else, at `event`
    event: int = 0  # where not only the error but the time until it is below `target` counts
    target: float = 0.0
    length: int = 0  # instead of --length


def event(line, target, **what):
    return Scenario(line, line, wander(1e-9), target=target, length=10_000, **what)


LINES = {
    "a": Scenario(LAN, LAN, wander(1e-9)),
    "b": Scenario(LAN, LAN, wander(1e-8)),
    "c1": Scenario(WAN, WAN, wander(1e-9)),
    "c2": Scenario(WAN, WAN, wander(1e-8)),
    "c3": Scenario(SPIKES, SPIKES, wander(1e-9)),
    "d": Scenario(exponential(1e-2, 1e-1), exponential(1e-2, 1e-1), wander(1e-9)),
    "e": Scenario(exponential(1e-4, 3e-5), exponential(1e-4, 9.7e-4), wander(1e-9)),
    "e2": Scenario(exponential(9e-3, 2e-4), exponential(9e-3, 2e-3), wander(1e-9)),
    "f": Scenario(lossy(9e-3, 1e-3, 0.3), lossy(9e-3, 1e-3, 0.3), wander(1e-9)),
    "gauss": Scenario(GAUSS, GAUSS, wander(1e-9)),
    "gauss-lan": Scenario(GAUSS_LAN, GAUSS_LAN, wander(1e-9)),
    "uniform": Scenario(UNIFORM, UNIFORM, wander(1e-9)),
    "wifi": Scenario(WIFI, WIFI, wander(3e-9)),
    "route": Scenario(ROUTE, ROUTE, wander(1e-9)),
    "queue": Scenario(STANDING, CALM, wander(1e-9)),
    "busy": Scenario(BUSY, CALM, wander(1e-9)),
    "congest": Scenario(CALM, CONGESTED, wander(1e-9)),
    "loss10": Scenario(lossy(9e-5, 1e-5, 0.1), lossy(9e-5, 1e-5, 0.1), wander(1e-9)),
    "loss50": Scenario(lossy(9e-3, 1e-3, 0.5), lossy(9e-3, 1e-3, 0.5), wander(1e-9)),
    "coarse": Scenario(COARSE, COARSE, wander(1e-9)),
    "daily": Scenario(WAN, WAN, wander(1e-9, "(* 1e-6 (sine 86400))")),
    "hourly": Scenario(LAN, LAN, wander(1e-9, "(* 1e-7 (sine 3600))")),
    "hourly-wan": Scenario(WAN, WAN, wander(1e-9, "(* 1e-7 (sine 3600))")),
    "quiet": Scenario(WAN, WAN, wander(1e-10)),
    "quiet-lan": Scenario(LAN, LAN, wander(1e-10)),
    "wild": Scenario(WAN, WAN, wander(1e-7)),
    "wild-lan": Scenario(LAN, LAN, wander(1e-7)),
}
SEVERAL = {
    "four": Scenario(WAN, WAN, wander(1e-9), (0.0,) * 4),
    "four-one-false": Scenario(WAN, WAN, wander(1e-9), (0.0,) * 4 + (1.0,)),
    "three-two-false": Scenario(WAN, WAN, wander(1e-9), (0.0,) * 3 + (1.0, 1.0)),
}
HOPS = {"hops": Scenario(LAN, LAN, wander(1e-9), hops=3)}
EVENTS = {
    f"{what}-{name}": event(line, target, **options)
    for name, line, target in (("lan", LAN, 5e-5), ("wan", WAN, 1e-3))
    for what, options in (
        ("cold-fast", {"offset": 0.1, "rate": 5e-4}), ("cold-slow", {"offset": 0.1, "rate": -5e-4}),
        ("cold-far", {"offset": 1e3, "rate": 1e-5}), ("step-50ms", {"step": 0.05, "event": 5000}),
        ("step-100ms", {"step": 0.1, "event": 5000}), ("step-1s", {"step": 1.0, "event": 5000}))
}
GROUPS = {"lines": LINES, "several": SEVERAL, "hops": HOPS, "events": EVENTS}
SCENARIOS = LINES | SEVERAL | HOPS | EVENTS
COLUMNS = ("scenario", "poll/s", "seed", "RMS/s", "largest/s", "RMS of frequency", "questions",
           "served RMS/s", "served largest/s", "within bound", "median bound/s", "synchronised",
           "recovered/s", "served recovered/s")


class Nodes:
    """Who is who: servers first, then the chain of clients, and who looks at them."""

    def __init__(self, scenario):
        self.servers = list(range(1, len(scenario.offsets) + 1))
        self.hops = [self.servers[-1] + hop for hop in range(1, scenario.hops + 1)]
        self.observer = self.hops[-1] + 1

    def upstreams(self, hop):
        return self.servers if hop == self.hops[0] else [hop - 1]


def network(scenario, nodes):
    lines = [f"node{server}_offset = {offset}"
             for server, offset in zip(nodes.servers, scenario.offsets) if offset]
    for hop in nodes.hops:
        for upstream in nodes.upstreams(hop):
            lines += [f"node{hop}_delay{upstream} = {scenario.up}",
                      f"node{upstream}_delay{hop} = {scenario.down}"]
        lines += [f"node{hop}_delay{nodes.observer} = {INSTANT}",
                  f"node{nodes.observer}_delay{hop} = {INSTANT}",
                  f"node{hop}_start = 1",
                  f"node{hop}_offset = {scenario.offset}",
                  f"node{hop}_freq = (+ {scenario.rate} {scenario.frequency})"]
        if scenario.step:
            lines.append(f"node{hop}_step = "
                         f"(* {scenario.step} (equal 0.1 (sum 1.0) {scenario.event}))")
    return "\n".join(lines) + "\n"


def chronyd(options, folder, node, text, *arguments):
    file = folder / f"{node}.conf"
    file.write_text(f"{text}\npidfile {folder}/{node}.pid\nbindcmdaddress /\ncmdport 0\n")
    return [options.chronyd, "-d", "-f", str(file), *arguments]


def ntp_server(options, folder, node, upstreams, log2):
    polls = f"minpoll = {log2}\nmaxpoll = {log2}\n" if log2 else ""
    file = folder / f"{node}.toml"
    file.write_text(
        '[server]\nlisten = ["0.0.0.0:123"]\nthreads = 0\n'
        f'[clock]\nsteer = "{options.steer}"\nleap_seconds = "off"\nstate_directory = "off"\n'
        '[http]\nlisten = "off"\n[health]\nsocket = "off"\n'
        + "".join(f'[[source]]\naddress = "192.168.123.{upstream}"\n{polls}'
                  for upstream in upstreams))
    return [options.ntp_server, "run", "--config", str(file)]


def client(options, folder, node, upstreams, poll):
    log2 = poll.bit_length() - 1 if poll else 0
    if options.ntp_server:
        return ntp_server(options, folder, node, upstreams, log2)
    polls = f"minpoll {log2} maxpoll {log2}" if poll else ""
    servers = "\n".join(f"server 192.168.123.{upstream} iburst {polls}" for upstream in upstreams)
    return chronyd(options, folder, node, f"{servers}\nmakestep 1 3\nallow")


def programs(options, folder, scenario, nodes, poll):
    watch = 0 if scenario.length else 4
    asked = "\n".join(f"server 192.168.123.{hop} minpoll {watch} maxpoll {watch} noselect"
                      for hop in nodes.hops)
    return ([(server, chronyd(options, folder, server, "local stratum 1\nallow"))
             for server in nodes.servers]
            + [(hop, client(options, folder, hop, nodes.upstreams(hop), poll))
               for hop in nodes.hops]
            + [(nodes.observer, chronyd(options, folder, nodes.observer, asked, "-x"))])


def simulate(options, folder, scenario, nodes, poll, seed):
    """Runs all programs and the simulator, which says how far off the nodes' clocks were."""
    (folder / "network").write_text(network(scenario, nodes))
    socket = f"{folder}/socket"
    environment = dict(os.environ, CLKNETSIM_START_DATE=str(START), CLKNETSIM_SOCKET=socket,
                       CLKNETSIM_RANDOM_SEED=str(seed * 1000 + 7),
                       NTP_SERVER_SERVER_SANDBOX="off")  # the simulator has calls and files of its own
    running = []
    for node, command in programs(options, folder, scenario, nodes, poll):
        dump = {"CLKNETSIM_PCAP_DUMP": f"{folder}/heard"} if node == nodes.observer else {}
        with open(folder / f"{node}.log", "wb") as log:
            running.append(subprocess.Popen(
                command, stdout=log, stderr=log,
                env=environment | dump | {"CLKNETSIM_NODE": str(node),
                                          "LD_PRELOAD": f"{options.clknetsim}/clknetsim.so"}))
    start = scenario.event if scenario.length else FROM
    try:
        return subprocess.run(
            [f"{options.clknetsim}/clknetsim", "-s", socket, "-r", str(start),
             "-l", str(scenario.length or options.length), "-o", f"{folder}/offsets",
             "-g", f"{folder}/raw", "-p", f"{folder}/packets", f"{folder}/network",
             str(nodes.observer)],
            env=environment, capture_output=True, text=True, timeout=900, check=True).stdout
    finally:
        for node in running:
            node.terminate()
            node.wait()


def replies(file, hop):
    """What the observer heard: instant, error, bound and whether it is called synchronised."""
    data = file.read_bytes()
    at = 24
    while at < len(data):
        seconds, ns, length, _ = struct.unpack_from(">IIII", data, at)
        frame = data[at + 16:at + 16 + length]
        at += 16 + length
        if struct.unpack_from(">H", frame, 34)[0] != 123 or frame[29] != hop:
            continue  # a question, or of another
        delay, dispersion = struct.unpack_from(">II", frame, 46)
        xmt, fraction = struct.unpack_from(">II", frame, 82)
        error = xmt - NTP_TO_UNIX - seconds + fraction / 2**32 - ns * 1e-9
        yield (seconds - START + ns * 1e-9, error, (delay / 2 + dispersion) / 65536,
               frame[42] >> 6 != UNSYNCHRONISED)


def recovery(errors, scenario):
    """Seconds from the event until the error is below the target, for at least 300 s."""
    begin = None
    for at, error in errors:
        if at < scenario.event or abs(error) > scenario.target:
            begin = None
        elif begin is None:
            begin = at
        if begin is not None and at - begin >= 300:
            return begin - scenario.event
    return math.inf


def served(file, hop, start):
    heard = [reply for reply in replies(file, hop) if reply[0] >= start]
    honest = [(error, bound) for _, error, bound, synchronised in heard if synchronised]
    if not honest:
        return [math.nan] * 4 + [0.0]
    return [math.sqrt(statistics.fmean(error * error for error, _ in honest)),
            max(abs(error) for error, _ in honest),
            statistics.fmean(abs(error) <= bound for error, bound in honest),
            statistics.median(bound for _, bound in honest), len(honest) / len(heard)]


def figures(folder, scenario, nodes, hop, printed):
    """The columns from RMS on, of one of the clients."""
    start = scenario.event if scenario.length else FROM
    own = printed.split("Node ")[hop]
    row = [float(re.search(what + r":\s+(\S+)", own).group(1))
           for what in ("RMS offset", "Maximum absolute offset", "RMS frequency")]
    with open(folder / "packets", encoding="ascii") as lines:
        ends = [line.split()[1:3] for line in lines]
    asked = {str(upstream) for upstream in nodes.upstreams(hop)}
    row.append(sum(source == str(hop) and to in asked for source, to in ends))
    row += served(folder / "heard", hop, start)
    if not scenario.target:
        return row
    with open(folder / "offsets", encoding="ascii") as lines:
        offsets = [(at, float(line.split()[hop - 1])) for at, line in enumerate(lines)]
    heard = ((at, error if synchronised else math.inf)
             for at, error, _, synchronised in replies(folder / "heard", hop))
    return row + [recovery(offsets, scenario), recovery(heard, scenario)]


def keep(folder, kept):
    """The columns of the logs that concern the client become binary files of doubles."""
    with open(folder / "raw", encoding="ascii") as lines, open(kept + ".raw", "wb") as out:
        array("d", (float(line.split()[1]) for line in lines)).tofile(out)
    with open(folder / "packets", encoding="ascii") as lines, open(kept + ".pkt", "wb") as out:
        rows = (line.split() for line in lines)
        array("d", (float(row[column]) for row in rows if "3" not in row[1:3]
                    for column in (0, 1, 3))).tofile(out)


def run(options, seed, poll, name):
    """The lines of one run: one for each of the clients."""
    scenario = SCENARIOS[name]
    nodes = Nodes(scenario)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        try:
            printed = simulate(options, folder, scenario, nodes, poll, seed)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as failure:
            logs = "".join((folder / f"{hop}.log").read_text() for hop in nodes.hops)
            return [f"# {name} {poll} {seed}: {failure}: {logs[-500:]!r}"]
        if options.keep and name in LINES:
            keep(folder, f"{options.keep}/{name}-{poll}-{seed}")
        return ["\t".join([f"{name}-{place}" if scenario.hops > 1 else name, str(poll), str(seed)]
                          + [f"{value:.6g}" for value in
                             figures(folder, scenario, nodes, hop, printed)])
                for place, hop in enumerate(nodes.hops, 1)]


def read_table(file):
    table = {}
    for line in Path(file).read_text(encoding="ascii").splitlines():
        if line and not line.startswith("#"):
            name, poll, _, *values = line.split("\t")
            table.setdefault((name, int(poll)), []).append([float(value) for value in values])
    return table


def microseconds(value_s):
    return f"{value_s * 1e6:,.0f}" if value_s > 999.5e-6 else f"{value_s * 1e6:.3g}"


def compare(ours_file, chronys_file):
    """A line of a document for each scenario: medians of the seeds at each poll, and the ratios."""
    ours, chronys = read_table(ours_file), read_table(chronys_file)
    for name in dict.fromkeys(name for name, _ in ours):
        cells = []
        for poll in (64, 16, 0):
            if (name, poll) not in ours or (name, poll) not in chronys:
                cells += ["", "", ""]
                continue
            us, them = ([statistics.median(column) for column in zip(*table[name, poll])]
                        for table in (ours, chronys))
            cells += [microseconds(them[0]), microseconds(us[0]), f"**{us[0] / them[0]:.2f}**"]
            if poll == 0 and len(them) > 3:
                cells.append(f"{us[3]:.0f} / {them[3]:.0f}")
        print("| " + " | ".join([name] + cells) + " |")


def parse_polls(text):
    return [0 if poll == "default" else int(poll) for poll in text.split(",")]


def chosen_scenarios(text):
    return list(itertools.chain.from_iterable(GROUPS.get(word, [word]) for word in text.split(",")))


def pin_to_a_processor(numbers=itertools.count()):
    """All of one run on one processor: its programs take turns, and waking another is slow."""
    processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {processors[next(numbers) % len(processors)]})


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--compare", nargs=2)
    options.add_argument("--clknetsim")
    options.add_argument("--chronyd")
    options.add_argument("--ntp-server")
    options.add_argument("--steer", choices=("system", "none"), default="system")
    options.add_argument("--keep")
    options.add_argument("--scenarios", type=chosen_scenarios, default="lines")
    options.add_argument("--polls", type=parse_polls, default="64,16")
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--length", type=int, default=LENGTH)
    options.add_argument("--jobs", type=int, default=1)
    chosen = options.parse_args()
    if chosen.compare:
        return compare(*chosen.compare)
    if not chosen.clknetsim or not chosen.chronyd:
        options.error("--clknetsim and --chronyd are needed")
    if chosen.keep:
        os.makedirs(chosen.keep, exist_ok=True)
    print("# " + "\t".join(COLUMNS))
    # By seeds: what is there when somebody loses patience tells of all scenarios.
    runs = itertools.product(range(1, chosen.seeds + 1), chosen.polls, chosen.scenarios)
    with ThreadPoolExecutor(chosen.jobs, initializer=pin_to_a_processor) as pool:
        for lines in pool.map(lambda one: run(chosen, *one), runs):
            print("\n".join(lines), flush=True)
    return None


if __name__ == "__main__":
    sys.exit(main())
