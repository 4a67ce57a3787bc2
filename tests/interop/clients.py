"""Debian's clients against our server: each must take the time that it is to take, and refuse what it is to refuse."""
import json, os, re, tempfile, urllib.request
from dataclasses import dataclass, field

from world import daemon, no_clock, run, until

AHEAD_S = 2.5  # the clock of the server "ahead", so that an offset cannot be right by doing nothing
TOLERANCE_S = 0.1  # same machine, other work beside: half of a round trip at most


@dataclass
class Answer:
    """What the client made of the server; offset None = it did not take the time."""
    offset: float | None
    text: str
    facts: dict = field(default_factory=dict)


def first(pattern, text):
    found = re.search(pattern, text)
    return float(found[1]) if found else None


def told(command, environment, answers, refusal, seconds=30):
    """What a daemon says of its first reply; it is ended then."""
    with daemon(no_clock(*command), environment) as said:
        until(lambda: re.search(f"{answers}|{refusal}", said()) or said.process.poll() is not None, seconds,
              f"{answers} | {refusal} from {command}")
    return Answer(first(answers, said()), said())


def chronyd(lab, package, address, *options, seconds=12):
    status, text = run(no_clock("chronyd", "-Q", "-u", "root", "-t", str(seconds), "cmdport 0", "bindcmdaddress /",
                                f"pidfile {tempfile.mktemp(dir='/run')}",
                                " ".join(["server", address, "iburst", "maxsamples 1", *options])),
                       package.environment(), seconds + 10)
    return Answer(first(r"System clock wrong by (\S+) seconds", text) if status == 0 else None, text)


def ntpdig(lab, package, address):
    status, text = run(["/usr/bin/python3", package.path("/usr/bin/ntpdig"), "-j", "-t", "5", address], package.environment())
    if status != 0:
        return Answer(None, text)
    facts = json.loads(text.strip().splitlines()[-1])
    return Answer(facts["offset"], text, {"stratum": facts["stratum"], "leap": facts["leap"]})


def ntpdate(lab, package, address):
    status, text = run([package.path("/usr/sbin/ntpdate"), "-q", address], package.environment())
    found = re.search(r"\) ([-+]\d+\.\d+) \+/- \S+ \S+ s(\d+) (\S+)", text)
    return Answer(float(found[1]), text, {"stratum": int(found[2]), "leap": found[3]}) if status == 0 else Answer(None, text)


def rdate(lab, package, address):
    status, text = run(["rdate", "-n", "-p", "-v", address], package.environment())
    return Answer(first(r"adjust local clock by (\S+) seconds", text) if status == 0 else None, text)


def busybox(lab, package, address):
    peer = f"[{address}]" if ":" in address else address
    answer = told([package.path("/bin/busybox"), "ntpd", "-n", "-d", "-d", "-w", "-q", "-p", peer], package.environment(),
                  r"reply from \S+ offset:(\S+) delay", "(peer is unsynced)")
    answer.facts = {"stratum": first(r"strat:(\d+)", answer.text)} if answer.offset is not None else {}
    return answer


def toybox(lab, package, address):
    status, text = run(["toybox", "sntp", address], package.environment())
    return Answer(first(r"offset (\S+) secs", text) if status == 0 else None, text)


def timesyncd(lab, package, address):
    folder = "/run/systemd/timesyncd.conf.d"
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/only.conf", "w") as file:
        file.write(f"[Time]\nNTP={address}\nFallbackNTP=\n")
    program = package.path("/lib/systemd/systemd-timesyncd", "/usr/lib/systemd/systemd-timesyncd")
    answer = told(["setpriv", "--reuid=systemd-timesync", "--regid=systemd-timesync", "--clear-groups", program],
                  package.environment(SYSTEMD_LOG_LEVEL="debug", SYSTEMD_LOG_TARGET="console"),
                  r"offset +: (\S+) sec\n(?:.*\n)*?Contacted time server", "(Server is not synchronized)")
    answer.facts = {"stratum": first(r"stratum +: (\d+)", answer.text), "version": first(r"version +: (\d+)", answer.text)}
    return answer if answer.offset is not None else Answer(None, answer.text)


