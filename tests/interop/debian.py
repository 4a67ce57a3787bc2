"""Programs out of Debian's packages without installing them: fetched with apt-get, unpacked side by side.

Time daemons exclude one another as packages and start themselves when installed; unpacked they do neither."""
import concurrent.futures, glob, os, re, shutil, subprocess

# The machine's own copies must serve: a second C library beside the machine's loader would not start.
NEVER_UNPACKED = {"libc6", "libc-bin", "libc-l10n", "locales", "libgcc-s1", "libstdc++6", "gcc-12-base", "gcc-14-base"}


class Missing(Exception):
    """What cannot be had on this machine, and why."""


class Package:
    """A program with everything that it needs beyond what the machine has, in a folder of its own."""

    def __init__(self, name, root):
        self.name, self.root = name, root

    def path(self, *candidates):
        for candidate in candidates:
            for found in sorted(glob.glob(self.root + candidate)):
                return found
        raise Missing(f"no {candidates[0]} in {self.name}")

    @property
    def version(self):
        with open(os.path.join(self.root, ".version")) as file:
            return file.read().strip()

    def environment(self, **more):
        patterns = ("/lib/*-linux-gnu*", "/lib/*-linux-gnu*/systemd", "/lib/systemd")
        libraries = [folder for top in ("", "/usr") for pattern in patterns
                     for folder in sorted(glob.glob(self.root + top + pattern))]
        folders = ":".join(self.root + folder for folder in ("/usr/bin", "/usr/sbin", "/bin", "/sbin"))
        return {"PATH": f"{folders}:/usr/sbin:/usr/bin:/sbin:/bin", "LD_LIBRARY_PATH": ":".join(libraries), "LC_ALL": "C",
                "HOME": "/nonexistent", "PYTHONPATH": self.root + "/usr/lib/python3/dist-packages",
                "PYTHONDONTWRITEBYTECODE": "1", **more}


def call(*command, folder=None, **more):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, **more)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["failed"]
        raise Missing(f"{os.path.basename(command[0])}: {re.sub(r'//[^/ ]+', '//…', said[-1])}")
    return done.stdout


def closure(name):
    """What apt would install here for the sake of this package."""
    simulated = call("apt-get", "install", "--simulate", "--no-install-recommends", "--reinstall", name)
    return [line.split()[1].split(":")[0] for line in simulated.splitlines() if line.startswith("Inst ")]


def unpack(scratch, name):
    """Every archive in the folder into its root; the version of the named one."""
    version = "?"
    for archive in sorted(glob.glob(scratch + "/*.deb")):
        if call("dpkg-deb", "-f", archive, "Package").strip() == name:
            version = call("dpkg-deb", "-f", archive, "Version").strip()
        call("dpkg-deb", "-x", archive, scratch + "/root")
        os.remove(archive)
    return version


def fetch_package(name, scratch):
    wanted = [package for package in dict.fromkeys([*closure(name), name]) if package not in NEVER_UNPACKED]
    # As root apt would fetch as its own user, who may not write here.
    call("apt-get", "-o", "APT::Sandbox::User=root", "download", *wanted, folder=scratch)
    version = unpack(scratch, name)
    for library in glob.glob(scratch + "/root/usr/lib/*/ntp/libntpc.so*"):  # looked for beside the module first
        if not os.path.islink(library):
            shutil.copy(library, scratch + "/root/usr/lib/python3/dist-packages/ntp/libntpc.so")
    return version


class OtherSources:
    """An apt of its own that reads the machine's Debian archive for another suite, or for source packages."""

    def __init__(self, scratch, kind, suite=None):
        for folder in ("parts", "lists/partial", "cache/archives/partial"):
            os.makedirs(f"{scratch}/{folder}")
        entries = [self._entry(*entry, kind, suite) for entry in self._archives() if not (suite and "-" in entry[2])]
        if not entries:
            raise Missing("this machine's apt knows no Debian archive")
        with open(f"{scratch}/parts/other.list", "w") as file:
            file.write("\n".join(dict.fromkeys(entries)) + "\n")
        settings = {"Dir::Etc::sourcelist": "/dev/null", "Dir::Etc::sourceparts": f"{scratch}/parts",
                    "Dir::State::lists": f"{scratch}/lists", "Dir::Cache": f"{scratch}/cache", "APT::Sandbox::User": "root"}
        self.options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
        self.get("update")

    def get(self, *arguments, **more):
        return call("apt-get", *self.options, *arguments, **more)

    @staticmethod
    def _entry(options, uri, of_suite, kind, suite):
        return " ".join(word for word in (kind, options, uri, suite or of_suite, "main") if word)

    @staticmethod
    def _archives():
        """(options, URI, suite) of every Debian archive in either of apt's two notations."""
        for path in ["/etc/apt/sources.list", *glob.glob("/etc/apt/sources.list.d/*.list")]:
            if os.path.exists(path):
                with open(path) as file:
                    for kind, options, uri, suite in re.findall(r"(?m)^(deb) +(\[.*?\])? *(\S+) +(\S+) +.*\bmain\b", file.read()):
                        if "debian" in uri:
                            yield options, uri, suite
        for path in glob.glob("/etc/apt/sources.list.d/*.sources"):
            with open(path) as file:
                for stanza in file.read().split("\n\n"):
                    field = dict(re.findall(r"(?m)^([A-Za-z-]+): *(.*)$", stanza))
                    if "main" in field.get("Components", "") and "debian" in field.get("URIs", ""):
                        key = f"[signed-by={field['Signed-By']}]" if field.get("Signed-By", "").startswith("/") else ""
                        for uri in field["URIs"].split():
                            yield from ((key, uri, suite) for suite in field["Suites"].split())


