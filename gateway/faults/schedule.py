"""When a fault acts: schedules, and an injection, which is a fault with its schedule. Pure.

A schedule counts what its fault can act on: the frames of one direction, those of one event type if the fault needs that type,
or the connections if the fault acts while connecting. Each connection is counted by itself.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Self, TypeAlias, get_args

from ..client_events import ClientEvent
from ..codec import BETA_NAMES
from ..server_events import KnownServerEvent
from .errors import InvalidSchedule, near

if TYPE_CHECKING:
    from .fault import Fault

__all__ = [
    "After",
    "AtConnection",
    "AtFrame",
    "Direction",
    "Every",
    "Injection",
    "OnEvent",
    "Schedule",
    "WithProbability",
    "direction_of",
]

Direction = Literal["received", "sent"]
"""The client's: it has received what the server said, and sent what the server is to read."""

_SERVER_TYPES: Final = frozenset(BETA_NAMES) | {
    str(cls.__struct_config__.tag) for cls in get_args(KnownServerEvent)
}
_CLIENT_TYPES: Final = frozenset(str(cls.__struct_config__.tag) for cls in get_args(ClientEvent))


@dataclass(frozen=True, slots=True)
class AtFrame:
    """At the nth frame of a connection, counted from 1."""

    n: int
    direction: Direction

    def __post_init__(self) -> None:
        _count("at_frame", self.n)

    def __repr__(self) -> str:
        return f"at_frame({self.n}{_way(self.direction)})"


@dataclass(frozen=True, slots=True)
class OnEvent:
    """At the nth frame of a connection that has this event type."""

    event_type: str
    nth: int

    def __post_init__(self) -> None:
        _count("nth", self.nth)

    def __repr__(self) -> str:
        nth = "" if self.nth == 1 else f", nth={self.nth}"
        known = "" if direction_of(self.event_type) else ", any_type=True"
        return f"on({self.event_type!r}{nth}{known})"


@dataclass(frozen=True, slots=True)
class After:
    """When a connection is so many seconds old; a fault that needs a frame waits for the next one it can act on."""

    seconds: float

    def __post_init__(self) -> None:
        if not is_number(self.seconds) or self.seconds < 0:
            raise InvalidSchedule("after", self.seconds, "a number of seconds, 0 or more")

    def __repr__(self) -> str:
        return f"after({self.seconds!r})"


@dataclass(frozen=True, slots=True)
class Every:
    """At each nth frame of a connection; of a fault that acts while connecting: at each nth connection."""

    n: int
    direction: Direction

    def __post_init__(self) -> None:
        _count("every", self.n)

    def __repr__(self) -> str:
        return f"every({self.n}{_way(self.direction)})"


@dataclass(frozen=True, slots=True)
class WithProbability:
    """At each frame (or connection) with this probability, decided by the plan's seed."""

    p: float
    direction: Direction

    def __post_init__(self) -> None:
        if not is_number(self.p) or not 0 < self.p <= 1:
            raise InvalidSchedule("with_probability", self.p, "a probability above 0 and at most 1")

    def __repr__(self) -> str:
        return f"with_probability({self.p!r}{_way(self.direction)})"


@dataclass(frozen=True, slots=True)
class AtConnection:
    """At the nth connection, counted from 1: for faults that act while connecting."""

    n: int

    def __post_init__(self) -> None:
        _count("at_connection", self.n)

    def __repr__(self) -> str:
        return f"at_connection({self.n})"


Schedule: TypeAlias = AtFrame | OnEvent | After | Every | WithProbability | AtConnection


