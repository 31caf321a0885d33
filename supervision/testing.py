"""For tests of supervised systems: crash an actor, wait for its restart, probe, record, find leaks. Owns no thread.

- `crash(ref, error)` and `wait_for_restart(ref)`: break a child, and go on when it is back.
- `Probe`: an actor that keeps what it is sent: `expect`, `expect_down`, `expect_no_message`.
- `RecordingSupervisor`, `RecordingDynamicSupervisor` and their `Record`: what started, ended and was reported, in order.
- `leak_check()`, and `no_leaks` for a pytest fixture: nothing is left behind.
- `ManualClock`: time that moves when the test says so.

It needs no pytest. Source: otp.md E; Akka's TestKit; trio's `trio.testing`.
"""

from __future__ import annotations

import threading
import time
import weakref
from typing import Any

import pykka
from pykka.messages import ProxyCall

from .clock import ManualClock
from .stable_ref import StableRef
from .testing_leaks import LeakError, leak_check, no_leaks
from .testing_probe import Probe
from .testing_record import Ended, Record, RecordingDynamicSupervisor, RecordingSupervisor, Started

__all__ = [
    "Ended",
    "LeakError",
    "ManualClock",
    "Probe",
    "Record",
    "RecordingDynamicSupervisor",
    "RecordingSupervisor",
    "Started",
    "crash",
    "leak_check",
    "no_leaks",
    "wait_for_restart",
]

_seen: weakref.WeakKeyDictionary[StableRef[Any], int] = weakref.WeakKeyDictionary()
"""How many restarts of a child `crash` and `wait_for_restart` know of: a restart is waited for once."""
_lock = threading.Lock()


def crash(ref: pykka.ActorRef[Any], error: BaseException) -> None:
    """Have the actor raise `error` in its next handler, as if it had a bug. Returns at once.

    Args:
        ref: a supervised actor, or a StableRef: then the incarnation of the moment crashes.
        error: what it raises; for its supervisor it is the reason.

    Raises:
        ActorDown: there is no such actor any more.
    """
    if isinstance(ref, StableRef):
        with _lock:
            _seen[ref] = ref.restarts
    ref.tell(ProxyCall(attr_path=("_trunkline_crash",), args=(error,), kwargs={}))


def wait_for_restart(ref: StableRef[Any], within_s: float = 5.0, *, after: int | None = None) -> int:
    """Wait until the child runs again, after a restart that was not waited for before. Return how often it was restarted.

    Args:
        ref: the child's StableRef.
        within_s: how long to wait, seconds.
        after: wait until it was restarted more often than this. Default: than before the last `crash(ref)`, or at the
            last `wait_for_restart(ref)`, whichever is later; else 0.

    Raises:
        AssertionError: the child is gone, or was not restarted in time.
    """
    with _lock:
        known = _seen.get(ref, 0) if after is None else after
    deadline = time.monotonic() + within_s
    pause = threading.Event()
    while not (ref.restarts > known and ref.state == "running"):
        if ref.state == "stopped":
            raise AssertionError(f"{ref} will not be restarted: it ended for {ref._reason!r}")
        if time.monotonic() > deadline:
            raise AssertionError(
                f"{ref} was not restarted within {within_s} s: it is {ref.state}, restarts: {ref.restarts}"
            )
        pause.wait(0.001)
    restarts = ref.restarts
    with _lock:
        _seen[ref] = max(restarts, _seen.get(ref, 0))
    return restarts
