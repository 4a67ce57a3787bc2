"""What the checks share: the Docker daemon, the images, the nodes, and that everything started is stopped again."""
import contextlib
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
ENVIRONMENT_SCRIPT = REPOSITORY / "packaging" / "dev" / "docker-env.sh"
VERSION = (REPOSITORY / "VERSION").read_text().splitlines()[0]
PYTHON = "/usr/bin/python3"
BUILD_S = 1800  # a limit for a machine that does other things too, not a measure


class Failure(Exception):
    """A check did not hold; the text says what was seen."""


class Hopeless(Failure):
    """A Failure that waiting cannot mend."""


def run(*argv, check=True, timeout=120, **kwargs):
    """Runs a command to its end. A failing one is a Failure that shows the end of its output."""
    argv = [str(word) for word in argv]
    try:
        done = subprocess.run(argv, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              stdin=kwargs.pop("stdin", subprocess.DEVNULL), timeout=timeout, **kwargs)
    except subprocess.TimeoutExpired as error:
        said = (error.stdout or b"").decode(errors="replace")
        raise Failure(f"{' '.join(argv)}: still running after {timeout} s\n{said[-2000:]}") from None
    if check and done.returncode != 0:
        raise Failure(f"{' '.join(argv)}: status {done.returncode}\n{done.stdout[-3000:]}")
    return done


def revision():
    """The commit that is checked out."""
    return run("git", "-c", f"safe.directory={REPOSITORY}", "-C", REPOSITORY, "rev-parse", "HEAD").stdout.strip()


def expect(condition, said):
    if not condition:
        raise Failure(said)


def until(what, seconds, probe):
    """Asks probe() until it returns something true, and returns that."""
    deadline = time.monotonic() + seconds
    last = None
    while True:
        try:
            last = probe()
            if last:
                return last
        except Hopeless:
            raise
        except Failure as failure:
            last = failure
        if time.monotonic() > deadline:
            raise Failure(f"{what}: not within {seconds} s; last seen: {last}")
        time.sleep(0.1)


