"""Responses: what one may ask for, what it costs, how several run, and how each way of ending looks."""

from __future__ import annotations

import base64
from itertools import pairwise
from random import Random

import pytest

from trunkline.gateway.simulator import CallTool, FunctionBrain, Gate, Hold, Say, Speak
from trunkline.gateway.simulator.client_error import ClientError
from trunkline.gateway.simulator.effects import Abandon
from trunkline.gateway.simulator.ids import Ids
from trunkline.gateway.simulator.protocol_shapes import CLIENT_EVENT
from trunkline.gateway.simulator.session_core import SessionCore

FUNCTION = {"type": "function", "name": "add", "parameters": {"type": "object"}}
SAID = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "only this"}]}


def types(events):
    return [event["type"] for event in events]


def answering(*steps):
    return FunctionBrain(lambda conversation: steps)


def usage_of(events):
    return events[-2]["response"]["usage"]


# -- asking ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "code", "param"),
    [
        ({"metadata": {str(n): "x" for n in range(17)}}, "invalid_value", "metadata"),
        ({"metadata": {"k" * 65: "x"}}, "invalid_value", "metadata"),
        ({"metadata": {"k": "x" * 513}}, "string_above_max_length", "metadata.k"),
        ({"metadata": []}, "invalid_type", "metadata"),
        ({"modalities": ["text"]}, "unknown_parameter", "modalities"),
        ({"voice": "ash"}, "unknown_parameter", "voice"),
        ({"audio": {"input": {}}}, "unknown_parameter", "audio.input"),
        ({"audio": {"output": {"speed": 1}}}, "unknown_parameter", "audio.output.speed"),
        ({"input": [{"type": "item_reference"}]}, "missing_required_parameter", "input[0].id"),
        ({"input": [SAID, {"type": "x"}]}, "invalid_value", "input[1].type"),
        ({"max_output_tokens": 4097}, "invalid_value", "max_output_tokens"),
        ({"tools": [{"type": "function"}]}, "missing_required_parameter", "tools[0].name"),
    ],
)
def test_a_request_that_does_not_fit_is_refused_by_its_path(response, code, param):
    with pytest.raises(ClientError) as caught:
        CLIENT_EVENT({"type": "response.create", "response": response}, "")
    assert (caught.value.code, caught.value.param) == (code, f"response.{param}")


def test_metadata_within_its_limits_is_echoed(simulate, connected):
    client = connected(simulate(answering(Say("x")))).text_session()
    metadata = {f"{n:064}": "v" * 512 for n in range(16)}
    events = client.respond(metadata=metadata)
    assert events[0]["response"]["metadata"] == events[-2]["response"]["metadata"] == metadata


def test_input_may_mix_items_and_references(simulate, connected):
    seen = []

    def reply(conversation):
        seen.extend(conversation.items)
        return [Say("x")]

    client = connected(simulate(FunctionBrain(reply))).text_session()
    first, _ = client.say("first"), client.say("second")
    client.respond(conversation="none", input=[SAID, {"type": "item_reference", "id": first["id"]}])
    assert seen == [SAID, first]


def test_a_reference_to_nothing_is_refused(simulate, connected):
    client = connected(simulate()).text_session()
    reference = {"type": "item_reference", "id": "item_x"}
    error = client.refused("response.create", response={"input": [SAID, reference]}, event_id="e1")
    assert (error["code"], error["param"], error["event_id"]) == (
        "invalid_value",
        "response.input[1].id",
        "e1",
    )
    assert client.respond()[-2]["response"]["status"] == "completed"


def test_a_tool_choice_has_to_be_among_the_tools(simulate, connected):
    client = connected(simulate(answering(Say("x")))).text_session(tools=[FUNCTION])
    choice = {"type": "function", "name": "add"}
    client.respond(tool_choice=choice)
    error = client.refused("response.create", response={"tools": [], "tool_choice": choice})
    assert (error["code"], error["param"]) == ("invalid_value", "response.tool_choice")


def test_the_voice_of_a_response_is_locked_with_the_sessions(simulate, connected):
    client = connected(simulate(answering(Say("x"))))
    client.expect("session.created")
    ash = {"output": {"voice": "ash", "format": {"type": "audio/pcmu"}}}
    events = client.respond(audio=ash)
    assert events[-2]["response"]["audio"] == ash
    error = client.refused("response.create", response={"audio": {"output": {"voice": "coral"}}})
    assert (error["code"], error["param"]) == ("cannot_update_voice", "response.audio.output.voice")
    client.respond(audio={"output": {"voice": "marin"}})


