"""Where one subscriber's events go: a stream, an actor or a function. Owns no thread.

``deliver`` is called per event, ``deliver_raw`` per frame for those who want frames, ``end`` once, last. The first two return
False when the subscriber has ended and must be dropped, but for a function, which may return what it likes.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import pykka

from ..supervision import MailboxFull, teller
from .backlog import BacklogLimits, Loss, loss_of, overflow_error
from .commands import RealtimeClose, RealtimeEvent, RealtimeFrame
from .event_stream import EventStream
from .events import AssistantAudioDelta, Error, Event, SessionClosed
from .inbox_backlog import InboxBacklog
from .raw_frame import EventOrFrame, RawFrame

__all__ = ["ActorSink", "CallbackSink", "Sink", "StreamSink", "Unheard"]

MAX_UNHEARD = 100
"""How many errors are kept of a session that nobody listens to."""

_log = logging.getLogger("trunkline.actors")


class Sink:
    """What all three have."""

    __slots__ = ("deliver", "deliver_raw", "subscriber")

    def __init__(
        self,
        subscriber: object,
        deliver: Callable[[Event], object],
        deliver_raw: Callable[[RawFrame], object],
    ) -> None:
        self.subscriber = subscriber
        self.deliver = deliver
        self.deliver_raw = deliver_raw

    def deliver_late(self, event: Event) -> None:
        """Deliver what ends with the session, after its publisher."""
        self.deliver(event)

    def end(self, closed: SessionClosed) -> None:
        """Deliver the last event."""
        self.deliver(closed)


class StreamSink(Sink):
    """A stream's."""

    __slots__ = ()

    def __init__(self, stream: EventStream[Any]) -> None:
        super().__init__(stream, stream.put, stream.put_raw)


class ActorSink(Sink):
    """Tells an actor, as far as it keeps up. The lock makes sure that nothing is told after the end."""

    __slots__ = ("_backlog", "_ended", "_limits", "_lock", "_n_waiting", "_session_id", "_tell")

    def __init__(
        self, subscriber: pykka.ActorRef[Any], session_id: str, limits: BacklogLimits | None = None
    ) -> None:
        super().__init__(subscriber, self._deliver, self._with_care)
        inbox: Any = subscriber.actor_inbox
        self._limits = limits or BacklogLimits()
        self._backlog = InboxBacklog(self._limits)
        # every inbox of pykka and of ours has it; pykka's protocol of an inbox does not ask for it
        self._n_waiting: Callable[[], int] = getattr(inbox, "qsize", lambda: 0)
        self._tell = teller(subscriber)
        self._session_id = session_id
        self._lock = threading.Lock()
        self._ended = False

    def _deliver(self, event: Event) -> bool:
        # The hot path: within what may wait, no look at the inbox.
        backlog = self._backlog
        if backlog.told < backlog.look_at and type(event) is not AssistantAudioDelta:
            with self._lock:
                if self._ended:
                    return False
                backlog.told += 1
                try:
                    self._tell(RealtimeEvent(self._session_id, event))
                except MailboxFull:
                    return self._no_room(event)
            return True
        return self._with_care(event)

    def _with_care(self, event: EventOrFrame) -> bool:
        with self._lock:
            if self._ended:
                return False
            for told in self._backlog.admit(event, self._n_waiting()):
                try:
                    self._tell(self._message(told))
                except MailboxFull:
                    return self._no_room(told)
            if self._backlog.given_up:
                self._give_up()
            return not self._ended

    def _message(self, event: EventOrFrame) -> RealtimeEvent | RealtimeFrame:
        if isinstance(event, RawFrame):
            return RealtimeFrame(self._session_id, event)
        return RealtimeEvent(self._session_id, event)

    def _no_room(self, event: EventOrFrame) -> bool:
        """The inbox has a bound of its own, below ours, or its actor has been restarting for long."""
        if loss_of(event) is not Loss.NEVER:
            self._backlog.refused()
            return True
        self._ended = True
        _log.warning(
            "a subscribing actor was dropped: its full mailbox refused an event that must not be lost",
            extra={"session_id": self._session_id},
        )
        return False

    def _give_up(self) -> None:
        self._ended = True
        self._tell(RealtimeClose(self._session_id, "error"))
        _log.warning("%s", overflow_error(self._limits).message, extra={"session_id": self._session_id})

    def end(self, closed: SessionClosed) -> None:
        """Tell the last event, and that it was the last."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
            for report in self._backlog.report():
                self._tell(RealtimeEvent(self._session_id, report))
            self._tell(RealtimeEvent(self._session_id, closed))
            self._tell(RealtimeClose(self._session_id, closed.reason))


class CallbackSink(Sink):
    """Calls a function: foreign code, which may hang."""

    __slots__ = ("_call",)

    def __init__(self, subscriber: Callable[[Any], object]) -> None:
        super().__init__(subscriber, subscriber, subscriber)
        self._call = subscriber

    def silence(self) -> None:
        """Deliver nothing but the end from now on: a zombie may still be in the middle of a round."""
        self.deliver = self.deliver_raw = _ignore

    def deliver_late(self, event: Event) -> None:
        """Call it although it is silenced."""
        self._call(event)

    def end(self, closed: SessionClosed) -> None:
        """Call it a last time."""
        self._call(closed)


class Unheard(Sink):
    """Stands in until somebody listens, and keeps the newest errors for whoever is the first."""

    __slots__ = ("errors",)

    def __init__(self) -> None:
        super().__init__(self, self._keep, _ignore)
        self.errors: deque[Error] = deque(maxlen=MAX_UNHEARD)

    def _keep(self, event: Event) -> None:
        if isinstance(event, Error):
            self.errors.append(event)


def _ignore(_: object) -> None:
    """Take an event and do nothing."""
