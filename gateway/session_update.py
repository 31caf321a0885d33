"""`Config` in the words of the wire: the GA session object. Pure.

What the config leaves open is left out, which the server reads as "unchanged"; what it switches off is null. ``type`` is always
there: a ``session.update`` without it is refused whole.

Source: client event ``session.update``; RealtimeSessionCreateRequest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from . import checks
from .audio import SAMPLE_RATES
from .client_events import SessionUpdate
from .config import Config
from .errors import ConfigError
from .hosted import Prompt, Tracing
from .mcp import Mcp, McpApproval, McpToolChoice, McpToolFilter
from .shared_settings import AnyToolChoice, AudioFormatName
from .tool_descriptor import ToolChoice, ToolDescriptor
from .turn_detection import RetentionRatio, SemanticVad, ServerVad, Transcription
from .wire_types import AudioFormat, Json, VoiceId

_FORMATS: Final[dict[str, Json]] = {
    "pcm16": {"type": "audio/pcm", "rate": 24000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
_NAMES: Final[dict[str, AudioFormatName]] = {
    "audio/pcm": "pcm16",
    "audio/pcmu": "g711_ulaw",
    "audio/pcma": "g711_alaw",
}
_GROUPS: Final = frozenset({"session.audio", "session.audio.input", "session.audio.output"})


def session_update(config: Config) -> SessionUpdate:
    """Return the event that makes a session what the config says, all of it, tools included."""
    session: Json = {
        "type": "realtime",
        "output_modalities": list(config.output_modalities),
        "audio": {"input": _input(config), "output": _output(config)},
        "tools": tools_on_the_wire([*config.tool_descriptors, *config.mcp_servers]),
        "tool_choice": tool_choice_on_the_wire(config.tool_choice),
        "instructions": config.instructions,
        "max_output_tokens": config.max_response_output_tokens,
        "parallel_tool_calls": config.parallel_tool_calls,
        "truncation": _truncation(config.truncation),
        "reasoning": None if config.reasoning_effort is None else {"effort": config.reasoning_effort},
        "prompt": None if config.prompt is None else prompt_on_the_wire(config.prompt),
        "include": None if config.include is None else list(config.include),
        "tracing": _tracing(config.tracing),
    }
    return SessionUpdate(deep_merge(_given(session), config.provider_extras))


def instructions_update(text: str) -> SessionUpdate:
    """Return the event that changes the instructions and nothing else; "" clears them.

    Raises:
        ConfigError: the text is no text. The fault of the caller.
    """
    return SessionUpdate({"type": "realtime", "instructions": checks.text("instructions", text, empty=True)})


def session_change(before: SessionUpdate, after: SessionUpdate) -> SessionUpdate | None:
    """Return the event that turns one session into the other and says nothing else; None if they are the same.

    With two of a gateway's own ``session_update`` this is a change while the session runs, whatever the provider's dialect.

    Raises:
        ConfigError: a setting is not in the second any more, which the wire cannot say: what is left out stays as it is. The fault
            of the caller.
    """
    changed = _difference(before.session, after.session, "session")
    if not changed:
        return None
    return SessionUpdate({"type": after.session.get("type", "realtime"), **changed})


def tools_on_the_wire(tools: Sequence[ToolDescriptor | Mcp]) -> list[Json]:
    """Return the tools as a session or a response offers them. Source: RealtimeFunctionTool, Mcp."""
    return [_mcp(tool) if isinstance(tool, Mcp) else _function(tool) for tool in tools]


def tool_choice_on_the_wire(choice: AnyToolChoice) -> str | Json:
    """Return the tool choice of a session or a response. Source: RealtimeToolChoiceConfig."""
    match choice:
        case ToolChoice(name):
            return {"type": "function", "name": name}
        case McpToolChoice(server_label, name):
            return _given({"type": "mcp", "server_label": server_label, "name": name})
        case word:
            return word


def prompt_on_the_wire(prompt: Prompt) -> Json:
    """Return the stored prompt of a session or a response. Source: ResponsePrompt."""
    variables = deep_merge({}, prompt.variables) or None
    return _given({"id": prompt.id, "version": prompt.version, "variables": variables})


def format_on_the_wire(name: str) -> Json:
    """Return an audio format. Source: RealtimeAudioFormats."""
    return dict(_FORMATS[name])


def format_name(audio_format: AudioFormat | None) -> AudioFormatName | None:
    """Return our name of an audio format that a server confirmed; None for one that we do not know."""
    found = None if audio_format is None else _NAMES.get(audio_format.type)
    if audio_format is None or found is None:
        return None
    return found if audio_format.rate in (None, SAMPLE_RATES[found]) else None


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
        "format": format_on_the_wire(config.input_audio_format),
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
        {"format": format_on_the_wire(config.output_audio_format), "voice": voice, "speed": config.speed}
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


def _tracing(tracing: str | Tracing | None) -> str | Json | None:
    if not isinstance(tracing, Tracing):
        return tracing
    metadata = None if tracing.metadata is None else deep_merge({}, tracing.metadata)
    named = {"workflow_name": tracing.workflow_name, "group_id": tracing.group_id, "metadata": metadata}
    return _given(named)


def _function(tool: ToolDescriptor) -> Json:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": deep_merge({}, tool.parameters),
    }


def _mcp(server: Mcp) -> Json:
    approval = server.require_approval
    return _given(
        {
            "type": "mcp",
            "server_label": server.server_label,
            "server_url": server.server_url,
            "connector_id": server.connector_id,
            "server_description": server.server_description,
            "allowed_tools": _allowed(server.allowed_tools),
            "require_approval": _approval(approval) if isinstance(approval, McpApproval) else approval,
            "headers": None if server.headers is None else dict(server.headers),
            "authorization": server.authorization,
        }
    )


def _allowed(tools: Sequence[str] | McpToolFilter | None) -> list[str] | Json | None:
    if isinstance(tools, McpToolFilter):
        return _filter(tools)
    return None if tools is None else list(tools)


def _filter(tools: McpToolFilter) -> Json:
    return _given({"tool_names": list(tools.tool_names) or None, "read_only": tools.read_only})


def _approval(approval: McpApproval) -> Json:
    filters = {"always": approval.always, "never": approval.never}
    return {name: _filter(tools) for name, tools in filters.items() if tools is not None}


def _difference(before: Json, after: Json, path: str) -> Json:
    changed: Json = {}
    for name in [*after, *(name for name in before if name not in after)]:
        old, new = before.get(name), after.get(name)
        if name not in after:
            raise ConfigError(f"{path}.{name}", None, "a value: what is left out stays as it is")
        if name in before and old == new:
            continue
        below = f"{path}.{name}"
        # What has a type is replaced whole; what merely groups settings is gone through.
        if below in _GROUPS and isinstance(old, dict) and isinstance(new, dict):
            changed[name] = _difference(old, new, below)
        else:
            changed[name] = new
    return changed


def _settings(settings: ServerVad | SemanticVad | Transcription) -> Json:
    return _given({each.name: getattr(settings, each.name) for each in fields(settings)})


def _given(values: Json) -> Json:
    return {name: value for name, value in values.items() if value is not None}
