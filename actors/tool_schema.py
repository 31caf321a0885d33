"""From the annotations of a tool's parameters to the JSON Schema that the model is given. Pure."""

from __future__ import annotations

import inspect
import math
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeAlias, cast

import msgspec

Schema: TypeAlias = dict[str, Any]

_PREFIX = "#/$defs/"


def why_not_describable(annotation: Any) -> Exception | None:
    """Return why msgspec can neither describe nor decode this type, or None if it can."""
    try:
        msgspec.json.schema_components([annotation])
        msgspec.json.Decoder(annotation)
    except Exception as error:  # noqa: BLE001 - msgspec evaluates whatever the user's types refer to
        return error
    return None


def describe(annotations: Sequence[Any]) -> tuple[list[Schema], Schema]:
    """Return the schema of each type, and the definitions that they refer to.

    A definition stands where it is used; only those that contain themselves are left in the second value, for ``$defs``.
    """
    schemas, definitions = msgspec.json.schema_components(list(annotations), ref_template=_PREFIX + "{name}")
    return _inline_all(list(schemas), definitions)


def own_description(annotation: Any) -> str | None:
    """Return the text of ``Annotated[T, "text"]`` or ``Annotated[T, msgspec.Meta(description="text")]``, or None."""
    if typing.get_origin(annotation) is not Annotated:
        return None
    for note in annotation.__metadata__:
        if isinstance(note, str):
            return note
        if isinstance(note, msgspec.Meta) and note.description:
            return note.description
    return None


def set_default(schema: Schema, default: Any) -> None:
    """Note a parameter's default in its schema, if JSON can hold it."""
    if default is inspect.Parameter.empty:
        return
    try:
        plain = msgspec.to_builtins(default, str_keys=True)
    except (TypeError, ValueError, RecursionError):
        return  # Python knows the default; the model need not
    if not (isinstance(plain, float) and not math.isfinite(plain)):
        schema["default"] = plain


def object_schema(properties: Mapping[str, Schema], required: Sequence[str], definitions: Schema) -> Schema:
    """Return the schema of an object with these properties and no others."""
    schema: Schema = {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }
    if definitions:
        schema["$defs"] = definitions
    return schema


def _inline_all(schemas: list[Schema], definitions: Mapping[str, Any]) -> tuple[list[Schema], Schema]:
    """Put each definition where it is referred to, but for those that contain themselves."""
    recursive = frozenset(name for name in definitions if name in _reachable(name, definitions))
    inlined = [cast(Schema, _inline(schema, definitions, recursive)) for schema in schemas]
    roots: set[str] = set()
    for schema in inlined:
        roots.update(_references(schema))
    needed = roots.union(*(_reachable(name, definitions) for name in roots)) & recursive
    return inlined, {name: _inline(definitions[name], definitions, recursive) for name in sorted(needed)}


def _inline(node: Any, definitions: Mapping[str, Any], recursive: frozenset[str]) -> Any:
    if isinstance(node, list):
        return [_inline(part, definitions, recursive) for part in node]
    if not isinstance(node, dict):
        return node
    schema = cast(Schema, node)
    parts = {
        key: _inline(part, definitions, recursive)
        for key, part in schema.items()
        if not _is_discriminator(key, part)
    }
    name = _reference(schema)
    if name is None or name in recursive:
        return parts
    del parts["$ref"]
    return {**_inline(definitions[name], definitions, recursive), **parts}


def _is_discriminator(key: str, part: Any) -> bool:
    # its mapping points at definitions that are no longer there; a property may have this name too, but not this shape
    return key == "discriminator" and isinstance(part, dict) and {"propertyName", "mapping"} == part.keys()


def _reference(schema: Schema) -> str | None:
    target = schema.get("$ref")
    return target.removeprefix(_PREFIX) if isinstance(target, str) else None


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for part in node:
            yield from _references(part)
    elif isinstance(node, dict):
        schema = cast(Schema, node)
        name = _reference(schema)
        if name is not None:
            yield name
        for part in schema.values():
            yield from _references(part)


def _reachable(start: str, definitions: Mapping[str, Any]) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for name in _references(definitions[waiting.pop()]):
            if name not in found:
                found.add(name)
                waiting.append(name)
    return found
