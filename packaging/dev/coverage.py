#!/usr/bin/env python3
"""coverage.py UNIT.json [EVERYTHING.json]: gcovr's summaries as one table by folder, and the floors: 95 % of
the lines of the pure floors together by the unit and wire tests, and of each folder that what strangers send
goes through; 90 % of the shells' by all tests."""

import collections
import json
import sys

PURE = ["base", "wire", "crypto", "nts", "server", "clock", "client", "config", "control"]
EACH = ["wire", "crypto", "nts", "server"]
PURE_FLOOR, SHELL_FLOOR = 95.0, 90.0


def by_folder(path):
    """Lines (there, met) of every folder of src/, and the files."""
    folders, files = collections.Counter(), []
    met = collections.Counter()
    with open(path, encoding="utf-8") as file:
        for entry in json.load(file)["files"]:
            folder = entry["filename"].split("/")[1]
            folders[folder] += entry["line_total"]
            met[folder] += entry["line_covered"]
            files.append((entry["filename"], entry["line_total"], entry["line_covered"]))
    return {name: (folders[name], met[name]) for name in folders}, files


def share(lines):
    return 100.0 * sum(met for _, met in lines) / max(1, sum(there for there, _ in lines))


def main():
    results = [by_folder(path) for path in sys.argv[1:]]
    names = [name for name in PURE if name in results[0][0]]
    shells = sorted(set(results[-1][0]) - set(PURE))
    rows = [(name, [name]) for name in names] + [("pure floors", names)]
    rows += [(name, [name]) for name in shells] + [("shells", shells), ("all", names + shells)]
    print(f"{'folder':<12}{'lines':>7}{'unit, wire':>12}" + ("  and system" if len(results) > 1 else ""))
    figures = {}
    for title, members in rows:
        figures[title] = [share([folders.get(name, (0, 0)) for name in members]) for folders, _ in results]
        there = sum(results[-1][0][name][0] for name in members)
        floor = f"   >= {PURE_FLOOR:.0f} %" if title in (*EACH, "pure floors") else ""
        print(f"{title:<12}{there:>7}" + "".join(f"{figure:>10.1f} %" for figure in figures[title]) + floor)
    print("\nfiles with the most lines that no test meets:")
    for name, there, met in sorted(results[-1][1], key=lambda file: file[2] - file[1])[:12]:
        if met < there:
            print(f"  {there - met:>4} of {there:>4}  {name}")
    bad = [f"{name} is under {PURE_FLOOR} %" for name in EACH if figures.get(name, [0.0])[0] < PURE_FLOOR]
    if figures["pure floors"][0] < PURE_FLOOR:
        bad.append(f"the pure floors are under {PURE_FLOOR} %")
    if len(results) > 1 and figures["shells"][1] < SHELL_FLOOR:
        bad.append(f"the shells are under {SHELL_FLOOR} %")
    for line in bad:
        print(f"coverage: {line}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