def test_a_response_in_pcm_has_its_rate_as_a_session_has(simulate, connected):
    client = connected(simulate(answering(Say("x"))))
    client.expect("session.created")
    events = client.respond(audio={"output": {"format": {"type": "audio/pcm"}}})
    assert events[0]["response"]["audio"]["output"]["format"] == {"type": "audio/pcm", "rate": 24000}


@pytest.mark.parametrize("modality", ["text", "audio"])
def test_each_event_says_where_it_belongs(simulate, connected, modality):
    client = connected(simulate(answering(Say("Hello there"), CallTool("add", {"a": 1}))))
    client.expect("session.created")
    events = client.respond(output_modalities=[modality])
    response = events[-2]["response"]
    for event in events:
        if "item_id" in event:
            assert event["item_id"] == response["output"][event["output_index"]]["id"]
            assert event["response_id"] == response["id"]
    parts = [
        event
        for event in events
        if event["type"].split(".")[1] not in ("output_item", "function_call_arguments")
    ]
    parts = [event for event in parts if "item_id" in event]
    assert len(parts) > 4
    assert {(event["output_index"], event["content_index"]) for event in parts} == {(0, 0)}
    assert {event["output_index"] for event in events if "output_index" in event} == {0, 1}


@pytest.mark.parametrize(
    "begin", [lambda client: client.say("hi"), lambda client: client.respond(conversation="none")]
)
def test_a_session_in_use_stays_of_its_kind(simulate, connected, begin):
    client = connected(simulate(answering(Say("x")))).text_session()
    begin(client)
    error = client.refused("session.update", session={"type": "transcription"})
    assert (error["code"], error["param"]) == ("invalid_value", "session.type")


def test_a_session_that_is_answering_for_the_first_time_stays_of_its_kind(simulate, connected):
    gate = Gate()
    client = connected(simulate(answering(Hold(gate), Say("x")))).text_session()
    client.send("response.create", response={"conversation": "none"})
    client.expect("response.created")
    assert client.refused("session.update", session={"type": "transcription"})["param"] == "session.type"
    gate.open()
    client.until("rate_limits.updated")


def test_a_session_that_only_transcribes_answers_nothing(simulate, connected):
    client = connected(simulate())
    client.expect("session.created")
    client.send("session.update", session={"type": "transcription"})
    client.expect("session.updated")
    assert client.refused("response.create")["code"] == "invalid_value"


@pytest.mark.parametrize(("parallel", "names"), [(True, ["a", "b"]), (False, ["a"])])
def test_without_parallel_calls_there_is_one(simulate, connected, parallel, names):
    brain = answering(CallTool("a", {}), CallTool("b", {}))
    client = connected(simulate(brain)).text_session(parallel_tool_calls=parallel)
    assert [item["name"] for item in client.respond()[-2]["response"]["output"]] == names
    output = client.respond(parallel_tool_calls=not parallel)[-2]["response"]["output"]
    assert len(output) == 3 - len(names)


# -- several ---------------------------------------------------------------------------------------------------------


def test_any_number_of_responses_run_outside_of_the_conversation(simulate, connected):
    gate = Gate()
    client = connected(simulate(answering(Hold(gate), Say("x")))).text_session()
    ids = set()
    for n in range(5):
        client.send("response.create", response={"conversation": "none", "metadata": {"n": str(n)}})
        ids.add(client.expect("response.created")["response"]["id"])
    client.send("response.create")
    main = client.expect("response.created")["response"]["id"]
    error = client.refused("response.create", event_id="e1")
    assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "e1")
    assert main in error["message"]
    gate.open()
    done = [event for _ in range(6) for event in client.until("response.done")]
    ended = [event["response"]["id"] for event in done if event["type"] == "response.done"]
    assert sorted(ended) == sorted([*ids, main])


def test_a_cancel_by_id_ends_that_response_only(simulate, connected):
    gate = Gate()
    client = connected(simulate(answering(Say(["x", Hold(gate)])))).text_session()
    client.send("response.create", response={"conversation": "none"})
    aside = client.until("response.output_text.delta")[0]["response"]["id"]
    client.send("response.create")
    main = client.until("response.output_text.delta")[0]["response"]["id"]
    assert client.refused("response.cancel", response_id="resp_x")["code"] == "response_cancel_not_active"
    client.send("response.cancel", response_id=aside)
    cancelled = client.until("rate_limits.updated")[-2]["response"]
    assert (cancelled["id"], cancelled["status"]) == (aside, "cancelled")
    assert cancelled["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert [item["status"] for item in cancelled["output"]] == ["incomplete"]
    gate.open()
    assert client.until("rate_limits.updated")[-2]["response"]["id"] == main
    assert client.refused("response.cancel", response_id=main)["code"] == "response_cancel_not_active"


# -- ending ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("modality", "step", "dones"),
    [
        ("text", Say("one two three"), ["response.output_text.done", "response.content_part.done"]),
        (
            "audio",
            Speak("one two three", word_ms=100),
            [
                "response.output_audio.done",
                "response.output_audio_transcript.done",
                "response.content_part.done",
            ],
        ),
        ("text", CallTool("f", "one two three"), ["response.function_call_arguments.done"]),
    ],
)
def test_the_token_limit_ends_each_kind_of_output_with_its_done_events(
    simulate, connected, modality, step, dones
):
    client = connected(simulate(answering(step, Say("never"))))
    client.expect("session.created")
    events = client.respond(max_output_tokens=2, output_modalities=[modality])
    assert types(events)[-4 - len(dones) :] == [
        *dones,
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]
    response = events[-2]["response"]
    assert response["status"] == "incomplete"
    assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert [item["status"] for item in response["output"]] == ["incomplete"]
    assert response["max_output_tokens"] == response["usage"]["output_tokens"] == 2


