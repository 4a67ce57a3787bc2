"""Programs of a Debian release, unpacked into a tree of their own and run under its own loader.

Nothing is installed: time daemons conflict with each other and with the machine's own."""

import os
import pathlib
import re
import subprocess
import urllib.parse

from lab import LabError


def debian_mirror():
    """The archive that this machine installs from."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages",
         "Origin: Debian"], capture_output=True, text=True, check=False).stdout.split("\n")
    for line in listed:
        uri = line.partition(" ")[0]
        if uri and "security" not in uri:
            return uri
    raise LabError("apt knows no Debian archive here: run apt-get update")


def architecture():
    return subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True,
                          check=True).stdout.strip()


class Release:
    """One Debian release, with lists and archives below a cache folder."""

    def __init__(self, name, cache):
        self.name = name
        self.root = pathlib.Path(cache, name).resolve()

    def tree(self, package):
        """The folder with the package and the libraries that it needs; fetched when missing."""
        tree = self.root / "trees" / package
        complete = self.root / "trees" / f"{package}.complete"
        if complete.exists():
            return tree
        tree.mkdir(parents=True, exist_ok=True)
        self._refresh_lists()
        names = self._needed(package)
        archives = self.root / "archives"
        archives.mkdir(exist_ok=True)
        self._apt("download", *names, cwd=archives)
        for name in names:
            for archive in archives.glob(f"{name}_*.deb"):
                subprocess.run(["dpkg-deb", "-x", archive, tree], check=True)
        complete.touch()
        return tree

    def version(self, package):
        for archive in (self.root / "archives").glob(f"{package}_*.deb"):
            return urllib.parse.unquote(archive.name.split("_")[1])
        return "?"

    def _refresh_lists(self):
        if (self.root / "lists.complete").exists():
            return
        for folder in ("state/lists/partial", "cache/archives/partial", "etc/preferences.d",
                       "etc/apt.conf.d"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        (self.root / "state/status").touch()
        (self.root / "etc/sources.list").write_text(
            "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
            f"{debian_mirror()} {self.name} main\n", encoding="ascii")
        (self.root / "apt.conf").write_text(
            f'Dir "{self.root}";\nDir::State "{self.root}/state";\n'
            f'Dir::State::status "{self.root}/state/status";\nDir::Cache "{self.root}/cache";\n'
            f'Dir::Etc "{self.root}/etc";\nDir::Etc::sourcelist "{self.root}/etc/sources.list";\n'
            f'APT::Architecture "{architecture()}";\nAPT::Sandbox::User "root";\n',
            encoding="utf-8")
        self._apt("update")
        (self.root / "lists.complete").touch()

    def _needed(self, package):
        """The package and every library below it, by what apt would install on an empty machine."""
        plan = self._apt("install", "--print-uris", "-y", "--no-install-recommends", package)
        names = re.findall(r"^'\S+' ([^_\s]+)_\S+\.deb", plan, re.MULTILINE)
        if package not in names:
            raise LabError(f"{self.name} has no package {package}")
        return [name for name in names if name == package or name.startswith("lib")]

    def _apt(self, *arguments, cwd=None):
        done = subprocess.run(["apt-get", "-qq", *arguments], capture_output=True, text=True,
                              env={**os.environ, "APT_CONFIG": str(self.root / "apt.conf")},
                              cwd=cwd, check=False)
        if done.returncode != 0:
            raise LabError(f"apt-get {arguments[0]} for {self.name}: {done.stderr.strip()[-500:]}")
        return done.stdout


def under_own_loader(tree, program):
    """The command line that runs a program of a tree with the tree's C library."""
    places = ("lib/*-linux-gnu*/ld-linux-*", "usr/lib/*-linux-gnu*/ld-linux-*")
    loaders = sorted(loader for place in places for loader in tree.glob(place)
                     if not loader.is_symlink())
    if not loaders:
        raise LabError(f"no loader in {tree}")
    libraries = ":".join(str(path) for path in
                         (*tree.glob("lib/*-linux-gnu"), *tree.glob("usr/lib/*-linux-gnu")))
    return [str(loaders[0]), "--library-path", libraries, str(tree / program)]
