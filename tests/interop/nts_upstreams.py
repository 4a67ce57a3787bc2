"""NTS the other way round: our server takes the time from Debian's NTS servers, with certificates of `ntp-server ca init`."""
import os, re, socket, tempfile

import clients
from nts import Authority
from upstreams import Ours
from world import daemon, no_clock, run, until


def credentials(lab, node):
    """Certificate and key for a node, where daemons that run as root read them, and the root for ours."""
    authority = Authority(lab.program, node.v4, node.v6)
    for name in ("server.crt", "server.key"):
        os.chown(f"{authority.folder}/{name}", 0, 0)
    return authority


def follows(lab, name, address, authority, aead=None):
    """Ours gets keys from it and follows it; what it tells of that."""
    with Ours(lab, f"by-{name}", [address], more=f"nts = true\nnts_ca = '{authority.root}'\n") as ours:
        ours.until(lambda: ours.status()["sources"], "the first look at the sources")
        ours.until_verdict(address, ("selected", "combined"))
        ours.until_synchronised()
        nts = next(s["nts"] for s in ours.status()["sources"])
        assert nts["has_keys"] and nts["naks"] == 0 and nts["cookies"] >= 6, nts
        assert aead is None or nts["aead"] == aead, nts
        ours.until(lambda: ours.status()["sources"][0]["samples"] > 12, "more answers than cookies")
        nts = ours.status()["sources"][0]["nts"]
        assert nts["establishments"] == 1 and nts["naks"] == 0 and nts["cookies"] >= 6, nts
        return nts


def lab_query(lab, address, root):
    return run([lab.program, "query", "--nts", "--ca", root, address], dict(os.environ), 20)[1]


def listening(lab, node, said):
    def is_open():
        try:
            socket.create_connection((node.v4, 4460), 1).close()
            return True
        except OSError:
            return False
    until(is_open, 20, f"key establishment\n{said()}")


def ntpsec_serves(lab, package):
    node = lab.node("ks")
    authority = credentials(lab, node)
    folder = tempfile.mkdtemp(dir="/run")
    config = f"{folder}/ntp.conf"
    with open(config, "w") as file:
        file.write(f"nts enable\nnts cert {authority.folder}/server.crt\nnts key {authority.folder}/server.key\nnts cookie {folder}/cookies\n"
                   f"tos orphan 6 orphanwait 1\nrestrict default\ndriftfile {folder}/drift\n")
    command = no_clock("ntpd", "-n", "-c", config)
    with daemon([*node.enter, *command], package.environment()) as said:
        listening(lab, node, said)
        follows(lab, "ks", node.v4, authority, "AES-SIV-CMAC-256")


def ntpd_rs_serves(lab, package):
    node = lab.node("kr")
    authority = credentials(lab, node)
    folder = tempfile.mkdtemp(dir="/run")
    config = f"{folder}/ntp.toml"
    with open(config, "w") as file:
        file.write(f'[observability]\nobservation-path = "{folder}/sock"\n[[server]]\nlisten = "[::]:123"\n'
                   f'[[nts-ke-server]]\nlisten = "[::]:4460"\ncertificate-chain-path = "{authority.folder}/server.crt"\n'
                   f'private-key-path = "{authority.folder}/server.key"\n[synchronization]\nlocal-stratum = 5\n'
                   # Without a source it has no time to tell.
                   f'minimum-agreeing-sources = 1\n[[source]]\nmode = "server"\naddress = "{lab.synced.v4}"\n')
    command = lab.foreign(package, "ntp-daemon", "-c", config)
    with daemon([*node.enter, *command], package.environment(LD_LIBRARY_PATH="", LD_PRELOAD=lab.no_clock)) as said:
        listening(lab, node, said)
        follows(lab, "kr", node.v4, authority, "AES-SIV-CMAC-256")


def query_shows(lab):
    """The command, of a server that is ahead by a known time; and that it believes nobody else's certificate."""
    listening(lab, lab.secure, lambda: "")
    text = lab_query(lab, lab.secure.v4, lab.authority.root)
    assert re.search(r"NTS AES-\S+ +TLS_\S+ +8 cookies of \d+ octets", text), text
    assert abs(clients.first(r"offset (\S+) s", text) - clients.AHEAD_S) < clients.TOLERANCE_S, text
    assert "not trusted" in lab_query(lab, lab.secure.v4, lab.authority.another())


def checks(lab):
    lab.check("nts: query --nts", [], lambda: query_shows(lab))
    lab.check("nts: ours takes the time from ntpsec", ["ntpsec"], lambda p: ntpsec_serves(lab, p), lab.lock("ntpsec"))
    lab.check("nts: ours takes the time from ntpd-rs", ["ntpd-rs"], lambda p: ntpd_rs_serves(lab, p))
