"""What went over the simulator's wires, for tests to ask about. Owns a lock; any thread may read and wait.

Directions are the client's, which is what a test is about: `sent` is what clients sent, `received` what they were sent.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from ..faults.errors import near
from ..faults.schedule import direction_of, types_of
from .field_match import wanted_fields
from .wire_events import WireEvent, WireEvents
from .wire_excerpt import excerpt

__all__ = ["Closed", "Direction", "Handshake", "WireEvent", "WireEvents", "WireLog", "parsed", "type_of"]

Direction = Literal["sent", "received"]


@dataclass(frozen=True, slots=True)
class Handshake:
    """An upgrade that a client asked for.

    Args:
        connection: Its number; 0 if it was refused with an HTTP status.
        path: With the query.
        headers: Lower-case names. They hold the client's key: `repr` leaves them out.
    """

    connection: int
    path: str
    headers: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Handshake(connection={self.connection}, path={self.path!r})"


@dataclass(frozen=True, slots=True)
class Closed:
    """A connection that ended: `code` 1006 means without a CLOSE frame of the client's."""

    connection: int
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Frame:
    position: int
    direction: Direction
    connection: int
    type: str | None
    frame: str | bytes

    def parsed(self) -> Mapping[str, Any]:
        """Return the event."""
        return parsed(self.frame)


