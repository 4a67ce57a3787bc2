"""The image for arm64: cross-compiled by the same Dockerfile, run under qemu, and in a registry beside amd64."""
import os
import pathlib
import shutil
import socket
import subprocess
import sys

from lab import BUILD_S, REPOSITORY, VERSION, Failure, Group, expect, run, until
from group_image import LIMIT_MB, is_hardened, size_mb, version_label

sys.path.append(str(REPOSITORY / "tests" / "interop"))
import debian  # noqa: E402

group = Group("arm64")
BINFMT = pathlib.Path("/proc/sys/fs/binfmt_misc")
# The first 20 octets of an arm64 ELF file and which of their bits count; F: the interpreter is opened now, so that
# containers need no copy of it.
BINFMT_LINE = (r":{name}:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:"
               r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:{qemu}:F")


def arm64_image(lab):
    """The arm64 image, made with BuildKit: the older builder would write amd64 into its configuration."""
    def make():
        lab.base("trixie")
        name = f"ntp-server:arm64-test{lab.number}"
        lab.remove_image_at_end(name)
        lab.buildkit("build", "--platform", "linux/arm64", "--tag", name, REPOSITORY, timeout=BUILD_S,
                     env=dict(os.environ, DOCKER_BUILDKIT="1"))
        return name
    return lab.once("the arm64 image", make)


def emulation(lab):
    """Makes this kernel run arm64 programs, as qemu-user's package does on a machine with systemd."""
    def make():
        if list(BINFMT.glob("qemu-aarch64*")):
            return "registered before"
        lab.install("qemu-user-static")
        qemu = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
        if not qemu:
            raise Failure("no qemu for arm64 after installing qemu-user-static")
        if not (BINFMT / "register").exists():
            run("mount", "-t", "binfmt_misc", "binfmt_misc", BINFMT)
            lab.stack.callback(run, "umount", BINFMT, check=False)
        if not list(BINFMT.glob("qemu-aarch64*")):  # installing it may have registered it
            entry = BINFMT / f"qemu-aarch64-test{lab.number}"
            (BINFMT / "register").write_text(BINFMT_LINE.format(name=entry.name, qemu=qemu))
            lab.stack.callback(entry.write_text, "-1")
        return qemu
    return lab.once("arm64 emulation", make)


@group.check("BuildKit makes the arm64 image: architecture, label, at most 15 MB")
def built(lab):
    image = arm64_image(lab)
    expect(lab.docker.inspect(image, "{{.Architecture}}") == "arm64", "another architecture in the configuration")
    expect(version_label(lab.docker, image) == VERSION, "the label states another version")
    size = size_mb(lab.docker, image)
    expect(size <= LIMIT_MB, f"{size:.1f} MB")
    return f"{size:.1f} MB"


@group.check("buildx makes both images too")
def with_buildx(lab):
    """Debian 13's buildx, unpacked as the plug-in of the client that is here; Debian 12 has none. It builds for one platform a
    call: for both at once it wants a builder whose image only a public registry has."""
    lab.base("trixie")
    folder = lab.folder / "buildx"
    debian.OtherSources(str(folder / "apt"), "deb", suite="trixie").get("download", "docker-buildx", folder=folder)
    run("dpkg", "-x", next(folder.glob("*.deb")), folder)
    plugins = folder / "config" / "cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / "docker-buildx").symlink_to(folder / "usr/libexec/docker/cli-plugins/docker-buildx")
    environment = dict(os.environ, DOCKER_CONFIG=plugins.parent)
    for architecture in ("amd64", "arm64"):
        name = f"ntp-server:buildx-{architecture}-test{lab.number}"
        lab.remove_image_at_end(name)
        lab.docker("buildx", "build", "--platform", f"linux/{architecture}", "--tag", name, REPOSITORY, timeout=BUILD_S, env=environment)
        expect(lab.docker.inspect(name, "{{.Architecture}}") == architecture, "another architecture in the configuration")
        expect(version_label(lab.docker, name) == VERSION, "the label states another version")
    return lab.docker("buildx", "version", env=environment)


@group.check("the program for arm64 has every protection that the build asks for")
def hardened(lab):
    return is_hardened(lab, arm64_image(lab))


@group.check("the arm64 image runs under qemu and answers a query")
def runs(lab):
    image = arm64_image(lab)
    emulation(lab)
    said = lab.docker("run", "--rm", "--platform", "linux/arm64", image, "--version")
    expect(VERSION in said.split(), f"the program says {said}")
    with lab.container(lab.docker, "--platform", "linux/arm64", "--read-only", "--cap-drop", "ALL", image) as name:
        answer = lab.ask_soon(lab.docker.inspect(name, "{{.NetworkSettings.IPAddress}}"), seconds=30)
        lab.docker("exec", name, "/ntp-server", "healthcheck", "--timeout", "4s")
    return f"stratum {answer['stratum']}"


def registry(lab):
    """Debian's registry, unpacked instead of installed (its package would start a service); its address."""
    def make():
        folder = lab.folder / "registry"
        folder.mkdir()
        run("apt-get", "download", "-q", "docker-registry", cwd=folder)
        run("dpkg", "-x", next(folder.glob("*.deb")), folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        settings = folder / "settings.yml"
        settings.write_text(f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
                            f"http: {{addr: '{address}'}}\n")
        child = subprocess.Popen([folder / "usr/bin/docker-registry", "serve", settings],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        lab.stack.callback(child.wait)
        lab.stack.callback(child.terminate)
        host, port = address.split(":")
        until("the registry", 20, lambda: listening(host, int(port)))
        return address
    return lab.once("a registry", make)


def listening(host, port):
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


@group.check("one tag in a registry holds both architectures, and each machine pulls its own")
def in_registry(lab):
    images = {"amd64": lab.image, "arm64": arm64_image(lab)}
    name = f"{registry(lab)}/ntp-server:{lab.tag}"
    for architecture, image in images.items():
        lab.remove_image_at_end(f"{name}-{architecture}")
        lab.docker("tag", image, f"{name}-{architecture}")
        lab.docker("push", f"{name}-{architecture}")
    lab.docker("manifest", "create", "--insecure", name, *[f"{name}-{architecture}" for architecture in images])
    try:
        lab.docker("manifest", "push", "--insecure", name)
    finally:
        lab.docker.attempt("manifest", "rm", name)
    lab.remove_image_at_end(name)
    for architecture in images:
        lab.docker("pull", "--platform", f"linux/{architecture}", name)
        seen = lab.docker.inspect(name, "{{.Architecture}}")
        expect(seen == architecture, f"asked for {architecture}, got {seen}")
