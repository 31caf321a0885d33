"""The protocol as a client sees it over a real socket: turns, items, settings, refusals."""

from __future__ import annotations

import base64
import json

import pytest

from trunkline.gateway.simulator import (
    CallTool,
    Fail,
    FunctionBrain,
    Gate,
    Hold,
    Incomplete,
    Pause,
    Say,
    Simulator,
    Speak,
)

TEXT_TURN = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
    "rate_limits.updated",
]
CALL_EVENTS = [
    "response.output_item.added",
    "conversation.item.added",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "conversation.item.done",
    "response.output_item.done",
]


def types(events):
    return [event["type"] for event in events]


def answering(*steps):
    return FunctionBrain(lambda conversation: steps)


# -- a session -------------------------------------------------------------------------------------------------------


def test_a_client_is_greeted_with_the_settings_of_its_session(simulate, connected):
    session = connected(simulate()).expect("session.created")["session"]
    assert session["id"].startswith("sess_")
    assert (session["object"], session["type"], session["model"]) == (
        "realtime.session",
        "realtime",
        "gpt-realtime-2",
    )
    assert session["expires_at"] > 1_700_000_000
    assert session["output_modalities"] == ["audio"]
    assert session["tools"] == []
    assert session["tool_choice"] == "auto"
    assert session["instructions"]
    assert session["audio"]["input"]["turn_detection"]["type"] == "server_vad"
    assert session["audio"]["output"]["format"] == {"type": "audio/pcm", "rate": 24000}


def test_an_update_changes_what_it_names_and_leaves_the_rest(simulate, connected):
    client = connected(simulate())
    before = client.expect("session.created")["session"]
    tool = {"type": "function", "name": "add", "description": "Add.", "parameters": {"type": "object"}}
    client.send(
        "session.update",
        session={
            "type": "realtime",
            "tools": [tool],
            "audio": {"input": {"turn_detection": {"type": "semantic_vad"}}},
        },
    )
    after = client.expect("session.updated")["session"]
    assert after["tools"] == [tool]
    assert after["audio"]["input"]["turn_detection"]["eagerness"] == "auto"
    assert after["audio"]["output"] == before["audio"]["output"]
    assert after["instructions"] == before["instructions"]


def test_null_switches_detection_off_and_empty_clears(simulate, connected):
    client = connected(simulate())
    client.expect("session.created")
    client.send(
        "session.update",
        session={"type": "realtime", "instructions": "", "audio": {"input": {"turn_detection": None}}},
    )
    session = client.expect("session.updated")["session"]
    assert session["instructions"] == ""
    assert session["audio"]["input"]["turn_detection"] is None


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({}, "missing_required_parameter", "session.type"),
        ({"type": "realtime", "temperature": 0.8}, "unknown_parameter", "session.temperature"),
        (
            {"type": "realtime", "audio": {"input": {"vad": 1}}},
            "unknown_parameter",
            "session.audio.input.vad",
        ),
        ({"type": "beta"}, "invalid_value", "session.type"),
        (
            {"type": "realtime", "output_modalities": ["audio", "text"]},
            "invalid_value",
            "session.output_modalities",
        ),
        (
            {"type": "realtime", "output_modalities": ["video"]},
            "invalid_value",
            "session.output_modalities[0]",
        ),
        ({"type": "realtime", "max_output_tokens": 5000}, "invalid_value", "session.max_output_tokens"),
        ({"type": "realtime", "instructions": 5}, "invalid_type", "session.instructions"),
        ({"type": "realtime", "model": "another"}, "invalid_value", "session.model"),
        (
            {"type": "realtime", "tools": [{"type": "function"}]},
            "missing_required_parameter",
            "session.tools[0].name",
        ),
        (
            {"type": "realtime", "audio": {"output": {"speed": 9}}},
            "invalid_value",
            "session.audio.output.speed",
        ),
        (
            {"type": "realtime", "tool_choice": {"type": "function", "name": "x"}},
            "invalid_value",
            "session.tool_choice",
        ),
        (
            {"type": "realtime", "audio": {"input": {"format": {"type": "audio/mp3"}}}},
            "invalid_value",
            "session.audio.input.format.type",
        ),
    ],
)
def test_a_bad_update_is_discarded_whole(simulate, connected, session, code, param):
    client = connected(simulate())
    before = client.expect("session.created")["session"]
    if "type" in session:
        session = {**session}
        session.setdefault("instructions", "must not stick")
    error = client.refused("session.update", session=session, event_id="mine")
    assert (error["code"], error["param"], error["event_id"]) == (code, param, "mine")
    assert error["type"] == "invalid_request_error"
    client.send("session.update", session={"type": "realtime"})
    assert client.expect("session.updated")["session"] == before


