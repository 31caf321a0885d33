"""Each of the 46 server events, minimal and full, against the protocol's table."""

import json
import re
from typing import Any, get_args

import msgspec
import pytest

from trunkline.gateway import server_events
from trunkline.gateway.codec import decode_server_event
from trunkline.gateway.errors import ProtocolError

PART = {"type": "audio", "text": "t", "transcript": "heard", "audio": "AAEC"}
MESSAGE = {
    "type": "message",
    "id": "item_1",
    "object": "realtime.item",
    "status": "completed",
    "role": "user",
    "content": [
        {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"},
        {"type": "input_text", "text": "x"},
    ],
}
CALL = {
    "type": "function_call",
    "id": "item_2",
    "status": "completed",
    "call_id": "call_1",
    "name": "f",
    "arguments": '{"a":1}',
}
MCP = {
    "type": "mcp_call",
    "id": "m",
    "server_label": "s",
    "name": "f",
    "arguments": "{}",
    "error": {"type": "http_error", "code": 500},
}
ERROR = {"code": "c", "message": "m", "param": "p", "type": "invalid_request_error", "event_id": "evt_client"}
USAGE = {
    "total_tokens": 5,
    "input_tokens": 3,
    "output_tokens": 2,
    "input_token_details": {
        "audio_tokens": 1,
        "image_tokens": 2,
        "text_tokens": 3,
        "cached_tokens": 4,
        "cached_tokens_details": {"audio_tokens": 1, "image_tokens": 2, "text_tokens": 3},
    },
    "output_token_details": {"audio_tokens": 1, "text_tokens": 2},
}
RESPONSE = {
    "id": "resp_1",
    "object": "realtime.response",
    "status": "failed",
    "status_details": {
        "type": "failed",
        "reason": "turn_detected",
        "error": {"code": "c", "message": "m", "type": "t"},
    },
    "output": [MESSAGE, CALL, MCP],
    "usage": USAGE,
    "conversation_id": "conv_1",
    "metadata": {"k": "v"},
    "output_modalities": ["audio"],
    "max_output_tokens": "inf",
    "audio": {"output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin"}},
}
SESSION = {
    "id": "sess_1",
    "object": "realtime.session",
    "type": "realtime",
    "model": "gpt-realtime-2",
    "expires_at": 1_700_000_000,
    "instructions": "be brief",
    "output_modalities": ["audio"],
    "audio": {
        "input": {
            "format": {"type": "audio/pcmu"},
            "noise_reduction": {"type": "near_field"},
            "transcription": {"model": "whisper-1"},
            "turn_detection": {"type": "server_vad", "threshold": 0.5},
        },
        "output": {"format": {"type": "audio/pcma"}, "speed": 1.5, "voice": {"id": "voice_1"}},
    },
    "tools": [{"type": "function", "name": "f", "parameters": {}}],
    "tool_choice": {"type": "function", "name": "f"},
    "max_output_tokens": 100,
    "parallel_tool_calls": True,
    "reasoning": {"effort": "low"},
    "truncation": "auto",
    "tracing": "auto",
    "prompt": {"id": "p"},
    "include": ["item.input_audio_transcription.logprobs"],
}
LOGPROBS = [{"token": "a", "logprob": -0.5, "bytes": [97]}]
TOKENS = {
    "type": "tokens",
    "total_tokens": 3,
    "input_tokens": 1,
    "output_tokens": 2,
    "input_token_details": {"audio_tokens": 1},
}
DURATION = {"type": "duration", "seconds": 1.5}
OF_PART = {"response_id": "r", "item_id": "i", "output_index": 1, "content_index": 2}
OF_CALL = {"response_id": "r", "item_id": "i", "output_index": 1, "call_id": "c"}
OF_OUTPUT = {"response_id": "r", "item_id": "i", "output_index": 1}
OF_CONTENT = {"item_id": "i", "content_index": 2}
PLACED = {"item": MESSAGE, "previous_item_id": "item_0"}
_TRANSCRIBED = "conversation.item.input_audio_transcription"

