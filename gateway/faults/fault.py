"""What all faults have: where they can act, on what, and the schedules that make an injection of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from .errors import ImpossibleFault
from .schedule import (
    After,
    AtConnection,
    AtFrame,
    Direction,
    Every,
    Injection,
    OnEvent,
    WithProbability,
    check_event_type,
    inject,
    is_number,
    pick_direction,
)

__all__ = [
    "ANYWHERE",
    "BOTH",
    "ON_THE_WIRE",
    "RECEIVED",
    "SENT",
    "Fault",
    "Seam",
    "require_path",
    "require_seconds",
    "require_text",
    "require_whole",
]

Seam = Literal["simulator", "transport", "proxy"]
"""Where a fault can act: in the simulator, around a transport, in a proxy."""

ANYWHERE: Final[frozenset[Seam]] = frozenset({"simulator", "transport", "proxy"})
ON_THE_WIRE: Final[frozenset[Seam]] = frozenset({"simulator", "proxy"})
BOTH: Final[frozenset[Direction]] = frozenset({"received", "sent"})
RECEIVED: Final[frozenset[Direction]] = frozenset({"received"})
SENT: Final[frozenset[Direction]] = frozenset({"sent"})


@dataclass(frozen=True, slots=True)
class Fault:
    """What all faults have: the seams they can act at, and the schedules that make an `Injection` of them.

    A kind of fault says with its class where it differs from this one: ``class Lose(Fault, directions=BOTH, needs_frame=True)``.

    Attributes:
        seams: Where it can act.
        directions: The frames that it can act on; none if it acts while connecting.
        event_type: The one event type that it can act on; None: any frame.
        connects: Whether it acts while connecting.
        needs_frame: Whether it does something to a frame; else it can act in a silent line as well.
        opaque: Whether it can act on bytes that cannot be read, those of a `wss://` line.
    """

    seams: ClassVar[frozenset[Seam]] = ANYWHERE
    directions: ClassVar[frozenset[Direction]] = RECEIVED
    event_type: ClassVar[str | None] = None
    connects: ClassVar[bool] = False
    needs_frame: ClassVar[bool] = False
    opaque: ClassVar[bool] = False

    def __init_subclass__(
        cls,
        *,
        seams: frozenset[Seam] | None = None,
        directions: frozenset[Direction] | None = None,
        event_type: str | None = None,
        connects: bool | None = None,
        needs_frame: bool | None = None,
        opaque: bool | None = None,
    ) -> None:
        said = {
            "seams": seams,
            "directions": frozenset() if connects else directions,
            "event_type": event_type,
            "connects": connects,
            "needs_frame": needs_frame,
            "opaque": opaque,
        }
        for name, value in said.items():
            if value is not None:  # a dataclass with slots is made twice, the second time with nothing said
                setattr(cls, name, value)

    def at_frame(self, n: int, direction: str | None = None) -> Injection:
        """Fire at the nth frame of a connection, once (see `Injection.times` and `on_every_connection`).

        Args:
            n: Counted from 1, for each connection by itself; of frames that the fault can act on.
            direction: "received" or "sent"; by default received, unless the fault acts on sent frames alone.

        Raises:
            InvalidSchedule: n is below 1, or the fault does not act on that direction (the caller's fault).
        """
        return inject(self, AtFrame(n, pick_direction(self, direction)))

    def on(self, event_type: str, nth: int = 1, *, any_type: bool = False) -> Injection:
        """Fire at the nth frame of an event type, once.

        Args:
            event_type: Of a server event or a client event, GA or beta.
            nth: Counted from 1, for each connection by itself.
            any_type: Take a type that the protocol does not have, such as a provider's own.

        Raises:
            InvalidSchedule: there is no such type, or the fault cannot act on it (the caller's fault).
        """
        if not any_type:
            check_event_type(event_type)
        return inject(self, OnEvent(event_type, nth))

    def after(self, seconds: float) -> Injection:
        """Fire when the connection is so old, once.

        Raises:
            InvalidSchedule: no number of seconds (the caller's fault).
        """
        return inject(self, After(seconds))

    def every(self, n: int, direction: str | None = None) -> Injection:
        """Fire at each nth frame; a fault that acts while connecting: at each nth connection.

        Raises:
            InvalidSchedule: n is below 1, or the fault does not act on that direction (the caller's fault).
        """
        return inject(self, Every(n, pick_direction(self, direction)))

    def with_probability(self, p: float, direction: str | None = None) -> Injection:
        """Fire at each frame (or connection) with probability p, as the plan's seed decides.

        Raises:
            InvalidSchedule: p is not above 0 and at most 1, or the fault does not act on that direction (the caller's fault).
        """
        return inject(self, WithProbability(p, pick_direction(self, direction)))

    def at_connection(self, n: int) -> Injection:
        """Fire at the nth connection: of faults that act while connecting.

        Raises:
            InvalidSchedule: n is below 1, or the fault acts on open connections (the caller's fault).
        """
        return inject(self, AtConnection(n))


def require_whole(field: str, value: object, least: int, most: int | None = None) -> None:
    """Refuse what is no whole number within bounds.

    Raises:
        ImpossibleFault: it names the argument.
    """
    fits = isinstance(value, int) and not isinstance(value, bool)
    if not fits or value < least or (most is not None and value > most):  # type: ignore[operator] # an int: it fits
        bounds = f"{least} or more" if most is None else f"from {least} to {most}"
        raise ImpossibleFault(field, value, f"a whole number, {bounds}")


def require_seconds(field: str, value: object, allowed: str, *, or_none_at_all: bool = True) -> None:
    """Refuse what is no time.

    Args:
        field: The argument.
        value: Its value.
        allowed: What it has to be, for the text.
        or_none_at_all: Whether 0 is a time.

    Raises:
        ImpossibleFault: it names the argument.
    """
    if not is_number(value) or value < 0 or (value == 0 and not or_none_at_all):  # type: ignore[operator] # a number
        raise ImpossibleFault(field, value, allowed)


def require_text(field: str, value: object, *, most_bytes: int) -> None:
    """Refuse what is no text, or too much of it.

    Raises:
        ImpossibleFault: it names the argument.
    """
    try:
        fits = isinstance(value, str) and len(value.encode()) <= most_bytes
    except UnicodeEncodeError:
        fits = False  # a lone surrogate
    if not fits:
        raise ImpossibleFault(field, value, f"at most {most_bytes} bytes of UTF-8")


def require_path(name: object) -> None:
    """Refuse what cannot be the path of a field.

    Raises:
        ImpossibleFault: it shows one that can.
    """
    if not isinstance(name, str) or not name or not all(name.split(".")):
        raise ImpossibleFault("name", name, "a field's name with its path, such as 'response.id'")
