"""What the model is told about a tool, whoever runs it. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from . import checks
from .errors import ConfigError

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAME_ALLOWED: Final = "1 to 64 letters, digits, underscores and hyphens"


def _no_parameters() -> dict[str, Any]:
    return {"type": "object", "properties": {}}


@dataclass(frozen=True, slots=True)
class ToolDescriptor:
    """A function tool: its name, what it is for, and the JSON Schema of its arguments.

    Attributes:
        name: how the model calls it.
        description: when and how to use it, in words for the model.
        parameters: a JSON Schema with ``"type": "object"``; copied.

    Source: RealtimeFunctionTool.
    """

    name: str
    description: str = ""
    parameters: dict[str, Any] = field(default_factory=_no_parameters)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", _checked_name("tool.name", self.name))
        object.__setattr__(self, "description", checks.text("tool.description", self.description, empty=True))
        schema = checks.json_object("tool.parameters", self.parameters)
        if schema.get("type") != "object":
            raise ConfigError("tool.parameters", schema, 'a JSON Schema with "type": "object"')
        object.__setattr__(self, "parameters", schema)


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Make the model call this one tool. Source: ToolChoiceFunction."""

    name: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", _checked_name("tool_choice.name", self.name))


class Described(Protocol):
    """Anything that can be offered as a tool: it says what the model is told."""

    @property
    def descriptor(self) -> ToolDescriptor:
        """What the model is told about this tool."""
        ...


def descriptor_of(tool: object, where: str = "tools") -> ToolDescriptor:
    """Return the descriptor of a tool.

    Args:
        tool: a `ToolDescriptor`, or an object whose ``descriptor`` is one or is OpenAI's tool dict, flat or with ``function``.
        where: the field to name in an error.

    Raises:
        ConfigError: it is neither. The fault of whoever offers the tool.
    """
    if isinstance(tool, ToolDescriptor):
        return tool
    allowed = "tools: functions made by @tool, objects with a descriptor, or ToolDescriptor(name, description, parameters)"
    if isinstance(tool, type):
        raise ConfigError(where, tool, f"{allowed}; this is a class, not an instance of it")
    try:
        descriptor: object = getattr(tool, "descriptor", None)
    except Exception as error:  # a property of somebody else's object
        raise ConfigError(
            where, tool, f"{allowed}; its descriptor raised {type(error).__name__}: {error}"
        ) from error
    if isinstance(descriptor, ToolDescriptor):
        return descriptor
    if isinstance(descriptor, Mapping):
        return _from_mapping(checks.json_object(where, descriptor))
    raise ConfigError(where, tool, allowed)


def _from_mapping(described: dict[str, Any]) -> ToolDescriptor:
    function = described.get("function", described)
    inner = checks.json_object("tool.function", function)
    parameters = inner.get("parameters")
    return ToolDescriptor(
        inner.get("name", ""),
        inner.get("description") or "",
        _no_parameters() if parameters is None else parameters,
    )


def _checked_name(where: str, name: object) -> str:
    if isinstance(name, str) and (match := _NAME.fullmatch(name)):
        return match[0]
    raise ConfigError(where, name, _NAME_ALLOWED)
