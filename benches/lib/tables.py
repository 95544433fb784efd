"""What the triggers cost whoever writes the tables, measured without freshql: pgbench and psql beside a server on its core."""

import os
import re
import subprocess
import tempfile
from pathlib import Path
from statistics import median

import cluster
import load
import report
import servers

ROWS = 200
WRITERS = 16


class Tables:
    """Two databases, one with the triggers and one without."""

    def __init__(self, given, server, data):
        self.given, self.server, self.data = given, server, data
        self.databases = {"without": server.database("tables_without", "plain"),
                          "with": server.database("tables_with", "market")}
        self.place = Path(tempfile.mkdtemp(prefix="freshql-bench-"))

    def in_turn(self, what, run):
        """Runs of both databases, by their names."""
        rows = {name: [] for name in self.databases}
        for number in range(self.given.runs):
            for name, database in self.databases.items():
                rows[name].append(run(database))
                print(f"{what:10} {number + 1} {name:22} {rows[name][-1] * 1e6:8.1f} µs CPU", flush=True)
        return rows

    def single(self):
        """Seconds of the server's processor for an update of one row in a transaction of its own, which waits for no disk."""
        script = self.place / "single.sql"
        # Statements without a key to look up or a text to build: they are prepared once and planned once.
        script.write_text("\\set n random(1, 1000000000000)\n" + "".join(
            f"UPDATE merchants SET name = '{number} ' || :n WHERE id = '{merchant}';\n"
            for number, merchant in enumerate(self.data.ids[:ROWS])))

        def run(database):
            cpu = self.server.cpu_seconds()
            done = pgbench(self.server, database, 1, self.given.seconds, script, "-c synchronous_commit=off")
            return (self.server.cpu_seconds() - cpu) / (done * ROWS)

        return self.in_turn("single", run)

    def bulk(self):
        """Seconds of the server's processor for each row of one statement that changes all products."""
        def run(database):
            cpu = self.server.cpu_seconds()
            self.server.psql(database, "UPDATE products SET stock = stock + 1")
            spent = self.server.cpu_seconds() - cpu
            self.server.psql(database, "VACUUM products; CHECKPOINT")
            return spent / len(self.data.products)

        return self.in_turn("bulk", run)

    def writers(self):
        """Updates a second, by database and number of writers, each of rows that nobody else writes.

        The server may use all cores: what counts is whether its writers wait for each other or share a flush.
        """
        self.server.run_on({servers.SERVER_CORE, load.LOAD_CORE})
        share = len(self.data.ids) // WRITERS
        rows = ", ".join(f"({number}, '{merchant}'::uuid)" for number, merchant in enumerate(self.data.ids))
        for database in self.databases.values():
            self.server.psql(database, "CREATE TABLE bench_row (n int PRIMARY KEY, id uuid NOT NULL);\n"
                             f"INSERT INTO bench_row VALUES {rows}; ANALYZE bench_row")
        script = self.place / "writers.sql"
        script.write_text(
            f"\\set row random(0, {share - 1}) + :client_id * {share}\n\\set n random(1, 1000000000000)\n"
            "UPDATE merchants SET name = :row || ' ' || :n WHERE id = (SELECT id FROM bench_row WHERE n = :row);\n")
        rates = {name: {1: [], WRITERS: []} for name in self.databases}
        for number in range(self.given.runs):
            for name, database in self.databases.items():
                for writers, found in rates[name].items():
                    done = pgbench(self.server, database, writers, self.given.seconds, script)
                    found.append(done / self.given.seconds)
                    print(f"{'writers':10} {number + 1} {name:8} {writers:<13} {found[-1]:8.0f}/s", flush=True)
        return rates


def pgbench(server, database, clients, seconds, script, options=""):
    """How many transactions were done."""
    command = ["taskset", "-c", str(load.LOAD_CORE), cluster.PROGRAMS / "pgbench", "--no-vacuum", "--protocol=prepared",
               f"--client={clients}", f"--time={round(seconds)}", f"--file={script}", server.url(database)]
    env = {**os.environ, "PGOPTIONS": options}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout
    if not re.search(r"number of failed transactions: 0 ", done):
        raise RuntimeError(f"pgbench: {done}")
    return int(re.search(r"transactions actually processed: (\d+)", done)[1])


def table(costs, rates):
    lines = ["| what the triggers cost | without, µs of the server's CPU | with | ratio |", "| --- | ---: | ---: | ---: |"]
    for what, rows in costs.items():
        without, with_triggers = (median(rows[name]) * 1e6 for name in ("without", "with"))
        ratio = median(one / other for one, other in zip(rows["with"], rows["without"]))
        lines.append(f"| {what} | {without:.1f} | {with_triggers:.1f} | {ratio:.2f} |")
    lines += ["", f"| triggers | one writer, updates/s | {WRITERS} writers | ratio |", "| --- | ---: | ---: | ---: |"]
    for name, found in rates.items():
        ratio = median(several / one for several, one in zip(found[WRITERS], found[1]))
        lines.append(f"| {name} | {report.number(median(found[1]))} | {report.number(median(found[WRITERS]))} | {ratio:.2f} |")
    return "\n".join(lines) + "\n"
