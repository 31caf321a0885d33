"""What a script is made of: what the client is expected to send, and what it is answered. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .conversation import Conversation
from .field_match import Wanted, shown, wanted_fields
from .steps import Step

CLIENT_EVENTS: Final = (
    "conversation.item.create",
    "conversation.item.delete",
    "conversation.item.retrieve",
    "conversation.item.truncate",
    "input_audio_buffer.append",
    "input_audio_buffer.clear",
    "input_audio_buffer.commit",
    "output_audio_buffer.clear",
    "response.cancel",
    "response.create",
    "session.update",
)
"""The types that a client can send. Source: protocol.md A.1."""


@dataclass(frozen=True, slots=True)
class Expect:
    """The client sends this event next; see `expect`."""

    type: str
    wanted: Wanted

    def __str__(self) -> str:
        return f"expect({self.type!r}{', ' if self.wanted.fields else ''}{self.wanted})"


@dataclass(frozen=True, slots=True)
class InAnyOrder:
    """The client sends these events next, in whatever order; see `in_any_order`."""

    expected: tuple[Expect, ...]

    def __str__(self) -> str:
        return f"in_any_order({', '.join(map(str, self.expected))})"


@dataclass(frozen=True, slots=True)
class Reply:
    """A response begins now, and this is what it says; see `reply`."""

    steps: tuple[Step, ...]
    fn: Callable[[Conversation], Iterable[Step]] | None = None

    def __str__(self) -> str:
        return f"reply({', '.join(map(shown, self.steps)) if self.fn is None else shown(self.fn)})"


ScriptStep = Expect | InAnyOrder | Reply


def expect(type: str, fields: Mapping[str, Any] | None = None, /, **paths: Any) -> Expect:
    """Expect the client to send an event.

    Args:
        type: Of the event.
        fields: What has to be in it, as on the wire; what is not named may be anything. A value may be a class, a compiled
            regular expression, a function of the value, `...` (anything) or `ABSENT`.
        paths: The same by keyword, nested names joined by two underscores: `item__content__0__text="hi"`.

    Raises:
        ValueError: No client event has this type: the caller's fault.
    """
    check_type(type)
    return Expect(type, wanted_fields(fields or {}, paths))


def in_any_order(*expected: Expect) -> InAnyOrder:
    """Expect several events, in whatever order they come.

    Raises:
        TypeError: Something else than what `expect` returns: the caller's fault.
    """
    for one in expected:
        if not isinstance(one, Expect):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"in_any_order() takes what expect() returns, not {one!r}")
    if not expected:
        raise TypeError("in_any_order() takes at least one expect()")
    return InAnyOrder(expected)


def reply(*steps: Step | Callable[[Conversation], Iterable[Step]]) -> Reply:
    """Say what the response that begins now answers: the steps, or those that a function of the conversation returns.

    The client asks for it by `response.create`, which is expected first; or turn detection begins it by itself.

    Raises:
        TypeError: Something that is no step: the caller's fault.
    """
    if len(steps) == 1 and callable(steps[0]):
        return Reply((), steps[0])
    given: list[Step] = []
    for step in steps:
        if not isinstance(step, Step):
            raise TypeError(f"reply() takes steps (Say, CallTool, ...) or one function, not {step!r}")
        given.append(step)
    return Reply(tuple(given))


def check_type(type: str) -> None:
    """Raise a ValueError unless a client event has this type."""
    if type not in CLIENT_EVENTS:
        close = difflib.get_close_matches(type, CLIENT_EVENTS, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(CLIENT_EVENTS)}"
        raise ValueError(f"no client event has the type {type!r}{hint}")
