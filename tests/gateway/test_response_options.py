"""The options of one response: checked when they are built, and on the wire exactly what was said."""

import json
import pickle
from typing import Any

import pytest

from trunkline.gateway.client_events import ResponseCreate, ResponseParams
from trunkline.gateway.codec import encode_client_event
from trunkline.gateway.errors import ConfigError
from trunkline.gateway.hosted import Prompt
from trunkline.gateway.items import item_reference, user_text
from trunkline.gateway.mcp import Mcp, McpToolChoice
from trunkline.gateway.response_options import ResponseOptions, marked, response_params
from trunkline.gateway.tool_descriptor import ToolChoice, ToolDescriptor
from trunkline.gateway.wire_types import Item, VoiceId

WEATHER = ToolDescriptor("weather", "Tell the weather.")
WIRE_WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "Tell the weather.",
    "parameters": {"type": "object", "properties": {}},
}
DOCS = Mcp(server_label="docs", server_url="https://docs.example/mcp")
WIRE_DOCS = {"type": "mcp", "server_label": "docs", "server_url": "https://docs.example/mcp"}
PAIRS = {f"key {i}": "v" for i in range(15)}

CASES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"instructions": "whisper"}, {"instructions": "whisper"}),
    ({"instructions": ""}, {"instructions": ""}),
    ({"modalities": ["text"]}, {"output_modalities": ["text"]}),
    ({"modalities": ["audio", "text"]}, {"output_modalities": ["audio"]}),
    ({"voice": "marin"}, {"audio": {"output": {"voice": "marin"}}}),
    ({"voice": VoiceId("voice_1")}, {"audio": {"output": {"voice": {"id": "voice_1"}}}}),
    (
        {"output_audio_format": "pcm16"},
        {"audio": {"output": {"format": {"type": "audio/pcm", "rate": 24000}}}},
    ),
    (
        {"output_audio_format": "g711_alaw", "voice": "ash"},
        {"audio": {"output": {"format": {"type": "audio/pcma"}, "voice": "ash"}}},
    ),
    ({"tools": []}, {"tools": []}),
    ({"tools": [WEATHER]}, {"tools": [WIRE_WEATHER]}),
    ({"mcp_servers": [DOCS]}, {"tools": [WIRE_DOCS]}),
    ({"mcp_servers": []}, {"tools": []}),
    ({"tools": [WEATHER], "mcp_servers": [DOCS]}, {"tools": [WIRE_WEATHER, WIRE_DOCS]}),
    ({"tool_choice": "none"}, {"tool_choice": "none"}),
    ({"tool_choice": "required"}, {"tool_choice": "required"}),
    ({"tool_choice": ToolChoice("weather")}, {"tool_choice": {"type": "function", "name": "weather"}}),
    (
        {"tool_choice": McpToolChoice("docs", "search")},
        {"tool_choice": {"type": "mcp", "server_label": "docs", "name": "search"}},
    ),
    ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
    ({"max_output_tokens": 1}, {"max_output_tokens": 1}),
    ({"max_output_tokens": "inf"}, {"max_output_tokens": "inf"}),
    ({"reasoning_effort": "low"}, {"reasoning": {"effort": "low"}}),
    ({"prompt": Prompt("pmpt_1", "2")}, {"prompt": {"id": "pmpt_1", "version": "2"}}),
    ({"metadata": {}}, {"metadata": {}}),
    ({"metadata": PAIRS}, {"metadata": PAIRS}),
    ({"metadata": {"k" * 64: "v" * 512}}, {"metadata": {"k" * 64: "v" * 512}}),
    ({"conversation": "none"}, {"conversation": "none"}),
    ({"conversation": "auto"}, {"conversation": "auto"}),
    ({"input": []}, {"input": []}),
    (
        {"input": [item_reference("item_1"), user_text("and this?")]},
        {
            "input": [
                {"type": "item_reference", "id": "item_1"},
                {
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "and this?"}],
                },
            ]
        },
    ),
]
BAD: dict[str, list[Any]] = {
    "instructions": [1, "\ud800"],
    "modalities": [[], "text", ["video"], ["text", "text"]],
    "voice": ["", 1, VoiceId("")],
    "output_audio_format": ["mp3", 1],
    "tools": [WEATHER, ["weather"], [WEATHER, WEATHER]],
    "mcp_servers": [DOCS, ["docs"], [DOCS, DOCS]],
    "tool_choice": ["weather", "", {"type": "function"}],
    "parallel_tool_calls": [1, "yes"],
    "max_output_tokens": [0, 4097, "100", True],
    "reasoning_effort": ["max", 3],
    "prompt": ["pmpt_1", {"id": "x"}],
    "metadata": [
        [],
        "x",
        {**PAIRS, "one more": "v"},
        {"": "v"},
        {"k" * 65: "v"},
        {"k": "v" * 513},
        {"k": 1},
        {1: "v"},
    ],
    "conversation": ["", "new", True],
    "input": [user_text("x"), ["x"], [None], [{"type": "message"}], [Item()], "x"],
}


