"""The seam to what the simulator answers. Pure: a brain turns a conversation into steps and knows no socket."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from .conversation import Conversation
from .steps import Step


class Brain(Protocol):
    """Decides what the simulator answers.

    One brain serves all sessions of a simulator, in its thread: `reply` must be quick. To wait, answer with `Pause` or
    `Hold`. What it raises becomes a response with status `failed`.

    A brain may have two methods more: `observe`, to see what clients send (`ObservingBrain`), and `for_connection`, to
    have a brain for each connection (`BrainPerConnection`).
    """

    def reply(self, conversation: Conversation) -> Iterable[Step]:
        """Return the steps of one response; a generator is asked for the next step when the last one is sent.

        It is called as soon as the response begins, between the client events before and after it.
        """
        ...


@runtime_checkable
class ObservingBrain(Brain, Protocol):
    """A brain that sees what the client sends."""

    def observe(self, event: Mapping[str, Any]) -> None:
        """Take a client event, before the session does; it must not raise.

        Args:
            event: As it came, valid or not; a frame that is no JSON object is `{"type": None, "frame": <as it was>}`.
        """
        ...


@runtime_checkable
class BrainPerConnection(Brain, Protocol):
    """A brain that has one for each connection, so that what belongs to a connection has a place."""

    def for_connection(self, number: int) -> Brain:
        """Return the brain of a connection that begins; it may be `self`.

        Args:
            number: Which connection it is, as in the wire log: from 1, those that were refused counted.
        """
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


def brain_for(brain: Brain, connection: int) -> Brain:
    """Return the brain that serves a connection."""
    return brain.for_connection(connection) if isinstance(brain, BrainPerConnection) else brain


def observer_of(brain: Brain) -> Callable[[Mapping[str, Any]], None] | None:
    """Return what to call with client events, if the brain wants to see them."""
    return brain.observe if isinstance(brain, ObservingBrain) else None


def asked(brain: Brain, conversation: Conversation) -> Callable[[Conversation], Iterable[Step]]:
    """Ask the brain now and return a function that gives its answer, once, or raises what it raised."""
    try:
        steps = brain.reply(conversation)
    except Exception as error:  # noqa: BLE001 - the brain's edge: who plays the response gets it
        raised = error

        def fail(_: Conversation) -> Iterable[Step]:
            raise raised

        return fail
    # Given away and not kept: a generator is closed when the response that plays it is gone.
    answer = [steps]
    return lambda _: answer.pop()
