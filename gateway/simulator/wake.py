"""A timer that a session core asks for. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from .steps import Latch


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
