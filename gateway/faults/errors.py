"""What the fault kit raises: a fault or a schedule that cannot be, and a fault that never came. Pure."""

import difflib
from collections.abc import Iterable

from ..errors import ConfigError, GatewayError

__all__ = ["FaultNeverFired", "ImpossibleFault", "InvalidSchedule", "near"]


class ImpossibleFault(ConfigError):
    """A fault with arguments it cannot have, or at a place where it cannot act. The fault of whoever wrote the test.

    Attributes:
        field: the argument, or ``seam``.
        value: what was given.
        allowed: what would have been accepted.
    """


class InvalidSchedule(ConfigError):
    """A schedule that could never be met, or that does not fit its fault. The fault of whoever wrote the test.

    Attributes:
        field: the argument, or the name of the schedule.
        value: what was given.
        allowed: what would have been accepted.
    """


class FaultNeverFired(GatewayError, AssertionError):
    """A plan is over and some of its faults have not acted. The fault of the test, or of the run: it came too short.

    Attributes:
        names: the injections that never acted, as they were written.
        seed: the seed of the plan.
        seen: what went over the wire meanwhile, and what was tried in vain.
    """

    def __init__(self, names: tuple[str, ...], seed: int, seen: str) -> None:
        self.names = names
        self.seed = seed
        self.seen = seen
        super().__init__(
            f"{', '.join(names)} never fired; {seen} (seed {seed})",
            code="fault_never_fired",
            advice=f"let the test run further, change the schedule, or repeat this run with seed={seed}",
        )


def near(word: str, known: Iterable[str]) -> str:
    """Return the hint for a name that does not exist: the nearest one that does, or all of them."""
    names = sorted(known)
    guess = difflib.get_close_matches(word, names, n=1)
    return f"a known name: did you mean {guess[0]!r}?" if guess else f"one of {', '.join(names)}"