def time_zone_file(offset_s, name):
    """A TZif file (RFC 9636) of a zone that has had one offset for ever."""
    abbreviation = name.encode() + b"\0"
    block = (b"TZif2" + bytes(15) + struct.pack("!6I", 0, 0, 0, 0, 1, len(abbreviation))
             + struct.pack("!iBB", offset_s, 0, 0) + abbreviation)
    hours, minutes = divmod(abs(offset_s) // 60, 60)
    sign = "-" if offset_s > 0 else ""
    return block + block + f"\n<{name}>{sign}{hours}:{minutes:02}\n".encode()


class Docker:
    """The client of one daemon: docker("ps", "-a") is its output."""

    def __init__(self, host=None, client="docker"):
        self.host = host
        self.words = [client, *(["--host", host] if host else [])]

    def __call__(self, *argv, **kwargs):
        return run(*self.words, *argv, **kwargs).stdout.strip()

    def attempt(self, *argv, **kwargs):
        return run(*self.words, *argv, check=False, **kwargs)

    def inspect(self, name, template):
        return self("inspect", "--format", template, name)

    def logs(self, name):
        return self("logs", name)


class Group:
    """The checks of one file, in the order in which they stand there."""

    def __init__(self, name):
        self.name = name
        self.checks = []

    def check(self, title):
        def keep(function):
            self.checks.append((title, function))
            return function
        return keep


class Lab:
    """Started on demand, torn down in reverse order by close()."""

    def __init__(self, groups, verbose=False):
        self.groups, self.verbose = groups, verbose
        self.stack = contextlib.ExitStack()
        self.number = os.getpid()
        self.folder = pathlib.Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="ntp-docker-test-")))
        self._made = {}

    def close(self):
        self.stack.close()

    def once(self, key, make):
        """make() the first time. When it failed, so does everybody who needs it, at once."""
        if key not in self._made:
            self.note(f"preparing: {key}")
            try:
                self._made[key] = (make(), None)
            except Exception as error:  # noqa: BLE001 — kept, to be raised for every user
                self._made[key] = (None, error)
        value, error = self._made[key]
        if error is not None:
            raise Failure(f"{key}: {error}")
        return value

    def note(self, text):
        if self.verbose:
            print(f"     {text}", file=sys.stderr, flush=True)

    def install(self, *packages):
        self.once("packages " + " ".join(packages), lambda: run("bash", ENVIRONMENT_SCRIPT, "install", *packages, timeout=300))

    @property
    def docker(self):
        """The machine's daemon: the one that runs, or one that is started now and stopped at the end."""
        def start():
            log = self.folder / "docker-env.log"
            with open(log, "w", encoding="utf-8") as errors:
                done = subprocess.run(["bash", ENVIRONMENT_SCRIPT, "start"], stdout=subprocess.PIPE, stderr=errors,
                                      text=True, timeout=400)
            if done.returncode != 0:
                raise Failure(log.read_text()[-2000:])
            pid = done.stdout.strip()
            if pid:
                self.stack.callback(run, "bash", ENVIRONMENT_SCRIPT, "stop", pid, check=False)
            return Docker()
        return self.once("dockerd", start)

    @property
    def buildkit(self):
        """A client of the machine's daemon that can build with BuildKit."""
        def find():
            docker = self.docker
            del docker
            return Docker(client=run("bash", ENVIRONMENT_SCRIPT, "buildkit").stdout.strip())
        return self.once("a client with BuildKit", find)

    def local_time_file(self):
        """/etc/localtime, which the guide mounts; Docker would make a folder of it where it is missing."""
        path = pathlib.Path("/etc/localtime")
        if not path.exists():
            path.write_bytes(time_zone_file(0, "UTC"))
            self.stack.callback(path.unlink)

    def base(self, suite):
        tag = f"debian:{suite}-slim"

        def make():
            docker = self.docker
            run("bash", ENVIRONMENT_SCRIPT, "base", tag, suite, timeout=600)
            return docker.inspect(tag, "{{.Id}}") and tag
        return self.once(f"base image {tag}", make)

    def remove_image_at_end(self, tag, docker=None):
        docker = docker or self.docker
        self.stack.callback(docker.attempt, "image", "rm", "--force", tag)

    @property
    def tag(self):
        """The tag under which these tests build; nobody else uses it, so "never reused" is not in the way."""
        return f"{VERSION}-test{self.number}"

    @property
    def image(self):
        """The image under test, built by `./dev image`."""
        def make():
            self.base("trixie")
            name = f"ntp-server:{self.tag}"
            self.remove_image_at_end(name)
            self.build_output = run("bash", REPOSITORY / "packaging" / "dev" / "image.sh", self.tag, timeout=BUILD_S).stdout
            return name
        return self.once("the image", make)

    def derived_image(self, tag, *lines):
        """The image under test with some Dockerfile lines more, as a later version would be."""
        def make():
            name = f"ntp-server:{tag}-test{self.number}"
            self.remove_image_at_end(name)
            text = "\n".join([f"FROM {self.image}", *lines, ""])
            self.docker("build", "--tag", name, "-", input=text, stdin=None, env=dict(os.environ, DOCKER_BUILDKIT="0"))
            return name
        return self.once(f"the image {tag}", make)

    @property
    def nodes(self):
        """Three daemons in network namespaces of their own, where UDP port 123 is free, with the image loaded."""
        def make():
            from swarm_nodes import Nodes
            self.install("iproute2")
            image, docker = self.image, self.docker
            del docker
            nodes = Nodes.create(3)
            self.stack.callback(nodes.down)
            nodes.load(None, image)
            return nodes
        return self.once("three nodes", make)

    @property
    def node(self):
        return Docker(self.nodes.host(1))

    @contextlib.contextmanager
    def container(self, docker, *argv, wait_for="Local socket:"):
        """`docker run --detach ARGV`, removed afterwards; yields its id once its log has the line wait_for."""
        name = docker("run", "--detach", *argv).splitlines()[-1]
        try:
            if wait_for:
                until("the log line that says it serves", 20, lambda: self._started(docker, name, wait_for))
            yield name
        finally:
            docker.attempt("rm", "--force", "--volumes", name)

    @staticmethod
    def _started(docker, name, line):
        log = docker.logs(name)
        if docker.inspect(name, "{{.State.Status}}") == "exited":
            raise Hopeless(f"it ended with status {docker.inspect(name, '{{.State.ExitCode}}')}: {log}")
        return line in log

    def ask(self, host, port=123, within=()):
        """One NTP request from the network namespace that `within` enters; the reply's fields."""
        done = run(*within, PYTHON, HERE / "ntp_client.py", "query", host, port, check=False, timeout=20)
        expect(done.returncode == 0, f"no answer from {host} port {port}: {done.stdout.strip()}")
        return json.loads(done.stdout)

    def ask_soon(self, host, port=123, within=(), seconds=15):
        return until(f"an answer from {host}", seconds, lambda: self.ask(host, port, within))

    @contextlib.contextmanager
    def following(self, host, *words):
        """A docker command that prints until it is ended; yields a function that returns what it has printed."""
        with tempfile.TemporaryFile("w+") as shown:
            child = subprocess.Popen(["docker", *words], stdin=subprocess.DEVNULL, stdout=shown, stderr=subprocess.STDOUT,
                                     env=dict(os.environ, DOCKER_HOST=host))

            def text():
                shown.seek(0)
                return shown.read()
            try:
                yield text
                if child.poll() is not None:
                    raise Failure(f"docker {' '.join(words)}: ended by itself: {text()[-2000:]}")
            finally:
                child.kill()
                child.wait()

    @contextlib.contextmanager
    def watch(self, host, port=123, within=()):
        """Asks every 50 ms while the body runs; the dictionary that it yields is filled in afterwards."""
        child = subprocess.Popen([*within, PYTHON, HERE / "ntp_client.py", "watch", host, str(port)],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        seen = {}
        try:
            yield seen
            seen.update(json.loads(child.communicate("", timeout=20)[0]))
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
