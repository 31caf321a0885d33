"""A Config on the wire: exactly these fields, null where something is switched off, absent where nothing was said."""

import json
from typing import Any

import pytest

from trunkline.gateway.codec import encode_client_event
from trunkline.gateway.config import Config
from trunkline.gateway.errors import ConfigError
from trunkline.gateway.hosted import Prompt, Tracing
from trunkline.gateway.mcp import Mcp, McpApproval, McpToolChoice, McpToolFilter
from trunkline.gateway.session_update import (
    deep_merge,
    format_name,
    format_on_the_wire,
    instructions_update,
    session_change,
    session_update,
    tool_choice_on_the_wire,
    tools_on_the_wire,
)
from trunkline.gateway.tool_descriptor import ToolChoice, ToolDescriptor
from trunkline.gateway.turn_detection import RetentionRatio, SemanticVad, ServerVad, Transcription
from trunkline.gateway.wire_types import AudioFormat, VoiceId

LOGPROBS = "item.input_audio_transcription.logprobs"
PCM = {"type": "audio/pcm", "rate": 24000}
DEFAULT = {
    "type": "realtime",
    "output_modalities": ["audio"],
    "audio": {
        "input": {
            "format": PCM,
            "turn_detection": {"type": "server_vad"},
            "transcription": {"model": "gpt-4o-mini-transcribe"},
        },
        "output": {"format": PCM},
    },
    "tools": [],
    "tool_choice": "auto",
}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = ToolDescriptor("weather", "Tell the weather.", SCHEMA)
WIRE_WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "Tell the weather.",
    "parameters": SCHEMA,
}


def session(**settings: Any) -> Any:
    frame = json.loads(encode_client_event(session_update(Config(**settings))))
    assert set(frame) == {"type", "session"}
    assert frame["type"] == "session.update"
    return frame["session"]


