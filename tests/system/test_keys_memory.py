"""Keys that are no longer in use are nowhere in the memory of the running program (A48). Each test finds those in force first, by the same means."""
import base64, hashlib, sys
from harness import *
from ke_client import *
from memory_of import MemoryOf
sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))
import siv
from case_keyed import authenticator, cookie_key, unique_id
from case_table import field

PROGRAM = LIBRARY = None
SERVICE = 65532
LEAST = 12  # octets of a key that make a find one of the key


def forms(key):
    """How octets may lie in memory: as they are, in hexadecimal, as words of 32 and 64 bits the other way round, and all the other way round."""
    def words(size):
        return b"".join(key[i:i + size][::-1] for i in range(0, len(key) - len(key) % size, size))
    return [key, key.hex().encode(), key.hex().upper().encode(), words(4), words(8), key[::-1]]


def halves(key):
    """What is left of a key that has been overwritten in part is a find as well."""
    half = max(LEAST, len(key) // 2)
    return [needle for part in {key[:half], key[-half:]} for needle in forms(part)]


class KeysInMemory(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        os.chmod(folder.name, 0o755)
        self.folder = folder.name
        self.authority = Authority(PROGRAM)
        self.addCleanup(self.authority.__exit__)
        self.context = self.authority.context()

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path + ".new", "w") as file:
            file.write(text)
        os.chmod(path + ".new", 0o600)
        os.chown(path + ".new", SERVICE, SERVICE)
        os.rename(path + ".new", path)
        return path

    def server(self, threads="2", environment=None, nts=True):
        environment = self.authority.environment(**(environment or {})) if nts else environment
        server = begin(self, PROGRAM, "--threads", threads, environment={"NTP_SERVER_RATE_LIMIT": "0", **environment})
        if nts:
            until(is_open, 10, "key establishment")
        return server

    def everywhere(self, server, needles):
        """Finds in the main process, in key establishment and in its keeper."""
        pids = {"main": server.process.pid, "ke": ke_process(server), "keeper": ke_process(server, "ntp-ke-keeper")}
        return [(name, *found) for name, pid in pids.items() if pid for found in MemoryOf(pid).find(*needles)]

    def is_found(self, pid, key, what):
        self.assertTrue(MemoryOf(pid).find(*forms(key)), f"{what} is in use and is not found: then that others are not found says nothing")

    def assert_gone(self, server, keys, what, seconds=3.0):
        """Within some seconds, while plain requests go on."""
        needles = [needle for key in keys for needle in halves(key)]
        deadline = time.monotonic() + seconds
        while True:
            for _ in range(50):
                ask(timeout=0.5)
            found = self.everywhere(server, needles)
            if not found or time.monotonic() > deadline:
                break
        self.assertEqual(found, [], f"{what}: {[needles[number].hex() for _, number, _, _ in found]}")

    # ---- symmetric keys ----------------------------------------------------------------------------

    def use_keys(self, keys):
        for number, (name, octets) in keys.items():
            plain = request()
            mac = siv.cmac(octets, plain) if name.startswith("AES") else hashlib.new(name, octets + plain).digest()[:20]
            for packet in (plain + number.to_bytes(4, "big") + mac, plain + number.to_bytes(4, "big") + bytes(len(mac))):
                for _ in range(4 if packet.endswith(mac) else 2):
                    reply = ask(payload=packet, timeout=0.5)
            self.assertEqual(reply, None, "a wrong MAC")

    def key_file(self):
        keys = {5: ("SHA1", os.urandom(20)), 6: ("AES128", os.urandom(16)), 7: ("MD5", os.urandom(16)), 8: ("AES256", os.urandom(32)),
                9: ("SHA512", os.urandom(40)), 10: ("SHA256", os.urandom(30).hex().encode()[:30])}
        text = "".join(f"{number} {name} " + (f"ASCII:{octets.decode()}" if number == 10 else f"HEX:{octets.hex()}") + "\n"
                       for number, (name, octets) in keys.items())
        return keys, text

    def test_symmetric_keys_are_gone_after_a_reload_and_the_text_of_the_file_at_once(self):
        for threads in ("2", "0"):
            old, text = self.key_file()
            path = self.write("keys", text)
            server = self.server(threads, {"NTP_SERVER_SERVER_KEYS_FILE": path}, nts=False)
            self.use_keys(old)
            for number in (5, 6, 8, 9, 10):
                self.is_found(server.process.pid, old[number][1], f"key {number}")
            self.assertEqual(self.everywhere(server, [octets.hex().encode() for number, (_, octets) in old.items() if number != 10]), [], "the text")
            new, text = self.key_file()
            self.write("keys", text)
            server.process.send_signal(signal.SIGHUP)
            server.wait_line("configuration reloaded")
            self.use_keys(new)
            self.assert_gone(server, [octets for _, octets in old.values()], "keys of the file before")
            self.is_found(server.process.pid, new[5][1], "the new key 5")
            server.stop()

    def test_symmetric_keys_are_gone_after_a_reload_while_the_workers_are_busy(self):
        """A worker that is in the middle of a batch when the keys change cannot give them back at that moment."""
        new, text = self.key_file()
        path = self.write("keys", text)
        server = self.server("1", {"NTP_SERVER_SERVER_KEYS_FILE": path}, nts=False)
        with Flood(("127.0.0.1", ("127.0.3.1", "127.0.3.2"))) as flood:
            flood.wait_saturated()
            for _ in range(3):
                old = new
                new, text = self.key_file()
                self.write("keys", text)
                since = len(server.lines)
                server.process.send_signal(signal.SIGHUP)
                server.wait_line("configuration reloaded", since=since)
                needles = [needle for _, octets in old.values() for needle in halves(octets)]
                until(lambda: not self.everywhere(server, needles), 15, "the end of the keys before")
                self.is_found(server.process.pid, new[5][1], "the new key 5")

    # ---- cookies -----------------------------------------------------------------------------------

    def epoch_of(self, jar):
        return int.from_bytes(jar[0][:4], "big")

    def opened(self, cookie, secret):
        """C2S and S2C."""
        plain = siv.unseal(cookie_key(secret, int.from_bytes(cookie[:4], "big")), [cookie[:4], cookie[4:20]], cookie[20:])
        self.assertIsNotNone(plain, "the cookie is of that secret")
        return plain[4:36], plain[36:68]

    def nts_request(self, cookie, c2s):
        start = request() + unique_id(os.urandom(32)) + field(0x0204, cookie)
        return start + authenticator(start, c2s)

    def test_the_cookie_secret_and_its_keys_are_gone_once_there_is_another(self):
        old, new = os.urandom(24).hex(), os.urandom(24).hex()
        path = self.write("secret", old)
        kernel = FakeKernel(LIBRARY)
        server = self.server(environment={"NTP_SERVER_NTS_COOKIE_SECRET_FILE": path, **kernel.environment()})
        jar = cookies(establish(self.context))
        c2s, _ = self.opened(jar[0], old.encode())
        self.assertIsNotNone(ask(payload=self.nts_request(jar[0], c2s)))
        epoch = self.epoch_of(jar)
        self.is_found(server.process.pid, old.encode(), "the secret")
        self.is_found(ke_process(server), cookie_key(old.encode(), epoch)[16:], "the present epoch's key")
        self.assertEqual(MemoryOf(ke_process(server)).find(*halves(old.encode())), [], "the secret in key establishment")
        self.assertEqual(MemoryOf(ke_process(server)).find(*halves(cookie_key(old.encode(), epoch - 1))), [], "another epoch's key there")
        self.write("secret", new)
        server.wait_line("the cookie secret has changed")
        until(lambda: self.is_of(new), 5, "cookies of the new secret")
        self.assert_gone(server, [old.encode(), *(cookie_key(old.encode(), e) for e in range(epoch - 7, epoch + 2))], "what the old secret made")
        self.is_found(server.process.pid, new.encode(), "the new secret")

    def is_of(self, secret):
        jar = cookies(establish(self.context))
        key = cookie_key(secret.encode(), self.epoch_of(jar))
        return siv.unseal(key, [jar[0][:4], jar[0][4:20]], jar[0][20:]) is not None

    def test_keys_of_epochs_that_are_over_are_gone_after_seven_rotations(self):
        secret = os.urandom(24).hex()
        path = self.write("secret", secret)
        kernel = FakeKernel(LIBRARY)
        server = self.server(environment={"NTP_SERVER_NTS_COOKIE_SECRET_FILE": path, "NTP_SERVER_NTS_ROTATION": "60s", **kernel.environment()})
        first = self.epoch_of(cookies(establish(self.context)))
        self.is_found(server.process.pid, cookie_key(secret.encode(), first)[:16], "the present epoch's key")
        for step in (1, 9):
            kernel.set(step_ns=step * 60 * 10**9)
            now = until(lambda: (lambda e: e if e >= first + step else 0)(self.epoch_of(cookies(establish(self.context)))), 10, "a later epoch")
            if step == 1:
                self.is_found(server.process.pid, cookie_key(secret.encode(), first)[:16], "the epoch's key before, which is still accepted,")
            # Key establishment has the present one's alone.
            needles = [needle for e in range(first - 1, now) for needle in halves(cookie_key(secret.encode(), e))]
            self.assertEqual(MemoryOf(ke_process(server)).find(*needles), [])
        self.assert_gone(server, [cookie_key(secret.encode(), e) for e in range(first - 7, now - 7)], "keys older than seven rotations")
        self.is_found(server.process.pid, cookie_key(secret.encode(), now)[:16], "the present epoch's key")

    # ---- sessions ----------------------------------------------------------------------------------

    def test_the_keys_of_a_session_are_gone_when_it_is_over(self):
        secret = os.urandom(24).hex()
        path = self.write("secret", secret)
        kernel = FakeKernel(LIBRARY)
        server = self.server(environment={"NTP_SERVER_NTS_COOKIE_SECRET_FILE": path, **kernel.environment()})
        log = os.path.join(self.folder, "keylog")
        self.context.keylog_filename = log
        # In the middle of it: its secrets are there.
        with connect() as plain, self.context.wrap_socket(plain, server_hostname="127.0.0.1", suppress_ragged_eofs=False) as tls:
            tls.sendall(REQUEST[:-4])
            time.sleep(0.3)
            during = self.secrets_in(log)
            self.is_found(ke_process(server), during["EXPORTER_SECRET"], "the exporter's secret")
            tls.sendall(REQUEST[-4:])
            answer = b""
            while chunk := tls.recv(4096):
                answer += chunk
        c2s, s2c = self.opened(cookies(answer)[0], secret.encode())
        replies = [ask(payload=self.nts_request(cookie, c2s)) for cookie in cookies(answer)]
        self.assertGreater(len(replies[-1].octets), 100, "answered with NTS")
        until(lambda: server.metric("ntp_nts_ke_connections_open") == 0, 5, "the end of the connection")
        self.assert_gone(server, [c2s, s2c, *during.values()], "keys of a session that is over")

    @staticmethod
    def secrets_in(log):
        return {words[0]: bytes.fromhex(words[2]) for words in map(str.split, read(log).splitlines()) if len(words) == 3}

    def test_keys_of_sources_are_written_to_their_file_and_no_text_of_them_stays(self):
        state, up = os.path.join(self.folder, "state"), "127.0.7.1"
        os.mkdir(state)
        os.chown(state, SERVICE, SERVICE)
        authority, kernel, unsynchronised = Authority(PROGRAM, up), FakeKernel(LIBRARY, maxerror_us=1234), FakeKernel(LIBRARY, status=STA_UNSYNC)
        self.addCleanup(authority.__exit__)
        begin(self, PROGRAM, "--listen", f"{up}:123", "--http", "off", environment={
            **authority.environment(), **kernel.environment(), "NTP_SERVER_NTS_LISTEN": f"{up}:4460"})
        config = self.write("config", f"[server]\nlisten = ['127.0.0.1:123']\n[clock]\nstate_directory = '{state}'\n[[source]]\naddress = '{up}'\n"
                                      f"minpoll = -2\nmaxpoll = 0\nnts = true\nnts_ca = '{authority.root}'\n")
        path = os.path.join(state, "source-cookies")
        for recalled in (False, True):
            server = begin(self, PROGRAM, "--config", config, environment=unsynchronised.environment())
            until(lambda: os.path.exists(path) and server.status()["sources"][0]["nts"]["has_keys"], 30, "keys")
            self.assertEqual(server.status()["sources"][0]["nts"]["recalled"], recalled)
            words = re.search(r"(?m)^source .*$", read(path))[0].split()
            keys = [bytes.fromhex(word) for word in words[-2:]]
            self.is_found(server.process.pid, keys[0], "C2S")
            texts = [word.encode()[at:at + 24] for word in words[-2:] for at in (0, len(word) - 24)]
            self.assertEqual(MemoryOf(server.process.pid).find(*texts), [], "keys in hexadecimal")
            self.assertEqual(server.stop()[0], 0)

    # ---- certificates ------------------------------------------------------------------------------

    def private_key(self):
        """Its number, and the lines of its PEM."""
        text = read(self.authority.key)
        der = base64.b64decode("".join(line for line in text.splitlines() if not line.startswith("-")))
        at = der.index(b"\x02\x01\x01\x04\x20") + 5  # ECPrivateKey (RFC 5915): version 1, an OCTET STRING of 32
        number = der[at:at + 32]
        lines = [line.encode() for line in text.splitlines() if not line.startswith("-")]
        return number, lines

    def test_the_key_of_a_certificate_is_gone_once_it_is_replaced(self):
        server = self.server()
        establish(self.context)
        number, lines = self.private_key()
        self.is_found(ke_process(server), number, "the key of the certificate")
        self.assertEqual(self.everywhere(server, lines), [], "the text of its file")
        self.assertEqual(MemoryOf(server.process.pid).find(*forms(number)), [], "it is the other process's alone")
        # `ca issue` keeps the key: the files of another authority take the place of these.
        other, since = Authority(PROGRAM), len(server.lines)
        self.addCleanup(other.__exit__)
        for source, path in ((other.key, self.authority.key), (other.certificate, self.authority.certificate)):
            self.write("renewed", read(source))
            os.rename(os.path.join(self.folder, "renewed"), path)
        server.wait_line("certificate loaded", since=since)
        self.context = other.context()
        establish(self.context)
        until(lambda: server.metric("ntp_nts_ke_connections_open") == 0, 5, "the end of the connections")
        self.assert_gone(server, [number], "the key of the certificate before")
        self.is_found(ke_process(server), self.private_key()[0], "the new key")


if __name__ == "__main__":
    enter_own_network()
    LIBRARY, PROGRAM = sys.argv.pop(), os.path.abspath(sys.argv.pop())
    unittest.main(verbosity=2)
