"""Medians and spreads of interleaved rounds, and the tables that show them."""

import statistics

DISTURBED_CPU = 0.05    # of a CPU, taken by programs that are not part of the measurement
DISTURBED_STEAL = 0.02  # of a CPU, taken by the hypervisor


def is_disturbed(result):
    return (max(result["others_server_cpu"], result["others_client_cpu"]) > DISTURBED_CPU
            or result["steal"] > DISTURBED_STEAL)


class Series:
    """Results of every server in every round: rounds[round][server] is one of ntpload's."""

    def __init__(self, rounds):
        self.rounds = rounds

    def values(self, server, pick):
        return [pick(one[server]) for one in self.rounds]

    def median(self, server, pick):
        return statistics.median(self.values(server, pick))

    def ratios(self, server, base, pick):
        """Per round, so that what disturbs a whole round cancels out."""
        return [pick(one[server]) / pick(one[base]) for one in self.rounds if pick(one[base]) > 0]

    def disturbed(self, server):
        return sum(is_disturbed(one[server]) for one in self.rounds)


def spread(values):
    if not values:
        return {"median": None, "min": None, "max": None}
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def spread_text(values, digits=2):
    s = spread(values)
    if s["median"] is None:
        return "-"
    return f"{s['median']:.{digits}f} [{s['min']:.{digits}f}-{s['max']:.{digits}f}]"


def table(header, rows):
    """Plain columns: the first to the left, the others to the right."""
    cells = [header, *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = []
    for row in cells:
        padded = [cell.ljust(width) if i == 0 else cell.rjust(width)
                  for i, (cell, width) in enumerate(zip(row, widths))]
        lines.append("  ".join(padded).rstrip())
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)


def closed_rate(result):
    return result["rate"]


def cpu_per_request(result):
    return result["cpu_ns"]


def p99(result):
    return result["latency_us"]["p99"]


def closed_table(series, peers, base):
    rows = []
    for peer in peers:
        name = peer.name
        rows.append([name, f"{series.median(name, closed_rate):,.0f}",
                     spread_text(series.ratios(name, base, closed_rate)),
                     f"{series.median(name, lambda r: r['server_ns']):,.0f}",
                     f"{series.median(name, lambda r: r['napi_ns']):,.0f}",
                     spread_text(series.ratios(name, base, cpu_per_request)),
                     f"{series.median(name, lambda r: r['memory']['anonymous']) / 1024:.1f}",
                     f"{series.median(name, lambda r: r['memory']['rss']) / 1024:.1f}",
                     f"{series.disturbed(name)}/{len(series.rounds)}"])
    return table(["server", "requests/s", f"x {base}", "CPU ns", "NAPI ns", "CPU x", "anon MiB",
                  "RSS MiB", "disturbed"], rows)


def open_table(series, peers, base):
    rows = []
    for peer in peers:
        name = peer.name

        def at(quantile, name=name):
            return f"{series.median(name, lambda r: r['latency_us'][quantile]):.1f}"
        rows.append([name, at("p50"), at("p90"), at("p99"), at("p99.9"),
                     spread_text(series.ratios(name, base, p99)),
                     f"{max(series.values(name, lambda r: r['loss'])) * 100:.2f}",
                     f"{series.median(name, cpu_per_request):,.0f}",
                     f"{series.disturbed(name)}/{len(series.rounds)}"])
    return table(["server", "p50 us", "p90 us", "p99 us", "p99.9 us", f"p99 x {base}", "loss %",
                  "CPU ns", "disturbed"], rows)


def summary(series, peers, base, pick):
    """What goes into result.json for one measurement."""
    return {peer.name: {"values": series.values(peer.name, pick),
                        "ratio": spread(series.ratios(peer.name, base, pick)),
                        "disturbed_rounds": series.disturbed(peer.name)} for peer in peers}
