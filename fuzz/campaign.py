#!/usr/bin/env python3
"""campaign.py MINUTES [FOLDER] [--only REGEX]: every fuzz target for MINUTES of processor time, in the
background: two at a time, in slices, when nothing else wants the processor (SCHED_IDLE).

It works on a copy of the programs and seeds in FOLDER (/tmp/ntp-server-fuzz), so that the checkout may
change or go meanwhile. Called again it goes on where it was; `campaign.py --state [FOLDER]` prints the
table of what was done. It ends by itself; SIGSTOP and SIGCONT to its process group hold it and let it go
on. ./dev fuzz-campaign builds the programs first. Ends with 1 where an input made a program fail."""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
JOBS = 2
SLICE_S = 120            # of the clock
WALL_PER_PROCESSOR = 40  # no target is tried for longer than this times its processor time
MOST_CRASHES = 3         # of a target; then it is left alone
TARGETS = "targets"


def prepare(folder):
    """Copies what is needed, once."""
    programs = sorted((HERE.parent / "build/asan/fuzz").glob("fuzz_*"))
    programs = [path for path in programs if path.is_file() and os.access(path, os.X_OK)]
    if not programs:
        sys.exit("campaign: nothing is built in build/asan/fuzz (./dev build asan)")
    for path in programs:
        name = path.name.removeprefix("fuzz_")
        home = folder / TARGETS / name
        for part in ("seeds", "found", "crashes"):
            (home / part).mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, home / "program")
        seeds = HERE / "corpus" / name
        if seeds.is_dir():
            shutil.copytree(seeds, home / "seeds", dirs_exist_ok=True)
        words = HERE / f"{name}.dict"
        if words.is_file():
            shutil.copy2(words, home / "words.dict")
    shutil.copy2(__file__, folder / "campaign.py")


class State:
    """What was done for every target; on the disk after every slice."""

    def __init__(self, folder, minutes=None):
        self.path = folder / "state.json"
        self.lock = threading.Lock()
        self.values = json.loads(self.path.read_text()) if self.path.exists() else {"targets": {}}
        if minutes is not None:
            self.values["minutes"] = minutes
        for home in sorted((folder / TARGETS).iterdir()):
            self.values["targets"].setdefault(home.name, {
                "processor_s": 0.0, "wall_s": 0.0, "executions": 0, "edges_begin": None, "edges_end": None, "failures": []})

    def save(self):
        with self.lock:
            draft = self.path.with_suffix(".new")
            draft.write_text(json.dumps(self.values, indent=1))
            draft.replace(self.path)


def run_slice(home, seconds):
    """One run of libFuzzer; exit status, processor time, what it wrote."""
    command = [str(home / "program"), f"-max_total_time={seconds}", "-max_len=4096", "-rss_limit_mb=1500",
               # The clock of a program that waits for the processor proves nothing: RLIMIT_CPU ends a loop.
               "-timeout=0", "-report_slow_units=1000000", "-print_final_stats=1", f"-artifact_prefix={home}/crashes/"]
    if (home / "words.dict").exists():
        command.append(f"-dict={home}/words.dict")
    command += [str(home / "found"), str(home / "seeds")]
    symbolizer = shutil.which("llvm-symbolizer-19") or shutil.which("llvm-symbolizer")
    environment = dict(os.environ, ASAN_OPTIONS="quarantine_size_mb=32",
                       **({"ASAN_SYMBOLIZER_PATH": symbolizer} if symbolizer else {}))
    limit = seconds + 60
    with open(home / "log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=home, stdin=subprocess.DEVNULL)
        resource.prlimit(process.pid, resource.RLIMIT_CPU, (limit, limit + 5))
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    text = (home / "log").read_text(encoding="utf-8", errors="replace")
    return process.returncode, usage.ru_utime + usage.ru_stime, text


def take_slice(home, record, minutes):
    begin = time.monotonic()
    left = max(5, min(SLICE_S, int(minutes * 60 - record["processor_s"]) + 1))
    status, processor_s, text = run_slice(home, left)
    record["processor_s"] += processor_s
    record["wall_s"] += time.monotonic() - begin
    edges = [int(number) for number in re.findall(r"cov: (\d+)", text)]
    executed = re.findall(r"^#(\d+)\s", text, re.M)
    if edges:
        record["edges_begin"] = record["edges_begin"] or edges[0]
        record["edges_end"] = edges[-1]
    record["executions"] += int(executed[-1]) if executed else 0
    if status != 0:
        number = len(record["failures"])
        shutil.copy2(home / "log", home / "crashes" / f"log-{number}")
        why = re.findall(r"^SUMMARY: .*$", text, re.M) or re.findall(r"check failed.*$", text, re.M)
        record["failures"].append(f"status {status}: {why[-1] if why else 'see crashes/log-' + str(number)}"[:200])


def is_done(record, minutes):
    return (record["processor_s"] >= minutes * 60 - 1 or len(record["failures"]) >= MOST_CRASHES or
            record["wall_s"] >= minutes * 60 * WALL_PER_PROCESSOR)


def work(folder, state, names):
    minutes = state.values["minutes"]
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))

    def one(name):
        take_slice(folder / TARGETS / name, state.values["targets"][name], minutes)
        state.save()

    with concurrent.futures.ThreadPoolExecutor(JOBS, initializer=lambda: os.sched_setscheduler(
            0, os.SCHED_IDLE, os.sched_param(0))) as pool:
        while waiting := [name for name in names if not is_done(state.values["targets"][name], minutes)]:
            # Round by round: what is broken off has tried every target.
            for done in [pool.submit(one, name) for name in waiting]:
                done.result()
            (folder / "table").write_text(table(folder, state))


def table(folder, state):
    lines = [f"{'target':<16}{'CPU min':>8}{'executions':>14}{'per CPU s':>11}{'edges':>7}{'then':>7}{'found':>7}{'failures':>9}"]
    for name, record in sorted(state.values["targets"].items()):
        found = sum(1 for _ in (folder / TARGETS / name / "found").iterdir())
        rate = record["executions"] / record["processor_s"] if record["processor_s"] else 0
        lines.append(f"{name:<16}{record['processor_s'] / 60:>8.1f}{record['executions']:>14,}{rate:>11,.0f}"
                     f"{record['edges_begin'] or 0:>7}{record['edges_end'] or 0:>7}{found:>7}{len(record['failures']):>9}")
        lines += [f"    {failure}" for failure in record["failures"]]
    every = state.values["targets"].values()
    lines.append(f"{'all':<16}{sum(r['processor_s'] for r in every) / 60:>8.1f}{sum(r['executions'] for r in every):>14,}"
                 f"{'':>32}{sum(len(r['failures']) for r in every):>9}")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", action="store_true", help="print the table and do nothing")
    parser.add_argument("--only", default="", help="targets whose name this regular expression finds")
    parser.add_argument("words", nargs="*", metavar="MINUTES FOLDER")
    options = parser.parse_args()
    words = list(options.words)
    minutes = None if options.state else float(words.pop(0) if words else 30)
    folder = pathlib.Path(words[0] if words else "/tmp/ntp-server-fuzz").absolute()
    if options.state:
        print(table(folder, State(folder)), end="")
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / TARGETS).exists():
        prepare(folder)
    state = State(folder, minutes)
    state.save()
    names = [name for name in sorted(state.values["targets"]) if re.search(options.only, name)]
    print(f"campaign: {len(names)} targets, {minutes:g} minutes of processor time each, process group {os.getpgrp()}, in {folder}", flush=True)
    work(folder, state, names)
    print(table(folder, state), end="")
    return 1 if any(record["failures"] for record in state.values["targets"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