def openntpd(lab, package, address):
    with open("/run/openntpd.conf", "w") as file:
        file.write(f"server {address}\n")
    return told(["ntpd", "-d", "-v", "-s", "-f", "/run/openntpd.conf"], package.environment(),
                r"reply from \S+ offset (\S+) delay", "(not synced)")


def ntpsec(lab, package, address):
    with open("/run/ntpsec.conf", "w") as file:
        file.write(f"server {address} iburst\ndriftfile /run/ntpsec.drift\n")
    # A burst is over after seven seconds; what it did not take then, it does not take.
    _, text = run(no_clock("ntpd", "-n", "-q", "-c", "/run/ntpsec.conf"), package.environment(), 14)
    return Answer(first(r"ntpd: time (?:slew|set) (\S+?)s", text), text)


def ntpd_rs(lab, package, address):
    name, config = "n" + re.sub("[.:]+", "-", address), tempfile.mktemp(suffix=".toml", dir="/run")
    with open("/etc/hosts", "a") as file:  # an IPv6 address in its configuration it takes for a name, with brackets or without
        file.write(f"{address} {name}\n")
    with open(config, "w") as file:
        file.write(f'[observability]\nlog-level = "trace"\nobservation-path = "{config}.sock"\n'
                   f'[[source]]\nmode = "server"\naddress = "{name}"\n[synchronization]\nminimum-agreeing-sources = 1\n')
    return told(lab.foreign(package, "ntp-daemon", "-c", config), package.environment(LD_LIBRARY_PATH="", LD_PRELOAD=lab.no_clock),
                r"KalmanState \{ state: Matrix \{ data: \[\[([-\d.e]+)\]", "(Unrecognized KISS Message)")


def ntplib(lab, package, address):
    code = ("import json,sys,ntplib; r=ntplib.NTPClient().request(sys.argv[1], version=int(sys.argv[2]), timeout=5); "
            "print(json.dumps([r.offset, r.leap, r.stratum, r.version, r.mode, r.root_dispersion]))")
    status, text = run(["/usr/bin/python3", "-c", code, address, "4"], package.environment())
    if status != 0:
        return Answer(None, text)
    offset, leap, stratum, version, mode, dispersion = json.loads(text)
    return Answer(offset, text, {"leap": leap, "stratum": stratum, "version": version, "mode": mode, "dispersion": dispersion})


def net_ntp(lab, package, address):
    code = 'my %h = get_ntp_response($ARGV[0]); print "$_=$h{$_}\\n" for sort keys %h'
    status, text = run(["perl", f"-I{package.root}/usr/share/perl5", "-MNet::NTP", "-e", code, address], package.environment())
    facts = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if status != 0 or "Offset" not in facts:
        return Answer(None, text)
    return Answer(float(facts["Offset"]), text, {"stratum": int(facts["Stratum"]), "leap": int(facts["Leap Indicator"]),
                                                 "version": int(facts["Version Number"])})


def nagios(plugin):
    def ask(lab, package, address):
        status, text = run([package.path(f"/usr/lib/nagios/plugins/{plugin}"), "-H", address, "-w", "60", "-c", "120"], package.environment())
        return Answer(first(r"offset=(\S+?)s;", text) if status == 0 else None, text)
    return ask


def node_exporter(lab, package, address):
    port = lab.free_port()
    with daemon(["prometheus-node-exporter", "--collector.disable-defaults", "--collector.ntp", f"--collector.ntp.server={address}",
                 "--collector.ntp.server-is-local", "--collector.ntp.local-offset-tolerance=10s", f"--web.listen-address=127.0.0.1:{port}"],
                package.environment()) as said:
        def scrape():
            try:
                return urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
            except OSError:
                return None
        text = until(scrape, 20, said())
    value = lambda name: first(rf"(?m)^node_ntp_{name} (\S+)", text)
    return Answer(value("offset_seconds") if value("sanity") == 1 else None, text, {"stratum": value("stratum"), "leap": value("leap")})


