"""The official SDK as the judge: its models take every frame that is sent, and what its types describe is accepted."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable, Iterator, Mapping
from random import Random
from types import UnionType
from typing import Annotated, Any, Literal, Required, Union, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.realtime import (
    RealtimeAudioConfigInput,
    RealtimeAudioConfigOutput,
    RealtimeServerEvent,
    RealtimeSessionCreateRequest,
    RealtimeTranscriptionSessionCreateRequest,
)
from openai.types.realtime.realtime_client_event_param import RealtimeClientEventParam
from openai.types.realtime.response_create_event_with_references_param import (
    ResponseCreateEventWithReferencesParam,
)
from pydantic import BaseModel, TypeAdapter
from typing_extensions import get_type_hints, is_typeddict

from trunkline.gateway.simulator import (
    CallTool,
    Fail,
    FunctionBrain,
    Gate,
    Hold,
    Incomplete,
    RuleBrain,
    Say,
    Speak,
)
from trunkline.gateway.simulator.ids import Ids
from trunkline.gateway.simulator.session_core import Send, SessionCore, Start
from trunkline.gateway.simulator.steps import CallMcp
from trunkline.gateway.simulator.tone import word_tone

# -- the judge -------------------------------------------------------------------------------------------------------

MODELS: dict[str, TypeAdapter[Any]] = {
    get_args(model.model_fields["type"].annotation)[0]: TypeAdapter(model)
    for model in get_args(get_args(RealtimeServerEvent)[0])
}
"""The 46 server events of the SDK, each with what validates it."""

ON_THE_WIRE_ONLY = {
    "RealtimeSessionCreateRequest": {"id", "object", "expires_at"},
    "RealtimeTranscriptionSessionCreateRequest": {"id", "object", "expires_at"},
    "ResponseTextDeltaEvent": {"obfuscation"},
    "ResponseAudioTranscriptDeltaEvent": {"obfuscation"},
    "ResponseFunctionCallArgumentsDeltaEvent": {"obfuscation"},
}
"""What protocol.md has seen on the wire and the SDK's model lacks (A.8: `expires_at`, obfuscation; A.10: `id`, `object`)."""


def judged(event: Mapping[str, Any]) -> None:
    """Fail if the SDK does not know the event exactly as it is."""
    model = MODELS[event["type"]].validate_json(json.dumps(with_named_voice(event)), strict=True)
    assert list(unknown_fields(model)) == [], event


def with_named_voice(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a response's event with a voice of one's own as text: the SDK's model lacks the object (protocol.md A.4)."""
    match event:
        case {"response": {"audio": {"output": {"voice": {"id": str(voice)}}}}}:
            named = copy.deepcopy(dict(event))
            named["response"]["audio"]["output"]["voice"] = voice
            return named
    return event


def unknown_fields(value: object) -> Iterator[str]:
    """Yield the fields that the SDK's models lack, wherever they are."""
    if isinstance(value, BaseModel):
        name = type(value).__name__
        known = ON_THE_WIRE_ONLY.get(name, set())
        yield from (f"{name}.{field}" for field in value.model_extra or () if field not in known)
        for field in type(value).model_fields:
            yield from unknown_fields(getattr(value, field))
    elif isinstance(value, list):
        for member in value:
            yield from unknown_fields(member)


TEXT_DONE = {
    "type": "response.output_text.done",
    "event_id": "e",
    "response_id": "r",
    "item_id": "i",
    "output_index": 0,
    "content_index": 0,
    "text": "x",
}
ASSISTANT = {
    "id": "i",
    "object": "realtime.item",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "x"}],
}
ITEM_DONE = {"type": "conversation.item.done", "event_id": "e", "item": ASSISTANT}


def test_the_judge_takes_what_is_right():
    judged(TEXT_DONE)
    judged(ITEM_DONE)


