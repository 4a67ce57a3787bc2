"""A virtual machine with Debian's kernel and hardly anything else; its clock may be set, this machine's is out of its reach."""
import glob, os, re, shutil, struct, subprocess, sys, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from debian import call  # noqa: E402

DRIVERS = ("virtio", "virtio_ring", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "failover", "net_failover", "virtio_net")
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp; mount -t tmpfs run /run
chmod 1777 /tmp
for round in 1 2 3; do for driver in /drivers/*.ko; do insmod $driver; done; done 2>/dev/null  # they need one another
ip link set lo up; ip addr add 10.0.2.15/24 dev eth0; ip link set eth0 up; ip route add default via 10.0.2.2
exec setsid sh -c 'stty raw -echo; echo @@ready; cat | sh' </dev/ttyS0 >/dev/ttyS0 2>&1
"""


def fetch(cache):
    """The kernel and a static shell, unpacked once into the build folder; nothing is installed."""
    if os.path.exists(f"{cache}/.complete"):
        return
    shutil.rmtree(cache, ignore_errors=True)
    os.makedirs(cache)
    depends = call("apt-cache", "depends", "linux-image-cloud-amd64")
    image = re.search(r"Depends: (linux-image-\S+)", depends)[1]
    call("apt-get", "-o", "APT::Sandbox::User=root", "download", image, "busybox-static", folder=cache)
    for archive in glob.glob(f"{cache}/*.deb"):
        call("dpkg-deb", "-x", archive, cache)
        os.remove(archive)
    open(f"{cache}/.complete", "w").close()


def libraries(program):
    """What the program needs beside itself; nothing if it is static."""
    return sorted(set(re.findall(r"(/\S+) \(0x", subprocess.run(["ldd", program], capture_output=True, text=True).stdout)))


def archive(files):
    """An initramfs: {path: (mode, octets)} in the form that the kernel unpacks (newc)."""
    folders = sorted({os.path.dirname(path)[:end] for path in files for end in [*(m.start() for m in re.finditer("/", path)), None]} - {""})
    entries = [(folder, 0o040755, b"") for folder in folders] + [(path, mode, octets) for path, (mode, octets) in files.items()]
    out = bytearray()
    for number, (path, mode, octets) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        name = path.lstrip("/").encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(octets), 0, 0, 0, 0, len(name), 0)
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + name
        out += bytes(-len(out) % 4) + octets
        out += bytes(-len(out) % 4)
    return bytes(out)


def initramfs(cache, programs):
    """`programs` by their paths in the machine."""
    read = lambda path: open(path, "rb").read()
    files = {"/init": (0o100755, INIT.encode()), "/bin/busybox": (0o100755, read(f"{cache}/bin/busybox"))}
    for folder in ("/proc", "/sys", "/dev", "/tmp", "/run"):
        files[folder] = (0o040755, b"")
    for number, driver in enumerate(DRIVERS):
        files[f"/drivers/{number}-{driver}.ko"] = (0o100644, read(glob.glob(f"{cache}/lib/modules/*/kernel/**/{driver}.ko", recursive=True)[0]))
    for path, source in programs.items():
        files[path] = (0o100755, read(source))
        for library in libraries(source):
            files[library] = (0o100755, read(library))
    return archive(files)


class Machine:
    """A shell in the machine, on its serial line. `begins` is what its clock shows at first, in Unix seconds."""

    def __init__(self, cache, image, begins, accelerator="tcg", patience_s=300):
        self.accelerator = accelerator
        cpu = "host,arch-capabilities=off" if accelerator == "kvm" else "max"
        base = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(begins))
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", "-accel", accelerator, "-cpu", cpu, "-m", "256", "-smp", "2", "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
             "-rtc", f"base={base}", "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile=",
             "-kernel", glob.glob(f"{cache}/boot/vmlinuz-*")[0], "-initrd", image,
             "-append", "console=ttyS0 quiet panic=-1 edd=off nokaslr mitigations=off rdinit=/init"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.said, self.count = bytearray(), 0
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self._await(b"@@ready", patience_s)
            self.kernel = self.run("uname -r")
        except BaseException:
            self.__exit__()
            raise

    def _read(self):
        while octets := os.read(self.process.stdout.fileno(), 65536):
            self.said += octets

    def _await(self, words, seconds, since=0):
        deadline = time.monotonic() + seconds
        while (at := self.said.find(words, since)) < 0:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise AssertionError(f"no {words} within {seconds} s; {self.said[-2000:].decode(errors='replace')}")
            time.sleep(0.05)
            if since > 0:  # the last line sent may be seen only with the next octet
                self._send("\n")
        return at

    def _send(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def run(self, command, seconds=30.0, status=0):
        """What the command says; it must end with `status` (None: whichever)."""
        self.count += 1
        since = len(self.said)
        self._send(f"{command}\necho @@$? {self.count} end\n")
        end = self._await(f" {self.count} end".encode(), seconds, since)
        text, _, code = self.said[since:end].decode(errors="replace").rpartition("@@")
        if status is not None and int(code) != status:
            raise AssertionError(f"{command!r} ended with {code}: {text}")
        return text.replace("\r", "").strip()

    def write(self, path, text):
        self.run(f"cat >{path} <<'END'\n{text}\nEND\nchmod 644 {path}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def accelerator(cache, image):
    """KVM, where a machine says something with it within a while: some of its kinds (PVM) run no kernel that is not made for them."""
    if os.access("/dev/kvm", os.W_OK):
        try:
            with Machine(cache, image, time.time(), "kvm", 20):
                return "kvm"
        except AssertionError as error:
            print(f"#     no KVM: {str(error).splitlines()[-1]}", flush=True)
    return "tcg"