def test_the_voice_is_locked_once_the_session_has_spoken(simulate, connected):
    client = connected(simulate(answering(Say("Hi"))))
    client.expect("session.created")
    client.respond()
    error = client.refused(
        "session.update", session={"type": "realtime", "audio": {"output": {"voice": "ash"}}}
    )
    assert error["code"] == "cannot_update_voice"


# -- a text turn -----------------------------------------------------------------------------------------------------


def test_a_text_turn_has_the_order_of_the_real_service(simulate, connected):
    client = connected(simulate(answering(Say("Hello there")))).text_session()
    content = [{"type": "input_text", "text": "Hi"}]
    client.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
    client.send("response.create")
    events = client.until("rate_limits.updated")
    assert types(events) == ["conversation.item.added", "conversation.item.done", *TEXT_TURN]
    assert len({event["event_id"] for event in events}) == len(events)


def test_the_events_of_a_turn_agree_with_each_other(simulate, connected):
    client = connected(simulate(answering(Say("Hello there")))).text_session()
    user = client.say("Hi")
    created, added, joined, part, first, second, text, part_done, done, item_done, response_done, _ = (
        client.respond(metadata={"topic": "greeting"})
    )
    response_id, item_id = created["response"]["id"], added["item"]["id"]
    assert created["response"]["status"] == "in_progress"
    assert created["response"]["conversation_id"].startswith("conv_")
    assert created["response"]["metadata"] == {"topic": "greeting"}
    assert (added["output_index"], added["item"]["status"], added["item"]["content"]) == (
        0,
        "in_progress",
        [],
    )
    assert (joined["item"], joined["previous_item_id"]) == (added["item"], user["id"])
    for event in (part, first, second, text, part_done):
        assert (event["response_id"], event["item_id"]) == (response_id, item_id)
        assert (event["output_index"], event["content_index"]) == (0, 0)
    assert [first["delta"], second["delta"]] == ["Hello", " there"]
    assert first["obfuscation"]
    assert text["text"] == part_done["part"]["text"] == "Hello there"
    assert part["part"]["type"] == "text"
    final = item_done["item"]
    assert final == done["item"] == response_done["response"]["output"][0]
    assert (final["status"], final["role"]) == ("completed", "assistant")
    assert final["content"] == [{"type": "output_text", "text": "Hello there"}]
    response = response_done["response"]
    assert (response["id"], response["status"], response["metadata"]) == (
        response_id,
        "completed",
        {"topic": "greeting"},
    )


def test_usage_adds_up(simulate, connected):
    client = connected(simulate(answering(Say("one two three")))).text_session()
    client.say("Count")
    usage = client.respond()[-2]["response"]["usage"]
    assert usage["output_tokens"] == sum(usage["output_token_details"].values()) == 3
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    details = usage["input_token_details"]
    assert usage["input_tokens"] == details["text_tokens"] + details["audio_tokens"] + details["image_tokens"]


def test_rate_limits_go_down_with_each_response(simulate, connected):
    client = connected(simulate(answering(Say("Hi")))).text_session()
    first, second = (client.respond()[-1]["rate_limits"] for _ in range(2))
    assert {limit["name"] for limit in first} == {"requests", "tokens"}
    for before, after in zip(first, second, strict=True):
        assert after["remaining"] < before["remaining"] < before["limit"]


def test_given_deltas_are_sent_as_they_are(simulate, connected):
    client = connected(simulate(answering(Say(["a", "", "b c"])))).text_session()
    deltas = [event["delta"] for event in client.respond() if event["type"] == "response.output_text.delta"]
    assert deltas == ["a", "", "b c"]


def test_a_response_stops_at_its_token_limit(simulate, connected):
    client = connected(simulate(answering(Say("one two three four")))).text_session()
    events = client.respond(max_output_tokens=2)
    response = events[-2]["response"]
    assert response["status"] == "incomplete"
    assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert response["output"][0]["status"] == "incomplete"
    assert response["output"][0]["content"][0]["text"] == "one two"


