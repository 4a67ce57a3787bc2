"""The other way round: our `ntp-server query` asks Debian's servers."""
import json, os, time

from world import daemon, no_clock, run

TOLERANCE_S = 0.1


def query(lab, address, *arguments):
    target = f"[{address}]:123" if ":" in address else address
    return run([lab.program, "query", target, "--timeout", "1s", *arguments], {"PATH": os.environ["PATH"]}, 30)


def ask(lab, address, wanted):
    """The best of three samples, once the server answers as wanted."""
    deadline, best = time.monotonic() + 45, None
    while best is None:
        status, text = query(lab, address, "--count", "3", "--json")
        if status == 0:
            document, _ = json.JSONDecoder().raw_decode(text[text.index("{"):])  # around it: why a sample is missing
            if document["received"] == 3 and all(document["best"][key] == value for key, value in wanted.items()):
                best = document["best"]
        assert best or time.monotonic() < deadline, f"wanted {wanted} from {address}, got {text}"
        time.sleep(1)  # some of them fall silent to whom asks more often
    assert abs(best["offset_s"]) < TOLERANCE_S and 0 < best["delay_s"] < TOLERANCE_S, best
    assert best["root_distance_s"] >= best["delay_s"] / 2, best


def served_by(lab, name, package, command, environment, wanted, both=True):
    node = lab.node(name)
    with daemon([*node.enter, *no_clock(*command(node))], environment) as said:
        try:
            for address in node.addresses if both else node.addresses[:1]:
                ask(lab, address, wanted)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{said()}") from None


def write(path, text):
    with open(path, "w") as file:
        file.write(text)
    return path


def chronyd_local(lab, package):
    command = lambda node: ["chronyd", "-d", "-x", "-u", "root", "local stratum 8", "allow", "cmdport 0", "bindcmdaddress /", "pidfile /run/peer-chronyd.pid"]
    served_by(lab, "chronyd", package, command, package.environment(), {"stratum": 8, "leap": "none", "refid": "127.127.1.1", "version": 4})


def chronyd_unsynchronised(lab, package):
    command = lambda node: ["chronyd", "-d", "-x", "-u", "root", "allow", "cmdport 0", "bindcmdaddress /", "pidfile /run/peer-chronyd2.pid"]
    served_by(lab, "chronyd2", package, command, package.environment(), {"stratum": 0, "leap": "unsynchronised"})


def chronyd_of_ours(lab, package):
    """Our server → chronyd → our client: the chain's stratum and reference id."""
    command = lambda node: ["chronyd", "-d", "-x", "-u", "root", f"server {lab.synced.v4} iburst minpoll 0 maxpoll 0", "allow", "cmdport 0",
                            "bindcmdaddress /", "pidfile /run/peer-chronyd3.pid"]
    served_by(lab, "chronyd3", package, command, package.environment(), {"stratum": 4, "leap": "none", "refid": lab.synced.v4})


def ntpsec_orphan(lab, package):
    config = write("/run/peer-ntpsec.conf", "tos orphan 6 orphanwait 1\nrestrict default\ndriftfile /run/peer-ntpsec.drift\n")
    command = lambda node: ["ntpd", "-n", "-c", config]
    served_by(lab, "ntpsec", package, command, package.environment(), {"stratum": 6, "leap": "none", "version": 4})


def ntpd_rs(lab, package):
    config = write("/run/peer-ntpd-rs.toml", '[observability]\nobservation-path = "/run/peer-ntpd-rs.sock"\n[[server]]\nlisten = "[::]:123"\n[synchronization]\nlocal-stratum = 5\n')
    command = lambda node: lab.foreign(package, "ntp-daemon", "-c", config)
    served_by(lab, "ntpd-rs", package, command, package.environment(LD_LIBRARY_PATH="", LD_PRELOAD=lab.no_clock), {"version": 4})


def busybox(lab, package):
    command = lambda node: [package.path("/bin/busybox"), "ntpd", "-n", "-l"]
    served_by(lab, "busybox", package, command, package.environment(), {"stratum": 1, "leap": "none", "version": 4})


def openntpd(lab, package):
    command = lambda node: ["ntpd", "-d", "-f", write("/run/peer-openntpd.conf", "listen on *\n")]
    served_by(lab, "openntpd", package, command, package.environment(), {"leap": "unsynchronised"})


def toybox(lab, package):
    command = lambda node: ["toybox", "sntp", "-S", node.v4]
    served_by(lab, "toybox", package, command, package.environment(), {"version": 4}, both=False)


def nobody(lab):
    status, text = query(lab, lab.node("nobody").v4)
    assert status == 69 and "123" in text, (status, text)


def checks(lab):
    for package, what, how, lock in (
            ("chrony", "chronyd with a local reference", chronyd_local, None),
            ("chrony", "chronyd without time is called unsynchronised", chronyd_unsynchronised, None),
            ("chrony", "chronyd that follows our server", chronyd_of_ours, None),
            ("ntpsec", "ntpsec's ntpd in orphan mode", ntpsec_orphan, None),
            ("ntpd-rs", "ntpd-rs", ntpd_rs, None),
            ("busybox", "busybox ntpd -l", busybox, None),
            ("openntpd", "openntpd without time is called unsynchronised", openntpd, lab.lock("openntpd")),
            ("toybox", "toybox sntp -S", toybox, None)):
        lab.check(f"query: {what}", [package], lambda p, how=how: how(lab, p), lock)
    lab.check("query: nobody there is exit 69", [], lambda: nobody(lab))
