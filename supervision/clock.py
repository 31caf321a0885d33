"""Clocks: where supervised actors get the time from, and who wakes them when it moves. Owns no thread."""

from __future__ import annotations

import threading
import time
import weakref
from typing import Protocol

from .checks import is_seconds, require

__all__ = ["SYSTEM_CLOCK", "Clock", "ManualClock", "Sleeper", "SystemClock"]


class Sleeper(Protocol):
    """Something that waits for a point in time and can be told to look again: a mailbox."""

    def wake(self) -> None:
        """Look at the clock again, now. Callable from any thread."""
        ...


class Clock(Protocol):
    """A source of monotonic time."""

    def monotonic(self) -> float:
        """Return the time in seconds; only differences mean anything."""
        ...

    def real_wait_s(self, deadline: float) -> float | None:
        """Return how long to sleep before looking again: seconds until `deadline`, or None until woken."""
        ...

    def attach(self, sleeper: Sleeper) -> None:
        """Wake `sleeper` whenever time jumps. It is held weakly."""
        ...


class SystemClock:
    """`time.monotonic`. It never jumps, so it wakes nobody."""

    monotonic = staticmethod(time.monotonic)

    def real_wait_s(self, deadline: float) -> float | None:
        """Return the seconds until `deadline`, at least 0."""
        return max(0.0, deadline - time.monotonic())

    def attach(self, sleeper: Sleeper) -> None:
        """Do nothing: this clock never jumps."""


SYSTEM_CLOCK = SystemClock()
"""The clock everything uses unless told otherwise."""


class ManualClock:
    """A clock that moves only by `advance`, for tests without sleeping."""

    def __init__(self, start_s: float = 0.0) -> None:
        self._now = start_s
        self._lock = threading.Lock()
        self._sleepers: list[weakref.ref[Sleeper]] = []

    def monotonic(self) -> float:
        """Return the time in seconds."""
        return self._now

    def real_wait_s(self, deadline: float) -> float | None:
        """Return 0 if `deadline` has come, else None: real time brings it no nearer."""
        return 0.0 if self._now >= deadline else None

    def attach(self, sleeper: Sleeper) -> None:
        """Wake `sleeper` at every `advance`, as long as it lives."""
        with self._lock:
            self._sleepers = [ref for ref in self._sleepers if ref() not in (None, sleeper)]
            self._sleepers.append(weakref.ref(sleeper))

    def advance(self, seconds: float) -> None:
        """Move the time forward by `seconds` and wake every mailbox that uses this clock.

        Raises:
            InvalidSpec: less than 0 seconds, or no number: monotonic time never goes back. The caller's fault.
        """
        require(is_seconds(seconds), "seconds", seconds, "seconds >= 0")
        with self._lock:
            self._now += seconds
            sleepers = [ref() for ref in self._sleepers]
        for sleeper in sleepers:
            if sleeper is not None:
                sleeper.wake()
