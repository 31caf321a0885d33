"""The checks of the settings that a session and a single response have in common. Pure.

Each takes the field's name, because the two do not always call it the same, and returns the value in its final form.
"""

from collections.abc import Collection
from typing import Any, Final, Literal, TypeAlias, cast

from . import checks
from .errors import ConfigError
from .hosted import Prompt
from .mcp import Mcp, McpToolChoice
from .tool_descriptor import Described, ToolChoice, ToolDescriptor, descriptor_of
from .wire_types import VoiceId

Modality: TypeAlias = Literal["audio", "text"]
AudioFormatName: TypeAlias = Literal["pcm16", "g711_ulaw", "g711_alaw"]
ReasoningEffort: TypeAlias = Literal["minimal", "low", "medium", "high", "xhigh"]
AnyToolChoice: TypeAlias = Literal["auto", "none", "required"] | ToolChoice | McpToolChoice
Tool: TypeAlias = Described | ToolDescriptor

FORMATS: Final = ("pcm16", "g711_ulaw", "g711_alaw")
EFFORTS: Final = ("minimal", "low", "medium", "high", "xhigh")
_MODALITIES: Final = ("audio", "text")


def modalities(field: str, value: object) -> tuple[Modality, ...]:
    """Return what the model answers with: audio, text or both."""
    given = checks.items(field, value, '"audio" and "text"')
    chosen = tuple(checks.one_of(field, each, _MODALITIES) for each in given)
    if not chosen or len(set(chosen)) < len(chosen):
        raise ConfigError(field, chosen, '["audio", "text"], ["audio"] or ["text"]')
    return cast(tuple[Modality, ...], chosen)


def output_modalities(chosen: Collection[Modality]) -> tuple[Modality, ...]:
    """Return what the wire calls the modalities: exactly one."""
    return ("audio",) if "audio" in chosen else ("text",)


def voice(field: str, value: object) -> str | VoiceId:
    """Return a built-in voice's name, or a custom voice."""
    if isinstance(value, VoiceId):
        checks.text(f"{field}.id", value.id)
        return value
    return checks.text(field, value)


def output_tokens(field: str, value: object, more: str) -> int | Literal["inf"]:
    """Return a limit of tokens; ``more`` says what else there is to do about it."""
    if isinstance(value, str) and value == "inf":
        return "inf"
    return checks.integer(field, value, 1, 4096, or_else=f' or "inf"{more}')


def prompt(field: str, value: object) -> Prompt:
    """Return a stored prompt."""
    if isinstance(value, Prompt):
        return value
    raise ConfigError(field, value, 'Prompt("pmpt_...", version=..., variables=...) or None')


def tools(field: str, value: object) -> tuple[tuple[Any, ...], tuple[ToolDescriptor, ...]]:
    """Return tools, and what they say of themselves, by names that differ."""
    given = checks.items(field, value, "tools")
    described = tuple(descriptor_of(tool, f"{field}[{i}]") for i, tool in enumerate(given))
    _refuse_twins(field, [tool.name for tool in described], "one tool called {}: names must differ")
    return given, described


def mcp_servers(field: str, value: object) -> tuple[Mcp, ...]:
    """Return MCP servers, by labels that differ."""
    given = checks.items(field, value, "Mcp(...)")
    for i, server in enumerate(given):
        if not isinstance(server, Mcp):
            raise ConfigError(f"{field}[{i}]", type(server).__name__, "Mcp(server_label=..., server_url=...)")
    _refuse_twins(
        field, [server.server_label for server in given], "one server called {}: labels must differ"
    )
    return given


def tool_choice(
    field: str, value: object, names: Collection[str] | None, labels: Collection[str] | None
) -> AnyToolChoice:
    """Return a tool choice that can be followed.

    Args:
        field: its name.
        value: the choice.
        names: the tools that are offered; None if that is not known here.
        labels: the MCP servers that are offered; None if that is not known here.
    """
    if isinstance(value, ToolChoice):
        if names is not None and value.name not in names:
            raise ConfigError(field, value.name, f"the name of a tool that is offered ({_listed(names)})")
        return value
    if isinstance(value, McpToolChoice):
        if labels is not None and value.server_label not in labels:
            allowed = f"the label of an MCP server that is offered ({_listed(labels)})"
            raise ConfigError(field, value.server_label, allowed)
        return value
    choices = ("auto", "none", "required")
    word = checks.one_of(field, value, choices, "ToolChoice(name)", "McpToolChoice(server_label)")
    if word == "required" and names is not None and labels is not None and not (names or labels):
        raise ConfigError(field, word, '"auto" or "none" when no tool is offered')
    return cast(AnyToolChoice, word)


def _refuse_twins(field: str, names: list[str], allowed: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(field, names, allowed.format(name))


def _listed(names: Collection[str]) -> str:
    return ", ".join(names) or "none is offered"
