"""What a session.update changes, what it leaves, and what it may not touch any more."""

from __future__ import annotations

import copy

import pytest

from trunkline.gateway.simulator.client_error import ClientError
from trunkline.gateway.simulator.protocol_shapes import CLIENT_EVENT
from trunkline.gateway.simulator.session_settings import Progress, initial_settings, shown, updated

FUNCTION = {"type": "function", "name": "add", "description": "Add.", "parameters": {"type": "object"}}
MCP = {
    "type": "mcp",
    "server_label": "docs",
    "server_url": "https://docs.example/mcp",
    "allowed_tools": {"read_only": True, "tool_names": ["search"]},
    "allowed_callers": ["direct"],
    "authorization": "token",
    "defer_loading": False,
    "headers": {"x-team": "a"},
    "require_approval": {"always": {"tool_names": ["remove"]}, "never": {"read_only": True}},
    "server_description": "The docs.",
}
SERVER_VAD = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 500,
    "idle_timeout_ms": None,
    "create_response": True,
    "interrupt_response": True,
}


def fresh():
    return initial_settings("sess_1", "gpt-realtime-2", 2_000_000_000)


def changed(settings, progress=None, /, **change):
    """Check a change as a client's event, and apply it."""
    session = {"type": "realtime", **change}
    CLIENT_EVENT({"type": "session.update", "session": session}, "")
    return updated(settings, session, progress or Progress())


def heard(settings):
    return settings["audio"]["input"]


def refused(settings, progress=None, /, **change):
    before = copy.deepcopy(settings)
    with pytest.raises(ClientError) as caught:
        changed(settings, progress, **change)
    assert settings == before
    return caught.value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("instructions", "Be brief."),
        ("instructions", ""),
        ("max_output_tokens", 1),
        ("max_output_tokens", 4096),
        ("max_output_tokens", "inf"),
        ("output_modalities", ["text"]),
        ("parallel_tool_calls", False),
        ("prompt", {"id": "pmpt_1", "version": "2", "variables": {"name": "Ada"}}),
        ("reasoning", {"effort": "xhigh"}),
        ("tools", [FUNCTION, MCP]),
        ("tools", []),
        ("tool_choice", "required"),
        ("tracing", "auto"),
        ("tracing", {"workflow_name": "w", "group_id": "g", "metadata": {"k": 1}}),
        ("truncation", "disabled"),
        (
            "truncation",
            {"type": "retention_ratio", "retention_ratio": 0.8, "token_limits": {"post_instructions": 9}},
        ),
        ("include", ["item.input_audio_transcription.logprobs"]),
    ],
)
def test_each_field_is_echoed_and_nothing_else_moves(name, value):
    after = changed(fresh(), **{name: value})
    assert shown(after) == {**fresh(), name: value}


@pytest.mark.parametrize(
    ("choice", "tools"),
    [
        ({"type": "function", "name": "add"}, [FUNCTION]),
        ({"type": "mcp", "server_label": "docs"}, [MCP]),
        ({"type": "mcp", "server_label": "docs", "name": "search"}, [FUNCTION, MCP]),
    ],
)
def test_a_tool_choice_may_name_a_tool_that_is_there(choice, tools):
    assert changed(fresh(), tools=tools, tool_choice=choice)["tool_choice"] == choice
    error = refused(fresh(), tool_choice=choice)
    assert (error.code, error.param) == ("invalid_value", "session.tool_choice")


