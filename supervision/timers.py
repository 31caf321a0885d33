"""Timers of a mailbox: a heap of messages to come. Pure but for its lock: the mailbox's own wait is the timer thread."""

from __future__ import annotations

import heapq
import threading
from itertools import count
from typing import Any

from pykka._envelope import Envelope

__all__ = ["IGNORED", "Timer", "TimerEnvelope", "TimerHeap"]


class _Ignored:
    """A message that says nothing: it only makes the loop look at its state again."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<nothing>"


IGNORED = _Ignored()
"""The message of a cancelled timer, and of a mailbox that wakes its owner up."""

_sequence = count()


class TimerEnvelope(Envelope[Any]):
    """An envelope that a timer put into the mailbox. It belongs to one incarnation and is never carried over."""

    __slots__ = ()


class Timer:
    """A message that will be delivered at `deadline`, unless it is cancelled first."""

    __slots__ = ("_envelope", "_heap", "deadline")

    def __init__(self, heap: TimerHeap, deadline: float, message: Any) -> None:
        self.deadline = deadline
        self._heap = heap
        self._envelope = TimerEnvelope(message)

    def cancel(self) -> None:
        """See to it that the message is not handled: also when it is due and queued already. Idempotent; from any thread."""
        if self._envelope.message is not IGNORED:
            self._envelope.message = IGNORED
            self._heap.forget()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._envelope.message is IGNORED


class TimerHeap:
    """The timers of one mailbox, soonest first.

    Attributes:
        pending: what is scheduled; to be looked at, for whether there is anything: a mailbox does that per message, and a call
            of ``__len__`` would be an eighth of all it does.
    """

    __slots__ = ("_cancelled", "_lock", "pending")

    def __init__(self) -> None:
        self.pending: list[tuple[float, int, Timer]] = []
        self._cancelled = 0
        self._lock = threading.Lock()

    def add(self, deadline: float, message: Any) -> Timer:
        """Schedule `message`."""
        timer = Timer(self, deadline, message)
        with self._lock:
            heapq.heappush(self.pending, (deadline, next(_sequence), timer))
        return timer

    def forget(self) -> None:
        """Count a cancelled timer; drop them all once they are the majority, so that cancelling costs no memory."""
        with self._lock:
            self._cancelled += 1
            if self._cancelled * 2 > len(self.pending):
                self.pending = [entry for entry in self.pending if not entry[2].cancelled]
                heapq.heapify(self.pending)
                self._cancelled = 0

    def next_deadline(self) -> float | None:
        """Return when the soonest timer is due."""
        heap = self.pending
        try:
            return heap[0][0]
        except IndexError:
            return None

    def take_due(self, now: float) -> list[Envelope[Any]]:
        """Remove and return the envelopes that are due, in order of their deadlines."""
        due: list[Envelope[Any]] = []
        with self._lock:
            while self.pending and self.pending[0][0] <= now:
                timer = heapq.heappop(self.pending)[2]
                if timer.cancelled:
                    self._cancelled = max(0, self._cancelled - 1)
                else:
                    due.append(timer._envelope)
        return due
