"""The ways to run one container. They run on a node of their own, where UDP port 123 is free."""
import os
import pathlib
import re
import signal
import subprocess
import time

from lab import REPOSITORY, Failure, Group, expect, time_zone_file, until

group = Group("run")
LOCAL_SOCKET = "Local socket:  ('0.0.0.0', 123)"
HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
PUBLISHED = ("-p", "123:123/udp")


def ask_node(lab):
    """A query over the private network to the node, as a client of the node would send it."""
    return lab.ask_soon(lab.nodes.address(1), within=lab.nodes.enter(0))


@group.check("the guide's docker run line, word for word, serves and says so")
def guide_line(lab):
    lab.local_time_file()
    line = ["run", "--rm", "--cap-add", "NET_BIND_SERVICE", *PUBLISHED, "-v", "/etc/localtime:/etc/localtime:ro",
            "--name", "ntp-test", lab.image]
    shown = lab.folder / "guide.log"
    with open(shown, "w", encoding="utf-8") as out:
        child = subprocess.Popen([*lab.node.words, *line], stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        until("the guide's first log line", 20, lambda: LOCAL_SOCKET in shown.read_text())
        answer = ask_node(lab)
        lab.node("stop", "ntp-test")
        child.wait(20)
    finally:
        lab.node.attempt("rm", "--force", "ntp-test")
        child.wait(20)
    expect(child.returncode == 0, f"status {child.returncode}: {shown.read_text()}")
    return f"stratum {answer['stratum']}"


@group.check("with --log-requests it prints the guide's lines, with the client's own address")
def guide_log(lab):
    client = lab.nodes.address(0)
    with lab.container(lab.node, "--cap-add", "NET_BIND_SERVICE", *PUBLISHED, lab.image, "run", "--log-requests") as name:
        ask_node(lab)
        log = until("the lines of the request", 10, lambda: (log := lab.node.logs(name)) and "Sent to" in log and log)
    expect(LOCAL_SOCKET in log and "Received 1 packets" in log, log)
    expect(re.search(rf"Sent to {re.escape(client)}:\d+", log), f"the client was {client}; the log: {log}")


@group.check("read-only, without any capability and without new privileges")
def hardened(lab):
    with lab.container(lab.node, *HARDENED, *PUBLISHED, lab.image) as name:
        ask_node(lab)
        lab.node("exec", name, "/ntp-server", "healthcheck")


def expect_powerless(lab, name):
    """No thread has a capability, nor can it gain one: the README's words. Returns the status of the process."""
    pid = lab.node.inspect(name, "{{.State.Pid}}")
    for status in [path.read_text() for path in pathlib.Path(f"/proc/{pid}/task").glob("*/status")]:
        kept = re.findall(r"^(Cap(?:Eff|Prm|Inh|Amb)):\s*0*[1-9a-f]", status, re.MULTILINE)
        expect(not kept and "\nNoNewPrivs:\t1\n" in status and "\nSeccomp:\t2\n" in status, status)
    said = lab.node.logs(name)
    expect("system_calls=filtered" in said, f"Docker lets the program not shut itself in:\n{said}")
    return pathlib.Path(f"/proc/{pid}/status").read_text()


@group.check("host network, uid 65532: NET_BIND_SERVICE and the program's file capability are enough, and none is kept")
def host_network_user(lab):
    with lab.container(lab.node, "--network", "host", "--read-only", "--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE",
                       "-e", "NTP_SERVER_HTTP_LISTEN=127.0.0.1:9559", lab.image) as name:
        ask_node(lab)
        status = expect_powerless(lab, name)
    expect("\nUid:\t65532\t65532\t65532\t65532\n" in status, status)


@group.check("host network, root: NET_BIND_SERVICE alone, no new privileges, and none is kept")
def host_network_root(lab):
    with lab.container(lab.node, "--network", "host", "--user", "0", *HARDENED, "--cap-add", "NET_BIND_SERVICE",
                       "-e", "NTP_SERVER_HTTP_LISTEN=127.0.0.1:9559", lab.image) as name:
        ask_node(lab)
        # Without SETUID it cannot become anybody else: then nothing but the uid may be left of root.
        expect_powerless(lab, name)


@group.check("SIGTERM ends it in less than a second with status 0")
def stops(lab):
    with lab.container(lab.node, *HARDENED, *PUBLISHED, lab.image) as name:
        pid = int(lab.node.inspect(name, "{{.State.Pid}}"))
        ask_node(lab)
        process = os.pidfd_open(pid)
        start = time.monotonic()
        signal.pidfd_send_signal(process, signal.SIGTERM)
        until("its end", 10, lambda: not alive(pid))
        took = time.monotonic() - start
        os.close(process)
        status = lab.node("wait", name)
    expect(status == "0", f"status {status}")
    expect(took < 1.0, f"{took:.2f} s")
    return f"{took:.2f} s"


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@group.check("names are resolved inside the image: --add-host and the DNS of a Docker network")
def names(lab):
    network = f"ntp-names-{lab.number}"
    lab.node("network", "create", network)
    try:
        with lab.container(lab.node, *HARDENED, "--network", network, "--name", "clock", lab.image) as name:
            address = lab.node.inspect(name, "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
            once = ["run", "--rm", *HARDENED]
            lab.node(*once, "--network", network, lab.image, "query", "clock")
            lab.node(*once, "--network", network, "--add-host", f"time.example:{address}", lab.image, "query", "time.example")
            unknown = lab.node.attempt(*once, "--network", network, lab.image, "query", "nowhere.example")
            expect(unknown.returncode == 69 and "nowhere.example" in unknown.stdout,
                   f"an unknown name: status {unknown.returncode}: {unknown.stdout}")
    finally:
        lab.node("network", "rm", network)


def first_offset(lab, *options):
    with lab.container(lab.node, *HARDENED, *options, lab.image) as name:
        line = next(line for line in lab.node.logs(name).splitlines() if "Local socket:" in line)
    found = re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+([+-]\d\d:\d\d|Z) ", line)
    if not found:
        raise Failure(f"no time with an offset: {line}")
    return found[1]


@group.check("the log's time: UTC, TZ, and a mounted /etc/localtime")
def time_zone(lab):
    kathmandu = lab.folder / "kathmandu"
    kathmandu.write_bytes(time_zone_file(20700, "+0545"))
    mount = ("-v", f"{kathmandu}:/etc/localtime:ro")
    for options, wanted in (((), "+00:00"), (("-e", "TZ=Asia/Kolkata"), "+05:30"), (mount, "+05:45"),
                            ((*mount, "-e", "TZ=Etc/GMT+3"), "-03:00")):
        seen = first_offset(lab, *options)
        expect(seen == wanted, f"{options}: offset {seen}, not {wanted}")


KEYS = """
import ssl, sys
sys.path.insert(0, sys.argv[1])
from ke_client import cookies, establish
context = ssl.create_default_context(cafile=sys.argv[3])
context.set_alpn_protocols(["ntske/1"])
print(len(cookies(establish(context, sys.argv[2]))))
"""


@group.check("NTS: the documents' lines make an authority and serve; who trusts it gets eight cookies")
def nts(lab):
    address, volume = lab.nodes.address(1), f"ntp-nts-{lab.number}"
    authority, tls = lab.folder / "nts" / "authority", lab.folder / "nts" / "tls"
    for folder in (authority, tls):
        folder.mkdir(parents=True)
        os.chown(folder, 65532, 65532)

    def make(what):
        lab.node("run", "--rm", *HARDENED, "-v", f"{authority}:/authority", lab.image, "ca", what, "--dir", "/authority", "time.lan", address)
        for name in ("server.crt", "server.key"):
            (authority / name).rename(tls / name)

    def keys(root):
        return subprocess.run([*lab.nodes.enter(0), "python3", "-c", KEYS, REPOSITORY / "tests" / "system", address, root],
                              capture_output=True, text=True, timeout=20)
    try:
        make("init")
        with lab.container(lab.node, *HARDENED, *PUBLISHED, "-p", "4460:4460/tcp", "-v", f"{volume}:/var/lib/ntp-server", "-v", f"{tls}:/tls:ro",
                           "-e", "NTP_SERVER_NTS_CERTIFICATE=/tls/server.crt", "-e", "NTP_SERVER_NTS_KEY=/tls/server.key",
                           lab.image, wait_for="NTS key establishment") as name:
            until("eight cookies", 10, lambda: keys(authority / "ca.crt").stdout == "8\n")
            stranger = keys("/etc/ssl/certs/ca-certificates.crt")
            expect("CERTIFICATE_VERIFY_FAILED" in stranger.stderr, stranger.stderr)
            make("issue")
            until("the renewed certificate", 10, lambda: lab.node("logs", name).count("certificate loaded") == 2)
            expect(keys(authority / "ca.crt").stdout == "8\n", "no cookies by the renewed certificate")
            expect("lies where" not in lab.node("logs", name), "a secret where key establishment may read")
            ask_node(lab)
            lab.node("exec", name, "/ntp-server", "healthcheck")
    finally:
        lab.node.attempt("volume", "rm", volume)