class WireLog:
    """Keep the newest frames of all connections, in order.

    Args:
        limit: How many frames are kept; 0 keeps none (for load tests).

    Attributes:
        timeout_s: Seconds that a wait takes at most where it does not say; may be set at any time.
    """

    def __init__(self, limit: int = 100_000) -> None:
        self.timeout_s = 5.0
        self._n_frames = 0
        self._changed = threading.Condition()
        self._frames: deque[_Frame] = deque(maxlen=limit)
        self._counts: Counter[tuple[Direction, str | None]] = Counter()
        self._handshakes: deque[Handshake] = deque(maxlen=limit)
        self._closed: deque[Closed] = deque(maxlen=limit)

    def sent(
        self, type: str | None = None, connection: int | None = None, *, any_type: bool = False
    ) -> WireEvents:
        """Return what clients sent, oldest first; of one type or connection only, if given.

        Args:
            type: Of the events.
            connection: Its number.
            any_type: Take a type that no client event has, although none has come: a claim that it never did holds then.

        Raises:
            ValueError: There is no such type, or clients do not send it: the caller's fault.
        """
        self._check_type("sent", type, any_type)
        return self._select("sent", type, connection)

    def received(
        self, type: str | None = None, connection: int | None = None, *, any_type: bool = False
    ) -> WireEvents:
        """Return what the simulator sent, oldest first; of one type or connection only, if given; as `sent`.

        Raises:
            ValueError: There is no such type, or only clients send it: the caller's fault.
        """
        self._check_type("received", type, any_type)
        return self._select("received", type, connection)

    def wait_sent(
        self, type: str, count: int = 1, timeout_s: float | None = None, **paths: Any
    ) -> WireEvents:
        """Block until clients have sent `count` events of this type, and return them all.

        Args:
            type: Of the events.
            count: How many there have to be.
            timeout_s: Seconds to wait at most; None: the log's `timeout_s`.
            paths: Fields that they must have, as in `expect`: `item__role="user"`.

        Raises:
            TimeoutError: They did not in time; the text says what did come.
        """
        return self._wait("sent", type, count, timeout_s, paths)

    def wait_received(
        self, type: str, count: int = 1, timeout_s: float | None = None, **paths: Any
    ) -> WireEvents:
        """Block until the simulator has sent `count` events of this type, and return them all; as `wait_sent`.

        Raises:
            TimeoutError: It did not in time; the text says what it did send.
        """
        return self._wait("received", type, count, timeout_s, paths)

    def excerpt(self) -> str:
        """Return the newest of what is kept as lines for people, oldest first."""
        with self._changed:
            return excerpt(tuple(self._frames))

    def handshakes(self) -> list[Handshake]:
        """Return the upgrades asked for, oldest first."""
        with self._changed:
            return list(self._handshakes)

    def closed(self) -> list[Closed]:
        """Return the connections that ended, in that order."""
        with self._changed:
            return list(self._closed)

    def wait_closed(self, count: int = 1, timeout_s: float | None = None) -> list[Closed]:
        """Block until `count` connections have ended, and return them all.

        Raises:
            TimeoutError: They did not within `timeout_s` (None: the log's).
        """
        with self._changed:
            self._wait_until(lambda: len(self._closed) >= count, timeout_s, f"{count} connections to end")
            return list(self._closed)

    def note_frame(self, direction: Direction, connection: int, type: str | None, frame: str | bytes) -> None:
        """Record a frame; called by the simulator."""
        with self._changed:
            self._n_frames += 1
            self._frames.append(_Frame(self._n_frames, direction, connection, type, frame))
            self._counts[direction, type] += 1
            self._changed.notify_all()

    def note_handshake(self, handshake: Handshake) -> None:
        """Record an upgrade; called by the simulator."""
        with self._changed:
            self._handshakes.append(handshake)
            self._changed.notify_all()

    def note_closed(self, closed: Closed) -> None:
        """Record the end of a connection; called by the simulator."""
        with self._changed:
            self._closed.append(closed)
            self._changed.notify_all()

    def _check_type(self, direction: Direction, type_: str | None, any_type: bool) -> None:
        """Refuse a claim about events that cannot be: that there are none would always hold."""
        if type_ is None or any_type or type_ in types_of(direction) or self._counts[direction, type_]:
            return
        other = direction_of(type_)
        if other is not None:
            whose = "a client event: ask sent()" if other == "sent" else "a server event: ask received()"
            raise ValueError(f"{type_!r} is {whose}")
        raise ValueError(
            f"no event that is {direction} has the type {type_!r}: use {near(type_, types_of(direction))}"
            " (any_type=True takes a type of your own)"
        )

    def _select(self, direction: Direction, type_: str | None, connection: int | None) -> WireEvents:
        with self._changed:
            frames = tuple(self._frames)
        chosen = [
            WireEvent(frame.parsed(), frame.connection, frame.position)
            for frame in frames
            if frame.direction == direction
            and (type_ is None or frame.type == type_)
            and (connection is None or frame.connection == connection)
        ]
        what = f"{direction} {type_ or 'anything'}"
        return WireEvents(
            chosen, what if connection is None else f"{what} on connection {connection}", frames
        )

    def _wait(
        self,
        direction: Direction,
        type_: str,
        count: int,
        timeout_s: float | None,
        paths: Mapping[str, Any],
    ) -> WireEvents:
        wanted = wanted_fields({}, paths)

        def reached() -> bool:
            if not paths:
                return self._counts[direction, type_] >= count
            found = (
                frame
                for frame in self._frames
                if frame.direction == direction and frame.type == type_ and wanted.matches(frame.parsed())
            )
            return sum(1 for _ in found) >= count

        what = f"{count} x {type_} {direction}"
        with self._changed:
            self._wait_until(reached, timeout_s, f"{what} with {wanted}" if paths else what)
        events = self._select(direction, type_, None)
        return events.with_fields(**paths) if paths else events

    def _wait_until(self, reached: Callable[[], bool], timeout_s: float | None, wanted: str) -> None:
        limit_s = self.timeout_s if timeout_s is None else timeout_s
        deadline = time.monotonic() + limit_s
        while not reached():
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                seen = ", ".join(f"{n} x {kind} {way}" for (way, kind), n in self._counts.items())
                raise TimeoutError(
                    f"waited {limit_s} s for {wanted}; the wire saw: {seen or 'nothing'}\n"
                    f"{excerpt(tuple(self._frames))}"
                )
            self._changed.wait(remaining)


def type_of(frame: str | bytes) -> str | None:
    """Return the `type` of a frame, or None if it has none."""
    kind = parsed(frame).get("type")
    return kind if isinstance(kind, str) else None


def parsed(frame: str | bytes) -> Mapping[str, Any]:
    """Return the event of a frame, or `{"type": None, "frame": frame}` if it is no JSON object."""
    if isinstance(frame, str):
        try:
            value = msgspec.json.decode(frame)
        except (msgspec.DecodeError, ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            return value
    return {"type": None, "frame": frame}