@pytest.mark.parametrize("step", [Fail("rate_limit_exceeded", "Slow down"), Incomplete("content_filter")])
def test_a_step_can_end_the_response_badly(simulate, connected, step):
    client = connected(simulate(answering(Say("before"), step, Say("never")))).text_session()
    response = client.respond()[-2]["response"]
    assert len(response["output"]) == 1
    if isinstance(step, Fail):
        assert response["status"] == response["status_details"]["type"] == "failed"
        error = response["status_details"]["error"]
        assert error == {"type": "server_error", "code": "rate_limit_exceeded", "message": "Slow down"}
    else:
        assert response["status_details"] == {"type": "incomplete", "reason": "content_filter"}


def test_a_raising_brain_is_a_failed_response_and_the_session_goes_on(simulate, connected):
    answers = iter([1])

    def reply(conversation):
        yield Say("first")
        if next(answers, None):
            raise RuntimeError("out of ideas")

    client = connected(simulate(FunctionBrain(reply))).text_session()
    response = client.respond()[-2]["response"]
    assert response["status"] == "failed"
    assert "out of ideas" in response["status_details"]["error"]["message"]
    assert client.respond()[-2]["response"]["status"] == "completed"


# -- tools -----------------------------------------------------------------------------------------------------------


def test_two_calls_in_parallel_and_the_answer_from_their_outputs(simulate, connected):
    tool = {
        "type": "function",
        "name": "get_weather",
        "description": "Get the weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
    client = connected(simulate()).text_session(tools=[tool])
    client.say("What's the weather in Paris and in Tokyo?")
    events = client.respond()
    squeezed = [kind for i, kind in enumerate(types(events)) if i == 0 or kind != types(events)[i - 1]]
    assert squeezed == [
        "response.created",
        *CALL_EVENTS,
        *CALL_EVENTS,
        "response.done",
        "rate_limits.updated",
    ]
    dones = [event for event in events if event["type"] == "response.function_call_arguments.done"]
    assert [json.loads(event["arguments"]) for event in dones] == [{"city": "Paris"}, {"city": "Tokyo"}]
    assert [event["output_index"] for event in dones] == [0, 1]
    for done in dones:
        deltas = [
            event["delta"]
            for event in events
            if event["type"] == "response.function_call_arguments.delta"
            and event["call_id"] == done["call_id"]
        ]
        assert "".join(deltas) == done["arguments"]
        assert len(deltas) > 1
        assert done["name"] == "get_weather"
    for call, output in zip(dones, ["18 degrees and sunny", '{"temperature": 21}'], strict=True):
        client.send(
            "conversation.item.create",
            item={"type": "function_call_output", "call_id": call["call_id"], "output": output},
        )
        client.until("conversation.item.done")
    text = client.respond()[-2]["response"]["output"][0]["content"][0]["text"]
    assert text == "Paris: 18 degrees and sunny. Tokyo: temperature 21."


def test_arguments_may_be_broken_on_purpose(simulate, connected):
    client = connected(simulate(answering(CallTool("f", '{"a": ', call_id="call_x")))).text_session()
    response = client.respond()[-2]["response"]
    assert response["output"][0]["arguments"] == '{"a": '
    assert response["output"][0]["call_id"] == "call_x"


def test_an_output_for_an_unknown_call_is_refused(simulate, connected):
    client = connected(simulate()).text_session()
    error = client.refused(
        "conversation.item.create",
        item={"type": "function_call_output", "call_id": "call_none", "output": ""},
        event_id="e",
    )
    assert (error["code"], error["event_id"]) == ("invalid_tool_call_id", "e")


# -- speech ----------------------------------------------------------------------------------------------------------


def test_an_audio_session_is_answered_in_sound_with_its_transcript(simulate, connected):
    client = connected(simulate(answering(Say("Hello there"))))
    client.expect("session.created")
    events = client.respond()
    assert types(events)[3:-2] == [
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
    ]
    sound = [base64.b64decode(e["delta"]) for e in events if e["type"] == "response.output_audio.delta"]
    assert [len(part) for part in sound] == [9600, 9600]  # 200 ms, 24 kHz, 16 bit
    assert events[3]["part"] == {"type": "audio", "transcript": ""}
    response = events[-2]["response"]
    assert response["output"][0]["content"] == [{"type": "output_audio", "transcript": "Hello there"}]
    assert response["usage"]["output_token_details"] == {"text_tokens": 0, "audio_tokens": 8}


@pytest.mark.parametrize(("name", "n_bytes"), [("audio/pcmu", 800), ("audio/pcma", 800), ("audio/pcm", 4800)])
def test_sound_has_the_format_and_length_that_were_asked_for(simulate, connected, name, n_bytes):
    client = connected(simulate(answering(Speak("Hi", word_ms=100))))
    client.expect("session.created")
    client.send(
        "session.update", session={"type": "realtime", "audio": {"output": {"format": {"type": name}}}}
    )
    client.expect("session.updated")
    sound = [e["delta"] for e in client.respond() if e["type"] == "response.output_audio.delta"]
    assert [len(base64.b64decode(part)) for part in sound] == [n_bytes]


def test_an_answer_can_be_truncated_to_what_was_heard(simulate, connected):
    client = connected(simulate(answering(Say("Hello there"))))
    client.expect("session.created")
    item_id = client.respond()[-2]["response"]["output"][0]["id"]
    too_much = client.refused(
        "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=500
    )
    assert too_much["message"] == "Audio content of 400ms is already shorter than 500ms"
    client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=200)
    assert client.expect("conversation.item.truncated")["audio_end_ms"] == 200
    client.send("conversation.item.retrieve", item_id=item_id)
    (part,) = client.expect("conversation.item.retrieved")["item"]["content"]
    assert sorted(part) == ["audio", "type"]
    assert len(base64.b64decode(part["audio"])) == 9600  # 200 ms


