"""A test's record of a session's events, that can be waited on. Owns a lock; the session's thread writes, any thread reads."""

from __future__ import annotations

import difflib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from types import TracebackType
from typing import Any, Final, NoReturn, Protocol, Self, TypeVar, overload

import numpy as np
import pykka

from .events import EVENT_CLASSES, Event, SessionClosed, SessionEvent

__all__ = ["EventLog", "Subscribable"]

E = TypeVar("E", bound=SessionEvent)

_CLASSES: Final = {cls.kind: cls for cls in EVENT_CLASSES}
_DELTAS: Final = frozenset(kind for kind in _CLASSES if kind.endswith("_delta"))
_MAX_SHOWN = 60
_MAX_VALUE = 60


class Subscribable(Protocol):
    """What has events to deliver: a `SessionProxy`."""

    def subscribe(self, subscriber: Callable[[Event], object], /) -> Any:
        """Call this function with each event; returns a future."""
        ...

    def unsubscribe(self, subscriber: Callable[[Event], object], /) -> Any:
        """Call it no more; returns a future."""
        ...


class EventLog:
    """Keep a session's events, in order, and wait for those that a test needs.

        with EventLog(session) as log:
            session.send_text("hello").get()
            assert "hi" in log.wait_for(AssistantText).text
            log.never("error")

    Events are named by their class or by their kind. Without a session it is a function that takes events: `log.note`.

    Args:
        session: Subscribed to at once; the first event is its `session_opened`.
        timeout_s: Seconds that a wait takes at most where it does not say; may be changed at any time.
        limit: How many events are kept: the newest.

    Raises:
        pykka.Timeout: The session did not answer within `timeout_s`.
        trunkline.supervision.ActorDown: The session is closed: the caller's fault.
    """

    def __init__(
        self, session: Subscribable | None = None, *, timeout_s: float = 5.0, limit: int = 10_000
    ) -> None:
        self.timeout_s = timeout_s
        self._changed = threading.Condition()
        self._events: deque[Event] = deque(maxlen=limit)
        self._left: deque[Event] = deque(maxlen=limit)
        self._n_events = 0
        self._session = session
        if session is not None:
            session.subscribe(self.note).get(timeout=timeout_s)

    def note(self, event: Event) -> None:
        """Take an event; the session calls it."""
        with self._changed:
            self._events.append(event)
            self._left.append(event)
            self._n_events += 1
            self._changed.notify_all()

    # -- looking

    @property
    def events(self) -> list[Event]:
        """All events that are kept, oldest first."""
        with self._changed:
            return list(self._events)

    def kinds(self) -> list[str]:
        """Return the kinds of all events that are kept, oldest first."""
        return [event.kind for event in self.events]

    @overload
    def all(self, kind: type[E], /, **fields: Any) -> list[E]: ...
    @overload
    def all(self, kind: str, /, **fields: Any) -> list[Any]: ...
    def all(self, kind: Any, /, **fields: Any) -> list[Any]:
        """Return the events of this kind, waited for already or not; as `wait_for` chooses."""
        wanted = _Wanted(kind, fields)
        return [event for event in self.events if wanted.fits(event)]

    # -- waiting

    @overload
    def wait_for(self, kind: type[E], timeout_s: float | None = None, /, **fields: Any) -> E: ...
    @overload
    def wait_for(self, kind: str, timeout_s: float | None = None, /, **fields: Any) -> Any: ...
    def wait_for(self, kind: Any, timeout_s: float | None = None, /, **fields: Any) -> Any:
        """Return the first event of this kind that was not returned before, waiting for it. Others stay for a later call.

        Args:
            kind: A class or its `kind`.
            timeout_s: Seconds to wait at most; None: the log's `timeout_s`.
            fields: What it must hold: a value, or a function of the value.

        Raises:
            AssertionError: None came in time, or the session was closed without one; the text shows what did come.
            ValueError: There is no such kind, or it has no such field: the caller's fault.
        """
        wanted = _Wanted(kind, fields)
        limit_s = self.timeout_s if timeout_s is None else timeout_s
        deadline = time.monotonic() + limit_s
        with self._changed:
            while True:
                for event in self._left:
                    if wanted.fits(event):
                        _remove(self._left, event)
                        return event
                if self._events and isinstance(self._events[-1], SessionClosed):
                    self._fail(f"the session is closed, and there was no {wanted}")
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    self._fail(f"no {wanted} within {limit_s} s")
                self._changed.wait(left_s)

    def never(self, kind: str | type[SessionEvent], for_s: float = 0.0, /, **fields: Any) -> None:
        """Claim that no event of this kind is in the log, nor comes for `for_s` seconds.

        Raises:
            AssertionError: There is one; the text shows what came.
            ValueError: There is no such kind, or it has no such field: the caller's fault.
        """
        wanted = _Wanted(kind, fields)
        deadline = time.monotonic() + for_s
        with self._changed:
            while True:
                if any(wanted.fits(event) for event in self._events):
                    self._fail(f"there was to be no {wanted}")
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return
                self._changed.wait(left_s)

    # -- the end

    def close(self) -> None:
        """Unsubscribe. What came can still be looked at; closing again does nothing."""
        session, self._session = self._session, None
        if session is not None:
            try:
                session.unsubscribe(self.note).get(timeout=self.timeout_s)
            except pykka.ActorDeadError:
                pass  # the session is closed: there is nothing to unsubscribe from

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __str__(self) -> str:
        with self._changed:
            return "\n".join(self._lines())

    def _fail(self, what: str) -> NoReturn:
        raise AssertionError("\n".join([f"{what}; what came:", *self._lines()]))

    def _lines(self) -> Iterator[str]:
        if not self._events:
            yield "  (nothing)"
            return
        lines = list(_lines_of(list(self._events)))
        n_hidden = self._n_events - len(self._events)
        if n_hidden:
            yield f"  ({n_hidden} older ones were not kept)"
        if len(lines) > _MAX_SHOWN:
            yield f"  ({len(lines) - _MAX_SHOWN} more lines)"
        yield from lines[-_MAX_SHOWN:]


