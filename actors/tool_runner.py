"""Tool runners: how many tool calls run at once, and in what order. Pure: a runner decides, ToolWorkers do the work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class ToolRunner(Protocol):
    """Decides which waiting calls start now. Asked whenever a call comes in or ends; must not keep state of its own."""

    def admit(self, waiting: Sequence[str], running: int) -> Sequence[str]:
        """Return the calls to start now.

        Args:
            waiting: the ``call_id`` of each call that has not started, in the model's order.
            running: how many calls are running.

        Returns:
            Some of ``waiting``, in the order to start them. To admit none while none is running is to wait for ever.
        """
        ...


@dataclass(frozen=True, slots=True)
class ParallelToolRunner:
    """At most ``max_concurrency`` calls at once, in the model's order. The default.

    Raises:
        ValueError: ``max_concurrency`` is no whole number of at least 1. The caller's fault.
    """

    max_concurrency: int = 4

    def __post_init__(self) -> None:
        # a bool is an int to isinstance, and True would silently make the runner serial
        if type(self.max_concurrency) is not int or self.max_concurrency < 1:
            raise ValueError(f"max_concurrency is {self.max_concurrency!r}: it must be an int of at least 1")

    def admit(self, waiting: Sequence[str], running: int) -> Sequence[str]:
        """Return as many of the waiting calls, first come first, as there is room for."""
        return tuple(waiting[: max(0, self.max_concurrency - running)])


@dataclass(frozen=True, slots=True)
class SerialToolRunner:
    """One call at a time, in the model's order."""

    def admit(self, waiting: Sequence[str], running: int) -> Sequence[str]:
        """Return the first waiting call if nothing is running."""
        return () if running else tuple(waiting[:1])
