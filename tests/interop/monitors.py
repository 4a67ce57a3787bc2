"""What monitors, scanners and dissectors make of our server, and what the wire showed while all clients were at work."""
import os, re

from world import daemon, no_clock, run, until


def chronyc_calls_us_good(lab, chrony):
    """chronyd's own judgement of every field, as `chronyc ntpdata` shows it; its test C is of how steady the network is."""
    folder = "/run/chronyc"
    os.makedirs(folder, mode=0o770, exist_ok=True)
    with daemon(no_clock("chronyd", "-d", "-x", "-u", "root", f"server {lab.synced.v4} iburst minpoll -2 maxpoll -2 xleave maxdelaydevratio 1e6", "cmdport 0",
                         f"bindcmdaddress {folder}/sock", f"pidfile {folder}/pid"), chrony.environment()) as said:
        def data():
            status, text = run(["chronyc", "-h", f"{folder}/sock", "ntpdata", lab.synced.v4], chrony.environment())
            valid = re.search(r"Total valid RX +: (\d+)", text)
            return text if valid and int(valid[1]) >= 12 else None
        text = until(data, 20, said())
    wanted = {"Leap status": "Normal", "Version": "4", "Mode": "Server", "Stratum": "3", "NTP tests": "111 111 1111",
              "Interleaved": "No", "Authenticated": "No", "Total good RX": None, "Root delay": "0.000000 seconds"}
    fact = dict(re.findall(r"(?m)^(.+?) +: (.*)$", text))
    for key, value in wanted.items():
        assert key in fact and value in (None, fact[key]), f"{key}: {fact.get(key)!r}, not {value!r}\n{text}"
    assert fact["Total RX"] == fact["Total valid RX"] == fact["Total good RX"], text


def ntpq_calls_us_good(lab, ntpsec):
    """ntpsec's ntpd as a lasting client: no flash bit, system peer, stratum one below ours."""
    node = lab.node("ntpq")
    config = "/run/ntpq.conf"
    with open(config, "w") as file:
        file.write(f"server {lab.synced.v4} iburst minpoll 0 maxpoll 4\ntos minsane 1 minclock 1\nrestrict default nomodify\nrestrict 127.0.0.1\ndriftfile /run/ntpq.drift\n")
    with daemon([*node.enter, *no_clock("ntpd", "-n", "-g", "-c", config)], ntpsec.environment()) as said:
        def peers():
            _, text = run([*node.enter, "/usr/bin/python3", ntpsec.path("/usr/bin/ntpq"), "-n", "-c", "rv", "-c", "rv &1", "127.0.0.1"], ntpsec.environment())
            return text if "leap=00, stratum=4," in text and re.search(r"\bflash=", text) else None
        try:
            text = until(peers, 40)
        except AssertionError:
            raise AssertionError(said()) from None
    flash = re.search(r"\bflash=(\w+)", text)
    assert int(flash[1], 16) == 0, text
    assert f"refid={lab.synced.v4}," in text and "sel_sys.peer" in text and re.search(r"\bstratum=3,", text), text


def check_ntp_peer_gets_silence(lab, plugins):
    """It asks in mode 6, to which the public port answers nothing."""
    before = lab.synced.drops("mode")
    status, text = run([plugins.path("/usr/lib/nagios/plugins/check_ntp_peer"), "-H", lab.synced.v4, "-w", "1", "-c", "2", "-t", "4"], plugins.environment())
    assert status == 2 and "Socket timeout" in text, (status, text)
    until(lambda: lab.synced.drops("mode") > before, 5, "a drop counted")


def zabbix(lab, agent, address):
    for key, pattern in (("net.udp.service", r"\[u\|1\]"), ("net.udp.service.perf", r"\[d\|0\.\d*[1-9]\d*\]")):
        status, text = run(["zabbix_agentd", "-c", "/dev/null", "-t", f"{key}[ntp,{address}]"], agent.environment())
        assert status == 0 and re.search(pattern, text), text


def nmap(lab, package, *arguments):
    status, text = run(["nmap", "-Pn", "-n", "-sU", "-p123", *arguments, lab.synced.v4], package.environment(NMAPDIR=package.root + "/usr/share/nmap"), 90)
    assert status == 0 and "123/udp open " in text, text
    return text


def nmap_scripts_find_nothing(lab, package):
    """ntp-info also asks for the time as any client does; that one line is all it may get."""
    before = lab.synced.drops("mode")
    found = [line.strip("|_ \t") for line in nmap(lab, package, "--script", "ntp-info,ntp-monlist").splitlines() if line.startswith("|")]
    unknown = [line for line in found if line and not line.startswith(("ntp-info:", "receive time stamp:"))]
    assert not unknown, found
    assert lab.synced.drops("mode") > before, "the scripts asked nothing"


def nmap_sees_plain_ntp(lab, package):
    assert re.search(r"open +ntp +NTP v4 \(secondary server\)", nmap(lab, package, "-sV")), "nmap -sV"


FIELDS = ["frame.number", "frame.len", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "udp.srcport", "udp.dstport", "udp.length", "udp.checksum.status",
          "ntp.flags.li", "ntp.flags.vn", "ntp.flags.mode", "ntp.stratum", "ntp.ppoll", "ntp.precision", "ntp.rootdelay", "ntp.rootdispersion",
          "ntp.refid", "ntp.reftime", "ntp.org", "ntp.rec", "ntp.xmt", "_ws.malformed", "_ws.expert.message"]


