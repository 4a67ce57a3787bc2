"""From nothing: a base system and this repository, and the commands that the README starts with."""
import contextlib
import re
import subprocess

from lab import BUILD_S, REPOSITORY, Group, expect, run

group = Group("fresh")
SOURCE = "/ntp-server-source"


def sources():
    """What is in the repository or would be added to it, and no build folder."""
    if (REPOSITORY / ".git").exists():
        listed = run("git", "-c", f"safe.directory={REPOSITORY}", "-C", REPOSITORY, "ls-files", "-co",
                     "--exclude-standard").stdout.splitlines()
        return [name for name in listed if (REPOSITORY / name).is_file()]
    files = (path.relative_to(REPOSITORY) for path in REPOSITORY.rglob("*") if path.is_file())
    return [str(path) for path in files if not path.parts[0].startswith("build")]


@contextlib.contextmanager
def machine(lab, suite):
    """A container of the base image that holds the repository and nothing else that a base system lacks."""
    name = lab.docker("run", "--detach", "--init", lab.base(suite), "sleep", "infinity")
    try:
        lab.docker("exec", name, "mkdir", SOURCE)
        archive = subprocess.run(["tar", "-C", REPOSITORY, "-c", "--owner=0", "--group=0", "-T", "-"], check=True,
                                 input="\n".join(sources()).encode(), stdout=subprocess.PIPE).stdout
        subprocess.run([*lab.docker.words, "cp", "-", f"{name}:{SOURCE}"], input=archive, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        yield name
    finally:
        lab.docker.attempt("rm", "--force", "--volumes", name)


def from_nothing(lab, suite, *, tests):
    with machine(lab, suite) as name:
        lab.docker("exec", "--detach", "--workdir", SOURCE, name, "sh", "-c", "./dev run >/run.log 2>&1")
        address = lab.docker.inspect(name, "{{.NetworkSettings.IPAddress}}")
        try:
            answer = lab.ask_soon(address, seconds=BUILD_S)
        finally:
            log = lab.docker.attempt("exec", name, "tail", "-n", "20", "/run.log").stdout
            lab.note(log)
        line = re.search(r"^In another shell:  (.+)$", lab.docker("exec", name, "cat", "/run.log"), re.MULTILINE)[1]
        said = lab.docker("exec", "--workdir", SOURCE, name, *line.split())
        expect(" stratum " in said, f"{line}: {said}")
        lab.docker("exec", "--workdir", SOURCE, name, "./dev", "build", timeout=BUILD_S)
        lab.docker("exec", "--workdir", SOURCE, name, "build/release/ntp-server", "--version")
        if tests:
            lab.docker("exec", "--workdir", SOURCE, name, "./dev", "test", "--unit", timeout=BUILD_S)
        expect(answer["version"] == 4, str(answer))


@group.check("Debian 12, nothing installed: ./dev run answers, ./dev build works")
def bookworm(lab):
    from_nothing(lab, "bookworm", tests=False)  # CI is such a machine, and runs them


@group.check("Debian 13, nothing installed: ./dev run answers, ./dev build and the unit tests work")
def trixie(lab):
    from_nothing(lab, "trixie", tests=True)
