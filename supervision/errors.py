"""What can go wrong with supervised actors: one tree of errors. Pure."""

from __future__ import annotations

from typing import Any

import pykka

from .reasons import NOPROC, ExitReason, Shutdown

__all__ = [
    "ActorDown",
    "AlreadyPresent",
    "AlreadyRegistered",
    "AlreadyStarted",
    "CallTimeout",
    "CallerError",
    "CallingSelf",
    "InvalidRequest",
    "InvalidSpec",
    "MailboxFull",
    "MaxChildren",
    "NotFound",
    "Restarting",
    "Running",
    "StartError",
    "StartTimeout",
    "SupervisionError",
    "cause_of",
]


def cause_of(reason: ExitReason | None) -> BaseException | None:
    """Return the exception at the bottom of an exit reason, if there is one.

    `Shutdown(("failed_to_start_child", id, reason))` is looked through, whatever its depth.
    """
    if isinstance(reason, Exception) and isinstance(nested := getattr(reason, "reason", None), BaseException):
        return cause_of(nested)
    if isinstance(reason, BaseException):
        return reason
    if isinstance(reason, Shutdown) and isinstance(reason.term, tuple) and reason.term:
        return cause_of(reason.term[-1])
    return None


class SupervisionError(Exception):
    """The root of this room's errors."""


class ActorDown(SupervisionError, pykka.ActorDeadError):
    """The actor ended, or had ended, before it answered. Its fault; the caller may ask again.

    Source: the exit of a caller in gen_server:call/3.
    """

    def __init__(self, reason: ExitReason = NOPROC) -> None:
        super().__init__(reason)
        self.reason = reason
        if isinstance(reason, BaseException):
            self.__cause__ = reason

    def __str__(self) -> str:
        return f"the actor is down: {self.reason!r}"


class MailboxFull(SupervisionError):
    """The mailbox holds as much as it may: the sender is faster than the actor."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"the mailbox already holds {self.limit} messages"


class StartError(SupervisionError):
    """An actor could not be started: `reason` says why, `__cause__` is the exception behind it, if any."""

    def __init__(self, reason: ExitReason) -> None:
        super().__init__(reason)
        self.reason = reason
        self.__cause__ = cause_of(reason)

    def __str__(self) -> str:
        return f"the actor did not start: {self.reason!r}"


class StartTimeout(SupervisionError, pykka.Timeout):
    """The actor's constructor or `on_start` did not return in time. Its fault: neither must wait for the world."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(timeout_s)
        self.timeout_s = timeout_s

    def __str__(self) -> str:
        return f"its constructor and on_start took longer than {self.timeout_s} s (start_timeout_s)"


class AlreadyStarted(SupervisionError):
    """There is a running child with this id. The caller's fault, or luck: `ref` is that child.

    A reference cannot leave its process, so it is pickled as its text.
    """

    def __init__(self, ref: Any) -> None:
        super().__init__(ref)
        self.ref = ref

    def __reduce__(self) -> tuple[type[AlreadyStarted], tuple[str]]:
        return type(self), (str(self.ref),)

    def __str__(self) -> str:
        return f"already started: {self.ref}"


class AlreadyRegistered(SupervisionError):
    """The name belongs to an actor that is not down: `ref`. As a child's start error: its last owner, or another one.

    A reference cannot leave its process, so it is pickled as its text.
    """

    def __init__(self, name: Any, ref: Any) -> None:
        super().__init__(name, ref)
        self.name = name
        self.ref = ref

    def __reduce__(self) -> tuple[type[AlreadyRegistered], tuple[Any, str]]:
        return type(self), (self.name, str(self.ref))

    def __str__(self) -> str:
        return f"the name {self.name!r} belongs to {self.ref}"


class _ChildError(SupervisionError):
    """An error about one child of a supervisor: `child` is the id or reference that was given."""

    _text = "child {child}"

    def __init__(self, child: Any) -> None:
        super().__init__(child)
        self.child = child

    def __reduce__(self) -> tuple[type[_ChildError], tuple[Any]]:
        # A reference cannot leave its process: it travels as its text.
        child = str(self.child) if isinstance(self.child, pykka.ActorRef) else self.child
        return type(self), (child,)

    def __str__(self) -> str:
        return self._text.format(child=self.child)


class AlreadyPresent(_ChildError):
    """There is a child with this id that is not running: restart it, or delete it first."""

    _text = "child {child!r} is already present, but not running: use RestartChild or DeleteChild"


class NotFound(_ChildError):
    """The supervisor has no such child."""

    _text = "no child {child!r}"


class Running(_ChildError):
    """The child is running, so it can be neither restarted nor deleted."""

    _text = "child {child!r} is running: terminate it first"


class Restarting(_ChildError):
    """The child is being restarted, so it can be neither restarted nor deleted."""

    _text = "child {child!r} is being restarted: terminate it first, or wait"


class MaxChildren(SupervisionError):
    """The dynamic supervisor has as many children as it may (those that are restarting count)."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"the supervisor already has its {self.limit} children (max_children)"


class CallTimeout(SupervisionError, pykka.Timeout):
    """No answer within the call's timeout. The actor still executes the request when its turn comes."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(timeout_s)
        self.timeout_s = timeout_s

    def __str__(self) -> str:
        return f"no answer within {self.timeout_s} s"


class CallingSelf(SupervisionError):
    """An actor called itself and would have waited for ever. The caller's fault: tell, or call the method."""

    def __str__(self) -> str:
        return "an actor cannot call itself: it would wait for its own answer"


class InvalidSpec(SupervisionError, ValueError):
    """A child spec or a supervisor's flag is wrong. The caller's fault, found before any thread exists."""

    def __init__(self, field: str, value: Any, allowed: str) -> None:
        super().__init__(field, value, allowed)
        self.field = field
        self.value = value
        self.allowed = allowed

    def __str__(self) -> str:
        return f"{self.field}={self.value!r} is not allowed: {self.allowed}"


class InvalidRequest(SupervisionError, TypeError):
    """A supervisor was asked for what it does not have, or by a proxy with wrong arguments. The caller's fault."""

    def __init__(self, request: str, problem: str) -> None:
        super().__init__(request, problem)
        self.request = request
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.request}: {self.problem}"


class CallerError(Exception):
    """Raise (a subclass of) it in a handler when the fault is the caller's: it alone gets it, the actor lives.

    It is no `SupervisionError`, because other rooms derive their own roots from it.
    """
