"""The server's end of one TCP connection, with the means to misbehave. Owns a socket."""

from __future__ import annotations

import asyncio
from typing import Any

from websockets.asyncio.server import ServerConnection


class Lines:
    """All TCP connections of a simulator, whatever state they are in.

    Args:
        mute_new: Whether connections made from now on are mute from their first byte.
    """

    def __init__(self) -> None:
        self.mute_new = False
        self._lines: set[Line] = set()

    def add(self, line: Line) -> None:
        """Register a connection that was made."""
        self._lines.add(line)

    def discard(self, line: Line) -> None:
        """Forget a connection that was lost."""
        self._lines.discard(line)

    def mute(self) -> None:
        """Make all connections mute."""
        for line in self._lines:
            line.mute()

    def abort(self) -> None:
        """Drop all connections at once."""
        for line in list(self._lines):
            line.transport.abort()


class Line(ServerConnection):
    """A connection that can be made mute: it goes on reading, and answers nothing, not even CLOSE or ping."""

    lines: Lines

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_mute = self.lines.mute_new

    def mute(self) -> None:
        """Answer nothing from now on, whatever comes."""
        self._is_mute = True
        if self.keepalive_task is not None:
            # Its pings would find no answer and end the connection after a while.
            self.keepalive_task.cancel()
            self.keepalive_task = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register; called by the event loop."""
        super().connection_made(transport)
        self.lines.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Unregister; called by the event loop."""
        self.lines.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read, or if mute: read and forget. Called by the event loop."""
        if not self._is_mute:
            super().data_received(data)

    def send_data(self) -> None:
        """Write what the protocol has to send, or if mute: drop it."""
        if not self._is_mute:
            super().send_data()
        else:
            self.protocol.data_to_send()
