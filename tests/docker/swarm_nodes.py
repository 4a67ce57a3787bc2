#!/usr/bin/python3
"""A real swarm of N nodes on one machine.

Each node is a dockerd of its own in its own network namespace, on a private bridge without an uplink. (A second
dockerd in the machine's own namespace would delete the docker0 of the first.)

    swarm_nodes.py up 3          prints the folder that the other commands want in SWARM_NODES
    swarm_nodes.py docker 2 ps   the client of node 2
    swarm_nodes.py exec 0 CMD…   a command in the network namespace of node 2; 0 is a client beside the nodes
    swarm_nodes.py down
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

NETWORK = "10.88.0"
CLIENT_ADDRESS = f"{NETWORK}.254"
START_S = 60
STOP_S = 30

# The mounts that dockerd makes are its own, and /etc/docker/daemon.json is not the machine's. nsenter and not
# "ip netns exec", which mounts a new /sys that hides the cgroups.
NODE_SCRIPT = """
set -e
hostname "$NODE_NAME"
mkdir -p /etc/docker
mount --bind "$NODE_DIR/etc" /etc/docker
exec dockerd --data-root "$NODE_DIR/data" --exec-root "$NODE_DIR/exec" --pidfile "$NODE_DIR/pid" \
  --host "unix://$NODE_DIR/docker.sock" --cgroup-parent "$NODE_CGROUP"
