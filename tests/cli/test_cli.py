#!/usr/bin/python3
"""The program's command line from outside: messages, exit codes, and the papers that describe it.

usage: test_cli.py PROGRAM [unittest arguments]
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import unittest

PROGRAM = ""
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COMMANDS = [[], ["run"], ["healthcheck"], ["ctl"], ["query"], ["check"], ["config"], ["config", "show"], ["ca"], ["ca", "init"], ["ca", "issue"], ["version"]]
UNPRIVILEGED = 65532


def start(*arguments, environment=None, uid=None, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=None):
    """Runs the program to its end, in an environment of its own."""
    return subprocess.run([PROGRAM, *arguments], stdin=subprocess.DEVNULL, stdout=stdout,
                          stderr=stderr, text=True, env=environment or {}, timeout=60,
                          user=uid, check=False, preexec_fn=preexec_fn)


def flags_of(command):
    return set(re.findall(r"^  (?:-h, )?(--[a-z-]+)", start(*command, "--help").stdout, re.M))


class CliTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="ntp-server-cli-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        os.chmod(self.folder, 0o755)

    def write(self, text, name="ntp.toml"):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def refused(self, code, message, *arguments, **how):
        """Every command that reads the configuration must refuse in the same way."""
        for command in (["run"], [], ["check"], ["config", "show"]):
            with self.subTest(command=command):
                result = start(*command, *arguments, **how)
                self.assertEqual(result.returncode, code, result.stderr)
                self.assertEqual(result.stderr.splitlines()[0], message)
                self.assertEqual(result.stdout, "")


class FailingStarts(CliTest):
    def test_a_named_file_that_is_missing(self):
        path = os.path.join(self.folder, "none.toml")
        self.refused(78, f"{path}: cannot be opened: No such file or directory", "--config", path)

    def test_a_file_in_a_place_that_is_no_directory(self):
        path = self.write("") + "/ntp.toml"
        self.refused(78, f"{path}: cannot be opened: Not a directory", "--config", path)

    def test_a_file_that_may_not_be_read(self):
        path = self.write("")
        os.chmod(path, 0)
        uid = UNPRIVILEGED if os.geteuid() == 0 else None
        self.refused(77, f"{path}: cannot be opened: Permission denied; make it readable for uid "
                         f"{uid or os.geteuid()}", "--config", path, uid=uid)

    def test_a_drop_in_that_may_not_be_read(self):
        path = self.write("")
        drop_in = self.write("", "conf.d/10.toml")
        os.chmod(drop_in, 0)
        uid = UNPRIVILEGED if os.geteuid() == 0 else None
        self.refused(77, f"{drop_in}: cannot be opened: Permission denied; make it readable for uid "
                         f"{uid or os.geteuid()}", "--config", path, uid=uid)

    def test_a_directory_in_place_of_the_file(self):
        self.refused(78, f"{self.folder}: is a directory; name a file; a mount of a missing file makes a "
                         "directory", "--config", self.folder)

    def test_a_file_that_is_too_large(self):
        self.refused(78, "/dev/zero: is larger than 1024 KiB; this is not a configuration of ntp-server",
                     "--config", "/dev/zero")

    def test_a_pipe_in_place_of_the_file(self):
        path = os.path.join(self.folder, "pipe")
        os.mkfifo(path)
        self.refused(78, f"{path}: is not a file; a reload could not read it again", "--config", path)

    def test_an_unknown_key(self):
        path = self.write("[server]\n  stratun = 3\n")
        self.refused(78, f'{path}:2:3: unknown key "stratun" in [server]; did you mean "stratum"?',
                     "--config", path)

    def test_a_bad_value_in_a_drop_in(self):
        path = self.write("")
        drop_in = self.write("[http]\nmax_error = 100\n", "conf.d/10.toml")
        self.refused(78, f"{drop_in}:2:13: http.max_error is 100, a number without a unit; write the unit: "
                         '"100ms", "1.5s" (s, ms, us or ns)', "--config", path)

    def test_a_file_that_is_not_toml(self):
        path = self.write("server:\n  stratum: 3\n")
        result = start("check", "--config", path)
        self.assertEqual(result.returncode, 78)
        self.assertRegex(result.stderr, rf"^{re.escape(path)}:1:\d+: not TOML: ")

    def test_a_bad_value_in_the_environment(self):
        self.refused(78, "environment NTP_SERVER_SERVER_STRATUM: server.stratum is \"16\"; it must be a "
                         "whole number from 1 to 15", "--config", "/dev/null",
                     environment={"NTP_SERVER_SERVER_STRATUM": "16"})

    def test_an_unknown_variable(self):
        self.refused(78, "environment NTP_SERVER_HTTP_LISTN: unknown setting; did you mean "
                         '"NTP_SERVER_HTTP_LISTEN"?', "--config", "/dev/null",
                     environment={"NTP_SERVER_HTTP_LISTN": "off"})

    def test_a_bad_value_in_a_flag(self):
        self.refused(2, '--threads: server.threads is "many"; it must be "auto" or a whole number from 0 '
                        "to 64", "--config", "/dev/null", "--threads", "many")

    def test_everything_at_once(self):
        path = self.write("[server]\nstratum = 0\npoll_minimum = 99\n")
        result = start("--config", path, "--http", "x", environment={"NTP_SERVER_LOG_LEVEL": "loud"})
        self.assertEqual(result.returncode, 78)
        lines = result.stderr.splitlines()
        self.assertEqual([line.split(": ")[0] for line in lines],
                         [f"{path}:2:11", f"{path}:3:16", "environment NTP_SERVER_LOG_LEVEL", "--http",
                          "ntp-server"])
        self.assertEqual(lines[-1], "ntp-server: 4 problems in the configuration")

    def test_usage(self):
        for arguments, message, shown in (
                (["--lisen"], 'unknown option "--lisen"; did you mean "--listen"?', "ntp-server"),
                (["cehck"], 'unknown command "cehck"; did you mean "check"?', "ntp-server"),
                (["run", "now"], 'unexpected argument "now"', "ntp-server run"),
                (["help"], 'unknown command "help"; did you mean "--help"?', "ntp-server"),
                (["run", "help"], 'unexpected argument "help"; did you mean "--help"?', "ntp-server run"),
                (["query"], "HOST is missing", "ntp-server query"),
                (["query", "::1", "--count", "0"],
                 '--count is "0"; it must be a whole number from 1 to 1000', "ntp-server query"),
                (["config"], "config needs to be told what to do: config show", "ntp-server config"),
                (["check", "--config"], "--config needs a value", "ntp-server check"),
                *((command + ["--config", ""], "--config is empty; name a file, or leave it out",
                   " ".join(["ntp-server", *command])) for command in ([], ["check"], ["ctl"]))):
            with self.subTest(arguments=arguments):
                result = start(*arguments)
                self.assertEqual(result.returncode, 2)
                self.assertEqual(result.stderr, f"ntp-server: {message}\nTry '{shown} --help'.\n")
                self.assertEqual(result.stdout, "")

    def test_healthcheck_never_exits_with_two(self):
        for arguments in (["--bogus"], ["--timeout", "2"], ["--max-error"], ["--config", ""]):
            result = start("healthcheck", *arguments)
            self.assertEqual(result.returncode, 1, arguments)
            self.assertIn("Try 'ntp-server healthcheck --help'.", result.stderr)

    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            for command in (["version"], ["--help"], ["check", "--config", "/dev/null"],
                            ["config", "show", "--config", "/dev/null"], ["healthcheck", "--socket", "/nonexistent"]):
                for why, how in (("No space left on device", {"stdout": full}),
                                 ("Bad file descriptor", {"preexec_fn": lambda: os.close(1)})):
                    with self.subTest(command=command, why=why):
                        result = start(*command, **how)
                        self.assertEqual(result.returncode, 1 if command[0] == "healthcheck" else 71)
                        self.assertEqual(result.stderr, f"ntp-server: cannot write the output: {why}\n")

    def test_complaints_that_cannot_be_written(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            for command, code in ((["query", "nowhere.invalid"], 69), (["ctl", "--socket", "/nonexistent"], 69)):
                self.assertEqual(start(*command, stderr=full).returncode, code, command)


class Commands(CliTest):
    def test_check_says_ok_and_which_files_it_read(self):
        path = self.write("[server]\nstratum = 2\n")
        drop_in = self.write("", "conf.d/10.toml")
        result = start("check", "--config", path)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(result.stdout, f"ok: {path} {drop_in}\n")

    def test_check_prints_warnings(self):
        result = start("check", "--config", "/dev/null", environment={"ENABLE_NTS": "yes"})
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stdout, r"\Awarning: ENABLE_NTS is set, .*\nok: /dev/null\n\Z")

    def test_show_is_a_configuration_with_the_same_effect(self):
        path = self.write('[server]\nlisten = ["192.0.2.1"]\n[log]\nlevel = "debug"\n')
        drop_in = self.write("log.level = 'warning'\n", "conf.d/10.toml")
        first = start("config", "show", "--origin", "--config", path, "--threads", "3",
                      environment={"NTP_SERVER_HTTP_LISTEN": "off"})
        self.assertEqual(first.returncode, 0, first.stderr)
        for line in (f'listen = ["192.0.2.1:123"]  # from {path}:2:10',
                     "threads = 3  # from flag --threads",
                     "stratum = 3  # from default",
                     'listen = "off"  # from environment NTP_SERVER_HTTP_LISTEN',
                     f'level = "warning"  # from {drop_in}:1:13'):
            self.assertIn(line + "\n", first.stdout)
        again = self.write(first.stdout, "again/ntp.toml")
        second = start("config", "show", "--config", again)
        self.assertEqual(second.returncode, 0, second.stderr)
        self.assertEqual(second.stdout, re.sub(r"  # from .*", "", first.stdout))

    def test_show_is_toml_for_other_readers_too(self):
        shown = tomllib.loads(start("config", "show", "--origin", "--config", "/dev/null",
                                    "--source", "ntp.example.org").stdout)
        self.assertEqual(shown["server"]["listen"], ["0.0.0.0:123", "[::]:123"])
        self.assertEqual(shown["host_clock"]["max_root_distance"], "1.5s")
        with open(os.path.join(ROOT, "packaging/examples/ntp.toml"), encoding="utf-8") as file:
            example = re.sub(r"^#(?=[a-z[])", "", file.read(), flags=re.M)
        self.assertEqual(shown, tomllib.loads(example))

    def test_version_is_that_of_the_version_file(self):
        with open(os.path.join(ROOT, "VERSION"), encoding="ascii") as file:
            version = file.read().strip()
        for arguments in (["version"], ["--version"]):
            result = start(*arguments)
            self.assertEqual(result.returncode, 0)
            self.assertRegex(result.stdout, rf"\Antp-server {re.escape(version)} \([^()]+, \w+\)\n\Z")

    def test_ca_makes_what_a_server_and_its_clients_need_and_overwrites_nothing(self):
        with tempfile.TemporaryDirectory() as scratch:
            folder = os.path.join(scratch, "tls")
            made = start("ca", "init", "--dir", folder, "--name", "Example LAN", "time.lan", "192.0.2.1", "2001:db8::1")
            self.assertEqual((made.returncode, made.stderr), (0, ""))
            self.assertIn(f'certificate = "{folder}/server.crt"', made.stdout)
            self.assertIn(f"ntstrustedcerts {folder}/ca.crt", made.stdout)
            modes = {name: os.stat(os.path.join(folder, name)).st_mode & 0o777 for name in os.listdir(folder)}
            self.assertEqual(modes, {"ca.crt": 0o644, "ca.key": 0o600, "server.crt": 0o644, "server.key": 0o600})
            if os.geteuid() == 0:
                self.assertEqual(os.stat(os.path.join(folder, "server.key")).st_uid, UNPRIVILEGED)

            def texts():
                found = {}
                for name in modes:
                    with open(os.path.join(folder, name), encoding="ascii") as file:
                        found[name] = file.read()
                return found
            before = texts()
            again = start("ca", "init", "--dir", folder, "time.lan")
            self.assertEqual(again.returncode, 73)
            self.assertRegex(again.stderr, "ca.crt is there already; nothing was written")
            self.assertEqual(texts(), before)
            issued = start("ca", "issue", "--dir", folder, "other.lan")
            self.assertEqual((issued.returncode, issued.stderr), (0, ""))
            self.assertEqual({name for name, text in texts().items() if text != before[name]}, {"server.crt"})

    def test_ca_refuses_what_is_no_host_and_where_nothing_can_be_written(self):
        for host in ("a b", "*.lan", "http://a", "a,DNS:b", "-a", ""):
            self.assertEqual(start("ca", "init", "--dir", "/nowhere/at/all", "--", host).returncode, 2, host)
        refused = start("ca", "init", "--dir", "/nowhere/at/all", "time.lan")
        self.assertEqual(refused.returncode, 73)
        self.assertRegex(refused.stderr, "make the directory /nowhere/at/all: No such file")
        self.assertEqual(start("ca", "issue", "--dir", "/nowhere", "time.lan").returncode, 73)

    def test_help_is_everywhere(self):
        for command in COMMANDS:
            for flag in ("--help", "-h"):
                result = start(*command, flag)
                self.assertEqual((result.returncode, result.stderr), (0, ""), command)
                self.assertIn("Usage: " + " ".join(["ntp-server", *command]), result.stdout)
                self.assertIn("--help", flags_of(command))


class Papers(CliTest):
    def test_the_man_page_names_every_command_and_flag(self):
        with open(os.path.join(ROOT, "docs/man/ntp-server.8.scd"), encoding="utf-8") as file:
            page = file.read()
        for command in COMMANDS:
            name = " ".join(command)
            if name not in ("", "config"):
                self.assertRegex(page, rf"(?m)^\*{name}\*", name)
            for flag in flags_of(command):
                self.assertRegex(page, rf"(?m)^(\*-h\*, )?\*{flag}\*", f"{name} {flag}")
        for code in (0, 1, 2, 69, 71, 73, 77, 78):
            self.assertIn(f"\n*{code}*\n", page)

    def test_the_man_page_can_be_made(self):
        scdoc = shutil.which("scdoc")
        if scdoc is None:
            self.skipTest("scdoc is not installed")
        with open(os.path.join(ROOT, "docs/man/ntp-server.8.scd"), encoding="utf-8") as page:
            made = subprocess.run([scdoc], stdin=page, capture_output=True, text=True, check=False)
        self.assertEqual((made.returncode, made.stderr), (0, ""))
        self.assertIn('.TH "ntp-server" "8"', made.stdout)

    def complete(self, words):
        script = ('source "$1"; shift; COMP_WORDS=(ntp-server "$@"); COMP_CWORD=$#; '
                  '_ntp_server; printf "%s\\n" "${COMPREPLY[@]}"')
        path = os.path.join(ROOT, "packaging/completion/ntp-server.bash")
        result = subprocess.run(["bash", "-c", script, "bash", path, *words], capture_output=True, text=True,
                                timeout=60, check=False)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return set(result.stdout.split())

    def test_completion_offers_what_help_lists(self):
        for command in COMMANDS:
            with self.subTest(command=command):
                self.assertEqual({word for word in self.complete([*command, ""]) if word.startswith("-")},
                                 flags_of(command))
                text = start(*command, "--help").stdout
                listed = re.search(r"^Commands:\n((?:  .*\n)+)", text, re.M)
                listed = set(re.findall(r"^  ([a-z]+)", listed[1], re.M)) if listed else set()
                topics = re.search(r"^  TOPIC ([a-z,\s]+)\(default", text, re.M)
                listed |= set(re.findall(r"[a-z]+", topics[1])) if topics else set()
                self.assertEqual({word for word in self.complete([*command, ""])
                                  if not word.startswith("-")}, listed)

    def test_completion_knows_values_and_looks_past_flags(self):
        self.assertEqual(self.complete(["--log-level", ""]), {"error", "warning", "info", "debug"})
        self.assertEqual(self.complete(["--threads", "2", "config", "s"]), {"show"})
        self.assertEqual(self.complete(["query", "--j"]), {"--json"})


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
