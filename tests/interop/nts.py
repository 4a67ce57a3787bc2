"""NTS: Debian's clients get keys from our server, by certificates of `ntp-server ca init`."""
import os, re, signal, subprocess, tempfile

import clients
import debian
from world import Server, daemon, no_clock, run, until

NAME, ADDRESSES = "nts-server", ("198.18.5.1", "2001:db8:5::1")  # of the node "secure"


class Authority:
    def __init__(self, program, *more):
        self.program, self.folder = program, tempfile.mkdtemp(dir="/run")
        os.chmod(self.folder, 0o755)
        self.root = f"{self.folder}/ca.crt"
        subprocess.run([program, "ca", "init", "--dir", self.folder, NAME, *ADDRESSES, *more], check=True, stdout=subprocess.DEVNULL)
        with open("/etc/hosts", "a") as file:
            file.write(f"{ADDRESSES[0]} {NAME}\n")
        self.settings = {"NTP_SERVER_NTS_CERTIFICATE": f"{self.folder}/server.crt", "NTP_SERVER_NTS_KEY": f"{self.folder}/server.key"}

    def another(self):
        """The root of an authority that has nothing to do with this one."""
        folder = tempfile.mkdtemp(dir="/run")
        os.chmod(folder, 0o755)
        subprocess.run([self.program, "ca", "init", "--dir", folder, NAME, *ADDRESSES], check=True, stdout=subprocess.DEVNULL)
        return f"{folder}/ca.crt"


def handshakes(lab, outcome="ok"):
    text = lab.secure.server.get("/metrics", host=lab.secure.v4)[1]
    return float(re.search(rf'ntp_nts_ke_handshakes_total{{outcome="{outcome}"}} (\S+)', text)[1])


def chrony(package, program, *arguments):
    """The words of a command of chrony's, by the loader of its release if it came along, and its environment."""
    path = package.path(f"/usr/sbin/{program}", f"/usr/bin/{program}")
    try:
        loader = package.path("/usr/lib/*-linux-gnu*/ld-linux-*.so*")
    except debian.Missing:
        return [path, *arguments], package.environment()
    return [loader, "--library-path", os.path.dirname(loader), path, *arguments], package.environment(LD_LIBRARY_PATH="")


def chronyd(package, address, root, *more):
    """A chronyd that leaves the clock alone and can be asked at the socket that is returned too."""
    folder = tempfile.mkdtemp(dir="/run")  # which others may not enter, or chronyd would have no socket there
    command, environment = chrony(package, "chronyd", "-u", "root", *more, f"server {address} iburst maxsamples 1 nts", f"ntstrustedcerts {root}",
                                  "cmdport 0", f"bindcmdaddress {folder}/sock", f"pidfile {folder}/pid")
    return no_clock(*command), environment, f"{folder}/sock"


def chrony_gets_keys(lab, package, address):
    """What chronyd itself says of its source."""
    before = handshakes(lab)
    command, environment, control = chronyd(package, address, lab.authority.root, "-d", "-x")
    ask, asking = chrony(package, "chronyc", "-h", control, "-n", "authdata")
    with daemon(command, environment) as said:
        # Name  Mode KeyID Type KLen Last Atmp NAK Cook CLen
        got = lambda: re.search(r"(?m)^\S+ +NTS +\d+ +(\d+) +(\d+) +\S+ +\d+ +(\d+) +(\d+) +([1-9]\d+)", run(ask, asking)[1])
        try:
            line = until(got, 75)  # who has missed the first answer tries again after half a minute or so
        except AssertionError:
            raise AssertionError(f"no keys: {run(ask, asking)[1]}\n{said()}") from None
        kind, bits, naks, jar, length = map(int, line.groups())
        assert (kind, bits) in ((15, 256), (30, 128)) and naks == 0 and 0 < jar <= 8 and length % 4 == 0, line[0]
    until(lambda: handshakes(lab) > before, 3, "our count")


def chrony_trusts_nobody_else(lab, package):
    before = handshakes(lab, "tls_alert") + handshakes(lab, "broken_off")
    command, environment, _ = chronyd(package, lab.secure.v4, lab.authority.another(), "-d", "-x")
    with daemon(command, environment) as said:
        until(lambda: re.search("TLS handshake with .* failed", said()), 20, said())
    until(lambda: handshakes(lab, "tls_alert") + handshakes(lab, "broken_off") > before, 3, "our count")


