#!/usr/bin/env python3
"""The house rules of the sources (ARCHITECTURE.md, "Floors"), as a test.

  lint_floors.py               check src/ of this repository (and prove first that every rule can fail)
  lint_floors.py --self-test   only prove it

 - an include goes down only: to a folder before one's own in src/CMakeLists.txt that the module
   names in DEPENDS, itself or by way of those that it names;
 - the pure floors see no system call, thread, stream, clock or dice (their tests may);
 - a file has at most 800 lines, a function at most 60.
"""

import argparse
import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PURE = ("base", "wire", "crypto", "nts", "server", "clock", "client", "config", "control")
MAX_FILE, MAX_FUNCTION = 800, 60
FORBIDDEN_INCLUDES = re.compile(r"sys/.*|unistd\.h|thread|mutex|iostream|fstream|filesystem|"
                                r"poll\.h|netinet/.*|linux/.*|condition_variable|future")
FORBIDDEN_CALLS = re.compile(r"::now\s*\(|\bclock_gettime\b|\brandom_device\b|\bgettimeofday\b|"
                             r"\bstd::time\s*\(|\bgetenv\b")


def module_order(root):
    text = (root / "src/CMakeLists.txt").read_text(encoding="utf-8")
    return re.search(r"foreach\(module ([^)]*)\)", text).group(1).split()


def dependencies(root, modules):
    """Module -> all modules that it may include: DEPENDS, followed downwards."""
    direct = {}
    for module in modules:
        path = root / "src" / module / "CMakeLists.txt"
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        found = re.search(r"ntp_module\(" + module + r"\b[^)]*?\bDEPENDS\b([^)]*)\)", text)
        direct[module] = found.group(1).split() if found else []

    def below(module, seen):
        for lower in direct.get(module, []):
            if lower not in seen:
                seen.add(lower)
                below(lower, seen)
        return seen

    return {module: below(module, set()) for module in modules}


