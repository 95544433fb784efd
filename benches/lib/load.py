"""One server and one path: the requests, the checks of the answers, and the runs of the load generator."""

import hashlib
import json
import sqlite3
import subprocess
import threading
import time

LOAD_CORE = 1
CONNECTIONS = 32
WRITES_PER_SECOND = 100


class Job:
    def __init__(self, here, place, server, path, data, connections=CONNECTIONS):
        self.here, self.server, self.path, self.data, self.connections = here, server, path, data, connections
        self.file = place / f"requests-{path}-{server.name.replace(' ', '-')}"
        self.kind = path[0]
        self.with_writes = path.endswith("w") and server.name.startswith("freshql")
        self.expected_bytes = None
        # Which merchants it renames.
        self.rows = data.ids

    # Checks.

    def questions(self):
        if self.path in ("c2", "cr"):
            operation = "BenchList" if self.path == "c2" else "BenchCity"
            return [(operation, {"city": city}) for city in self.data.cities]
        return [("BenchDetail", {"id": merchant}) for merchant in self.data.ids]

    def check(self):
        """Asks everything once, compares it with what the database says, and writes the requests down."""
        if self.kind == "d":
            return
        connection = self.server.connect()
        truth, sizes, requests = reference(self.data), [], []
        for operation, variables in self.questions():
            path, headers = self.server.read(operation, variables)
            if self.server.name == "bare":
                self.fill(operation, variables, path, connection)
            status, fields, body = self.server.fetch("GET", path, headers, connection=connection)
            expect(status == 200, self, status, body)
            expect(json.loads(body)["data"] == truth(operation, variables), self, "another answer", body)
            if self.kind == "a":
                expect("etag" in fields, self, "no ETag", body)
                headers = {**headers, "If-None-Match": fields["etag"]}
                status, _, nothing = self.server.fetch("GET", path, headers, connection=connection)
                expect(status == 304 and not nothing, self, status, nothing)
            sizes.append(len(body))
            requests.append(raw(path, headers))
        self.expected_bytes = 0 if self.kind == "a" else sum(sizes) / len(sizes)
        with open(self.file, "wb") as file:
            for request in requests:
                file.write(b"%d\n%s" % (len(request), request))

    def fill(self, operation, variables, path, connection):
        """Gives the bare server an answer to keep."""
        body = json.dumps({"data": reference(self.data)(operation, variables)}, separators=(",", ":"),
                          ensure_ascii=False).encode()
        # As long as freshql's, which has its ETag in the body, too.
        body = body[:-1] + b',"extensions":{"etag":"0123456789abcdefABCDEF"}}'
        headers = {"ETag": f'"{hash_of(body)}"', "Content-Type": "application/json"}
        status, _, answer = self.server.fetch("PUT", path, headers, body, connection)
        expect(status == 204, self, status, answer)

    def check_after(self, rows):
        """The same questions once more; then the load generator counts the statuses of a short run."""
        if self.kind == "d":
            return
        status = self.wrk(1, "counting")["statuses"]
        wanted = "304" if self.kind == "a" else "200"
        for row in rows:
            row["statuses"] = status
        if set(status) != {wanted}:
            raise RuntimeError(f"{self.server.name} {self.path}: statuses {status}")

    # Runs.

    def run(self, seconds):
        if self.kind == "d":
            self.prepare_updates()
        writer = Writer(self.server, self.data) if self.with_writes else None
        if writer:
            writer.start()
        cpu = self.server.cpu_seconds()
        result = self.wrk(seconds, *([self.run_name()] if self.kind == "d" else []))
        cpu = self.server.cpu_seconds() - cpu
        note = ""
        if writer:
            note = f"beside {writer.stop() / (result['micros'] / 1e6):.0f} writes/s"
        self.judge(result)
        requests = result["requests"]
        return {"rate": requests / (result["micros"] / 1e6), "cpu": cpu / requests * 1e6, "p50": result["p50"],
                "p99": result["p99"], "statuses": result["statuses"], "note": note}

    def run_name(self):
        """Of no other run, also not of one at the same time."""
        return f"{int(time.time() * 1000) % 10**9} {self.server.port}"

    def judge(self, result):
        """Whether all answers were what they should be; the fast paths are judged by their mean length."""
        problem = None
        if result["bad"] or result["broken"]:
            problem = f"{result['bad']} bad statuses, {result['broken']} broken connections: {result['statuses']}"
        elif self.kind == "d":
            if set(result["statuses"]) != {"200"}:
                problem = f"statuses {result['statuses']}"
        else:
            headers = result["bytes"] / result["requests"] - self.expected_bytes
            if not 50 < headers < 1500:
                problem = f"answers of {result['bytes'] / result['requests']:.0f} bytes"
        if problem:
            raise RuntimeError(f"{self.server.name} {self.path}: {problem}")

    def prepare_updates(self):
        connection = self.server.connect()
        path, prefix = self.server.write()
        with open(self.file, "w") as file:
            file.write(f"{path}\n{prefix}\n")
            for merchant in self.rows:
                file.write(f"{merchant}\t{self.server.token(merchant, connection)}\n")

    def wrk(self, seconds, *extra):
        script = "update.lua" if self.kind == "d" else "replay.lua"
        return wrk(self.here, self.server, script, self.file, seconds, *extra, connections=self.connections)


