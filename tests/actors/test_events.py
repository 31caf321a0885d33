"""The 23 kinds of event: closed, frozen, by class, by name and as a mapping."""

from __future__ import annotations

import pickle
import re
from types import MappingProxyType
from typing import Any, get_args

import numpy as np
import pytest

import trunkline
from trunkline.actors import events as ev
from trunkline.actors.events import EVENT_CLASSES, Event

CONTRACT = [
    "session_opened",
    "session_updated",
    "session_closed",
    "user_speech_started",
    "user_speech_stopped",
    "user_transcript_delta",
    "user_transcript",
    "assistant_turn_started",
    "assistant_text_delta",
    "assistant_text",
    "assistant_transcript_delta",
    "assistant_transcript",
    "assistant_audio_delta",
    "assistant_turn_completed",
    "tool_call_started",
    "tool_call_args_delta",
    "tool_call_dispatched",
    "tool_call_completed",
    "tool_call_failed",
    "tool_batch_submitted",
    "interrupted",
    "rate_limited",
    "error",
]

PCM = np.frombuffer(b"\x01\x00\x02\x00", np.int16)
EVENTS: list[Any] = [
    ev.SessionOpened("s", "sess_1", "m", 99.5),
    ev.SessionUpdated("be brief", resumed=True, restarts=2),
    ev.SessionClosed("error", "4000", "no more"),
    ev.UserSpeechStarted(0.0, "i"),
    ev.UserSpeechStopped(1.5),
    ev.UserTranscriptDelta("i", "he"),
    ev.UserTranscript("i", "", 1, "inaudible"),
    ev.AssistantTurnStarted("r"),
    ev.AssistantTextDelta("r", "he", "i", 1),
    ev.AssistantText("r", "hello"),
    ev.AssistantTranscriptDelta("r", "he"),
    ev.AssistantTranscript("r", "hello"),
    ev.AssistantAudioDelta("r", PCM, "i"),
    ev.AssistantTurnCompleted("r", "completed", {"total_tokens": 3}),
    ev.ToolCallStarted("r", "c", "look"),
    ev.ToolCallArgsDelta("r", "c", '{"a"'),
    ev.ToolCallDispatched("r", "c", "look", {"a": [1]}),
    ev.ToolCallCompleted("r", "c", "look", {"found": 3}),
    ev.ToolCallFailed("r", "c", "look", "it raised", "raised"),
    ev.ToolBatchSubmitted("r", ("c", "d")),
    ev.Interrupted("r", "manual", 120.0),
    ev.RateLimited(5.0, ({"name": "tokens"},)),
    ev.Error("boom", "it broke", "p", False, "event_1", "item_1", 3),
]


def test_the_kinds_are_the_contracts_and_each_has_one_class() -> None:
    assert [cls.kind for cls in EVENT_CLASSES] == [type(event).kind for event in EVENTS]
    assert sorted(cls.kind for cls in EVENT_CLASSES) == sorted(CONTRACT)
    assert len(set(CONTRACT)) == 23
    assert set(get_args(Event)) == set(EVENT_CLASSES)


def test_a_kind_is_the_name_of_its_class_and_the_front_door_has_it() -> None:
    for cls in EVENT_CLASSES:
        assert re.sub(r"(?<!^)([A-Z])", r"_\1", cls.__name__).lower() == cls.kind
        assert getattr(trunkline, cls.__name__) is cls
        assert cls.__name__ in trunkline.__all__


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_the_payload_is_a_read_only_mapping_of_the_fields(event: Any) -> None:
    payload = event.payload
    assert isinstance(payload, MappingProxyType)
    assert list(payload) == list(event.__struct_fields__)
    assert all(payload[name] is getattr(event, name) for name in payload)
    assert "kind" not in payload
    with pytest.raises(TypeError):
        payload["anything"] = 1


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_an_event_cannot_be_changed(event: Any) -> None:
    for name in event.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(event, name, None)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_an_event_is_the_same_after_pickling(event: Any) -> None:
    again = pickle.loads(pickle.dumps(event))
    assert type(again) is type(event)
    for name, value in event.payload.items():
        if isinstance(value, np.ndarray):
            assert np.array_equal(getattr(again, name), value)
            assert getattr(again, name).dtype == np.int16
        else:
            assert getattr(again, name) == value
    if not isinstance(event, ev.AssistantAudioDelta):  # arrays compare elementwise
        assert again == event


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_an_event_is_found_by_match(event: Any) -> None:
    matched = [cls for cls in EVENT_CLASSES if isinstance(event, cls)]
    assert matched == [type(event)]


def test_assistant_and_tool_events_carry_the_turn() -> None:
    for cls in EVENT_CLASSES:
        if cls.kind.startswith(("assistant_", "tool_", "interrupted")):
            assert "turn_id" in cls.__struct_fields__, cls
