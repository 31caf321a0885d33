"""How far an actor lags that subscribes to a session, and what it is told then. Pure.

What was told cannot be taken back out of an inbox, so here it is the *newest* deltas that go, not the oldest as in a stream
(:mod:`.backlog`, whose bounds and order hold otherwise: audio and raw frames first, other deltas later, final and control
events never). The number of messages that wait in the inbox comes in as an argument; whose they are makes no difference.

Reading it may cost a lock, so it is read for audio, for raw frames, and once in as many events as may be told without
reaching a bound: not at all, practically, as long as the actor keeps up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from .backlog import BacklogLimits, Gap, Loss, lagging_error, loss_of, overflow_error, size_of
from .events import Error
from .raw_frame import EventOrFrame

__all__ = ["InboxBacklog"]


class InboxBacklog:
    """One subscribing actor's backlog.

    An episode of dropping begins at a bound and lasts until the inbox is down to half of it, so that a reader that is a little
    too slow hears of many drops at once and not of each. Bulk (audio and raw frames) goes an eighth below the bound at which
    other deltas do.

    Attributes:
        told: how many events were told.
        look_at: the count of ``told`` up to which anything but bulk may be told without asking :meth:`admit`.
        given_up: it lags too far behind: tell it no more.
    """

    __slots__ = ("_bulk", "_bulk_bytes", "_deltas_go", "_dropped", "_limits", "given_up", "look_at", "told")

    def __init__(self, limits: BacklogLimits) -> None:
        self._limits = limits
        self._bulk: deque[tuple[int, int]] = deque()  # of audio and frames: which they were, and their bytes
        self._bulk_bytes = 0
        self._dropped = 0
        self._deltas_go = False
        self.told = 0
        self.look_at = 0
        self.given_up = False

    def admit(self, event: EventOrFrame, n_waiting: int) -> Sequence[EventOrFrame]:
        """Return what to tell the actor now that this event has come: the event, nothing, or an error first.

        Args:
            event: the event, or the raw frame.
            n_waiting: how many messages are in the inbox.
        """
        if self.given_up:
            return ()
        limits = self._limits
        if n_waiting >= limits.max_kept:
            self.given_up = True
            return (overflow_error(limits),)
        self._forget_what_was_read(n_waiting)
        caught_up = n_waiting <= limits.max_events // 2 and self._bulk_bytes <= limits.max_audio_bytes // 2
        report = self.report() if caught_up else ()
        size = size_of(event)
        if self._must_go(loss_of(event), size, n_waiting):
            self.refused()
            return report
        self.told += 1 + len(report)
        if size:
            self._bulk.append((self.told, size))
            self._bulk_bytes += size
        self.look_at = self.told + (0 if self._dropped else max(0, self._bulk_bound - n_waiting))
        return (*report, event)

    def refused(self) -> None:
        """A delta was not told."""
        self._dropped += 1
        self.look_at = 0

    def report(self) -> tuple[Error, ...]:
        """End the episode, if there is one, and return what the actor has to hear of it."""
        if not self._dropped:
            return ()
        error = lagging_error(Gap(self._dropped))
        self._dropped, self._deltas_go = 0, False
        return (error,)

    @property
    def _bulk_bound(self) -> int:
        return self._limits.max_events - self._limits.max_events // 8

    def _must_go(self, loss: Loss, size: int, n_waiting: int) -> bool:
        if loss is Loss.NEVER:
            return False
        if loss is Loss.AUDIO:
            full = n_waiting >= self._bulk_bound or self._bulk_bytes + size > self._limits.max_audio_bytes
            return full or self._dropped > 0
        self._deltas_go = self._deltas_go or n_waiting >= self._limits.max_events
        return self._deltas_go

    def _forget_what_was_read(self, n_waiting: int) -> None:
        """What waits is at most the last ``n_waiting`` that were told, so the bulk before that has been read."""
        bulk, oldest = self._bulk, self.told - n_waiting
        while bulk and bulk[0][0] <= oldest:
            self._bulk_bytes -= bulk.popleft()[1]