def fetch_busybox_source(name, scratch):
    """Debian's binary busybox leaves its NTP out, so Debian's source is built with nothing else in."""
    sources = OtherSources(scratch + "/apt", "deb-src")
    sources.get("source", "--download-only", "busybox", folder=scratch)
    description = glob.glob(scratch + "/*.dsc")[0]
    tarball = glob.glob(scratch + "/*.orig.tar.*")[0]
    tree = scratch + "/tree"
    os.makedirs(tree)
    call("tar", "-C", tree, "--strip-components=1", "-xf", tarball)
    call("make", "allnoconfig", folder=tree)
    for _ in range(2):  # an option shows itself only once the option that it hangs on is set
        with open(tree + "/.config") as file:
            config = re.sub(r"# CONFIG_(NTPD|FEATURE_NTPD_SERVER|FEATURE_IPV6|LONG_OPTS) is not set", r"CONFIG_\1=y", file.read())
        with open(tree + "/.config", "w") as file:
            file.write(config)
        subprocess.run(["make", "oldconfig"], cwd=tree, input="\n" * 200, text=True, capture_output=True)
    call("nice", "make", "-j2", "busybox", folder=tree)
    os.makedirs(scratch + "/root/bin")
    shutil.copy(tree + "/busybox", scratch + "/root/bin/busybox")
    return re.search(r"_(.+)\.dsc$", description)[1]


def fetch_ntpd_rs(name, scratch):
    """From this release where it has it (Debian 13), else from Debian 13 with that release's C library beside it."""
    try:
        return fetch_package("ntpd-rs", scratch)
    except Missing:
        sources = OtherSources(scratch + "/apt", "deb", suite="trixie")
        sources.get("download", "ntpd-rs", "libc6", "libgcc-s1", folder=scratch)
        return unpack(scratch, "ntpd-rs")


def fetch_chrony_of_debian_13(name, scratch):
    """With everything that it needs, the C library too: this machine may be of an older release."""
    sources = OtherSources(scratch + "/apt", "deb", suite="trixie")
    simulated = sources.get("install", "--simulate", "--no-install-recommends", "-o", "Dir::State::status=/dev/null", "chrony")
    needed = [line.split()[1].split(":")[0] for line in simulated.splitlines() if line.startswith("Inst ")]
    wanted = [name for name in needed if name in ("chrony", "libc6") or name.startswith("lib")]
    sources.get("download", *wanted, folder=scratch)
    return unpack(scratch, "chrony")


SPECIAL = {"chrony-trixie": fetch_chrony_of_debian_13, "busybox": fetch_busybox_source, "ntpd-rs": fetch_ntpd_rs}


def fetch(name, cache):
    """The program, unpacked once; later calls find it in the cache."""
    root, scratch = os.path.join(cache, name), os.path.join(cache, name + ".new")
    if not os.path.exists(os.path.join(root, ".version")):
        for folder in (root, scratch):
            shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(scratch + "/root")
        version = SPECIAL.get(name, fetch_package)(name, scratch)
        with open(scratch + "/root/.version", "w") as file:
            file.write(version)
        os.rename(scratch + "/root", root)
        shutil.rmtree(scratch)
    return Package(name, root)


def fetch_all(names, cache):
    """Each name with its Package, or with the reason why it cannot be had."""
    os.makedirs(cache, exist_ok=True)

    def attempt(name):
        try:
            return fetch(name, cache)
        except (Missing, OSError, IndexError) as missing:
            with open(os.path.join(cache, name + ".missing"), "w") as file:
                file.write(str(missing))
            return str(missing)

    def attempt_all(some):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            return dict(zip(some, pool.map(attempt, some)))

    found = attempt_all(names)
    missing = [name for name in names if isinstance(found[name], str)]
    if missing:  # the machine's lists are absent or older than the archive
        try:
            call("apt-get", "update", "-qq")
        except Missing as why:
            return {**found, **{name: f"{found[name]}; {why}" for name in missing}}
        found.update(attempt_all(missing))
    return found


def cached(name, cache):
    """What fetch_all left behind: the Package, or why there is none."""
    root = os.path.join(cache, name)
    if os.path.exists(os.path.join(root, ".version")):
        return Package(name, root)
    with open(root + ".missing") as file:
        return file.read()