class Writer(threading.Thread):
    """Renames merchants that nobody asks for, a hundred a second."""

    def __init__(self, server, data):
        super().__init__(daemon=True)
        self.server, self.data = server, data
        self.done, self.ending, self.failure = 0, threading.Event(), None

    def run(self):
        try:
            self.write()
        except Exception as failure:
            self.failure = failure

    def write(self):
        connection = self.server.connect()
        path, prefix = self.server.write()
        headers = {"Content-Type": "application/json"}
        start, stamp = time.monotonic(), int(time.time() * 1000)
        while not self.ending.is_set():
            merchant = self.data.others[self.done % len(self.data.others)]
            variables = {"id": merchant, "patch": {"name": f"Other {stamp} {self.done}"}, "expectedEtag": "*"}
            status, _, body = self.server.fetch("POST", path, headers, f"{prefix}{json.dumps(variables)}}}", connection)
            if status != 200:
                raise RuntimeError(f"a write failed: {status} {body[:200]}")
            self.done += 1
            time.sleep(max(0, start + self.done / WRITES_PER_SECOND - time.monotonic()))

    def stop(self):
        self.ending.set()
        self.join()
        if self.failure:
            raise self.failure
        return self.done


def wrk(here, server, script, file, seconds, *extra, connections=CONNECTIONS):
    """Runs the load generator on its core, and gives what its script counted."""
    command = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s",
               "--timeout", "30s", "-s", str(here / "wrk" / script), f"http://127.0.0.1:{server.port}", "--", str(file), *extra]
    done = subprocess.run(command, capture_output=True, text=True)
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            return json.loads(line.removeprefix("RESULT "))
    raise RuntimeError(f"wrk failed: {done.stdout}{done.stderr}")


def reference(data):
    """What the answers must be, read from the plain database with SQL of its own."""
    if not hasattr(data, "connection"):
        data.connection = sqlite3.connect(f"file:{data.plain}?mode=ro", uri=True)
        data.known = {}

    def rows(sql, key, names):
        return [dict(zip(names, row)) for row in data.connection.execute(sql, [key])]

    def priced(row):
        row["price"] = f"{row['price'] // 100}.{row['price'] % 100:02}"
        return row

    def truth(operation, variables):
        key = next(iter(variables.values()))
        if (operation, key) in data.known:
            return data.known[operation, key]
        if operation == "BenchDetail":
            (merchant,) = rows("SELECT id, name, description, city FROM merchants WHERE id = ?", key,
                               ["id", "name", "description", "city"])
            products = rows("SELECT id, name, description, price FROM products WHERE merchant_id = ? "
                            "ORDER BY name, id LIMIT 20", key, ["id", "name", "description", "price"])
            merchant["products"] = {"nodes": [priced(product) for product in products]}
            answer = {"merchant": merchant}
        elif operation == "BenchCity":
            answer = {"merchants": {"nodes": rows(
                "SELECT id, name, description, city FROM merchants WHERE city = ? ORDER BY name, id LIMIT 20", key,
                ["id", "name", "description", "city"])}}
        else:
            merchants = rows("SELECT id, name, city FROM merchants WHERE city = ? ORDER BY name, id LIMIT 20", key,
                             ["id", "name", "city"])
            for merchant in merchants:
                products = rows("SELECT id, name, price FROM products WHERE merchant_id = ? ORDER BY name, id LIMIT 3",
                                merchant["id"], ["id", "name", "price"])
                for product in map(priced, products):
                    product["reviews"] = {"nodes": rows(
                        "SELECT id, rating, author, body FROM reviews WHERE product_id = ? "
                        "ORDER BY created_at DESC, id LIMIT 2", product["id"], ["id", "rating", "author", "body"])}
                merchant["products"] = {"nodes": products}
            answer = {"merchants": {"nodes": merchants}}
        data.known[operation, key] = answer
        return answer

    return truth


def raw(path, headers):
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


def hash_of(body):
    return hashlib.sha256(body).hexdigest()[:22]


def expect(condition, job, what, body):
    if not condition:
        raise RuntimeError(f"{job.server.name} {job.path}: {what}: {body[:300]}")
