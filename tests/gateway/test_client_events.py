"""Each of the 11 client events has exactly the protocol's fields on the wire."""

import json
from typing import Any, get_args

import pytest
from msgspec import UNSET

from trunkline.gateway import client_events as ce
from trunkline.gateway import items
from trunkline.gateway.codec import encode_client_event
from trunkline.gateway.errors import EncodeError, GatewayError
from trunkline.gateway.wire_types import AudioOutput, Item, ResponseAudio

ITEM = items.user_text("hi")
WIRE_ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}

# wire name -> (event with its required fields, what it says, event with all fields, what that says)
CASES: dict[str, tuple[Any, dict[str, Any], Any, dict[str, Any]]] = {
    "conversation.item.create": (
        ce.ConversationItemCreate(ITEM),
        {"item": WIRE_ITEM},
        ce.ConversationItemCreate(ITEM, "root", event_id="e"),
        {"item": WIRE_ITEM, "previous_item_id": "root", "event_id": "e"},
    ),
    "conversation.item.delete": (
        ce.ConversationItemDelete("i"),
        {"item_id": "i"},
        ce.ConversationItemDelete("i", event_id="e"),
        {"item_id": "i", "event_id": "e"},
    ),
    "conversation.item.retrieve": (
        ce.ConversationItemRetrieve("i"),
        {"item_id": "i"},
        ce.ConversationItemRetrieve("i", event_id="e"),
        {"item_id": "i", "event_id": "e"},
    ),
    "conversation.item.truncate": (
        ce.ConversationItemTruncate("i", 1200),
        {"item_id": "i", "audio_end_ms": 1200, "content_index": 0},
        ce.ConversationItemTruncate("i", 1200, 1, event_id="e"),
        {"item_id": "i", "audio_end_ms": 1200, "content_index": 1, "event_id": "e"},
    ),
    "input_audio_buffer.append": (
        ce.InputAudioBufferAppend(b"\x00\x01\x02"),
        {"audio": "AAEC"},
        ce.InputAudioBufferAppend(b"\x00\x01\x02", event_id="e"),
        {"audio": "AAEC", "event_id": "e"},
    ),
    "input_audio_buffer.clear": (
        ce.InputAudioBufferClear(),
        {},
        ce.InputAudioBufferClear(event_id="e"),
        {"event_id": "e"},
    ),
    "input_audio_buffer.commit": (
        ce.InputAudioBufferCommit(),
        {},
        ce.InputAudioBufferCommit(event_id="e"),
        {"event_id": "e"},
    ),
    "output_audio_buffer.clear": (
        ce.OutputAudioBufferClear(),
        {},
        ce.OutputAudioBufferClear(event_id="e"),
        {"event_id": "e"},
    ),
    "response.cancel": (
        ce.ResponseCancel(),
        {},
        ce.ResponseCancel("r", event_id="e"),
        {"response_id": "r", "event_id": "e"},
    ),
    "response.create": (
        ce.ResponseCreate(),
        {},
        ce.ResponseCreate(ce.ResponseParams(conversation="none"), event_id="e"),
        {"response": {"conversation": "none"}, "event_id": "e"},
    ),
    "session.update": (
        ce.SessionUpdate({"type": "realtime"}),
        {"session": {"type": "realtime"}},
        ce.SessionUpdate({"type": "realtime", "audio": {"input": {"turn_detection": None}}}, event_id="e"),
        {"session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}}, "event_id": "e"},
    ),
}


def wire(event: Any) -> Any:
    return json.loads(encode_client_event(event))


def test_the_union_has_exactly_the_11_events_of_the_protocol():
    assert {cls.__struct_config__.tag for cls in get_args(ce.ClientEvent)} == set(CASES)
    assert len(CASES) == 11


@pytest.mark.parametrize("name", sorted(CASES))
def test_an_event_says_exactly_what_was_set(name: str):
    bare, bare_body, full, full_body = CASES[name]
    assert wire(bare) == {"type": name, **bare_body}
    assert wire(full) == {"type": name, **full_body}
    assert bare.type == full.type == name
    assert bare.event_id is UNSET


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_type_comes_first_because_readers_are_faster_so(name: str):
    assert encode_client_event(CASES[name][2]).startswith(b'{"type":')


@pytest.mark.parametrize("name", sorted(CASES))
def test_events_are_frozen(name: str):
    with pytest.raises(AttributeError):
        CASES[name][0].event_id = "other"


def test_unset_is_left_out_and_none_is_null():
    assert wire(ce.ConversationItemCreate(ITEM, None))["previous_item_id"] is None
    assert "previous_item_id" not in wire(ce.ConversationItemCreate(ITEM))
    assert wire(ce.ResponseCreate(ce.ResponseParams(metadata=None)))["response"] == {"metadata": None}


def test_response_params_say_exactly_what_was_set():
    assert wire(ce.ResponseCreate(ce.ResponseParams())) == {"type": "response.create", "response": {}}
    params = ce.ResponseParams(
        conversation="none",
        metadata={"topic": "x"},
        input=(items.item_reference("item_1"), ITEM),
        instructions="",
        output_modalities=("text",),
        audio=ResponseAudio(output=AudioOutput(voice="marin")),
        max_output_tokens="inf",
        tools=({"type": "function", "name": "f"},),
        tool_choice="none",
        parallel_tool_calls=False,
        reasoning={"effort": "low"},
        prompt={"id": "p"},
    )
    assert wire(ce.ResponseCreate(params))["response"] == {
        "conversation": "none",
        "metadata": {"topic": "x"},
        "input": [{"type": "item_reference", "id": "item_1"}, WIRE_ITEM],
        "instructions": "",
        "output_modalities": ["text"],
        "audio": {"output": {"voice": "marin"}},
        "max_output_tokens": "inf",
        "tools": [{"type": "function", "name": "f"}],
        "tool_choice": "none",
        "parallel_tool_calls": False,
        "reasoning": {"effort": "low"},
        "prompt": {"id": "p"},
    }


@pytest.mark.parametrize(
    "event",
    [
        ce.ConversationItemCreate(items.user_text("half a pair: \ud800")),
        ce.SessionUpdate({"type": "realtime", "tools": [object()]}),
        ce.SessionUpdate({"type": "realtime", (1, 2): 3}),  # type: ignore[dict-item]  # a caller without types
        ce.ConversationItemCreate(Item(type=object())),  # type: ignore[arg-type]  # a caller without types
    ],
)
def test_what_json_cannot_hold_is_a_typed_error(event: Any):
    with pytest.raises(EncodeError) as refused:
        encode_client_event(event)
    assert isinstance(refused.value, GatewayError)
    assert refused.value.event_type == event.type


def test_a_session_that_contains_itself_is_a_typed_error():
    session: dict[str, Any] = {"type": "realtime"}
    session["audio"] = session
    with pytest.raises(EncodeError):
        encode_client_event(ce.SessionUpdate(session))


def test_no_repr_shows_what_a_tool_may_hold():
    tools = ({"type": "mcp", "server_label": "docs", "authorization": "hush", "headers": {"A": "hush"}},)
    events = [
        ce.SessionUpdate({"type": "realtime", "tools": list(tools)}, event_id="e"),
        ce.ResponseCreate(ce.ResponseParams(tools=tools, instructions="x")),
    ]
    assert "hush" not in repr(events)
    assert repr(events[0]) == "SessionUpdate(type, tools)"
    assert "ResponseParams(instructions, tools)" in repr(events[1])
