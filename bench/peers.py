"""The servers that are measured: how each is started so that it answers everybody."""

import dataclasses
import pathlib

from lab import LabError
from packages import Release, under_own_loader

WITHOUT_CLOCK = ["setpriv", "--bounding-set=-sys_time"]  # no server may touch this machine's clock

CHRONY = """local stratum 10
allow all
cmdport 0
bindcmdaddress /
pidfile {scratch}/{name}.pid
"""

NTPD_RS = """[observability]
log-level = "warn"
[synchronization]
local-stratum = 10
[[server]]
listen = "{address}:123"
"""

NTPSEC = """server 127.127.1.0
fudge 127.127.1.0 stratum 10
restrict default
restrict 127.0.0.1
disable monitor
pidfile {scratch}/{name}.pid
"""


@dataclasses.dataclass
class Peer:
    name: str
    version: str
    command: list
    environment: dict = dataclasses.field(default_factory=dict)
    is_ours: bool = False
    # What the generator is told to forgive, because the server cannot do it alone in a namespace.
    load_options: tuple = ()


def ours(program, name="ntp-server", arguments=("--threads", "1")):
    if not pathlib.Path(program).exists():
        raise LabError(f"{program} does not exist")
    return Peer(name, "", [*WITHOUT_CLOCK, str(pathlib.Path(program).resolve()), "run",
                           "--log-level", "warning", *arguments], is_ours=True)


def _configured(scratch, name, text, **values):
    path = pathlib.Path(scratch, f"{name}.conf").resolve()
    path.write_text(text.format(scratch=path.parent, name=name, **values), encoding="utf-8")
    return str(path)


def chrony(release, cache, scratch, name):
    source = Release(release, cache)
    tree = source.tree("chrony")
    config = _configured(scratch, name, CHRONY)
    return Peer(name, source.version("chrony"),
                [*WITHOUT_CLOCK, *under_own_loader(tree, "usr/sbin/chronyd"), "-x", "-n", "-u",
                 "root", "-f", config])


def ntpd_rs(cache, scratch, ipv6):
    source = Release("trixie", cache)
    tree = source.tree("ntpd-rs")
    config = _configured(scratch, "ntpd-rs", NTPD_RS, address="[::]" if ipv6 else "0.0.0.0")
    return Peer("ntpd-rs", source.version("ntpd-rs"),
                [*WITHOUT_CLOCK, *under_own_loader(tree, "usr/bin/ntp-daemon"), "--config", config],
                load_options=("--any-leap",))


def ntpsec(cache, scratch, _):
    source = Release("trixie", cache)
    tree = source.tree("ntpsec")
    config = _configured(scratch, "ntpsec", NTPSEC)
    return Peer("ntpsec", source.version("ntpsec"),
                [*WITHOUT_CLOCK, *under_own_loader(tree, "usr/sbin/ntpd"), "-n", "-g", "-c",
                 config],
                load_options=("--any-leap",))


OTHERS = {"ntpd-rs": ntpd_rs, "ntpsec": ntpsec}


def collect(chosen, cache, scratch, ipv6, say):
    """The peers that can be had, chrony's newest first; `say` gets a line for each that cannot."""
    found = []
    wanted = [("chrony-4.6", lambda: chrony("trixie", cache, scratch, "chrony-4.6")),
              ("chrony-4.3", lambda: chrony("bookworm", cache, scratch, "chrony-4.3"))]
    wanted += [(name, lambda make=OTHERS[name]: make(cache, scratch, ipv6)) for name in chosen]
    for name, make in wanted:
        try:
            found.append(make())
        except (LabError, OSError) as error:
            say(f"{name} is left out: {error}")
    if not any(peer.name.startswith("chrony") for peer in found):
        raise LabError("no chrony to compare with")
    return found
