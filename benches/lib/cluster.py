"""A PostgreSQL cluster of its own on the server's core, with the market in it, and one database for each server."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import servers

PROGRAMS = next((path for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
                 if (path / "initdb").exists()), None)
# Booleans and decimals are kept in another form there.
COLUMNS = {
    "merchants": ["id", "name", "description", "city", "country", "founded", "verified", "created_at"],
    "products": ["id", "sku", "name", "description", "printf('%d.%02d', price / 100, price % 100)", "stock", "status",
                 "weight", "created_at", "merchant_id"],
    "reviews": ["id", "rating", "title", "body", "author", "created_at", "product_id"],
}


class Cluster:
    """Started by an unprivileged user, on one core, over TCP on loopback; gone when it is stopped."""

    def __init__(self):
        if PROGRAMS is None:
            sys.exit("missing: PostgreSQL; scripts/setup installs it")
        self.place = Path(tempfile.mkdtemp(prefix="freshql-bench-"))
        self.port = servers.free_port()
        if os.geteuid() == 0:
            shutil.chown(self.place, "postgres")
        self.run("initdb", "--no-sync", "--auth=trust", "--username=freshql", "--encoding=UTF8", "--locale=C.UTF-8",
                 "--pgdata", self.place / "data")
        options = (f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories={self.place} "
                   "-c shared_buffers=512MB -c max_wal_size=4GB -c autovacuum_naptime=1h")
        self.run("pg_ctl", "start", "--wait", "--log", self.place / "log", "--options", options, "--pgdata",
                 self.place / "data", core=servers.SERVER_CORE)

    def run(self, program, *arguments, core=None):
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        on_core = ["taskset", "-c", str(core)] if core is not None else []
        command = [*on_core, *as_user, PROGRAMS / program, *arguments]
        with open(os.devnull, "wb") as nothing:
            subprocess.run(command, cwd=self.place, check=True, stdout=nothing, env={**os.environ, "LC_ALL": "C.UTF-8"})

    def url(self, database):
        return f"postgres://freshql@127.0.0.1:{self.port}/{database}"

    def psql(self, database, sql):
        command = ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", self.url(database)]
        return subprocess.run(command, input=sql, text=True, check=True, capture_output=True).stdout

    def fill(self, freshql, project, market):
        """Makes the database `market` as freshql has it, and `plain` with the model's tables alone, without triggers."""
        self.psql("postgres", "CREATE DATABASE market TEMPLATE template0")
        subprocess.run([freshql, "--dir", project, "--database", self.url("market"), "migrate", "up"], check=True,
                       stdout=subprocess.DEVNULL)
        self.psql("market", "TRUNCATE merchants CASCADE")
        source = sqlite3.connect(f"file:{market}?mode=ro", uri=True)
        for table, columns in COLUMNS.items():
            names = ["price" if column.startswith("printf") else column for column in columns]
            copy = ["psql", "-Xq", "-v", "ON_ERROR_STOP=1", self.url("market"), "-c",
                    f"COPY {table} ({', '.join(names)}) FROM STDIN"]
            with subprocess.Popen(copy, stdin=subprocess.PIPE, text=True) as psql:
                for row in source.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY rowid"):
                    psql.stdin.write("\t".join(map(cell, row)) + "\n")
                psql.stdin.close()
            if psql.returncode:
                raise RuntimeError(f"cannot fill {table}")
        self.psql("market", "VACUUM (FREEZE, ANALYZE)")
        self.psql("postgres", "CREATE DATABASE plain TEMPLATE market")
        triggers = self.psql("plain", "SELECT tgname || ' ON ' || tgrelid::regclass FROM pg_trigger WHERE NOT tgisinternal")
        ours = self.psql("plain", r"SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE '\_freshql%'")
        self.psql("plain", "SET client_min_messages = warning;\n"
                  + "".join(f"DROP TRIGGER {trigger};\n" for trigger in triggers.splitlines())
                  + "".join(f"DROP TABLE {table} CASCADE;\n" for table in ours.splitlines()) + "CHECKPOINT;")

    def database(self, name, template):
        """A copy for one server."""
        name = name.replace(" ", "_").replace("-", "_")
        self.psql("postgres", f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def processes(self):
        """The fields of the server's processes from their parent on (proc(5), `stat`), by process; the first is the postmaster."""
        postmaster = (self.place / "data" / "postmaster.pid").read_text().split()[0]
        found = {postmaster: None}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                pid, (_, *fields) = stat.parent.name, stat.read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if postmaster in (pid, fields[0]):
                found[pid] = fields
        return found

    def cpu_seconds(self):
        """User and system time of the server's processes so far, also of those that have ended."""
        postmaster, *others = self.processes().values()
        # The postmaster's include its children that have ended.
        ticks = sum(map(int, postmaster[10:14])) + sum(int(tick) for fields in others for tick in fields[10:12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def run_on(self, cores):
        """Moves the server, and with it all later connections, to these cores."""
        for process in self.processes():
            os.sched_setaffinity(int(process), cores)

    def stop(self):
        self.run("pg_ctl", "stop", "--mode=immediate", "--pgdata", self.place / "data")
        shutil.rmtree(self.place, ignore_errors=True)


def cell(value):
    """In the form of COPY."""
    if value is None:
        return "\\N"
    return str(value).replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
