"""The servers that are measured: how each is started so that it answers everybody."""

import dataclasses
import os
import pathlib
import secrets
import subprocess

from lab import LabError
from packages import Release, under_own_loader

WITHOUT_CLOCK = ["setpriv", "--bounding-set=-sys_time"]  # no server may touch this machine's clock

CHRONY = """local stratum 10
allow all
cmdport 0
bindcmdaddress /
pidfile {scratch}/{name}.pid
"""

CHRONY_KEYS = """ntsservercert {tls}/server.crt
ntsserverkey {tls}/server.key
ntsdumpdir {tls}
keyfile {keys}
"""

# Symmetric keys that every server has, by the name of what is asked; lines of chrony's key file.
KEYS = {"aes128": f"1 AES128 HEX:{secrets.token_hex(16)}",
        "sha1": f"2 SHA1 HEX:{secrets.token_hex(20)}",
        "sha256": f"3 SHA256 HEX:{secrets.token_hex(32)}"}

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


class Credentials:
    """What servers need to answer with NTS and with symmetric keys: an authority of `ntp-server ca`."""

    def __init__(self, program, scratch):
        self.tls = pathlib.Path(scratch, "tls").resolve()
        self.keys = pathlib.Path(scratch, "ntp.keys").resolve()
        self.authority = str(self.tls / "ca.crt")
        if not (self.tls / "server.crt").exists():
            done = subprocess.run([program, "ca", "init", "--dir", str(self.tls), "127.0.0.1", "::1"],
                                  capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise LabError(f"{program} makes no authority for NTS: {done.stderr.strip()}")
        self.keys.write_text("".join(f"{line}\n" for line in KEYS.values()), encoding="ascii")
        self.keys.chmod(0o600)
        for path in (self.tls, *self.tls.iterdir(), self.keys):
            os.chown(path, 0, 0)  # all servers run as root, without capabilities

    def environment(self):
        return {"NTP_SERVER_NTS_CERTIFICATE": str(self.tls / "server.crt"),
                "NTP_SERVER_NTS_KEY": str(self.tls / "server.key"),
                "NTP_SERVER_SERVER_KEYS_FILE": str(self.keys), "NTP_SERVER_SERVER_USER": "0:0"}


def ours(program, name="ntp-server", arguments=("--threads", "1"), credentials=None):
    if not pathlib.Path(program).exists():
        raise LabError(f"{program} does not exist")
    return Peer(name, "", [*WITHOUT_CLOCK, str(pathlib.Path(program).resolve()), "run",
                           "--log-level", "warning", *arguments],
                credentials.environment() if credentials else {}, is_ours=True)


def _configured(scratch, name, text, **values):
    path = pathlib.Path(scratch, f"{name}.conf").resolve()
    path.write_text(text.format(scratch=path.parent, name=name, **values), encoding="utf-8")
    return str(path)


def chrony(release, cache, scratch, name, credentials=None):
    source = Release(release, cache)
    tree = source.tree("chrony")
    if credentials:
        config = _configured(scratch, name, CHRONY + CHRONY_KEYS, tls=credentials.tls,
                             keys=credentials.keys)
    else:
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


def collect(chosen, cache, scratch, ipv6, say, credentials=None):
    """The peers that can be had, chrony's newest first; `say` gets a line for each that cannot."""
    found = []
    wanted = [("chrony-4.6", lambda: chrony("trixie", cache, scratch, "chrony-4.6", credentials)),
              ("chrony-4.3", lambda: chrony("bookworm", cache, scratch, "chrony-4.3", credentials))]
    wanted += [(name, lambda make=OTHERS[name]: make(cache, scratch, ipv6)) for name in chosen]
    for name, make in wanted:
        try:
            found.append(make())
        except (LabError, OSError) as error:
            say(f"{name} is left out: {error}")
    if not any(peer.name.startswith("chrony") for peer in found):
        raise LabError("no chrony to compare with")
    return found
