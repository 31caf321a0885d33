"""What a session core asks of its shell: values, in the order in which they are to be done. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from .ids import Event
from .response_run import ResponseRun
from .steps import Latch


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


@dataclass(frozen=True, slots=True)
class Wake:
    """Effect: call the core's `wake` with this token later. A token that is no longer wanted leads to nothing.

    Args:
        token: What the core knows it by.
        after_s: Seconds from now.
        hold: Then wait for this gate too.
    """

    token: str
    after_s: float
    hold: Latch | None = None


Effect = Send | Start | Abandon | Wake
