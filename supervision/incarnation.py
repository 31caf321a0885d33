"""One start of a child, from its supervisor's point of view: being constructed, running, down. Owns a lock.

The child's constructor runs in the child's own thread, so that one that hangs holds up nobody. Until it has returned there is
no actor to stop or kill: it is noted that nobody wants it any more, and what it makes is thrown away.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pykka
from pykka._envelope import Envelope

from .mailbox import Mailbox
from .reasons import KILLED, SHUTDOWN, ExitReason
from .supervised import StopFor, kill_actor
from .zombies import abandon, remember

__all__ = ["Incarnation"]


class Incarnation:
    """Compared by identity: late news of an older one is told by that.

    Args:
        on_down: called once, in the thread that ends it, with the incarnation and its reason.
        name: of its thread, as long as there is no actor.
    """

    __slots__ = ("_lock", "_mailbox", "_on_down", "_reason", "_unwanted", "acked", "name", "ref", "thread")

    def __init__(self, on_down: Callable[[Incarnation, ExitReason], object], name: str) -> None:
        self._on_down = on_down
        self._lock = threading.Lock()
        self._mailbox: Mailbox | None = None
        self._unwanted: ExitReason | None = None
        self._reason: ExitReason | None = None
        self.name = name
        self.thread: threading.Thread | None = None
        self.ref: pykka.ActorRef[Any] | None = None
        self.acked = False

    @property
    def is_down(self) -> bool:
        """Whether it has ended, to the last."""
        mailbox = self._mailbox
        return self._reason is not None if mailbox is None else mailbox.down.is_set()

    @property
    def reason(self) -> ExitReason:
        """Why it ended."""
        return self._reason or (self._mailbox and self._mailbox.reason) or KILLED

    # -- the child's thread

    def take(self, ref: pykka.ActorRef[Any], mailbox: Mailbox, introduce: Callable[[], object]) -> bool:
        """The constructor has returned: make the actor known, by `introduce()`, unless nobody wants it any more.

        Returns:
            Whether it is wanted; not if it was abandoned as soon as it was known.

        Raises:
            BaseException: what `introduce` raised; then there is no actor.
        """
        with self._lock:
            if self._unwanted is not None:
                return False
            introduce()
            self.ref, self._mailbox = ref, mailbox
        return mailbox.watch(self._ended)

    def failed(self, reason: ExitReason) -> None:
        """There will be no actor."""
        with self._lock:
            if self._reason is not None:
                return
            self._reason = self._unwanted or reason
        self._on_down(self, self._reason)

    def _ended(self, reason: ExitReason) -> None:
        self._on_down(self, reason)

    # -- its supervisor's

    def stop(self) -> None:
        """Queue a stop with reason SHUTDOWN: what was sent before is handled first, as with an Erlang process that traps exits."""
        if (mailbox := self._unwant(SHUTDOWN)) is not None:
            mailbox.offer(Envelope(StopFor.because(SHUTDOWN)))

    def kill(self) -> None:
        """End it before its next message; see `kill_actor`."""
        if self._unwant(KILLED) is not None and self.ref is not None:
            kill_actor(self.ref)

    def abandon(self) -> None:
        """It was killed and is still there: go on without it."""
        if self.ref is not None:
            abandon(self.ref)
            return
        if self.thread is not None and not self.is_down:
            remember(self.thread, self.name, "")
        self.failed(KILLED)

    def _unwant(self, reason: ExitReason) -> Mailbox | None:
        with self._lock:
            if self._mailbox is None:
                self._unwanted = reason
            return self._mailbox
