"""Questions with NTS, of a client that has opened its cookie with the server's own secret (the keys of TLS are not to be had from Python)."""
import os, re, sys

import campaign  # noqa: F401: the path of the harness
from harness import read, request

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))
import case_keyed, siv  # noqa: E402
from case_table import field  # noqa: E402

AUTHENTICATOR_AT = 48 + 4 + 32  # of a reply: behind the header and the unique identifier


def secret_in(path):
    """The secret of a server that shares none: `current` of its file of cookie keys."""
    return bytes.fromhex(re.search(r"(?m)^current (\S+)$", read(path))[1])


def is_nak(octets):
    return octets[1] == 0 and octets[12:16] == b"NTSN"


class Association:
    """The keys in one cookie. Sealing takes milliseconds of Python: a question is made once and may be sent many times."""

    def __init__(self, cookie, secret):
        key = case_keyed.cookie_key(secret, int.from_bytes(cookie[:4], "big"))
        plain = siv.unseal(key, [cookie[:4], cookie[4:20]], cookie[20:])
        assert plain is not None and len(plain) == 68, "a cookie that the file of cookie keys does not open"
        self.cookie, self.c2s, self.s2c = cookie, plain[4:36], plain[36:68]

    def question(self, nonce):
        start = request(xmt=nonce) + case_keyed.unique_id(os.urandom(32)) + field(0x0204, self.cookie)
        return start + case_keyed.authenticator(start, self.c2s)

    @staticmethod
    def may_answer(question, octets):
        """What can be seen without the keys."""
        return (len(octets) == len(question) and not is_nak(octets) and octets[24:32] == question[40:48]
                and octets[48:AUTHENTICATOR_AT] == question[48:AUTHENTICATOR_AT])

    def fresh_cookie(self, question, octets):
        """The cookie in a reply that is proven to be one to this question, or None."""
        if not self.may_answer(question, octets):
            return None
        body = octets[AUTHENTICATOR_AT + 4:]
        sealed = body[20:20 + int.from_bytes(body[2:4], "big")]
        plain = siv.unseal(self.s2c, [octets[:AUTHENTICATOR_AT], body[4:20]], sealed)
        return plain[4:] if plain and len(plain) == 4 + len(self.cookie) else None