def dissect(lab, tshark):
    """Every NTP frame that the clients and our servers exchanged, by tshark's dissector."""
    fields = [word for name in FIELDS for word in ("-e", name)]
    status, text = run(["tshark", "-r", lab.capture_file, "-o", "udp.check_checksum:FALSE", "-Y", "ntp && !icmp && !icmpv6", "-T", "fields", "-E", "separator=/t", "-E", "occurrence=a",
                        *fields], tshark.environment(WIRESHARK_DATA_DIR=tshark.root + "/usr/share/wireshark", HOME="/run"), 90)
    rows = [dict(zip(FIELDS, line.split("\t"))) for line in text.splitlines() if line.count("\t") == len(FIELDS) - 1]
    assert status == 0 and rows, text[-2000:]
    return rows


def addresses(row):
    return (row["ip.src"] or row["ipv6.src"], row["udp.srcport"], row["ip.dst"] or row["ipv6.dst"], row["udp.dstport"])


def replies_of(lab, rows):
    ours = {address: node for node in lab.nodes for address in node.addresses}
    return [(row, ours[addresses(row)[0]]) for row in rows if addresses(row)[0] in ours and row["udp.srcport"] == "123"]


def nothing_malformed(lab, tshark):
    rows = dissect(lab, tshark)
    replies = replies_of(lab, rows)
    assert len(replies) >= 50, f"only {len(replies)} replies were captured"
    # A client may draw one of the source ports of traceroute (33434 and up): the dissector remarks on it.
    bad = [row for row, _ in replies if row["_ws.malformed"] or row["_ws.expert.message"] and not row["_ws.expert.message"].startswith("Possible traceroute")]
    assert not bad, bad[:3]


def fields_are_as_told(lab, tshark):
    """Leap, stratum, reference id, length: by the state of each server, for every client of this run."""
    for row, node in replies_of(lab, dissect(lab, tshark)):
        wanted = {"udp.length": "56", "ntp.flags.li": node.leap, "ntp.stratum": str(node.stratum), "ntp.rootdelay": "0"}
        wrong = {key: row[key] for key, value in wanted.items() if row[key] != value}
        assert not wrong, (node.name, wrong, row)
        precision = int(row["ntp.precision"])  # of which some releases show the octet
        assert row["ntp.flags.mode"] in ("4", "2") and -30 <= (precision - 256 if precision > 127 else precision) <= -5, row
        assert row["ntp.refid"].replace(":", "").lower() == node.refid.hex(), (node.name, row["ntp.refid"])


def no_reference_time_without_time(lab, tshark):
    """RFC 5905: the reference time is when the clock was last set; a server without time never was."""
    seen = {row["ntp.reftime"] for row, node in replies_of(lab, dissect(lab, tshark)) if node is lab.refusing}
    assert len(seen) == 1 and ("NULL" in str(seen) or "1970" in str(seen) or "1900" in str(seen)), sorted(seen)[:3]


def every_reply_echoes_its_request(lab, tshark):
    """At most one reply a request, to where it came from, origin bit for bit, no longer than the request, same version."""
    asked, answered = {}, 0
    for row in dissect(lab, tshark):
        source, source_port, target, target_port = addresses(row)
        if target_port == "123" and row["ntp.flags.mode"] in ("3", "1"):
            asked.setdefault((source, source_port, target), []).append(row)
        elif source_port == "123" and row["ntp.flags.mode"] in ("4", "2"):
            waiting = asked.get((target, target_port, source), [])
            match = next((request for request in waiting if request["ntp.xmt"] == row["ntp.org"]), None)
            assert match, f"a reply to nothing: {row}"
            waiting.remove(match)
            assert int(row["udp.length"]) <= int(match["udp.length"]) and row["ntp.flags.vn"] == match["ntp.flags.vn"], row
            answered += 1
    unanswered = sum(len(waiting) for waiting in asked.values())
    assert answered >= 50, answered
    assert unanswered == 0, [row for waiting in asked.values() for row in waiting][:3]


def check_of_delays(lab):
    lab.check("chronyd with chronyc: every one of its ten tests passes", ["chrony"], lambda p: chronyc_calls_us_good(lab, p))


def checks(lab):
    lab.check("ntpsec's ntpd with ntpq: system peer, no flash bit", ["ntpsec"], lambda p: ntpq_calls_us_good(lab, p))
    lab.check("check_ntp_peer: mode 6 gets silence", ["monitoring-plugins-basic"], lambda p: check_ntp_peer_gets_silence(lab, p))
    for family, address in (("IPv4", lab.synced.v4), ("IPv6", lab.synced.v6)):
        lab.check(f"zabbix_agentd: net.udp.service[ntp] and .perf over {family}", ["zabbix-agent"], lambda p, address=address: zabbix(lab, p, address))
    lab.check("nmap: ntp-info and ntp-monlist find nothing but the time", ["nmap"], lambda p: nmap_scripts_find_nothing(lab, p))
    lab.check("nmap -sV: plain NTP v4, secondary server", ["nmap"], lambda p: nmap_sees_plain_ntp(lab, p))


def checks_of_capture(lab):
    lab.check("tshark: no reply to any client is malformed", ["tshark"], lambda p: nothing_malformed(lab, p))
    lab.check("tshark: leap, stratum, refid, precision and length as the server's state says", ["tshark"], lambda p: fields_are_as_told(lab, p))
    lab.check("tshark: a server without time has no reference time", ["tshark"], lambda p: no_reference_time_without_time(lab, p))
    lab.check("tshark: every request answered once, origin echoed, never longer", ["tshark"], lambda p: every_reply_echoes_its_request(lab, p))