def chrony_takes_time(lab, package, address):
    command, environment, _ = chronyd(package, address, lab.authority.root, "-Q", "-t", "15")
    status, text = run(command, environment, 30)
    offset = clients.first(r"System clock wrong by (\S+) seconds", text)
    assert status == 0 and abs(offset - clients.AHEAD_S) < clients.TOLERANCE_S, text


def chrony_keeps_its_cookies(lab, package):
    """Over a kill -9: keys from the state directory, no NAK, no second handshake. Then over a hop to another server of one secret."""
    node, state = lab.node("fleet"), tempfile.mkdtemp(dir="/run")
    os.chown(state, 65532, 65532)
    secret = f"{state}/secret"
    with open(secret, "w") as file:
        file.write("0123456789abcdef" * 4)
    os.chmod(secret, 0o600)
    os.chown(secret, 65532, 65532)
    authority = Authority(lab.program, node.v4)

    def serve(**settings):
        server = Server(lab.program, "run", "--http", f"{node.v4}:9559", environment={**authority.settings, **settings}, prefix=node.enter)
        server.wait_line("certificate loaded")
        return server

    def count(server, name):
        return float(re.search(rf"(?m)^{re.escape(name)} (\S+)", server.get("/metrics", host=node.v4)[1])[1])
    for settings in ({"NTP_SERVER_CLOCK_STATE_DIRECTORY": state}, {"NTP_SERVER_NTS_COOKIE_SECRET_FILE": secret}):
        server = serve(**settings)
        command, environment, control = chronyd(package, f"{node.v4}", authority.root, "-d", "-x")
        command = [word.replace("maxsamples 1 nts", "minpoll -4 maxpoll -4 nts") for word in command]
        ask, asking = chrony(package, "chronyc", "-h", control, "-n", "authdata")
        with daemon(command, environment) as said:
            until(lambda: count(server, "ntp_server_sent_packets_total") > 10, 20, said())
            said.process.send_signal(signal.SIGSTOP)  # it would spend its cookies on nobody within half a second
            server.process.kill()
            server.process.wait()
            if "NTP_SERVER_NTS_COOKIE_SECRET_FILE" in settings:  # another machine with the same secret
                settings = {**settings, "NTP_SERVER_CLOCK_STATE_DIRECTORY": "off"}
            server = serve(**settings)
            said.process.send_signal(signal.SIGCONT)
            until(lambda: count(server, "ntp_server_sent_packets_total") > 10, 20, said())
            line = re.search(r"(?m)^\S+ +NTS +\d+ +\d+ +\d+ +\S+ +\d+ +(\d+) +(\d+)", run(ask, asking)[1])
            assert int(line[1]) == 0 and int(line[2]) > 0, line[0]
            assert count(server, 'ntp_nts_ke_handshakes_total{outcome="ok"}') == 0, "a second handshake"
        assert server.stop()[0] == 0


def ntpd_rs(lab, package, name=NAME, root=None):
    config = tempfile.mktemp(suffix=".toml", dir="/run")
    with open(config, "w") as file:
        file.write(f'[observability]\nlog-level = "trace"\nobservation-path = "{config}.sock"\n'
                   f'[[source]]\nmode = "nts"\naddress = "{name}"\ncertificate-authority = "{root or lab.authority.root}"\n'
                   "[synchronization]\nminimum-agreeing-sources = 1\n")
    return lab.foreign(package, "ntp-daemon", "-c", config), package.environment(LD_LIBRARY_PATH="", LD_PRELOAD=lab.no_clock)


def ntpd_rs_gets_keys(lab, package):
    before = handshakes(lab)
    with daemon(*ntpd_rs(lab, package)) as said:
        until(lambda: handshakes(lab) > before, 20, said())


def ntpd_rs_takes_time(lab, package):
    answer = clients.told(*ntpd_rs(lab, package), r"KalmanState \{ state: Matrix \{ data: \[\[([-\d.e]+)\]", "(NTSN)")
    assert answer.offset is not None and abs(answer.offset - clients.AHEAD_S) < clients.TOLERANCE_S, answer.text


PROTOCOLS = ("SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3")


