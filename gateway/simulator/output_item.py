"""One item that a response streams out: its events from `output_item.added` to `output_item.done`. Pure.

Source: protocol.md A.6 and the end of A.8.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from .audio_body import AudioBody, Piece
from .ids import Event
from .item_list import Item, ItemList
from .place import Place, obfuscation


class Body(Protocol):
    """What differs between a text message, a spoken one, and calls.

    `has_status` tells whether the item shows `object` and `status`; `prefix` is that of its id.
    """

    has_status: ClassVar[bool]
    prefix: ClassVar[str]

    def skeleton(self) -> dict[str, Any]:
        """Return the item's members as far as they are known now."""
        ...

    def begin(self, place: Place) -> list[Event]:
        """Return the events that open the part."""
        ...

    def chunk(self, place: Place, text: str) -> list[Event]:
        """Return the events of one more delta."""
        ...

    def finish(self, place: Place, status: str) -> list[Event]:
        """Return the events that close the part; `status` is what the item ends with."""
        ...


@dataclass(slots=True)
class TextBody:
    """An assistant message in text."""

    has_status: ClassVar[bool] = True
    prefix: ClassVar[str] = "item"

    text: str = ""

    def skeleton(self) -> dict[str, Any]:
        """Return the message with what was said so far."""
        content = [{"type": "output_text", "text": self.text}] if self.text else []
        return {"type": "message", "role": "assistant", "content": content}

    def begin(self, place: Place) -> list[Event]:
        """Open the text part."""
        part = {"type": "text", "text": ""}
        return [place.event("response.content_part.added", content_index=0, part=part)]

    def chunk(self, place: Place, text: str) -> list[Event]:
        """Send one delta of text."""
        self.text += text
        padding = obfuscation(place.ids, text)
        return [place.event("response.output_text.delta", content_index=0, delta=text, obfuscation=padding)]

    def finish(self, place: Place, status: str) -> list[Event]:
        """Close the text part."""
        part = {"type": "text", "text": self.text}
        return [
            place.event("response.output_text.done", content_index=0, text=self.text),
            place.event("response.content_part.done", content_index=0, part=part),
        ]


@dataclass(slots=True)
class CallBody:
    """A function call, its arguments streamed."""

    has_status: ClassVar[bool] = True
    prefix: ClassVar[str] = "item"

    name: str
    call_id: str
    arguments: str = ""

    def skeleton(self) -> dict[str, Any]:
        """Return the call with its arguments so far."""
        return {
            "type": "function_call",
            "name": self.name,
            "call_id": self.call_id,
            "arguments": self.arguments,
        }

    def begin(self, place: Place) -> list[Event]:
        """A call has no content part."""
        return []

    def chunk(self, place: Place, text: str) -> list[Event]:
        """Send one delta of the arguments."""
        self.arguments += text
        padding = obfuscation(place.ids, text)
        return [
            place.event(
                "response.function_call_arguments.delta",
                call_id=self.call_id,
                delta=text,
                obfuscation=padding,
            )
        ]

    def finish(self, place: Place, status: str) -> list[Event]:
        """Close the arguments; sent for a cut call too, so it does not mean that they are complete."""
        return [
            place.event(
                "response.function_call_arguments.done",
                call_id=self.call_id,
                name=self.name,
                arguments=self.arguments,
            )
        ]


@dataclass(slots=True)
class OutputItem:
    """One item in the making.

    Args:
        place: Which response, item and index.
        body: What kind of item.
        items: The conversation it joins; None for a response outside of it.
        item: The item as last announced.
    """

    place: Place
    body: Body
    items: ItemList | None
    item: Item = field(default_factory=dict)
    _previous: str | None = None

    def begin(self) -> list[Event]:
        """Announce the item, put it into the conversation, open its part."""
        self._renew("in_progress")
        events = [self._output("response.output_item.added")]
        if self.items is not None:
            self._previous = self.items.insert(self.item, None)
            events.append(self._conversation("conversation.item.added"))
        return events + self.body.begin(self.place)

    def chunk(self, text: str) -> list[Event]:
        """Stream one delta."""
        events = self.body.chunk(self.place, text)
        self._renew("in_progress")
        return events

    def play(self, piece: Piece) -> list[Event]:
        """Stream one piece of speech."""
        assert isinstance(self.body, AudioBody)
        events = self.body.play(self.place, piece)
        self._renew("in_progress")
        return events

    def finish(self, status: str) -> list[Event]:
        """Close the part and the item, which ends with this status (`completed` or `incomplete`)."""
        events = self.body.finish(self.place, status)
        self._renew(status)
        if self.items is not None:
            events.append(self._conversation("conversation.item.done"))
        return [*events, self._output("response.output_item.done")]

    def _renew(self, status: str) -> None:
        settled = {"object": "realtime.item", "status": status} if self.body.has_status else {}
        self.item.update({"id": self.place.item_id, **settled, **self.body.skeleton()})
        if self.items is None or not isinstance(self.body, AudioBody):
            return
        self.items.note_speech(self.place.item_id, self.body.spoken_ms)
        self.items.sounds.keep(self.place.item_id, self.body.sound, self.body.format)
        if self.items.is_cut(self.place.item_id):
            # Truncated while it was still being sent: what was not heard does not come back.
            for part in self.item["content"]:
                part.pop("transcript", None)

    def _conversation(self, event_type: str) -> Event:
        return self.place.ids.event(
            event_type, previous_item_id=self._previous, item=copy.deepcopy(self.item)
        )

    def _output(self, event_type: str) -> Event:
        return self.place.ids.event(
            event_type,
            response_id=self.place.response_id,
            output_index=self.place.output_index,
            item=copy.deepcopy(self.item),
        )
