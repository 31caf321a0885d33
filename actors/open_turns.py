"""The turns that subscribers saw begin and have not seen end. Owns nothing; the session's threads use it one after the other.

It outlives the session's actor: after a crash the next incarnation ends them, so that no subscriber waits for words that will
not come.
"""

from __future__ import annotations

from .events import (
    AssistantText,
    AssistantTranscript,
    AssistantTurnCompleted,
    AssistantTurnStarted,
    Event,
    Interrupted,
)
from .memory import Memory, recall
from .session_log import ItemDeleted, SessionLog

TURN_EVENTS = (
    AssistantTurnStarted,
    AssistantText,
    AssistantTranscript,
    Interrupted,
    AssistantTurnCompleted,
)


class OpenTurns:
    """Turns by id; whether each was interrupted."""

    def __init__(self) -> None:
        self._interrupted: dict[str, bool] = {}
        self._said: dict[str, list[str]] = {}

    def note(
        self,
        event: AssistantTurnStarted
        | AssistantText
        | AssistantTranscript
        | Interrupted
        | AssistantTurnCompleted,
    ) -> None:
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

    def half_said(self) -> list[str]:
        """The items of turns that have not ended: there may have been more to say."""
        return [item_id for said in self._said.values() for item_id in said]

    def crashed(self) -> list[Event]:
        """Their session's actor is gone: return what subscribers have to be told, and forget them."""
        told: list[Event] = []
        for turn_id, interrupted in self._interrupted.items():
            if interrupted:
                told.append(AssistantTurnCompleted(turn_id, "cancelled"))
            else:
                told += [Interrupted(turn_id, "error"), AssistantTurnCompleted(turn_id, "failed")]
        self._interrupted.clear()
        self._said.clear()
        return told


def recollect(log: SessionLog, turns: OpenTurns, *, with_tools: bool) -> Memory:
    """Return what a session remembers after a crash.

    Who waits for an answer gets it anew. If the model may call tools, what it had said of the answer before the crash need not
    be all of it, and is forgotten: else it would be asked to answer what, as far as it knows, it has answered.
    """
    memory = recall(log.read())
    half_said = turns.half_said() if with_tools and memory.open_asks else []
    for item_id in half_said:
        log.append(ItemDeleted(item_id))
    return recall(log.read()) if half_said else memory