@pytest.mark.parametrize(
    "wrong",
    [
        {name: value for name, value in TEXT_DONE.items() if name != "text"},
        {**TEXT_DONE, "text": None},
        {**TEXT_DONE, "output_index": "0"},
        {**TEXT_DONE, "more": 1},
        {**ITEM_DONE, "item": {**ASSISTANT, "status": "done"}},
        {**ITEM_DONE, "item": {**ASSISTANT, "more": 1}},
        {**ITEM_DONE, "item": {**ASSISTANT, "content": [{"type": "text", "text": "x"}]}},
        {**ITEM_DONE, "item": {**ASSISTANT, "content": [{"type": "output_text", "text": "x", "more": 1}]}},
        {**TEXT_DONE, "type": "response.text.done"},
    ],
)
def test_the_judge_finds_what_is_wrong(wrong):
    with pytest.raises((ValueError, AssertionError, KeyError)):
        judged(wrong)


# -- flows -----------------------------------------------------------------------------------------------------------

MCP_TOOL = {
    "type": "mcp",
    "server_label": "docs",
    "server_url": "https://docs.example/mcp",
    "allowed_tools": ["search"],
    "require_approval": "never",
}
FUNCTION = {
    "type": "function",
    "name": "add",
    "description": "Add.",
    "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
}
PIXEL = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
SPOKEN = base64.b64encode(word_tone("hello", 600, "audio/pcm") + bytes(48_000)).decode()
"""A word, and a second of silence."""
EVERYTHING = {
    "type": "realtime",
    "instructions": "Be brief.",
    "max_output_tokens": 4096,
    "output_modalities": ["audio"],
    "parallel_tool_calls": False,
    "prompt": {"id": "pmpt_1", "version": "2", "variables": {"name": "Ada"}},
    "reasoning": {"effort": "low"},
    "tool_choice": {"type": "function", "name": "add"},
    "tools": [FUNCTION],
    "tracing": {"workflow_name": "w", "group_id": "g", "metadata": {"k": "v"}},
    "truncation": {
        "type": "retention_ratio",
        "retention_ratio": 0.8,
        "token_limits": {"post_instructions": 9},
    },
    "include": ["item.input_audio_transcription.logprobs"],
    "audio": {
        "input": {
            "format": {"type": "audio/pcmu"},
            "noise_reduction": {"type": "near_field"},
            "transcription": {"model": "whisper-1", "language": "en", "prompt": "names"},
            "turn_detection": {"type": "semantic_vad", "eagerness": "high"},
        },
        "output": {"format": {"type": "audio/pcma"}, "voice": "cedar", "speed": 1.25},
    },
}

Flow = Callable[[Callable[..., Any], Callable[..., Any]], list[Any]]


def answering(*steps):
    return FunctionBrain(lambda conversation: steps)


def session_with_every_field(simulate, connected):
    simulator = simulate()
    client = connected(simulator)
    client.expect("session.created")
    client.send("session.update", session=EVERYTHING)
    client.expect("session.updated")
    return simulator.wire.received()


def transcription_session(simulate, connected):
    simulator = simulate()
    client = connected(simulator)
    client.expect("session.created")
    client.send(
        "session.update", session={"type": "transcription", "audio": {"input": EVERYTHING["audio"]["input"]}}
    )
    client.expect("session.updated")
    return simulator.wire.received()


def text_turn(simulate, connected):
    simulator = simulate(answering(Say("Hello there")))
    client = connected(simulator).text_session()
    client.say("Hi")
    client.respond(metadata={"topic": "greeting"})
    return simulator.wire.received()


def spoken_turn_that_is_truncated(simulate, connected):
    simulator = simulate(answering(Say("Hello there")))
    client = connected(simulator)
    client.expect("session.created")
    item_id = client.respond()[-2]["response"]["output"][0]["id"]
    client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=100)
    client.expect("conversation.item.truncated")
    client.send("conversation.item.retrieve", item_id=item_id)
    client.expect("conversation.item.retrieved")
    return simulator.wire.received()


def tool_turn(simulate, connected):
    simulator = simulate(
        answering(CallTool("add", {"a": 1}, call_id="c1"), CallTool("add", {"a": 2}, call_id="c2"))
    )
    client = connected(simulator).text_session(tools=[FUNCTION])
    client.respond()
    for call_id in ("c1", "c2"):
        client.send(
            "conversation.item.create",
            item={"type": "function_call_output", "call_id": call_id, "output": "3"},
        )
        client.until("conversation.item.done")
    return simulator.wire.received()


