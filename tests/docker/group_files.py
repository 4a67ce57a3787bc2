"""The files that the guide's users copy."""
import os
import re
import shutil

from lab import REPOSITORY, VERSION, Group, expect, run

group = Group("files")


@group.check("VERSION, Dockerfile, stack.yml and compose.yml name one version")
def one_version(_lab):
    for name, pattern in (("Dockerfile", r"^ARG VERSION=(\S+)$"), ("stack.yml", r"ntp-server:(V[^}\s]+)}"),
                          ("compose.yml", r"ntp-server:(V[^}\s]+)}")):
        found = re.findall(pattern, (REPOSITORY / name).read_text(), re.MULTILINE)
        expect(found == [VERSION], f"{name} says {found}, VERSION says {VERSION}")


@group.check("docker stack accepts stack.yml, also with NTS on top of it")
def stack_is_valid(lab):
    lab.docker  # the client comes with it on a machine that has none
    done = run("docker", "stack", "config", "-c", REPOSITORY / "stack.yml",
               "-c", REPOSITORY / "packaging" / "examples" / "stack-nts.yml", check=False)
    if "unknown shorthand flag" in done.stdout or "is not a docker command" in done.stdout:
        return "this client cannot check it; the swarm group deploys it"
    expect(done.returncode == 0, done.stdout)
    targets = set(re.findall(r"target: (/run\S+|cookie_secret)", done.stdout))
    expect(targets == {"/run/tls/server.crt", "/run/tls/server.key", "cookie_secret"},
           f"the cookie secret lies where key establishment reads: {targets}")
    expect("undefined" not in done.stdout and "ignor" not in done.stdout.lower(), done.stdout)
    return None


def compose_command(lab):
    """The words of a compose client: the plug-in, the program, or Debian's package of it."""
    lab.docker
    if run("docker", "compose", "version", check=False).returncode == 0:
        return ["docker", "compose"]
    if not shutil.which("docker-compose"):
        lab.install("docker-compose")
    return ["docker-compose"]


@group.check("docker compose accepts compose.yml")
def compose_is_valid(lab):
    run(*compose_command(lab), "-f", REPOSITORY / "compose.yml", "config", "-q")


@group.check("docker compose up serves, and takes away what it started")
def compose_serves(lab):
    lab.local_time_file()
    environment = dict(os.environ, NTP_SERVER_IMAGE=lab.image, DOCKER_HOST=lab.nodes.host(1),
                       COMPOSE_PROJECT_NAME=f"ntp{lab.number}")
    compose = [*compose_command(lab), "-f", REPOSITORY / "compose.yml"]
    try:
        run(*compose, "up", "-d", "--no-build", env=environment)
        lab.ask_soon(lab.nodes.address(1), within=lab.nodes.enter(0))
    finally:
        run(*compose, "down", "--volumes", env=environment)
    expect(not lab.node("ps", "-aq"), "a container is left")
