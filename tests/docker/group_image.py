"""How the image is built and what is in it."""
import json
import os
import re
import subprocess
import sys
import tarfile

from lab import BUILD_S, REPOSITORY, VERSION, Group, expect, revision, run

group = Group("image")
LIMIT_MB = 15.0
IMAGE_SCRIPT = REPOSITORY / "packaging" / "dev" / "image.sh"


def size_mb(docker, image):
    return int(docker.inspect(image, "{{.Size}}")) / 1e6


def version_label(docker, image):
    return docker.inspect(image, '{{index .Config.Labels "org.opencontainers.image.version"}}')


@group.check("./dev image TAG: program, label and tag agree")
def dev_image(lab):
    image = lab.image
    said = lab.docker("run", "--rm", image, "version")
    expect(said.split()[:2] == ["ntp-server", lab.tag], f"the program says {said}")
    expect(version_label(lab.docker, image) == lab.tag, "the label states another version")
    expect(f"{image}  program, label and tag agree" in lab.build_output, lab.build_output[-500:])
    size = size_mb(lab.docker, image)
    expect(size <= LIMIT_MB, f"{size:.1f} MB")
    return f"{size:.1f} MB"


@group.check("./dev image refuses a tag that exists and leaves it alone")
def tag_reuse(lab):
    before = lab.docker.inspect(lab.image, "{{.Id}}")
    done = run("bash", IMAGE_SCRIPT, lab.tag, check=False)
    expect(done.returncode == 73, f"status {done.returncode}: {done.stdout}")
    expect(f"ntp-server:{lab.tag} exists already and tags are never reused" in done.stdout, done.stdout)
    expect(lab.docker.inspect(lab.image, "{{.Id}}") == before, "the tag moved")


@group.check("./dev image refuses a tag that is no version")
def tag_form(lab):
    lab.docker
    done = run("bash", IMAGE_SCRIPT, "latest", check=False)
    expect(done.returncode == 2 and "'latest' is not a version" in done.stdout, done.stdout)


@group.check("plain docker build without BuildKit: label and program say what VERSION says, at most 15 MB")
def legacy_builder(lab):
    lab.base("trixie")
    name = f"ntp-server:legacy-test{lab.number}"
    lab.remove_image_at_end(name)
    lab.docker("build", "--tag", name, REPOSITORY, env=dict(os.environ, DOCKER_BUILDKIT="0"), timeout=BUILD_S)
    said = lab.docker("run", "--rm", name, "--version")
    expect(VERSION in said.split(), f"the program says {said}")
    expect(version_label(lab.docker, name) == VERSION, "the label states another version")
    size = size_mb(lab.docker, name)
    expect(size <= LIMIT_MB, f"{size:.1f} MB")
    return f"{size:.1f} MB"


def is_hardened(lab, image):
    """tests/hardening.py about the very file that is handed out."""
    name = lab.docker("create", "--platform", lab.docker.inspect(image, "{{.Os}}/{{.Architecture}}"), image)
    program = lab.folder / f"program-of-{name[:12]}"
    try:
        lab.docker("cp", f"{name}:/ntp-server", program)
    finally:
        lab.docker("rm", name)
    return run(sys.executable, REPOSITORY / "tests" / "hardening.py", program).stdout.split(": ", 1)[1].strip()


def content(lab):
    """The files of the image as tar members, and /etc/passwd is not alone in telling who may do what."""
    name = lab.docker("create", lab.image)
    try:
        with subprocess.Popen([*lab.docker.words, "export", name], stdout=subprocess.PIPE) as export:
            with tarfile.open(fileobj=export.stdout, mode="r|") as archive:
                return {member.name: member for member in archive}
    finally:
        lab.docker("rm", name)


@group.check("the image holds the program and its libraries, no shell and nothing with set-uid")
def no_shell(lab):
    members = content(lab)
    # Docker itself puts empty executables there (etc/hosts, .dockerenv …).
    programs = [m.name for m in members.values() if m.isfile() and m.mode & 0o111 and m.size]
    strangers = [p for p in programs if p != "ntp-server" and "/ld-linux-" not in p and ".so." not in p]
    expect("ntp-server" in programs and not strangers, f"executables: {programs}")
    expect(not [m.name for m in members.values() if m.isfile() and m.mode & 0o6000], "a set-uid file")
    shell = lab.docker.attempt("run", "--rm", "--entrypoint", "/bin/sh", lab.image, "-c", "true")
    expect(shell.returncode == 127, f"status {shell.returncode}: {shell.stdout}")
    state = members["var/lib/ntp-server"]
    expect((state.uid, state.gid) == (65532, 65532), f"the state directory belongs to {state.uid}:{state.gid}")
    expect(members["etc/ntp-server"].isdir() and members["etc/ntp-server"].uid == 0, "no /etc/ntp-server")
    return f"{len(members)} entries"


@group.check("the program in the image has every protection that the build asks for")
def hardened(lab):
    return is_hardened(lab, lab.image)


@group.check("the image holds the licence of every library that is linked or compiled in")
def licences(lab):
    packages = re.search(r"^packages_build=\((.*)\)$", (REPOSITORY / "packaging/dev/packages.sh").read_text(), re.MULTILINE)[1]
    libraries = [name for name in packages.split() if name.endswith("-dev")]
    expect(len(libraries) >= 4, packages)
    members = content(lab)
    notices = ["ntp-server/LICENSE", *(f"{name}/copyright" for name in (*libraries, "libc6", "libgcc-s1", "libstdc++6", "tzdata"))]
    missing = [name for name in notices if (found := members.get(f"usr/share/doc/{name}")) is None or not found.size]
    expect(not missing, f"not in the image: {missing}")


@group.check("the image's configuration: user, ports, stop signal, health probe without a shell, labels")
def configuration(lab):
    config = json.loads(lab.docker("image", "inspect", lab.image))[0]["Config"]
    expect(config["User"] == "65532:65532", config["User"])
    expect(set(config["ExposedPorts"]) == {"123/udp", "4460/tcp", "9559/tcp"}, str(config["ExposedPorts"]))
    expect(config["StopSignal"] == "SIGTERM", config["StopSignal"])
    expect(config["Entrypoint"] == ["/ntp-server"] and config["Cmd"] == ["run"], str(config["Entrypoint"]))
    probe = config["Healthcheck"]
    expect(probe["Test"] == ["CMD", "/ntp-server", "healthcheck"], str(probe))
    expect(probe["Timeout"] >= 5_000_000_000, "a probe on a busy node starts late: 5 s at least")
    labels = {label: config["Labels"].get(f"org.opencontainers.image.{label}")
              for label in ("title", "description", "version", "revision", "licenses")}
    expect(labels["revision"] == revision() and all(labels.values()), f"the commit is {revision()}, the labels are {labels}")
