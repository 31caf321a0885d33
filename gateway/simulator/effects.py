"""What a session core asks of its shell: values, in the order in which they are to be done. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from .ids import Event
from .response_run import ResponseRun
from .wake import Wake


@dataclass(frozen=True, slots=True)
class Send:
    """Effect: send this event."""

    event: Event


@dataclass(frozen=True, slots=True)
class Start:
    """Effect: play this response."""

    run: ResponseRun


@dataclass(frozen=True, slots=True)
class Abandon:
    """Effect: play this response no further; its last events are in the same list."""

    response_id: str


Effect = Send | Start | Abandon | Wake

__all__ = ["Abandon", "Effect", "Send", "Start", "Wake"]
