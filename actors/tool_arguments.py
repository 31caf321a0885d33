"""From the model's text to a tool's arguments, and what the model is told when they do not fit. Pure.

The model's JSON is checked strictly first, parameter by parameter. What fails is tried once more, leniently, because
models write ``"5"`` for 5 and ``5.0`` for 5: a text becomes a number, a truth value or null only where the schema allows
no text, and no parameter is changed that was valid as it came.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import msgspec

from .tool_errors import ToolArgumentsError
from .tool_signature import ToolParameter

_PATH = re.compile(r"^(?P<problem>.*?)(?: - at `(?:key in )?\$(?P<path>[^`]*)`)?$", re.DOTALL)
_MAX_PROBLEMS = 8
_MAX_TEXT = 200


def parse_arguments(raw: str) -> dict[str, Any]:
    """Decode a call's ``arguments``. Empty means none.

    Raises:
        ToolArgumentsError: it is no JSON, or no object. The model's fault.
    """
    if not raw.strip():
        return {}
    try:
        arguments = msgspec.json.decode(raw)
    except (ValueError, RecursionError) as error:  # ValueError: msgspec's errors, and text that is no Unicode
        raise ToolArgumentsError(
            f"The arguments are not valid JSON ({_shorten(error)}). Send one JSON object."
        ) from error
    if not isinstance(arguments, dict):
        kind = _KINDS.get(type(arguments), "another value")
        raise ToolArgumentsError(f"The arguments are {kind}. Send one JSON object, like {{}}.")
    return cast("dict[str, Any]", arguments)


_KINDS: dict[type, str] = {
    list: "an array",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}


def convert_arguments(parameters: Sequence[ToolParameter], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments as the types that the function asks for.

    Raises:
        ToolArgumentsError: one is missing, unknown, or of another type; the message names all of them. The model's fault.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for parameter in parameters:
        if parameter.name in arguments:
            try:
                values[parameter.name] = _convert(arguments[parameter.name], parameter.annotation)
            except msgspec.ValidationError as error:
                problems.append(_problem(parameter, error))
        elif parameter.required:
            problems.append(f"`{parameter.name}`: missing, and required")
    problems.extend(_unknown(parameters, arguments))
    if problems:
        more = len(problems) - _MAX_PROBLEMS
        rest = f"; and {more} more" if more > 0 else ""
        raise ToolArgumentsError(f"Invalid arguments. {'; '.join(problems[:_MAX_PROBLEMS])}{rest}.")
    return values


def _convert(value: Any, annotation: Any) -> Any:
    try:
        return msgspec.convert(value, annotation)
    except msgspec.ValidationError as error:
        try:
            return msgspec.convert(_whole_numbers(value), annotation, strict=False)
        except msgspec.ValidationError:
            raise error from None  # the strict reading names the type that is wanted


def _whole_numbers(value: Any) -> Any:
    """JSON Schema counts 5.0 as an integer; msgspec does not."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole_numbers(part) for part in value]
    if isinstance(value, dict):
        return {key: _whole_numbers(part) for key, part in cast("dict[str, Any]", value).items()}
    return value


def _problem(parameter: ToolParameter, error: msgspec.ValidationError) -> str:
    match = _PATH.match(str(error))
    problem, path = (match["problem"], match["path"] or "") if match else (str(error), "")
    choices = parameter.schema.get("enum")
    if choices and not path:
        problem += f", expected one of {msgspec.json.encode(choices).decode()}"
    return f"`{parameter.name}{path}`: {_shorten(problem)}"


def _unknown(parameters: Sequence[ToolParameter], arguments: Mapping[str, Any]) -> Iterator[str]:
    known = {parameter.name for parameter in parameters}
    for name in arguments:
        if name not in known:
            yield f"`{_shorten(name)}`: unknown, this tool takes {', '.join(sorted(known)) or 'no arguments'}"


def _shorten(value: object) -> str:
    text = str(value)
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 3] + "..."
