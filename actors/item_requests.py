"""Questions about single items that only the provider can answer: retrieve, delete. Pure.

While the line is down they wait for the next; what the lost line left unanswered is asked again, which both can bear: a new line
has what the history holds.

Source: the session contract, statement 12; ``conversation.item.retrieve`` and ``.delete``; protocol reference A.8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..gateway import server_events as wire
from ..gateway.client_events import ConversationItemDelete, ConversationItemRetrieve
from ..gateway.errors import ServerError
from ..gateway.wire_types import ErrorDetail, Item
from .effects import NOTHING, Effects, Reject, Resolve, Send, StartTimer, StopTimer
from .errors import CommandTimeout
from .events import Error

CALL_TIMEOUT_S = 5.0
Kind: TypeAlias = Literal["delete_item", "retrieve_item"]


@dataclass(frozen=True, slots=True)
class _Request:
    kind: Kind
    item_id: str
    token: int | None


class ItemRequests:
    """What was asked and not answered, by event id, oldest first.

    Args:
        new_id: makes a unique id from a prefix.
    """

    def __init__(self, new_id: Callable[[str], str]) -> None:
        self._new_id = new_id
        self._open: dict[str, _Request] = {}
        self._up = False

    def ask(self, kind: Kind, item_id: str, token: int | None) -> Effects:
        """Ask the provider."""
        event_id = self._new_id("event")
        self._open[event_id] = _Request(kind, item_id, token)
        timer = StartTimer(("item", event_id), CALL_TIMEOUT_S)
        return [self._send(event_id), timer] if self._up else [timer]

    @property
    def busy(self) -> bool:
        """Whether a request waits for its answer."""
        return bool(self._open)

    def line_up(self) -> Effects:
        """There is a line, and the conversation is on it."""
        self._up = True
        return [self._send(event_id) for event_id in self._open]

    def line_down(self) -> None:
        """The line is lost."""
        self._up = False

    def deleted(self, event: wire.ConversationItemDeleted, _now: float) -> Effects:
        """The provider deleted an item."""
        return self._answer("delete_item", event.item_id, None)

    def retrieved(self, event: wire.ConversationItemRetrieved, _now: float) -> Effects:
        """The provider shows an item."""
        return self._answer("retrieve_item", event.item.id or "", event.item)

    def refused(self, detail: ErrorDetail) -> Effects | None:
        """The provider refused an event: effects if it was one of these, else None."""
        request = self._open.pop(detail.event_id or "", None)
        if request is None:
            return None
        error, stop = ServerError.from_detail(detail), StopTimer(("item", detail.event_id))
        if request.token is not None:
            return [stop, Reject(request.token, error)]
        code = detail.code or "server_error"
        told = Error(code, error.message, detail.param, error.recoverable, detail.event_id, request.item_id)
        return [stop, told]

    def timed_out(self, event_id: str) -> Effects:
        """No answer came in time."""
        request = self._open.pop(event_id, None)
        if request is None or request.token is None:
            return NOTHING
        return [Reject(request.token, CommandTimeout(request.kind, CALL_TIMEOUT_S))]

    def _answer(self, kind: Kind, item_id: str, item: Item | None) -> Effects:
        """Answers name no client event: each is for the oldest request about this item."""
        for event_id, request in self._open.items():
            if request.kind == kind and request.item_id == item_id:
                del self._open[event_id]
                stop = StopTimer(("item", event_id))
                return [stop] if request.token is None else [stop, Resolve(request.token, item)]
        return NOTHING

    def _send(self, event_id: str) -> Send:
        request = self._open[event_id]
        if request.kind == "delete_item":
            return Send(ConversationItemDelete(item_id=request.item_id, event_id=event_id))
        return Send(ConversationItemRetrieve(item_id=request.item_id, event_id=event_id))