@dataclass(frozen=True, slots=True, repr=False)
class Injection:
    """A fault with its schedule: what a `FaultPlan` is made of; made by a fault's `at_frame`, `on`, `after` and so on.

    Attributes:
        fault: What happens.
        schedule: When.
        limit: How often at most, over all connections of the plan; None: as often as the schedule says.
        connections: On which connections, counted from 1; none: on all.
    """

    fault: Fault
    schedule: Schedule
    limit: int | None
    connections: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        _check_fit(self.fault, self.schedule)

    def times(self, limit: int) -> Self:
        """Return it with a bound: it fires so often at most, over all connections of the plan.

        Raises:
            InvalidSchedule: the bound is below 1 (the caller's fault).
        """
        _count("times", limit)
        return dataclasses.replace(self, limit=limit)

    def on_every_connection(self) -> Self:
        """Return it without a bound: `at_frame`, `on` and `after` fire once per plan else, and so per connection."""
        return dataclasses.replace(self, limit=None)

    def on_connection(self, *numbers: int) -> Self:
        """Return it restricted to these connections, counted from 1 in the order in which they were made.

        Raises:
            InvalidSchedule: no number, or one below 1 (the caller's fault).
        """
        if not numbers:
            raise InvalidSchedule("on_connection", numbers, "at least one number")
        for number in numbers:
            _count("on_connection", number)
        if isinstance(self.schedule, AtConnection):
            raise InvalidSchedule("on_connection", numbers, "at_connection alone: it says which one")
        some = self.schedule if self.fault.connects and isinstance(self.schedule, Every) else None
        if some is not None and all(number % some.n for number in numbers):
            raise InvalidSchedule(
                "on_connection", numbers, f"a multiple of {some.n}: {some!r} fires at no other"
            )
        return dataclasses.replace(self, connections=frozenset(numbers))

    @property
    def watched(self) -> tuple[frozenset[Direction], str | None]:
        """The directions and the event type of the frames that count; no direction for what counts no frames."""
        match self.schedule:
            case OnEvent(event_type=event_type):
                return self.fault.directions, event_type
            case After():
                return self.fault.directions, self.fault.event_type
            case AtConnection():
                return frozenset(), None
            case _:
                return frozenset({self.schedule.direction}), self.fault.event_type

    def __repr__(self) -> str:
        text = f"{self.fault!r}.{self.schedule!r}"
        if self.connections:
            text += f".on_connection({', '.join(map(str, sorted(self.connections)))})"
        if self.limit == _default_limit(self.schedule):
            return text
        return text + (".on_every_connection()" if self.limit is None else f".times({self.limit})")


def inject(fault: Fault, schedule: Schedule) -> Injection:
    """Return the fault with its schedule and that schedule's own bound."""
    return Injection(fault, schedule, _default_limit(schedule))


def direction_of(event_type: str) -> Direction | None:
    """Return who says events of this type: "received" for a server event, "sent" for a client event, None if unknown."""
    if event_type in _SERVER_TYPES:
        return "received"
    return "sent" if event_type in _CLIENT_TYPES else None


def types_of(direction: Direction) -> frozenset[str]:
    """Return the types of all events that go this way, GA and beta."""
    return _SERVER_TYPES if direction == "received" else _CLIENT_TYPES


def check_event_type(event_type: str) -> None:
    """Refuse an event type that the protocol does not have.

    Raises:
        InvalidSchedule: it names the nearest one.
    """
    if not isinstance(event_type, str) or direction_of(event_type) is None:  # pyright: ignore[reportUnnecessaryIsInstance] - callers may be untyped
        allowed = near(str(event_type), _SERVER_TYPES | _CLIENT_TYPES)
        raise InvalidSchedule("on", event_type, f"{allowed} (any_type=True takes a provider's own)")


def pick_direction(fault: Fault, direction: str | None) -> Direction:
    """Return the direction whose frames a schedule counts: the one asked for, else the fault's usual one.

    Raises:
        InvalidSchedule: there is no such direction, or the fault does not act on it.
    """
    if direction is None:
        return "sent" if fault.directions == frozenset({"sent"}) else "received"
    for known in get_args(Direction):
        if direction == known and (not fault.directions or direction in fault.directions):
            chosen: Direction = known
            return chosen
    possible = fault.directions or frozenset(get_args(Direction))
    raise InvalidSchedule("direction", direction, near(str(direction), possible))


def is_number(value: object) -> bool:
    """Return whether it is a number that is finite, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_fit(fault: Fault, schedule: Schedule) -> None:
    name = f"{fault!r}.{schedule!r}"
    if fault.connects:
        if not isinstance(schedule, AtConnection | Every | WithProbability):
            raise InvalidSchedule(
                "schedule", name, "at_connection, every or with_probability: it acts while connecting"
            )
        return
    if isinstance(schedule, AtConnection):
        raise InvalidSchedule("schedule", name, "at_frame(1).on_connection(n): it acts on an open connection")
    if isinstance(schedule, OnEvent):
        said_by = direction_of(schedule.event_type)
        if fault.event_type not in (None, schedule.event_type):
            raise InvalidSchedule("on", schedule.event_type, f"{fault.event_type!r}, all that it can act on")
        if said_by is not None and said_by not in fault.directions:
            raise InvalidSchedule(
                "on",
                schedule.event_type,
                f"an event that is {' or '.join(fault.directions)}: {fault!r} acts on no other",
            )


def _default_limit(schedule: Schedule) -> int | None:
    return None if isinstance(schedule, Every | WithProbability) else 1


def _count(field: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidSchedule(field, value, "a whole number, 1 or more")


def _way(direction: Direction) -> str:
    return "" if direction == "received" else f", direction={direction!r}"
