"""hishel, RFC 9111 for Python's clients, over real answers: it keeps them for as long as the model of tests/lifetimes says, as a
private and as a shared cache, and asks again then.

FRESHQL_URL is a server of that project; FRESHQL_PATHS is JSON: the URLs of its rows and of one mutation.
"""

import json
import os
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

from hishel import CacheOptions, SqliteStorage
from hishel.httpx import CacheClient

BASE = os.environ["FRESHQL_URL"]
PATHS = json.loads(os.environ["FRESHQL_PATHS"])

# Seconds as a private and as a shared cache; None: not stored.
LIFETIMES = {
    "page": (0, 60),
    "photo": (10, 100),
    "draft": (0, 0),
    "letter": (0, None),
}


class Cache:
    """A cache of its own, whose clock can be put forward."""

    def __init__(self, shared):
        self.folder = tempfile.TemporaryDirectory()
        storage = SqliteStorage(database_path=Path(self.folder.name) / "cache.db")
        self.client = CacheClient(storage=storage, rfc=CacheOptions(shared=shared))
        self.ahead = 0

    def ask(self, path, method="GET", **settings):
        now = time.time
        with patch("time.time", lambda: now() + self.ahead):
            response = self.client.request(method, BASE + path, **settings)
        status = response.extensions["caching"]
        return response, ("cache" if status["from_cache"] else "server", "asked" if status["revalidated"] else "not asked")


def keeps_and_asks_again():
    for entity, lifetimes in LIFETIMES.items():
        for shared, seconds in enumerate(lifetimes):
            told = f"{entity}, {'shared' if shared else 'private'}"
            cache = Cache(shared=bool(shared))
            first, how = cache.ask(PATHS[entity])
            assert (first.status_code, how[0]) == (200, "server"), told
            again, how = cache.ask(PATHS[entity])
            assert again.content == first.content
            if seconds is None:
                assert how[0] == "server", told
                continue
            # Whole seconds: nobody is that slow in the others.
            if seconds:
                assert how == ("cache", "not asked"), (told, how)
            cache.ahead = seconds + 2
            again, how = cache.ask(PATHS[entity])
            assert how == ("cache", "asked"), (told, how)
            assert (again.content, again.headers["etag"]) == (first.content, first.headers["etag"]), told


def sees_what_is_changed():
    cache = Cache(shared=True)
    first, _ = cache.ask(PATHS["page"])
    body = {"variables": {"id": "1", "text": "changed for hishel"}}
    edited, how = cache.ask(PATHS["edit_page"], "POST", json=body)
    assert (edited.status_code, how[0]) == (200, "server")
    cache.ahead = 62
    again, how = cache.ask(PATHS["page"])
    assert "changed for hishel" in again.text and again.headers["etag"] != first.headers["etag"], how


def keeps_a_copy_for_each_coding():
    cache = Cache(shared=True)
    for coding in ["gzip", "br", "identity"]:
        for origin in ["https://a.example", "https://b.example"]:
            headers = {"accept-encoding": coding, "origin": origin}
            response, how = cache.ask(PATHS["photo"], headers=headers)
            assert response.headers.get("content-encoding", "identity") == coding
            assert how[0] == ("server" if origin == "https://a.example" else "cache"), (coding, how)


def never_keeps_errors():
    cache = Cache(shared=False)
    for path, status in [("/q/" + "0" * 64, 404), (PATHS["page"].split("?")[0], 422), (PATHS["edit_page"], 405)]:
        for _ in range(2):
            response, how = cache.ask(path)
            assert (response.status_code, how[0]) == (status, "server"), (path, how)


for check in [keeps_and_asks_again, keeps_a_copy_for_each_coding, never_keeps_errors, sees_what_is_changed]:
    check()
    print("ok", check.__name__)
