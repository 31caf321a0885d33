"""The timers of a session by what they are for: one of each. Owns no thread: they wait in the session's mailbox."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from ..supervision import Timer
from .effects import StartTimer, StopTimer


@dataclass(frozen=True, slots=True)
class TimerDue:
    """To the session itself: the time of this timer has come."""

    key: Hashable


class NamedTimers:
    """Timers by key.

    Args:
        send_after: sends a message to the session in so many seconds.
    """

    def __init__(self, send_after: Callable[[float, Any], Timer]) -> None:
        self._send_after = send_after
        self._timers: dict[Hashable, Timer] = {}

    def start(self, effect: StartTimer) -> None:
        """Set a timer, instead of the one of its key."""
        self._cancel(effect.key)
        delay_s = random.uniform(0.0, effect.delay_s) if effect.jitter else effect.delay_s
        self._timers[effect.key] = self._send_after(effect.at_least_s + delay_s, TimerDue(effect.key))

    def stop(self, effect: StopTimer) -> None:
        """Forget a timer; no error if there is none."""
        self._cancel(effect.key)

    def due(self, key: Hashable) -> None:
        """A timer's message has arrived."""
        self._timers.pop(key, None)

    def _cancel(self, key: Hashable) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
