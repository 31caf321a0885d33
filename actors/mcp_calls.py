"""Calls of remote MCP servers' tools, which the provider makes: what a subscriber sees, and who allows them. Pure.

They are tool calls like others to a subscriber, with a ``server_label``; their call_id is the id of their item or, where
they had to be approved, of the request. No output is sent for them, the provider has it. After an approval it goes on by
itself or on our ``response.create``, whichever comes first: the reply gate settles that.

Source: ``reference/protocol.md`` A.2 (19 to 21, 32 to 36), A.3 (RealtimeMcp...); the session contract, statements 2 to 4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..gateway import server_events as wire
from ..gateway.items import mcp_approval_response
from ..gateway.wire_types import Item, Response
from .effects import NOTHING, AskApproval, Effect, Effects, Send, StartTool, StopTool
from .events import (
    Error,
    ToolCallArgsDelta,
    ToolCallCompleted,
    ToolCallDispatched,
    ToolCallFailed,
    ToolCallStarted,
)
from .item_creation import create_item
from .skipped_calls import why_skipped
from .tool_arguments import parse_arguments
from .tool_errors import ToolArgumentsError
from .tool_outcome import ToolOutcome
from .tool_rounds import ToolRounds
from .turns import Turn, Turns

_CALL, _REQUEST, _LISTING = "mcp_call", "mcp_approval_request", "mcp_list_tools"


@dataclass(slots=True)
class _Call:
    """A call, or the request for one, in a response in the making."""

    turn_id: str
    call_id: str
    item: Item
    arguments: str = ""
    over: bool = False


class McpCalls:
    """The calls in the making, and the requests that wait for an answer.

    Args:
        new_id: makes a unique id from a prefix.
        turns: the responses that they belong to.
        rounds: is asked for a reply when all requests of a turn are answered.
    """

    def __init__(self, new_id: Callable[[str], str], turns: Turns, rounds: ToolRounds) -> None:
        self._new_id = new_id
        self._turns = turns
        self._rounds = rounds
        self._calls: dict[str, _Call] = {}  # by item id
        self._asked: dict[str, _Call] = {}  # requests, by their id
        self._allowed: dict[str, _Call] = {}  # requests that were allowed, until their call begins
        self._labels: dict[str, str] = {}  # of servers that are asked for their tools, by item id

    @property
    def idle(self) -> bool:
        """Whether no request for an approval is open."""
        return not self._asked

    def handlers(self) -> dict[type[Any], Callable[[Any, float], Effects]]:
        """Return who handles which server event; output items come by ``item_added`` and ``item_done``."""
        return {
            wire.ResponseMcpCallArgumentsDelta: self._arguments_delta,
            wire.ResponseMcpCallArgumentsDone: self._arguments_done,
            wire.ResponseMcpCallInProgress: self._in_progress,
            wire.McpListToolsFailed: self._listing_failed,
            wire.McpListToolsCompleted: self._listing_completed,
        }

    # -- calls

    def item_added(self, event: wire.ResponseOutputItemAdded) -> Effects:
        """An output item began."""
        item, turn = event.item, self._turns.get(event.response_id)
        if item.type not in (_CALL, _REQUEST) or not item.id or turn is None or item.id in self._calls:
            return NOTHING
        call_id = item.approval_request_id or item.id
        call = self._calls[item.id] = _Call(turn.turn_id, call_id, item)
        if not turn.announced or (turn.interrupted and not item.approval_request_id):
            call.over = True  # nobody hears of it
            return NOTHING
        if item.approval_request_id:
            self._allowed.pop(item.approval_request_id, None)
            return NOTHING  # it began with the request
        return [ToolCallStarted(turn.turn_id, call_id, item.name or "", item.id, item.server_label)]

    def _arguments_delta(self, event: wire.ResponseMcpCallArgumentsDelta, _now: float) -> Effects:
        call, turn = self._calls.get(event.item_id), self._turns.get(event.response_id)
        if call is None or call.over or turn is None or turn.interrupted:
            return NOTHING
        return [ToolCallArgsDelta(call.turn_id, call.call_id, event.delta, event.item_id)]

    def _arguments_done(self, event: wire.ResponseMcpCallArgumentsDone, _now: float) -> Effects:
        call = self._calls.get(event.item_id)
        if call is not None:
            call.arguments = event.arguments
        return NOTHING

    def _in_progress(self, event: wire.ResponseMcpCallInProgress, _now: float) -> Effects:
        call = self._calls.get(event.item_id)
        if call is None or call.over:
            return NOTHING
        item = call.item
        args = _decoded(call.arguments)
        return [
            ToolCallDispatched(call.turn_id, call.call_id, item.name or "", args, item.id, item.server_label)
        ]

    def item_done(self, event: wire.ResponseOutputItemDone) -> Effects:
        """An output item is final: of a call, what came of it."""
        call = self._calls.get(event.item.id or "")
        if call is None:
            return NOTHING
        call.item = event.item
        if event.item.type == _REQUEST or call.over:
            return NOTHING
        item = event.item
        if item.error is not None:
            call.over = True
            return [_failed(call, "mcp_failed", _text(item.error))]
        if item.output is None:
            return NOTHING  # it was cut: its turn's end tells
        call.over = True
        return [
            ToolCallCompleted(
                call.turn_id, call.call_id, item.name or "", item.output, item.id, item.server_label
            )
        ]

    # -- the end of a turn, and approval

    def turn_over(self, turn: Turn, response: Response, status: str) -> list[Effect]:
        """A response is over: calls that were cut have failed, requests of a completed one go to the application."""
        effects: list[Effect] = []
        mine = [call for call in self._calls.values() if call.turn_id == turn.turn_id]
        for call in mine:
            del self._calls[call.item.id or ""]
            if call.over:
                continue
            if call.item.type == _REQUEST and status == "completed" and turn.default:
                effects.append(self._ask(call))
            else:
                effects.append(_failed(call, *why_skipped(turn, status)))
        return effects

    def _ask(self, call: _Call) -> AskApproval:
        item = call.item
        self._asked[call.call_id] = call
        start = StartTool(call.turn_id, call.call_id, item.name or "", item.arguments or "{}")
        return AskApproval(start, item.server_label or "")

    def is_asking(self, turn_id: str) -> bool:
        """Whether the application has not answered all requests of this turn."""
        return any(call.turn_id == turn_id for call in self._asked.values())

    def waits_for(self, call_id: str) -> bool:
        """Whether this is a request that the application has not answered."""
        return call_id in self._asked

    def decided(self, outcome: ToolOutcome) -> list[Effect]:
        """The application has answered a request, or cannot: that is a no."""
        call = self._asked.pop(outcome.call_id)
        answer = mcp_approval_response(
            call.call_id,
            approve=outcome.ok,
            item_id=self._new_id("item"),
            reason=None if outcome.error is None else outcome.error.message,
        )
        effects: list[Effect] = [Send(create_item(answer))]
        if outcome.error is not None:
            effects.append(_failed(call, "denied", outcome.error.detail or outcome.error.message))
        else:
            self._allowed[call.call_id] = call
        if not self.is_asking(call.turn_id):
            self._rounds.another()
            effects += self._rounds.reply(answer.id or "", call.turn_id)
        return effects

    def line_down(self) -> list[Effect]:
        """The line is lost, and with it what was in the making; who waits for a request's end still wants a reply."""
        turns = dict.fromkeys(call.turn_id for call in self._asked.values())
        effects: list[Effect] = [StopTool(call_id, "line_lost") for call_id in self._asked]
        for call in (*self._calls.values(), *self._asked.values(), *self._allowed.values()):
            if not call.over:
                effects.append(_failed(call, "incomplete", "the line was lost"))
        self._calls.clear()
        self._asked.clear()
        self._allowed.clear()
        self._labels.clear()
        for turn_id in turns:
            effects += self._rounds.reply(self._new_id("ask"), turn_id)
        return effects

    # -- what servers offer

    def listing(self, item: Item) -> None:
        """An item joined the conversation: perhaps one that will list a server's tools."""
        if item.type == _LISTING and item.id:
            self._labels[item.id] = item.server_label or ""

    def _listing_completed(self, event: wire.McpListToolsCompleted, _now: float) -> Effects:
        self._labels.pop(event.item_id, None)
        return NOTHING

    def _listing_failed(self, event: wire.McpListToolsFailed, _now: float) -> Effects:
        label = self._labels.pop(event.item_id, "")
        message = f"the MCP server {label!r} did not list its tools: the model cannot call them"
        return [Error("mcp_list_tools_failed", message, recoverable=True, item_id=event.item_id)]


def _failed(call: _Call, code: str, why: str) -> ToolCallFailed:
    item = call.item
    return ToolCallFailed(call.turn_id, call.call_id, item.name or "", why, code, item.id, item.server_label)


def _decoded(arguments: str) -> Mapping[str, Any]:
    try:
        return parse_arguments(arguments)
    except ToolArgumentsError:
        return {}  # the provider's to refuse


def _text(error: Any) -> str:
    message = error.get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) else "the MCP server's tool failed"
