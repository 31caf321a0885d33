"""References that outlive an actor's incarnations. Owns no thread: whoever sends, puts."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable
from enum import Enum
from typing import Any, Literal, TypeVar, overload

import pykka
from pykka._envelope import Envelope

from .errors import ActorDown, MailboxFull
from .futures import Future
from .guarded import guarded
from .mailbox import Mailbox
from .reasons import NOPROC, ExitReason
from .replies import refuse, settle
from .stable_proxy import StableProxy

__all__ = ["HOLD_LIMIT", "StableRef"]

A = TypeVar("A", bound=pykka.Actor)

HOLD_LIMIT = 1000
"""How many messages a StableRef holds while its child is restarting."""


class _State(Enum):
    HOLDING = "restarting"
    RUNNING = "running"
    ENDED = "stopped"


def _nobody() -> None:
    return None


class _StableInbox:
    """The `actor_inbox` of a StableRef: whatever incarnation is behind it."""

    __slots__ = ("_stable",)

    def __init__(self, stable: StableRef[Any]) -> None:
        self._stable = stable

    def put(self, envelope: Envelope[Any], /) -> None:
        self._stable._put(envelope)

    def get(self) -> Envelope[Any]:
        raise TypeError("a StableRef's inbox can only be put into")

    def empty(self) -> bool:
        return self.qsize() == 0

    def qsize(self) -> int:
        """Return how many messages wait: with the incarnation, or held."""
        mailbox = self._stable._mailbox
        return len(self._stable._held) + (mailbox.qsize() if mailbox is not None else 0)


class StableRef(pykka.ActorRef[A]):
    """A reference to a supervised *child*, whichever incarnation of it runs. A real `pykka.ActorRef`.

    While the child is restarting, what is sent is held, at most 1,000 messages, and handed to the next incarnation in
    order. When the child is gone for good, or stopped, asks fail with `ActorDown` and tells raise it. Equality and
    hash are the child's: there is one StableRef per child. It keeps no dead actor alive.

    One lock covers deciding where a message goes and putting it there: so held messages precede newer ones.
    """

    def __init__(self, actor_class: type[A], child_id: Hashable) -> None:  # no actor yet
        self.actor_class = actor_class
        self.child_id = child_id
        self.actor_urn = ""
        self.actor_inbox = _StableInbox(self)
        self.actor_stopped = threading.Event()
        self._actor_weakref: Any = _nobody
        self._lock = threading.Lock()
        self._state = _State.HOLDING
        self._mailbox: Mailbox | None = None
        self._incarnation: pykka.ActorRef[A] | None = None
        self._incarnations = 0
        self._held: deque[Envelope[Any]] = deque()
        self._reason: ExitReason = NOPROC
        self._watchers: dict[Callable[[ExitReason], object], None] = {}

    # -- for everybody --

    @property
    def restarts(self) -> int:
        """How many incarnations followed the first."""
        return max(0, self._incarnations - 1)

    @property
    def state(self) -> Literal["running", "restarting", "stopped"]:
        """What becomes of a message sent now: delivered, held, refused."""
        return self._state.value

    def tell(self, message: Any) -> None:
        """Send a message without waiting.

        Raises:
            ActorDown: the child is gone, or stopped.
            MailboxFull: it is restarting, and 1,000 messages are held already.
        """
        self._put(Envelope(message))

    @overload
    def ask(self, message: Any, *, block: Literal[False], timeout: float | None = None) -> Future[Any]: ...
    @overload
    def ask(self, message: Any, *, block: Literal[True], timeout: float | None = None) -> Any: ...
    @overload
    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any | Future[Any]: ...
    def ask(  # pyright: ignore[reportIncompatibleMethodOverride]  # pyright misses that our Future is pykka's
        self, message: Any, *, block: bool = True, timeout: float | None = None
    ) -> Any | Future[Any]:
        """Send a message and return the answer, or, with `block=False`, a future of it that can be awaited.

        Raises (or the future does):
            ActorDown: the child is gone, stopped, or went down with the message in hand.
            MailboxFull: it is restarting, and 1,000 messages are held already.
        """
        future: Future[Any] = Future()
        self._put(Envelope(message, reply_to=future))
        return future.get(timeout=timeout) if block else future

    def proxy(self) -> StableProxy[A]:
        """Return a proxy on this reference: it, too, outlives incarnations and can be made while the child restarts."""
        return StableProxy(actor_ref=self)

    def watch(self, fn: Callable[[ExitReason], object]) -> bool:
        """Call `fn(reason)` when the child is gone for good; see `supervision.watch`. False if it is gone already."""
        with self._lock:
            if self._state is _State.ENDED:
                return False
            self._watchers[fn] = None
            return True

    def unwatch(self, fn: Callable[[ExitReason], object]) -> None:
        """Forget `fn`."""
        with self._lock:
            self._watchers.pop(fn, None)

    def __str__(self) -> str:
        return f"{self.actor_class.__name__} ({self.child_id!r}, {self._state.value})"

    def __copy__(self) -> StableRef[A]:
        return self

    def __deepcopy__(self, memo: object) -> StableRef[A]:
        return self

    # -- sending --

    def _put(self, envelope: Envelope[Any]) -> None:
        with self._lock:
            error = self._place(envelope)
        if error is None:
            return
        if envelope.reply_to is None:
            raise error
        settle(envelope.reply_to, error)  # a stop as well: it came too late

    def _place(self, envelope: Envelope[Any]) -> Exception | None:
        mailbox = self._mailbox
        if mailbox is not None:
            if mailbox.is_full_for(envelope):
                return MailboxFull(mailbox.qsize())
            if mailbox.offer(envelope):
                return None
            self._forget_incarnation()  # it is dying, and its supervisor does not know yet
        if self._state is _State.ENDED:
            return ActorDown(self._reason)
        if len(self._held) >= HOLD_LIMIT:
            return MailboxFull(HOLD_LIMIT)
        self._held.append(envelope)
        return None

    def _forget_incarnation(self) -> None:
        self._state = _State.HOLDING
        self._mailbox = None
        self._incarnation = None
        self._actor_weakref = _nobody

    # -- for its supervisor --

    def _bind(self, ref: pykka.ActorRef[Any]) -> None:
        """Hand what is held to a new incarnation and everything newer too."""
        mailbox = ref.actor_inbox
        assert isinstance(mailbox, Mailbox)
        with self._lock:
            self._incarnations += 1
            self.actor_urn = ref.actor_urn
            # Before anything is handed over: who is answered is to find the child running.
            self._state = _State.RUNNING
            self._mailbox = mailbox
            self._incarnation = ref
            self._actor_weakref = ref._actor_weakref
            self.actor_stopped.clear()
            while self._held:
                if not mailbox.offer(self._held[0]):
                    self._forget_incarnation()  # dead already: go on holding
                    return
                self._held.popleft()

    def _inherit(self, envelopes: list[Envelope[Any]]) -> None:
        """Take over what a dying incarnation had queued: it is older than anything held."""
        with self._lock:
            # An incarnation that was abandoned while it was ending may come late.
            is_succeeded = self._mailbox is not None and self._mailbox.reason is None
            if self._state is not _State.ENDED and not is_succeeded:
                self._forget_incarnation()
                self._held.extendleft(reversed(envelopes))
                return
        for envelope in envelopes:
            refuse(envelope, ActorDown(self._reason))

    def _hold(self) -> None:
        """Hold what comes until `_bind` or `_end`: the child is to be started again."""
        with self._lock:
            self._forget_incarnation()
            self.actor_stopped.clear()

    def _end(self, reason: ExitReason) -> None:
        """Refuse what is held and what comes, and tell the watchers: the child is gone, or stopped."""
        with self._lock:
            if self._state is _State.ENDED:
                return
            self._forget_incarnation()
            self._state = _State.ENDED
            self._reason = reason
            held, self._held = self._held, deque()
            watchers, self._watchers = list(self._watchers), {}
            self.actor_stopped.set()
        for envelope in held:
            refuse(envelope, ActorDown(reason))
        for fn in watchers:
            guarded(fn, reason, "A watcher of %s", self)  # one watcher's fault is not the others'
