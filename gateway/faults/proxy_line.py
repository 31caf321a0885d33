"""One connection through the proxy: what the faults of its plan do to its bytes. Owns two sockets, in the proxy's event loop.

Two tasks carry frames, one per direction, and one watches the clock. Nothing is kept but the frame in hand: a side that does not
read makes the other one wait, as TCP does.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Iterable
from math import inf

from ..mask import client_frame
from ..url import Endpoint
from . import event_faults, values
from .fault import Fault
from .plan import ConnectionPlan
from .proxy_frames import (
    CLOSE,
    Frame,
    FrameTooLong,
    close_frame,
    endless_head,
    fragments,
    masked_server_frame,
    read_frame,
    server_frame,
)
from .proxy_upgrade import refusal, without_extensions
from .rewriting import EXPIRED_REASON, Rewriter, Rewritten, padded_event, type_of

__all__ = ["ProxyLine"]

_CHUNK_BYTES = 16384
_CONNECT_S = 5.0
_GRACE_S = 1.0
_LOST = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, FrameTooLong)


class _Over(Exception):
    """The line has ended, as its fault wants it."""


class ProxyLine:
    """A client's connection and the one to the server behind it.

    Args:
        plan: Of this connection.
        target: The server.
        reader: From the client.
        writer: To the client.
    """

    def __init__(
        self,
        plan: ConnectionPlan,
        target: Endpoint,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._plan = plan
        self._target = target
        self._from_client, self._to_client = reader, writer
        self._from_server: asyncio.StreamReader
        self._to_server: asyncio.StreamWriter | None = None
        self._received = Rewriter(plan.random, "received")
        self._sent = Rewriter(plan.random, "sent")
        self._writing = asyncio.Lock()
        self._frozen_until = -inf
        self._drip: values.Drip | None = None
        self._bytes_per_s = inf
        self._answers_close = True
        self._hung_up = False
        self._up: asyncio.Task[None] | None = None
        self._client_gone = asyncio.Event()
        writer.transport.set_write_buffer_limits(0)  # what `drain` has let pass is with the kernel

    async def run(self) -> None:
        """Carry everything between the two, until either ends it or a fault does; leaves both sockets closed."""
        try:
            await self._serve()
        except _Over:
            pass
        except _LOST:
            self.reset()
        finally:
            writers = [writer for writer in (self._to_client, self._to_server) if writer is not None]
            for writer in writers:
                writer.transport.abort()
            await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)

    def reset(self) -> None:
        """End both connections with a TCP reset."""
        for writer in (self._to_client, self._to_server):
            if writer is not None:
                _reset(writer)

    # -- the upgrade

    async def _serve(self) -> None:
        faults = self._plan.connect()
        if any(isinstance(fault, values.Refuse) for fault in faults):
            _reset(self._to_client)
            return
        if any(isinstance(fault, values.SilentUpgrade) for fault in faults):
            await _discard(self._from_client)
            return
        head = b"" if self._target.secure else await self._from_client.readuntil(b"\r\n\r\n")
        for fault in faults:
            if isinstance(fault, values.HttpStatus):
                await self._hang_up(refusal(fault))
        await self._reach_server()
        assert self._to_server is not None
        self._to_server.write(without_extensions(head))
        opaque = self._target.secure
        if not opaque:
            answer = await self._from_server.readuntil(b"\r\n\r\n")
            await self._say(answer)
            opaque = not answer.startswith(b"HTTP/1.1 101 ")
        self._plan.opened(time.monotonic())
        await self._carry(opaque)

    async def _reach_server(self) -> None:
        target = self._target
        async with asyncio.timeout(_CONNECT_S):
            self._from_server, self._to_server = await asyncio.open_connection(
                target.host, target.port, limit=_CHUNK_BYTES
            )
        self._to_server.transport.set_write_buffer_limits(0)

    async def _carry(self, opaque: bool) -> None:
        """Run both directions and the clock until one of them ends, then let what the other has in hand arrive."""
        down = asyncio.create_task(self._pour_down() if opaque else self._carry_down())
        up = self._up = asyncio.create_task(self._pour_up() if opaque else self._carry_up())
        clock = asyncio.create_task(self._watch_clock())
        tasks = [down, up, clock]
        try:
            while not down.done() and not up.done():
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                tasks = [task for task in tasks if not task.done()]
            if up.done() and not down.done():
                await asyncio.wait([down], timeout=_GRACE_S)
        finally:
            for task in (down, up, clock):
                task.cancel()
            await asyncio.gather(down, up, clock, return_exceptions=True)

    # -- server to client

    async def _carry_down(self) -> None:
        while True:
            try:
                frame = await read_frame(self._from_server)
            except asyncio.IncompleteReadError as cut:
                await self._say(cut.partial)
                await self._end_client()
                return
            faults: tuple[Fault, ...] = ()
            if frame.is_data:
                kind = type_of(frame.payload) if frame.is_message else None
                faults = self._plan.frame("received", kind, time.monotonic())
            if faults or (self._received.is_waiting and frame.is_message):
                await self._act(faults, frame)
            else:
                await self._say(frame.raw)

    async def _act(self, faults: Iterable[Fault], frame: Frame | None) -> None:
        """Apply faults to a frame from the server, or to the silent line."""
        faults = list(faults)
        self._note(faults)
        rewritten = self._rewrite(self._received, frame, faults)
        before = b"".join(self._injected(fault) for fault in faults)
        before += b"".join(server_frame(0x81, message) for message in rewritten.before)
        for fault in faults:
            await self._end(fault, before, frame)
        await self._say(before + _own(faults, frame, rewritten))

    def _injected(self, fault: Fault) -> bytes:
        """Return the bytes that a fault puts in front of a frame."""
        match fault:
            case values.Garbage():
                return self._received.garbage(fault)
            case values.FragmentFlood(n=n):
                return fragments(padded_event(max(n, 256)), n)
            case _:
                return b""

    async def _end(self, fault: Fault, before: bytes, frame: Frame | None) -> None:
        """End the line, if that is what the fault does."""
        match fault:
            case values.Reset():
                await self._say(before)
                self.reset()
                raise _Over
            case values.Close(code=code, reason=reason):
                await self._hang_up(before + close_frame(code, reason))
            case event_faults.SessionExpired():
                await self._hang_up(before + close_frame(1001, EXPIRED_REASON))
            case values.CutFrame() if frame is not None:
                await self._hang_up(before + frame.raw[: max(1, len(frame.raw) // 2)])
            case values.EndlessFrame():
                await self._say(before + endless_head())
                while True:
                    await self._say(b" " * _CHUNK_BYTES)
            case _:
                pass

    # -- client to server

    async def _carry_up(self) -> None:
        while True:
            try:
                frame = await read_frame(self._from_client)
            except asyncio.IncompleteReadError as cut:
                await self._pass_on(cut.partial)
                self._client_gone.set()
                self._end_server()
                return
            if frame.opcode == CLOSE and not self._answers_close:
                continue
            await self._pass_on(await self._faulted(frame) if frame.is_data else frame.raw)

    async def _faulted(self, frame: Frame) -> bytes:
        """Return what becomes of a frame from the client."""
        kind = type_of(frame.payload) if frame.is_message else None
        faults = self._plan.frame("sent", kind, time.monotonic())
        if not faults and not (self._sent.is_waiting and frame.is_message):
            return frame.raw
        self._note(faults)
        rewritten = self._rewrite(self._sent, frame, faults)
        await self._say(b"".join(server_frame(0x81, answer) for answer in rewritten.answers))
        for fault in faults:
            await self._end(fault, b"", None)
        if not frame.is_message:
            return frame.raw
        key = self._plan.random.randbytes(4)
        return b"".join(client_frame(0x81, message, key) for message in rewritten.messages)

    def _rewrite(self, rewriter: Rewriter, frame: Frame | None, faults: Iterable[Fault]) -> Rewritten:
        """Apply the faults of messages; whole text messages are all that they can act on."""
        whole = frame is not None and frame.is_message
        rewritten = rewriter.rewrite(frame.payload if frame is not None and whole else None, faults)
        for fault in faults:
            if fault in rewritten.in_vain or (
                fault.needs_frame and not whole and not isinstance(fault, values.CutFrame)
            ):
                self._plan.in_vain(fault)
        return rewritten

    # -- bytes that cannot be read: TLS, or what follows a refused upgrade

    async def _pour_down(self) -> None:
        while data := await self._from_server.read(_CHUNK_BYTES):
            await self._say(data)
        await self._end_client()

    async def _pour_up(self) -> None:
        while data := await self._from_client.read(_CHUNK_BYTES):
            await self._pass_on(data)
        self._client_gone.set()
        self._end_server()

    # -- time and pace

    async def _watch_clock(self) -> None:
        while (due := self._plan.next_due()) is not None:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if faults := self._plan.due(time.monotonic()):
                await self._act(faults, None)
        await asyncio.Event().wait()

    def _note(self, faults: Iterable[Fault]) -> None:
        """Take up what a fault changes from now on."""
        for fault in faults:
            match fault:
                case values.Stall(seconds=seconds):
                    self._frozen_until = max(self._frozen_until, time.monotonic() + seconds)
                case values.HalfOpen():
                    self._frozen_until = inf
                case values.Drip():
                    self._drip = fault
                case values.SlowReader(bytes_per_s=bytes_per_s):
                    self._bytes_per_s = bytes_per_s
                case values.NoClose():
                    self._answers_close = False
                case _:
                    pass

    async def _thaw(self) -> None:
        while (left := self._frozen_until - time.monotonic()) > 0:
            await (asyncio.sleep(left) if left < inf else asyncio.Event().wait())

    async def _say(self, data: bytes) -> None:
        """Write to the client, whole frames at a time."""
        async with self._writing:
            await self._thaw()
            if self._hung_up:
                return
            drip = self._drip
            step = drip.bytes_per_write if drip else max(1, len(data))
            for at in range(0, len(data), step):
                self._to_client.write(data[at : at + step])
                await self._to_client.drain()
                if drip:
                    await asyncio.sleep(drip.interval_s)

    async def _pass_on(self, data: bytes) -> None:
        """Write to the server, no faster than it is to read."""
        assert self._to_server is not None
        if self._hung_up:
            return
        await self._thaw()
        if not self._bytes_per_s:
            await asyncio.Event().wait()
        await asyncio.sleep(len(data) / self._bytes_per_s)
        await self._thaw()
        self._to_server.write(data)
        await self._to_server.drain()

    # -- ends

    async def _hang_up(self, last: bytes) -> None:
        """Say the last thing, end TCP, and with it the line."""
        await self._say(last)
        await self._end_client()
        raise _Over

    async def _end_client(self) -> None:
        """End TCP, and give the client a moment to end its half: to close over unread data would reset it."""
        async with self._writing:
            await self._thaw()
            if self._hung_up:
                return
            self._hung_up = True
            self._to_client.write_eof()
        reads_here = self._up is None or self._up is asyncio.current_task()
        try:
            async with asyncio.timeout(_GRACE_S):
                await (_discard(self._from_client) if reads_here else self._client_gone.wait())
        except TimeoutError:
            pass  # it had its moment

    def _end_server(self) -> None:
        assert self._to_server is not None
        self._to_server.write_eof()


async def _discard(reader: asyncio.StreamReader) -> None:
    while await reader.read(_CHUNK_BYTES):
        pass


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass  # it is closed already, and its transport does not know yet
    writer.transport.abort()


def _own(faults: list[Fault], frame: Frame | None, rewritten: Rewritten) -> bytes:
    """Return the frame as its faults leave it."""
    if frame is None:
        return b""
    if not frame.is_message:
        return frame.raw
    first, write = frame.first, server_frame
    for fault in faults:
        if isinstance(fault, values.CompressedBit):
            first |= 0x40
        elif isinstance(fault, values.MaskedFrame):
            write = masked_server_frame
    return b"".join(write(first, message) for message in rewritten.own)
