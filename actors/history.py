"""The conversation item by item, in the provider's order, as text: what was said, heard, called and answered. Pure.

It is the sum of the session log's entries, so the next incarnation has the same one. Sound is not kept, its transcript is.

Source: the session contract, statements 8 and 15; protocol reference A.8 ("history replay").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from ..gateway.items import assistant_text, input_text, item_text
from ..gateway.wire_types import ContentPart, Item
from .item_creation import answered_call
from .session_log import (
    Entry,
    ItemDeleted,
    ItemRecorded,
    ItemRefused,
    ItemTruncated,
    ReplySettled,
    Transcribed,
)

__all__ = ["ROOT", "History", "HistoryItem", "heard_text"]

ROOT = "root"
"""The predecessor of an item that is to be the first. Source: ``conversation.item.create``, ``previous_item_id``."""


class HistoryItem(msgspec.Struct, frozen=True):
    """One item of the conversation, as ``session.history()`` shows it.

    Attributes:
        item_id: the provider's id.
        type: "message", "function_call", "function_call_output", or another of the provider's.
        role: "user", "assistant" or "system" of a message.
        text: what it says. Of a truncated item: what was heard of it.
        status: "completed", "incomplete" or "in_progress", where the provider says it.
        truncated: it was cut off while it was played.
        audio_end_ms: how much of a truncated item was played, milliseconds.
        call_id: of a call and its output.
        name: the tool that is called.
        arguments: of a call, JSON text.
        output: of a call's output.
        n_images: how many images a message holds.
    """

    item_id: str
    type: str
    role: str | None = None
    text: str = ""
    status: str | None = None
    truncated: bool = False
    audio_end_ms: int | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | None = None
    n_images: int = 0


@dataclass(frozen=True, slots=True)
class _Cut:
    audio_end_ms: int
    text: str


class History:
    """The items, in order. Entries that are none of its business change nothing."""

    def __init__(self) -> None:
        self._order: list[str] = []
        self._items: dict[str, Item] = {}
        self._cuts: dict[str, _Cut] = {}
        self._removed: set[str] = set()
        self._transcripts: dict[tuple[str, int], str] = {}
        self._calls: dict[str, str] = {}  # call_id -> its newest item: some providers use a call_id again
        self._outputs: dict[str, str] = {}  # item of a call -> item of its output
        self._unclaimed: set[str] = set()  # what the model said since somebody's wish for a reply was settled

    # -- what happened

    def apply(self, entry: Entry) -> None:
        """Take in one entry of the log."""
        match entry:
            case ItemRecorded(item, previous):
                if item.id and item.id not in self._removed:
                    self._put(item.id, item, previous)
            case ItemRefused(item_id) | ItemDeleted(item_id):
                self._remove(item_id)
            case ItemTruncated(item_id, audio_end_ms, text):
                self._cuts[item_id] = _Cut(audio_end_ms, text)
            case Transcribed(item_id, content_index, text):
                self._transcripts[item_id, content_index] = text
            case ReplySettled():
                self._unclaimed.clear()  # it answered these; who still waits said so meanwhile, and is to hear more
            case _:
                pass

    def _put(self, item_id: str, item: Item, previous: str | None) -> None:
        if item_id not in self._items:
            self._pair(item_id, item)
            if item.role == "assistant":
                self._unclaimed.add(item_id)
        self._items[item_id] = _without_sound(item)
        has_place = previous == ROOT or (previous in self._items and previous != item_id)
        if item_id in self._order:
            if not has_place or previous == self.before(item_id):
                return
            self._order.remove(item_id)
        if previous is None or not has_place:
            self._order.append(item_id)
        else:
            self._order.insert(0 if previous == ROOT else self._order.index(previous) + 1, item_id)

    def _pair(self, item_id: str, item: Item) -> None:
        """A call has one output: what was recorded and not submitted is recorded anew after a crash, under another id."""
        call_id = item.call_id or ""
        if item.type == "function_call":
            self._calls[call_id] = item_id
        elif item.type == "function_call_output":
            call = self._calls.get(call_id, call_id)
            former = self._outputs.get(call)
            self._outputs[call] = item_id
            if former is not None:
                self._remove(former)

    def _remove(self, item_id: str) -> None:
        self._removed.add(item_id)
        self._cuts.pop(item_id, None)
        if self._items.pop(item_id, None) is not None:
            self._order.remove(item_id)

    # -- what there is

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._items

    def __len__(self) -> int:
        return len(self._order)

    def get(self, item_id: str) -> Item | None:
        """Return an item as it was recorded, None if there is none of this id."""
        return self._items.get(item_id)

    def before(self, item_id: str) -> str:
        """Return the id of the item before this one, ROOT if it is the first."""
        index = self._order.index(item_id)
        return self._order[index - 1] if index else ROOT

    @property
    def last(self) -> str:
        """The id of the last item, ROOT if there is none."""
        return self._order[-1] if self._order else ROOT

    def output_of(self, item_id: str) -> str | None:
        """Return the id of the item that answers the call of this item, None if there is none."""
        output = self._outputs.get(item_id)
        return output if output in self._items else None

    def last_behind(self, item_id: str, passes: Callable[[str], bool]) -> str:
        """Return the last of the items right behind this one that all pass; the item itself if the next one does not."""
        for one in self._order[self._order.index(item_id) + 1 :]:
            if not passes(one):
                break
            item_id = one
        return item_id

    def is_truncated(self, item_id: str) -> bool:
        """Whether this item was cut off while it was played."""
        return item_id in self._cuts

    def is_answered(self, item_id: str) -> bool:
        """Whether the model said all it had to say to this item: its words follow, and no call that waits for its output.

        Words that answered somebody else are not meant: they follow too, when the item came while they were made.
        """
        if item_id not in self._items:
            return False
        later = self._order[self._order.index(item_id) + 1 :]
        said = any(self._items[one].status == "completed" for one in later if one in self._unclaimed)
        items = [self._items[one] for one in later]
        waits = any(item.type == "function_call" and self._output_of(item) is None for item in items)
        return said and not waits

    def was_removed(self, item_id: str) -> bool:
        """Whether there was an item of this id that was refused or deleted."""
        return item_id in self._removed

    def text_of(self, item_id: str) -> str:
        """Return what an item says, as far as it was heard; "" if there is no such item."""
        cut = self._cuts.get(item_id)
        if cut is not None:
            return cut.text
        item = self._items.get(item_id)
        return "" if item is None else item_text(self._with_transcripts(item))

    def ids(self) -> list[str]:
        """Return the ids of the items, oldest first."""
        return list(self._order)

    def items(self) -> list[HistoryItem]:
        """Return the conversation, oldest first."""
        return [self._show(item_id) for item_id in self._order]

    def replay(self, *, takes_calls: bool = True) -> list[Item]:
        """Return what a new line has to hear, in order, with the ids of the items.

        Messages as text: what was heard of the assistant, the transcript of the user; what has none is left out. A call and
        its output go together, in words where the provider does not take calls; a call without output was dropped, and is left out.
        """
        return [item for item_id in self._order for item in self._retell(item_id, takes_calls)]

    def _show(self, item_id: str) -> HistoryItem:
        item, cut = self._items[item_id], self._cuts.get(item_id)
        return HistoryItem(
            item_id=item_id,
            type=item.type,
            role=item.role,
            text=self.text_of(item_id),
            status=item.status,
            truncated=cut is not None,
            audio_end_ms=None if cut is None else cut.audio_end_ms,
            call_id=item.call_id,
            name=item.name,
            arguments=item.arguments,
            output=item.output,
            n_images=sum(part.image_url is not None for part in item.content),
        )

    def _retell(self, item_id: str, takes_calls: bool) -> Iterator[Item]:
        item = self._items[item_id]
        match item.type:
            case "message" if item.role == "assistant":
                if text := self.text_of(item_id):
                    yield assistant_text(text, item_id=item_id)
            case "message":
                parts = tuple(
                    part for one in self._with_transcripts(item).content for part in _as_created(one)
                )
                if parts:
                    yield Item(type="message", id=item_id, role=item.role, content=parts)
            case "function_call":
                output = self._output_of(item)
                if output is not None:
                    yield from answered_call(_for_replay(item), _for_replay(output), takes_calls=takes_calls)
            case _:
                pass  # an output went with its call; what else there is, is the provider's to make

    def _output_of(self, call: Item) -> Item | None:
        return self._items.get(self._outputs.get(call.id or "", ""))

    def _with_transcripts(self, item: Item) -> Item:
        content = tuple(
            part
            if (text := self._transcripts.get((item.id or "", index))) is None
            else msgspec.structs.replace(part, transcript=text)
            for index, part in enumerate(item.content)
        )
        return msgspec.structs.replace(item, content=content)


def heard_text(text: str, played_ms: float, length_ms: float) -> str:
    """Return the words of `text` that fit into what was played, if it is spoken evenly. A word that was cut was not heard."""
    end = int(len(text) * max(0.0, played_ms) / length_ms) if played_ms < length_ms else len(text)
    while 0 < end < len(text) and not text[end].isspace():
        end -= 1
    return text[:end].rstrip() if end < len(text) else text


def _without_sound(item: Item) -> Item:
    if not any(part.audio is not None for part in item.content):
        return item
    content = tuple(
        part if part.audio is None else msgspec.structs.replace(part, audio=None) for part in item.content
    )
    return msgspec.structs.replace(item, content=content)


def _as_created(part: ContentPart) -> Iterator[ContentPart]:
    if part.image_url is not None:
        yield part
    elif said := part.text or part.transcript:
        yield input_text(said)


def _for_replay(item: Item) -> Item:
    return Item(
        type=item.type,
        id=item.id,
        call_id=item.call_id,
        name=item.name,
        arguments=item.arguments,
        output=item.output,
    )