def items_of_every_type(simulate, connected):
    simulator = simulate()
    client = connected(simulator).text_session()
    sound = base64.b64encode(bytes(4800)).decode()
    request = {"server_label": "docs", "name": "search", "arguments": "{}"}
    tool = {"name": "search", "input_schema": {"type": "object"}, "description": "Search.", "annotations": {}}
    error = {"type": "http_error", "code": 500, "message": "down"}
    for item in (
        {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "x"}]},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "x"},
                {"type": "input_audio", "audio": sound, "transcript": None},
                {"type": "input_image", "image_url": PIXEL, "detail": "low"},
            ],
        },
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]},
        {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c1", "status": "completed"},
        {"type": "function_call_output", "call_id": "c1", "output": "3"},
        {"type": "mcp_list_tools", "server_label": "docs", "tools": [tool]},
        {"type": "mcp_approval_request", "id": "mcpr_1", **request},
        {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True, "reason": None},
        {"type": "mcp_call", "approval_request_id": "mcpr_1", "output": "found", **request},
        {"type": "mcp_call", "error": error, **request},
    ):
        client.send("conversation.item.create", item=item)
        client.expect("conversation.item.added")
        item_id = client.expect("conversation.item.done")["item"]["id"]
        client.send("conversation.item.retrieve", item_id=item_id)
        client.expect("conversation.item.retrieved")
    client.send("conversation.item.delete", item_id=item_id)
    client.expect("conversation.item.deleted")
    return simulator.wire.received()


