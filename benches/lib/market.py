"""The market database, the project directory that freshql serves, and the rows that the requests ask for."""

import hashlib
import shutil
import sqlite3
import subprocess
from dataclasses import dataclass
from pathlib import Path

IDS = 1000


@dataclass
class Market:
    project: Path    # schema.graphql, migrations/, queries/
    database: Path   # as freshql has it, with triggers and log; never served itself, only copied
    plain: Path      # the same rows without triggers and log, for the others
    ids: list        # of 1 000 merchants, scattered
    cities: list     # that have at least 20 merchants
    others: list     # of merchants that no request asks for


def prepare(here, place, freshql):
    root = here.parent
    project = place / "project"
    shutil.rmtree(project, ignore_errors=True)
    project.mkdir(parents=True)
    shutil.copy(root / "schema.graphql", project)
    shutil.copytree(root / "migrations", project / "migrations")
    shutil.copytree(here / "queries", project / "queries")

    digest = hashlib.sha256()
    for file in [here / "market.sh", *sorted((root / "migrations").iterdir())]:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    database, plain, stamp = place / "market.db", place / "plain.db", place / "market.stamp"
    if not stamp.exists() or stamp.read_text() != digest.hexdigest():
        print("making the market database", flush=True)
        for made in place.glob("*.db*"):
            made.unlink()
        subprocess.run([freshql, "--dir", project, "--database", f"sqlite:{database}", "migrate", "up"], check=True)
        subprocess.run([here / "market.sh", database], check=True)
        close(database)
        shutil.copy(database, plain)
        connection = sqlite3.connect(plain)
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        connection.commit()
        connection.close()
        close(plain)
        stamp.write_text(digest.hexdigest())

    connection = sqlite3.connect(database)
    merchants = [row[0] for row in connection.execute("SELECT id FROM merchants ORDER BY substr(id, -6), id")]
    cities = [row[0] for row in connection.execute(
        "SELECT city FROM merchants GROUP BY city HAVING count(*) >= 20 ORDER BY city")]
    connection.close()
    return Market(project, database, plain, merchants[:IDS], cities, merchants[IDS:])


def close(database):
    """Empties the write-ahead log, so that the file alone is the database."""
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
