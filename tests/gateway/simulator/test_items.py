"""Items of a conversation: what may be created, where it goes, what it shows, and how it is cut."""

from __future__ import annotations

import base64

import pytest

from trunkline.gateway.simulator import FunctionBrain, Gate, Hold, Say
from trunkline.gateway.simulator.client_error import ClientError
from trunkline.gateway.simulator.item_list import ItemList
from trunkline.gateway.simulator.protocol_shapes import CLIENT_EVENT

SOUND = base64.b64encode(bytes(4800)).decode()
PIXEL = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()


def answering(*steps):
    return FunctionBrain(lambda conversation: steps)


def user(*content, **more):
    return {"type": "message", "role": "user", "content": list(content), **more}


def text(said="x"):
    return {"type": "input_text", "text": said}


def created(client, item, previous_item_id=None):
    client.send("conversation.item.create", item=item, previous_item_id=previous_item_id)
    return client.expect("conversation.item.added"), client.expect("conversation.item.done")


# -- creating --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "item",
    [
        {"type": "message", "role": "system", "content": [text()]},
        user(text(), {"type": "input_image", "image_url": PIXEL, "detail": "high"}),
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]},
        {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c1"},
        {"type": "mcp_list_tools", "server_label": "docs", "tools": []},
        {"type": "mcp_approval_request", "server_label": "docs", "name": "f", "arguments": "{}"},
        {"type": "mcp_call", "server_label": "docs", "name": "f", "arguments": "{}", "output": "x"},
    ],
)
def test_an_item_is_added_and_done_as_it_was_given(simulate, connected, item):
    client = connected(simulate()).text_session()
    first = client.say("before")
    added, done = created(client, item)
    shown = added["item"]
    assert done["item"] == shown
    assert added["previous_item_id"] == done["previous_item_id"] == first["id"]
    assert {name: shown[name] for name in item} == item
    rest = {name: value for name, value in shown.items() if name not in item}
    assert rest.pop("id").startswith("item_")
    settled = {"object": "realtime.item", "status": "completed"}
    assert rest == ({} if item["type"].startswith("mcp_") else settled)


def test_what_is_null_is_left_out(simulate, connected):
    client = connected(simulate()).text_session()
    sound = {"type": "input_audio", "audio": SOUND, "transcript": None}
    _, done = created(client, user(sound))
    assert done["item"]["content"] == [{"type": "input_audio"}]
    client.send("conversation.item.retrieve", item_id=done["item"]["id"])
    item = client.expect("conversation.item.retrieved")["item"]
    assert item["content"] == [{"type": "input_audio", "audio": SOUND}]


def test_a_call_is_given_an_id_if_it_has_none(simulate, connected):
    client = connected(simulate()).text_session()
    _, done = created(client, {"type": "function_call", "name": "f", "arguments": "{}"})
    call_id = done["item"]["call_id"]
    assert call_id.startswith("call_")
    created(client, {"type": "function_call_output", "call_id": call_id, "output": "3"})


@pytest.mark.parametrize(
    ("item", "code", "param"),
    [
        ({}, "missing_required_parameter", "item.type"),
        ({"type": "reasoning"}, "invalid_value", "item.type"),
        ({"type": "message"}, "missing_required_parameter", "item.role"),
        ({"type": "message", "role": "tool", "content": []}, "invalid_value", "item.role"),
        ({"type": "message", "role": "user"}, "missing_required_parameter", "item.content"),
        (user(text(), "x"), "invalid_type", "item.content[1]"),
        (user({"type": "output_text", "text": "x"}), "invalid_value", "item.content[0].type"),
        (user({"type": "input_text"}), "missing_required_parameter", "item.content[0].text"),
        (user({"type": "input_text", "text": None}), "invalid_type", "item.content[0].text"),
        (user({"type": "input_audio"}), "missing_required_parameter", "item.content[0].audio"),
        (user({"type": "input_audio", "audio": "no!"}), "invalid_value", "item.content[0].audio"),
        (
            user({"type": "input_image", "image_url": "https://example.com/x.png"}),
            "invalid_value",
            "item.content[0].image_url",
        ),
        (
            user({"type": "input_image", "image_url": "data:image/gif;base64,AAAA"}),
            "invalid_value",
            "item.content[0].image_url",
        ),
        (
            user({"type": "input_image", "image_url": "data:image/png;base64,no!"}),
            "invalid_value",
            "item.content[0].image_url",
        ),
        (
            {"type": "message", "role": "assistant", "content": [{"type": "output_audio", "audio": SOUND}]},
            "invalid_value",
            "item.content[0].type",
        ),
        ({"type": "message", "role": "system", "content": [{"type": "input_audio"}]}, "invalid_value", "item.content[0].type"),
        ({"type": "function_call", "arguments": "{}"}, "missing_required_parameter", "item.name"),
        ({"type": "function_call", "name": "f", "arguments": {}}, "invalid_type", "item.arguments"),
        ({"type": "function_call_output", "call_id": "c"}, "missing_required_parameter", "item.output"),
        ({"type": "mcp_approval_response", "approve": True}, "missing_required_parameter", "item.approval_request_id"),
        ({"type": "mcp_approval_response", "approval_request_id": "r", "approve": 1}, "invalid_type", "item.approve"),
        ({"type": "mcp_call", "server_label": "d", "name": "f"}, "missing_required_parameter", "item.arguments"),
        ({"type": "item_reference", "id": "x"}, "invalid_value", "item.type"),
        (user(text(), status="done"), "invalid_value", "item.status"),
        (user(text(), name="Ada"), "unknown_parameter", "item.name"),
        (user(text(), id="i" * 33), "string_above_max_length", "item.id"),
        ({"type": "function_call", "call_id": "c" * 33, "name": "f", "arguments": "{}"}, "string_above_max_length", "item.call_id"),
        ({"type": "function_call_output", "call_id": "c" * 33, "output": "3"}, "string_above_max_length", "item.call_id"),
    ],
)  # fmt: skip
def test_an_item_that_does_not_fit_is_refused_by_its_path(item, code, param):
    with pytest.raises(ClientError) as caught:
        CLIENT_EVENT({"type": "conversation.item.create", "item": item}, "")
    assert (caught.value.code, caught.value.param) == (code, param)