# settings -> what differs from the default session
CASES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"instructions": "be brief"}, {"instructions": "be brief"}),
    ({"instructions": ""}, {"instructions": ""}),
    ({"voice": "marin"}, {"audio": {"output": {"voice": "marin"}}}),
    ({"voice": VoiceId("voice_1")}, {"audio": {"output": {"voice": {"id": "voice_1"}}}}),
    ({"speed": 1.5}, {"audio": {"output": {"speed": 1.5}}}),
    ({"modalities": ["audio"]}, {}),
    ({"modalities": ["text"]}, {"output_modalities": ["text"]}),
    ({"turn_detection": "none"}, {"audio": {"input": {"turn_detection": None}}}),
    ({"turn_detection": "semantic_vad"}, {"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}),
    (
        {"turn_detection": ServerVad()},
        {
            "audio": {
                "input": {
                    "turn_detection": {
                        "type": "server_vad",
                        "create_response": True,
                        "interrupt_response": True,
                    }
                }
            }
        },
    ),
    (
        {
            "turn_detection": ServerVad(
                threshold=0.0,
                prefix_padding_ms=0,
                silence_duration_ms=200,
                idle_timeout_ms=6000,
                create_response=False,
                interrupt_response=False,
            )
        },
        {
            "audio": {
                "input": {
                    "turn_detection": {
                        "type": "server_vad",
                        "threshold": 0.0,
                        "prefix_padding_ms": 0,
                        "silence_duration_ms": 200,
                        "idle_timeout_ms": 6000,
                        "create_response": False,
                        "interrupt_response": False,
                    }
                }
            }
        },
    ),
    (
        {"turn_detection": SemanticVad(eagerness="low", interrupt_response=False)},
        {
            "audio": {
                "input": {
                    "turn_detection": {
                        "type": "semantic_vad",
                        "eagerness": "low",
                        "create_response": True,
                        "interrupt_response": False,
                    }
                }
            }
        },
    ),
    ({"input_audio_transcription": True}, {}),
    ({"input_audio_transcription": False}, {"audio": {"input": {"transcription": None}}}),
    (
        {"input_audio_transcription": "whisper-1"},
        {"audio": {"input": {"transcription": {"model": "whisper-1"}}}},
    ),
    (
        {
            "input_audio_transcription": Transcription(
                model="m", language="en", prompt="p", languages=("en",), keywords=("k",), delay="low"
            )
        },
        {
            "audio": {
                "input": {
                    "transcription": {
                        "model": "m",
                        "language": "en",
                        "prompt": "p",
                        "languages": ["en"],
                        "keywords": ["k"],
                        "delay": "low",
                    }
                }
            }
        },
    ),
    ({"noise_reduction": "near_field"}, {"audio": {"input": {"noise_reduction": {"type": "near_field"}}}}),
    ({"noise_reduction": "none"}, {"audio": {"input": {"noise_reduction": None}}}),
    ({"tools": [WEATHER]}, {"tools": [WIRE_WEATHER]}),
    ({"tools": [WEATHER], "tool_choice": "required"}, {"tools": [WIRE_WEATHER], "tool_choice": "required"}),
    (
        {"tools": [WEATHER], "tool_choice": ToolChoice("weather")},
        {"tools": [WIRE_WEATHER], "tool_choice": {"type": "function", "name": "weather"}},
    ),
    ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
    ({"max_response_output_tokens": 100}, {"max_output_tokens": 100}),
    ({"max_response_output_tokens": "inf"}, {"max_output_tokens": "inf"}),
    ({"reasoning_effort": "low"}, {"reasoning": {"effort": "low"}}),
    ({"truncation": "disabled"}, {"truncation": "disabled"}),
    (
        {"truncation": RetentionRatio(ratio=0.8)},
        {"truncation": {"type": "retention_ratio", "retention_ratio": 0.8}},
    ),
    (
        {"truncation": RetentionRatio(ratio=0.8, post_instructions=1000)},
        {
            "truncation": {
                "type": "retention_ratio",
                "retention_ratio": 0.8,
                "token_limits": {"post_instructions": 1000},
            }
        },
    ),
    ({"tracing": "auto"}, {"tracing": "auto"}),
    ({"tracing": Tracing()}, {"tracing": {}}),
    (
        {"tracing": Tracing(workflow_name="w", group_id="g", metadata={"a": 1})},
        {"tracing": {"workflow_name": "w", "group_id": "g", "metadata": {"a": 1}}},
    ),
    ({"prompt": Prompt("pmpt_1")}, {"prompt": {"id": "pmpt_1"}}),
    (
        {"prompt": Prompt("pmpt_1", "2", {"city": "Ottawa"})},
        {"prompt": {"id": "pmpt_1", "version": "2", "variables": {"city": "Ottawa"}}},
    ),
    ({"include": []}, {"include": []}),
    ({"include": [LOGPROBS]}, {"include": [LOGPROBS]}),
    (
        {"mcp_servers": [Mcp(server_label="mail", connector_id="connector_gmail", authorization="t")]},
        {
            "tools": [
                {
                    "type": "mcp",
                    "server_label": "mail",
                    "connector_id": "connector_gmail",
                    "authorization": "t",
                }
            ]
        },
    ),
    (
        {
            "tools": [WEATHER],
            "tool_choice": McpToolChoice("docs"),
            "mcp_servers": [
                Mcp(
                    server_label="docs",
                    server_url="https://h/p?k=v",
                    server_description="the manual",
                    allowed_tools=["search"],
                    require_approval="never",
                    headers={"A": "b"},
                ),
                Mcp(
                    server_label="more",
                    server_url="https://h/",
                    allowed_tools=McpToolFilter(tool_names=["x"], read_only=False),
                    require_approval=McpApproval(
                        always=McpToolFilter(tool_names=["delete"]), never=McpToolFilter(read_only=True)
                    ),
                ),
                Mcp(server_label="none", server_url="https://h/", allowed_tools=()),
            ],
        },
        {
            "tool_choice": {"type": "mcp", "server_label": "docs"},
            "tools": [
                WIRE_WEATHER,
                {
                    "type": "mcp",
                    "server_label": "docs",
                    "server_url": "https://h/p?k=v",
                    "server_description": "the manual",
                    "allowed_tools": ["search"],
                    "require_approval": "never",
                    "headers": {"A": "b"},
                },
                {
                    "type": "mcp",
                    "server_label": "more",
                    "server_url": "https://h/",
                    "allowed_tools": {"tool_names": ["x"], "read_only": False},
                    "require_approval": {
                        "always": {"tool_names": ["delete"]},
                        "never": {"read_only": True},
                    },
                },
                {"type": "mcp", "server_label": "none", "server_url": "https://h/", "allowed_tools": []},
            ],
        },
    ),
    ({"provider_extras": {"tracing": "auto"}}, {"tracing": "auto"}),
    (
        {"provider_extras": {"audio": {"input": {"noise_reduction": None}}}},
        {"audio": {"input": {"noise_reduction": None}}},
    ),
    ({"provider_extras": {"temperature": 0.8}}, {"temperature": 0.8}),
    (
        {"provider_extras": {"tool_choice": {"type": "mcp", "server_label": "s"}}},
        {"tool_choice": {"type": "mcp", "server_label": "s"}},
    ),
    ({"on_interrupt": "submit", "response_timeout_s": 3.0, "max_tool_rounds": 2, "tool_timeout_s": 1.0}, {}),
]


@pytest.mark.parametrize(("settings", "difference"), CASES)
def test_a_setting_changes_exactly_its_own_field(settings: dict[str, Any], difference: dict[str, Any]):
    def laid(base: Any, over: Any) -> Any:
        if "turn_detection" in over or "transcription" in over:
            return {**base, **over}
        return {
            **base,
            **{
                k: laid(base[k], v) if isinstance(v, dict) and isinstance(base.get(k), dict) else v
                for k, v in over.items()
            },
        }

    assert session(**settings) == laid(DEFAULT, difference)


@pytest.mark.parametrize(
    ("name", "wire"),
    [("pcm16", PCM), ("g711_ulaw", {"type": "audio/pcmu"}), ("g711_alaw", {"type": "audio/pcma"})],
)
def test_each_audio_format_has_its_own_word(name: str, wire: dict[str, Any]):
    audio = session(input_audio_format=name, output_audio_format=name)["audio"]
    assert audio["input"]["format"] == audio["output"]["format"] == wire


def test_extras_in_a_nested_object_do_not_wipe_its_siblings():
    audio = session(
        voice="marin",
        provider_extras={"audio": {"input": {"turn_detection": {"threshold": 0.9}}, "output": {"x": 1}}},
    )["audio"]
    assert audio["input"]["turn_detection"] == {"type": "server_vad", "threshold": 0.9}
    assert audio["input"]["format"] == PCM
    assert audio["output"] == {"format": PCM, "voice": "marin", "x": 1}


def test_the_session_type_is_always_there():
    assert session(provider_extras={"type": "realtime"})["type"] == "realtime"
    assert json.loads(encode_client_event(instructions_update("x"))) == {
        "type": "session.update",
        "session": {"type": "realtime", "instructions": "x"},
    }


def test_empty_instructions_are_sent_because_they_clear():
    assert instructions_update("").session["instructions"] == ""


@pytest.mark.parametrize("text", [None, 5, b"x", ["x"], "\ud800"])
def test_instructions_that_are_no_text_are_refused(text: Any):
    with pytest.raises(ConfigError) as refused:
        instructions_update(text)
    assert refused.value.field == "instructions"


def test_the_event_shares_nothing_with_the_config():
    config = Config(tools=[WEATHER], provider_extras={"x": {"y": 1}})
    event = session_update(config)
    event.session["x"]["y"] = 2
    event.session["tools"][0]["parameters"]["properties"]["later"] = {}
    event.session["audio"]["input"]["format"]["rate"] = 1
    assert session_update(config).session["x"] == {"y": 1}
    assert session_update(config).session["tools"] == [WIRE_WEATHER]
    assert session()["audio"]["input"]["format"] == PCM


@pytest.mark.parametrize(
    ("base", "over", "merged"),
    [
        ({}, {}, {}),
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3, "d": 4}}, {"a": {"b": 1, "c": 3, "d": 4}}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({"a": None}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"b": {"c": 1, "d": 2}}}, {"a": {"b": {"c": 9}}}, {"a": {"b": {"c": 9, "d": 2}}}),
    ],
)
def test_objects_are_merged_and_anything_else_is_replaced(base: Any, over: Any, merged: Any):
    before = json.dumps([base, over])
    assert deep_merge(base, over) == merged
    assert json.dumps([base, over]) == before


