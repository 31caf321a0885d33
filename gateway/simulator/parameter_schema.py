"""The parameters of an offered tool, read leniently from its JSON Schema. Pure.

What a schema says that makes no sense is taken as not said: a tool is the user's, and the simulator is no validator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_KINDS = frozenset(("string", "integer", "number", "boolean", "array", "object"))
_MAX_REFERENCES = 8  # a schema may refer to itself

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter.

    Args:
        name: Its name; the empty string for the members of an array.
        kind: A JSON Schema type, or "any" where the schema does not say.
        is_required: Whether a call has to have it.
        options: The values of its `enum`, if it has one.
        member: What its members are, if it is an array.
    """

    name: str
    kind: str
    is_required: bool
    options: tuple[Any, ...] = ()
    member: Parameter | None = None

    @property
    def is_numeric(self) -> bool:
        """Whether it wants a number that is not one of an enum."""
        return self.kind in ("integer", "number") and not self.options


def parameters_of(tool: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """Return the parameters of a tool in the order of its schema."""
    root = _object(tool.get("parameters"))
    required = root.get("required")
    names = required if isinstance(required, list) else []
    return tuple(
        _parameter(name, schema, root, name in names)
        for name, schema in _object(root.get("properties")).items()
    )


def _parameter(name: str, schema: object, root: Schema, is_required: bool) -> Parameter:
    resolved = _resolved(schema, root)
    kind = resolved.get("type")
    options = resolved.get("enum")
    member = _resolved(resolved.get("items"), root) if kind == "array" else None
    return Parameter(
        name=name,
        kind=kind if isinstance(kind, str) and kind in _KINDS else "any",
        is_required=is_required,
        options=tuple(options) if isinstance(options, list) else (),
        # An array of arrays is filled as one of anything: nobody says those in a sentence.
        member=None if member is None else _parameter("", {**member, "items": None}, root, is_required=True),
    )


def _resolved(schema: object, root: Schema) -> Schema:
    """Follow local references, and take the first alternative that is not null."""
    found = _object(schema)
    for _ in range(_MAX_REFERENCES):
        if "$ref" in found:
            found = _object(_object(root.get("$defs")).get(str(found["$ref"]).rsplit("/", 1)[-1]))
        elif isinstance(found.get("anyOf"), list):
            alternatives = [_object(option) for option in found["anyOf"]]
            found = next((option for option in alternatives if option.get("type") != "null"), {})
        elif isinstance(found.get("type"), list):
            found = {**found, "type": next((kind for kind in found["type"] if kind != "null"), "any")}
        else:
            return found
    return {}


def _object(value: object) -> Schema:
    return value if isinstance(value, dict) else {}