def mcp_turn(simulate, connected):
    steps = [
        CallMcp("docs", "search", {"query": "x"}, output="found"),
        CallMcp("docs", "search", {"query": "y"}, error="no such page"),
        CallMcp("docs", "search", {}, error={"type": "http_error", "code": 502, "message": "down"}),
        CallMcp("docs", "remove", {"page": 1}, needs_approval=True),
    ]
    simulator = simulate(answering(*steps))
    client = connected(simulator).text_session()
    nowhere = {**MCP_TOOL, "server_label": "nowhere", "server_url": "https://nowhere.invalid/mcp"}
    client.send("session.update", session={"type": "realtime", "tools": [MCP_TOOL, nowhere]})
    client.until("mcp_list_tools.failed")
    client.expect("conversation.item.done")
    request = client.respond()[-2]["response"]["output"][-1]
    approval = {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": True}
    client.send("conversation.item.create", item=approval)
    client.until("conversation.item.done")
    client.respond()
    return simulator.wire.received()


def bad_ends(simulate, connected):
    endings = iter(
        [Fail("rate_limit_exceeded", "Slow down"), Incomplete("content_filter"), Say("one two three")]
    )
    gate = Gate()

    def reply(conversation):
        return [Say("before"), next(endings, Hold(gate))]

    simulator = simulate(FunctionBrain(reply))
    client = connected(simulator).text_session()
    for _ in range(2):
        client.respond()
    client.respond(max_output_tokens=2)
    client.send("response.create")
    client.until("response.output_item.done")
    client.send("response.cancel")
    client.until("rate_limits.updated")
    return simulator.wire.received()


def cuts_of_each_kind_of_item(simulate, connected):
    gate = Gate()
    halves = iter(
        [
            Say(["half", Hold(gate)]),
            Speak(["half", Hold(gate)], word_ms=100),
            CallTool("add", ['{"a"', Hold(gate)]),
            CallMcp("docs", "search", ['{"a"', Hold(gate)]),
        ]
    )
    simulator = simulate(FunctionBrain(lambda conversation: [next(halves)]))
    client = connected(simulator).text_session()
    for modality, seen in (
        ("text", "response.output_text.delta"),
        ("audio", "response.output_audio.delta"),
        ("text", "response.function_call_arguments.delta"),
        ("text", "response.mcp_call_arguments.delta"),
    ):
        client.send("response.create", response={"output_modalities": [modality]})
        client.until(seen)
        client.send("response.cancel")
        client.until("rate_limits.updated")
    return simulator.wire.received()


def out_of_band(simulate, connected):
    simulator = simulate(answering(Say("aside"), CallTool("add", {"a": 1})))
    client = connected(simulator).text_session()
    client.respond(conversation="none", input=[], metadata={"n": "1"}, audio={"output": {"voice": "ash"}})
    return simulator.wire.received()


def refusals(simulate, connected):
    simulator = simulate()
    client = connected(simulator).text_session()
    for frame in ("{", b"{}", '{"type": "nonsense", "event_id": "e"}', '{"type": "response.cancel"}'):
        client.socket.send(frame)
        client.expect("error")
    return simulator.wire.received()


def push_to_talk(simulate, connected):
    simulator = simulate(answering(Say("I heard you")))
    client = connected(simulator).text_session(audio={"input": {"turn_detection": None}})
    sound = base64.b64encode(bytes(9600)).decode()
    client.send("input_audio_buffer.append", audio=sound)
    client.send("input_audio_buffer.clear")
    client.expect("input_audio_buffer.cleared")
    client.send("input_audio_buffer.append", audio=sound)
    client.send("input_audio_buffer.commit")
    client.until("conversation.item.done")
    client.respond()
    return simulator.wire.received()


def heard_turns_with_their_transcripts(simulate, connected):
    simulator = simulate(answering(Say("I heard you")))
    for model in ("gpt-4o-transcribe", "whisper-1", "gpt-4o-transcribe-diarize"):
        client = connected(simulator)
        client.expect("session.created")
        hearing = {"input": {"transcription": {"model": model}}}
        logprobs = ["item.input_audio_transcription.logprobs"]
        client.send("session.update", session={"type": "realtime", "audio": hearing, "include": logprobs})
        client.expect("session.updated")
        client.send("input_audio_buffer.append", audio=SPOKEN)
        client.until("rate_limits.updated")
    return simulator.wire.received()


def barge_in(simulate, connected):
    gate = Gate()
    simulator = simulate(answering(Say(["I was", Hold(gate), " saying"])))
    client = connected(simulator)
    client.expect("session.created")
    client.send("response.create")
    client.until("response.output_audio.delta")
    client.send("input_audio_buffer.append", audio=SPOKEN)
    client.until("response.done")
    client.until("response.created")
    return simulator.wire.received()


def user_who_stays_idle(simulate, connected):
    simulator = simulate(answering(Say("Still there?")))
    client = connected(simulator).text_session()
    vad = {"type": "server_vad", "idle_timeout_ms": 10}
    client.send("session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": vad}}})
    client.expect("session.updated")
    client.respond()
    client.until("input_audio_buffer.timeout_triggered")
    client.until("rate_limits.updated")
    return simulator.wire.received()


def transcription_that_fails(simulate, connected):
    def transcriber(utterance):
        raise RuntimeError("cannot make it out")

    core = SessionCore(Ids(Random(1)), "gpt-realtime-2", 0, transcriber=transcriber)
    hearing = {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": None}}
    frames = (
        {"type": "session.update", "session": {"type": "realtime", "audio": hearing}},
        {"type": "input_audio_buffer.append", "audio": SPOKEN},
        {"type": "input_audio_buffer.commit"},
    )
    effects = [effect for frame in frames for effect in core.receive(json.dumps(frame))]
    return [effect.event for effect in effects if isinstance(effect, Send)]


FLOWS: list[Flow] = [
    session_with_every_field,
    transcription_session,
    text_turn,
    spoken_turn_that_is_truncated,
    tool_turn,
    items_of_every_type,
    mcp_turn,
    bad_ends,
    cuts_of_each_kind_of_item,
    out_of_band,
    refusals,
    push_to_talk,
    heard_turns_with_their_transcripts,
    barge_in,
    user_who_stays_idle,
    transcription_that_fails,
]


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        ("realtime", RealtimeSessionCreateRequest),
        ("transcription", RealtimeTranscriptionSessionCreateRequest),
    ],
)
def test_a_session_is_shown_with_every_field_that_the_sdk_knows(simulate, connected, kind, model):
    client = connected(simulate())
    created = client.expect("session.created")["session"]
    client.send("session.update", session={"type": kind})
    session = client.expect("session.updated")["session"]
    assert set(session) == set(model.model_fields) | ON_THE_WIRE_ONLY[model.__name__]
    if kind == "realtime":
        assert session == created
        for side, known in (("input", RealtimeAudioConfigInput), ("output", RealtimeAudioConfigOutput)):
            assert set(session["audio"][side]) == set(known.model_fields)


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.__name__)
def test_the_sdk_knows_every_frame_of(flow, simulate, connected):
    received = flow(simulate, connected)
    assert received
    for event in received:
        judged(event)