def test_audio_is_committed_into_a_user_item(simulate, connected):
    client = connected(simulate()).text_session()
    client.send("input_audio_buffer.append", audio=base64.b64encode(bytes(4800)).decode())
    client.send("input_audio_buffer.commit")
    item_id = client.expect("input_audio_buffer.committed")["item_id"]
    item = client.expect("conversation.item.added")["item"]
    assert (item["id"], item["content"]) == (item_id, [{"type": "input_audio"}])
    client.expect("conversation.item.done")
    assert client.refused("input_audio_buffer.commit")["code"] == "input_audio_buffer_commit_empty"
    client.send("input_audio_buffer.clear")
    client.expect("input_audio_buffer.cleared")


@pytest.mark.parametrize("audio", ["not base64!", base64.b64encode(b"odd").decode()])
def test_audio_that_is_none_is_refused(simulate, connected, audio):
    client = connected(simulate()).text_session()
    assert client.refused("input_audio_buffer.append", audio=audio)["param"] == "audio"


# -- items -----------------------------------------------------------------------------------------------------------


def test_items_keep_their_ids_and_go_where_they_are_told(simulate, connected):
    seen = []

    def reply(conversation):
        seen.extend(item["id"] for item in conversation.items)
        return [Say("ok")]

    client = connected(simulate(FunctionBrain(reply))).text_session()
    user = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}
    for item_id, previous in (("b", None), ("c", "b"), ("a", "root"), ("bb", "b")):
        client.send("conversation.item.create", item={**user, "id": item_id}, previous_item_id=previous)
        added = client.expect("conversation.item.added")
        client.expect("conversation.item.done")
        assert added["previous_item_id"] == (None if previous == "root" else previous)
    client.respond()
    assert seen == ["a", "b", "bb", "c"]


def test_an_id_is_taken_once(simulate, connected):
    client = connected(simulate()).text_session()
    client.say("first", id="mine")
    content = [{"type": "input_text", "text": "again"}]
    item = {"type": "message", "role": "user", "content": content, "id": "mine"}
    assert client.refused("conversation.item.create", item=item)["param"] == "item.id"


def test_a_deleted_item_is_gone(simulate, connected):
    client = connected(simulate()).text_session()
    item = client.say("forget me")
    client.send("conversation.item.retrieve", item_id=item["id"])
    assert client.expect("conversation.item.retrieved")["item"] == item
    client.send("conversation.item.delete", item_id=item["id"])
    assert client.expect("conversation.item.deleted")["item_id"] == item["id"]
    assert (
        client.refused("conversation.item.retrieve", item_id=item["id"])["code"]
        == "item_retrieve_invalid_item_id"
    )
    assert (
        client.refused("conversation.item.delete", item_id=item["id"])["code"]
        == "item_delete_invalid_item_id"
    )
    assert client.refused(
        "response.create", response={"input": [{"type": "item_reference", "id": item["id"]}]}
    )


def test_an_answer_that_is_deleted_while_it_streams_does_not_disturb_it(simulate, connected):
    gate = Gate()
    client = connected(simulate(answering(Say(["Hello", Hold(gate), " there"])))).text_session()
    client.send("response.create")
    item_id = client.until("response.output_text.delta")[-1]["item_id"]
    client.send("conversation.item.delete", item_id=item_id)
    client.expect("conversation.item.deleted")
    gate.open()
    assert client.until("rate_limits.updated")[-2]["response"]["status"] == "completed"