def test_an_unknown_previous_item_is_refused_and_nothing_is_added(simulate, connected):
    client = connected(simulate()).text_session()
    error = client.refused(
        "conversation.item.create", item=user(text(), id="mine"), previous_item_id="item_x", event_id="e1"
    )
    assert (error["param"], error["event_id"]) == ("previous_item_id", "e1")
    assert (
        client.refused("conversation.item.retrieve", item_id="mine")["code"]
        == "item_retrieve_invalid_item_id"
    )


def test_the_answer_of_a_response_follows_the_newest_item(simulate, connected):
    client = connected(simulate(answering(Say("a"), Say("b")))).text_session()
    said = client.say("Hi")
    events = client.respond()
    added = [event for event in events if event["type"] == "conversation.item.added"]
    done = [event for event in events if event["type"] == "conversation.item.done"]
    first, second = (event["item"]["id"] for event in added)
    assert [event["previous_item_id"] for event in added] == [said["id"], first]
    assert [(event["item"]["id"], event["previous_item_id"]) for event in done] == [
        (first, said["id"]),
        (second, first),
    ]


# -- truncating ------------------------------------------------------------------------------------------------------


def spoken(connected, simulator):
    client = connected(simulator)
    client.expect("session.created")
    return client, client.respond()[-2]["response"]["output"][0]["id"]


@pytest.mark.parametrize(
    ("content_index", "audio_end_ms", "code", "param"),
    [
        (1, 100, "invalid_value", "content_index"),
        (0, 401, "invalid_value", "audio_end_ms"),
        (0, 0.5, "invalid_type", "audio_end_ms"),
        (0, -1, "invalid_value", "audio_end_ms"),
    ],
)
def test_a_truncation_has_to_lie_within_the_audio(
    simulate, connected, content_index, audio_end_ms, code, param
):
    client, item_id = spoken(connected, simulate(answering(Say("Hello there"))))
    error = client.refused(
        "conversation.item.truncate", item_id=item_id, content_index=content_index, audio_end_ms=audio_end_ms
    )
    assert (error["code"], error["param"]) == (code, param)
    client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=400)
    client.expect("conversation.item.truncated")


def test_what_was_truncated_once_is_shorter_for_the_next_time(simulate, connected):
    client, item_id = spoken(connected, simulate(answering(Say("Hello there"))))
    client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=100)
    client.expect("conversation.item.truncated")
    error = client.refused("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=200)
    assert error["message"] == "Audio content of 100ms is already shorter than 200ms"


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_only_the_models_audio_can_be_truncated(simulate, connected, role):
    client = connected(simulate()).text_session()
    kind = "output_text" if role == "assistant" else "input_text"
    item = {"type": "message", "role": role, "content": [{"type": kind, "text": "x"}]}
    item_id = created(client, item)[1]["item"]["id"]
    error = client.refused("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=0)
    assert error["code"] == "unsupported_content_type"
    assert error["message"] == "Only model output audio messages can be truncated"


def test_an_answer_truncated_while_it_is_sent_does_not_get_its_words_back(simulate, connected):
    gate = Gate()
    client = connected(simulate(answering(Say(["Hello", Hold(gate), " there"]))))
    client.expect("session.created")
    client.send("response.create")
    item_id = client.until("response.output_audio.delta")[-1]["item_id"]
    client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=100)
    client.expect("conversation.item.truncated")
    gate.open()
    (item,) = client.until("response.done")[-1]["response"]["output"]
    assert item["content"] == [{"type": "output_audio"}]


def test_a_deleted_item_takes_its_length_with_it():
    items = ItemList()
    items.insert({"id": "a", "content": [{"type": "output_audio", "transcript": "x"}]}, None)
    items.note_speech("a", 400)
    items.truncate("a", 0, 100)
    items.note_speech("a", 500)
    assert (items.sound_ms("a"), items.is_cut("a")) == (100, True)
    items.remove("a")
    assert (items.sound_ms("a"), items.is_cut("a")) == (0, False)


# -- frames ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("levels", "code"), [(70, "invalid_value"), (400, "invalid_value"), (5000, "invalid_json")]
)
def test_an_event_that_is_nested_too_deeply_is_refused(simulate, connected, levels, code):
    client = connected(simulate()).text_session()
    schema = '{"a":' * levels + "1" + "}" * levels
    tools = f'[{{"type": "function", "name": "f", "parameters": {schema}}}]'
    session = f'{{"type": "realtime", "tools": {tools}}}'
    client.socket.send(f'{{"type": "session.update", "event_id": "e1", "session": {session}}}')
    error = client.expect("error")["error"]
    assert (error["code"], error["event_id"]) == (code, "e1" if code == "invalid_value" else None)
    assert client.ask("What's the capital of Canada?") == "The capital of Canada is Ottawa."
