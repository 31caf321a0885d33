"""Single flight of ``response.create``: who asked for a reply, and which response answers whom. Pure.

A provider holds one response at a time in the default conversation. So asks are collected, and one create goes out when
nothing is active and none is unacknowledged; a response covers the asks that were in the conversation when it began.

Source: the session contract, statements 1, 7 and 8; protocol reference A.8 ("one active response per conversation").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..gateway import codes
from ..gateway.client_events import ResponseCreate
from .effects import Effect, Effects, Record, Send, StartTimer, StopTimer
from .events import Error
from .session_log import ReplyAsked, ReplySettled

TIMER = "reply"


@dataclass(slots=True)
class _Create:
    """A ``response.create`` that the server has not acknowledged."""

    event_id: str
    asks: frozenset[str]


@dataclass(slots=True)
class _Active:
    """The response that the default conversation is busy with."""

    response_id: str | None
    covers: set[str] = field(default_factory=set[str])
    event_id: str | None = None
    unsure: frozenset[str] = frozenset()  # covered only if the response is the one that our create made


class ReplyGate:
    """Decides when a ``response.create`` may go out."""

    def __init__(self, new_id: Callable[[str], str], timeout_s: float, *, vad_replies: bool) -> None:
        self._new_id = new_id
        self._timeout_s = timeout_s
        self._vad_replies = vad_replies
        self._asks: dict[str, bool] = {}  # ask id -> the server has shown it in the conversation
        self._carried: dict[str, set[str]] = {}  # turn id -> asks that wait for the outputs of its tools
        self._create: _Create | None = None
        self._active: _Active | None = None
        self._abandoned = 0
        self._user_has_floor = False
        self._up = False

    @property
    def create_in_flight(self) -> bool:
        """A create was sent and no response has answered it yet."""
        return self._create is not None

    def restore(self, open_asks: tuple[str, ...]) -> None:
        """Take over the asks that an earlier incarnation left open."""
        self._asks = dict.fromkeys(open_asks, False)

    def ask(self, ask_id: str, *, instead_of: str | None = None) -> Effects:
        """Want a reply. ``instead_of`` names a turn whose carried asks this one stands for."""
        self._asks[ask_id] = False
        carried = tuple(self._carried.pop(instead_of, ())) if instead_of is not None else ()
        settled = [Record(ReplySettled(carried))] if carried else []
        return [Record(ReplyAsked(ask_id)), *settled, *self._next()]

    def arrived(self, item_id: str) -> None:
        """The server shows this item in the conversation."""
        if item_id in self._asks:
            self._asks[item_id] = True

    def created(self, response_id: str) -> tuple[bool, Effects]:
        """A default response began. Returns whether it is too late for its asker and must be hidden, and effects."""
        create, self._create = self._create, None
        # Responses come in the order of their creates; under VAD the server makes some of its own, so none is taken for late.
        late = self._abandoned > 0 and not self._vad_replies
        if late:
            self._abandoned -= 1
            self._create = create
            self._active = _Active(response_id)
            return True, ()
        arrived = {ask for ask, shown in self._asks.items() if shown}
        sent = create.asks if create else frozenset[str]()
        self._active = _Active(
            response_id, arrived | sent, create.event_id if create else None, sent - arrived
        )
        self._user_has_floor = False
        return False, [StopTimer(TIMER)]

    def done(self, response_id: str, *, carry: bool = False) -> Effects:
        """A response is over. ``carry``: its asks wait for the outputs of its tools."""
        active = self._active
        if active is None or (active.response_id is not None and active.response_id != response_id):
            return ()
        self._active = None
        if carry:
            for ask in active.covers:
                self._asks.pop(ask, None)
            self._carried[response_id] = active.covers
            return self._next()
        return [*self._settle(active.covers), *self._next()]

    def drop(self, turn_id: str) -> Effects:
        """The outputs of this turn's tools will not be submitted: its asks are settled."""
        return self._settle(self._carried.pop(turn_id, set[str]()))

    def rejected(self, event_id: str, code: str | None) -> tuple[bool, Effects]:
        """The server refused an event of ours. Returns whether that is dealt with (else it is news), and effects."""
        create, active = self._create, self._active
        if create is not None and create.event_id == event_id:
            self._create = None
            if code == codes.ACTIVE_RESPONSE:
                if active is None:
                    self._active = _Active(None)  # some response is; the next done that comes lets us go on
                return True, [StopTimer(TIMER)]
            return False, [StopTimer(TIMER), *self._settle(create.asks), *self._next()]
        if active is not None and active.event_id == event_id and code == codes.ACTIVE_RESPONSE:
            active.covers -= active.unsure
            return True, ()
        return False, ()

    def interrupted(self, response_id: str) -> Effects:
        """The user cut this response off: nobody waits for its answer any more."""
        active = self._active
        if active is None or active.response_id != response_id:
            return ()
        covers, active.covers = active.covers, set()
        return self._settle(covers)

    def timed_out(self) -> Effects:
        """No response came in time."""
        if self._create is None:
            self._user_has_floor = False
            return self._next()
        create, self._create = self._create, None
        self._abandoned += 1
        error = Error(
            "response_timeout",
            f"no response within {self._timeout_s} s: ask again",
            recoverable=True,
            event_id=create.event_id,
        )
        return [error, *self._settle(create.asks), *self._next()]

    def speech_started(self) -> None:
        """The user speaks: nothing is asked for meanwhile."""
        self._user_has_floor = True

    def speech_stopped(self) -> Effects:
        """The user is done. Under VAD the server replies by itself, and that reply comes first."""
        if self._vad_replies:
            return [StartTimer(TIMER, self._timeout_s)] if self._asks else ()
        self._user_has_floor = False
        return self._next()

    def line_up(self) -> Effects:
        """The line works and the conversation is on it."""
        self._up = True
        return self._next()

    def line_down(self) -> Effects:
        """Whatever was in flight is gone; who was not answered still wants a reply."""
        if self._active is not None:
            self._asks.update(dict.fromkeys(self._active.covers, False))
        self._asks = dict.fromkeys(self._asks, False)  # what tools are at work for waits for their outputs
        self._create = self._active = None
        self._abandoned = 0
        self._user_has_floor = self._up = False
        return [StopTimer(TIMER)]

    def _next(self) -> list[Effect]:
        busy = self._create is not None or self._active is not None or self._user_has_floor
        if busy or not self._up or not self._asks:
            return []
        event_id = self._new_id("event")
        self._create = _Create(event_id, frozenset(self._asks))
        return [Send(ResponseCreate(event_id=event_id)), StartTimer(TIMER, self._timeout_s)]

    def _settle(self, asks: set[str] | frozenset[str]) -> list[Effect]:
        if not asks:
            return []
        for ask in asks:
            self._asks.pop(ask, None)
        return [Record(ReplySettled(tuple(sorted(asks))))]
