"""The server's end of one TCP connection, with the means to misbehave. Owns a socket."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from functools import partial
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from ..faults import ConnectionPlan, Fault, FaultPlan, Refuse, SilentUpgrade

_OPEN_TIMEOUT_S = 10.0
_FINISH_GRACE_S = 5.0
_READS_PER_S = 20
"""Into how many pieces a slow reader cuts what it takes in a second."""
_END = b""
"""Among what is written: the end of TCP's stream. It is websockets' own convention."""


class Lines:
    """All TCP connections of a simulator, whatever state they are in.

    Args:
        plan: What is to go wrong on them.
        mute_new: Whether connections made from now on are mute from their first byte.
    """

    def __init__(self, plan: FaultPlan | None = None) -> None:
        self.plan = plan
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
    """A connection that can be made to misbehave below the events, while it goes on counting as open.

    Attributes:
        plan: What is to go wrong on it, if anything.
        connecting: The faults of this attempt to connect.
    """

    lines: Lines

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.plan: ConnectionPlan | None = None
        self.connecting: tuple[Fault, ...] = ()
        self._is_mute = self.lines.mute_new
        self._is_finished = False
        self._is_ended = False
        self._answers_close = True
        self._pauses: set[str] = set()
        self._bytes_per_s: int | None = None
        self._held: deque[bytes] | None = None
        self._drops: asyncio.Queue[bytes] | None = None
        self._free = asyncio.Event()
        self._free.set()
        self._dry = asyncio.Event()
        self._dry.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: list[asyncio.TimerHandle] = []

    # -- ways to misbehave -------------------------------------------------------------------------------------------

    def mute(self) -> None:
        """Go on reading, and answer nothing of it from now on, not even CLOSE or ping."""
        self._is_mute = True
        self._stop_keepalive()

    def half_open(self) -> None:
        """Read nothing, say nothing, close nothing."""
        self.mute()
        self._is_finished = True
        self.pause("half-open")

    def hold(self) -> None:
        """Let nothing pass in either direction until `release`."""
        self._stop_keepalive()
        self._held = deque() if self._held is None else self._held
        self._free.clear()
        self.pause("held")

    def release(self) -> None:
        """Let pass what was held, in order, and what follows."""
        held, self._held = self._held or (), None
        for data in held:
            self._put(data)
        self._free.set()
        self.go_on("held")

    def drip(self, bytes_per_write: int, interval_s: float) -> None:
        """Write so many bytes at a time from now on."""
        if self._drops is None:
            self._drops = asyncio.Queue()
            self._start(self._drip(self._drops, bytes_per_write, interval_s))

    def read_slowly(self, bytes_per_s: int) -> None:
        """Read so many bytes per second from now on; 0: none."""
        self._stop_keepalive()
        self._bytes_per_s = bytes_per_s
        if bytes_per_s == 0:
            self.pause("slow")

    def leave_close_unanswered(self) -> None:
        """Answer no CLOSE from now on, and leave TCP open behind it."""
        self._answers_close = False

    def finish(self) -> None:
        """End TCP behind what is written, without a CLOSE; what the client still says is read and forgotten."""
        self.mute()
        self.write(_END)
        self._is_finished = True
        self._timers.append(self.loop.call_later(_FINISH_GRACE_S, self.transport.abort))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Say CLOSE behind what is written and wait for the answer; or, where nothing is to be said, for the end."""
        if self._is_finished or self._leaves_unanswered():
            await self.wait_closed()
        else:
            await self.drained()
            await super().close(code, reason)

    def reset(self) -> None:
        """End TCP with a reset: no CLOSE, nothing flushed."""
        self.mute()
        self._is_finished = True
        sock = self.transport.get_extra_info("socket")
        try:
            if sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass  # it is closed already, and its transport does not know yet
        self.transport.abort()

    # -- writing -----------------------------------------------------------------------------------------------------

    @property
    def is_closing(self) -> bool:
        """Whether a CLOSE was said or answered, or TCP ends: nothing more is to be said."""
        closing = self.protocol.state is not State.OPEN and self._answers_close
        return closing or self._is_finished or self._is_ended or self.transport.is_closing()

    def write(self, data: bytes) -> None:
        """Write bytes as they are, behind all that was written before."""
        if self._is_finished:
            return
        if self._held is not None:
            self._held.append(data)
        else:
            self._put(data)

    async def drained(self) -> None:
        """Wait until there is room for more."""
        await self._free.wait()
        await self._dry.wait()
        await self.drain()

    def _put(self, data: bytes) -> None:
        if self._drops is not None:
            self._dry.clear()
            self._drops.put_nowait(data)
        else:
            self._emit(data)

    def _emit(self, data: bytes) -> None:
        if self._is_ended or self.transport.is_closing():
            return
        if data != _END:
            self.transport.write(data)
            return
        self._is_ended = True
        if not self.transport.can_write_eof():
            self.transport.close()
            return
        try:
            self.transport.write_eof()
        except OSError:
            pass  # the client has reset it, and its transport does not know yet

    async def _drip(self, drops: asyncio.Queue[bytes], bytes_per_write: int, interval_s: float) -> None:
        while True:
            data = await drops.get()
            for at in range(0, max(1, len(data)), bytes_per_write):
                self._emit(data[at : at + bytes_per_write])
                await asyncio.sleep(interval_s)
            if drops.empty():
                self._dry.set()

    # -- reading -----------------------------------------------------------------------------------------------------

    def pause(self, why: str) -> None:
        """Read nothing while there is a reason not to."""
        self._pauses.add(why)
        self.transport.pause_reading()

    def go_on(self, why: str) -> None:
        """Drop a reason not to read."""
        self._pauses.discard(why)
        if not self._pauses:
            self.transport.resume_reading()

    async def _trickle(self, data: bytes, bytes_per_s: int) -> None:
        step = max(1, bytes_per_s // _READS_PER_S)
        for at in range(0, len(data), step):
            piece = data[at : at + step]
            await asyncio.sleep(len(piece) / bytes_per_s)
            super().data_received(piece)
        self.go_on("slow")

    # -- the event loop's calls --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register, and do what the plan has for those that connect."""
        super().connection_made(transport)
        self.recv_messages.pause = partial(self.pause, "queue")
        self.recv_messages.resume = partial(self.go_on, "queue")
        self.lines.add(self)
        self._timers.append(self.loop.call_later(_OPEN_TIMEOUT_S, self._give_up_upgrade))
        if self.lines.plan is not None:
            self.plan = self.lines.plan.for_connection(now=self.loop.time())
            self.connecting = self.plan.connect()
        for fault in self.connecting:
            match fault:
                case Refuse():
                    self.reset()
                case SilentUpgrade():
                    self._is_mute = True
                case _:
                    pass  # a status: it is for who answers the request

    def connection_lost(self, exc: Exception | None) -> None:
        """Unregister, and leave no task behind."""
        self.lines.discard(self)
        self._free.set()
        self._dry.set()
        for task in self._tasks:
            task.cancel()
        for timer in self._timers:
            timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read; or read and forget; or read slowly."""
        if self._is_mute:
            return
        if self._bytes_per_s:
            self.pause("slow")
            self._start(self._trickle(data, self._bytes_per_s))
        else:
            super().data_received(data)

    def send_data(self) -> None:
        """Write what the protocol has to say; or drop it."""
        leaves_unanswered = self._leaves_unanswered()
        if leaves_unanswered:
            self._stop_keepalive()
        for data in self.protocol.data_to_send():
            if not self._is_mute and not leaves_unanswered:
                self.write(data)

    def _leaves_unanswered(self) -> bool:
        return not self._answers_close and self.protocol.close_rcvd is not None

    def _give_up_upgrade(self) -> None:
        if self.protocol.state is State.CONNECTING and not self._is_mute:
            self.transport.abort()

    def _stop_keepalive(self) -> None:
        if self.keepalive_task is not None:
            # Its pings would find no answer and end the connection after a while.
            self.keepalive_task.cancel()
            self.keepalive_task = None

    def _start(self, work: Any) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
