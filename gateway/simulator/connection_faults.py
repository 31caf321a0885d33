"""What a fault plan does to one connection of the simulator: it stands between the session and its line. Owns nothing.

The session's frames come through here on their way out, the client's on their way in. What the wire log has as received is
what went out: with what faults made of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import NoReturn

from websockets.exceptions import ConnectionClosed

from ..faults import (
    Close,
    CompressedBit,
    ConnectionPlan,
    CutFrame,
    Drip,
    EndlessFrame,
    Fault,
    FragmentFlood,
    Garbage,
    HalfOpen,
    MaskedFrame,
    NoClose,
    Reset,
    Rewriter,
    SessionExpired,
    SlowReader,
    Stall,
    type_of,
)
from ..faults.proxy_frames import (
    close_frame,
    endless_head,
    fragments,
    masked_server_frame,
    server_frame,
)
from ..faults.rewriting import EXPIRED_REASON, padded_event
from .line import Line
from .wire_log import Direction

_EXPIRED = 1001
_TEXT = 0x81
_BINARY = 0x82
_COMPRESSED = 0x40
_ENDLESS_PIECE = b" " * 65536


class ConnectionFaults:
    """The faults of one connection.

    Args:
        plan: What is to go wrong.
        line: The connection's.
        note: Called with each frame that goes out.
    """

    def __init__(
        self, plan: ConnectionPlan, line: Line, note: Callable[[Direction, str | bytes], None]
    ) -> None:
        self._plan = plan
        self._line = line
        self._note = note
        self._received = Rewriter(plan.random, "received")
        self._sent = Rewriter(plan.random, "sent")

    async def watch(self) -> None:
        """Do what the plan has for a silent line, as long as the connection is there."""
        self._plan.opened(self._now())
        try:
            while (when := self._plan.next_due()) is not None:
                await asyncio.sleep(when - self._now())
                await self._say(None, self._plan.due(self._now()))
        except ConnectionClosed:
            return

    async def send(self, frame: str | bytes) -> None:
        """Send a frame of the session's: as it is, or what faults make of it; wait for room for more.

        Raises:
            ConnectionClosed: The line is at its end.
        """
        message = frame.encode() if isinstance(frame, str) else frame
        first = _TEXT if isinstance(frame, str) else _BINARY
        await self._say(message, self._plan.frame("received", type_of(message), self._now()), first)

    async def take(self, frame: str | bytes) -> list[str | bytes]:
        """Return what the session is to get of a client's frame.

        Raises:
            ConnectionClosed: The line is at its end.
        """
        message = frame.encode() if isinstance(frame, str) else frame
        faults = self._plan.frame("sent", type_of(message), self._now())
        await self._bend(faults)
        rewritten = self._sent.rewrite(message, faults)
        for answer in rewritten.answers:
            self._write(answer)
        return [_as_read(one, isinstance(frame, str)) for one in rewritten.messages]

    # -- what faults do ----------------------------------------------------------------------------------------------

    async def _say(self, message: bytes | None, faults: tuple[Fault, ...], first: int = _TEXT) -> None:
        await self._bend(faults)
        if self._line.is_closing:
            await self._end()
        rewritten = self._received.rewrite(message, faults)
        for fault in rewritten.in_vain:
            self._plan.in_vain(fault)
        for before in rewritten.before:
            self._write(before)
        for fault in faults:
            await self._break(fault, message, first)
        masked = any(isinstance(fault, MaskedFrame) for fault in faults)
        if any(isinstance(fault, CompressedBit) for fault in faults):
            first |= _COMPRESSED
        for own in rewritten.own:
            self._write(own, first, masked=masked)
        await self._line.drained()

    async def _bend(self, faults: Iterable[Fault]) -> None:
        """Do what concerns the line as a whole."""
        line = self._line
        for fault in faults:
            match fault:
                case Stall(seconds=seconds):
                    line.hold()
                    await asyncio.sleep(seconds)
                    line.release()
                case Drip(bytes_per_write=bytes_per_write, interval_s=interval_s):
                    line.drip(bytes_per_write, interval_s)
                case SlowReader(bytes_per_s=bytes_per_s):
                    line.read_slowly(bytes_per_s)
                case NoClose():
                    line.leave_close_unanswered()
                case HalfOpen():
                    line.half_open()
                    await self._end()
                case Reset():
                    line.reset()
                    await self._end()
                case Close(code=code, reason=reason):
                    await self._close(code, reason)
                case _:
                    pass  # of a frame or its bytes

    async def _break(self, fault: Fault, message: bytes | None, first: int) -> None:
        """Do what concerns the bytes before a frame, or instead of it."""
        line = self._line
        match fault:
            case Garbage():
                line.write(self._received.garbage(fault))
            case FragmentFlood(n=n):
                line.write(fragments(padded_event(max(n, 256)), n))
                await line.drained()
            case SessionExpired():
                await self._close(_EXPIRED, EXPIRED_REASON)
            case CutFrame() if message is not None:
                whole = server_frame(first, message)
                line.write(whole[: len(whole) // 2])
                line.finish()
                await self._end()
            case EndlessFrame():
                line.mute()
                line.write(endless_head())
                while not line.is_closing:
                    line.write(_ENDLESS_PIECE)
                    await line.drained()
                await self._end()
            case _:
                pass  # of the line, or of the message

    async def _close(self, code: int, reason: str) -> NoReturn:
        self._line.write(close_frame(code, reason))
        self._line.finish()
        await self._end()

    async def _end(self) -> NoReturn:
        await self._line.wait_closed()
        raise self._line.close_exc

    def _write(self, message: bytes, first: int = _TEXT, *, masked: bool = False) -> None:
        self._note("received", _as_read(message, first & 0xF == _TEXT & 0xF))
        self._line.write((masked_server_frame if masked else server_frame)(first, message))

    def _now(self) -> float:
        return self._line.loop.time()


def _as_read(message: bytes, is_text: bool) -> str | bytes:
    try:
        return message.decode() if is_text else message
    except UnicodeDecodeError:
        return message