def wire(options: ResponseOptions) -> Any:
    return json.loads(encode_client_event(ResponseCreate(response=response_params(options))))["response"]


@pytest.mark.parametrize(("settings", "said"), CASES)
def test_the_wire_says_what_was_said_and_nothing_else(settings: dict[str, Any], said: dict[str, Any]):
    assert wire(ResponseOptions(**settings)) == said


@pytest.mark.parametrize(("settings", "said"), CASES)
def test_options_compare_and_pickle(settings: dict[str, Any], said: dict[str, Any]):
    options = ResponseOptions(**settings)
    assert options == ResponseOptions(**settings)
    copy = pickle.loads(pickle.dumps(options))
    assert copy == options
    assert wire(copy) == said


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD.items() for value in values]
)
def test_what_cannot_be_is_refused_by_name(name: str, value: Any):
    with pytest.raises(ConfigError) as refused:
        ResponseOptions(**{name: value})
    assert refused.value.field.startswith(name)
    assert refused.value.allowed


@pytest.mark.parametrize(
    "settings",
    [
        {"tools": [WEATHER], "tool_choice": ToolChoice("time")},
        {"tools": [], "tool_choice": "required"},
        {"tools": [WEATHER], "tool_choice": McpToolChoice("docs")},
        {"mcp_servers": [DOCS], "tool_choice": McpToolChoice("mail")},
        {"mcp_servers": [DOCS], "tool_choice": ToolChoice("weather")},
    ],
)
def test_a_choice_among_tools_that_are_given_must_be_one_of_them(settings: dict[str, Any]):
    with pytest.raises(ConfigError) as refused:
        ResponseOptions(**settings)
    assert refused.value.field == "tool_choice"


@pytest.mark.parametrize(("conversation", "apart"), [(None, False), ("auto", False), ("none", True)])
def test_only_a_response_without_conversation_is_out_of_band(conversation: Any, apart: bool):
    assert ResponseOptions(conversation=conversation).out_of_band is apart


def test_lists_and_dicts_may_be_changed_later_without_harm():
    metadata, items, tools = {"k": "v"}, [user_text("x")], [WEATHER]
    options = ResponseOptions(metadata=metadata, input=items, tools=tools)
    metadata["k"] = "w"
    items.clear()
    tools.clear()
    response_params(options).metadata["k"] = "z"  # type: ignore[index,call-overload] # it is a dict here
    assert options.metadata == {"k": "v"}
    assert options.input == (user_text("x"),)
    assert options.tools == (WEATHER,)


@pytest.mark.parametrize(
    ("params", "metadata"),
    [
        (ResponseParams(), {"mark": "1"}),
        (ResponseParams(metadata=None), {"mark": "1"}),
        (ResponseParams(metadata={"a": "b"}), {"a": "b", "mark": "1"}),
        (ResponseParams(metadata={"mark": "0"}), {"mark": "1"}),
    ],
)
def test_a_mark_comes_beside_the_metadata_that_is_there(params: ResponseParams, metadata: dict[str, str]):
    before = params.metadata
    assert marked(params, "mark", "1").metadata == metadata
    assert params.metadata == before


def test_the_most_pairs_and_the_sessions_mark_are_what_the_protocol_allows():
    params = marked(response_params(ResponseOptions(metadata=PAIRS)), "mark", "1")
    assert isinstance(params.metadata, dict)
    assert len(params.metadata) == 16