FULL: dict[str, dict[str, Any]] = {
    "conversation.created": {"conversation": {"id": "conv", "object": "realtime.conversation"}},
    "conversation.item.added": PLACED,
    "conversation.item.created": PLACED,
    "conversation.item.deleted": {"item_id": "i"},
    "conversation.item.done": PLACED,
    f"{_TRANSCRIBED}.completed": {
        **OF_CONTENT,
        "transcript": "hello",
        "usage": TOKENS,
        "languages": [{"code": "en"}],
        "logprobs": LOGPROBS,
    },
    f"{_TRANSCRIBED}.delta": {**OF_CONTENT, "delta": "he", "logprobs": LOGPROBS},
    f"{_TRANSCRIBED}.failed": {**OF_CONTENT, "error": ERROR},
    f"{_TRANSCRIBED}.segment": {
        **OF_CONTENT,
        "id": "s",
        "speaker": "A",
        "text": "x",
        "start": 0.5,
        "end": 1.5,
    },
    "conversation.item.retrieved": {"item": MESSAGE},
    "conversation.item.truncated": {**OF_CONTENT, "audio_end_ms": 1200},
    "error": {"error": ERROR},
    "input_audio_buffer.cleared": {},
    "input_audio_buffer.committed": {"item_id": "i", "previous_item_id": "h"},
    "input_audio_buffer.dtmf_event_received": {"event": "9", "received_at": 1_700_000_000},
    "input_audio_buffer.speech_started": {"item_id": "i", "audio_start_ms": 10},
    "input_audio_buffer.speech_stopped": {"item_id": "i", "audio_end_ms": 20},
    "input_audio_buffer.timeout_triggered": {"item_id": "i", "audio_start_ms": 10, "audio_end_ms": 20},
    "mcp_list_tools.completed": {"item_id": "i"},
    "mcp_list_tools.failed": {"item_id": "i"},
    "mcp_list_tools.in_progress": {"item_id": "i"},
    "output_audio_buffer.cleared": {"response_id": "r"},
    "output_audio_buffer.started": {"response_id": "r"},
    "output_audio_buffer.stopped": {"response_id": "r"},
    "rate_limits.updated": {
        "rate_limits": [{"name": "tokens", "limit": 100, "remaining": 9, "reset_seconds": 1.5}]
    },
    "response.content_part.added": {**OF_PART, "part": PART},
    "response.content_part.done": {**OF_PART, "part": PART},
    "response.created": {"response": RESPONSE},
    "response.done": {"response": RESPONSE},
    "response.function_call_arguments.delta": {**OF_CALL, "delta": '{"a'},
    "response.function_call_arguments.done": {**OF_CALL, "name": "f", "arguments": '{"a":1}'},
    "response.mcp_call.completed": {"item_id": "i", "output_index": 1},
    "response.mcp_call.failed": {"item_id": "i", "output_index": 1},
    "response.mcp_call.in_progress": {"item_id": "i", "output_index": 1},
    "response.mcp_call_arguments.delta": {**OF_OUTPUT, "delta": "{", "obfuscation": "zz"},
    "response.mcp_call_arguments.done": {**OF_OUTPUT, "arguments": "{}"},
    "response.output_audio.delta": {**OF_PART, "delta": "AAEC"},
    "response.output_audio.done": OF_PART,
    "response.output_audio_transcript.delta": {**OF_PART, "delta": "he"},
    "response.output_audio_transcript.done": {**OF_PART, "transcript": "hello"},
    "response.output_item.added": {"response_id": "r", "output_index": 1, "item": CALL},
    "response.output_item.done": {"response_id": "r", "output_index": 1, "item": CALL},
    "response.output_text.delta": {**OF_PART, "delta": "he"},
    "response.output_text.done": {**OF_PART, "text": "hello"},
    "session.created": {"session": SESSION},
    "session.updated": {"session": SESSION},
}
NAMES = sorted(FULL)
CONTAINER_FREE = {
    name for name, body in FULL.items() if not any(isinstance(value, dict | list) for value in body.values())
}


def class_of(name: str) -> type[Any]:
    camel = "".join(word.capitalize() for word in re.split(r"[._]", name))
    return getattr(server_events, camel)


def decoded(name: str, body: dict[str, Any]) -> Any:
    return decode_server_event(json.dumps({"type": name, **body}).encode())


def test_the_union_has_exactly_the_46_events_of_the_protocol():
    tags = {cls.__struct_config__.tag for cls in get_args(server_events.KnownServerEvent)}
    assert tags == set(FULL)
    assert len(FULL) == 46


