"""How many restarts in how many seconds are too many. Pure: the time is an argument."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["RestartIntensity"]


@dataclass(frozen=True, slots=True)
class RestartIntensity:
    """The restarts of the last `max_seconds`, as a value: `add` returns the next one.

    Source: supervisor.erl, add_restart/1; difference: a float clock, `t >= now - max_seconds`.
    """

    max_restarts: int = 3
    max_seconds: float = 5.0
    restarts: tuple[float, ...] = ()

    def add(self, now: float) -> RestartIntensity:
        """Return the intensity after one more restart, at `now` (monotonic seconds)."""
        recent = tuple(t for t in self.restarts if t >= now - self.max_seconds)
        return replace(self, restarts=(*recent, now))

    @property
    def exceeded(self) -> bool:
        """Whether the last restart added was one too many."""
        return len(self.restarts) > self.max_restarts
