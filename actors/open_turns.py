"""The turns that subscribers saw begin and have not seen end. Owns nothing; the session's threads use it one after the other.

It outlives the session's actor: after a crash the next incarnation ends them, so that no subscriber waits for words that will
not come.
"""

from __future__ import annotations

from .events import AssistantTurnCompleted, AssistantTurnStarted, Event, Interrupted

TURN_EVENTS = (AssistantTurnStarted, Interrupted, AssistantTurnCompleted)


class OpenTurns:
    """Turns by id; whether each was interrupted."""

    def __init__(self) -> None:
        self._interrupted: dict[str, bool] = {}

    def note(self, event: AssistantTurnStarted | Interrupted | AssistantTurnCompleted) -> None:
        """Subscribers are told this."""
        match event:
            case AssistantTurnStarted(turn_id):
                self._interrupted[turn_id] = False
            case Interrupted(turn_id):
                if turn_id in self._interrupted:
                    self._interrupted[turn_id] = True
            case AssistantTurnCompleted(turn_id):
                self._interrupted.pop(turn_id, None)

    def crashed(self) -> list[Event]:
        """Their session's actor is gone: return what subscribers have to be told, and forget them."""
        told: list[Event] = []
        for turn_id, interrupted in self._interrupted.items():
            if interrupted:
                told.append(AssistantTurnCompleted(turn_id, "cancelled"))
            else:
                told += [Interrupted(turn_id, "error"), AssistantTurnCompleted(turn_id, "failed")]
        self._interrupted.clear()
        return told