"""


def run(*argv, check=True, **kwargs):
    done = subprocess.run(argv, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kwargs)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, argv))}: {done.stdout.strip()}")
    return done.stdout.strip()


class Nodes:
    """The nodes 1..count. State is in one folder, so that a second process can go on with it."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        state = json.loads((self.folder / "state.json").read_text())
        self.prefix, self.count = state["prefix"], state["count"]

    @classmethod
    def create(cls, count):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="swn", dir="/tmp"))  # socket paths must stay short
        (folder / "state.json").write_text(json.dumps({"prefix": f"swn{os.getpid()}", "count": count}))
        nodes = cls(folder)
        try:
            nodes._wire()
            for i in nodes.indexes():
                nodes._start(i)
            for i in nodes.indexes():
                nodes._wait(i)
        except BaseException:
            nodes.down()
            raise
        return nodes

    def indexes(self):
        return range(1, self.count + 1)

    def address(self, i):
        return f"{NETWORK}.{i}" if i else CLIENT_ADDRESS

    def namespace(self, i):
        return f"{self.prefix}-{i}"

    def _node(self, i):
        return self.folder / f"n{i}"

    def host(self, i):
        return f"unix://{self._node(i)}/docker.sock"

    def docker(self, i, *argv, **kwargs):
        return run("docker", "--host", self.host(i), *argv, **kwargs)

    def enter(self, i):
        """The words that run a command in the network namespace of node i (0: the client beside the nodes)."""
        return ["nsenter", f"--net=/run/netns/{self.namespace(i)}"]

    def _wire(self):
        hub = self.namespace(0)
        run("ip", "netns", "add", hub)
        run("ip", "-n", hub, "link", "set", "lo", "up")
        run("ip", "-n", hub, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", hub, "addr", "add", f"{CLIENT_ADDRESS}/24", "dev", "br0")
        run("ip", "-n", hub, "link", "set", "br0", "up")
        for i in self.indexes():
            node = self.namespace(i)
            run("ip", "netns", "add", node)
            run("ip", "-n", node, "link", "set", "lo", "up")
            run("ip", "-n", node, "link", "add", "eth0", "type", "veth", "peer", "name", f"p{i}", "netns", hub)
            run("ip", "-n", hub, "link", "set", f"p{i}", "master", "br0", "up")
            run("ip", "-n", node, "addr", "add", f"{self.address(i)}/24", "dev", "eth0")
            run("ip", "-n", node, "link", "set", "eth0", "up")
            run("ip", "-n", node, "route", "add", "default", "via", CLIENT_ADDRESS)

    def _start(self, i):
        folder = self._node(i)
        (folder / "etc").mkdir(parents=True)
        (folder / "etc" / "daemon.json").write_text("{}")
        environment = dict(
            os.environ,
            NODE_NAME=f"node{i}",
            NODE_DIR=str(folder),
            NODE_CGROUP=f"/{self.namespace(i)}",
            DOCKER_SERVICE_PREFER_OFFLINE_IMAGE="1",  # else every task waits ~20 s for a registry
        )
        with open(folder / "log", "w", encoding="utf-8") as log:
            child = subprocess.Popen(
                [*self.enter(i), "unshare", "-m", "-u", "--propagation", "private", "sh", "-c", NODE_SCRIPT],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True,
            )
        (folder / "child").write_text(str(child.pid))

    def _wait(self, i):
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if subprocess.run(["docker", "--host", self.host(i), "info"], capture_output=True).returncode == 0:
                return
            time.sleep(0.2)
        raise RuntimeError(f"node {i} did not start:\n{(self._node(i) / 'log').read_text()[-2000:]}")

    def join(self):
        """Makes the nodes one swarm whose manager is node 1."""
        self.docker(1, "swarm", "init", "--advertise-addr", self.address(1))
        token = self.docker(1, "swarm", "join-token", "-q", "worker")
        for i in self.indexes():
            if i != 1:
                self.docker(i, "swarm", "join", "--token", token, f"{self.address(1)}:2377")

    def load(self, source_host, *images):
        """Copies images from one daemon to every node, as a user without a registry does."""
        with tempfile.TemporaryFile() as archive:
            save = ["docker", *(["--host", source_host] if source_host else []), "save", *images]
            subprocess.run(save, stdout=archive, check=True)
            for i in self.indexes():
                archive.seek(0)
                subprocess.run(["docker", "--host", self.host(i), "load", "-q"], stdin=archive, check=True,
                               stdout=subprocess.DEVNULL)

    def _child(self, i):
        try:
            return int((self._node(i) / "child").read_text())
        except (OSError, ValueError):
            return None

    def _signal(self, i, sent):
        try:
            os.kill(self._child(i), sent)
        except (TypeError, ProcessLookupError):  # never started, or gone
            pass

    def _gone(self, i):
        pid = self._child(i)
        try:
            return pid is None or os.waitpid(pid, os.WNOHANG)[0] != 0
        except ChildProcessError:  # another process started the nodes
            return not os.path.exists(f"/proc/{pid}")

    def _stop_daemons(self):
        for sent in (signal.SIGTERM, signal.SIGKILL):
            left = [i for i in self.indexes() if not self._gone(i)]
            for i in left:
                self._signal(i, sent)
            deadline = time.monotonic() + STOP_S
            while left and time.monotonic() < deadline:
                left = [i for i in left if not self._gone(i)]
                time.sleep(0.1)

    def down(self):
        for i in self.indexes():
            if not (self._node(i) / "docker.sock").exists():
                continue
            self.docker(i, "swarm", "leave", "--force", check=False)  # or it starts its tasks again
            ids = self.docker(i, "ps", "-aq", check=False).split()
            if ids and all(c.isalnum() for c in ids):
                self.docker(i, "rm", "-f", *ids, check=False)
        self._stop_daemons()
        with open("/proc/mounts", encoding="utf-8") as mounts:
            below = [line.split()[1] for line in mounts if line.split()[1].startswith(str(self.folder) + "/")]
        for mount in reversed(below):
            run("umount", "-l", mount, check=False)
        for i in range(self.count + 1):
            run("ip", "netns", "del", self.namespace(i), check=False)
        for i in self.indexes():
            self._remove_cgroups(i)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _remove_cgroups(self, i):
        for top in [pathlib.Path("/sys/fs/cgroup"), *pathlib.Path("/sys/fs/cgroup").glob("*/")]:
            group = top / self.namespace(i)
            for below in sorted(group.rglob("*/"), reverse=True) if group.is_dir() else []:
                _rmdir(below)
            _rmdir(group)


def _rmdir(path):
    try:
        path.rmdir()
    except OSError:
        pass


def main(argv):
    if len(argv) == 2 and argv[0] == "up":
        nodes = Nodes.create(int(argv[1]))
        nodes.join()
        print(f"export SWARM_NODES={nodes.folder}")
        return 0
    if not argv or argv[0] not in ("docker", "exec", "down") or "SWARM_NODES" not in os.environ:
        print(__doc__, file=sys.stderr)
        return 2
    nodes = Nodes(os.environ["SWARM_NODES"])
    if argv[0] == "down":
        nodes.down()
        return 0
    first = ["docker", "--host", nodes.host(int(argv[1]))] if argv[0] == "docker" else nodes.enter(int(argv[1]))
    return subprocess.run([*first, *argv[2:]]).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
