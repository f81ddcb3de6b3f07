"""A server that records when each request arrived at this machine.

    python counting_server.py [--answer-after 0.001]

It prints its port. Requests are answered after a delay; ``GET /stamps`` returns and clears the
arrival times so far: nanoseconds, by path. The kernel takes them, so that a busy machine does not
make requests look simultaneous because this process was not scheduled. It ends when stdin closes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import struct
import sys

SO_TIMESTAMPNS = getattr(socket, "SO_TIMESTAMPNS", 35)
DONE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Server:
    def __init__(self, answer_after):
        self.answer_after = answer_after
        self.stamps = {}
        self.loop = asyncio.get_running_loop()

    def listen(self):
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        # Inherited by connections, so that their first request has a timestamp too.
        listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        listener.settimeout(0)
        self.loop.add_reader(listener, self.accept, listener)
        return listener.getsockname()[1]

    def accept(self, listener):
        connection, _ = listener.accept()
        connection.settimeout(0)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.loop.add_reader(connection, self.read, connection)

    def read(self, connection):
        try:
            request, ancillary, _, _ = connection.recvmsg(4096, 64)
        except ConnectionResetError:
            request = b""
        if not request:
            self.loop.remove_reader(connection)
            connection.close()
        elif request.startswith(b"GET /stamps "):
            body = json.dumps(self.stamps).encode()
            self.stamps = {}
            connection.settimeout(30)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            connection.settimeout(0)
        else:
            (stamp,) = (data for _, kind, data in ancillary if kind == SO_TIMESTAMPNS)
            seconds, nanoseconds = struct.unpack("qq", stamp)
            path = request.split(b" ", 2)[1].decode()
            self.stamps.setdefault(path, []).append(seconds * 1_000_000_000 + nanoseconds)
            self.loop.call_later(self.answer_after, self.answer, connection)

    def answer(self, connection):
        if connection.fileno() != -1:
            connection.send(DONE)


async def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--answer-after", type=float, default=0.001)
    server = Server(parser.parse_args().answer_after)
    print(server.listen(), flush=True)  # noqa: T201 - read by the test
    await server.loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
