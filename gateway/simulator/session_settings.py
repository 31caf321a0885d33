"""A session's settings: what they start as, and what an update makes of them. Pure.

Source: protocol events `session.created`, `session.update`, `session.updated`; protocol.md A.3, A.4, A.8.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from .client_error import ClientError, invalid, missing
from .context_window import Truncation, input_limit

Settings = dict[str, Any]

DEFAULT_INSTRUCTIONS = (
    "You are the Trunkline simulator: a rule-based stand-in for a realtime model. Answer briefly and call the "
    "tools you are offered when the user asks for what they do."
)
_PCM = {"type": "audio/pcm", "rate": 24000}
_SERVER_VAD = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 500,
    "idle_timeout_ms": None,
    "create_response": True,
    "interrupt_response": True,
}
_SEMANTIC_VAD = {
    "type": "semantic_vad",
    "eagerness": "auto",
    "create_response": True,
    "interrupt_response": True,
}
_DETECTION_DEFAULTS = {"server_vad": _SERVER_VAD, "semantic_vad": _SEMANTIC_VAD}
_WHISPER = "gpt-realtime-whisper"


def initial_settings(session_id: str, model: str, expires_at: int) -> Settings:
    """Return the settings of a fresh session.

    Args:
        session_id: Its id.
        model: The model named in the URL.
        expires_at: When the service will end it, in seconds since the epoch.
    """
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": session_id,
        "model": model,
        "expires_at": expires_at,
        "output_modalities": ["audio"],
        "instructions": DEFAULT_INSTRUCTIONS,
        "tools": [],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "max_output_tokens": "inf",
        "reasoning": None,
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "include": None,
        "audio": {
            "input": {
                "format": dict(_PCM),
                "transcription": None,
                "noise_reduction": None,
                "turn_detection": dict(_SERVER_VAD),
            },
            "output": {"format": dict(_PCM), "voice": "marin", "speed": 1.0},
        },
    }


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a session has come: what of its settings is locked.

    Args:
        has_begun: There are items, or a response was asked for: it stays the kind of session it is.
        has_spoken: It has sent audio: the voice stays.
        is_responding: A response is under way: the speed stays until it is done.
    """

    has_begun: bool = False
    has_spoken: bool = False
    is_responding: bool = False


def updated(settings: Settings, change: Settings, progress: Progress) -> Settings:
    """Return new settings with a well-formed change applied; `settings` itself is not touched.

    Omitted fields stay as they are, at every level; null and empty ones clear.

    Args:
        settings: The settings so far.
        change: `session` of the client's `session.update`, of the right shape.
        progress: How far the session has come.

    Raises:
        ClientError: The change is not allowed now: the client's fault.
    """
    result = copy.deepcopy(settings)
    for name, value in change.items():
        if name != "audio":
            result[name] = copy.deepcopy(value)
    audio = change.get("audio", {})
    _change_input(result["audio"]["input"], audio.get("input", {}))
    _change_output(result["audio"]["output"], audio.get("output", {}))
    _check_locked(settings, result, progress)
    check_tool_choice(result["tool_choice"], result["tools"], "session")
    _check_detection(result["audio"]["input"])
    _check_truncation(result["truncation"], result["model"])
    return result


def shown(settings: Settings) -> Settings:
    """Return the session as `session.created` and `session.updated` carry it."""
    if settings["type"] == "realtime":
        return copy.deepcopy(settings)
    seen = {name: settings[name] for name in ("type", "id", "expires_at", "include")}
    sound = {"input": settings["audio"]["input"]}
    return copy.deepcopy({**seen, "object": "realtime.transcription_session", "audio": sound})


def check_tool_choice(choice: str | Settings, tools: list[Settings], where: str) -> None:
    """Refuse a tool choice that none of the tools fits.

    Args:
        choice: The tool choice in force.
        tools: The tools in force.
        where: `session` or `response`, for `param`.

    Raises:
        ClientError: It names a function or an MCP server that is not among the tools: the client's fault.
    """
    if not isinstance(choice, dict):
        return
    label = "server_label" if choice["type"] == "mcp" else "name"
    names = [tool.get(label) for tool in tools if tool["type"] == choice["type"]]
    if choice[label] not in names:
        raise invalid(f"{where}.tool_choice", f"Tool choice '{choice[label]}' not found in 'tools'.")


def whole_format(value: Settings | None) -> Settings | None:
    """Return an audio format with the rate that the service assumes: PCM has only one."""
    return {**_PCM, **value} if value is not None and value["type"] == "audio/pcm" else value


def _change_input(result: Settings, change: Settings) -> None:
    for name, value in change.items():
        if value is None or name == "format":
            result[name] = whole_format(value)
        elif name == "turn_detection":
            result[name] = _merged_detection(result[name], value)
        elif name == "noise_reduction":
            result[name] = _merged_reduction(result[name], value)
        else:
            result[name] = {**(result[name] or {}), **copy.deepcopy(value)}


def _change_output(result: Settings, change: Settings) -> None:
    result.update(copy.deepcopy(change))
    result["format"] = whole_format(result["format"])


def _merged_detection(current: Settings | None, change: Settings) -> Settings:
    """Change a turn detection; one of another type starts from the service's defaults."""
    is_same = current is not None and current["type"] == change["type"]
    return {**(current or {} if is_same else _DETECTION_DEFAULTS[change["type"]]), **change}


def _merged_reduction(current: Settings | None, change: Settings) -> Settings:
    merged = {"strength": 1.0, **(current or {}), **change}
    if "type" not in merged:
        raise missing("session.audio.input.noise_reduction.type")
    return merged


def _check_locked(before: Settings, after: Settings, progress: Progress) -> None:
    if after["model"] != before["model"]:
        raise invalid(
            "session.model",
            f"Cannot change the model of a session. It is '{before['model']}' since the connection was opened.",
        )
    if progress.has_begun and after["type"] != before["type"]:
        raise invalid("session.type", f"Cannot change the type of a '{before['type']}' session in use.")
    if before["tracing"] is not None and after["tracing"] != before["tracing"]:
        raise invalid("session.tracing", "Cannot change the tracing of a session once it is enabled.")
    old, new = before["audio"]["output"], after["audio"]["output"]
    if progress.has_spoken and new["voice"] != old["voice"]:
        raise voice_is_locked("session")
    if progress.is_responding and new["speed"] != old["speed"]:
        raise invalid(
            "session.audio.output.speed", "Cannot change the speed while a response is in progress."
        )


def voice_is_locked(where: str) -> ClientError:
    """Return the error for a change of the voice after the first audio, in a `session` or `response`."""
    return ClientError(
        "cannot_update_voice",
        "Cannot update a conversation's voice if assistant audio is present.",
        f"{where}.audio.output.voice",
    )


def _check_detection(sound: Settings) -> None:
    transcription = sound["transcription"] or {}
    if transcription.get("model") == _WHISPER and sound["turn_detection"] is not None:
        raise invalid(
            "session.audio.input.turn_detection",
            f"Turn detection is not supported with '{_WHISPER}': it must be null.",
        )


def _check_truncation(truncation: Truncation, model: str) -> None:
    limits = {} if isinstance(truncation, str) else truncation.get("token_limits", {})
    most = input_limit(model)
    if limits.get("post_instructions", 0) > most:
        raise invalid(
            "session.truncation.token_limits.post_instructions",
            f"Invalid 'session.truncation.token_limits.post_instructions': '{model}' takes at most {most} input tokens.",
        )
