#!/usr/bin/env python3
"""docs/threat-model.md against the repository: every attack has its row, and every test that is named exists.

  lint_threats.py   (proves first that each rule can fail)
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ATTACKS = [f"A{number:02}" for number in range(1, 54)]


def read_all(*patterns):
    return "\n".join(path.read_text(encoding="utf-8", errors="replace") for pattern in patterns for path in sorted(ROOT.glob(pattern)))


def known_tests():
    """Kind of name -> whether such a one exists."""
    unit = {".".join(names) for names in re.findall(r"\bTEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)", read_all("src/**/*_test.cpp", "tests/**/*_test.cpp", "sim/*_test.cpp"))}
    system = set(re.findall(r"def (test_\w+)\(", read_all("tests/*/test_*.py")))
    registered = set(re.findall(r"add_test\(\s*NAME (\w+)", read_all("tests/**/CMakeLists.txt")))
    cases = [line.split("\t")[0] for line in (ROOT / "tests/wire/cases.tsv").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    worlds = set(re.findall(r'^name = "([\w-]+)"$', read_all("sim/scenarios/*.toml"), re.MULTILINE))
    docker = re.findall(r'@group\.check\("([^"]*)"', read_all("tests/docker/group_*.py"))
    interop = re.findall(r'lab\.check\(f?"([^"]*)"', read_all("tests/interop/*.py"))

    def exists(name):
        kind, _, rest = name.partition(":")
        if kind == "cases":
            return any(case.startswith(rest) for case in cases)
        if kind == "world":
            return rest in worlds
        if kind in ("docker", "interop"):
            return any(rest in title for title in {"docker": docker, "interop": interop}[kind])
        if "/" in name:
            return (ROOT / name).exists()
        return name in unit or name in system or name in registered
    return exists


def rows(text):
    return dict(re.findall(r"^\| (A\d\d) \| [^|]+ \| (.*) \|$", text, re.MULTILINE))


def names_in(cell):
    """What is written as code and looks like a test; `max_delay` and the like is not."""
    return [name for name in re.findall(r"`([^`]+)`", cell)
            if re.match(r"(cases|world|docker|interop):.|\w+/\w|[A-Z]\w+\.[A-Z]\w+$|test_\w+$|wire_\w+$|hardening$", name)]


def faults(text, exists):
    found = rows(text)
    told = [f"{attack} has no row" for attack in ATTACKS if attack not in found]
    told += [f"{attack} is no attack of the table" for attack in found if attack not in ATTACKS]
    told += [f"{attack} names no test and does not say \"not yet\"" for attack, cell in found.items() if not names_in(cell) and "not yet" not in cell]
    tables = "\n".join(line for line in text.splitlines() if line.startswith("|"))
    told += [f"there is no test {name!r}" for name in names_in(tables) if not exists(name)]
    return told


def prove(text, exists):
    row = next(line for line in text.splitlines() if line.startswith("| A01 "))
    for worse in (text.replace(row + "\n", ""), text.replace("| A01 ", "| A99 "), text.replace(row, "| A01 | monlist | trust us |"),
                  text.replace("`cases:monlist/`", "`cases:no-such-case/`"), text.replace("`world:era-2036`", "`world:era-2037`"),
                  text.replace("`test_a_thousand_slow_writers`", "`test_a_thousand_and_one`"), text.replace("`hardening`", "`wire_softening`"),
                  text.replace("`Seccomp.NobodyCanMakeCodeOfData`", "`Seccomp.SomebodyCan`"), text.replace("`docker:no shell", "`docker:a shell")):
        assert worse != text, "the proof changes nothing"
        assert faults(worse, exists), "a rule cannot fail"


def main():
    text, exists = (ROOT / "docs/threat-model.md").read_text(encoding="utf-8"), known_tests()
    told = faults(text, exists)
    if told:
        print("\n".join(told))
        return 1
    prove(text, exists)
    cells = rows(text).values()
    open_rows = sum(1 for cell in cells if not names_in(cell) or cell.startswith("not yet"))
    print(f"{len(cells)} attacks: {len(cells) - open_rows} are met by a test, {open_rows} not yet")
    return 0


if __name__ == "__main__":
    sys.exit(main())
