"""NTS key establishment by hand (RFC 8915 section 4): TLS by Python's ssl, records by struct."""
import os, select, socket, ssl, struct, subprocess, tempfile, time

PORT = 4460
CRITICAL = 0x8000
EOM, NEXT_PROTOCOL, ERROR, WARNING, AEAD, COOKIE, SERVER, PORT_RECORD = range(8)
SIV_CMAC_256, GCM_SIV = 15, 30


def record(kind, body=b"", critical=True):
    return struct.pack("!HH", kind | (CRITICAL if critical else 0), len(body)) + body


def u16(*values):
    return struct.pack(f"!{len(values)}H", *values)


REQUEST = record(NEXT_PROTOCOL, u16(0)) + record(AEAD, u16(SIV_CMAC_256)) + record(EOM)


def records(octets):
    """[(type, critical, body)]; what does not divide into records is a failure."""
    found = []
    while octets:
        kind, size = struct.unpack_from("!HH", octets)
        assert len(octets) >= 4 + size, f"a torn record: {octets.hex()}"
        found.append((kind & 0x7fff, bool(kind & CRITICAL), octets[4:4 + size]))
        octets = octets[4 + size:]
    return found


class Authority:
    """What `ntp-server ca init` makes, in a folder of its own that the server's user may enter."""

    def __init__(self, program, *hosts):
        self.program, self.hosts = program, hosts or ("localhost", "127.0.0.1", "::1")
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = os.path.join(self.scratch.name, "tls")
        os.chmod(self.scratch.name, 0o755)
        subprocess.run([program, "ca", "init", "--dir", self.folder, *self.hosts], check=True, stdout=subprocess.DEVNULL,
                       env={"PATH": os.environ["PATH"]})
        self.root, self.certificate, self.key = (os.path.join(self.folder, name) for name in ("ca.crt", "server.crt", "server.key"))

    def issue(self):
        subprocess.run([self.program, "ca", "issue", "--dir", self.folder, *self.hosts], check=True, stdout=subprocess.DEVNULL,
                       env={"PATH": os.environ["PATH"]})

    def environment(self, **more):
        return {"NTP_SERVER_NTS_CERTIFICATE": self.certificate, "NTP_SERVER_NTS_KEY": self.key, **more}

    def context(self, alpn=("ntske/1",), most=ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=self.root)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.maximum_version = most
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    def __exit__(self, *_):
        self.scratch.cleanup()


def connect(host="127.0.0.1", port=PORT, timeout=5.0, source=None):
    return socket.create_connection((host, port), timeout, (source, 0) if source else None)


def is_open(host="127.0.0.1"):
    try:
        connect(host, timeout=1).close()
        return True
    except OSError:
        return False


def establish(context, host="127.0.0.1", request=REQUEST, port=PORT, timeout=5.0, source=None):
    """The octets of the answer, read until the server's close_notify; its absence is an error."""
    with connect(host, port, timeout, source) as plain:
        with context.wrap_socket(plain, server_hostname=host, suppress_ragged_eofs=False) as tls:
            tls.sendall(request)
            answer = b""
            while chunk := tls.recv(4096):
                answer += chunk
            establish.session, establish.version = tls.session, tls.version()
            return answer


def cookies(answer):
    return [body for kind, _, body in records(answer) if kind == COOKIE]


class Idlers:
    """Connections that say nothing, opened as fast as they can be; those that the server closes are opened again."""

    def __init__(self, count, host="127.0.0.1", port=PORT, first=b""):
        self.address, self.first, self.sockets = (host, port), first, {}
        self.poll = select.poll()
        for _ in range(count):
            self.open()

    def open(self):
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        s.setblocking(False)
        try:
            s.connect(self.address)
        except BlockingIOError:
            pass
        self.sockets[s.fileno()] = s
        self.poll.register(s, select.POLLIN)

    def tend(self):
        """Opens again what was closed; how many that were."""
        closed = [fd for fd, _ in self.poll.poll(0)]
        for fd in closed:
            self.poll.unregister(fd)
            self.sockets.pop(fd).close()
            self.open()
        return len(closed)

    def drip(self, octet=b"\x16"):
        for s in self.sockets.values():
            try:
                s.send(octet)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in self.sockets.values():
            s.close()


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
