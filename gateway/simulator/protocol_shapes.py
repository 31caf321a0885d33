"""The client's side of the GA protocol: its eleven events as a table of shapes. Pure.

Source: protocol.md A.1.
"""

from __future__ import annotations

from .item_shapes import ITEM, MAX_AUDIO_CHARS
from .session_shapes import RESPONSE, SESSION
from .shapes import Shape, anything, no_deeper_than, nullable, number, record, tagged, text

MAX_DEPTH = 64
"""Deep enough for any schema of a tool, and far from where copying an event would end in a RecursionError."""


def _event(required: tuple[str, ...] = (), **fields: Shape) -> Shape:
    return record({"type": anything, "event_id": nullable(text(0, 512)), **fields}, required=required)


_item_id = text(1)

CLIENT_EVENT: Shape = no_deeper_than(
    MAX_DEPTH,
    tagged(
        "type",
        {
            "session.update": _event(("session",), session=SESSION),
            "input_audio_buffer.append": _event(("audio",), audio=text(0, MAX_AUDIO_CHARS)),
            "input_audio_buffer.commit": _event(),
            "input_audio_buffer.clear": _event(),
            "output_audio_buffer.clear": _event(),
            "conversation.item.create": _event(("item",), item=ITEM, previous_item_id=nullable(_item_id)),
            "conversation.item.retrieve": _event(("item_id",), item_id=_item_id),
            "conversation.item.truncate": _event(
                ("item_id", "content_index", "audio_end_ms"),
                item_id=_item_id,
                content_index=number(0, 1e6, whole=True),
                audio_end_ms=number(0, 1e9, whole=True),
            ),
            "conversation.item.delete": _event(("item_id",), item_id=_item_id),
            "response.create": _event(response=nullable(RESPONSE)),
            "response.cancel": _event(response_id=nullable(text(1))),
        },
    ),
)
"""The 11 client events, by `type`."""
