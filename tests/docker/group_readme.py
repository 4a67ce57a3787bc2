"""The commands of the README, word for word. Each is run here, or shown to be run by another group."""
import os
import pathlib
import re
import shutil
import subprocess

from lab import REPOSITORY, VERSION, Failure, Group, expect, run, until

group = Group("readme")
IMAGE = f"ntp-server:{VERSION}"

FROM_NOTHING = "Debian 13, a user with sudo and nothing else: ./dev run answers, ./dev build and the unit tests work, the systemd units install"
UNITS = re.compile(r"^sudo (install|systemctl) ")  # the lines that install the systemd units

# What the README shows and another check runs in the same words. The title must exist.
ELSEWHERE = {
    "./dev run": ("fresh", "Debian 12, nothing installed: ./dev run answers"),
    "./dev test": ("fresh", FROM_NOTHING),
    f"./dev image {VERSION}": ("image", "./dev image TAG: program, label and tag agree"),
    "docker stack deploy -c stack.yml ntp": ("swarm", "stack.yml is deployed"),
    "docker service ls": ("swarm", "stack.yml is deployed"),
    "docker service ps ntp_ntp-server": ("swarm", "stack.yml is deployed"),
    "docker service logs -f ntp_ntp-server": ("swarm", "stack.yml is deployed"),
    "REG=REGISTRY/USER": ("arm64", "one tag in a registry holds both architectures"),
    f"VER={VERSION}": ("arm64", "one tag in a registry holds both architectures"),
}
BUILDX = re.compile(r"^docker buildx ")  # they need a public registry; group arm64 builds both images with BuildKit and with buildx


def commands():
    """The commands of the README's bash blocks, without comments."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [command for line in lines if (command := re.sub(r"\s+#.*$", "", line).strip())]


class Shell:
    """Runs lines of the README in the repository, against the daemon of node 1."""

    def __init__(self, lab):
        self.lab = lab
        self.within = lab.nodes.enter(1)
        self.environment = dict(os.environ, DOCKER_HOST=lab.nodes.host(1))

    def __call__(self, line, cwd=REPOSITORY):
        return run(*self.within, "bash", "-c", line, env=self.environment, cwd=cwd, timeout=600).stdout


def git_lines(lab, lines):
    """In a clone with an origin of its own: the README's tag must not appear in the repository under test."""
    origin, clone = lab.folder / "origin.git", lab.folder / "clone"
    run("git", "init", "--quiet", "--bare", origin)
    run("git", "-c", f"safe.directory={REPOSITORY}", "clone", "--quiet", "--no-local", REPOSITORY, clone)
    run("git", "-C", clone, "tag", "--delete", VERSION, check=False)
    run("git", "-C", clone, "remote", "set-url", "origin", origin)
    run("git", "-C", clone, "config", "user.name", "test")
    run("git", "-C", clone, "config", "user.email", "test@localhost")
    for line in lines:
        run("bash", "-c", line, cwd=clone)
    expect(VERSION in run("git", "-C", origin, "tag").stdout.split(), "the tag did not reach the origin")


def build_line(lab, line):
    """The plain build, in a name space of tags that nobody else uses: removed afterwards if it was not there."""
    lab.image  # the layers are then there already
    known = lab.docker.attempt("image", "inspect", IMAGE).returncode == 0
    expect(not known, f"{IMAGE} exists on this machine; the README's build would move its tag")
    lab.remove_image_at_end(IMAGE)
    run("bash", "-c", line, cwd=REPOSITORY, timeout=900)
    expect(lab.docker("run", "--rm", IMAGE, "version").startswith(f"ntp-server {VERSION} "), "another version")


def run_and_ask(lab, start, lines):
    """`docker run … --name ntp-test` in the foreground, and the questions beside it."""
    shell = Shell(lab)
    lab.local_time_file()
    run("bash", "-c", f"docker tag {lab.image} {IMAGE}", env=shell.environment)
    with subprocess.Popen([*shell.within, "bash", "-c", "exec " + start], env=shell.environment, cwd=REPOSITORY,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        try:
            until("healthy", 20, lambda: shell("docker exec ntp-test /ntp-server healthcheck").startswith("healthy"))
            for line in lines:
                said = shell(line)
                expect(re.search(r"stratum \d+ +offset|^healthy: UDP answered in .* ms", said), f"{line}: {said}")
        finally:
            subprocess.run([*shell.within, "docker", "stop", "ntp-test"], env=shell.environment,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30, check=False)
            child.wait(30)
    expect(child.returncode == 0, f"status {child.returncode}")


def rest_on_node(lab, lines):
    shell = Shell(lab)
    scratch = pathlib.Path(lab.folder) / "readme"
    scratch.mkdir(exist_ok=True)
    for line in lines:
        shell(line, cwd=scratch)
    if any("docker save" in line for line in lines):
        saved = scratch / f"ntp-server-{VERSION}.tar.gz"
        expect(saved.stat().st_size > 1_000_000, f"{saved} has {saved.stat().st_size} octets")
        shell(f"docker load < {saved.name}", cwd=scratch)
    shutil.rmtree(scratch)


def dev_test_is_run_by_ci():
    """`./dev test` itself cannot run in a container; what it does must be part of what CI runs."""
    stages = re.findall(r"stages=\(([a-z ]+)\)", (REPOSITORY / "packaging/dev/test.sh").read_text())
    usual, every = (set(line.split()) for line in stages[:2])
    expect(usual == {"unit", "system"} and usual < every, f"./dev test: {usual}, ./dev test --all: {every}")
    expect("./dev test --all" in (REPOSITORY / ".ci/run").read_text(), "CI runs something else")


def take(pool, pattern):
    taken = [line for line in pool if re.search(pattern, line)]
    for line in taken:
        pool.remove(line)
    if not taken:
        raise Failure(f"the README shows nothing like {pattern}")
    return taken


@group.check("every command of the README works as it stands")
def readme(lab):
    pool = list(commands())
    total = len(pool)
    for line in [line for line in pool if line in ELSEWHERE]:
        name, title = ELSEWHERE[line]
        expect(any(group.name == name and check.startswith(title) for group in lab.groups for check, _ in group.checks),
               f"{line}: no check {name}: {title}")
        pool.remove(line)
    dev_test_is_run_by_ci()
    buildx = take(pool, BUILDX)
    take(pool, UNITS)  # run by the check FROM_NOTHING of group fresh
    git_lines(lab, take(pool, r"^git "))
    build_line(lab, take(pool, r"^docker build ")[0])
    start = take(pool, r"^docker run .*--name ntp-test")
    questions = take(pool, r"^docker exec ntp-test ")
    local = take(pool, r"^build/release/ntp-server query")
    if (REPOSITORY / "build/release/ntp-server").exists():
        questions += local
    run_and_ask(lab, start[0], questions)
    rest_on_node(lab, take(pool, r"^docker (tag|save) "))
    expect(not pool, "nobody runs these: " + "; ".join(pool))
    return f"{total} commands, {len(buildx)} of them need a public registry and are only read"
