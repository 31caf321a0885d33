"""The mailbox of a supervised actor: a pykka inbox that can be closed, watched and asked to send later. Owns no thread.

Why there is no lock around `put` and `get`. Both sides first write their own flag and then read the other's, so at
least one of them sees the other (Dekker's argument; deque operations and attribute stores are atomic and in order
under CPython's memory model):

- *sleeping*: the owner sets `_parked`, then looks at the queue; a sender appends, then looks at `_parked`.
- *closing*: `finalize` sets `_closed`, then drains; a sender appends, then looks at `_closed`. If it is set, either
  the sender takes its envelope back and refuses it itself, or the drain already had it: each envelope is settled by
  exactly one of them.
- *in hand*: the owner sets `_current`, then looks at `_closed`; a killer sets `_closed`, then looks at `_current`.
  Both may settle the same envelope, which is harmless: a future takes its first result only.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import pykka
from pykka import messages
from pykka._envelope import Envelope

from .clock import SYSTEM_CLOCK, Clock
from .errors import ActorDown, MailboxFull
from .guarded import guarded
from .reasons import NORMAL, ExitReason
from .replies import Reply, refuse, settle
from .timers import IGNORED, Timer, TimerEnvelope, TimerHeap

__all__ = ["Mailbox"]

_logger = logging.getLogger("trunkline.supervision")
_WAKE: Envelope[Any] = Envelope(IGNORED)


class Mailbox:
    """A pykka inbox that can be closed: `put` from any thread, `get` from the actor's own.

    Args:
        max_size: refuse with `MailboxFull` above this many queued messages (a stop is always taken); None: no limit.
        clock: where the timers get the time from.
    """

    def __init__(self, *, max_size: int | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        self.reason: ExitReason | None = None
        """Why the actor ended; None while it lives."""
        self.down = threading.Event()
        """Set at the very end of the actor, when every asker has been told."""
        self._max_size = max_size
        self._queue: deque[Envelope[Any]] = deque()
        self._closed = False
        self._parked = False
        self._current: Envelope[Any] | None = None
        self._lock = threading.Lock()  # finalize and watchers only
        self._telling = threading.RLock()  # held while the watchers are called; again, if one of them joins
        self._gate = threading.Lock()
        self._gate.acquire()
        self._owed: list[tuple[pykka.Future[Any], BaseException | None]] = []
        self._stops: list[pykka.Future[Any]] = []
        self._deferred: set[Reply] = set()
        self._watchers: dict[Callable[[ExitReason], object], None] = {}
        self._heir: Callable[[list[Envelope[Any]]], object] | None = None
        self._timers = TimerHeap()
        self._clock: Clock = clock
        if clock is not SYSTEM_CLOCK:
            clock.attach(self)

    # -- sending --

    def put(self, envelope: Envelope[Any], /) -> None:
        """Queue `envelope`. An ask that comes too late, or finds no room, is answered with the error.

        Raises:
            ActorDown: a tell came too late: the mailbox is closed.
            MailboxFull: a tell found no room.
        """
        if self._max_size is not None and self.is_full_for(envelope):
            self._answer_or_raise(envelope, MailboxFull(self._max_size))
            return
        self._queue.append(envelope)
        if self._parked:
            self._parked = False
            self._signal()
        if self._closed and self._take_back(envelope):
            self._answer_or_raise(envelope, ActorDown(self.reason or NORMAL))

    def offer(self, envelope: Envelope[Any]) -> bool:
        """Queue `envelope` unless the mailbox is closed. Return whether it was taken; if not, nothing was done with it."""
        if self._closed:
            return False
        self._queue.append(envelope)
        if self._parked:
            self._parked = False
            self._signal()
        return not (self._closed and self._take_back(envelope))

    def is_full_for(self, envelope: Envelope[Any]) -> bool:
        """Return whether there is no room for `envelope`: never the case for a stop."""
        full = self._max_size is not None and len(self._queue) >= self._max_size
        return full and not isinstance(envelope.message, messages._ActorStop)

    def wake(self) -> None:
        """Make the owner look at its timers and its state again. Callable from any thread."""
        if self._parked:
            self._parked = False
            self._signal()

    def interrupt(self, message: Any = IGNORED) -> None:
        """Make `get` return now, ahead of the queue, with `message`: by default one that says nothing. From any thread."""
        if not self._closed:
            self._queue.appendleft(_WAKE if message is IGNORED else Envelope(message))
        self.wake()

    def _take_back(self, envelope: Envelope[Any]) -> bool:
        try:
            self._queue.remove(envelope)
        except ValueError:
            return False  # drained: whoever closed the mailbox settles it
        return True

    def _answer_or_raise(self, envelope: Envelope[Any], error: Exception) -> None:
        if envelope.reply_to is None:
            raise error
        refuse(envelope, error)

    # -- receiving (the owner's thread) --

    def get(self) -> Envelope[Any]:
        """Return the next envelope, waiting for it. After close: one that says nothing."""
        queued = self._queue
        while not self._closed:
            if self._timers.pending:
                self._queue_due()
            if queued:
                if (envelope := self._next()) is not None:
                    return envelope
                continue
            self._current = None
            self._parked = True
            timeout_s = self._timeout_s()
            if not queued and not self._closed:
                self._sleep(timeout_s)
            self._parked = False
        return _WAKE

    def _next(self) -> Envelope[Any] | None:
        try:
            self._current = envelope = self._queue.popleft()
        except IndexError:
            return None  # drained by a killer between the look and the pop
        if self._closed:
            refuse(envelope, ActorDown(self.reason or NORMAL))
            return None
        return envelope

    def empty(self) -> bool:
        """Return whether nothing is queued."""
        return not self._queue

    def qsize(self) -> int:
        """Return how many messages are queued and not begun."""
        return len(self._queue)

    def _sleep(self, timeout_s: float | None) -> None:
        self._gate.acquire(timeout=-1 if timeout_s is None else min(timeout_s, threading.TIMEOUT_MAX))

    def _signal(self) -> None:
        try:
            self._gate.release()
        except RuntimeError:
            pass  # another sender was first: one wake-up is enough

    # -- timers --

    @property
    def clock(self) -> Clock:
        """Where the timers get the time from."""
        return self._clock

    def use_clock(self, clock: Clock) -> None:
        """Take the time from `clock` from now on. Before the first timer, please."""
        self._clock = clock
        clock.attach(self)

    def send_after(self, delay_s: float, message: Any) -> Timer:
        """Queue `message` in `delay_s` seconds: behind what is queued then. Callable from any thread."""
        timer = self._timers.add(self._clock.monotonic() + delay_s, message)
        self.wake()
        return timer

    def _queue_due(self) -> None:
        now = self._clock.monotonic()
        deadline = self._timers.next_deadline()
        if deadline is not None and deadline <= now:
            self._queue.extend(self._timers.take_due(now))

    def _timeout_s(self) -> float | None:
        deadline = self._timers.next_deadline()
        return None if deadline is None else self._clock.real_wait_s(deadline)

    # -- replies --

    def defer_reply(self) -> Reply:
        """Take over the answer to the message in hand: the loop will not answer it."""
        envelope = self._current
        reply = Reply(self._deferred, envelope)
        if envelope is not None and envelope.reply_to is not None:
            envelope.reply_to = None
            self._deferred.add(reply)
            if self._closed:  # by a killer, that may have looked just before
                reply.set_exception(ActorDown(self.reason or NORMAL))
        return reply

    def in_hand_is_ask(self) -> bool:
        """Return whether somebody waits for the loop's answer to the message in hand."""
        return self._current is not None and self._current.reply_to is not None

    def owe(self, error: BaseException | None = None) -> None:
        """Answer the message in hand with `error` (default: ActorDown) at the end, when the mailbox is closed.

        Then whoever sees the actor's crash and asks again meets the next incarnation, not the dying one. A deferred
        answer to the message in hand counts as well.
        """
        envelope = self._current
        if envelope is None:
            return
        if (future := envelope.reply_to) is not None:
            envelope.reply_to = None
            self._owed.append((future, error))
            if self._closed:  # by a killer, that may have looked just before
                settle(future, error or ActorDown(self.reason or NORMAL))
        elif (
            error is not None and (reply := self.deferred_in_hand()) is not None and reply._future is not None
        ):
            self._owed.append((reply._future, error))

    def deferred_in_hand(self) -> Reply | None:
        """Return the open deferred reply to the message in hand, if there is one."""
        in_hand = self._current
        return next((reply for reply in list(self._deferred) if reply._envelope is in_hand), None)

    def owe_stop(self) -> Any:
        """If the message in hand asks the actor to stop, answer it after everything else. Return that message, or None."""
        envelope = self._current
        if envelope is None or not isinstance(envelope.message, messages._ActorStop):
            return None
        if envelope.reply_to is not None:
            self._stops.append(envelope.reply_to)
            envelope.reply_to = None
        return envelope.message

    # -- the end --

    def watch(self, fn: Callable[[ExitReason], object]) -> bool:
        """Call `fn(reason)` when the actor is down, in the thread that finalizes it; it must be quick and not wait.

        Returns:
            False if the actor is down already: `fn` will not be called, `reason` tells why.
        """
        with self._lock:
            if self._closed:
                return False
            self._watchers[fn] = None
            return True

    def unwatch(self, fn: Callable[[ExitReason], object]) -> None:
        """Forget `fn`."""
        with self._lock:
            self._watchers.pop(fn, None)

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait until the actor is down and its watchers have been called, a supervisor's among them. Return whether it is."""
        begin = time.monotonic()
        if not self.down.wait(timeout_s):
            return False
        left_s = -1 if timeout_s is None else max(0.0, begin + timeout_s - time.monotonic())
        told = self._telling.acquire(timeout=left_s)
        if told:
            self._telling.release()
        return told

    def bequeath(self, heir: Callable[[list[Envelope[Any]]], object]) -> None:
        """Give what is queued and not begun at the end to `heir`, instead of refusing it. Stops and timers are not inherited."""
        self._heir = heir

    def finalize(self, reason: ExitReason) -> bool:
        """Close, answer every asker with `ActorDown(reason)`, set `down`, run the watchers. Works once.

        Called by the dying thread, or by its killer when that thread is stuck.

        Returns:
            Whether this call was the one that did it.
        """
        with self._lock:
            if self._closed:
                return False
            self.reason = reason
            self._closed = True
            watchers, self._watchers = list(self._watchers), {}
        left = self._drain()
        if (heir := self._heir) is not None:
            heirloom = [e for e in left if _is_inheritable(e)]
            left = [e for e in left if not _is_inheritable(e)]
            heir(heirloom)
        self._answer_all(left, reason)
        with self._telling:
            self.down.set()
            for fn in watchers:  # one watcher's fault is not the others'
                guarded(fn, reason, "A watcher of an actor that ended")
        self._answer_stops(left)
        # Not only if the owner is parked: a sender may have taken that flag and not have signalled yet.
        self._parked = False
        self._signal()
        return True

    def let_go(self) -> None:
        """Drop what the owner had in hand. The owner's last act: references keep a mailbox, but must not keep messages."""
        self._current = None
        self._heir = None

    def _drain(self) -> list[Envelope[Any]]:
        left: list[Envelope[Any]] = []
        while True:
            try:
                left.append(self._queue.popleft())
            except IndexError:
                return left

    def _answer_all(self, left: list[Envelope[Any]], reason: ExitReason) -> None:
        for future, error in self._owed:
            settle(future, error or ActorDown(reason))
        self._owed.clear()
        for reply in list(self._deferred):
            reply.set_exception(ActorDown(reason))
        current = self._current
        unheard = 0
        for envelope in left if current is None else [current, *left]:
            if envelope.reply_to is None:
                unheard += (
                    envelope is not current
                    and not isinstance(envelope, TimerEnvelope)
                    and envelope is not _WAKE
                )
            elif not isinstance(envelope.message, messages._ActorStop):
                refuse(envelope, ActorDown(reason))
        if unheard:
            _logger.debug("%d messages were left in the mailbox of an actor that ended (%r)", unheard, reason)

    def _answer_stops(self, left: list[Envelope[Any]]) -> None:
        current = self._current
        for envelope in left if current is None else [current, *left]:
            if isinstance(envelope.message, messages._ActorStop):
                refuse(envelope, ActorDown())
        for future in self._stops:
            try:
                future.set(None)
            except queue.Full:
                pass  # answered already


def _is_inheritable(envelope: Envelope[Any]) -> bool:
    return not (
        envelope is _WAKE
        or isinstance(envelope, TimerEnvelope)
        or isinstance(envelope.message, messages._ActorStop)
    )