@pytest.mark.parametrize("name", NAMES)
def test_a_bare_event_decodes_to_its_class_with_defaults(name: str):
    event = decoded(name, {})
    assert type(event) is class_of(name)
    assert event == class_of(name)()
    assert event.type == name


@pytest.mark.parametrize("name", NAMES)
def test_a_full_event_decodes_to_its_class_and_keeps_every_field(name: str):
    body = {"event_id": "event_1", **FULL[name]}
    event = decoded(name, body)
    assert type(event) is class_of(name)
    assert json.loads(msgspec.json.encode(event)) == {"type": name, **body}


@pytest.mark.parametrize("name", NAMES)
def test_unknown_fields_are_ignored_wherever_they_stand(name: str):
    def with_more(value: Any) -> Any:
        if isinstance(value, dict):
            return {**{key: with_more(item) for key, item in value.items()}, "of_tomorrow": [1, {"x": None}]}
        return [with_more(item) for item in value] if isinstance(value, list) else value

    free_form = {
        "metadata",
        "tools",
        "noise_reduction",
        "transcription",
        "turn_detection",
        "error",
        "prompt",
        "reasoning",
        "tool_choice",
    }
    body = FULL[name]
    if name.startswith(("session", "response.created", "response.done")):
        body = {
            key: {k: v for k, v in value.items() if k not in free_form | {"output", "audio"}}
            for key, value in body.items()
        }
    assert decoded(name, {**with_more(body), "obfuscation_2": "zzz"}) == decoded(name, body)


@pytest.mark.parametrize("name", NAMES)
def test_null_in_any_field_reads_as_if_the_field_were_absent(name: str):
    for field in ("event_id", *FULL[name]):
        body = {key: value for key, value in FULL[name].items() if key != field}
        assert decoded(name, {**body, field: None}) == decoded(name, body)


@pytest.mark.parametrize("name", NAMES)
def test_a_field_of_the_wrong_type_is_a_protocol_error_that_names_the_event(name: str):
    with pytest.raises(ProtocolError) as refused:
        decoded(name, {"event_id": ["no"]})
    assert refused.value.event_type == name
    assert "event_id" in refused.value.detail


@pytest.mark.parametrize("name", NAMES)
def test_events_are_frozen(name: str):
    with pytest.raises(AttributeError):
        decoded(name, {}).event_id = "other"


def test_events_without_containers_are_outside_the_garbage_collector():
    collected = {name for name in CONTAINER_FREE if class_of(name).__struct_config__.gc}
    assert not collected
    assert "response.output_audio.delta" in CONTAINER_FREE
    assert class_of("response.done").__struct_config__.gc


@pytest.mark.parametrize("field", ["audio_start_ms", "audio_end_ms"])
@pytest.mark.parametrize("number", [0, 12, 12.0, 12.75])
def test_milliseconds_may_be_integers_or_floats_and_zero_is_not_nothing(field: str, number: float):
    event = decoded("input_audio_buffer.timeout_triggered", {field: number})
    assert getattr(event, field) == number
    assert isinstance(getattr(event, field), float)


def test_a_limit_without_a_reset_time_is_read():
    event = decoded(
        "rate_limits.updated",
        {"rate_limits": [{"name": "tokens", "limit": 10, "remaining": 1.0, "reset_seconds": None}]},
    )
    assert event.rate_limits[0].reset_seconds is None
    assert event.rate_limits[0].remaining == 1


def test_a_voice_may_be_a_name_or_an_object():
    def voice(wire: Any) -> Any:
        return decoded(
            "session.created", {"session": {"audio": {"output": {"voice": wire}}}}
        ).session.audio.output.voice

    assert voice("marin") == "marin"
    assert voice({"id": "voice_1"}).id == "voice_1"


def test_transcription_usage_comes_in_tokens_or_in_seconds():
    name = "conversation.item.input_audio_transcription.completed"
    assert decoded(name, {"usage": TOKENS}).usage.total_tokens == 3
    assert decoded(name, {"usage": DURATION}).usage.seconds == 1.5


def test_function_call_arguments_done_of_the_beta_has_no_name():
    assert decoded("response.function_call_arguments.done", {"arguments": "{}"}).name is None
