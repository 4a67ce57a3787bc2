"""Octets in the memory of another process: every mapping that it may write, by root."""
import re


class MemoryOf:
    def __init__(self, pid):
        self.pid = pid

    def mappings(self):
        with open(f"/proc/{self.pid}/maps") as file:
            lines = file.readlines()
        for line in lines:
            first, last, modes, name = re.match(r"(\w+)-(\w+) (\S+) \S+ \S+ \S+\s*(.*)", line).groups()
            if modes.startswith("rw") and name not in ("[vvar]", "[vsyscall]"):
                yield int(first, 16), int(last, 16), name

    def find(self, *needles):
        """[(needle's number, address, name of the mapping)]: every place where one stands."""
        found = []
        with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as memory:
            for first, last, name in self.mappings():
                try:
                    memory.seek(first)
                    octets = b""
                    while len(octets) < last - first:
                        piece = memory.read(last - first - len(octets))
                        if not piece:
                            break
                        octets += piece
                except (OSError, ValueError):  # a mapping that has gone in between, or a device's
                    continue
                for number, needle in enumerate(needles):
                    at = octets.find(needle)
                    while at >= 0:
                        found.append((number, hex(first + at), name or "anonymous"))
                        at = octets.find(needle, at + 1)
        return found
