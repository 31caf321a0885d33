"""The turns and tool calls that subscribers saw begin and not end. Owns nothing; the session's threads note them in turn.

It outlives the session's actor: after a crash the next incarnation ends them, and at the end of the session whoever ends that, so
that no subscriber waits for words that will not come, or for a tool that does not run.
"""

from __future__ import annotations

from collections.abc import Mapping

from .events import (
    AssistantText,
    AssistantTranscript,
    AssistantTurnCompleted,
    AssistantTurnStarted,
    Event,
    Interrupted,
    SessionClosed,
    ToolCallCompleted,
    ToolCallFailed,
    ToolCallStarted,
)
from .memory import Memory, OpenBatch, recall
from .replay import OWN_ASK
from .session_log import CallSettled, ItemDeleted, SessionLog

TURN_EVENTS = (
    AssistantTurnStarted,
    AssistantText,
    AssistantTranscript,
    Interrupted,
    AssistantTurnCompleted,
    ToolCallStarted,
    ToolCallCompleted,
    ToolCallFailed,
)


class OpenTurns:
    """Turns by id, whether each was interrupted; and calls."""

    def __init__(self) -> None:
        self._interrupted: dict[str, bool] = {}
        self._said: dict[str, list[str]] = {}
        self._calls: dict[tuple[str, str], ToolCallStarted] = {}

    def note(self, event: Event) -> None:
        """Subscribers are told this."""
        match event:
            case AssistantText(turn_id) | AssistantTranscript(turn_id):
                if turn_id in self._interrupted and event.item_id:
                    self._said.setdefault(turn_id, []).append(event.item_id)
            case AssistantTurnStarted(turn_id):
                self._interrupted[turn_id] = False
            case Interrupted(turn_id):
                if turn_id in self._interrupted:
                    self._interrupted[turn_id] = True
            case AssistantTurnCompleted(turn_id):
                self._interrupted.pop(turn_id, None)
                self._said.pop(turn_id, None)
            case ToolCallStarted(turn_id, call_id):
                self._calls[turn_id, call_id] = event
            case ToolCallCompleted(turn_id, call_id) | ToolCallFailed(turn_id, call_id):
                self._calls.pop((turn_id, call_id), None)
            case _:
                pass

    def half_said(self) -> list[str]:
        """The items of turns that have not ended: there may have been more to say. Of what was cut off nobody waits for more."""
        going_on = [turn_id for turn_id, interrupted in self._interrupted.items() if not interrupted]
        return [item_id for turn_id in going_on for item_id in self._said.get(turn_id, ())]

    def lost_calls(self, batches: Mapping[str, OpenBatch]) -> list[ToolCallStarted]:
        """The calls that will not run: the response that made them was lost before they were written down."""
        return [call for call in self._calls.values() if not _holds(batches, call)]

    def crashed(self, batches: Mapping[str, OpenBatch]) -> list[Event]:
        """Their session's actor is gone: return what subscribers have to be told. Each counts once it is noted.

        ``batches``: the calls that are written down: they go on, those with an output excepted.
        """
        told: list[Event] = [
            _failed(call, "incomplete", "the session crashed while the model was writing the call")
            for call in self.lost_calls(batches)
        ]
        for (turn_id, call_id), call in self._calls.items():
            settled = batches[turn_id].outputs.get(call_id) if turn_id in batches else None
            if settled is not None:
                told.append(_ended(call, settled))
        for turn_id, interrupted in self._interrupted.items():
            told += _cut_off(turn_id, interrupted=interrupted)
        return told

    def closed(self, closed: SessionClosed) -> list[Event]:
        """The session is over: return what subscribers have to be told before that. From any thread: a session may hang."""
        told: list[Event] = [
            _failed(call, "cancelled", "the session was closed") for call in list(self._calls.values())
        ]
        for turn_id, interrupted in list(self._interrupted.items()):
            told += _cut_off(turn_id, interrupted=interrupted or closed.reason == "client")
        return told


def _cut_off(turn_id: str, *, interrupted: bool) -> list[Event]:
    if interrupted:
        return [AssistantTurnCompleted(turn_id, "cancelled")]
    return [Interrupted(turn_id, "error"), AssistantTurnCompleted(turn_id, "failed")]


def _holds(batches: Mapping[str, OpenBatch], call: ToolCallStarted) -> bool:
    batch = batches.get(call.turn_id)
    return batch is not None and any(one.call_id == call.call_id for one in batch.calls)


def _ended(call: ToolCallStarted, settled: CallSettled) -> Event:
    if settled.failure is not None:
        return _failed(call, settled.failure, settled.output)
    return ToolCallCompleted(call.turn_id, call.call_id, call.name, settled.output, call.item_id)


def _failed(call: ToolCallStarted, code: str, why: str) -> ToolCallFailed:
    return ToolCallFailed(call.turn_id, call.call_id, call.name, why, code, call.item_id, call.server_label)


def recollect(log: SessionLog, turns: OpenTurns, *, with_tools: bool) -> Memory:
    """Return what a session remembers after a crash.

    Who waits for an answer gets it anew. If the model may call tools, what it had said of the answer before the crash need not
    be all of it, and is forgotten: else it would be asked to answer what, as far as it knows, it has answered. So is what it had
    said to one who asked without a message (after sound, too): nothing tells that this one is answered. And calls that will
    not run.
    """
    memory = recall(log.read())
    lost = [call.item_id or "" for call in turns.lost_calls(memory.batches)]
    lost = [item_id for item_id in lost if item_id in memory.history]
    if memory.open_asks and (with_tools or any(ask.startswith(OWN_ASK) for ask in memory.open_asks)):
        lost += turns.half_said()
    for item_id in lost:
        log.append(ItemDeleted(item_id))
    return recall(log.read()) if lost else memory
