"""Arguments for a tool, picked out of what the user said. Pure.

A stand-in for a model's understanding: by the types and names of the parameters it takes numbers, names, codes, quotes
and choices from the text. Where the user names several things, it makes several calls.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .parameter_schema import Parameter, parameters_of
from .text_findings import codes_in, content_of, names_in, numbers_in, objects_in, quoted_in
from .tool_matching import Tool, name_words, words_in
from .vocabulary import (
    ADDRESS_PARAMETERS,
    CODE_PARAMETERS,
    DATE_PARAMETERS,
    LINK_PARAMETERS,
    ORIGIN_PARAMETERS,
    TARGET_PARAMETERS,
    TEXT_PARAMETERS,
)

Arguments = dict[str, Any]

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+\w")
_URL = re.compile(r"https?://[^\s\"'<>]+")
_DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}\b|\b(?:today|tomorrow|tonight|yesterday)\b", re.IGNORECASE)
_PATTERNS = ((_EMAIL, ADDRESS_PARAMETERS), (_URL, LINK_PARAMETERS), (_DATE, DATE_PARAMETERS))
_DIRECTIONS = {"from": ORIGIN_PARAMETERS, "to": TARGET_PARAMETERS}
_BLANKS: Mapping[str, Any] = {"integer": 0, "number": 0, "boolean": False, "array": [], "object": {}}
_AFTER_TEXT_CUE = re.compile(r"\b(?:about|for|that|saying|says|say)\b\s*:?\s+(.+?)[?!.]*$|:\s+(.+?)[?!.]*$")


@dataclass(frozen=True, slots=True)
class Filled:
    """What could be made of a text.

    Args:
        calls: The arguments of each call; one at least.
        missing: Required parameters that the text says nothing about.
    """

    calls: Sequence[Arguments]
    missing: Sequence[str]


def fill(tool: Tool, text: str) -> Filled:
    """Return the arguments that a text gives a tool."""
    parameters = parameters_of(tool)
    without = name_words(tool) | words_in(
        " ".join(parameter.name for parameter in parameters).replace("_", " ")
    )
    choices = {
        parameter.name: values
        for parameter in parameters
        if (values := _values_for(parameter, text, without))
    }
    _spread_strings(choices, parameters)
    calls = _combined(choices, _number_groups(parameters, text), parameters)
    missing = [one.name for one in parameters if one.is_required and one.name not in calls[0]]
    return Filled(calls, missing)


def placeholders(tool: Tool, names: Sequence[str]) -> Arguments:
    """Return values of the right types, for a call that must be made although the text says nothing."""
    return {
        parameter.name: parameter.options[0] if parameter.options else _BLANKS.get(parameter.kind, "")
        for parameter in parameters_of(tool)
        if parameter.name in names
    }


def _values_for(parameter: Parameter, text: str, without: frozenset[str]) -> list[Any]:
    if parameter.options:
        return _enum_values(parameter.options, text)
    match parameter.kind:
        case "boolean":
            return _boolean_value(parameter.name, text)
        case "array":
            return _array_value(parameter, text, without)
        case "string":
            return _string_values(parameter, text, without)
        case "any" if parameter.is_required:
            return _string_values(parameter, text, without)
        case _:
            return []


def _enum_values(options: Sequence[Any], text: str) -> list[Any]:
    found: list[tuple[int, Any]] = []
    for option in options:
        match = re.search(rf"\b{re.escape(str(option))}\b", text, re.IGNORECASE)
        if match:
            found.append((match.start(), option))
    return [option for _, option in sorted(found, key=lambda pair: pair[0])]


def _boolean_value(name: str, text: str) -> list[Any]:
    spoken = name.replace("_", " ")
    if re.search(rf"\b(?:no|without|not)\s+{re.escape(spoken)}\b", text, re.IGNORECASE):
        return [False]
    return [True] if re.search(rf"\b{re.escape(spoken)}\b", text, re.IGNORECASE) else []


def _array_value(parameter: Parameter, text: str, without: frozenset[str]) -> list[Any]:
    member = parameter.member
    if member is None:
        return []
    # Its members have no name of their own: the array's says what they are.
    named = replace(member, name=parameter.name)
    values: list[Any] = list(numbers_in(text)) if member.is_numeric else _values_for(named, text, without)
    return [values] if values else []


def _string_values(parameter: Parameter, text: str, without: frozenset[str]) -> list[Any]:
    words = words_in(parameter.name.replace("_", " "))
    for pattern, cue in _PATTERNS:
        if words & cue and (found := pattern.findall(text)):
            return found
    for preposition, cue in _DIRECTIONS.items():
        if words & cue and (found := _after(preposition, text, without)):
            return found
    if words & CODE_PARAMETERS:
        return codes_in(text) or quoted_in(text)
    if words & TEXT_PARAMETERS:
        return quoted_in(text) or _free_text(text)
    found = quoted_in(text) or names_in(text, without)
    if found or not parameter.is_required:
        return found
    return _spoken_names(text, without)


def _after(preposition: str, text: str, without: frozenset[str]) -> list[Any]:
    match = re.search(rf"\b{preposition}\s+([^?!.,;]+?)(?=\s+(?:to|from|and|on|at|in)\b|[?!.,;]|$)", text)
    spoken = content_of(match.group(1), without) if match else ""
    return [spoken] if spoken else []


def _free_text(text: str) -> list[Any]:
    match = _AFTER_TEXT_CUE.search(text)
    return [next(part for part in match.groups() if part) if match else text]


def _spoken_names(text: str, without: frozenset[str]) -> list[Any]:
    """Return names that were typed in lower case: what prepositions point at, else all that is left."""
    found = objects_in(text, without)
    if not found:
        rest = content_of(text, without)
        found = [rest] if rest else []
    return [name.title() if name.islower() else name for name in found]


def _spread_strings(choices: dict[str, list[Any]], parameters: Sequence[Parameter]) -> None:
    """Where several required strings found the same names, give them out one each instead of all to all."""
    alike = [
        one.name
        for one in parameters
        if one.is_required and one.kind == "string" and not one.options and one.name in choices
    ]
    if len(alike) < 2 or any(choices[name] != choices[alike[0]] for name in alike):
        return
    values = choices[alike[0]]
    for index, name in enumerate(alike):
        choices[name] = values[index : index + 1]
        if not choices[name]:
            del choices[name]


def _number_groups(parameters: Sequence[Parameter], text: str) -> list[dict[str, float | int]]:
    """Deal the numbers of a text out to the numeric parameters; more than once round makes more than one call."""
    numeric = [one for one in parameters if one.is_numeric]
    if not numeric:
        return []
    numbers = numbers_in(text)
    needed = [one for one in numeric if one.is_required] or numeric
    names = [one.name for one in (numeric if len(numbers) == len(numeric) else needed)]
    n_rounds = len(numbers) // len(names) if len(numbers) % len(names) == 0 else 1
    rounds = [numbers[i * len(names) : (i + 1) * len(names)] for i in range(max(1, n_rounds))]
    return [dict(zip(names, dealt, strict=False)) for dealt in rounds if dealt]


def _combined(
    choices: Mapping[str, list[Any]], groups: Sequence[Mapping[str, Any]], parameters: Sequence[Parameter]
) -> list[Arguments]:
    """Return one call per thing named: the required parameter with the most values decides how many."""
    n_values = [len(choices[one.name]) for one in parameters if one.is_required and one.name in choices]
    calls: list[Arguments] = []
    for index in range(max([1, len(groups), *n_values])):
        call: Arguments = {name: values[min(index, len(values) - 1)] for name, values in choices.items()}
        if groups:
            call.update(groups[min(index, len(groups) - 1)])
        calls.append(call)
    return calls
