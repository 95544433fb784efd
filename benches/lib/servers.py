"""The servers: how each is started and stopped, what it is called, and how it is asked for each path."""

import base64
import hmac
import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import bench
import market

PEERS = ["yoga", "mercurius", "apollo"]
SERVER_CORE = 0


class Server:
    """A process on its own core, and the HTTP requests that it understands."""

    def __init__(self, name, command, env=None, cwd=None):
        self.name, self.command, self.env, self.cwd = name, command, env or {}, cwd
        self.port = free_port()
        self.process = None

    def start(self, logs):
        command = ["taskset", "-c", str(SERVER_CORE)] + [
            str(part).replace("{port}", str(self.port)) for part in self.command]
        log = open(logs / f"{self.name.replace(' ', '-')}.log", "wb")
        env = {**os.environ, **self.env, "PORT": str(self.port)}
        self.process = subprocess.Popen(command, env=env, cwd=self.cwd, stdout=log, stderr=log)
        for _ in range(600):
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended: see {log.name}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"{self.name} does not listen")

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def cpu_seconds(self):
        """User and system time of all its threads so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def fetch(self, method, path, headers=None, body=None, connection=None):
        connection = connection or self.connect()
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()

    # What the load is made of; the path's letter is left to the caller.

    def read(self, operation, variables):
        """Path and headers of a GET."""
        raise NotImplementedError

    def write(self):
        """Path of a POST, and what stands in front of the variables in its body."""
        raise NotImplementedError

    def token(self, merchant, connection):
        """The version of a merchant, as the server wants it back."""
        path, headers = self.read("BenchEtag", {"id": merchant})
        status, _, body = self.fetch("GET", path, headers, connection=connection)
        if status != 200:
            raise RuntimeError(f"{self.name}: {status} {body[:200]}")
        return json.loads(body)["data"]["merchant"]["etag"]


class Freshql(Server):
    documents = {}

    def read(self, operation, variables):
        return f"/q/{self.documents[operation]}?variables={encode(variables)}", {}

    def write(self):
        return f"/q/{self.documents['BenchUpdate']}", '{"variables":'


class WithToken(Freshql):
    """Whoever asks has a token, which says a city."""

    def __init__(self, name, command, data):
        super().__init__(name, command, {"BENCH_SECRET": market.SECRET})
        self.data = data

    def read(self, operation, variables):
        path, headers = super().read(operation, variables)
        if "id" in variables:
            city = self.data.city_of[variables["id"]]
        else:
            # A rule says what the filter says elsewhere.
            path, city = f"/q/{self.documents['BenchAll']}", variables["city"]
        return path, {**headers, "Authorization": f"Bearer {token({'city': city})}"}


def token(claims):
    """A JSON Web Token, as `freshql token` makes it."""
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    said = {"iss": "bench", "aud": "bench", "exp": 9_999_999_999, "sub": "0191408b-7983-7be4-aaa9-5d21c6f3b6cd", **claims}
    signed = b".".join(part(json.dumps(value).encode()) for value in ({"alg": "HS256", "typ": "JWT"}, said))
    return b".".join([signed, part(hmac.digest(market.SECRET.encode(), signed, "sha256"))]).decode()


class Bare(Server):
    """Holds what freshql answered, under the same URLs."""

    def read(self, operation, variables):
        return f"/q/{Freshql.documents[operation]}?variables={encode(variables)}", {}


class Handwritten(Server):
    def read(self, operation, variables):
        name, value = next(iter(variables.items()))
        path = {"BenchDetail": "detail", "BenchList": "list", "BenchEtag": "etag"}[operation]
        return f"/{path}?{name}={quote(value, safe='')}", {}

    def write(self):
        return "/update", '{"variables":'


class Peer(Server):
    queries = {}

    def read(self, operation, variables):
        query = quote(self.queries[operation], safe="")
        # Apollo refuses a GET without this header: it could be forged by another site.
        return f"/graphql?query={query}&variables={encode(variables)}", {"apollo-require-preflight": "1"}

    def write(self):
        return "/graphql", f'{{"query":{json.dumps(self.queries["BenchUpdate"])},"variables":'


class PostGraphile(Peer):
    """Runs on the Node.js of its own package, as it needs a newer one than the other peers. It names its fields otherwise;
    aliases give them the names that the answers are compared by."""

    def __init__(self, name, here, url):
        place = here / "peers-postgres"
        env = {"DATABASE": url, "GRAPHILE_ENV": "production", "NODE_ENV": "production"}
        super().__init__(name, [place / "node_modules" / ".bin" / "node", "postgraphile.js"], env, place)
        self.queries = {file.stem: minified(file.read_text()) for file in (place / "queries").iterdir()}

    @staticmethod
    def version(here):
        return json.loads((here / "peers-postgres" / "package.json").read_text())["dependencies"]["postgraphile"]


def encode(variables):
    return quote(json.dumps(variables, separators=(",", ":"), ensure_ascii=False), safe="-._~")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def minified(text):
    """A query without comments and line breaks: it travels in the URL of the peers' requests."""
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    return " ".join(line for line in lines if line)


