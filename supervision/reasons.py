"""Exit reasons: why an actor ended, in OTP's words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

__all__ = [
    "IGNORE",
    "KILLED",
    "NOPROC",
    "NORMAL",
    "SHUTDOWN",
    "Exit",
    "ExitReason",
    "Ignore",
    "Reason",
    "Shutdown",
    "is_clean",
]


class Reason(Enum):
    """The reasons that carry nothing. Enum members, so they stay singletons when pickled."""

    NORMAL = "normal"
    SHUTDOWN = "shutdown"
    KILLED = "killed"
    NOPROC = "noproc"
    IGNORE = "ignore"

    def __repr__(self) -> str:
        return self.name

    __str__ = __repr__


NORMAL = Reason.NORMAL
"""The actor ended by itself, or by `stop()`."""
SHUTDOWN = Reason.SHUTDOWN
"""Its supervisor ended it."""
KILLED = Reason.KILLED
"""It did not end in time and was killed, or abandoned."""
NOPROC = Reason.NOPROC
"""There was no such actor any more when it was asked for."""
IGNORE = Reason.IGNORE
"""It did not want to be started, which is no failure."""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """A clean end with a word of explanation: OTP's `{shutdown, Term}`."""

    term: Any


ExitReason: TypeAlias = Reason | Shutdown | BaseException
"""Why an actor ended: a `Reason`, a `Shutdown`, or the exception that ended it."""


def is_clean(reason: ExitReason) -> bool:
    """Return whether a transient child that ended so stays down.

    Source: supervisor(3), restart type transient: normal, shutdown and {shutdown, Term}. IGNORE is what OTP calls normal
        too: a process that ignores its start exits normally.
    """
    return reason is NORMAL or reason is SHUTDOWN or reason is IGNORE or isinstance(reason, Shutdown)


class Exit(Exception):  # an Exception on purpose: pykka's loop must see it
    """Raise in a handler to end the actor with `reason`. Nobody's fault: it is a way to say goodbye.

    Source: exit/1.
    """

    def __init__(self, reason: ExitReason = NORMAL) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"exit: {self.reason!r}"


class Ignore(Exit):
    """Raise in `on_start`: there is nothing to do here, so this actor is not started, and that is no failure.

    A Supervisor keeps the spec (unless it is temporary) with the child down; a DynamicSupervisor keeps nothing;
    `StartChild` and `RestartChild` answer None.

    Source: the return value `ignore` of gen_server:init/1.
    """

    def __init__(self) -> None:
        super().__init__(IGNORE)

    def __reduce__(self) -> tuple[type[Ignore], tuple[()]]:
        return type(self), ()