# -- which events there are ------------------------------------------------------------------------------------------

NOT_ON_A_WEBSOCKET = {
    "output_audio_buffer.started",
    "output_audio_buffer.stopped",
    "output_audio_buffer.cleared",
    "input_audio_buffer.dtmf_event_received",
}
BETA_ONLY = {"conversation.created", "conversation.item.created"}


def test_every_event_that_a_websocket_can_carry_is_in_one_of_the_flows(simulate, connected):
    assert len(MODELS) == 46
    seen = {event["type"] for flow in FLOWS for event in flow(simulate, connected)}
    assert set(MODELS) - seen == NOT_ON_A_WEBSOCKET | BETA_ONLY


# -- the other way: what the SDK lets a client say -------------------------------------------------------------------

NEEDED_TOO = {
    # Not required by the SDK's types, but nothing can be told apart or called without them.
    "AudioPCM": ("type",),
    "AudioPCMU": ("type",),
    "AudioPCMA": ("type",),
    "RealtimeFunctionToolParam": ("type", "name"),
    "Mcp": ("server_url",),
    "RealtimeResponseCreateMcpToolParam": ("server_url",),
}
WRITTEN_OUT: dict[str, list[Any]] = {
    # The SDK has one type for all kinds of content; assistant audio cannot be created (protocol.md A.8).
    "system_message": [{"type": "input_text", "text": "x"}],
    "user_message": [
        {"type": "input_text", "text": "x"},
        {"type": "input_audio", "audio": "AAAA"},
        {"type": "input_audio", "audio": "AAAA", "transcript": "x"},
        *(
            {"type": "input_image", "image_url": PIXEL, "detail": detail}
            for detail in ("auto", "low", "high")
        ),
        {"type": "input_image", "image_url": PIXEL},
    ],
    "assistant_message": [{"type": "output_text", "text": "x"}],
    "InputAudioBufferAppendEventParam.audio": ["AAAAAA=="],
    "output_modalities": [["text"], ["audio"]],  # exactly one (protocol.md A.5)
    "speed": [0.25, 1.5],
    # A session's cannot change (protocol.md A.8).
    "RealtimeSessionCreateRequestParam.model": ["gpt-realtime-2"],
    "conversation": ["auto", "none"],
}
ABOUT_THE_STATE = {
    # What a fresh session has to refuse, however well it is said.
    "item_create_invalid_previous_item_id",
    "item_delete_invalid_item_id",
    "item_retrieve_invalid_item_id",
    "item_truncate_invalid_item_id",
    "input_audio_buffer_commit_empty",
    "invalid_tool_call_id",
    "response_cancel_not_active",
}
ABOUT_THE_STATE_OF = {
    "item.approval_request_id",
    "response.tool_choice",
    "session.tool_choice",
    "response.input[0].id",
    "session.audio.input.noise_reduction.type",  # a strength alone changes the reduction that there is
    "session.audio.input.turn_detection",  # null with gpt-realtime-whisper
    "type",  # output_audio_buffer.clear is for WebRTC
}


CLIENT_EVENTS = [*get_args(RealtimeClientEventParam), ResponseCreateEventWithReferencesParam]


