"""The market database, the project directory that freshql serves, and the rows that the requests ask for."""

import hashlib
import re
import shutil
import sqlite3
import subprocess
from dataclasses import dataclass
from pathlib import Path

IDS = 1000
ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass
class Market:
    project: Path    # schema.graphql, migrations/, queries/
    database: Path   # as freshql has it, with triggers and log; never served itself, only copied
    plain: Path      # the same rows without triggers and log, for the others
    ids: list        # of 1 000 merchants, scattered
    cities: list     # that have at least 20 merchants
    others: list     # of merchants that no request asks for
    names: list      # of all merchants, scattered
    products: list   # the ids of all, scattered
    city_of: dict    # of a merchant

    @property
    def merchants(self):
        return self.ids + self.others


# Who makes the tokens of the projects with rules.
SECRET = "a secret of the benches, thirty-two bytes or more"
AUTH = '[auth]\nissuer = "bench"\naudience = "bench"\nsecret_env = "BENCH_SECRET"\n'


def make_project(project, operations, rules="none"):
    """A project directory with the demo's model and these operations: texts by the names of their files.

    Its rules are left out, as the others have none; what rules cost is measured by itself. There are those of the demo, by which
    everybody reads everything, and "city": who reads a merchant has its city among the claims of the token."""
    shutil.rmtree(project, ignore_errors=True)
    project.mkdir(parents=True)
    model = (ROOT / "schema.graphql").read_text()
    if rules != "demo":
        model = re.sub(r"\s@allow\([^)]*\)", "", model)
    if rules == "city":
        model = model.replace("@entity(", "@allow(to: [READ])\n  @entity(").replace(
            "type Merchant\n  @allow(to: [READ])", 'type Merchant\n  @allow(to: [READ], where: { city: { eq: "$city" } })')
    if rules != "none":
        (project / "freshql.toml").write_text(AUTH)
    (project / "schema.graphql").write_text(model)
    shutil.copytree(ROOT / "migrations", project / "migrations")
    (project / "queries").mkdir()
    for name, text in operations.items():
        (project / "queries" / name).write_text(text)


def prepare(here, place, freshql):
    project = place / "project"
    operations = {file.name: file.read_text() for file in (here / "queries").iterdir()}
    make_project(project, operations)
    for rules in ("demo", "city"):
        make_project(place / f"project-{rules}", operations, rules)

    digest = hashlib.sha256()
    for file in [here / "market.sh", *sorted((ROOT / "migrations").iterdir())]:
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
    city_of = dict(connection.execute("SELECT id, city FROM merchants"))
    names = [row[0] for row in connection.execute("SELECT name FROM merchants ORDER BY substr(id, -6), id")]
    products = [row[0] for row in connection.execute("SELECT id FROM products ORDER BY substr(id, -6), id")]
    connection.close()
    return Market(project, database, plain, merchants[:IDS], cities, merchants[IDS:], names, products, city_of)


def close(database):
    """Empties the write-ahead log, so that the file alone is the database."""
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
