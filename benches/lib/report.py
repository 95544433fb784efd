"""The table."""

import datetime
import os
from statistics import median

TITLES = {
    "a": "a: 304", "b": "b: hot 200", "aw": "a, 100 writes/s beside it", "bw": "b, 100 writes/s beside it",
    "c1": "c1: cold detail", "c2": "c2: cold list", "at": "a, with rules that let everybody read, and a token", "ap": "a, of a private answer",
    "cr": "c: cold list, filter or rule", "d": "d: update", "dm": "d, database in RAM",
}


def heading(given, versions):
    return (f"{datetime.date.today()}, {os.cpu_count()} cores; {given.runs} runs of {given.seconds:g} s each, in turn; "
            + ", ".join(versions) + ".")


def table(results, given, versions):
    lines = [
        heading(given, versions), "",
        "| path | server | requests/s, median (min to max) | ratio | CPU µs/request | ratio by CPU | p50, p99 |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for path, servers in results.items():
        reference = next(iter(servers.values()), None)
        for name, rows in servers.items():
            rates = [row["rate"] for row in rows]
            cpus = [row["cpu"] for row in rows]
            # Of what ran next to each other.
            ratio = median(row["rate"] / other["rate"] for row, other in zip(rows, reference))
            by_cpu = median(other["cpu"] / row["cpu"] for row, other in zip(rows, reference))
            p50, p99 = (median(row[p] for row in rows) for p in ("p50", "p99"))
            lines.append(
                f"| {TITLES[path]} | {name} | {number(median(rates))} ({number(min(rates))} to {number(max(rates))}) "
                f"| {ratio:.2f} | {median(cpus):.1f} | {by_cpu:.2f} | {millis(p50)}, {millis(p99)} |")
    return "\n".join(lines) + "\n"


def number(rate):
    """Three digits are more than can be trusted."""
    if rate >= 1000:
        rate = round(rate, -2)
    return f"{rate:,.0f}".replace(",", " ")


def millis(micros):
    return f"{micros / 1000:.{0 if micros >= 10_000 else 1}f} ms"