def test_tools_and_choices_can_be_written_for_a_single_response_too():
    assert tools_on_the_wire([WEATHER]) == [WIRE_WEATHER]
    assert tool_choice_on_the_wire("none") == "none"
    assert tool_choice_on_the_wire(ToolChoice("weather")) == {"type": "function", "name": "weather"}


CHANGES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({}, {"instructions": "new"}, {"instructions": "new"}),
    ({"instructions": "old"}, {"instructions": ""}, {"instructions": ""}),
    ({"voice": "ash"}, {"voice": "marin"}, {"audio": {"output": {"voice": "marin"}}}),
    ({}, {"speed": 1.5}, {"audio": {"output": {"speed": 1.5}}}),
    ({}, {"turn_detection": "none"}, {"audio": {"input": {"turn_detection": None}}}),
    (
        {"turn_detection": "none"},
        {"turn_detection": "server_vad"},
        {"audio": {"input": {"turn_detection": {"type": "server_vad"}}}},
    ),
    (
        {"turn_detection": ServerVad(threshold=0.5, silence_duration_ms=400)},
        {"turn_detection": ServerVad(threshold=0.9)},
        {
            "audio": {
                "input": {
                    "turn_detection": {
                        "type": "server_vad",
                        "threshold": 0.9,
                        "create_response": True,
                        "interrupt_response": True,
                    }
                }
            }
        },
    ),
    (
        {},
        {"input_audio_transcription": False, "noise_reduction": "near_field"},
        {"audio": {"input": {"transcription": None, "noise_reduction": {"type": "near_field"}}}},
    ),
    ({}, {"noise_reduction": "none"}, {"audio": {"input": {"noise_reduction": None}}}),
    ({}, {"tools": [WEATHER]}, {"tools": [WIRE_WEATHER]}),
    ({"tools": [WEATHER]}, {"tools": []}, {"tools": []}),
    ({"tools": [WEATHER]}, {"tool_choice": "required"}, {"tool_choice": "required"}),
    ({}, {"modalities": ["text"]}, {"output_modalities": ["text"]}),
    ({}, {"provider_extras": {"temperature": 0.8}}, {"temperature": 0.8}),
    (
        {"provider_extras": {"audio": {"input": {"turn_detection": {"threshold": 0.9}}}}},
        {"turn_detection": "semantic_vad"},
        {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "threshold": 0.9}}}},
    ),
]