# -- usage -----------------------------------------------------------------------------------------------------------


def adds_up(usage):
    read, written = usage["input_token_details"], usage["output_token_details"]
    cached = read["cached_tokens_details"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["input_tokens"] == sum(read[f"{kind}_tokens"] for kind in ("text", "audio", "image"))
    assert usage["output_tokens"] == written["text_tokens"] + written["audio_tokens"]
    assert read["cached_tokens"] == sum(cached.values())
    for kind, n_tokens in cached.items():
        assert n_tokens <= read[kind]


def test_the_context_grows_with_the_conversation_and_its_beginning_is_cached(simulate, connected):
    client = connected(simulate(answering(Say("four words of answer")))).text_session()
    usages = []
    for _ in range(4):
        client.say("a question")
        usages.append(usage_of(client.respond()))
    for usage in usages:
        adds_up(usage)
    assert usages[0]["input_token_details"]["cached_tokens"] == 0
    for before, after in pairwise(usages):
        # A question and an answer more; what the last response read has been seen before.
        assert after["input_tokens"] > before["input_tokens"]
        assert after["input_token_details"]["cached_tokens"] == before["input_tokens"]


def test_new_instructions_are_read_afresh(simulate, connected):
    client = connected(simulate(answering(Say("x")))).text_session()
    client.respond()
    usage = usage_of(client.respond(instructions="quite other ones"))
    adds_up(usage)
    assert usage["input_token_details"]["cached_tokens"] == 0


def test_each_modality_is_counted_as_itself(simulate, connected):
    client = connected(simulate(answering(Speak("Hi", word_ms=1000)))).text_session()
    nothing = usage_of(client.respond(conversation="none", input=[], instructions=""))
    assert nothing["input_tokens"] == 0
    sound = {"type": "input_audio", "audio": base64.b64encode(bytes(48_000)).decode()}
    image = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
    said = {"type": "input_text", "text": "abcd"}
    item = {"type": "message", "role": "user", "content": [sound, image, said]}
    usage = usage_of(client.respond(conversation="none", input=[item], instructions=""))
    adds_up(usage)
    details = usage["input_token_details"]
    assert (details["text_tokens"], details["audio_tokens"]) == (1, 10)  # 100 ms of the caller's to a token
    assert details["image_tokens"] > 0


def test_speech_is_read_back_as_audio_as_long_as_it_was_heard(simulate, connected):
    client = connected(simulate(answering(Speak("Hi", word_ms=1000))))
    client.expect("session.created")
    first = client.respond(instructions="")[-2]["response"]
    assert first["usage"]["output_token_details"] == {"text_tokens": 0, "audio_tokens": 20}
    whole = usage_of(client.respond(instructions="", conversation="none"))
    assert whole["input_token_details"]["audio_tokens"] == 20
    client.send(
        "conversation.item.truncate", item_id=first["output"][0]["id"], content_index=0, audio_end_ms=500
    )
    client.expect("conversation.item.truncated")
    half = usage_of(client.respond(instructions="", conversation="none"))
    adds_up(half)
    assert half["input_token_details"]["audio_tokens"] == 10


def test_a_response_that_has_ended_is_cancelled_no_more():
    core = SessionCore(Ids(Random(0)), "m", 0)
    *_, start = core.receive('{"type": "response.create", "response": {"output_modalities": ["text"]}}')
    actions = core.play(start.run, lambda conversation: [Say("x")])
    while next(actions):
        assert not start.run.is_done
    # Its last burst was sent, and the cancel comes before its `response.done`.
    abandon, *sent = core.receive('{"type": "response.cancel"}')
    assert abandon == Abandon(start.run.id)
    assert types(send.event for send in sent) == ["response.done", "rate_limits.updated"]
    response = sent[0].event["response"]
    assert (response["status"], response["status_details"]) == ("completed", None)
