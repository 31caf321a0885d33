"""One client's connection: reads frames into the core, plays its responses, writes what comes out. Owns a socket.

Everything here runs in the simulator's event loop: one task reads, one writes, one plays each response. Events go out in
the order in which the core made them, through one outbox; who fills it faster than the client reads has to wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import msgspec
from websockets.exceptions import ConnectionClosed

from .admission import Refusal
from .brains import Brain, asked, brain_for, observer_of
from .client_error import ClientError
from .connection_faults import ConnectionFaults
from .effects import Abandon, Effect, Send, Start, Wake
from .ids import Event
from .line import Line
from .response_run import ResponseRun
from .session_core import Reply, SessionCore
from .steps import Hold, Latch, Pause
from .wire_log import Direction, parsed

_logger = logging.getLogger("trunkline.gateway")
_OUTBOX_LIMIT = 256
_TURN = 32
"""Bursts that a response sends before the other tasks get their turn."""

Note = Callable[[Direction, str | bytes], None]


class _Close:
    __slots__ = ("code", "reason")

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason


class _Drop:
    __slots__ = ()


class Connection:
    """A session with its socket and tasks.

    Args:
        number: Which connection of the simulator it is, from 1.
        line: Open.
        note: Called with each frame and its direction.
        core: The session; None for a client that is only told why it is refused.
        brain: What answers.
    """

    def __init__(self, number: int, line: Line, note: Note, core: SessionCore | None, brain: Brain) -> None:
        self.number = number
        self._line = line
        self._note = note
        self._faults = ConnectionFaults(line.plan, line, note) if line.plan is not None else None
        self._core = core
        # Who is only told why it is refused, no brain hears of.
        self._brain = brain if core is None else brain_for(brain, number)
        self._observe = observer_of(self._brain)
        self._outbox: asyncio.Queue[str | bytes | _Close | _Drop] = asyncio.Queue()
        self._room = asyncio.Event()
        self._room.set()
        self._playing: dict[str, asyncio.Task[None]] = {}
        self._timers: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve the client until either side ends the connection; leaves no task behind."""
        tasks = [self._started(self._write(), f"write {self.number}")]
        if self._faults is not None:
            tasks.append(self._started(self._faults.watch(), f"faults {self.number}"))
        try:
            if self._core is not None:
                self._perform(self._core.open())
            await self._read()
        finally:
            tasks += [*self._playing.values(), *self._timers]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def send(self, event: Event) -> None:
        """Queue an event."""
        self.inject(msgspec.json.encode(event).decode())

    def inject(self, frame: str | bytes) -> None:
        """Queue a frame as it is: text, or binary for bytes."""
        self._outbox.put_nowait(frame)
        if self._outbox.qsize() >= _OUTBOX_LIMIT:
            self._room.clear()

    def close(self, code: int, reason: str) -> None:
        """Close behind what is queued."""
        self._outbox.put_nowait(_Close(code, reason))

    def drop(self) -> None:
        """End the TCP connection behind what is queued, without a CLOSE."""
        self._outbox.put_nowait(_Drop())

    def refuse(self, refusal: Refusal) -> None:
        """Tell the client why it is not served, and close."""
        error = ClientError(refusal.code, refusal.message)
        self.send({"type": "error", "event_id": f"event_refused_{self.number}", "error": error.detail(None)})
        self.close(refusal.close_code, f"invalid_request_error.{refusal.code}")

    def expire(self, age_s: float) -> None:
        """End the session as the service ends one that is too old."""
        if self._core is not None:
            event, reason = self._core.expire(age_s)
            self.send(event)
            self.close(1001, reason)

    def reset(self) -> None:
        """End the TCP connection with a reset: no CLOSE, nothing flushed."""
        self._line.reset()

    async def _read(self) -> None:
        try:
            while True:
                frame = await self._line.recv()
                self._note("sent", frame)
                for taken in [frame] if self._faults is None else await self._faults.take(frame):
                    self._take(taken)
                await self._room.wait()
        except ConnectionClosed:
            return

    def _take(self, frame: str | bytes) -> None:
        if self._core is not None:
            if self._observe is not None:
                self._observe(parsed(frame))
            self._perform(self._core.receive(frame))

    async def _write(self) -> None:
        try:
            while True:
                entry = await self._outbox.get()
                if self._outbox.qsize() < _OUTBOX_LIMIT // 2:
                    self._room.set()
                if isinstance(entry, _Close):
                    await self._line.close(entry.code, entry.reason)
                    return
                if isinstance(entry, _Drop):
                    self._line.finish()
                    return
                if self._faults is not None:
                    await self._faults.send(entry)
                    continue
                self._note("received", entry)
                await self._line.send(entry)
        except ConnectionClosed:
            return
        finally:
            # Whoever waits for room may go on: what they queue now goes nowhere, and the reader ends them.
            self._room.set()

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(event=event):
                    self.send(event)
                case Start(run=run):
                    # Asked now, not by the task: a brain hears of a response and of client events in the wire's order.
                    reply = asked(self._brain, run.conversation)
                    self._playing[run.id] = self._started(self._play(run, reply), run.id)
                case Abandon(response_id=response_id):
                    task = self._playing.pop(response_id, None)
                    if task is not None:
                        task.cancel()
                case Wake():
                    self._set_timer(effect)

    def _started(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._report)
        return task

    def _report(self, task: asyncio.Task[None]) -> None:
        """End a connection one of whose tasks has failed: a defect of the simulator's, which must not look like silence."""
        if not task.cancelled() and (error := task.exception()) is not None:
            _logger.error("connection %d: %s failed", self.number, task.get_name(), exc_info=error)
            self._line.transport.abort()

    def _set_timer(self, wake: Wake) -> None:
        timer = self._started(self._wake(wake), wake.token)
        self._timers.add(timer)
        timer.add_done_callback(self._timers.discard)

    async def _wake(self, wake: Wake) -> None:
        assert self._core is not None
        await asyncio.sleep(wake.after_s)
        if wake.hold is not None:
            await _opened(wake.hold)
        self._perform(self._core.wake(wake.token))

    async def _play(self, run: ResponseRun, reply: Reply) -> None:
        assert self._core is not None
        n_bursts = 0
        for action in self._core.play(run, reply):
            match action:
                case Pause(seconds=seconds):
                    await asyncio.sleep(seconds)
                case Hold(gate=gate):
                    await _opened(gate)
                case Wake():
                    self._set_timer(action)
                case _:
                    for event in action:
                        self.send(event)
                    n_bursts += 1
                    if n_bursts % _TURN == 0:
                        await asyncio.sleep(0)
                    await self._room.wait()
        self._playing.pop(run.id, None)


async def _opened(gate: Latch) -> None:
    loop = asyncio.get_running_loop()
    opened = asyncio.Event()

    def wake() -> None:
        try:
            loop.call_soon_threadsafe(opened.set)
        except RuntimeError:
            # The simulator was stopped while the response waited: nobody is left to wake.
            pass

    gate.when_open(wake)
    await opened.wait()