def blanked(text):
    """The text without comments and without the insides of literals; lines stay where they are."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|R"(?P<tag>[^(\s]*)\(.*?\)(?P=tag)"|'
                         r'"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)

    def blank(match):
        found = match.group(0)
        kept = '""' if found[0] in 'R"' else "0" if found[0] == "'" else " "
        return kept + "\n" * found.count("\n")

    return pattern.sub(blank, text)


SCOPE = re.compile(r'\s*(?:template\s*<.*>\s*)?(?:inline\s+)?'
                   r'(?:namespace|class|struct|union|enum|extern\s*""\s*$)', re.DOTALL)
MEMBER_INITIALISER = re.compile(r"\)[\s\w]*:(?!:).*[:,]\s*[\w:<>]+\s*$|\)[\s\w]*:\s*[\w:<>]+\s*$",
                                re.DOTALL)


ACCESS = re.compile(r"\b(public|private|protected)\s*:(?!:)")


def kind_of_brace(head):
    """What a brace opens outside of any function, by the text before it."""
    if SCOPE.match(head) and "=" not in head:
        return "scope"
    if "(" in head and not re.search(r"=\s*$", head):
        return "initialiser" if MEMBER_INITIALISER.search(head) else "function"
    return "value"


def functions(text):
    """(name, first line, last line) of every function body; what is inside belongs to it."""
    code = re.sub(r"^[ \t]*#.*?(?<!\\)$", "", blanked(text), flags=re.MULTILINE | re.DOTALL)
    stack, head, line, first = [], "", 1, None
    for letter in code:
        if letter == "\n":
            line += 1
        if letter == "{":
            inside = "function" in stack
            nested = stack and stack[-1] in ("initialiser", "value")
            kind = stack[-1] if nested else "block" if inside else kind_of_brace(head)
            if kind == "function":
                name = re.search(r"([\w~:]+)\s*\(", head)
                signature = ACCESS.sub("", head).lstrip()
                first = (name.group(1) if name else "?", line - signature.count("\n"))
            stack.append(kind)
            head = head + "{" if kind == "initialiser" else "" if not inside else head
        elif letter == "}":
            kind = stack.pop() if stack else "scope"
            if kind == "function":
                yield (*first, line)
            head = head + "}" if kind == "initialiser" else "" if "function" not in stack else head
        elif letter == ";" and "function" not in stack:
            head = ""
        elif "function" not in stack:
            head += letter


def check_file(path, root, order, allowed):
    module = path.relative_to(root / "src").parts[0]
    text = path.read_text(encoding="utf-8")
    where = path.relative_to(root)
    is_test = path.stem.endswith("_test")
    for number, line in enumerate(text.splitlines(), 1):
        quoted = re.match(r'\s*#\s*include\s+"([^"/]+)/', line)
        if quoted and quoted.group(1) in order and quoted.group(1) != module:
            lower = quoted.group(1)
            if order.index(lower) > order.index(module):
                yield f"{where}:{number}: {module} includes {lower}, which stands above it"
            elif lower not in allowed[module]:
                yield f"{where}:{number}: {module} includes {lower} without naming it in DEPENDS"
        angled = re.match(r"\s*#\s*include\s+<([^>]+)>", line)
        if angled and module in PURE and not is_test and FORBIDDEN_INCLUDES.fullmatch(
                angled.group(1)):
            yield f"{where}:{number}: <{angled.group(1)}> has no place on a pure floor"
    if module in PURE and not is_test:
        for number, line in enumerate(blanked(text).split("\n"), 1):
            call = FORBIDDEN_CALLS.search(line)
            if call:
                yield f"{where}:{number}: {call.group(0)} has no place on a pure floor"
    yield from check_sizes(where, text)


def check_sizes(where, text):
    lines = text.count("\n")
    if lines > MAX_FILE:
        yield f"{where}: {lines} lines, {MAX_FILE} are the limit"
    for name, first, last in functions(text):
        if last - first + 1 > MAX_FUNCTION:
            yield (f"{where}:{first}: {name} has {last - first + 1} lines, "
                   f"{MAX_FUNCTION} are the limit")


def check(root):
    order = module_order(root)
    allowed = dependencies(root, order)
    found = []
    for path in sorted((root / "src").rglob("*")):
        if path.suffix not in (".h", ".cpp"):
            continue
        if path.relative_to(root / "src").parts[0] not in order:
            found.append(f"{path.relative_to(root)}: not in a module of src/CMakeLists.txt")
            continue
        found.extend(check_file(path, root, order, allowed))
    for folder in ("tests", "fuzz", "bench", "sim"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".h", ".cpp"):
                found.extend(check_sizes(path.relative_to(root),
                                         path.read_text(encoding="utf-8")))
    return found


# ---- proof that every rule can fail ---------------------------------------------------------------

def long_function(lines, head="void f(int a) {", tail="}"):
    return "\n".join([head, *["  g();"] * (lines - 2), tail]) + "\n"


INIT = "A::A(int x)\n    : a_{x}, b_(x), c_{{1, 2}} {"
GOOD = {
    "base/a.h": "#include <cstdint>\n// std::thread and ::now() in words only: \"<mutex>\"\n",
    "wire/b.cpp": '#include "base/a.h"\nconst char* s = "Clock::now()";\n' + long_function(60),
    "wire/c_test.cpp": "#include <thread>\nint x = Clock::now();\n",
    "wire/d.h": "struct alignas(64) S {\n" + "  int a = 0;\n" * 100 + "};\n"
                "const int k[] = {\n" + "  1,\n" * 100 + "};\n"
                "namespace n {\n" + long_function(30) * 5 + "}\n",
    "os/e.cpp": '#include <sys/socket.h>\n#include "wire/b.h"\n#include "base/a.h"\n',
}
BAD = {
    "stands above": ("base/x.h", '#include "wire/b.h"\n'),
    "without naming it": ("clock/x.h", '#include "wire/b.h"\n'),
    "<sys/socket.h> has no place": ("wire/x.h", "#include <sys/socket.h>\n"),
    "<unistd.h> has no place": ("wire/x.cpp", "#include <unistd.h>\n"),
    "<thread> has no place": ("base/x.h", "#include <thread>\n"),
    "<mutex> has no place": ("base/x.h", "#include <mutex>\n"),
    "<iostream> has no place": ("base/x.h", "# include <iostream>\n"),
    "::now( has no place": ("wire/x.cpp", "auto t = std::chrono::steady_clock::now();\n"),
    "clock_gettime has no place": ("wire/x.cpp", "int r = clock_gettime(0, &t);\n"),
    "random_device has no place": ("wire/x.cpp", "std::random_device d;\n"),
    "801 lines": ("os/x.cpp", "\n" * 801),
    "f has 61 lines": ("os/x.cpp", long_function(61)),
    "A::A has 63 lines": ("os/x.cpp", long_function(62, INIT)),
    "TEST has 61 lines": ("wire/x_test.cpp", long_function(61, "TEST(A, B) {")),
    "m has 70 lines": ("os/x.h", "class C {\n public:\n" + long_function(
        70, "  int m() const noexcept {") + "};\n"),
    "g has 61 lines": ("os/x.cpp", "namespace a {\nint v{1};\n" + long_function(
        61, "auto g(int x) -> int {\n  auto f = [&] { return '{'; };").replace(
            "  g();\n", "", 1) + "}\n"),
    "not in a module": ("attic/x.cpp", "\n"),
}


def tree(folder, files):
    src = folder / "src"
    for name in ("base", "wire", "clock", "os", "attic"):
        (src / name).mkdir(parents=True, exist_ok=True)
    (src / "CMakeLists.txt").write_text("foreach(module base wire clock os)\n", encoding="utf-8")
    (src / "wire/CMakeLists.txt").write_text("ntp_module(wire SOURCES b.cpp DEPENDS base)\n",
                                             encoding="utf-8")
    (src / "clock/CMakeLists.txt").write_text("ntp_module(clock DEPENDS base)\n", encoding="utf-8")
    (src / "os/CMakeLists.txt").write_text("ntp_module(os SOURCES e.cpp DEPENDS wire)\n",
                                           encoding="utf-8")
    for name, text in files.items():
        (src / name).write_text(text, encoding="utf-8")
    return folder


def self_test():
    """Problems of this script itself: a clean tree with complaints, a broken rule without."""
    with tempfile.TemporaryDirectory() as folder:
        wrong = [f"self-test: a good file is refused: {text}"
                 for text in check(tree(Path(folder), GOOD))]
    for message, (name, text) in BAD.items():
        with tempfile.TemporaryDirectory() as folder:
            found = check(tree(Path(folder), GOOD | {name: text}))
        if len(found) != 1 or message not in found[0]:
            wrong.append(f"self-test: expected one {message!r}, found {found}")
    return wrong


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--self-test", action="store_true")
    chosen = options.parse_args()
    found = self_test()
    if not chosen.self_test:
        found += check(ROOT)
    for text in found:
        print(text)
    print(f"lint_floors: {len(BAD)} ways to fail tried, {len(found)} problems")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