@pytest.mark.parametrize(("settings", "overrides", "change"), CHANGES)
def test_a_change_says_what_is_different_and_nothing_else(
    settings: dict[str, Any], overrides: dict[str, Any], change: dict[str, Any]
):
    before = Config(**settings)
    event = session_change(session_update(before), session_update(before.replace(**overrides)))
    assert event is not None
    assert json.loads(encode_client_event(event)) == {
        "type": "session.update",
        "session": {"type": "realtime", **change},
    }


@pytest.mark.parametrize(
    "overrides", [{}, {"voice": "ash"}, {"on_interrupt": "submit"}, {"tool_timeout_s": 3}]
)
def test_what_makes_no_difference_to_the_provider_is_no_event(overrides: dict[str, Any]):
    before = Config(voice="ash")
    assert session_change(session_update(before), session_update(before.replace(**overrides))) is None


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"voice": "ash"}, "session.audio.output.voice"),
        ({"instructions": "x"}, "session.instructions"),
        ({"noise_reduction": "near_field"}, "session.audio.input.noise_reduction"),
    ],
)
def test_a_setting_cannot_be_handed_back_to_the_provider(settings: dict[str, Any], field: str):
    before = Config(**settings)
    after = before.replace(**dict.fromkeys(settings))
    with pytest.raises(ConfigError) as refused:
        session_change(session_update(before), session_update(after))
    assert refused.value.field == field


@pytest.mark.parametrize("name", ["pcm16", "g711_ulaw", "g711_alaw"])
def test_a_format_is_known_again_when_the_server_confirms_it(name: str):
    assert format_name(AudioFormat(**format_on_the_wire(name))) == name


@pytest.mark.parametrize(
    "unknown",
    [None, AudioFormat(), AudioFormat("audio/opus"), AudioFormat("audio/pcm", 16_000), AudioFormat("pcm16")],
)
def test_a_format_that_we_do_not_know_has_no_name(unknown: Any):
    assert format_name(unknown) is None


def test_pcm_without_a_rate_is_at_the_only_one_there_is():
    assert format_name(AudioFormat("audio/pcm")) == "pcm16"
