#!/usr/bin/python3
"""The Docker tests (`./dev docker-test`): images are built, run, updated and rolled back for real.

    run.py                   every group
    run.py --group swarm     some groups only (may be given more than once)
    run.py --list            the groups and their checks
    run.py --verbose         says what is being prepared

Needs root and Debian packages, which it installs. It starts what it needs and stops what it started; a daemon that
ran before is used and left running. What stays: the base images debian:*-slim and the build cache.
"""
import argparse
import signal
import sys
import time
import traceback

sys.dont_write_bytecode = True

import group_arm64  # noqa: E402
import group_files  # noqa: E402
import group_fresh  # noqa: E402
import group_health  # noqa: E402
import group_image  # noqa: E402
import group_interop  # noqa: E402
import group_readme  # noqa: E402
import group_run  # noqa: E402
import group_swarm  # noqa: E402
from lab import Failure, Lab  # noqa: E402

GROUPS = [module.group for module in
          (group_files, group_image, group_run, group_interop, group_readme, group_health, group_swarm, group_arm64, group_fresh)]


def run_check(lab, group, title, function):
    """One line; what the function returns is a measured value to be shown with it."""
    start = time.monotonic()
    try:
        detail = function(lab)
    except Failure as failure:
        print(f"FAIL {group.name}: {title}\n     " + str(failure).replace("\n", "\n     "), flush=True)
        return False
    except Exception:  # noqa: BLE001 — a defect of the test is a failure too
        print(f"FAIL {group.name}: {title}\n     " + traceback.format_exc().replace("\n", "\n     "), flush=True)
        return False
    shown = f" [{detail}]" if detail else ""
    print(f"ok   {group.name}: {title}{shown} ({time.monotonic() - start:.0f} s)", flush=True)
    return True


def stop(_number, _frame):
    raise KeyboardInterrupt


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--group", action="append", choices=[group.name for group in GROUPS])
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    chosen = [group for group in GROUPS if not options.group or group.name in options.group]
    if options.list:
        for group in chosen:
            for title, _ in group.checks:
                print(f"{group.name}: {title}")
        return 0
    signal.signal(signal.SIGTERM, stop)
    start = time.monotonic()
    results = []
    lab = Lab(GROUPS, options.verbose)
    try:
        for group in chosen:
            for title, function in group.checks:
                results.append(run_check(lab, group, title, function))
    finally:
        lab.close()
        print(f"docker tests: {time.monotonic() - start:.0f} s")
        print(f"{results.count(True)} passed, {results.count(False)} failed", flush=True)
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("docker tests: interrupted, everything that was started is stopped")
