"""Crash points: named places at which a test has an actor crash, at will. Owns no thread; process-wide, as threads are.

A place in the code is two lines, `if crash_points.armed: crash_points.reach("session.before_emit")`: a flag of this module,
which costs nothing that a benchmark sees while no test has armed a point.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Final, Self

from .checks import is_count, require
from .twins import twin_of

__all__ = [
    "CRASH_POINTS",
    "CrashAt",
    "CrashInjected",
    "CrashPointNeverFired",
    "UnknownCrashPoint",
    "armed",
    "crash_at",
    "reach",
]

CRASH_POINTS: Final[dict[str, str]] = {
    "supervisor.before_start_child": "a StartChild is accepted; nothing of the child exists",
    "supervisor.after_start_child": "the child of a StartChild has acked; who asked does not know yet",
    "supervisor.before_restart": "a child has ended and is to be started again; nothing is counted yet",
    "supervisor.before_terminate": "a TerminateChild is accepted; the child has not been told",
    "broker.before_connect": "a connect is asked for; nothing of the session exists",
    "broker.after_child_started": "the session's actor runs; the broker does not wait for its line yet",
    "session.after_receive": "a frame is decoded and the core has decided; none of it is done",
    "session.before_emit": "an event is about to go to the subscribers",
    "session.after_accept": "an entry is in the session's log; nobody is told and nothing is sent",
    "session.before_send": "a client event is about to be encoded and sent",
    "tool_worker.before_run": "the worker is acknowledged; the tool has not begun",
    "tool_worker.after_run": "the tool has its outcome; the session does not know it",
}
"""Every point, and what has happened when it is reached."""

armed: bool = False
"""Whether any point is armed. Read it as `crash_points.armed`: an imported name would not change."""

_lock = threading.Lock()
_armed: list[CrashAt] = []


class CrashInjected(Exception):
    """What an actor raises at an armed crash point unless told otherwise. The test's doing.

    It is no `SupervisionError`: those a supervisor gives to its caller, and lives.
    """

    def __init__(self, point: str) -> None:
        super().__init__(point)
        self.point = point

    def __str__(self) -> str:
        return f"a crash was injected at {self.point!r}"


class UnknownCrashPoint(ValueError):
    """There is no crash point of this name. The test's fault; the text lists those there are."""

    def __init__(self, name: object) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"there is no crash point {self.name!r}; there are: {', '.join(CRASH_POINTS)}"


class CrashPointNeverFired(AssertionError):
    """An armed crash point did not crash anything, or not as often as it should: the test has not tested what it says."""

    def __init__(self, point: str, fired: int, wanted: int, passed: int) -> None:
        super().__init__(point, fired, wanted, passed)
        self.point = point
        self.fired = fired
        self.wanted = wanted
        self.passed = passed

    def __str__(self) -> str:
        return (
            f"the crash point {self.point!r} fired {self.fired} of {self.wanted} times: "
            f"it was reached and passed {self.passed} times"
        )


class CrashAt:
    """An armed crash point; see `crash_at`. A context manager: arms on entry, disarms and verifies on exit."""

    def __init__(
        self, point: str, after: int, times: int, exception: BaseException | type[BaseException]
    ) -> None:
        self.point = point
        self._after = after
        self._times = times
        self._exception = exception
        self._passed = 0
        self._fired = 0
        self._complete = threading.Event()

    @property
    def fired(self) -> int:
        """How many crashes it caused."""
        return self._fired

    @property
    def passed(self) -> int:
        """How many times it was reached and let pass."""
        return self._passed

    def arm(self) -> Self:
        """Let it act from now on, in every thread. For a fixture; in a test, `with` is enough. Idempotent."""
        global armed
        with _lock:
            if self not in _armed:
                _armed.append(self)
            armed = True
        return self

    def disarm(self) -> None:
        """Let it act no more. Idempotent."""
        global armed
        with _lock:
            if self in _armed:
                _armed.remove(self)
            armed = bool(_armed)

    def wait(self, within_s: float = 5.0) -> None:
        """Wait until it has fired as often as it should.

        Raises:
            CrashPointNeverFired: it has not within `within_s` seconds.
        """
        if not self._complete.wait(within_s):
            self.verify()

    def verify(self) -> None:
        """Raise CrashPointNeverFired unless it has fired as often as it should."""
        if self._fired < self._times:
            raise CrashPointNeverFired(self.point, self._fired, self._times, self._passed)

    def __enter__(self) -> Self:
        return self.arm()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.disarm()
        if kind is None:  # else the test has failed already, and says why
            self.verify()

    def _visit(self) -> BaseException | None:
        """Count a visit, under the lock. Return what to raise."""
        if self._fired >= self._times or self._passed < self._after:
            self._passed += 1
            return None
        self._fired += 1
        if self._fired == self._times:
            self._complete.set()
        wanted = self._exception
        return twin_of(wanted) if isinstance(wanted, BaseException) else wanted(self.point)


def crash_at(
    point: str,
    *,
    after: int = 0,
    times: int = 1,
    exception: BaseException | type[BaseException] = CrashInjected,
) -> CrashAt:
    """Have whichever actor reaches `point` crash there: `with crash_at("session.before_emit", after=3): ...`.

    Args:
        point: one of `CRASH_POINTS`.
        after: how many times it is passed unharmed first.
        times: how many crashes there are to be, one at each visit from then on; later visits pass.
        exception: what to raise: a class, called with the point's name, or an object, of which each crash gets a copy.

    Returns:
        The point, not armed yet: use it in a `with`, whose end raises `CrashPointNeverFired` if it did not fire `times`
        times; or `arm()`, `wait()`, `disarm()` and `verify()` it.

    Raises:
        UnknownCrashPoint: there is no such point.
        InvalidSpec: `after`, `times` or `exception` is wrong; names it.
    """
    if point not in CRASH_POINTS:
        raise UnknownCrashPoint(point)
    require(is_count(after), "after", after, "an int >= 0")
    require(is_count(times) and times > 0, "times", times, "an int >= 1")
    require(_is_exception(exception), "exception", exception, "an exception, or a class of them")
    return CrashAt(point, after, times, exception)


def reach(point: str) -> None:
    """Crash here if a test wants it. Called by the code, behind `if crash_points.armed`.

    Raises:
        BaseException: what the test wants raised.
    """
    with _lock:
        here = [crash for crash in _armed if crash.point == point]
        errors = [error for crash in here if (error := crash._visit()) is not None]
    if errors:
        raise errors[0]


def _is_exception(value: object) -> bool:
    return isinstance(value, BaseException) or (isinstance(value, type) and issubclass(value, BaseException))