def sslscan_finds_nothing(lab, package, openssl):
    """It names no protocol by ALPN: whatever it offers is refused. Of a server that is less strict it finds what there is."""
    def scan(port, address):
        status, text = run([package.path("/usr/bin/sslscan"), "--no-colour", f"{address}:{port}"], package.environment(), 60)
        assert status == 0, text
        return dict(re.findall(r"(?m)^(SSLv\d|TLSv1\.\d) +(enabled|disabled)$", text)), text
    before = handshakes(lab, "no_alpn"), handshakes(lab, "tls_version")
    found, text = scan(4460, lab.secure.v4)
    assert found == {name: "disabled" for name in PROTOCOLS}, text
    assert "Session renegotiation not supported" in text and "vulnerable to heartbleed" not in text, text
    assert "Supported Server Cipher(s):" in text and not re.search("(?m)^(Accepted|Preferred)", text), text
    until(lambda: handshakes(lab, "no_alpn") > before[0] and handshakes(lab, "tls_version") > before[1], 5, "our counts")
    port = lab.free_port()
    with daemon([openssl.path("/usr/bin/openssl"), "s_server", "-accept", str(port), "-cert", f"{lab.authority.folder}/server.crt", "-key",
                 f"{lab.authority.folder}/server.key", "-quiet"], {**openssl.environment(), "OPENSSL_CONF": "/dev/null"}) as said:
        judge, text = until(lambda: (seen := scan(port, "127.0.0.1"))[0].get("TLSv1.3") and seen, 20, said())
    assert judge["TLSv1.2"] == judge["TLSv1.3"] == "enabled", f"sslscan finds nothing anywhere: {text}"


def openssl_sees_tls13_alone(lab, package):
    """What its client says of a connection; -ign_eof would wait, so it says good-bye at once and has seen all the server sends."""
    def client(*arguments):
        command = [package.path("/usr/bin/openssl"), "s_client", "-connect", f"{lab.secure.v4}:4460", "-CAfile", lab.authority.root, "-msg", *arguments]
        return run(command, {**package.environment(), "OPENSSL_CONF": "/dev/null"}, 20)
    kept = tempfile.mktemp(dir="/run")
    status, text = client("-alpn", "ntske/1", "-sess_out", kept)
    assert status == 0 and "ALPN protocol: ntske/1" in text and "Verification: OK" in text, text
    assert re.search("(?m)^New, TLSv1.3, Cipher is TLS_", text) and "Compression: NONE" in text, text
    assert "NewSessionTicket" not in text and not os.path.exists(kept), "a ticket was sent"
    assert "Secure Renegotiation IS NOT supported" in text and "Early data was not sent" in text, text
    assert "CertificateRequest" not in text, text
    for wrong, why in (((), "no application protocol"), (("-alpn", "h2"), "no application protocol"), (("-alpn", "ntske/1", "-tls1_2"), "protocol version"),
                       (("-alpn", "ntske/1", "-no_tls1_3"), "protocol version")):
        status, text = client(*wrong)
        assert status != 0 and why in text.replace("_", " ").lower() and "Cipher is (NONE)" in text, (wrong, text)


def checks(lab):
    lab.check("nts: sslscan finds no protocol without ALPN, renegotiation or old TLS", ["sslscan", "openssl"], lambda p, o: sslscan_finds_nothing(lab, p, o))
    lab.check("nts: OpenSSL's client sees TLS 1.3 alone, without tickets, early data, compression", ["openssl"], lambda p: openssl_sees_tls13_alone(lab, p))
    for package, name in (("chrony", "chronyd"), ("chrony-trixie", "Debian 13's chronyd")):
        for family, address in (("IPv4", lab.secure.v4), ("IPv6", lab.secure.v6)):
            lab.check(f"nts: {name} gets keys over {family}", [package], lambda p, address=address: chrony_gets_keys(lab, p, address))
            lab.check(f"nts: {name} takes the time over {family}", [package], lambda p, address=address: chrony_takes_time(lab, p, address))
        lab.check(f"nts: {name} refuses a certificate of another authority", [package], lambda p: chrony_trusts_nobody_else(lab, p))
    lab.check("nts: chronyd keeps its cookies over a kill -9 and a hop", ["chrony"], lambda p: chrony_keeps_its_cookies(lab, p))
    lab.check("nts: ntpd-rs gets keys", ["ntpd-rs"], lambda p: ntpd_rs_gets_keys(lab, p))
    lab.check("nts: ntpd-rs takes the time", ["ntpd-rs"], lambda p: ntpd_rs_takes_time(lab, p))
