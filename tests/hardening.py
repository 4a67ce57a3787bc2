#!/usr/bin/env python3
"""Whether a program as it is handed out has every protection that cmake/flags.cmake asks for.

  hardening.py PROGRAM [--compiled-by COMMANDS.json]   fails with what is missing (and proves first that every rule can fail)

What leaves no trace in the program is looked for in the compile commands, where they are given. Needs readelf.
"""
import argparse
import json
import re
import subprocess
import sys
from dataclasses import dataclass, replace

# Landing pads: endbr64, and "bti c" or "paciasp", which is one as well.
LANDING_PADS = {"X86-64": (b"\xf3\x0f\x1e\xfa",), "AArch64": (b"\x5f\x24\x03\xd5", b"\x3f\x23\x03\xd5")}
FEWEST_PADS = 300  # the program has thousands of functions
FLAGS = ("-D_FORTIFY_SOURCE=3", "-D_GLIBCXX_ASSERTIONS", "-ftrivial-auto-var-init=zero", "-fstack-protector-strong",
         "-fstack-clash-protection")
FLAGS_OF = {"X86-64": ("-fcf-protection=full",), "AArch64": ("-mbranch-protection=standard",)}


@dataclass
class Program:
    header: str
    segments: str
    dynamic: str
    symbols: str
    text: bytes

    @property
    def machine(self):
        return next((name for name in LANDING_PADS if name in re.search(r"Machine:\s+(.*)", self.header)[1]), "unknown")


def examine(path):
    def readelf(*arguments):
        return subprocess.run(["readelf", "-W", *arguments, path], check=True, capture_output=True, text=True, errors="replace").stdout
    with open(path, "rb") as file:
        return Program(readelf("-h"), readelf("-l"), readelf("-d"), readelf("--dyn-syms"), file.read())


def segments(program, kind):
    return re.findall(rf"^\s+{kind}\s+(?:0x[0-9a-f]+\s+){{5}}([RWE ]{{3}})", program.segments, re.MULTILINE)


def pads(program):
    return sum(program.text.count(pad) for pad in LANDING_PADS.get(program.machine, ()))


RULES = {
    "position-independent": lambda p: "DYN" in re.search(r"Type:\s+(.*)", p.header)[1] and "PIE" in p.dynamic,
    "every relocation done at the start, then read-only": lambda p: segments(p, "GNU_RELRO") and re.search(r"FLAGS_1.*\bNOW\b", p.dynamic),
    "no executable stack": lambda p: segments(p, "GNU_STACK") == ["RW "],
    "nothing is writable and executable": lambda p: segments(p, "LOAD") and not any("W" in s and "E" in s for s in segments(p, "LOAD")),
    "code in pages of its own": lambda p: segments(p, "LOAD")[:2] == ["R  ", "R E"],
    "no relocations in the code": lambda p: "TEXTREL" not in p.dynamic,
    "libraries from the system's folders alone": lambda p: not re.search(r"\((RPATH|RUNPATH)\)", p.dynamic),
    "stack protector": lambda p: "__stack_chk_fail" in p.symbols,
    "checked copies (_FORTIFY_SOURCE)": lambda p: re.search(r"__(memcpy|recv|snprintf|fprintf|read)_chk", p.symbols),
    "checked containers (_GLIBCXX_ASSERTIONS)": lambda p: "__glibcxx_assert_fail" in p.symbols,
    "marked branch targets": lambda p: pads(p) >= FEWEST_PADS,
}


def broken_rules(program):
    return [name for name, rule in RULES.items() if not rule(program)]


def prove(program):
    """Each rule is broken by a program that lacks just that."""
    def without(field, *patterns):
        value = getattr(program, field)
        for pattern, instead in patterns:
            value = re.sub(pattern, instead, value, flags=re.MULTILINE)
        return replace(program, **{field: value})
    lacking = {
        "position-independent": without("header", (r"DYN", "EXEC")),
        "every relocation done at the start, then read-only": without("dynamic", (r"\bNOW\b", "")),
        "no executable stack": without("segments", (r"(GNU_STACK.*)RW ", r"\1RWE")),
        "nothing is writable and executable": without("segments", (r"(LOAD.*)RW ", r"\1RWE")),
        "code in pages of its own": without("segments", (r"(LOAD.*)R   ", r"\1R E ")),
        "no relocations in the code": without("dynamic", (r"\Z", " 0x16 (TEXTREL) 0x0")),
        "libraries from the system's folders alone": without("dynamic", (r"\Z", " 0x1d (RUNPATH) Library runpath: [/tmp]")),
        "stack protector": without("symbols", (r"__stack_chk_fail", "")),
        "checked copies (_FORTIFY_SOURCE)": without("symbols", (r"_chk\b", "")),
        "checked containers (_GLIBCXX_ASSERTIONS)": without("symbols", (r"__glibcxx_assert_fail", "")),
        "marked branch targets": replace(program, text=b""),
    }
    assert lacking.keys() == RULES.keys()
    for name, worse in lacking.items():
        assert name in broken_rules(worse), f"the rule {name!r} cannot fail"


def missing_flags(commands, machine):
    with open(commands, encoding="utf-8") as file:
        entries = [entry for entry in json.load(file) if re.search(r"/src/\w+/\w+\.cpp$", entry["file"]) and "_test.cpp" not in entry["file"]]
    assert len(entries) > 50, f"{commands} names {len(entries)} of our sources"
    wanted = FLAGS + FLAGS_OF.get(machine, ())
    return [f"{entry['file']} is compiled without {flag}" for entry in entries for flag in wanted if f" {flag}" not in entry["command"]]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--compiled-by")
    arguments = parser.parse_args()
    program = examine(arguments.program)
    faults = [f"{arguments.program}: not so: {name}" for name in broken_rules(program)]
    if arguments.compiled_by:
        faults += missing_flags(arguments.compiled_by, program.machine)
    if not faults:
        prove(program)
    print("\n".join(faults) or f"{arguments.program}: {len(RULES)} rules hold ({program.machine}, {pads(program)} marked branch targets)")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
