"""From nothing: a base system and this repository, and the commands that the README starts with."""
import contextlib
import re
import subprocess

from group_readme import FROM_NOTHING, UNITS, commands
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
    """A container of the base image that holds the repository and nothing else that a base system lacks. As on a machine, and
    unlike in Docker's containers, port 123 needs privilege."""
    name = lab.docker("run", "--detach", "--init", "--sysctl", "net.ipv4.ip_unprivileged_port_start=1024", lab.base(suite),
                      "sleep", "infinity")
    try:
        lab.docker("exec", name, "mkdir", SOURCE)
        archive = subprocess.run(["tar", "-C", REPOSITORY, "-c", "--owner=1000", "--group=1000", "-T", "-"], check=True,
                                 input="\n".join(sources()).encode(), stdout=subprocess.PIPE).stdout
        subprocess.run([*lab.docker.words, "cp", "-", f"{name}:{SOURCE}"], input=archive, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        yield name
    finally:
        lab.docker.attempt("rm", "--force", "--volumes", name)


def from_nothing(lab, name, *, user="root"):
    """The commands that the README starts with; returns how to run more of them."""
    def shell(line, *options, **limits):
        return lab.docker("exec", "--user", user, "--workdir", SOURCE, *options, name, "sh", "-c", line, **limits)
    shell("./dev run >/tmp/run.log 2>&1", "--detach")
    address = lab.docker.inspect(name, "{{.NetworkSettings.IPAddress}}")
    try:
        answer = lab.ask_soon(address, seconds=BUILD_S)
    finally:
        lab.note(lab.docker.attempt("exec", name, "tail", "-n", "20", "/tmp/run.log").stdout)
    expect(answer["version"] == 4, str(answer))
    line = re.search(r"^In another shell:  (.+)$", shell("cat /tmp/run.log"), re.MULTILINE)[1]
    said = shell(line)
    expect(" stratum " in said, f"{line}: {said}")
    return shell


@group.check("Debian 12, nothing installed: ./dev run answers")
def bookworm(lab):
    with machine(lab, "bookworm") as name:
        from_nothing(lab, name)  # CI is such a machine, builds everything and runs the tests


@group.check(FROM_NOTHING)
def trixie(lab):
    with machine(lab, "trixie") as name:
        lab.docker("exec", name, "sh", "-c", """set -e
            apt-get update -qq
            apt-get install -y -qq --no-install-recommends sudo systemd >/dev/null
            useradd --uid 1000 --create-home user
            echo 'user ALL=(ALL:ALL) NOPASSWD: ALL' >/etc/sudoers.d/user
            chown user: /ntp-server-source""", timeout=300)
        shell = from_nothing(lab, name, user="user")
        shell("./dev build", timeout=BUILD_S)
        shell("build/release/ntp-server --version")
        shell("./dev test --unit", timeout=BUILD_S)  # a container may not make the name spaces of the system tests
        for line in filter(UNITS.match, commands()):
            shell(line.replace(" --now", ""))  # no systemd runs in this container
        shell("systemctl is-enabled ntp-server")
        said = shell("systemd-analyze verify --man=no /etc/systemd/system/ntp-server.service")
        expect("ntp-server" not in said, said)
