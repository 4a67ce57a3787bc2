#!/usr/bin/env python3
"""What 10,000 connections do to other clients' handshakes, and floods of handshakes to UDP: one table.

  ke_campaign.py PROGRAM [--idle N] [--seconds S]

By hand: `./dev ke-campaign`. Runs in a network namespace of its own; some minutes. Exits with 1 where a bar is missed."""
import argparse, multiprocessing, resource, sys
from harness import *
from ke_client import *

P99_S = 0.25


def handshakes(root, seconds, source, out):
    """Of one client, one after the other: how long each took, and how many failed."""
    context = ssl.create_default_context(cafile=root)
    context.set_alpn_protocols(["ntske/1"])
    took, failed, end = [], 0, time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.monotonic()
        try:
            assert len(cookies(establish(context, source=source))) == 8
            took.append(time.monotonic() - begun)
        except (OSError, AssertionError):
            failed += 1
        time.sleep(0.005)
    out.put((took, failed))


def idlers(count, host, dripping, stop):
    """Holds that many connections; what the server closes is opened again at once."""
    with Idlers(count, host) as held:
        while not stop.is_set():
            held.tend()
            if dripping:
                held.drip()
            time.sleep(0.05 if not dripping else 1)


def flood(root, source, stop):
    context = ssl.create_default_context(cafile=root)
    context.set_alpn_protocols(["ntske/1"])
    while not stop.is_set():
        try:
            establish(context, source=source, timeout=2)
        except OSError:
            pass


def udp_round_trips(seconds, count=0):
    took, lost, end = [], 0, time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.monotonic()
        if ask(timeout=0.5) is None:
            lost += 1
        else:
            took.append(time.monotonic() - begun)
        time.sleep(0.002)
    return took, lost


def measured(authority, seconds, workers):
    """Handshakes of an honest client while the workers run."""
    stop, out = multiprocessing.Event(), multiprocessing.Queue()
    running = [multiprocessing.Process(target=target, args=(*arguments, stop), daemon=True) for target, *arguments in workers]
    for process in running:
        process.start()
    time.sleep(1)
    client = multiprocessing.Process(target=handshakes, args=(authority.root, seconds, "127.0.9.1", out))
    client.start()
    udp, lost = udp_round_trips(seconds)
    took, failed = out.get()
    client.join()
    stop.set()
    for process in running:
        process.join(5)
        process.kill()
    return took, failed, udp, lost


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("program")
    options.add_argument("--idle", type=int, default=10_000)
    options.add_argument("--seconds", type=float, default=10)
    chosen = options.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    half = chosen.idle // 2
    authority = Authority(chosen.program)
    missed = 0
    print(f"{'while':44} {'handshakes':>10} {'failed':>7} {'median':>9} {'p99':>9} {'UDP p99':>9} {'UDP lost':>8} {'RSS of ke':>10}")
    with Server(chosen.program, environment=authority.environment()) as server:
        until(lambda: server.metric("ntp_nts_certificate_loaded") == 1, 5, "ready")
        time.sleep(0.5)
        for name, workers in (
                ("nothing else happens", []),
                ("150 idle connections", [(idlers, 150, "127.0.0.1", False)]),
                ("700 idle connections", [(idlers, 700, "127.0.0.1", False)]),
                (f"{chosen.idle} idle connections", [(idlers, half, "127.0.0.1", False), (idlers, half, "127.0.0.1", False)]),
                (f"{chosen.idle // 10} that drip an octet a second", [(idlers, chosen.idle // 10, "127.0.0.1", True)]),
                ("three others shake hands as fast as they can", [(flood, authority.root, f"127.0.8.{i}") for i in (1, 2, 3)])):
            took, failed, udp, lost = measured(authority, chosen.seconds, workers)
            keeper = int(read(f"/proc/{server.process.pid}/task/{server.process.pid}/children").split()[0])
            ke = int(read(f"/proc/{keeper}/task/{keeper}/children").split()[0])
            rss = int(re.search(r"VmRSS:\s+(\d+)", read(f"/proc/{ke}/status"))[1]) / 1024
            good = took and failed <= (len(took) + failed) / 100 and percentile(took, 0.99) < P99_S and lost == 0
            missed += not good
            print(f"{name:44} {len(took):10} {failed:7} {percentile(took, 0.5) * 1e3:6.1f} ms {percentile(took, 0.99) * 1e3:6.1f} ms "
                  f"{percentile(udp, 0.99) * 1e3:6.2f} ms {lost:8} {rss:7.1f} MB{'' if good else '   MISSED'}", flush=True)
        print({name: count for name, count in server.status()["nts"]["outcomes"].items() if count},
              "accept errors:", server.status()["nts"]["accept_errors"])
    authority.__exit__()
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    enter_own_network()
    main()