class _Wanted:
    """A kind of event, and what its fields must hold."""

    def __init__(self, kind: str | type[SessionEvent], fields: Mapping[str, Any]) -> None:
        name = kind if isinstance(kind, str) else getattr(kind, "kind", None)
        if name not in _CLASSES:
            close = difflib.get_close_matches(str(name), _CLASSES, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(_CLASSES)}"
            raise ValueError(f"no event has the kind {name or kind!r}{hint}")
        self._cls: type[SessionEvent] = _CLASSES[name]
        known: Sequence[str] = self._cls.__struct_fields__
        unknown = [field for field in fields if field not in known]
        if unknown:
            raise ValueError(f"{name} has no field {unknown[0]!r}; it has {', '.join(known) or 'none'}")
        self._fields = fields

    def fits(self, event: Event) -> bool:
        """Tell whether this is such an event."""
        return isinstance(event, self._cls) and all(
            _holds(getattr(event, name), value) for name, value in self._fields.items()
        )

    def __str__(self) -> str:
        fields = ", ".join(f"{name}={_shown(value)}" for name, value in self._fields.items())
        return f"{self._cls.kind}({fields})" if fields else self._cls.kind


def _holds(got: Any, wanted: Any) -> bool:
    if callable(wanted):
        return bool(wanted(got))
    if isinstance(got, np.ndarray) or isinstance(wanted, np.ndarray):
        return bool(np.array_equal(got, wanted))
    return bool(got == wanted)


def _remove(events: deque[Event], event: Event) -> None:
    # By identity: events are compared by their fields, and an array has no truth value.
    for index, one in enumerate(events):
        if one is event:
            del events[index]
            return


def _lines_of(events: list[Event]) -> Iterator[str]:
    for kind, same in groupby(events, key=lambda event: event.kind):
        run = list(same)
        if kind in _DELTAS and len(run) > 1:
            yield f"  {len(run)} x {kind}"
        else:
            yield from (f"  {_summary(event)}" for event in run)


def _summary(event: Event) -> str:
    fields = (f"{name}={_shown(value)}" for name, value in event.payload.items() if value is not None)
    return f"{event.kind}  {', '.join(fields)}".rstrip()


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"({len(value)} samples)"
    if callable(value):
        return str(getattr(value, "__name__", value))
    text = repr(value)
    return text if len(text) <= _MAX_VALUE else f"{text[: _MAX_VALUE - 1]}\u2026"
