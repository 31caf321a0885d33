"""What a session has to remember of its conversation, as it happens: each thing is an entry for the log. Pure.

It listens to what the provider tells of items and transcripts, and keeps the history and the cost, which are the sums of
the entries that its methods return as effects.

Source: the session contract, statement 15; ``conversation.item.*``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ..gateway import server_events as wire
from ..gateway.errors import redact
from ..gateway.items import assistant_text, item_text
from ..gateway.wire_types import Item, Response
from .effects import NOTHING, Effect, Effects, Record
from .events import UserTranscript, UserTranscriptDelta
from .history import History
from .session_log import (
    Entry,
    ItemDeleted,
    ItemRecorded,
    ItemRefused,
    ItemTruncated,
    TokensUsed,
    Transcribed,
    TranscriptionUsed,
)
from .usage import UsageMeter

_THE_MODEL_S = ("message", "function_call")


class Ledger:
    """Keeps history and usage.

    Args:
        history: what was said before.
        usage: what it cost.
    """

    def __init__(self, history: History, usage: UsageMeter) -> None:
        self.history = history
        self.usage = usage
        self._partial: dict[tuple[str, int], str] = {}
        self._untold: set[str] = set()  # items of the user's that were spoken, and are not transcribed yet
        # Items of the model's that are not done: the one that each follows.
        self._making: dict[str, str | None] = {}
        self._followers: dict[str, str] = {}  # of these: the item that was shown right after it

    def handlers(self) -> dict[type[Any], Callable[[Any, float], Effects]]:
        """Return who handles which server event; what is said of an item's arrival is handled by ``placed`` and ``done``."""
        return {
            wire.ConversationItemRetrieved: _nothing,
            wire.ConversationItemTruncated: self._truncated,
            wire.ConversationItemInputAudioTranscriptionDelta: self._transcript_delta,
            wire.ConversationItemInputAudioTranscriptionCompleted: self._transcribed,
            wire.ConversationItemInputAudioTranscriptionFailed: self._transcription_failed,
        }

    @property
    def hears(self) -> bool:
        """Whether something that the user said is still being transcribed; if transcripts were asked for."""
        return bool(self._untold or self._partial)

    # -- what we do

    def record(self, item: Item, previous_item_id: str | None = None) -> list[Effect]:
        """Add an item, or replace it by what it is now."""
        return self._note(ItemRecorded(item, self._place(item.id or "", previous_item_id)))

    def refused(self, item_id: str) -> list[Effect]:
        """The provider does not take an item."""
        return self._note(ItemRefused(item_id)) if item_id in self.history else []

    def delete(self, item_id: str) -> list[Effect]:
        """An item is to be no part of the conversation; if it is still in the making, it never will be."""
        if self.history.was_removed(item_id):
            return []
        self._leave(item_id)
        return self._note(ItemDeleted(item_id))

    def truncate(self, item_id: str, audio_end_ms: int, text: str) -> list[Effect]:
        """Of a spoken item so much was heard. One that is not done yet may never be: what was heard of it is all there is."""
        heard = msgspec.structs.replace(assistant_text(text, item_id=item_id), status="incomplete")
        recorded = [] if item_id in self.history else self.record(heard)
        return [*recorded, *self._note(ItemTruncated(item_id, audio_end_ms, text))]

    # -- what the provider tells

    def placed(self, item: Item, previous_item_id: str | None) -> list[Effect]:
        """An item is in the conversation. What the model is making is recorded when it is done."""
        history, item_id = self.history, item.id
        if item_id is None or history.was_removed(item_id):
            return []
        known = history.get(item_id)
        if known is None:
            if item.role == "user" and any(part.type == "input_audio" for part in item.content):
                self._untold.add(item_id)
            if item.status == "in_progress" or (item.role == "assistant" and not item.content):
                self._making[item_id] = previous_item_id
                return []
            return self.record(item, previous_item_id)
        if previous_item_id in self._making:
            self._followers.setdefault(previous_item_id, item_id)
        if previous_item_id in (None, history.before(item_id)) or previous_item_id not in history:
            return []
        return self.record(known, previous_item_id)

    def done(self, item: Item, previous_item_id: str | None) -> list[Effect]:
        """An item is what it will be."""
        if item.id is None or self.history.was_removed(item.id):
            return []
        known = self.history.get(item.id)
        if known is None or (item.role == "assistant" and item.status != known.status and item.content):
            return self.record(item, previous_item_id)
        return self.placed(item, previous_item_id)

    def answered(self, response: Response) -> list[Effect]:
        """A response of the conversation is over: record what no event of its own told."""
        effects: list[Effect] = []
        for item in response.output:
            missing = item.id and item.id not in self.history and not self.history.was_removed(item.id)
            if missing and item.type in _THE_MODEL_S and (item.call_id or item_text(item)):
                effects += self.record(item)
        return effects

    def spent(self, response: Response) -> list[Effect]:
        """A response is over, of the conversation or not: note what it cost."""
        return [] if response.usage is None else self._note(TokensUsed(response.usage))

    def take(self, effects: Effects) -> None:
        """Take in what others record: the calls and outputs of a batch of tools."""
        for effect in effects:
            if isinstance(effect, Record):
                self.history.apply(effect.entry)

    def forget(self, item_id: str) -> list[Effect]:
        """An item is no part of the conversation any more, if it ever was."""
        if item_id not in self.history:
            return []
        self._leave(item_id)
        return self._note(ItemDeleted(item_id))

    def _place(self, item_id: str, previous: str | None) -> str | None:
        """Return the item that this one follows: as it is said now, else as it was when the model began to make it."""
        history = self.history
        begun_after, follower = self._making.pop(item_id, None), self._followers.pop(item_id, None)
        for one in (previous, begun_after):
            if one is not None and one in history:
                return one
        # The provider names none for the first item of all: it is known by the one behind it.
        if follower is not None and follower in history:
            return history.before(follower)
        return previous or begun_after

    def _leave(self, item_id: str) -> None:
        """An item is about to go: what follows it, follows the one before it."""
        before = self.history.before(item_id) if item_id in self.history else self._making.pop(item_id, None)
        self._making = {one: before if after == item_id else after for one, after in self._making.items()}

    def _truncated(self, event: wire.ConversationItemTruncated, _now: float) -> Effects:
        # Our own truncations are recorded when they are sent; this is somebody else's on the same conversation.
        if event.item_id not in self.history or self.history.is_truncated(event.item_id):
            return NOTHING
        return self.truncate(event.item_id, int(event.audio_end_ms or 0), "")

    # -- transcripts

    def _transcript_delta(
        self, event: wire.ConversationItemInputAudioTranscriptionDelta, _now: float
    ) -> Effects:
        index = event.content_index or 0
        key = (event.item_id, index)
        self._partial[key] = self._partial.get(key, "") + event.delta
        return [UserTranscriptDelta(event.item_id, event.delta, index)]

    def _transcribed(
        self, event: wire.ConversationItemInputAudioTranscriptionCompleted, _now: float
    ) -> Effects:
        self._partial.pop((event.item_id, event.content_index), None)
        self._untold.discard(event.item_id)
        effects = self._note(Transcribed(event.item_id, event.content_index, event.transcript))
        if event.usage is not None:
            effects += self._note(TranscriptionUsed(event.usage))
        return [*effects, UserTranscript(event.item_id, event.transcript, event.content_index)]

    def _transcription_failed(
        self, event: wire.ConversationItemInputAudioTranscriptionFailed, _now: float
    ) -> Effects:
        error = redact(event.error.message or event.error.code or "the transcription failed")
        self._untold.discard(event.item_id)
        said = self._partial.pop((event.item_id, event.content_index), "")
        # What was made out of it so far is better than nothing, for the history and for a replay.
        effects = self._note(Transcribed(event.item_id, event.content_index, said)) if said else []
        return [*effects, UserTranscript(event.item_id, said, event.content_index, error)]

    def line_down(self) -> list[Effect]:
        """Transcripts in the making will not come: close them."""
        lost = "the line was lost"
        closed = [
            UserTranscript(item_id, said, index, lost) for (item_id, index), said in self._partial.items()
        ]
        entries = [
            effect
            for (item_id, index), said in self._partial.items()
            for effect in self._note(Transcribed(item_id, index, said))
        ]
        self._partial.clear()
        self._untold.clear()
        self._making.clear()
        self._followers.clear()
        return [*entries, *closed]

    def _note(self, entry: Entry) -> list[Effect]:
        self.history.apply(entry)
        self.usage.apply(entry)
        return [Record(entry)]


def _nothing(_event: object, _now: float) -> Effects:
    return NOTHING
