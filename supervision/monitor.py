"""Monitors: learn once that an actor is down. Owns no thread: what is watched runs it in the thread that ends the actor."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import pykka

from .messaging import cast
from .reasons import NOPROC, ExitReason

__all__ = ["Down", "Monitor", "Watchable", "monitor", "watch"]


@runtime_checkable
class Watchable(Protocol):
    """Something that ends once and can be watched: a Mailbox, or a StableRef."""

    def watch(self, fn: Callable[[ExitReason], object]) -> bool:
        """Call `fn(reason)` at the end; return False, and do not, if it has ended."""
        ...

    def unwatch(self, fn: Callable[[ExitReason], object]) -> None:
        """Forget `fn`."""
        ...


@dataclass(frozen=True, slots=True)
class Down:
    """`ref` is down for `reason`. Sent once per monitor, behind every message the actor had sent before.

    Source: the 'DOWN' message of erlang:monitor/2.
    """

    tag: Any
    ref: pykka.ActorRef[Any]
    reason: ExitReason


class Monitor:
    """A running monitor. It fires once or is cancelled, whichever is first."""

    __slots__ = ("_fn", "_lock", "_over", "_watched", "_watcher")

    def __init__(self, fn: Callable[[ExitReason], object]) -> None:
        self._fn = fn
        self._lock = threading.Lock()
        self._over = False
        self._watched: Watchable | None = None
        self._watcher: Watchable | None = None

    def cancel(self) -> None:
        """See to it that it does not fire from now on. Idempotent; from any thread."""
        self._end()

    def _end(self) -> bool:
        """Leave nothing with either side. Return whether it was this call that did."""
        with self._lock:
            if self._over:
                return False
            self._over = True
            watched, self._watched = self._watched, None
            watcher, self._watcher = self._watcher, None
        if watched is not None:
            watched.unwatch(self._fire)
        if watcher is not None:
            watcher.unwatch(self._forsake)
        return True

    def _start(self, watched: Watchable) -> None:
        self._watched = watched
        if not watched.watch(self._fire):
            self._fire(NOPROC)

    def _follow(self, watcher: Watchable) -> None:
        """End with the watcher: who is restarted often must not leave a monitor behind for each of its lives."""
        with self._lock:
            if self._over:
                return
            self._watcher = watcher
        if not watcher.watch(self._forsake):
            self.cancel()
        elif self._over:  # it fired between the two
            watcher.unwatch(self._forsake)

    def _forsake(self, _: ExitReason) -> None:
        self._end()

    def _fire(self, reason: ExitReason) -> None:
        if self._end():
            self._fn(reason)


def watch(ref: pykka.ActorRef[Any], fn: Callable[[ExitReason], object]) -> Monitor:
    """Call `fn(reason)` once when the actor is down: in the thread that ends it, so be quick and do not wait.

    At once, with NOPROC, if it is down already. On a StableRef: when the child is gone for good (given up,
    terminated, or its supervisor died), not on a restart.

    Raises:
        TypeError: `ref` is a plain pykka actor, whose end nobody can watch: start it by a supervisor, or mix in `Supervised`.
    """
    watched = _watchable(ref)
    if watched is None:
        raise TypeError(f"{ref} cannot be watched: start it by a supervisor, or mix in Supervised")
    running = Monitor(fn)
    running._start(watched)
    return running


def monitor(target_ref: pykka.ActorRef[Any], watcher_ref: pykka.ActorRef[Any], tag: Any = None) -> Monitor:
    """Send one `Down(tag, target_ref, reason)` to the watcher when the target is down; see `watch`.

    The monitor ends with its watcher, if that is a supervised actor: with the incarnation, or, for a StableRef, the child.

    Source: erlang:monitor/2; at once, with noproc, if the target is down.
    """
    running = watch(target_ref, lambda reason: cast(watcher_ref, Down(tag, target_ref, reason)))
    if (watcher := _watchable(watcher_ref)) is not None:
        running._follow(watcher)
    return running


def _watchable(ref: pykka.ActorRef[Any]) -> Watchable | None:
    found = ref if isinstance(ref, Watchable) else getattr(ref, "actor_inbox", None)
    return found if isinstance(found, Watchable) else None
