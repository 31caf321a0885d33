"""The seam to what the simulator answers. Pure: a brain turns a conversation into steps and knows no socket."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from .conversation import Conversation
from .steps import Step


class Brain(Protocol):
    """Decides what the simulator answers.

    One brain serves all sessions of a simulator, in its thread: `reply` must be quick. To wait, answer with `Pause` or
    `Hold`. What it raises becomes a response with status `failed`.
    """

    def reply(self, conversation: Conversation) -> Iterable[Step]:
        """Return the steps of one response; a generator is asked for the next step when the last one is sent."""
        ...


class FunctionBrain:
    """A brain made of a function.

    Args:
        fn: Called once per response with the conversation; returns or yields the steps.
    """

    def __init__(self, fn: Callable[[Conversation], Iterable[Step]]) -> None:
        self._fn = fn

    def reply(self, conversation: Conversation) -> Iterable[Step]:
        """Ask the function."""
        return self._fn(conversation)
