"""Each of the 23 kinds, from a real exchange: its payload is what the wire said, field by field, in the wire's order.

Source: the session contract, sections 1 (the table of kinds) and 2 (what payloads gained).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from trunkline import tool
from trunkline.actors.events import EVENT_CLASSES
from trunkline.gateway.simulator import CallTool, Fail, Gate, Hold, Say, encode_words

SAID = "hello there"
LIMITS = [{"name": "requests", "limit": 100, "remaining": 3, "reset_seconds": 1.5}]


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@tool
def fail() -> str:
    """Fail."""
    raise RuntimeError("out of order")


# -- the exchanges: each says and hears something real, and returns nothing


def a_text_turn(simulate: Any) -> Any:
    stage, _ = simulate([Say("one two")], instructions="be brief")
    stage.say("go")
    stage.events.until("assistant_turn_completed")
    return stage


def an_update(simulate: Any) -> Any:
    stage, _ = simulate(instructions="be long")
    stage.session.update_instructions("be brief").get(timeout=10)
    stage.events.until("session_updated")
    return stage


def a_turn_with_tools(simulate: Any) -> Any:
    calls = [CallTool("add", {"a": 1, "b": 2}), CallTool("fail", {}), CallTool("add", "no JSON")]
    stage, _ = simulate(calls, tools=[add, fail])
    stage.say("go")
    stage.events.until("tool_batch_submitted")
    stage.events.until("assistant_turn_completed")
    return stage


def a_spoken_turn(simulate: Any, **voice: Any) -> Any:
    config = {"modalities": ["audio"], "turn_detection": "server_vad", "input_audio_transcription": True}
    stage, _ = simulate([Say("so it is")], **{**config, **voice})
    for piece in np.array_split(np.concatenate([encode_words(SAID), np.zeros(36_000, np.int16)]), 8):
        stage.session.send_audio_frame(piece).get(timeout=10)
    stage.events.until("assistant_turn_completed")
    stage.wire.wait_received("conversation.item.input_audio_transcription.completed", 1)
    return stage


def an_interruption(simulate: Any) -> Any:
    gate = Gate()
    stage, _ = simulate([Say(["one two ", Hold(gate), "three"])], modalities=["audio"])
    stage.say("go")
    stage.events.until("assistant_audio_delta")
    stage.interrupt()
    stage.events.until("assistant_turn_completed", status="cancelled")
    return stage


def a_failure_and_low_limits(simulate: Any) -> Any:
    stage, _ = simulate([Fail("server_error", "try again")])
    stage.say("go")
    stage.events.until("assistant_turn_completed", status="failed")
    detail = {"type": "invalid_request_error", "code": "no_such_thing", "message": "no", "param": "thing"}
    stage.server.inject(
        json.dumps({"type": "error", "event_id": "e1", "error": {**detail, "event_id": "mine"}})
    )
    stage.server.inject(json.dumps({"type": "rate_limits.updated", "event_id": "e2", "rate_limits": LIMITS}))
    stage.events.until("rate_limited")
    return stage


def a_close(simulate: Any) -> Any:
    stage, _ = simulate()
    stage.session.close().get(timeout=10)
    stage.events.until("session_closed")
    return stage


# -- the table: kind, the exchange, and what the wire says its payloads are


def received(type: str, payload: Callable[[dict[str, Any]], dict[str, Any] | None]) -> Callable[[Any], Any]:
    """One event per frame of this type, for which ``payload`` says what it holds (None: no event)."""
    return lambda stage: [
        expected for frame in stage.wire.received(type) if (expected := payload(frame)) is not None
    ]


def of_part(frame: dict[str, Any]) -> dict[str, Any]:
    return {
        "turn_id": frame["response_id"],
        "item_id": frame["item_id"],
        "content_index": frame["content_index"],
    }


def of_call(frame: dict[str, Any]) -> dict[str, Any] | None:
    item = frame["item"]
    if item["type"] != "function_call":
        return None
    return {
        "turn_id": frame["response_id"],
        "item_id": item["id"],
        "call_id": item["call_id"],
        "name": item["name"],
    }


def completed_calls(stage: Any) -> list[dict[str, Any]]:
    calls = []
    for frame in stage.wire.received("response.output_item.done"):
        call = of_call(frame)
        if call is not None:
            calls.append({**call, "arguments": frame["item"]["arguments"]})
    return calls


def runs(stage: Any, index: int, **fields: Any) -> dict[str, Any]:
    call = dict(completed_calls(stage)[index])
    call.pop("arguments")
    return {**call, **fields}


def outputs(stage: Any) -> list[str]:
    items = [frame["item"] for frame in stage.wire.sent("conversation.item.create")]
    return [item["call_id"] for item in items if item["type"] == "function_call_output"]


def server_session(frame: dict[str, Any], stage: Any) -> dict[str, Any]:
    session = frame["session"]
    return {
        "session_id": stage.session.session_id,
        "server_session_id": session["id"],
        "model": session["model"],
        "expires_at": session["expires_at"],
    }


def cut_off(stage: Any) -> list[dict[str, Any]]:
    cancel = stage.wire.sent("response.cancel")[0]
    truncated = [frame["audio_end_ms"] for frame in stage.wire.sent("conversation.item.truncate")]
    return [
        {
            "turn_id": cancel["response_id"],
            "reason": "manual",
            "audio_end_ms": truncated[0] if truncated else 0,  # nothing played: the item is deleted
        }
    ]


ERRORS = [
    {"code": "server_error", "message": "try again", "recoverable": True},
    {"code": "no_such_thing", "message": "no", "param": "thing", "recoverable": True, "event_id": "mine"},
]

TABLE: dict[str, tuple[Callable[[Any], Any], Callable[[Any], list[dict[str, Any]]]]] = {
    "session_opened": (
        a_text_turn,
        lambda stage: [server_session(frame, stage) for frame in stage.wire.received("session.created")],
    ),
    "session_updated": (
        an_update,  # the session's first is over when its user can subscribe
        lambda stage: [
            {
                "instructions": stage.wire.received("session.updated")[1]["session"]["instructions"],
                "resumed": False,
                "rolled_over": False,
                "restarts": 0,
            }
        ],
    ),
    "session_closed": (a_close, lambda _: [{"reason": "client", "code": None, "message": None}]),
    "user_speech_started": (
        a_spoken_turn,
        received(
            "input_audio_buffer.speech_started",
            lambda frame: {"at_ms": frame["audio_start_ms"], "item_id": frame["item_id"]},
        ),
    ),
    "user_speech_stopped": (
        a_spoken_turn,
        received(
            "input_audio_buffer.speech_stopped",
            lambda frame: {"at_ms": frame["audio_end_ms"], "item_id": frame["item_id"]},
        ),
    ),
    "user_transcript_delta": (
        a_spoken_turn,
        received(
            "conversation.item.input_audio_transcription.delta",
            lambda frame: {
                "item_id": frame["item_id"],
                "delta": frame["delta"],
                "content_index": frame["content_index"],
            },
        ),
    ),
    "user_transcript": (
        a_spoken_turn,
        received(
            "conversation.item.input_audio_transcription.completed",
            lambda frame: {
                "item_id": frame["item_id"],
                "text": SAID,
                "content_index": frame["content_index"],
                "error": None,
            },
        ),
    ),
    "assistant_turn_started": (
        a_text_turn,
        received("response.created", lambda frame: {"turn_id": frame["response"]["id"]}),
    ),
    "assistant_text_delta": (
        a_text_turn,
        received("response.output_text.delta", lambda frame: {**of_part(frame), "delta": frame["delta"]}),
    ),
    "assistant_text": (
        a_text_turn,
        received("response.output_text.done", lambda frame: {**of_part(frame), "text": "one two"}),
    ),
    "assistant_transcript_delta": (
        a_spoken_turn,
        received(
            "response.output_audio_transcript.delta",
            lambda frame: {**of_part(frame), "delta": frame["delta"]},
        ),
    ),
    "assistant_transcript": (
        a_spoken_turn,
        received(
            "response.output_audio_transcript.done", lambda frame: {**of_part(frame), "text": "so it is"}
        ),
    ),
    "assistant_audio_delta": (
        a_spoken_turn,
        received(
            "response.output_audio.delta",
            lambda frame: {**of_part(frame), "pcm": base64.b64decode(frame["delta"])},
        ),
    ),
    "assistant_turn_completed": (
        a_text_turn,
        received(
            "response.done",
            lambda frame: {
                "turn_id": frame["response"]["id"],
                "status": "completed",
                "usage": frame["response"]["usage"],
            },
        ),
    ),
    "tool_call_started": (a_turn_with_tools, received("response.output_item.added", of_call)),
    "tool_call_args_delta": (
        a_turn_with_tools,
        received(
            "response.function_call_arguments.delta",
            lambda frame: {
                "turn_id": frame["response_id"],
                "call_id": frame["call_id"],
                "delta": frame["delta"],
                "item_id": frame["item_id"],
            },
        ),
    ),
    "tool_call_dispatched": (
        a_turn_with_tools,
        lambda stage: [runs(stage, 0, args={"a": 1, "b": 2}), runs(stage, 1, args={})],
    ),
    "tool_call_completed": (a_turn_with_tools, lambda stage: [runs(stage, 0, result=3)]),
    "tool_call_failed": (
        a_turn_with_tools,
        lambda stage: [runs(stage, 2, code="invalid_arguments"), runs(stage, 1, code="raised")],
    ),
    "tool_batch_submitted": (
        a_turn_with_tools,
        lambda stage: [{"turn_id": runs(stage, 0)["turn_id"], "call_ids": tuple(outputs(stage))}],
    ),
    "interrupted": (an_interruption, cut_off),
    "rate_limited": (a_failure_and_low_limits, lambda _: [{"reset_ms": 1500.0, "details": tuple(LIMITS)}]),
    "error": (a_failure_and_low_limits, lambda _: ERRORS),
}


def plain(value: Any) -> Any:
    """Return a payload's value as the wire would have it."""
    return value.tobytes() if isinstance(value, np.ndarray) else value


