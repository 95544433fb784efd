"""Many GET requests on one connection, a hundred on their way at a time: Python is too slow for one after the other."""

import socket
from itertools import islice

AT_ONCE = 100


def ask(port, requests):
    """Sends raw requests; yields status, headers (lower-case bytes) and the length of the body of each answer."""
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        answers = connection.makefile("rb", 1 << 16)
        while batch := list(islice(requests, AT_ONCE)):
            connection.sendall(b"".join(batch))
            for _ in batch:
                yield answer(answers)


def answer(stream):
    status = int(stream.readline().split()[1])
    fields = {}
    while (line := stream.readline()) != b"\r\n":
        name, _, value = line.partition(b":")
        fields[name.lower()] = value.strip()
    length = int(fields.get(b"content-length", 0)) if status != 304 else 0
    body = stream.read(length)
    if len(body) != length:
        raise RuntimeError("the connection ended within an answer")
    return status, fields, body
