"""Items as they are sent, and what is read off those that come."""

import json
from typing import Any

import msgspec
import pytest

from trunkline.gateway import items
from trunkline.gateway.errors import ConfigError
from trunkline.gateway.wire_types import ContentPart, Item

CASES: list[tuple[Item, dict[str, Any]]] = [
    (
        items.system_text("s"),
        {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "s"}]},
    ),
    (
        items.user_text("", item_id="i"),
        {"type": "message", "id": "i", "role": "user", "content": [{"type": "input_text", "text": ""}]},
    ),
    (
        items.assistant_text("a"),
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]},
    ),
    (
        items.message(
            "user",
            items.input_audio(b"\x00\x01\x02", "t"),
            items.input_image("data:image/png;base64,A", "high"),
        ),
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_audio", "audio": "AAEC", "transcript": "t"},
                {"type": "input_image", "image_url": "data:image/png;base64,A", "detail": "high"},
            ],
        },
    ),
    (
        items.message("user", items.input_image("data:image/png;base64,A")),
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_image", "image_url": "data:image/png;base64,A"}],
        },
    ),
    (
        items.function_call("c", "f", "", item_id="i"),
        {"type": "function_call", "id": "i", "call_id": "c", "name": "f", "arguments": ""},
    ),
    (items.function_call_output("c", ""), {"type": "function_call_output", "call_id": "c", "output": ""}),
    (
        items.user_image(b"\xff\xd8\xff", "What is this?", "low", item_id="i"),
        {
            "type": "message",
            "id": "i",
            "role": "user",
            "content": [
                {"type": "input_image", "image_url": "data:image/jpeg;base64,/9j/", "detail": "low"},
                {"type": "input_text", "text": "What is this?"},
            ],
        },
    ),
    (
        items.user_image("data:image/png;base64,AAEC"),
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_image", "image_url": "data:image/png;base64,AAEC"}],
        },
    ),
    (
        items.mcp_approval_response("r", approve=False, item_id="i", reason="no"),
        {
            "type": "mcp_approval_response",
            "id": "i",
            "approval_request_id": "r",
            "approve": False,
            "reason": "no",
        },
    ),
    (
        items.mcp_approval_response("r", approve=True, item_id="i"),
        {"type": "mcp_approval_response", "id": "i", "approval_request_id": "r", "approve": True},
    ),
    (items.item_reference("i"), {"type": "item_reference", "id": "i"}),
]


@pytest.mark.parametrize(("item", "wire"), CASES)
def test_an_item_is_written_with_exactly_its_fields(item: Item, wire: dict[str, Any]):
    assert json.loads(msgspec.json.encode(item)) == wire


@pytest.mark.parametrize(("item", "wire"), CASES)
def test_an_item_reads_back_as_itself(item: Item, wire: dict[str, Any]):
    assert msgspec.json.decode(json.dumps(wire), type=Item) == item


@pytest.mark.parametrize(
    ("field", "arguments"), [("image", (b"GIF89a",)), ("detail", (b"\xff\xd8\xff", None, "medium"))]
)
def test_an_image_that_cannot_be_sent_is_refused_by_name(field: str, arguments: Any):
    with pytest.raises(ConfigError) as refused:
        items.user_image(*arguments)
    assert refused.value.field == field


def test_the_text_of_a_message_is_its_texts_and_transcripts_in_order():
    spoken = ContentPart(type="output_audio", transcript="said ", audio=b"\x00")
    assert items.item_text(Item(content=(spoken, items.output_text("written")))) == "said written"
    assert items.item_text(items.function_call_output("c", "4")) == ""
