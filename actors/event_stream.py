"""A subscriber's own queue of events, read by iterating it. Owns no thread: its session's thread writes, its reader's reads.

Writing costs one append while nobody waits: no lock, no wake-up. That is Dekker's handshake between two flags: the writer
appends, then reads ``_parked``; a reader sets ``_parked``, then looks at the queue again. Whatever the interleaving, one of the two
sees the other, so no wake-up is lost. It needs each step to be visible before the next one, which the interpreter lock gives.

Everything else, reading included, happens under the stream's lock; the writer takes it only to wake a reader, or when the
reader lags (:mod:`.backlog`).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, cast

from .backlog import BacklogLimits, Gap, lagging_error, overflow_error, size_of, trim
from .errors import SessionError
from .events import AssistantAudioDelta, Event, SessionClosed
from .raw_frame import EventOrFrame, RawFrame

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    E = TypeVar("E", default=Event)
else:
    from typing import TypeVar

    E = TypeVar("E")  # before Python 3.13 a default is for type checkers only

_CLOSED = -1  # a bound that the next put is sure to find exceeded


class StreamTimeout(SessionError, TimeoutError):
    """No event came in time. Nobody's fault; the stream goes on.

    Attributes:
        timeout_s: how long ``get`` waited, in seconds.
    """

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"no event within {timeout_s} s", code="stream_timeout")
        self.timeout_s = timeout_s

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.timeout_s,)


class StreamEnded(SessionError):
    """There are no more events: the last one was read, or the stream was closed."""

    def __init__(self) -> None:
        super().__init__("the stream has ended: no more events", code="stream_ended")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()


class _Last:
    """Wraps the last event of a stream that ends without ``session_closed``."""

    __slots__ = ("event",)

    def __init__(self, event: Event) -> None:
        self.event = event


_MARKED = frozenset({AssistantAudioDelta, RawFrame, SessionClosed, Gap, _Last})


class EventStream(Generic[E]):
    """The events of one session, for one reader: ``for event in stream`` or ``async for event in stream``.

    A plain ``EventStream`` gives events; ``EventStream[Event | RawFrame]``, made by ``events(raw=True)``, the wire's frames too.

    It ends after ``session_closed``; iterating again ends at once. Several threads or tasks may read it: each event goes to one
    of them. ``with stream:`` closes it.

    A reader that lags loses deltas, audio first, and learns of it by one ``error(code="subscriber_lagging", dropped=n)`` in their
    place; one that stops reading altogether is ended with an error (see :mod:`.backlog`).

    Args:
        on_close: called once, in the reader's thread, when the reader closes the stream before its end: unsubscribe there.
        limits: how far the reader may lag.
    """

    def __init__(
        self, on_close: Callable[[], object] | None = None, *, limits: BacklogLimits | None = None
    ) -> None:
        self._limits = limits or BacklogLimits()
        self._on_close = on_close
        self._queue: deque[Any] = deque()
        self._bound = self._limits.max_events
        self._audio_bound = self._limits.max_audio_bytes
        self._audio_in = 0  # bytes; the writer's
        self._audio_out = 0  # bytes; the readers', under the lock
        self._parked = False
        self._ended = False
        self._given_up = False
        self._lock = threading.Lock()
        self._waiting: list[Callable[[], object]] = []

    # the session's side

    def put(self, event: EventOrFrame) -> bool:
        """Add an event. Never waits for a reader.

        Returns:
            False when the stream has ended (closed, or its reader was given up): drop this subscriber.
        """
        queue = self._queue
        queue.append(event)
        if type(event) is AssistantAudioDelta:
            self._audio_in += event.pcm.nbytes
            if self._audio_in - self._audio_out > self._audio_bound:
                return self._make_room()
        if len(queue) > self._bound:
            return self._make_room()
        if self._parked:
            self._wake()
        return True

    def put_raw(self, frame: RawFrame) -> bool:
        """Add a frame: as ``put``, and it counts as audio does."""
        self._audio_in += len(frame.data)
        if self._audio_in - self._audio_out > self._audio_bound:
            self._queue.append(frame)
            return self._make_room()
        return self.put(frame)

    # the reader's side

    def get(self, timeout_s: float | None = None) -> E:
        """Return the next event, waiting for it.

        Args:
            timeout_s: how long, in seconds; None: as long as it takes; 0: not at all.

        Raises:
            StreamTimeout: none came.
            StreamEnded: none will come.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while (event := self._take()) is None:
            left_s = None if deadline is None else deadline - time.monotonic()
            if left_s is not None and left_s <= 0:
                raise StreamTimeout(timeout_s or 0.0)
            self._sleep(left_s)
        return event

    def close(self) -> None:
        """Stop reading: unsubscribe, forget what was not read, end every iterator. Closing again does nothing."""
        with self._lock:
            if self._ended:
                return
            self._end()
        if self._on_close is not None:
            self._on_close()

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to read: the last event was read, or the stream was closed."""
        return self._ended

    @property
    def backlog(self) -> int:
        """How many events wait to be read."""
        return len(self._queue)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> E:
        try:
            while (event := self._take()) is None:
                self._sleep(None)
        except StreamEnded:
            raise StopIteration from None
        return event

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> E:
        try:
            while (event := self._take()) is None:
                await self._arrival()
        except StreamEnded:
            raise StopAsyncIteration from None
        return event

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<EventStream {'ended' if self._ended else f'{self.backlog} waiting'}>"

    # reading

    def _take(self) -> E | None:
        """Return the next event, or None when there is none yet."""
        with self._lock:
            if not self._queue:
                if self._ended:
                    raise StreamEnded
                return None
            first = self._queue.popleft()
            event = self._marked(first) if type(first) in _MARKED else first
            if self._bound > self._limits.max_events >= len(self._queue):
                self._bound = self._limits.max_events  # caught up
            return cast("E", event)

    def _marked(self, first: AssistantAudioDelta | RawFrame | SessionClosed | Gap | _Last) -> EventOrFrame:
        match first:
            case AssistantAudioDelta() | RawFrame():
                self._audio_out += size_of(first)
                return first
            case Gap():
                return lagging_error(first)
            case _Last():
                self._end()
                return first.event
            case SessionClosed():
                self._end()
                return first

    def _sleep(self, timeout_s: float | None) -> None:
        waiter = threading.Lock()
        waiter.acquire()
        if not self._park(waiter.release):
            return
        try:
            waiter.acquire(timeout=-1 if timeout_s is None else min(timeout_s, threading.TIMEOUT_MAX))
        finally:
            self._leave(waiter.release)

    async def _arrival(self) -> None:
        loop = asyncio.get_running_loop()
        arrived = loop.create_future()

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(_resolve, arrived)
            except RuntimeError:
                pass  # that reader's loop is closed: it waits no more

        if not self._park(wake):
            return
        try:
            await arrived
        finally:
            self._leave(wake)

    def _park(self, wake: Callable[[], object]) -> bool:
        """Have ``wake`` called, once, after the next put. Returns False, and it is not, when there is something to read."""
        with self._lock:
            self._parked = True
            if self._queue or self._ended:  # after the flag, not before: see the module's docstring
                return False
            self._waiting.append(wake)
            return True

    def _leave(self, wake: Callable[[], object]) -> None:
        with self._lock:
            if wake in self._waiting:
                self._waiting.remove(wake)

    # the rest of the session's side

    def _wake(self) -> None:
        with self._lock:
            self._wake_all()

    def _wake_all(self) -> None:
        # all of them: the one that is woken may have given up in this moment, and the event would find nobody
        self._parked = False
        waiting, self._waiting = self._waiting, []
        for wake in waiting:
            wake()

    def _end(self) -> None:
        self._ended = True
        self._bound = _CLOSED
        self._queue.clear()
        self._wake_all()

    def _make_room(self) -> bool:
        with self._lock:
            if self._ended:
                self._queue.clear()
                return False
            queue = self._queue
            if self._given_up:
                queue.pop()
                return False
            # a put by another thread may append meanwhile: only what was there is taken out and put back in front
            trimmed = trim([queue.popleft() for _ in range(len(queue))], self._limits)
            if trimmed.overflow:
                trimmed.kept[self._limits.max_kept :] = [_Last(overflow_error(self._limits))]
                self._given_up = True
            queue.extendleft(reversed(trimmed.kept))
            self._audio_out = self._audio_in - trimmed.audio_bytes
            self._bound = _CLOSED if trimmed.overflow else trimmed.next_look
            self._wake_all()
            return not trimmed.overflow


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