@pytest.mark.parametrize(
    ("item", "code", "param"),
    [
        ({}, "missing_required_parameter", "item.type"),
        ({"type": "message"}, "missing_required_parameter", "item.role"),
        ({"type": "message", "role": "user"}, "missing_required_parameter", "item.content"),
        ({"type": "message", "role": "robot", "content": []}, "invalid_value", "item.role"),
        (
            {"type": "message", "role": "assistant", "content": [{"type": "output_audio", "audio": ""}]},
            "invalid_value",
            "item.content[0].type",
        ),
        (
            {"type": "message", "role": "user", "content": [{"type": "input_text"}]},
            "missing_required_parameter",
            "item.content[0].text",
        ),
        ({"type": "function_call_output", "call_id": "c"}, "missing_required_parameter", "item.output"),
        ({"type": "item_reference", "id": "x"}, "invalid_value", "item.type"),
    ],
)
def test_a_malformed_item_is_refused_by_name(simulate, connected, item, code, param):
    client = connected(simulate()).text_session()
    error = client.refused("conversation.item.create", item=item)
    assert (error["code"], error["param"]) == (code, param)


def test_a_conversation_can_be_replayed(simulate, connected):
    client = connected(simulate()).text_session()
    client.say("My name is Ada.")
    for item in (
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello Ada"}]},
        {"type": "function_call", "name": "f", "call_id": "c1", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "It is 1"}]},
        {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Be brief"}]},
    ):
        client.send("conversation.item.create", item=item)
        client.until("conversation.item.done")
    assert client.ask("What is my name?") == "Your name is Ada."


# -- responses beside each other -------------------------------------------------------------------------------------


def test_a_second_response_is_refused_while_one_is_active(simulate, connected):
    gate = Gate()
    client = connected(simulate(answering(Hold(gate), Say("done")))).text_session()
    client.send("response.create")
    active = client.expect("response.created")["response"]["id"]
    error = client.refused("response.create", event_id="second")
    assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "second")
    assert active in error["message"]
    gate.open()
    assert client.until("response.done")[-1]["response"]["id"] == active


