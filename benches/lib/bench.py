"""What the programs of this folder have in common: what they need, and how they build it."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import load

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent
PLACE = ROOT / "target" / "bench"


def need(tools):
    """Ends the program if something is missing that it cannot install."""
    if not shutil.which("wrk") and shutil.which("apt-get"):
        print("installing wrk with apt-get", flush=True)
        subprocess.run(["apt-get", "install", "--yes", "--quiet", "wrk"], check=True)
    missing = [tool for tool in ["wrk", "taskset", "sqlite3", "cargo", *tools] if not shutil.which(tool)]
    if missing:
        sys.exit(f"missing: {', '.join(missing)}")
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("two cores are needed: one for the server, one for the load")


def build_freshql(given):
    if given.freshql is None:
        subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True)
        given.freshql = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "freshql"


def settle():
    """The load generator and this program share a core; the server has the other."""
    os.sched_setaffinity(0, {load.LOAD_CORE})
    if os.geteuid() == 0:
        # Before other programs that run on the machine; what is started from here inherits it.
        os.nice(-15)
    # So that the servers are stopped then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))
    (PLACE / "logs").mkdir(exist_ok=True)


def copy(database, to):
    """A fresh copy, without what an earlier run has left beside it."""
    for old in to.parent.glob(to.name + "*"):
        old.unlink()
    shutil.copy(database, to)
    return to


def documents(freshql, project):
    """The ids of a project's operations, by their names."""
    listing = subprocess.run([freshql, "--dir", project, "queries"], check=True, capture_output=True, text=True).stdout
    return {row.split()[1]: row.split()[0] for row in listing.splitlines()[1:]}


def version(freshql):
    return subprocess.run([freshql, "--version"], capture_output=True, text=True).stdout.strip()
