"""Single flight of ``response.create``: who asked for a reply, and which response answers whom. Pure.

A provider holds one response at a time in the default conversation. So asks are collected, and one create goes out when
nothing is active and none is unacknowledged; a response covers the asks that were in the conversation when it began.

Which response a create made is told by its metadata, where the provider gives that back; by order where it does not.

Source: the session contract, statements 1, 7 and 8; protocol reference A.8 ("one active response per conversation", metadata).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ..gateway import codes
from ..gateway.client_events import ResponseCreate, ResponseParams
from ..gateway.response_options import marked
from ..gateway.wire_types import Response
from .effects import Effect, Effects, Record, Send, StartTimer, StopTimer
from .events import Error
from .session_log import AsksCarried, ReplyAsked, ReplySettled

TIMER = "reply"
_REMEMBERED = 16  # creates that timed out
CREATE_ID = "client_event_id"  # the metadata key that holds the create's event id

Fate: TypeAlias = Literal["shown", "late", "cut"]
"""What becomes of a response that begins: late ones came after their timeout, cut ones were interrupted before they began."""


@dataclass(slots=True)
class _Create:
    """A ``response.create`` that the server has not acknowledged.

    Attributes:
        cut: the asks there were when it was interrupted; None if it was not.
        doubted: a response was taken for a late one since this was sent; it may have been this one's.
    """

    event_id: str
    asks: frozenset[str]
    cut: frozenset[str] | None = None
    doubted: bool = False


@dataclass(slots=True)
class _Active:
    """The response that the default conversation is busy with; without id while we know of it by a refusal alone."""

    response_id: str | None
    covers: set[str] = field(default_factory=set[str])
    event_id: str | None = None
    unsure: frozenset[str] = frozenset()  # covered only if the response is the one that our create made


class ReplyGate:
    """Decides when a ``response.create`` may go out.

    Attributes:
        vad_replies: the server replies by itself when the user has spoken.
    """

    def __init__(self, new_id: Callable[[str], str], timeout_s: float, *, vad_replies: bool) -> None:
        self._new_id = new_id
        self._timeout_s = timeout_s
        self.vad_replies = vad_replies
        self._asks: dict[str, bool] = {}  # ask id -> the server has shown it in the conversation
        # of the asks whose reply is to differ: each has a create of its own
        self._params: dict[str, ResponseParams] = {}
        self._carried: dict[str, set[str]] = {}  # turn id -> asks that wait for the outputs of its tools
        self._create: _Create | None = None
        self._active: _Active | None = None
        self._abandoned: list[str] = []  # creates that timed out, oldest first
        self._names_creates = False  # the provider gives a response the metadata of its create
        self._speaking = False
        self._reply_due = False  # the user has spoken, and the server replies by itself
        self._armed = False
        self._up = False

    def restore(
        self,
        open_asks: Iterable[str],
        carried: Mapping[str, tuple[str, ...]],
        params: Mapping[str, ResponseParams],
    ) -> None:
        """Take over the asks that an earlier incarnation left open, and those that wait for the outputs of tools."""
        self._asks = dict.fromkeys(open_asks, False)
        self._params = {ask_id: params[ask_id] for ask_id in self._asks if ask_id in params}
        self._carried = {turn_id: set(asks) for turn_id, asks in carried.items()}

    # -- asks

    def ask(
        self, ask_id: str, params: ResponseParams | None = None, *, instead_of: str | None = None
    ) -> Effects:
        """Want a reply. ``params``: how it is to differ; ``instead_of``: a turn whose carried asks this one stands for."""
        self._asks[ask_id] = False
        if params is not None:
            self._params[ask_id] = params
        carried = tuple(self._carried.pop(instead_of, ())) if instead_of is not None else ()
        settled = [Record(ReplySettled(carried))] if carried else []
        return [Record(ReplyAsked(ask_id, params)), *settled, *self.proceed()]

    def expect(self, item_id: str) -> Effects:
        """The user has spoken this item. Under VAD the server replies by itself; if its line is lost before, we ask."""
        # It was committed by us, and so is in the conversation whoever asked for a reply to it.
        if not self.vad_replies:
            waiting = next((ask for ask, shown in self._asks.items() if not shown), item_id)
            self.arrived(waiting)
            return ()
        if item_id in self._asks:
            return ()
        self._asks[item_id] = True
        return [Record(ReplyAsked(item_id))]

    def arrived(self, item_id: str) -> None:
        """The server shows this item in the conversation."""
        if item_id in self._asks:
            self._asks[item_id] = True

    def withdraw(self, ask_id: str) -> Effects:
        """What asked for a reply was refused: nobody waits for one."""
        return self._settle({ask_id}) if ask_id in self._asks else ()

    def drop(self, turn_id: str) -> Effects:
        """The outputs of this turn's tools will not be submitted: its asks are settled."""
        return self._settle(self._carried.pop(turn_id, set[str]()))

    # -- responses

    def created(
        self, response: Response, answered: Callable[[str], bool] | None = None
    ) -> tuple[Fate, Effects]:
        """A default response began. Returns what becomes of it, and effects.

        ``answered``: it is over already and its beginning was not seen, so that what was in the conversation then is not
        known: it covers the items that its words follow.
        """
        create, create_id = self._create, create_id_of(response)
        self._names_creates = self._names_creates or create_id is not None
        late, over = self._is_late(create_id), answered is not None
        if over and self._is_making_another(create_id):
            return "late" if late else "shown", ()
        self._reply_due = False
        if late:
            self._active = _Active(response.id)
            return "late", ()
        arrived = {ask for ask, shown in self._asks.items() if shown and (answered is None or answered(ask))}
        if create is None or (self._names_creates and create_id != create.event_id):
            self._active = _Active(response.id, arrived)  # the server's own
            return "shown", [] if create is not None else self._disarm()
        self._create = None
        if create_id is not None:
            self._abandoned.clear()  # responses come in the order of their creates: older ones will not come any more
        unsure = frozenset[str]() if create_id is not None else create.asks - arrived
        covers = arrived | create.asks
        if create.cut is not None:
            covers &= create.cut  # who asked after the interruption still waits
        self._active = _Active(response.id, covers, create.event_id, unsure)
        return "shown" if create.cut is None else "cut", self._disarm()

    def _is_making_another(self, create_id: str | None) -> bool:
        """Whether the server is known to make a response, so that the end of one it never began says nothing of that."""
        if self._active is None or self._active.response_id is None:
            return False
        return self._create is None or create_id != self._create.event_id

    def _is_late(self, create_id: str | None) -> bool:
        if create_id is not None:
            late = create_id in self._abandoned
            if late:
                del self._abandoned[: self._abandoned.index(create_id) + 1]
            return late
        # Under VAD the server makes responses of its own, so that without metadata none can be taken for late.
        if not self._abandoned or self._names_creates or self.vad_replies:
            return False
        del self._abandoned[0]
        if self._create is not None:
            self._create.doubted = True
        return True

    def done(self, response_id: str, *, carry: bool = False) -> Effects:
        """A response is over; ``proceed`` comes next. ``carry``: its asks wait for the outputs of its tools."""
        active = self._active
        if active is None or (active.response_id is not None and active.response_id != response_id):
            return ()
        self._active = None
        if not carry:
            return self._settle(active.covers)
        for ask in active.covers:
            self._asks.pop(ask, None)
            self._params.pop(ask, None)
        self._carried[response_id] = active.covers
        return [Record(AsksCarried(response_id, tuple(sorted(active.covers))))] if active.covers else ()

    def rejected(self, event_id: str | None, code: str | None) -> tuple[bool, Effects]:
        """The server refused an event of ours. Returns whether that is dealt with (else it is news), and effects."""
        create, active, raced = self._create, self._active, code == codes.ACTIVE_RESPONSE
        if event_id in self._abandoned:
            self._abandoned.remove(event_id)
            return raced, ()
        named = raced and event_id is None  # a provider that does not say which: it can only be a create
        if create is not None and (named or create.event_id == event_id):
            self._create = None
            if raced:
                return True, self._race_lost(create)
            return False, [*self._disarm(), *self._settle(create.asks), *self.proceed()]
        if active is not None and raced and (named or active.event_id == event_id):
            active.covers -= active.unsure
        return raced, ()

    def _race_lost(self, create: _Create) -> list[Effect]:
        """Another response was there first: ask again after it, for those it does not cover."""
        settled = self._settle(create.asks & create.cut) if create.cut is not None else []
        if self._active is not None:
            return [*self._disarm(), *settled]
        # Some response is active. It will be done, created or not; if not, the timer says so.
        self._active = _Active(None, event_id=create.event_id, unsure=create.asks)
        return [self._arm(), *settled]

    # -- interruptions

    def cut(self) -> None:
        """The user does not want the response that was asked for and has not begun."""
        if self._create is not None and self._create.cut is None:
            self._create.cut = frozenset(self._asks)

    def interrupted(self, response_id: str) -> Effects:
        """The user cut this response off: nobody waits for its answer any more."""
        active = self._active
        if active is None or active.response_id != response_id:
            return ()
        covers, active.covers = active.covers, set()
        return self._settle(covers)

    # -- time and speech

    def timed_out(self) -> Effects:
        """No response came in time."""
        self._armed = False
        create, active = self._create, self._active
        if create is not None:
            self._create = None
            if not create.doubted:
                self._abandoned = [*self._abandoned, create.event_id][-_REMEMBERED:]
            return self._give_up(create.event_id, create.asks)
        if active is not None and active.response_id is None:
            self._active = None
            return self._give_up(active.event_id, active.unsure)
        self._reply_due = False
        return self.proceed()

    def _give_up(self, event_id: str | None, asks: frozenset[str]) -> list[Effect]:
        error = Error(
            "response_timeout",
            f"no response within {self._timeout_s} s: ask again",
            recoverable=True,
            event_id=event_id,
        )
        return [error, *self._settle(asks), *self.proceed()]

    def speech_started(self) -> Effects:
        """The user speaks: nothing is asked for meanwhile."""
        waited, self._reply_due = self._reply_due, False
        self._speaking = True
        return self._disarm() if waited and not self._waits_for_server() else ()

    def speech_stopped(self) -> Effects:
        """The user is done. Under VAD the server replies by itself, and that reply comes first."""
        self._speaking = False
        self._reply_due = self.vad_replies
        return self.proceed()

    @property
    def idle(self) -> bool:
        """Whether nobody waits for a reply and the user is silent."""
        busy = (
            self._create or self._active or self._asks or self._carried or self._speaking or self._reply_due
        )
        return not busy

    # -- the line

    def line_up(self, wants_no_reply: Callable[[str], bool], *, speaks: bool = False) -> Effects:
        """The line works and the conversation is on it.

        ``wants_no_reply``: whether nobody waits for an answer to this ask. ``speaks``: the user does, as the server will soon say.
        """
        self._up, self._reply_due = True, speaks
        settled = self._settle({ask for ask in self._asks if wants_no_reply(ask)})
        return [*settled, *self.proceed()]

    def line_down(self) -> Effects:
        """Whatever was in flight is gone; who was not answered still wants a reply."""
        create = self._create
        settled = self._settle(create.asks & create.cut) if create and create.cut is not None else []
        self._asks = dict.fromkeys(self._asks, False)  # what tools are at work for waits for their outputs
        self._create = self._active = None
        self._abandoned.clear()
        self._speaking = self._reply_due = self._up = False
        return [*self._disarm(), *settled]

    # -- steps

    def proceed(self) -> list[Effect]:
        """Ask the provider, if somebody waits and nothing stands against it."""
        if self._create is not None or self._active is not None or self._speaking or not self._up:
            return []
        if self._reply_due:
            return [] if self._armed else [self._arm()]
        if not self._asks:
            return []
        event_id = self._new_id("event")
        first = next(iter(self._asks))
        params = self._params.get(first)
        asks = (ask for ask in self._asks if ask not in self._params) if params is None else (first,)
        self._create = _Create(event_id, frozenset(asks))
        create = ResponseCreate(
            response=marked(params or ResponseParams(), CREATE_ID, event_id), event_id=event_id
        )
        return [Send(create), self._arm()]

    def _waits_for_server(self) -> bool:
        return self._create is not None or (self._active is not None and self._active.response_id is None)

    def _arm(self) -> Effect:
        self._armed = True
        return StartTimer(TIMER, self._timeout_s)

    def _disarm(self) -> list[Effect]:
        self._armed = False
        return [StopTimer(TIMER)]

    def _settle(self, asks: set[str] | frozenset[str]) -> list[Effect]:
        if not asks:
            return []
        for ask in asks:
            self._asks.pop(ask, None)
            self._params.pop(ask, None)
        return [Record(ReplySettled(tuple(sorted(asks))))]


def create_id_of(response: Response) -> str | None:
    """Return the event id of the create that made this response, if the provider says so."""
    value = (response.metadata or {}).get(CREATE_ID)
    return value if isinstance(value, str) else None