def test_a_part_of_a_turn_detection_leaves_its_other_parts():
    first = changed(
        fresh(), audio={"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 200}}}
    )
    assert heard(first)["turn_detection"] == {**SERVER_VAD, "silence_duration_ms": 200}
    second = changed(first, audio={"input": {"turn_detection": {"type": "server_vad", "threshold": 0.9}}})
    assert heard(second)["turn_detection"] == {**SERVER_VAD, "silence_duration_ms": 200, "threshold": 0.9}


def test_another_turn_detection_starts_from_its_defaults():
    off = changed(fresh(), audio={"input": {"turn_detection": None}})
    assert heard(off)["turn_detection"] is None
    semantic = changed(off, audio={"input": {"turn_detection": {"type": "semantic_vad"}}})
    assert heard(semantic)["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    }
    back = changed(semantic, audio={"input": {"turn_detection": {"type": "server_vad"}}})
    assert heard(back)["turn_detection"] == SERVER_VAD


def test_noise_reduction_is_at_full_strength_until_told_otherwise():
    on = changed(fresh(), audio={"input": {"noise_reduction": {"type": "near_field"}}})
    assert heard(on)["noise_reduction"] == {"type": "near_field", "strength": 1.0}
    softer = changed(on, audio={"input": {"noise_reduction": {"strength": 0.5}}})
    assert heard(softer)["noise_reduction"] == {"type": "near_field", "strength": 0.5}
    far = changed(softer, audio={"input": {"noise_reduction": {"type": "far_field"}}})
    assert heard(far)["noise_reduction"] == {"type": "far_field", "strength": 0.5}
    assert heard(changed(far, audio={"input": {"noise_reduction": None}}))["noise_reduction"] is None
    error = refused(fresh(), audio={"input": {"noise_reduction": {"strength": 0.5}}})
    assert (error.code, error.param) == (
        "missing_required_parameter",
        "session.audio.input.noise_reduction.type",
    )


def test_transcription_is_changed_in_parts_and_cleared():
    on = changed(fresh(), audio={"input": {"transcription": {"model": "whisper-1"}}})
    german = changed(on, audio={"input": {"transcription": {"language": "de"}}})
    assert heard(german)["transcription"] == {"model": "whisper-1", "language": "de"}
    assert heard(changed(german, audio={"input": {"transcription": None}}))["transcription"] is None


@pytest.mark.parametrize("direction", ["input", "output"])
def test_pcm_has_the_rate_that_it_has(direction):
    telephone = changed(fresh(), audio={direction: {"format": {"type": "audio/pcmu"}}})
    assert telephone["audio"][direction]["format"] == {"type": "audio/pcmu"}
    back = changed(telephone, audio={direction: {"format": {"type": "audio/pcm"}}})
    assert back["audio"][direction]["format"] == {"type": "audio/pcm", "rate": 24000}
    assert back["audio"] == fresh()["audio"]


def test_whisper_hears_no_turns():
    transcription = {"model": "gpt-realtime-whisper"}
    error = refused(fresh(), audio={"input": {"transcription": transcription}})
    assert (error.code, error.param) == ("invalid_value", "session.audio.input.turn_detection")
    manual = {"transcription": transcription, "turn_detection": None}
    assert heard(changed(fresh(), audio={"input": manual}))["transcription"] == transcription


# -- locks -----------------------------------------------------------------------------------------------------------


def test_the_model_stays():
    assert refused(fresh(), model="gpt-realtime-mini").param == "session.model"
    assert changed(fresh(), model="gpt-realtime-2") == fresh()


@pytest.mark.parametrize("change", [None, "auto", {"workflow_name": "other"}])
def test_tracing_stays_once_it_is_enabled(change):
    traced = changed(fresh(), tracing={"workflow_name": "w"})
    error = refused(traced, tracing=change)
    assert (error.code, error.param) == ("invalid_value", "session.tracing")
    assert changed(traced, tracing={"workflow_name": "w"}) == traced
    assert changed(fresh(), tracing=None) == fresh()


def test_the_voice_stays_once_the_session_has_spoken():
    ash, progress = {"output": {"voice": "ash"}}, Progress(has_begun=True, has_spoken=True)
    error = refused(fresh(), progress, audio=ash)
    assert (error.code, error.param) == ("cannot_update_voice", "session.audio.output.voice")
    assert changed(fresh(), progress, audio={"output": {"voice": "marin"}}) == fresh()
    assert changed(fresh(), Progress(has_begun=True), audio=ash)["audio"]["output"]["voice"] == "ash"


def test_the_speed_changes_between_turns_only():
    fast = {"output": {"speed": 1.5}}
    error = refused(fresh(), Progress(has_begun=True, is_responding=True), audio=fast)
    assert (error.code, error.param) == ("invalid_value", "session.audio.output.speed")
    assert changed(fresh(), Progress(has_begun=True), audio=fast)["audio"]["output"]["speed"] == 1.5


def test_a_session_that_is_new_may_become_one_that_only_transcribes():
    audio = {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": {"type": "server_vad"}}}
    change = {"type": "transcription", "audio": audio}
    CLIENT_EVENT({"type": "session.update", "session": change}, "")
    session = shown(updated(fresh(), change, Progress()))
    assert set(session) == {"id", "object", "type", "expires_at", "include", "audio"}
    assert (session["object"], session["type"]) == ("realtime.transcription_session", "transcription")
    assert set(session["audio"]) == {"input"}
    assert session["audio"]["input"]["transcription"] == {"model": "whisper-1"}
    with pytest.raises(ClientError) as caught:
        updated(fresh(), change, Progress(has_begun=True))
    assert caught.value.param == "session.type"


# -- shapes ----------------------------------------------------------------------------------------------------------

NESTED = [
    ({"audio": {"output": {"speed": 2}}}, "invalid_value", "audio.output.speed"),
    ({"audio": {"output": {"speed": 0.2}}}, "invalid_value", "audio.output.speed"),
    ({"audio": {"output": {"speed": "1"}}}, "invalid_type", "audio.output.speed"),
    ({"audio": {"output": {"voice": {"name": "x"}}}}, "missing_required_parameter", "audio.output.voice.id"),
    ({"audio": {"output": {"voice": 5}}}, "invalid_type", "audio.output.voice"),
    ({"audio": {"output": {"turn_detection": None}}}, "unknown_parameter", "audio.output.turn_detection"),
    ({"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}}, "invalid_value", "audio.input.format.rate"),
    ({"audio": {"input": {"format": "pcm16"}}}, "invalid_type", "audio.input.format"),
    ({"audio": {"input": {"format": None}}}, "invalid_type", "audio.input.format"),
    ({"audio": {"input": {"turn_detection": {}}}}, "missing_required_parameter", "audio.input.turn_detection.type"),
    (
        {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "threshold": 0.5}}}},
        "unknown_parameter",
        "audio.input.turn_detection.threshold",
    ),
    (
        {"audio": {"input": {"turn_detection": {"type": "server_vad", "eagerness": "low"}}}},
        "unknown_parameter",
        "audio.input.turn_detection.eagerness",
    ),
    (
        {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 1.1}}}},
        "invalid_value",
        "audio.input.turn_detection.threshold",
    ),
    (
        {"audio": {"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 0.5}}}},
        "invalid_type",
        "audio.input.turn_detection.silence_duration_ms",
    ),
    ({"audio": {"input": {"noise_reduction": {"type": "none"}}}}, "invalid_value", "audio.input.noise_reduction.type"),
    ({"audio": {"input": {"transcription": {"delay": "no"}}}}, "invalid_value", "audio.input.transcription.delay"),
    ({"audio": {"input": {"transcription": {"keywords": "x"}}}}, "invalid_type", "audio.input.transcription.keywords"),
    ({"voice": "ash"}, "unknown_parameter", "voice"),
    ({"modalities": ["text"]}, "unknown_parameter", "modalities"),
    ({"output_modalities": []}, "invalid_value", "output_modalities"),
    ({"max_output_tokens": 0}, "invalid_value", "max_output_tokens"),
    ({"max_output_tokens": "many"}, "invalid_value", "max_output_tokens"),
    ({"max_output_tokens": 1.5}, "invalid_type", "max_output_tokens"),
    ({"parallel_tool_calls": "yes"}, "invalid_type", "parallel_tool_calls"),
    ({"prompt": {"version": "1"}}, "missing_required_parameter", "prompt.id"),
    ({"prompt": {"id": "p", "variables": {"x": 1}}}, "invalid_type", "prompt.variables.x"),
    ({"reasoning": {"effort": "max"}}, "invalid_value", "reasoning.effort"),
    ({"truncation": "never"}, "invalid_value", "truncation"),
    ({"truncation": {"type": "retention_ratio"}}, "missing_required_parameter", "truncation.retention_ratio"),
    (
        {"truncation": {"type": "retention_ratio", "retention_ratio": 2}},
        "invalid_value",
        "truncation.retention_ratio",
    ),
    ({"tracing": "on"}, "invalid_value", "tracing"),
    ({"tracing": {"name": "w"}}, "unknown_parameter", "tracing.name"),
    ({"include": ["everything"]}, "invalid_value", "include[0]"),
    ({"tools": [FUNCTION, {"type": "web_search"}]}, "invalid_value", "tools[1].type"),
    ({"tools": [{"name": "add"}]}, "missing_required_parameter", "tools[0].type"),
    ({"tools": [{**FUNCTION, "strict": True}]}, "unknown_parameter", "tools[0].strict"),
    ({"tools": [{**FUNCTION, "parameters": "x"}]}, "invalid_type", "tools[0].parameters"),
    ({"tools": [{"type": "mcp", "server_url": "x"}]}, "missing_required_parameter", "tools[0].server_label"),
    ({"tools": [{"type": "mcp", "server_label": "x"}]}, "missing_required_parameter", "tools[0].server_url"),
    ({"tools": [{**MCP, "require_approval": "maybe"}]}, "invalid_value", "tools[0].require_approval"),
    (
        {"tools": [{**MCP, "require_approval": {"never": {"names": []}}}]},
        "unknown_parameter",
        "tools[0].require_approval.never.names",
    ),
    ({"tools": [{**MCP, "allowed_tools": [1]}]}, "invalid_type", "tools[0].allowed_tools[0]"),
    ({"tools": [{**MCP, "connector_id": "connector_x"}]}, "invalid_value", "tools[0].connector_id"),
    ({"tools": [{**MCP, "headers": {"x": 1}}]}, "invalid_type", "tools[0].headers.x"),
    ({"tool_choice": "any"}, "invalid_value", "tool_choice"),
    ({"tool_choice": {"type": "function"}}, "missing_required_parameter", "tool_choice.name"),
    ({"tool_choice": {"type": "mcp"}}, "missing_required_parameter", "tool_choice.server_label"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "code", "param"), NESTED)
def test_what_does_not_fit_is_named_by_its_path(change, code, param):
    error = refused(fresh(), **change)
    assert (error.code, error.param) == (code, f"session.{param}")


@pytest.mark.parametrize("name", ["instructions", "tools", "model", "output_modalities", "turn_detection"])
def test_a_session_that_only_transcribes_has_no(name):
    with pytest.raises(ClientError) as caught:
        CLIENT_EVENT({"type": "session.update", "session": {"type": "transcription", name: None}}, "")
    assert (caught.value.code, caught.value.param) == ("unknown_parameter", f"session.{name}")