def described(kind: Any) -> Iterator[Any]:
    """Yield values of a type of the SDK: together they show each field, each alternative and each literal."""
    origin = get_origin(kind)
    if kind is type(None):
        yield None
    elif origin in (Union, UnionType):
        for choice in get_args(kind):
            yield from described(choice)
    elif origin in (Annotated, Required):
        yield from described(get_args(kind)[0])
    elif origin is Literal:
        yield from get_args(kind)
    elif is_typeddict(kind):
        yield from described_fields(kind)
    elif origin is dict:
        yield from ({}, *({"k": value} for value in described(get_args(kind)[1])))
    elif origin is not None:
        yield from ([], *([value] for value in described(get_args(kind)[0])))
    else:
        yield {str: "x", int: 1, float: 0.5, bool: True, object: {"k": "v"}}[kind]


def described_fields(kind: Any) -> Iterator[dict[str, Any]]:
    hints = get_type_hints(kind, include_extras=True)
    values = {
        name: WRITTEN_OUT.get(f"{kind.__name__}.{name}") or WRITTEN_OUT.get(name) or list(described(hint))
        for name, hint in hints.items()
    }
    if kind.__name__ == "Content":
        role = kind.__module__.rsplit("conversation_item_", 1)[1].removesuffix("_param")
        yield from WRITTEN_OUT[role]
        return
    needed = [name for name, hint in hints.items() if get_origin(hint) is Required]
    needed += [name for name in NEEDED_TOO.get(kind.__name__, ()) if name not in needed]
    least = {name: values[name][0] for name in needed}
    yield least
    for name, choices in values.items():
        yield from ({**least, name: choice} for choice in choices)


def test_the_enumeration_reaches_every_corner():
    texts = [json.dumps(event) for kind in CLIENT_EVENTS for event in described(kind)]
    assert len(texts) > 300
    everything = "\n".join(texts)
    for said in (
        "item_reference",
        "semantic_vad",
        "connector_gmail",
        "retention_ratio",
        "http_error",
        "far_field",
    ):
        assert f'"{said}"' in everything
    assert '"turn_detection": null' in everything


@pytest.mark.parametrize("kind", CLIENT_EVENTS, ids=lambda kind: kind.__name__)
def test_what_the_sdk_lets_a_client_say_is_understood(kind):
    refused = []
    for event in described(kind):
        core = SessionCore(Ids(Random(1)), "gpt-realtime-2", 0)
        for effect in core.receive(json.dumps(event)):
            error = effect.event.get("error") if isinstance(effect, Send) else None
            if error and error["code"] not in ABOUT_THE_STATE and error["param"] not in ABOUT_THE_STATE_OF:
                refused.append((event, error["message"]))
    assert refused == []


# -- both ways at once -----------------------------------------------------------------------------------------------

SAYABLE = [json.dumps(event) for kind in CLIENT_EVENTS for event in described(kind)]
OTHER_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 5000),
    st.floats(-1, 2),
    st.sampled_from(["", "x", "auto", "none", "AAAA", "inf", "root", "text", "docs", PIXEL]),
    st.lists(st.sampled_from(["text", "audio", "x"]), max_size=2),
    st.dictionaries(st.sampled_from(["type", "id", "name", "text", "x"]), st.text(max_size=3), max_size=2),
)


def places_in(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each container with each of its keys, all the way down."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places_in(value[key])


@st.composite
def nearly_right(draw) -> str:
    """Draw what a client may say, with something else in one place."""
    event = json.loads(draw(st.sampled_from(SAYABLE)))
    container, key = draw(st.sampled_from(list(places_in(event))))
    container[key] = draw(OTHER_VALUES)
    return json.dumps(event)


def answers(core: SessionCore, frame: str) -> Iterator[dict[str, Any]]:
    for effect in core.receive(frame):
        if isinstance(effect, Send):
            yield effect.event
        elif isinstance(effect, Start):
            for action in core.play(effect.run, RuleBrain().reply):
                yield from action if isinstance(action, list) else ()


@settings(max_examples=500, deadline=None)
@given(st.lists(nearly_right(), max_size=6))
def test_whatever_is_nearly_right_is_answered_with_what_the_sdk_knows(frames):
    core = SessionCore(Ids(Random(1)), "gpt-realtime-2", 0)
    for frame in frames:
        for event in answers(core, frame):
            judged(event)
