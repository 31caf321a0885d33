"""A session's settings: what they start as, and what an update makes of them. Pure.

Source: protocol events `session.created`, `session.update`, `session.updated`; protocol.md A.3, A.4, A.8.
"""

from __future__ import annotations

import copy
from typing import Any

from .client_error import ClientError, invalid

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
        "max_output_tokens": "inf",
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


def updated(settings: Settings, change: Settings, *, has_spoken: bool) -> Settings:
    """Return new settings with a well-formed change applied; `settings` itself is not touched.

    Omitted fields stay as they are, null and empty ones clear.

    Args:
        settings: The settings so far.
        change: `session` of the client's `session.update`, of the right shape.
        has_spoken: Whether the session has sent audio: the voice is locked then.

    Raises:
        ClientError: The change is not allowed now: the client's fault.
    """
    if change.get("model", settings["model"]) != settings["model"]:
        raise invalid(
            "session.model",
            f"Cannot change the model of a session. It is '{settings['model']}' since the connection was opened.",
        )
    result = copy.deepcopy(settings)
    for name, value in change.items():
        if name != "audio":
            result[name] = copy.deepcopy(value)
    audio = change.get("audio", {})
    result["audio"]["input"].update(_with_defaults(audio.get("input", {})))
    result["audio"]["output"].update(_with_defaults(audio.get("output", {})))
    if has_spoken and result["audio"]["output"]["voice"] != settings["audio"]["output"]["voice"]:
        raise ClientError(
            "cannot_update_voice",
            "Cannot update a conversation's voice if assistant audio is present.",
            "session.audio.output.voice",
        )
    _check_tool_choice(result)
    return result


def _with_defaults(change: Settings) -> Settings:
    """Fill in what the service assumes for a turn detection and a format that say only their type."""
    filled = copy.deepcopy(change)
    detection = filled.get("turn_detection")
    if detection is not None:
        filled["turn_detection"] = {**_DETECTION_DEFAULTS[detection["type"]], **detection}
    if filled.get("format", {}).get("type") == "audio/pcm":
        filled["format"] = {**_PCM, **filled["format"]}
    return filled


def _check_tool_choice(settings: Settings) -> None:
    choice = settings["tool_choice"]
    if not isinstance(choice, dict) or choice["type"] != "function":
        return
    names = [tool.get("name") for tool in settings["tools"]]
    if choice["name"] not in names:
        raise invalid("session.tool_choice", f"Tool choice '{choice['name']}' not found in 'tools'.")
