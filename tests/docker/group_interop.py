"""The image's own program among Debian's, on this machine: Debian 13's nettle has an AEAD algorithm that Debian 12's lacks."""
import re
import sys

from lab import REPOSITORY, Group, expect, run

group = Group("interop")
NEEDS_GCM_SIV = ("Debian 13's chronyd takes the time from ours by AES-128-GCM-SIV",
                 "ours takes the time from Debian 13's chronyd by AES-128-GCM-SIV")


def unpacked(lab):
    """The program with the loader and the libraries that the image holds for it, as a command of this machine."""
    folder = lab.folder / "unpacked"
    folder.mkdir()
    name = lab.docker("create", lab.image)
    try:
        lab.docker("cp", f"{name}:/", folder)
    finally:
        lab.docker("rm", name)
    loader = next(folder.glob("lib*/ld-linux-*.so*"))
    libraries = next(folder.glob("lib/*-linux-gnu"))
    command = folder / "command"
    command.write_text(f'#!/bin/sh\nexec {loader} --library-path {libraries} {folder}/ntp-server "$@"\n')
    command.chmod(0o755)
    return command


@group.check("NTS both ways with Debian's chronyd (12 and 13), ntpsec and ntpd-rs; with Debian 13's chronyd by AES-128-GCM-SIV")
def nts(lab):
    lab.install("iproute2", "util-linux", "gcc", "libc6-dev", "make")
    said = run(sys.executable, REPOSITORY / "tests" / "interop" / "run.py", unpacked(lab), "nts:", timeout=900).stdout
    missing = [name for name in NEEDS_GCM_SIV if f"\nok    nts: {name} " not in said]
    expect(not missing, f"not checked: {missing}\n{said}")
    return re.search(r"^\d+ passed, 0 failed$", said, re.MULTILINE)[0]