class Fleet:
    """All servers that take part; each is started when a path needs it and kept until the end."""

    def __init__(self, given, here, place, data):
        self.given, self.here, self.place, self.data = given, here, place, data
        self.running = {}
        ram = Path("/dev/shm")
        self.ram = Path(tempfile.mkdtemp(prefix="freshql-bench-", dir=ram)) if ram.is_dir() else None
        Freshql.documents = bench.documents(given.freshql, data.project)
        for file in (here / "queries").iterdir():
            Peer.queries[file.stem] = minified(file.read_text())

    def contestants(self, path):
        """The servers of a path; the first is the one that the others are compared with."""
        if path in ("a", "b"):
            return [self.get("bare"), self.get("freshql"), *(self.get(f"{peer} cached") for peer in self.given.peers)]
        if path in ("aw", "bw"):
            return [self.get("bare"), self.get("freshql")]
        if path in ("c1", "c2"):
            return [self.get("handwritten"), self.get("freshql uncached"), *(self.get(peer) for peer in self.given.peers)]
        if path == "at":
            return [self.get("freshql ruled"), self.get("freshql ruled, token")]
        if path == "ap":
            return [self.get("freshql"), self.get("freshql private")]
        if path == "cr":
            return [self.get("freshql uncached"), self.get("freshql private uncached")]
        if path == "d":
            return [self.get("handwritten"), self.get("freshql"), *(self.get(peer) for peer in self.given.peers)]
        return [self.get("handwritten in RAM"), self.get("freshql in RAM")] if self.ram else []

    def get(self, name):
        if name not in self.running:
            # Known before it is started, so that it is stopped even if it never listens.
            server = self.running[name] = self.make(name)
            server.start(self.place / "logs")
        return self.running[name]

    def make(self, name):
        if name == "bare":
            return Bare(name, [self.given.limits / "bare", "127.0.0.1:{port}"])
        if name.startswith("handwritten"):
            database = self.copy(self.data.plain, name)
            return Handwritten(name, [self.given.limits / "handwritten", "127.0.0.1:{port}", database, "group"])
        if name.startswith("freshql"):
            database = self.copy(self.data.database, name)
            options = ["--cache-size", "0"] if "uncached" in name else []
            rules = {"ruled": "project-demo", "private": "project-city"}.get(name.split()[1].strip(",") if " " in name else "")
            project = self.place / rules if rules else self.data.project
            command = [self.given.freshql, "--dir", project, "--database", f"sqlite:{database}",
                       "serve", "--listen", "127.0.0.1:{port}", *options]
            if name.endswith("token") or "private" in name:
                return WithToken(name, command, self.data)
            return Freshql(name, command, {"BENCH_SECRET": market.SECRET})
        peer, cached = name.split()[0], name.endswith("cached")
        env = {"DATABASE": str(self.copy(self.data.plain, name)), "CACHE": "1" if cached else "", "NODE_ENV": "production"}
        return Peer(name, ["node", f"{peer}.js"], env, self.here / "peers")

    def copy(self, database, name):
        place = self.ram if name.endswith("in RAM") else self.place
        return bench.copy(database, place / f"{name.replace(' ', '-')}.db")

    def versions(self):
        found = [bench.version(self.given.freshql)]
        if self.given.peers:
            packages = json.loads((self.here / "peers" / "package.json").read_text())["dependencies"]
            node = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip()
            names = {"yoga": "graphql-yoga", "mercurius": "mercurius", "apollo": "@apollo/server"}
            found += [f"Node {node}"] + [f"{names[peer]} {packages[names[peer]]}" for peer in self.given.peers]
        return found

    def stop(self):
        for server in self.running.values():
            server.stop()
        if self.ram:
            shutil.rmtree(self.ram, ignore_errors=True)
