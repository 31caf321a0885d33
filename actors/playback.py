"""How much of the assistant's speech was played: as the application reports it, else estimated. Pure.

The estimate: audio plays one piece after the other from the moment it is delivered, and waits when there is none. What was
not played when the user cuts in has to be taken back from the model: it believes that everything was heard.

Source: the session contract, statements 5 and 6; ``conversation.item.truncate``.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Heard", "Playback"]


@dataclass(frozen=True, slots=True)
class Heard:
    """Of one audio part of an item so much was played, of so much that was received.

    Attributes:
        complete: the provider has sent all of it.
    """

    turn_id: str
    item_id: str
    content_index: int
    played_ms: float
    received_ms: float
    complete: bool

    @property
    def fully_played(self) -> bool:
        """Whether there is nothing to take back."""
        return self.complete and self.played_ms >= self.received_ms


@dataclass(slots=True)
class _Part:
    turn_id: str
    content_index: int
    received_ms: float = 0.0
    ends_at: float = 0.0  # when what was received will have been played, if it plays without a break
    reported_ms: float | None = None
    complete: bool = False


class Playback:
    """The spoken items that may still be playing."""

    def __init__(self) -> None:
        self._parts: dict[str, _Part] = {}
        self._ends_at = 0.0
        self._reports = False

    def delivered(self, turn_id: str, item_id: str, content_index: int, length_ms: float, now: float) -> None:
        """A piece of audio went to the subscribers. On the hot path: constant time."""
        part = self._parts.get(item_id)
        if part is None:
            self._forget_played(now)
            part = self._parts[item_id] = _Part(turn_id, content_index)
        part.received_ms += length_ms
        ends_at = self._ends_at
        part.ends_at = self._ends_at = (ends_at if ends_at > now else now) + length_ms / 1000.0

    def report(self, item_id: str, played_ms: float) -> None:
        """The application says how much of an item was played. From then on its word counts, not the estimate."""
        self._reports = True
        part = self._parts.get(item_id)
        if part is not None:
            part.reported_ms = played_ms

    def finished(self, item_id: str) -> None:
        """All audio of this item was received."""
        part = self._parts.get(item_id)
        if part is not None:
            part.complete = True

    def turn_finished(self, turn_id: str) -> None:
        """All audio of this turn was received."""
        for part in self._parts.values():
            if part.turn_id == turn_id:
                part.complete = True

    def heard(self, item_id: str, now: float) -> Heard | None:
        """Return how much of an item was played; None if it has no audio, or was played long ago."""
        part = self._parts.get(item_id)
        return None if part is None else self._heard(item_id, part, now)

    def cut(self, now: float) -> list[Heard]:
        """Stop playing: return what was not played to its end, oldest first, and forget everything."""
        heard = [self._heard(item_id, part, now) for item_id, part in self._parts.items()]
        self._parts.clear()
        self._ends_at = 0.0
        return [one for one in heard if not one.fully_played]

    def turn_lost(self, turn_id: str) -> None:
        """This turn ended with its line: it will be said anew, and nothing of it can be taken back."""
        self._parts = {item_id: part for item_id, part in self._parts.items() if part.turn_id != turn_id}
        self._ends_at = max((part.ends_at for part in self._parts.values()), default=0.0)

    def _heard(self, item_id: str, part: _Part, now: float) -> Heard:
        if part.reported_ms is not None:
            played_ms = part.reported_ms
        elif self._reports:
            played_ms = 0.0  # who reports has not come to it yet
        else:
            played_ms = part.received_ms - max(0.0, part.ends_at - now) * 1000.0
        played_ms = min(max(0.0, played_ms), part.received_ms)
        return Heard(part.turn_id, item_id, part.content_index, played_ms, part.received_ms, part.complete)

    def _forget_played(self, now: float) -> None:
        self._parts = {
            item_id: part
            for item_id, part in self._parts.items()
            if not self._heard(item_id, part, now).fully_played
        }
