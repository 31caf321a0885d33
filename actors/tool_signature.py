"""What a typed function asks the model for: its parameters, and which of them receives the ToolContext. Pure."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from .tool_context import ToolContext
from .tool_docstring import argument_descriptions
from .tool_errors import ToolDefinitionError
from .tool_schema import Schema, describe, object_schema, own_description, set_default, why_not_describable

_MISSING = inspect.Parameter.empty
_JSON_TYPES = (
    "use JSON's types (str, int, float, bool, None, list, dict, Literal, Enum), a dataclass, "
    "a TypedDict or a msgspec.Struct"
)


@dataclass(frozen=True, slots=True)
class ToolParameter:
    """One parameter that the model fills in.

    Attributes:
        name: its name, in Python and on the wire.
        annotation: its type, resolved.
        required: whether it has no default.
        schema: its JSON Schema.
    """

    name: str
    annotation: Any
    required: bool
    schema: Schema


@dataclass(frozen=True, slots=True)
class ToolSignature:
    """A tool function's parameters.

    Attributes:
        parameters: those that the model fills in, in order.
        context: the name of the one that gets the ToolContext, or None.
        schema: the JSON Schema of the arguments object.
    """

    parameters: tuple[ToolParameter, ...]
    context: str | None
    schema: Schema


@dataclass(frozen=True, slots=True)
class _Scope:
    """Where a parameter's annotation is looked up."""

    label: str
    global_names: dict[str, Any]
    local_names: Mapping[str, Any]

    def refuse(self, parameter: str | None, problem: str, advice: str) -> ToolDefinitionError:
        return ToolDefinitionError(self.label, parameter, problem, advice)


def read_signature(function: Callable[..., Any], label: str, local_names: Mapping[str, Any]) -> ToolSignature:
    """Read what ``function`` takes.

    Args:
        function: a function or a bound method.
        label: its name in error messages.
        local_names: what string annotations may name, besides the function's globals.

    Raises:
        ToolDefinitionError: a parameter that no model could fill in. The programmer's fault.
    """
    scope = _scope(function, label, local_names)
    context: str | None = None
    taken: list[tuple[inspect.Parameter, Any]] = []
    for parameter in _parameters(function, scope):
        _check_kind(parameter, scope)
        if not _takes_context(parameter, scope):
            taken.append((parameter, _checked(_resolve(parameter, scope), parameter, scope)))
        elif context is None:
            context = parameter.name
        else:
            raise scope.refuse(parameter.name, "is a second ToolContext parameter", "keep one of them")
    return _signature(taken, context, argument_descriptions(function.__doc__))


def _signature(
    taken: list[tuple[inspect.Parameter, Any]], context: str | None, documented: Mapping[str, str]
) -> ToolSignature:
    schemas, definitions = describe([annotation for _, annotation in taken])
    parameters: list[ToolParameter] = []
    for (parameter, annotation), schema in zip(taken, schemas, strict=True):
        description = own_description(annotation) or documented.get(parameter.name)
        if description:
            schema["description"] = description
        set_default(schema, parameter.default)
        parameters.append(ToolParameter(parameter.name, annotation, parameter.default is _MISSING, schema))
    properties = {parameter.name: parameter.schema for parameter in parameters}
    required = [parameter.name for parameter in parameters if parameter.required]
    return ToolSignature(tuple(parameters), context, object_schema(properties, required, definitions))


def _scope(function: Callable[..., Any], label: str, local_names: Mapping[str, Any]) -> _Scope:
    inner = inspect.unwrap(function)
    inner = getattr(inner, "__func__", inner)
    return _Scope(label, getattr(inner, "__globals__", {}), local_names)


def _parameters(function: Callable[..., Any], scope: _Scope) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError, NameError) as error:
        raise scope.refuse(
            None, f"has no readable signature ({error})", "wrap it in a function with annotations"
        ) from error


def _check_kind(parameter: inspect.Parameter, scope: _Scope) -> None:
    if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        raise scope.refuse(
            parameter.name, "takes any number of arguments", "name each parameter that the model may set"
        )
    if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
        raise scope.refuse(
            parameter.name, "is positional-only, but a model names its arguments", "remove the '/'"
        )


def _takes_context(parameter: inspect.Parameter, scope: _Scope) -> bool:
    annotation = parameter.annotation
    if isinstance(annotation, str) and annotation.rpartition(".")[2] == ToolContext.__name__:
        return True  # imported under `if TYPE_CHECKING:`, it cannot be resolved, and need not be
    if annotation is _MISSING:
        return parameter.name == "ctx"
    annotation = _resolve(parameter, scope)
    if annotation is ToolContext or ToolContext in typing.get_args(annotation):
        return True
    if parameter.name == "ctx" and annotation is not Any:
        raise scope.refuse(
            "ctx", "is not annotated as a ToolContext, which a parameter of this name receives", "rename it"
        )
    return parameter.name == "ctx"


def _resolve(parameter: inspect.Parameter, scope: _Scope) -> Any:
    if parameter.annotation is _MISSING:
        advice = "annotate it with its type"
        if parameter.name in ("self", "cls"):
            advice = "decorate no method in its class, write tool(obj.method)"
        raise scope.refuse(parameter.name, "has no annotation", advice)
    holder = SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    try:
        hints = typing.get_type_hints(holder, scope.global_names, scope.local_names, include_extras=True)
    except Exception as error:  # an annotation is an arbitrary expression
        raise scope.refuse(
            parameter.name,
            f"has the annotation {parameter.annotation!r}, which cannot be resolved ({error})",
            "define or import that name at run time, before the tool",
        ) from error
    return hints[parameter.name]


def _checked(annotation: Any, parameter: inspect.Parameter, scope: _Scope) -> Any:
    error = why_not_describable(annotation)
    if error is None:
        return annotation
    lines = str(error).strip().splitlines() or [type(error).__name__]
    raise scope.refuse(
        parameter.name, f"has a type that has no JSON form ({lines[-1]})", _JSON_TYPES
    ) from error
