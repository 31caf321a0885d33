"""What a test found on the wire, and what it claims of it: `once`, `never`, `before`. Pure: a snapshot that never changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn, Self

from .field_match import wanted_fields
from .wire_excerpt import Frame, excerpt


class WireEvent(dict[str, Any]):
    """One frame as the dictionary it parses to.

    Args:
        fields: The event; a frame that is not a JSON object is `{"type": None, "frame": <as it was>}`.
        connection: 1 for the first connection that the simulator accepted, and so on.
        position: Its place on the wire, over both directions and all connections, from 1.
    """

    def __init__(self, fields: Mapping[str, Any], connection: int, position: int = 0) -> None:
        super().__init__(fields)
        self.connection = connection
        self.position = position


class WireEvents(list[WireEvent]):
    """The events that were asked for, oldest first, as they were at that moment: ask again to see later ones.

    Each claim returns these events, so that claims can be chained, or raises an AssertionError with an excerpt of the wire:

        wire.sent("response.create").once().after(wire.sent("session.update"))
        wire.sent("conversation.item.create").with_fields(item__role="user").times(2)

    Args:
        events: What was found.
        what: What was asked for, in words.
        frames: Everything on the wire at that moment, for the excerpt.
    """

    def __init__(self, events: Iterable[WireEvent], what: str = "", frames: Sequence[Frame] = ()) -> None:
        super().__init__(events)
        self._what = what
        self._frames = frames

    # -- choosing

    def with_fields(self, fields: Mapping[str, Any] | None = None, /, **paths: Any) -> Self:
        """Return those that have these fields; names may be paths: `item__content__0__text="hi"`.

        Args:
            fields: As on the wire, nested; compared as `expect` compares.
            paths: The same, by keyword.
        """
        wanted = wanted_fields(fields or {}, paths)
        return self._of((event for event in self if wanted.matches(event)), f"{self._what} with {wanted}")

    def on_connection(self, number: int) -> Self:
        """Return those of one connection."""
        return self._of(
            (event for event in self if event.connection == number), f"{self._what} on connection {number}"
        )

    @property
    def first(self) -> WireEvent:
        """The oldest.

        Raises:
            AssertionError: There is none.
        """
        self.at_least(1)
        return self[0]

    @property
    def last(self) -> WireEvent:
        """The newest.

        Raises:
            AssertionError: There is none.
        """
        self.at_least(1)
        return self[-1]

    # -- claims

    def once(self) -> Self:
        """Claim that there is exactly one."""
        return self.times(1)

    def never(self) -> Self:
        """Claim that there is none, so far: wait for what must come after it first."""
        return self.times(0)

    def times(self, count: int) -> Self:
        """Claim that there are exactly `count`."""
        if len(self) != count:
            self._fail(f"expected {_counted(count)}, and there {_are(len(self))}", self)
        return self

    def at_least(self, count: int) -> Self:
        """Claim that there are `count` or more."""
        if len(self) < count:
            self._fail(f"expected at least {count}, and there {_are(len(self))}", self)
        return self

    def before(self, other: WireEvents) -> Self:
        """Claim that all of these came before the first of `other`, and that there are some of both."""
        self._claim_order(self, other)
        return self

    def after(self, other: WireEvents) -> Self:
        """Claim that all of these came after the last of `other`, and that there are some of both."""
        self._claim_order(other, self)
        return self

    # -- failing

    def _claim_order(self, earlier: WireEvents, later: WireEvents) -> None:
        both = [*earlier, *later]
        for events in (earlier, later):
            if not events:
                self._fail(
                    f"expected {earlier._what} before {later._what}, and there is no {events._what}", both
                )
        if earlier[-1].position >= later[0].position:
            where = f"#{earlier[-1].position} is not before #{later[0].position}"
            self._fail(f"expected {earlier._what} before {later._what}, and {where}", both)

    def _fail(self, what: str, marked: Iterable[WireEvent]) -> NoReturn:
        positions = [event.position for event in marked]
        raise AssertionError(f"{self._what}: {what}\nthe wire:\n{excerpt(self._frames, positions)}")

    def _of(self, events: Iterable[WireEvent], what: str) -> Self:
        return type(self)(events, what, self._frames)


def _counted(count: int) -> str:
    return {0: "none", 1: "exactly one"}.get(count, f"exactly {count}")


def _are(count: int) -> str:
    return {0: "is none", 1: "is one"}.get(count, f"are {count}")
