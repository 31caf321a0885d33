"""A mailbox that waits for descriptors too, in one poll. Owns a wake-up descriptor; no thread."""

from __future__ import annotations

import math
import select
from collections import deque
from dataclasses import dataclass
from typing import Any

from pykka._envelope import Envelope

from .clock import SYSTEM_CLOCK, Clock
from .mailbox import _WAKE, Mailbox
from .reasons import ExitReason
from .wakeup import Wakeup, new_wakeup

__all__ = ["Readable", "SelectableMailbox", "Writable"]

_MAX_POLL_MS = 2**31 - 1
_FAIR = 16
"""Under a full mailbox the descriptors are looked at once in this many messages. A power of two."""


@dataclass(frozen=True, slots=True)
class Readable:
    """A watched descriptor can be read from, or is broken: reading tells."""

    fd: int


@dataclass(frozen=True, slots=True)
class Writable:
    """A descriptor that is watched for writing can be written to."""

    fd: int


@dataclass(slots=True)
class _Watched:
    events: int
    readable: Envelope[Any]
    writable: Envelope[Any]


class SelectableMailbox(Mailbox):
    """A `Mailbox` whose `get` also returns `Readable(fd)` and `Writable(fd)`.

    Messages come first, but the descriptors at least once in 16 messages; one wait covers mailbox, descriptors and
    timers. The envelopes of a descriptor are made once, so that a flood on a socket costs one poll per `Readable` and
    nothing per frame.

    It polls by `select.poll`, which needs no descriptor of its own (`selectors.PollSelector` is the same call behind more Python).
    """

    def __init__(self, *, max_size: int | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(max_size=max_size, clock=clock)
        self._wakeup: Wakeup | None = new_wakeup()
        self._poller = select.poll()
        self._poller.register(self._wakeup.fileno(), select.POLLIN)
        self._watched: dict[int, _Watched] = {}
        self._ready: deque[Envelope[Any]] = deque()
        self._turn = 0

    def watch_fd(self, fd: int, write: bool = False) -> None:
        """Deliver `Readable(fd)` while `fd` can be read from, and, if `write`, `Writable(fd)` while it can be written to.

        Call it again to change `write`: that costs a system call only if it changes anything. Owner's thread only.
        """
        events = select.POLLIN | select.POLLOUT if write else select.POLLIN
        watched = self._watched.get(fd)
        if watched is None:
            self._poller.register(fd, events)
            self._watched[fd] = _Watched(events, Envelope(Readable(fd)), Envelope(Writable(fd)))
        elif watched.events != events:
            self._poller.modify(fd, events)
            watched.events = events
            if not write:
                self._forget_ready(watched.writable)

    def unwatch_fd(self, fd: int) -> None:
        """Deliver nothing of `fd` any more, not even what is known already. Before it is closed, please. Owner's thread only."""
        watched = self._watched.pop(fd, None)
        if watched is not None:
            self._poller.unregister(fd)
            self._forget_ready(watched.readable, watched.writable)

    def _forget_ready(self, *gone: Envelope[Any]) -> None:
        self._ready = deque(envelope for envelope in self._ready if not any(envelope is g for g in gone))

    def get(self) -> Envelope[Any]:
        """Return the next envelope: a message, or that a descriptor is ready. After close: one that says nothing."""
        queued = self._queue
        while not self._closed:
            if self._timers.pending:
                self._queue_due()
            if queued and not (self._watched and self._is_the_descriptors_turn()):
                if (envelope := self._next()) is not None:
                    return envelope
            elif self._ready:
                self._current = envelope = self._ready.popleft()
                return envelope
            elif not queued:
                self._current = None
                self._parked = True
                timeout_s = self._timeout_s()
                if not queued and not self._closed:
                    self._sleep(timeout_s)
                self._parked = False
        return _WAKE

    def _is_the_descriptors_turn(self) -> bool:
        self._turn = (self._turn + 1) % _FAIR
        if self._turn:
            return False
        if not self._ready:
            self._sleep(0.0)
        return bool(self._ready)

    def _sleep(self, timeout_s: float | None) -> None:
        wakeup = self._wakeup  # our own reference keeps it open while we poll
        if wakeup is None:
            return
        wakeup_fd = wakeup.fileno()
        for fd, events in self._poller.poll(
            None if timeout_s is None else min(math.ceil(timeout_s * 1000), _MAX_POLL_MS)
        ):
            if fd == wakeup_fd:
                wakeup.drain()
            elif (watched := self._watched.get(fd)) is not None:
                if events & ~select.POLLOUT:
                    self._ready.append(watched.readable)
                if events & select.POLLOUT:
                    self._ready.append(watched.writable)
                if events & select.POLLNVAL:  # it was closed while watched: say so once instead of spinning
                    self._poller.unregister(fd)
                    del self._watched[fd]

    def _signal(self) -> None:
        wakeup = self._wakeup  # our own reference keeps it open while we signal
        if wakeup is not None:
            wakeup.signal()

    def finalize(self, reason: ExitReason) -> bool:
        """Close as `Mailbox.finalize`; the wake-up descriptor goes when the last thread inside `put` or `get` is done with it."""
        first = super().finalize(reason)
        if first:
            self._wakeup = None
        return first
