"""Who gets a session's events: the table that outlives the session's actor. Owns no thread; any thread may use it.

Each incarnation of the session publishes through a :class:`Publisher` of its own; the next one fences it off, so that a
zombie that wakes up reaches nobody. ``close`` is idempotent, the first call wins: each subscriber sees exactly one
``session_closed``, last, whatever died first.

Source: DESIGN sections 2 ("How a session ends") and 5 ("Subscribers").
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Any

import pykka

from .commands import Subscriber
from .event_stream import EventStream
from .events import Error, Event, SessionClosed, SessionOpened
from .raw_frame import RawFrame
from .sinks import ActorSink, CallbackSink, Sink, StreamSink, Unheard

_log = logging.getLogger("trunkline.actors")


class Subscribers:
    """The subscribers of one session."""

    def __init__(self, session_id: str) -> None:
        self._session_id = session_id
        self._lock = threading.Lock()  # never held while a subscriber is called
        self._unheard: Unheard | None = Unheard()
        self._sinks: tuple[Sink, ...] = (self._unheard,)
        self._raw: tuple[Sink, ...] = ()  # those of them who want the frames too
        self._opened: SessionOpened | None = None
        self._closed: SessionClosed | None = None
        self._last: Sequence[Event] = ()  # what came to its end with the session
        self._publisher: Publisher | None = None
        self._early: EventStream[Any] | None = None
        self._thread: threading.Thread | None = None  # where callbacks are called: the session's
        # Of a closed session: who has not been called a last time.
        self._to_call: deque[CallbackSink] = deque()

    @property
    def closed(self) -> SessionClosed | None:
        """How the session ended, if it has."""
        return self._closed

    def publisher(self) -> Publisher:
        """Return the only publisher that still counts; callbacks are called in this thread from now on."""
        with self._lock:
            self._publisher = Publisher(self)
            self._thread = threading.current_thread()
            return self._publisher

    def called_here(self) -> bool:
        """Return whether this is the thread in which callbacks are called."""
        return threading.current_thread() is self._thread

    def keep_for_the_first(self) -> None:
        """Keep what happens for the first subscriber: a session that is resumed goes on before anybody can listen."""
        self._early = self._new_stream()

    @property
    def wants_raw(self) -> bool:
        """Whether anybody wants the wire's frames."""
        return bool(self._raw)

    def stream(self, *, raw: bool = False) -> EventStream[Any]:
        """Return a new stream that begins with ``session_opened``; after the end it holds just the end."""
        stream = self._take_early() or self._new_stream()
        if raw:
            self._want_raw(stream)
        return stream

    def add(self, subscriber: Subscriber, *, raw: bool = False) -> None:
        """Deliver from now on, ``session_opened`` first. A subscriber that is there already is not added again.

        In the session's thread, and so between two events.
        """
        if all(sink.subscriber != subscriber for sink in self._sinks):
            self._add_new(subscriber)
        if raw:
            self._want_raw(subscriber)

    def _want_raw(self, subscriber: object) -> None:
        with self._lock:
            wanted = [sink for sink in self._sinks if sink.subscriber == subscriber]
            self._raw = (*self._raw, *(sink for sink in wanted if sink not in self._raw))

    def _add_new(self, subscriber: Subscriber) -> None:
        if isinstance(subscriber, pykka.ActorRef):
            sink: Sink = ActorSink(subscriber, self._session_id)
        else:
            sink = CallbackSink(subscriber)
        early = self._take_early()
        if early is None:
            self._add(sink)
            return
        missed = [early.get(0.0) for _ in range(early.backlog)]
        early.close()
        with self._lock:
            self._put(sink)
        for event in missed:
            self._guard(sink, sink.deliver, event)

    def _new_stream(self) -> EventStream[Any]:
        stream: EventStream[Any] = EventStream(lambda: self.remove(stream))
        self._add(StreamSink(stream))
        return stream

    def _take_early(self) -> EventStream[Any] | None:
        with self._lock:
            early, self._early = self._early, None
            gave_up = self._closed is None and all(sink.subscriber is not early for sink in self._sinks)
            # Nobody came for too long: what it holds is no beginning any more.
            return None if gave_up else early

    def remove(self, subscriber: object) -> None:
        """Deliver no more; nothing happens if it is no subscriber."""
        with self._lock:
            self._sinks = tuple(sink for sink in self._sinks if sink.subscriber != subscriber)
            self._raw = tuple(sink for sink in self._raw if sink.subscriber != subscriber)

    def close(
        self, closed: SessionClosed, unfinished: Callable[[SessionClosed], Sequence[Event]] = lambda _: ()
    ) -> bool:
        """End every subscriber with this event. Returns whether it was the first call.

        ``unfinished`` says what they have to be told before that, because it ends with the session.

        Callbacks come last, and are called here only if this is the session's thread. In any other thread they must not hold
        anybody up (it is a supervisor's, or the broker's): each is called in a thread of its own. So is, on a later call,
        whoever stands behind a callback that hangs.
        """
        with self._lock:
            first = self._closed is None
            if first:
                self._closed = closed
                self._publisher = None
                self._last = [*unfinished(closed)]
                sinks, self._sinks, self._raw = self._sinks, (), ()
                callbacks = [sink for sink in sinks if isinstance(sink, CallbackSink)]
                for callback in callbacks:
                    callback.silence()
                others = [sink for sink in sinks if not isinstance(sink, CallbackSink)]
                self._to_call.extend(callbacks)
            else:
                closed, others = self._closed or closed, []
        for sink in others:
            self._end(sink, closed)
        self._call_the_rest(closed)
        return first

    def _end(self, sink: Sink, closed: SessionClosed) -> None:
        for event in self._last:
            self._guard(sink, sink.deliver_late, event)
        self._guard(sink, sink.end, closed)

    def _call_the_rest(self, closed: SessionClosed) -> None:
        here = self.called_here()
        while self._to_call:
            try:
                sink = self._to_call.popleft()
            except IndexError:
                return  # another thread was faster
            if here:
                self._end(sink, closed)
            else:
                name = f"session_closed {self._session_id}"
                threading.Thread(target=self._end, args=(sink, closed), name=name, daemon=True).start()

    def _add(self, sink: Sink) -> None:
        with self._lock:
            opened = self._opened
            if opened is None and self._closed is None:
                self._take_unheard()
                self._put(sink)
                return
        if opened is not None:
            self._guard(sink, sink.deliver, opened)
        with self._lock:
            closed = self._closed
            unheard = self._take_unheard()
            if closed is None:
                self._put(sink)
        for error in unheard:
            self._guard(sink, sink.deliver, error)
        if closed is not None:
            self._guard(sink, sink.end, closed)

    def _take_unheard(self) -> Collection[Error]:
        """Somebody listens from now on. Returns what nobody has heard."""
        unheard, self._unheard = self._unheard, None
        if unheard is None:
            return ()
        self._sinks = tuple(sink for sink in self._sinks if sink is not unheard)
        return unheard.errors

    def _put(self, sink: Sink) -> None:
        if all(sink.subscriber != other.subscriber for other in self._sinks):
            self._sinks = (*self._sinks, sink)

    def _refused(self, sink: Sink) -> None:
        if not isinstance(sink, CallbackSink):  # a function may return what it likes
            self.remove(sink.subscriber)

    def _open(self, event: SessionOpened) -> None:
        with self._lock:
            sinks = self._sinks if self._opened is None else ()
            self._opened = event  # of a later line: for those who come later
        for sink in sinks:
            self._guard(sink, sink.deliver, event)

    def _guard(self, sink: Sink, deliver: Callable[[Any], object], event: Event) -> None:
        try:
            deliver(event)
        except BaseException as error:  # noqa: BLE001 - a broken subscriber harms nobody but itself
            self._blame(sink, error)

    def _blame(self, sink: Sink, error: BaseException) -> None:
        if isinstance(error, pykka.ActorDeadError) and isinstance(sink, ActorSink):
            # A function that met a dead actor lives: it is told on, and its error is logged.
            self.remove(sink.subscriber)
            return
        _log.error(
            "a subscriber raised %s",
            type(error).__name__,
            exc_info=error,
            extra={"session_id": self._session_id},
        )


