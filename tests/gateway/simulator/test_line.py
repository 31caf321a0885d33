"""A line by itself: real sockets, in a loop of the test's own."""

from __future__ import annotations

import asyncio
import socket
import struct

from websockets.asyncio.server import serve

from trunkline.gateway.simulator.line import Line, Lines

DEADLINE_S = 30.0
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class OwnLine(Line):
    lines = Lines(None)


async def with_line(client: socket.socket, use) -> None:
    """Connect a client and give the line to `use`; raise what it raises."""
    used = asyncio.get_running_loop().create_future()

    async def handler(line):
        try:
            use(line)
        except Exception as error:
            used.set_exception(error)
        else:
            used.set_result(None)
        await line.wait_closed()

    async with (
        asyncio.timeout(DEADLINE_S),
        serve(handler, "127.0.0.1", 0, create_connection=OwnLine) as server,
    ):
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, server.sockets[0].getsockname())
        await loop.sock_sendall(client, UPGRADE)
        await used


def test_ending_a_line_that_the_client_has_just_reset_does_nothing():
    def finish_behind_a_reset(line):
        # In one step of the loop: its transport has no chance to hear of it first.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        line.finish()
        assert line.is_closing

    with socket.socket() as client:
        client.setblocking(False)
        asyncio.run(with_line(client, finish_behind_a_reset))
