"""The conversation's items as shapes: what a client may put into one, field by field. Pure.

Source: protocol.md A.3 (conversation items), A.4, A.8.
"""

from __future__ import annotations

import re

from .client_error import invalid
from .shapes import (
    Shape,
    anything,
    base64_bytes,
    by_json_type,
    flag,
    free_object,
    list_of,
    nullable,
    number,
    one_of,
    record,
    tagged,
    text,
)

MAX_AUDIO_CHARS = 20 * 1024 * 1024  # 15 MiB of audio, as base64
_MAX_ID_CHARS = 32
"""Of an item's id and a `call_id`: "Expected a string with maximum length 32", says the service to who replays longer ones."""
_DATA_URI = re.compile(r"data:image/(?:png|jpe?g);base64,")


def _image_url(value: object, path: str) -> None:
    # The service fetches nothing: the image itself has to be in the URI.
    text(1)(value, path)
    uri = str(value)
    prefix = _DATA_URI.match(uri)
    if prefix is None:
        raise invalid(
            path, f"Invalid '{path}'. Expected a base64-encoded data URI with an image type (PNG or JPEG)."
        )
    base64_bytes(len(uri))(uri[prefix.end() :], path)


_input_text = record({"type": anything, "text": text()}, required=("text",))
_system_content = list_of(tagged("type", {"input_text": _input_text}))
_user_content = list_of(
    tagged(
        "type",
        {
            "input_text": _input_text,
            "input_audio": record(
                {"type": anything, "audio": base64_bytes(MAX_AUDIO_CHARS), "transcript": nullable(text())},
                required=("audio",),
            ),
            "input_image": record(
                {"type": anything, "image_url": _image_url, "detail": one_of("auto", "low", "high")},
                required=("image_url",),
            ),
        },
    )
)
_assistant_content = list_of(
    # The service cannot be handed assistant audio: a replayed turn comes back as text (protocol.md A.8).
    tagged("type", {"output_text": record({"type": anything, "text": text()}, required=("text",))})
)
_id = text(1, _MAX_ID_CHARS)
_common: dict[str, Shape] = {"id": _id, "type": anything}
_settled: dict[str, Shape] = {
    **_common,
    "object": one_of("realtime.item"),
    "status": one_of("completed", "incomplete", "in_progress"),
}


def _message(content: Shape) -> Shape:
    return record({**_settled, "role": anything, "content": content}, required=("content",))


_code = number(-1_000_000, 1_000_000, whole=True)
_mcp_error = tagged(
    "type",
    {
        "protocol_error": record(
            {"type": anything, "code": _code, "message": text()}, required=("code", "message")
        ),
        "tool_execution_error": record({"type": anything, "message": text()}, required=("message",)),
        "http_error": record(
            {"type": anything, "code": _code, "message": text()}, required=("code", "message")
        ),
    },
)
_mcp_tool = record(
    {
        "name": text(1),
        "input_schema": by_json_type(dict=free_object),
        "description": nullable(text()),
        "annotations": nullable(free_object),
    },
    required=("name", "input_schema"),
)
_mcp_call: dict[str, Shape] = {
    **_common,
    "arguments": text(),
    "name": text(1),
    "server_label": text(1),
}

_items: dict[str, Shape] = {
    "message": tagged(
        "role",
        {
            "system": _message(_system_content),
            "user": _message(_user_content),
            "assistant": _message(_assistant_content),
        },
    ),
    "function_call": record(
        {**_settled, "call_id": _id, "name": text(1), "arguments": text()},
        required=("name", "arguments"),
    ),
    "function_call_output": record(
        {**_settled, "call_id": _id, "output": text()}, required=("call_id", "output")
    ),
    "mcp_approval_response": record(
        {**_common, "approval_request_id": text(1), "approve": flag, "reason": nullable(text())},
        required=("approval_request_id", "approve"),
    ),
    # A replayed history holds what an earlier session's MCP servers did.
    "mcp_approval_request": record(_mcp_call, required=("arguments", "name", "server_label")),
    "mcp_list_tools": record(
        {**_common, "server_label": text(1), "tools": list_of(_mcp_tool)},
        required=("server_label", "tools"),
    ),
    "mcp_call": record(
        {
            **_mcp_call,
            "approval_request_id": nullable(text(1)),
            "error": nullable(_mcp_error),
            "output": nullable(text()),
        },
        required=("arguments", "name", "server_label"),
    ),
}

ITEM: Shape = tagged("type", _items)
"""What `conversation.item.create` may carry."""

INPUT_ITEM: Shape = tagged(
    "type", {**_items, "item_reference": record({"type": anything, "id": text(1)}, required=("id",))}
)
"""What `response.input` may hold: items, and references to those of the conversation."""
