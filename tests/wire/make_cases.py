#!/usr/bin/env python3
"""Writes the wire case table.

  make_cases.py                 write tests/wire/cases.tsv and cases_keyed.tsv
  make_cases.py --check         fail if a committed table is not what this program writes
  make_cases.py --full FILE     write the table with the whole cross product of extension fields
  make_cases.py --corpus FOLDER write seeds of the fuzz targets (FOLDER is fuzz/corpus)
"""

import argparse
import itertools
import sys
from pathlib import Path

import case_fields
import case_headers
import case_keyed
import siv
from case_table import Silence, to_line, unpack

TABLE = Path(__file__).with_name("cases.tsv")
HEAD = """\
# The wire case table: what an NTP server with keys, NTS and version 5 off does with a datagram.
# Written by tests/wire/make_cases.py, which states every decision; do not edit by hand.
# id	section	source	payload	expect	(notation: tests/wire/case_table.py)
"""


KEYED_TABLE = Path(__file__).with_name("cases_keyed.tsv")
KEYED_HEAD = """\
# The wire case table of a server with the keys and the cookie secret of tests/wire/case_keyed.py.
# Written by tests/wire/make_cases.py; do not edit by hand.
# id	section	source	payload	expect	(notation: tests/wire/case_table.py)
"""


def cases(full=False, keyed=False):
    groups = list(case_keyed.GROUPS if keyed else case_headers.GROUPS + case_fields.GROUPS)
    if full:
        groups.append(case_fields.all_fields)
    seen = set()
    for case in itertools.chain.from_iterable(group() for group in groups):
        if case.id in seen and full:
            continue                                  # the sweep holds what a group picked of it
        assert case.id not in seen, f"two cases are called {case.id}"
        seen.add(case.id)
        yield case


def text_of(full=False, keyed=False):
    lines = []
    for case in cases(full, keyed):
        line = to_line(case)
        assert unpack(line.split("\t")[3]) == case.payload, case.id
        lines.append(line + "\n")
    return (KEYED_HEAD if keyed else HEAD) + "".join(lines)


# The situation that the responder's fuzz target reads before the datagram (fuzz/responder.cpp):
# source, leap and stratum, precision, minimum poll, age, rec, xmt, seed.
SITUATION = bytes((0, 0x08, 0xE8, 0xFA, 2, 0, 1, 7))
SOURCE_BITS = {"port_123": 8, "own_address": 16 | 4, "own_endpoint": 16 | 8 | 4, "loopback": 32 | 4,
               "stray_loopback": 32, "multicast": 1 | 64, "port_0": 128}


def write_corpus(folder, limit=100):
    """Some of every group and reaction, evenly: what the fuzzers start from."""
    groups = {}
    for case in cases():
        if len(case.payload) <= 600:
            reaction = getattr(case.expect, "reason", "reply")
            groups.setdefault((case.id.split("/")[0], reaction), []).append(case)
    chosen = {}
    for turn in range(limit):
        for found in groups.values():
            case = found[turn * 7 % len(found)]
            if turn < len(found) and len(chosen) < limit:
                chosen[case.payload, case.source] = case
    for target in ("packet", "responder"):
        (folder / target).mkdir(parents=True, exist_ok=True)
    for case in chosen.values():
        name = case.id.replace("/", "_")
        situation = bytes((SOURCE_BITS.get(case.source, 0),)) + SITUATION[1:]
        (folder / "packet" / name).write_bytes(case.payload)
        (folder / "responder" / name).write_bytes(situation + case.payload)
    return len(chosen)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--check", action="store_true")
    options.add_argument("--full", type=Path)
    options.add_argument("--corpus", type=Path)
    chosen = options.parse_args()
    if chosen.full:
        chosen.full.write_text(text_of(full=True), encoding="ascii")
    elif chosen.corpus:
        print(f"{write_corpus(chosen.corpus)} seeds each in {chosen.corpus}/packet and /responder")
    elif chosen.check:
        siv.self_test()
        for table, keyed in ((TABLE, False), (KEYED_TABLE, True)):
            if table.read_text(encoding="ascii") != text_of(keyed=keyed):
                sys.exit(f"{table.name} is not what make_cases.py writes: run tests/wire/make_cases.py")
            print(f"{table.name}: {sum(1 for _ in cases(keyed=keyed))} cases, as make_cases.py writes "
                  "them")
    else:
        for table, keyed in ((TABLE, False), (KEYED_TABLE, True)):
            table.write_text(text_of(keyed=keyed), encoding="ascii")
            found = list(cases(keyed=keyed))
            silent = sum(isinstance(case.expect, Silence) for case in found)
            print(f"{table.name}: {len(found)} cases: {len(found) - silent} replies, {silent} silences")


if __name__ == "__main__":
    main()
