"""What an HTTP/2 client that goes beyond the limits gets, over plain TCP with prior knowledge (RFC 9113 §3.3). Each check also
sees that the server still answers others.

FRESHQL_ADDRESS is 127.0.0.1:PORT; FRESHQL_PATH a URL of a registered query that takes no variables.
"""

import os
import socket
import time

import h2.config
import h2.connection
import h2.events
import h2.settings
from hpack import Decoder, Encoder
from hyperframe.frame import ContinuationFrame, HeadersFrame, RstStreamFrame, SettingsFrame

HOST, PORT = os.environ["FRESHQL_ADDRESS"].split(":")
PATH = os.environ["FRESHQL_PATH"]
STREAMS = 128


def head(method="GET", path=PATH, more=()):
    return [(":method", method), (":path", path), (":scheme", "http"), (":authority", "localhost"), *more]


class Client:
    """A well-behaved one."""

    def __init__(self):
        self.socket = socket.create_connection((HOST, int(PORT)), timeout=30)
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.connection.initiate_connection()
        self.statuses, self.bodies, self.ended, self.reset, self.gone = {}, {}, set(), {}, None
        self.flush()

    def flush(self):
        self.socket.sendall(self.connection.data_to_send())

    def read(self):
        data = self.socket.recv(65536)
        if not data:
            self.gone = self.gone or "closed"
            return
        for event in self.connection.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                self.statuses[event.stream_id] = int(dict(event.headers)[":status"])
            elif isinstance(event, h2.events.DataReceived):
                self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.ended.add(event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                self.reset[event.stream_id] = event.error_code
            elif isinstance(event, h2.events.ConnectionTerminated):
                self.gone = event.error_code
        self.flush()

    def ask(self, headers, end=True):
        stream = self.connection.get_next_available_stream_id()
        self.connection.send_headers(stream, headers, end_stream=end)
        self.flush()
        return stream

    def until(self, done):
        while not done() and self.gone is None:
            self.read()
        assert done(), f"the server is gone: {self.gone}"


class Flood:
    """A client of frames as they are, which reads only to see the connection end."""

    def __init__(self):
        self.socket = socket.create_connection((HOST, int(PORT)), timeout=30)
        self.encoder = Encoder()
        self.said = b""
        self.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SettingsFrame(0).serialize())

    def send(self, data):
        self.socket.sendall(data)

    def until_ended(self, frames):
        """Sends as long as it may; whether the server ended it."""
        try:
            for data in frames:
                self.send(data)
                self.socket.setblocking(False)
                try:
                    data = self.socket.recv(65536)
                    self.said += data
                    if not data:
                        return True
                except BlockingIOError:
                    pass
                finally:
                    self.socket.settimeout(30)
            # All that was written may lie in buffers.
            while data := self.socket.recv(65536):
                self.said += data
            return True
        except (ConnectionError, BrokenPipeError):
            return True
        except TimeoutError:
            return False


    def until_answer(self, data):
        """The status of the answer to stream 1, or None where it is reset or the connection ends."""
        self.send(data)
        while True:
            while len(self.said) >= 9:
                length = int.from_bytes(self.said[:3], "big")
                if len(self.said) < 9 + length:
                    break
                kind, body = self.said[3], self.said[9 : 9 + length]
                self.said = self.said[9 + length :]
                if kind == 1:
                    return dict(Decoder().decode(body))[":status"]
                if kind in (3, 7):
                    return None
            try:
                data = self.socket.recv(65536)
            except ConnectionError:
                return None
            if not data:
                return None
            self.said += data


def others_are_served():
    client = Client()
    stream = client.ask(head())
    client.until(lambda: stream in client.ended)
    assert client.statuses[stream] == 200


def many_requests_share_a_connection():
    client = Client()
    client.until(lambda: client.connection.remote_settings.max_concurrent_streams == STREAMS)
    streams = [client.ask(head(more=[("accept-encoding", "zstd")])) for _ in range(100)]
    client.until(lambda: all(stream in client.ended for stream in streams))
    assert {client.statuses[stream] for stream in streams} == {200}
    assert len({client.bodies[stream] for stream in streams}) == 1


def streams_beyond_the_limit_are_refused_and_the_others_go_on():
    client = Client()
    client.until(lambda: client.connection.remote_settings.max_concurrent_streams == STREAMS)
    # A client that does not care.
    client.connection.remote_settings[h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS] = 10_000
    client.connection.remote_settings.acknowledge()
    post = head("POST", more=[("content-type", "application/json")])
    streams = [client.ask(post, end=False) for _ in range(STREAMS + 20)]
    client.until(lambda: len(client.reset) >= 20)
    assert set(client.reset) == set(streams[STREAMS:]), client.reset
    assert set(client.reset.values()) == {7}, "REFUSED_STREAM"
    for stream in streams[:STREAMS]:
        client.connection.send_data(stream, b"{}", end_stream=True)
        client.flush()
    client.until(lambda: all(stream in client.ended for stream in streams[:STREAMS]))
    assert {client.statuses[stream] for stream in streams[:STREAMS]} == {200}


def a_long_head_is_refused():
    client = Client()
    stream = client.ask(head(more=[(f"x-{n}", "y" * 8000) for n in range(11)]))
    client.until(lambda: stream in client.reset or stream in client.ended)
    assert client.statuses[stream] == 431, client.statuses
    # The connection goes on; one that is much too long ends it.
    stream = client.ask(head())
    client.until(lambda: stream in client.ended)
    assert client.statuses[stream] == 200
    client.ask(head(more=[(f"x-{n}", "y" * 8000) for n in range(100)]))
    while client.gone is None:
        client.read()
    # So do short references to something long that was said before.
    flood = Flood()
    block = flood.encoder.encode([*head(), ("x", "y" * 4000)])
    frame = HeadersFrame(1, block + b"\xbe" * 10_000, flags=["END_STREAM", "END_HEADERS"])
    answer = flood.until_answer(frame.serialize())
    assert answer is None or answer == "431", answer


def continuations_without_end_are_cut_off():
    flood = Flood()
    block = flood.encoder.encode(head())

    def frames():
        yield HeadersFrame(1, block, flags=["END_STREAM"]).serialize()
        for n in range(2000):
            yield ContinuationFrame(1, flood.encoder.encode([(f"x-{n}", "z" * 16_000)])[:16_000]).serialize()

    assert flood.until_ended(frames()), "it takes continuations for ever"


def requests_that_are_reset_at_once_end_the_connection():
    flood = Flood()
    block = flood.encoder.encode(head())

    def frames():
        for stream in range(1, 200_001, 2):
            headers = HeadersFrame(stream, block, flags=["END_STREAM", "END_HEADERS"])
            yield headers.serialize() + RstStreamFrame(stream, 8).serialize()

    assert flood.until_ended(frames()), "it takes resets for ever"


CHECKS = [
    many_requests_share_a_connection,
    streams_beyond_the_limit_are_refused_and_the_others_go_on,
    a_long_head_is_refused,
    continuations_without_end_are_cut_off,
    requests_that_are_reset_at_once_end_the_connection,
]
for check in CHECKS:
    begun = time.monotonic()
    check()
    others_are_served()
    print("ok", check.__name__, f"{time.monotonic() - begun:.2f} s")
