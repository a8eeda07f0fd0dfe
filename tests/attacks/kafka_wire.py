"""A connection to the Kafka port that sends what it is told, and does not hide what comes back.

Attackers come from 127.0.0.66, everybody else from 127.0.0.1: what the broker counts per address it counts apart.
"""

import socket
import struct

from kafka_schema import schema

ATTACKER = "127.0.0.66"
BYSTANDER = "127.0.0.1"


class Closed(ConnectionError):
    """The broker closed the connection instead of an answer."""


class Connection:
    """One socket; `call` is a request and its answer, decoded."""

    def __init__(self, port, source=ATTACKER, timeout=30, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.bind((source, 0))
        try:
            self.socket.connect(("127.0.0.1", port))
        except OSError:
            self.socket.close()
            raise
        self.correlation = 0

    def send(self, api, version, body, client_id="attack"):
        self.correlation += 1
        self.socket.sendall(schema().frame(api, version, body, self.correlation, client_id))

    def receive_bytes(self):
        """A response frame, without its length."""
        size = struct.unpack(">i", self.exactly(4))[0]
        return self.exactly(size)

    def receive(self, api, version):
        return schema().answer(api, version, self.receive_bytes())[1]

    def call(self, api, version, body, client_id="attack"):
        self.send(api, version, body, client_id)
        return self.receive(api, version)

    def pipeline(self, api, version, bodies, ahead=64):
        """The answers, in order, of many requests, of which `ahead` may be unanswered."""
        waiting = 0
        for body in bodies:
            self.send(api, version, body)
            waiting += 1
            if waiting >= ahead:
                yield self.receive(api, version)
                waiting -= 1
        for _ in range(waiting):
            yield self.receive(api, version)

    def exactly(self, count):
        data = bytearray(count)
        view, at = memoryview(data), 0
        while at < count:
            got = self.socket.recv_into(view[at:])
            if got == 0:
                raise Closed(f"closed after {at} of {count} bytes")
            at += got
        return data

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
