"""`Config` in the words of the wire: the GA session object. Pure.

What the config leaves open is left out, which the server reads as "unchanged"; what it switches off is null. ``type`` is always
there: a ``session.update`` without it is refused whole.

Source: client event ``session.update``; RealtimeSessionCreateRequest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from . import checks
from .client_events import SessionUpdate
from .config import Config
from .tool_descriptor import ToolChoice, ToolDescriptor
from .turn_detection import RetentionRatio, SemanticVad, ServerVad, Transcription
from .wire_types import Json, VoiceId

_FORMATS: Final[dict[str, Json]] = {
    "pcm16": {"type": "audio/pcm", "rate": 24000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}


def session_update(config: Config) -> SessionUpdate:
    """Return the event that makes a session what the config says, all of it, tools included."""
    session: Json = {
        "type": "realtime",
        "output_modalities": list(config.output_modalities),
        "audio": {"input": _input(config), "output": _output(config)},
        "tools": tools_on_the_wire(config.tool_descriptors),
        "tool_choice": tool_choice_on_the_wire(config.tool_choice),
        "instructions": config.instructions,
        "max_output_tokens": config.max_response_output_tokens,
        "parallel_tool_calls": config.parallel_tool_calls,
        "truncation": _truncation(config.truncation),
        "reasoning": None if config.reasoning_effort is None else {"effort": config.reasoning_effort},
    }
    return SessionUpdate(deep_merge(_given(session), config.provider_extras))


def instructions_update(text: str) -> SessionUpdate:
    """Return the event that changes the instructions and nothing else; "" clears them.

    Raises:
        ConfigError: the text is no text. The fault of the caller.
    """
    return SessionUpdate({"type": "realtime", "instructions": checks.text("instructions", text, empty=True)})


def tools_on_the_wire(tools: Sequence[ToolDescriptor]) -> list[Json]:
    """Return the tools as a session or a response offers them. Source: RealtimeFunctionTool."""
    return [
        {
            "type": "function",
            "name": tool.name,
            "description": tool.description,
            "parameters": deep_merge({}, tool.parameters),
        }
        for tool in tools
    ]


def tool_choice_on_the_wire(choice: str | ToolChoice) -> str | Json:
    """Return the tool choice of a session or a response. Source: RealtimeToolChoiceConfig."""
    return {"type": "function", "name": choice.name} if isinstance(choice, ToolChoice) else choice


def deep_merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Json:
    """Return ``base`` with ``over`` laid on it: objects are merged field by field, anything else is replaced, null included."""
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, Mapping):
            below = merged.get(key)
            merged[key] = deep_merge(below if isinstance(below, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged


def _input(config: Config) -> Json:
    listening: Json = {
        "format": dict(_FORMATS[config.input_audio_format]),
        "turn_detection": _turn_detection(config),
        "transcription": _transcription(config.transcription),
    }
    if config.noise_reduction is not None:
        off = config.noise_reduction == "none"
        listening["noise_reduction"] = None if off else {"type": config.noise_reduction}
    return listening


def _output(config: Config) -> Json:
    voice = {"id": config.voice.id} if isinstance(config.voice, VoiceId) else config.voice
    return _given(
        {"format": dict(_FORMATS[config.output_audio_format]), "voice": voice, "speed": config.speed}
    )


def _turn_detection(config: Config) -> Json | None:
    # A bare name leaves every setting to the provider: it may be one that has never heard of interrupt_response.
    match config.turn_detection:
        case "none":
            return None
        case ServerVad() as vad:
            return {"type": "server_vad", **_settings(vad)}
        case SemanticVad() as vad:
            return {"type": "semantic_vad", **_settings(vad)}
        case name:
            return {"type": name}


def _transcription(transcription: Transcription | None) -> Json | None:
    if transcription is None:
        return None
    settings = _settings(transcription)
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in settings.items() if value
    }


def _truncation(truncation: str | RetentionRatio | None) -> str | Json | None:
    if not isinstance(truncation, RetentionRatio):
        return truncation
    limits = (
        None if truncation.post_instructions is None else {"post_instructions": truncation.post_instructions}
    )
    return _given({"type": "retention_ratio", "retention_ratio": truncation.ratio, "token_limits": limits})


def _settings(settings: ServerVad | SemanticVad | Transcription) -> Json:
    return _given({each.name: getattr(settings, each.name) for each in fields(settings)})


def _given(values: Json) -> Json:
    return {name: value for name, value in values.items() if value is not None}
