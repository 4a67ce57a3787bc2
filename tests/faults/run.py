#!/usr/bin/env python3
"""The fault campaign: run.py PROGRAM LIBRARIES [--short] [--seed N] [--tsan PROGRAM] [--load NTPLOAD] [PART…]

Everything that can fail around the server is made to fail; one table tells what it made of it. Exit 1 where a bar
is missed. The long form takes the better part of an hour, the short one (samples) about a minute. Needs root."""
import argparse, os, subprocess, sys, time, traceback

import campaign

PARTS = ("calls", "kills", "reloads", "surroundings")


def part(name, settings):
    """Rows of one part, in processes of their own: they have other namespaces."""
    import multiprocessing
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)

    def work():
        os.setsid()
        campaign.unshare(campaign.CLONE_NEWNS | campaign.CLONE_NEWPID)
        if first := os.fork():  # with it, whatever it has left running is ended by the kernel
            os.waitpid(first, 0)
            return
        if second := os.fork():  # the first one only takes leave of those whose parents have ended
            while os.wait()[0] != second:
                pass
            os._exit(0)
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        subprocess.run(["mount", "-t", "proc", "proc", "/proc"], check=True)
        try:
            send.send(__import__(name).run(settings))
        except Exception:  # noqa: BLE001: whatever it is, the table has to say that this part is missing
            settings.say(traceback.format_exc())
            send.send([campaign.Row(name, 0, "", "the campaign failed; see above", "MISSED")])
        os._exit(0)

    process = context.Process(target=work)
    process.start()
    send.close()
    try:
        return receive.recv()
    except EOFError:
        return [campaign.Row(name, 0, "", "the campaign ended", "MISSED")]
    finally:
        process.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("libraries")
    parser.add_argument("parts", nargs="*", metavar="PART", help=" ".join(PARTS))
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--tsan", default="")
    parser.add_argument("--load", default="")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    settings = campaign.Settings(os.path.abspath(given.program), os.path.abspath(given.libraries), not given.short, given.seed,
                                 tsan=os.path.abspath(given.tsan) if given.tsan and os.path.exists(given.tsan) else "",
                                 load=os.path.abspath(given.load) if given.load and os.path.exists(given.load) else "", say=lambda *words: print(*words, flush=True))
    if os.geteuid() != 0:
        print("needs root, for namespaces and faults of system calls")
        return 77
    print(f"seed {settings.seed}", flush=True)
    rows = []
    for name in given.parts or PARTS:
        begun = time.monotonic()
        print(f"--- {name}", flush=True)
        rows += part(name, settings)
        print(f"--- {name}: {time.monotonic() - begun:.0f} s", flush=True)
    print(campaign.table(rows))
    missed = sum(row.verdict == "MISSED" for row in rows)
    print(f"{len(rows) - missed} passed, {missed} failed; seed {settings.seed}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