def test_the_table_has_every_kind_and_no_other() -> None:
    assert set(TABLE) == {cls.kind for cls in EVENT_CLASSES}
    assert len(EVENT_CLASSES) == 23


@pytest.mark.parametrize("kind", TABLE)
def test_a_kind_s_payload_is_what_the_wire_said(simulate: Any, kind: str) -> None:
    exchange, expected_of = TABLE[kind]
    stage = exchange(simulate)
    if kind != "session_closed":
        stage.quiet()
    expected = expected_of(stage)
    assert expected, "the exchange has nothing of it on the wire"
    payloads = [event.payload for event in stage.events.of(kind)]
    found = [
        {name: plain(payload[name]) for name in wanted if name in payload}
        for payload, wanted in zip(payloads, by_order(kind, payloads, expected), strict=True)
    ]
    assert found == by_order(kind, payloads, expected)


def by_order(kind: str, payloads: list[Any], expected: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Bring what is expected of tools, which work side by side, into the order in which it came."""
    if kind not in ("tool_call_failed", "tool_call_completed"):
        return expected
    came = [payload["call_id"] for payload in payloads]
    return sorted(expected, key=lambda wanted: came.index(wanted["call_id"]))


@pytest.mark.parametrize("cls", EVENT_CLASSES, ids=lambda cls: cls.kind)
def test_every_assistant_and_tool_event_says_whose_it_is(cls: Any) -> None:
    fields = set(cls.__struct_fields__)
    if cls.kind.startswith(("assistant_", "tool_", "interrupted")):
        assert "turn_id" in fields
    if cls.kind.startswith(("assistant_t", "assistant_audio")) and "turn_" not in cls.kind:
        assert {"item_id", "content_index"} <= fields
