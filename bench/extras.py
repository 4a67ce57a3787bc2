"""The longer questions: where loss begins, what many clients cost, what a second worker brings."""

import dataclasses
import os

import report
from lab import SERVER_CPU, LabError, memory_kib, read

TOLERATED_LOSS = 0.01
LADDER_STEP = 1.06
LADDER_START = 0.5     # of the rate of the closed loop
GOAL_PLACEHOLDERS = 3
FEW = 256              # clients of the growth's base: one alone would be above the limit of an address
BUFFER_DEFAULT = "/proc/sys/net/core/rmem_default"
BUFFER_LIMIT = "/proc/sys/net/core/rmem_max"


class EqualBuffers:
    """The same receive buffer for all: those that do not ask get what the others ask for."""

    def __enter__(self):
        self.before = read(BUFFER_DEFAULT)
        with open(BUFFER_DEFAULT, "w", encoding="ascii") as file:
            file.write(read(BUFFER_LIMIT))

    def __exit__(self, *_):
        with open(BUFFER_DEFAULT, "w", encoding="ascii") as file:
            file.write(self.before)


def ladder(lab, peers, one_run, say):
    """The highest offered rate at which less than 1 % goes unanswered, receive buffers equal."""
    found = {}
    with EqualBuffers():
        for peer in peers:
            closed = one_run(lab, peer, ("--duration", 1, "--warm-up", 0.2))["rate"]
            rate, best, steps = closed * LADDER_START, 0, []
            while rate < closed * 3:
                result = one_run(lab, peer, ("--duration", 1, "--warm-up", 0.2,
                                             "--rate", round(rate)))
                # A generator that cannot keep up would call a slow offer a fast server.
                offered = result["sent"] / result["duration_s"]
                steps.append({"offered": offered, "loss": result["loss"]})
                if result["loss"] >= TOLERATED_LOSS or offered < rate * 0.98:
                    break
                best, rate = offered, rate * LADDER_STEP
            found[peer.name] = {"requests_per_s": best, "steps": steps}
    say("\nMode T: highest rate with under 1 % loss, receive buffers equal (steps of 6 %)")
    say(report.table(["server", "requests/s"],
                     [[name, f"{one['requests_per_s']:,.0f}"] for name, one in found.items()]))
    return found


def growth_points(largest):
    points, count = [], 10_000
    while count < largest:
        points.append(count)
        count *= 10
    return [*points, largest]


def growth(lab, peers, out, options, say):
    """CPU per request and memory once so many distinct addresses have asked, each point beside a
    few clients asking the very same process in neighbouring windows."""
    found = {}
    rows = []
    for peer in peers:
        log = out / f"{peer.name}.log"
        child = lab.start(peer.command, log, peer.environment)
        try:
            lab.wait_until_answering(child, log, peer.name, peer.load_options)
            first = lab.load("--duration", 0.5, *peer.load_options, clients=FEW)
            points = [{"clients": FEW, "asked": first["all_replies"],
                       "memory": memory_kib(child.pid)}]
            for clients in growth_points(options.growth_to):
                points.append(growth_point(lab, peer, child, clients, options.rounds))
        finally:
            lab.stop(child)
        found[peer.name] = points
        for point in points:
            memory = point["memory"]
            rows.append([peer.name, f"{point['clients']:,}", f"{point['asked']:,}",
                         report.spread_text(point.get("cpu_ratios", [])),
                         f"{memory['anonymous'] / 1024:.1f}", f"{memory['rss'] / 1024:.1f}"])
    say(f"\nMode T: distinct clients; CPU per request beside {FEW} clients asking the same process")
    say(report.table(["server", "clients", "answered before", f"CPU x {FEW} clients", "anon MiB",
                      "RSS MiB"], rows))
    return found


def growth_point(lab, peer, child, clients, windows):
    # The closed loop visits every client once before any twice: run it until all have asked.
    asked, seconds = 0, 1.0
    while asked < clients:
        result = lab.load("--duration", seconds, "--warm-up", 0, *peer.load_options,
                          clients=clients)
        if result["replies"] == 0:
            raise LabError(f"{peer.name} stopped answering at {clients} clients")
        if result["all_replies"] >= clients:
            asked = result["all_replies"]
        seconds = max(seconds, 1.3 * clients / result["rate"])
    ratios = []
    for _ in range(windows):
        few = lab.measure(child, "--duration", 0.5, "--warm-up", 0.1, *peer.load_options,
                          clients=FEW)
        many = lab.measure(child, "--duration", 0.5, "--warm-up", 0.1, *peer.load_options,
                           clients=clients)
        ratios.append(many["cpu_ns"] / few["cpu_ns"])
    return {"clients": clients, "asked": asked, "cpu_ratios": ratios,
            "memory": memory_kib(child.pid)}


def placeholders(lab, ours, question, out, options, say):
    """What the most cookies that a client may ask for cost, beside one, of the same process (A19)."""
    most = 8
    log = out / f"{ours.name}.log"
    child = lab.start(ours.command, log, ours.environment)
    ratios = []
    try:
        lab.wait_until_answering(child, log, ours.name)
        session = question.options(lab)
        for _ in range(options.rounds):
            one, many = (lab.measure(child, "--duration", 0.5, "--warm-up", 0.1, *session,
                                     "--placeholders", count) for count in (0, most))
            if one["faults"] or many["faults"]:
                raise LabError(f"wrong answers: {one['faults']} {many['faults']}")
            ratios.append(many["cpu_ns"] / one["cpu_ns"])
    finally:
        lab.stop(child)
    say(f"\nMode T: CPU time of a request with NTS and {most} placeholders / none: "
        f"{report.spread_text(ratios)} (goal {GOAL_PLACEHOLDERS} at most; with 12 of our cookies a "
        "request is over 1,500 octets and gets silence)")
    return report.spread(ratios)


def workers(lab, ours, interleaved, options, say):
    """Two workers beside one, sharing the server's CPU: does a request cost more CPU time?"""
    def with_workers(count):
        command = list(ours.command)
        command[command.index("--threads") + 1] = str(count)
        return dataclasses.replace(ours, name=f"{count} worker{'s' * (count > 1)}", command=command)

    one, two = with_workers(1), with_workers(2)
    series = interleaved(lab, [one, two], options.rounds,
                         ("--duration", options.seconds, "--warm-up", 0.3))
    rate = series.ratios(two.name, one.name, report.closed_rate)
    cpu = series.ratios(two.name, one.name, report.cpu_per_request)
    say(f"\nMode T: two workers beside one, sharing CPU {SERVER_CPU} (of {os.cpu_count()})")
    say(report.closed_table(series, [one, two], one.name))
    say(f"requests/s {report.spread_text(rate)}, CPU per request {report.spread_text(cpu)}")
    return {"rate": report.spread(rate), "cpu": report.spread(cpu), "rounds": series.rounds,
            "shared_cpu": True}
