"""Arguments for a tool, picked out of what the user said. Pure.

A stand-in for a model's understanding: by the types and names of the parameters it takes numbers, names, codes, quotes
and choices from the text. Where the user names several things, it makes several calls.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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

Schema = Mapping[str, Any]
Arguments = dict[str, Any]

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+\w")
_URL = re.compile(r"https?://[^\s\"'<>]+")
_DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}\b|\b(?:today|tomorrow|tonight|yesterday)\b", re.IGNORECASE)
_PATTERNS = ((_EMAIL, ADDRESS_PARAMETERS), (_URL, LINK_PARAMETERS), (_DATE, DATE_PARAMETERS))
_DIRECTIONS = {"from": ORIGIN_PARAMETERS, "to": TARGET_PARAMETERS}
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
    root = tool.get("parameters") or {}
    properties = {name: _resolved(spec, root) for name, spec in (root.get("properties") or {}).items()}
    required = [name for name in root.get("required") or () if name in properties]
    without = name_words(tool) | words_in(" ".join(properties).replace("_", " "))
    choices = {
        name: values
        for name, spec in properties.items()
        if (values := _values_for(name, spec, text, without, name in required))
    }
    _spread_strings(choices, properties, required)
    calls = _combined(choices, _number_groups(properties, required, text), required)
    return Filled(calls, [name for name in required if name not in calls[0]])


def placeholder(tool: Tool, name: str) -> Any:
    """Return a value of a parameter's type, for a call that must be made although the text says nothing."""
    root = tool.get("parameters") or {}
    spec = _resolved((root.get("properties") or {}).get(name) or {}, root)
    if spec.get("enum"):
        return spec["enum"][0]
    blanks: dict[str, Any] = {"integer": 0, "number": 0, "boolean": False, "array": [], "object": {}}
    return blanks.get(spec.get("type", "string"), "")


def _resolved(spec: Schema, root: Schema) -> Schema:
    """Follow a local `$ref`, and take the first alternative of `anyOf` that is not null."""
    for _ in range(8):  # a schema may refer to itself
        if "$ref" in spec:
            name = str(spec["$ref"]).rsplit("/", 1)[-1]
            spec = (root.get("$defs") or {}).get(name) or {}
        elif spec.get("anyOf"):
            spec = next((option for option in spec["anyOf"] if option.get("type") != "null"), {})
        elif isinstance(spec.get("type"), list):
            kinds = [kind for kind in spec["type"] if kind != "null"]
            spec = {**spec, "type": kinds[0] if kinds else "string"}
        else:
            break
    return spec


def _values_for(name: str, spec: Schema, text: str, without: frozenset[str], is_required: bool) -> list[Any]:
    if spec.get("enum"):
        return _enum_values(spec["enum"], text)
    kind = spec.get("type", "string")
    if kind == "boolean":
        return _boolean_value(name, text)
    if kind == "array":
        return _array_value(name, spec, text, without)
    if kind == "string":
        return _string_values(name, text, without, is_required)
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


def _array_value(name: str, spec: Schema, text: str, without: frozenset[str]) -> list[Any]:
    members = spec.get("items") or {}
    if members.get("type") in ("integer", "number"):
        values: list[Any] = list(numbers_in(text))
    else:
        values = _values_for(name, members, text, without, is_required=True)
    return [values] if values else []


def _string_values(name: str, text: str, without: frozenset[str], is_required: bool) -> list[Any]:
    words = words_in(name.replace("_", " "))
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
    if found or not is_required:
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


def _spread_strings(
    choices: dict[str, list[Any]], properties: Mapping[str, Schema], required: Sequence[str]
) -> None:
    """Where several required strings found the same names, give them out one each instead of all to all."""
    alike = [
        name
        for name in required
        if name in choices and properties[name].get("type") == "string" and not properties[name].get("enum")
    ]
    if len(alike) < 2 or any(choices[name] != choices[alike[0]] for name in alike):
        return
    values = choices[alike[0]]
    for index, name in enumerate(alike):
        choices[name] = values[index : index + 1]
        if not choices[name]:
            del choices[name]


def _number_groups(
    properties: Mapping[str, Schema], required: Sequence[str], text: str
) -> list[dict[str, float | int]]:
    """Deal the numbers of a text out to the numeric parameters; more than once round makes more than one call."""
    numeric = [name for name, spec in properties.items() if spec.get("type") in ("integer", "number")]
    if not numeric:
        return []
    numbers: list[float | int] = [
        int(value) if isinstance(value, float) and value.is_integer() else value for value in numbers_in(text)
    ]
    needed = [name for name in numeric if name in required] or numeric
    names = numeric if len(numbers) == len(numeric) else needed
    n_rounds = len(numbers) // len(names) if len(numbers) % len(names) == 0 else 1
    rounds = [numbers[i * len(names) : (i + 1) * len(names)] for i in range(max(1, n_rounds))]
    return [dict(zip(names, dealt, strict=False)) for dealt in rounds if dealt]


def _combined(
    choices: Mapping[str, list[Any]], groups: Sequence[Mapping[str, Any]], required: Sequence[str]
) -> list[Arguments]:
    """Return one call per thing named: the parameter with the most values decides how many."""
    driving = max(
        (name for name in required if name in choices), key=lambda name: len(choices[name]), default=None
    )
    n_calls = max(len(choices[driving]) if driving else 1, len(groups), 1)
    calls: list[Arguments] = []
    for index in range(n_calls):
        call: Arguments = {name: values[min(index, len(values) - 1)] for name, values in choices.items()}
        if groups:
            call.update(groups[min(index, len(groups) - 1)])
        calls.append(call)
    return calls
