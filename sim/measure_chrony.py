#!/usr/bin/env python3
"""chronyd in the scenarios of scenarios.cpp, under clknetsim: prints the lines of chrony-4.3.tsv.

  sim/measure_chrony.py --clknetsim FOLDER --chronyd PROGRAM --keep FOLDER [--scenarios a,b]
                        [--polls 64,16] [--seeds 5]

FOLDER holds a built github.com/mlichvar/clknetsim (clknetsim, clknetsim.so). One server with a
perfect clock, one client that starts 1 ms and 10 ppm off, 200,000 s of which the first 40,000 s do
not count. What is kept of each run, KEEP/SCENARIO-POLL-SEED.raw and .pkt, is what
`filter_accuracy --replay KEEP` follows: the same packets and the same clock.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from array import array
from pathlib import Path

LENGTH, FROM = 200_000, 40_000


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

# Name: delay up, delay down, frequency.
SCENARIOS = {
    "a": (LAN, LAN, wander(1e-9)),
    "b": (LAN, LAN, wander(1e-8)),
    "c1": (WAN, WAN, wander(1e-9)),
    "c2": (WAN, WAN, wander(1e-8)),
    "c3": (SPIKES, SPIKES, wander(1e-9)),
    "d": (exponential(1e-2, 1e-1), exponential(1e-2, 1e-1), wander(1e-9)),
    "e": (exponential(1e-4, 3e-5), exponential(1e-4, 9.7e-4), wander(1e-9)),
    "e2": (exponential(9e-3, 2e-4), exponential(9e-3, 2e-3), wander(1e-9)),
    "f": (lossy(9e-3, 1e-3, 0.3), lossy(9e-3, 1e-3, 0.3), wander(1e-9)),
    "gauss": (GAUSS, GAUSS, wander(1e-9)),
    "gauss-lan": (GAUSS_LAN, GAUSS_LAN, wander(1e-9)),
    "uniform": (UNIFORM, UNIFORM, wander(1e-9)),
    "wifi": (WIFI, WIFI, wander(3e-9)),
    "route": (ROUTE, ROUTE, wander(1e-9)),
    "queue": (STANDING, CALM, wander(1e-9)),
    "busy": (BUSY, CALM, wander(1e-9)),
    "congest": (CALM, CONGESTED, wander(1e-9)),
    "loss10": (lossy(9e-5, 1e-5, 0.1), lossy(9e-5, 1e-5, 0.1), wander(1e-9)),
    "loss50": (lossy(9e-3, 1e-3, 0.5), lossy(9e-3, 1e-3, 0.5), wander(1e-9)),
    "coarse": (COARSE, COARSE, wander(1e-9)),
    "daily": (WAN, WAN, wander(1e-9, "(* 1e-6 (sine 86400))")),
    "hourly": (LAN, LAN, wander(1e-9, "(* 1e-7 (sine 3600))")),
    "hourly-wan": (WAN, WAN, wander(1e-9, "(* 1e-7 (sine 3600))")),
    "quiet": (WAN, WAN, wander(1e-10)),
    "quiet-lan": (LAN, LAN, wander(1e-10)),
    "wild": (WAN, WAN, wander(1e-7)),
    "wild-lan": (LAN, LAN, wander(1e-7)),
}


def write_configurations(folder, name, poll):
    up, down, frequency = SCENARIOS[name]
    log2 = poll.bit_length() - 1
    (folder / "network").write_text(f"node2_delay1 = {up}\nnode1_delay2 = {down}\n"
                                    f"node2_offset = 1e-3\nnode2_freq = (+ 1e-5 {frequency})\n")
    common = "bindcmdaddress /\ncmdport 0\n"
    (folder / "1.conf").write_text(f"local stratum 1\nallow\npidfile {folder}/1.pid\n{common}")
    (folder / "2.conf").write_text(f"server 192.168.123.1 iburst minpoll {log2} maxpoll {log2}\n"
                                   f"makestep 1 3\npidfile {folder}/2.pid\n{common}")


def run(options, name, poll, seed):
    """Runs server, client and simulator; the columns of the logs become binary files of doubles."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_configurations(folder, name, poll)
        environment = dict(os.environ, CLKNETSIM_START_DATE="1795420000",
                           CLKNETSIM_RANDOM_SEED=str(seed * 1000 + 7),
                           CLKNETSIM_SOCKET=f"{folder}/socket")
        nodes = [subprocess.Popen([options.chronyd, "-d", "-f", f"{folder}/{node}.conf"],
                                  env=dict(environment, CLKNETSIM_NODE=str(node),
                                           LD_PRELOAD=f"{options.clknetsim}/clknetsim.so"),
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                 for node in (1, 2)]
        try:
            simulator = subprocess.run(
                [f"{options.clknetsim}/clknetsim", "-s", f"{folder}/socket", "-l", str(LENGTH),
                 "-r", str(FROM), "-g", f"{folder}/raw", "-p", f"{folder}/packets",
                 f"{folder}/network", "2"],
                env=environment, capture_output=True, text=True, timeout=600, check=True)
        finally:
            for node in nodes:
                node.terminate()
                node.wait()
        kept = f"{options.keep}/{name}-{poll}-{seed}"
        with open(folder / "raw", encoding="ascii") as lines, open(kept + ".raw", "wb") as out:
            array("d", (float(line.split()[1]) for line in lines)).tofile(out)
        with open(folder / "packets", encoding="ascii") as lines, open(kept + ".pkt", "wb") as out:
            array("d", (float(line.split()[column]) for line in lines
                        for column in (0, 1, 3))).tofile(out)
    client = simulator.stdout[simulator.stdout.index("Node 2"):]
    return [re.search(what + r":\s+(\S+)", client).group(1)
            for what in ("RMS offset", "Maximum absolute offset", "RMS frequency")]


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--clknetsim", required=True)
    options.add_argument("--chronyd", required=True)
    options.add_argument("--keep", required=True)
    options.add_argument("--scenarios", default=",".join(SCENARIOS))
    options.add_argument("--polls", default="64,16")
    options.add_argument("--seeds", type=int, default=5)
    chosen = options.parse_args()
    os.makedirs(chosen.keep, exist_ok=True)
    for name in chosen.scenarios.split(","):
        for poll in map(int, chosen.polls.split(",")):
            for seed in range(1, chosen.seeds + 1):
                print(name, poll, seed, *run(chosen, name, poll, seed), sep="\t")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
