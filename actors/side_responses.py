"""Responses that stay out of the conversation: any number at once, each asked for once, beside whatever else is said. Pure.

What is asked for is in the log until it is answered, so a lost line or a crash asks again for what was not.

Source: the session contract, statement 4; RealtimeResponseCreateParams (``conversation: "none"``); protocol reference A.8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..gateway.client_events import ResponseCreate, ResponseParams
from ..gateway.response_options import marked
from ..gateway.wire_types import Response
from .effects import Effect, Effects, Record, Send, StartTimer, StopTimer
from .events import Error
from .reply_gate import CREATE_ID, create_id_of
from .session_log import ReplyAsked, ReplySettled

_REMEMBERED = 64  # creates that timed out


def is_side(params: ResponseParams | None) -> bool:
    """Whether a response with these parameters stays out of the conversation."""
    return params is not None and params.conversation == "none"


@dataclass(slots=True)
class _Ask:
    """``event_id``: of its create; ``response_id``: of its response, once that has begun."""

    params: ResponseParams
    event_id: str = ""
    response_id: str | None = None


class SideResponses:
    """The out-of-band responses that are asked for and not over, by ask.

    Args:
        new_id: makes a unique id from a prefix.
        timeout_s: how long a response may take to begin.
    """

    def __init__(self, new_id: Callable[[str], str], timeout_s: float) -> None:
        self._new_id = new_id
        self._timeout_s = timeout_s
        self._asks: dict[str, _Ask] = {}
        self._abandoned: list[str] = []  # creates that timed out
        self._up = False

    def restore(self, asks: Mapping[str, ResponseParams]) -> None:
        """Take over what an earlier incarnation left unanswered."""
        self._asks = {ask_id: _Ask(params) for ask_id, params in asks.items()}

    def ask(self, ask_id: str, params: ResponseParams) -> Effects:
        """Ask for a response."""
        ask = self._asks[ask_id] = _Ask(params)
        return [Record(ReplyAsked(ask_id, params)), *(self._create(ask) if self._up else ())]

    def claims(self, response: Response) -> bool:
        """Whether a response that begins was asked for here, as far as that can be told."""
        create_id = create_id_of(response)
        if create_id is not None:
            return create_id in self._abandoned or any(
                ask.event_id == create_id for ask in self._asks.values()
            )
        return response.conversation_id is None and self._next() is not None

    def created(self, response: Response) -> tuple[bool, Effects]:
        """One of these responses began. Returns whether it came too late, and effects."""
        create_id = create_id_of(response)
        if create_id in self._abandoned:
            self._abandoned.remove(str(create_id))
            return True, ()
        asks = (ask for ask in self._asks.values() if ask.event_id == create_id)
        ask = self._next() if create_id is None else next(asks, None)
        if ask is None:
            return False, ()
        ask.response_id = response.id
        return False, [StopTimer(("side", ask.event_id))]

    def done(self, response_id: str) -> Effects:
        """A response is over, one of these or not."""
        for ask_id, ask in self._asks.items():
            if ask.response_id == response_id:
                return self._settle(ask_id)
        return ()

    def refused(self, event_id: str | None) -> Effects:
        """The server refused an event; if it was one of these creates, nobody waits for it any more."""
        for ask_id, ask in self._asks.items():
            if event_id is not None and ask.event_id == event_id:
                return [StopTimer(("side", event_id)), *self._settle(ask_id)]
        return ()

    def timed_out(self, event_id: str) -> Effects:
        """No response began in time."""
        for ask_id, ask in self._asks.items():
            if ask.event_id == event_id and ask.response_id is None:
                self._abandoned = [*self._abandoned, event_id][-_REMEMBERED:]
                message = f"no response within {self._timeout_s} s: ask again"
                error = Error("response_timeout", message, recoverable=True, event_id=event_id)
                return [error, *self._settle(ask_id)]
        return ()

    @property
    def idle(self) -> bool:
        """Whether none was asked for that is not over."""
        return not self._asks

    def line_up(self) -> Effects:
        """There is a line, and the conversation is on it: ask for what was not answered on the last."""
        self._up = True
        return [effect for ask in self._asks.values() for effect in self._create(ask)]

    def line_down(self) -> Effects:
        """The line is lost, with every response that was being made on it."""
        self._up = False
        self._abandoned.clear()
        timers = [StopTimer(("side", ask.event_id)) for ask in self._asks.values() if ask.event_id]
        for ask in self._asks.values():
            ask.event_id, ask.response_id = "", None
        return timers

    def _create(self, ask: _Ask) -> list[Effect]:
        event_id = ask.event_id = self._new_id("event")
        create = ResponseCreate(response=marked(ask.params, CREATE_ID, event_id), event_id=event_id)
        return [Send(create), StartTimer(("side", event_id), self._timeout_s)]

    def _next(self) -> _Ask | None:
        """A provider that gives no metadata back makes its responses in order."""
        return next((ask for ask in self._asks.values() if ask.event_id and ask.response_id is None), None)

    def _settle(self, ask_id: str) -> list[Effect]:
        del self._asks[ask_id]
        return [Record(ReplySettled((ask_id,)))]