@pytest.mark.parametrize("by_id", [True, False])
def test_a_cancelled_response_closes_what_is_open(simulate, connected, by_id):
    gate = Gate()
    client = connected(simulate(answering(Say(["Hello", Hold(gate), " there"])))).text_session()
    client.send("response.create")
    response_id = client.until("response.output_text.delta")[0]["response"]["id"]
    client.send("response.cancel", **({"response_id": response_id} if by_id else {}))
    events = client.until("rate_limits.updated")
    assert types(events) == TEXT_TURN[6:]
    response = events[-2]["response"]
    assert response["status"] == "cancelled"
    assert response["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert response["output"][0]["status"] == "incomplete"
    assert response["output"][0]["content"][0]["text"] == "Hello"
    gate.open()
    assert client.refused("response.cancel")["code"] == "response_cancel_not_active"
    assert client.ask("Anything else?") == "Hello there"


def test_a_cancelled_call_is_incomplete(simulate, connected):
    gate = Gate()
    client = connected(simulate(answering(CallTool("f", ['{"a"', Hold(gate), ":1}"])))).text_session()
    client.send("response.create")
    client.until("response.function_call_arguments.delta")
    client.send("response.cancel")
    events = client.until("response.done")
    assert types(events)[0] == "response.function_call_arguments.done"
    assert events[-1]["response"]["output"][0]["status"] == "incomplete"
    assert events[-1]["response"]["output"][0]["arguments"] == '{"a"'


def test_a_pause_can_be_cancelled(simulate, connected):
    client = connected(simulate(answering(Pause(3600), Say("late")))).text_session()
    client.send("response.create")
    client.expect("response.created")
    client.send("response.cancel")
    assert client.until("response.done")[-1]["response"]["output"] == []


def test_items_are_added_while_a_response_streams(simulate, connected):
    gate = Gate()
    client = connected(simulate(answering(Say(["Hello", Hold(gate)])))).text_session()
    client.send("response.create")
    assistant = client.until("response.output_text.delta")[1]["item"]
    content = [{"type": "input_text", "text": "Wait"}]
    client.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
    assert client.expect("conversation.item.added")["previous_item_id"] == assistant["id"]
    gate.open()
    client.until("response.done")


def test_an_out_of_band_response_runs_beside_and_leaves_no_trace(simulate, connected):
    gate = Gate()
    seen = []

    def reply(conversation):
        seen.append([item.get("id") for item in conversation.items])
        if conversation.out_of_band:
            return [Say(f"{conversation.metadata['n']}: {conversation.instructions}")]
        return [Hold(gate), Say("main")]

    client = connected(simulate(FunctionBrain(reply))).text_session()
    user = client.say("Hi")
    client.send("response.create")
    main = client.expect("response.created")["response"]["id"]
    events = client.respond(conversation="none", metadata={"n": "1"}, instructions="classify", input=[])
    assert "conversation.item.added" not in types(events)
    assert "conversation.item.done" not in types(events)
    response = events[-2]["response"]
    assert "conversation_id" not in response
    assert response["output"][0]["content"][0]["text"] == "1: classify"
    gate.open()
    assert client.until("response.done")[-1]["response"]["id"] == main
    assert seen == [[user["id"]], []]


def test_an_out_of_band_response_is_cancelled_by_its_id_only(simulate, connected):
    gate = Gate()
    client = connected(simulate(answering(Hold(gate)))).text_session()
    client.send("response.create", response={"conversation": "none"})
    response_id = client.expect("response.created")["response"]["id"]
    assert client.refused("response.cancel")["code"] == "response_cancel_not_active"
    client.send("response.cancel", response_id=response_id)
    assert client.expect("response.done")["response"]["status"] == "cancelled"


def test_a_response_may_override_the_session(simulate, connected):
    seen = []

    def reply(conversation):
        seen.append(conversation)
        return [Say("x")]

    client = connected(simulate(FunctionBrain(reply))).text_session(instructions="session's")
    tool = {"type": "function", "name": "f"}
    events = client.respond(
        instructions="its own",
        tools=[tool],
        tool_choice="required",
        output_modalities=["audio"],
        input=[{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "only this"}]}],
    )
    assert "response.output_audio.delta" in types(events)
    assert (seen[0].instructions, seen[0].tools, seen[0].tool_choice) == ("its own", [tool], "required")
    assert seen[0].last_user_text == "only this"


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "code", "param", "event_id"),
    [
        ("{", "invalid_json", None, None),
        ("[]", "invalid_json", None, None),
        ("NaN", "invalid_json", None, None),
        ("[" * 100_000, "invalid_json", None, None),
        (b"{}", "invalid_event", None, None),
        ("{}", "missing_required_parameter", "type", None),
        ('{"type": "nonsense", "event_id": "e1"}', "invalid_value", "type", "e1"),
        ('{"type": 5}', "invalid_type", "type", None),
        ('{"type": "response.create", "event_id": 7}', "invalid_type", "event_id", None),
        ('{"type": "session.update"}', "missing_required_parameter", "session", None),
        ('{"type": "response.create", "extra": 1, "event_id": "e2"}', "unknown_parameter", "extra", "e2"),
        (
            '{"type": "response.create", "response": {"conversation": "x"}}',
            "invalid_value",
            "response.conversation",
            None,
        ),
        (
            '{"type": "response.create", "response": {"metadata": {"k": 1}}}',
            "invalid_type",
            "response.metadata.k",
            None,
        ),
        ('{"type": "response.cancel"}', "response_cancel_not_active", None, None),
        ('{"type": "response.cancel", "response_id": "resp_x"}', "response_cancel_not_active", None, None),
        ('{"type": "output_audio_buffer.clear"}', "invalid_value", "type", None),
        ('{"type": "conversation.item.retrieve"}', "missing_required_parameter", "item_id", None),
        (
            '{"type": "conversation.item.truncate", "item_id": "x", "content_index": 0, "audio_end_ms": 1}',
            "item_truncate_invalid_item_id",
            "item_id",
            None,
        ),
    ],
)
def test_bad_input_is_an_error_event_and_the_session_stays_open(
    simulate, connected, frame, code, param, event_id
):
    client = connected(simulate()).text_session()
    client.socket.send(frame)
    event = client.expect("error")
    assert event["event_id"].startswith("event_")
    error = event["error"]
    assert (error["code"], error["param"], error["event_id"]) == (code, param, event_id)
    assert error["message"]
    assert client.ask("What's the capital of Canada?") == "The capital of Canada is Ottawa."


def test_sessions_do_not_hear_each_other(simulate, connected):
    simulator: Simulator = simulate()
    one, two = (connected(simulator).text_session() for _ in range(2))
    one.say("My name is Ada")
    assert two.ask("What is my name?") == "You have not told me your name."
    assert one.ask("What is my name?") == "Your name is Ada."