class Publisher:
    """Publishes for one incarnation of the session, until the next one takes over or the session is closed."""

    __slots__ = ("_table",)

    def __init__(self, table: Subscribers) -> None:
        self._table = table

    def __call__(self, event: Event) -> None:
        """Deliver an event to every subscriber, or to nobody if this publisher no longer counts."""
        table = self._table
        if table._publisher is not self:
            return
        for sink in table._sinks:
            try:
                if sink.deliver(event) is False:
                    table._refused(sink)
            except BaseException as error:  # noqa: BLE001 - a broken subscriber harms nobody but itself
                table._blame(sink, error)

    @property
    def wants_raw(self) -> bool:
        """Whether a frame has to be shown to :meth:`raw`."""
        return bool(self._table._raw)

    def raw(self, frame: RawFrame) -> None:
        """Deliver a frame to those who want frames."""
        table = self._table
        if table._publisher is not self:
            return
        for sink in table._raw:
            try:
                if sink.deliver_raw(frame) is False:
                    table._refused(sink)
            except BaseException as error:  # noqa: BLE001 - a broken subscriber harms nobody but itself
                table._blame(sink, error)

    def open(self, event: SessionOpened) -> None:
        """Deliver ``session_opened`` to those who have not had one."""
        if self._table._publisher is self:
            self._table._open(event)