# (package, name, how, what it says of a server without time (None: it does not look), whether it speaks IPv6)
CLIENTS = [
    ("chrony", "chronyd -Q", chronyd, "No suitable source|Timeout reached", True),
    ("ntpsec", "ntpsec's ntpd -q", ntpsec, "ended by the test", True),
    ("ntpsec-ntpdig", "ntpdig", ntpdig, "stratum 0", True),
    ("ntpsec-ntpdate", "ntpdate -q", ntpdate, "stratum 0", True),
    ("openntpd", "openntpd -s", openntpd, "not synced", True),
    ("ntpd-rs", "ntpd-rs", ntpd_rs, "Unrecognized KISS Message", True),
    ("busybox", "busybox ntpd", busybox, "peer is unsynced", True),
    ("systemd-timesyncd", "systemd-timesyncd", timesyncd, "Server is not synchronized", True),
    ("rdate", "rdate -n", rdate, "alarm flag", True),
    ("monitoring-plugins-basic", "check_ntp_time", nagios("check_ntp_time"), "Offset unknown", True),
    ("monitoring-plugins-basic", "check_ntp", nagios("check_ntp"), "Offset unknown", True),
    ("prometheus-node-exporter", "node_exporter's ntp collector", node_exporter, "node_ntp_leap 3", True),
    ("toybox", "toybox sntp", toybox, None, True),
    ("python3-ntplib", "python3-ntplib", ntplib, None, True),
    ("libnet-ntp-perl", "perl's Net::NTP", net_ntp, None, False),
]
ONE_AT_A_TIME = {"ntpsec", "openntpd", "systemd-timesyncd"}  # one fixed socket or file


def takes(lab, how, package, address, offset, stratum):
    """Where other work keeps the machine busy a packet may lie about: three attempts."""
    for attempt in range(3):
        answer = how(lab, package, address)
        good = answer.offset is not None and abs(answer.offset - offset) < TOLERANCE_S
        if good and answer.facts.get("stratum", stratum) == stratum:
            return
    raise AssertionError(f"offset {answer.offset}, facts {answer.facts}; wanted {offset} of stratum {stratum}:\n{answer.text}")


def refuses(lab, how, package, address, words):
    """And says why: silence could be anything."""
    answer = how(lab, package, address)
    assert answer.offset is None, f"took the time of a server that says it has none:\n{answer.text}"
    assert re.search(words, answer.text), f"did not say {words!r}:\n{answer.text}"


def shows(lab, how, package, address):
    answer = how(lab, package, address)
    assert (answer.facts["leap"], answer.facts["stratum"]) == (3, 0), answer.text


def checks(lab):
    for package, name, how, refusal, speaks_v6 in CLIENTS:
        def add(what, function, *arguments, package=package, name=name, how=how):
            lock = lab.lock(package) if package in ONE_AT_A_TIME else None
            lab.check(f"{name}: {what}", [package], lambda p: function(lab, how, p, *arguments), lock)
        add("takes the time over IPv4", takes, lab.synced.v4, 0, 3)
        if speaks_v6:
            add("takes the time over IPv6", takes, lab.synced.v6, 0, 3)
        add(f"measures a server that is {AHEAD_S} s ahead", takes, lab.ahead.v4, AHEAD_S, 3)
        add("takes the local clock at stratum 10", takes, lab.local.v4, 0, 10)
        if refusal:
            add("refuses a server without time", refuses, lab.refusing.v4, refusal)
        elif how is not toybox:  # which neither looks at the leap indicator nor shows it
            add("shows leap 3 and stratum 0 of a server without time", shows, lab.refusing.v4)
    for options in ("version 3", "version 2", "version 1", "xleave", "presend 9", "extfield F323", "minpoll -6 maxpoll -6"):
        lab.check(f"chronyd -Q: takes the time with {options}", ["chrony"],
                  lambda p, options=options: takes(lab, lambda *a: chronyd(*a, options), p, lab.synced.v4, 0, 3))
