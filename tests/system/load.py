"""A steady load whose every question is kept account of."""
import os, select, socket, threading, time

from harness import request


class Load(threading.Thread):
    """Asks at a steady rate from one socket per client and counts what is missing at the end."""

    def __init__(self, rate, port=123, clients=20):
        super().__init__(daemon=True)
        self.rate, self.port, self.running = rate, port, True
        self.sockets = []
        for number in range(clients):
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            s.bind((f"127.0.2.{number + 1}", 0))
            s.setblocking(False)
            self.sockets.append(s)
        self.sent, self.unanswered, self.wrong = 0, {}, 0

    @classmethod
    def during(cls, test, *arguments, **named):
        """One that runs now and stops with `test` at the latest, however that ends."""
        load = cls(*arguments, **named)
        test.addCleanup(load.stop)
        load.start()
        return load

    def run(self):
        begun = time.monotonic()
        while self.running:
            due = int((time.monotonic() - begun) * self.rate)
            while self.sent < due:
                self.send_one()
            self.collect()
            time.sleep(0.001)

    def send_one(self):
        nonce = os.urandom(8)
        self.send(nonce, self.question(nonce))

    def send(self, nonce, question):
        self.sockets[self.sent % len(self.sockets)].sendto(question, ("127.0.0.1", self.port))
        self.unanswered[nonce] = time.monotonic()
        self.sent += 1

    def question(self, nonce):
        return request(xmt=int.from_bytes(nonce, "big"))

    def is_right(self, reply):
        """Of a reply whose origin is that of a question."""
        return len(reply) == 48

    def collect(self):
        for s in select.select(self.sockets, [], [], 0)[0]:
            try:
                while True:
                    reply = s.recv(2000)
                    if self.unanswered.pop(reply[24:32], None) is None or not self.is_right(reply):
                        self.wrong += 1
            except BlockingIOError:
                pass

    def stop(self):
        self.running = False
        self.join()

    def finish(self, seconds=1.0):
        """What was sent and never answered."""
        self.stop()
        deadline = time.monotonic() + seconds
        while self.unanswered and time.monotonic() < deadline:
            self.collect()
        for s in self.sockets:
            s.close()
        return len(self.unanswered)
