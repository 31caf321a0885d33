"""Shapes of JSON values, and the error a value that does not fit is refused with. Pure.

A shape is a function of a value and its path (`session.audio.input`): it returns, or raises a `ClientError` that
names the path. Shapes are combined into the tables of `protocol_shapes`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

from .client_error import ClientError, invalid, missing, mistyped, unknown

Shape = Callable[[Any, str], None]

_NAMES: dict[type, str] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
}
_EXCERPT = 64


def _name_of(value: object) -> str:
    return "null" if value is None else _NAMES.get(type(value), "something else")


def _wrong_type(value: object, path: str, expected: str) -> ClientError:
    return mistyped(
        path, f"Invalid type for '{path}': expected {expected}, but got {_name_of(value)} instead."
    )


def _listed(values: tuple[str, ...]) -> str:
    quoted = [f"'{value}'" for value in values]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])}, and {quoted[-1]}"


def _excerpt(value: object) -> str:
    text = str(value)
    return text if len(text) <= _EXCERPT else text[:_EXCERPT] + "..."


def unsupported(value: object, path: str, allowed: tuple[str, ...]) -> ClientError:
    """Return the error for a value outside a closed set."""
    return invalid(path, f"Invalid value: '{_excerpt(value)}'. Supported values are: {_listed(allowed)}.")


def anything(value: object, path: str) -> None:
    """Accept every value."""


def flag(value: object, path: str) -> None:
    """Accept true and false."""
    if not isinstance(value, bool):
        raise _wrong_type(value, path, "a boolean")


def free_object(value: object, path: str) -> None:
    """Accept an object with any members (a JSON schema, say)."""
    if not isinstance(value, dict):
        raise _wrong_type(value, path, "an object")


def text(min_length: int = 0, max_length: int | None = None) -> Shape:
    """Accept a string of a length within bounds."""

    def check(value: object, path: str) -> None:
        if not isinstance(value, str):
            raise _wrong_type(value, path, "a string")
        if len(value) < min_length:
            raise invalid(path, f"Invalid '{path}': empty string. Expected at least {min_length} characters.")
        if max_length is not None and len(value) > max_length:
            raise ClientError(
                "string_above_max_length",
                f"Invalid '{path}': string too long. Expected a string with maximum length {max_length}, "
                f"but got a string with length {len(value)} instead.",
                path,
            )

    return check


def base64_bytes(max_length: int) -> Shape:
    """Accept a string that is base64, of a length within bounds."""

    def check(value: object, path: str) -> None:
        text(0, max_length)(value, path)
        try:
            base64.b64decode(str(value), validate=True)
        except (binascii.Error, ValueError) as error:
            raise invalid(path, f"Invalid '{path}'. Expected base64-encoded bytes.") from error

    return check


def number(low: float, high: float, *, whole: bool = False) -> Shape:
    """Accept a number from `low` to `high`, with `whole` only integers."""
    expected = "an integer" if whole else "a number"

    def check(value: object, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            raise _wrong_type(value, path, expected)
        if not low <= value <= high:
            raise invalid(
                path, f"Invalid '{path}': expected {expected} from {low} to {high}, but got {value}."
            )

    return check


def one_of(*values: str) -> Shape:
    """Accept one of the given strings."""

    def check(value: object, path: str) -> None:
        if not isinstance(value, str):
            raise _wrong_type(value, path, f"one of {_listed(values)}")
        if value not in values:
            raise unsupported(value, path, values)

    return check


def nullable(shape: Shape) -> Shape:
    """Accept null, or what `shape` accepts."""

    def check(value: object, path: str) -> None:
        if value is not None:
            shape(value, path)

    return check


def list_of(shape: Shape, max_items: int | None = None) -> Shape:
    """Accept an array whose members all fit `shape`."""

    def check(value: object, path: str) -> None:
        if not isinstance(value, list):
            raise _wrong_type(value, path, "an array")
        if max_items is not None and len(value) > max_items:
            raise invalid(path, f"Invalid '{path}': array too long. Expected at most {max_items} items.")
        for index, member in enumerate(value):
            shape(member, f"{path}[{index}]")

    return check


def record(fields: Mapping[str, Shape], *, required: tuple[str, ...] = ()) -> Shape:
    """Accept an object with these members and no others."""

    def check(value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(value, path, "an object")
        prefix = f"{path}." if path else ""
        for name in required:
            if name not in value:
                raise missing(prefix + name)
        for name, member in value.items():
            if name not in fields:
                raise unknown(prefix + _excerpt(name))
            fields[name](member, prefix + name)

    return check


def tagged(tag: str, choices: Mapping[str, Shape]) -> Shape:
    """Accept an object whose member `tag` says which of the shapes it has."""
    names = tuple(choices)

    def check(value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(value, path, "an object")
        tag_path = f"{path}.{tag}" if path else tag
        if tag not in value:
            raise missing(tag_path)
        kind = value[tag]
        if not isinstance(kind, str):
            raise _wrong_type(kind, tag_path, "a string")
        if kind not in choices:
            raise unsupported(kind, tag_path, names)
        choices[kind](value, path)

    return check


def by_json_type(**choices: Shape) -> Shape:
    """Accept a value by its JSON type: `by_json_type(str=..., dict=..., int=..., list=..., float=...)`."""
    expected = " or ".join(_NAMES[kind] for kind in (str, dict, list, int, float) if kind.__name__ in choices)

    def check(value: object, path: str) -> None:
        shape = choices.get(type(value).__name__)
        if shape is None:
            raise _wrong_type(value, path, expected)
        shape(value, path)

    return check


def mapping_of(shape: Shape, *, max_items: int, max_key_length: int) -> Shape:
    """Accept an object with free keys of bounded length whose members all fit `shape`."""

    def check(value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(value, path, "an object")
        if len(value) > max_items:
            raise invalid(path, f"Invalid '{path}': too many properties. Expected at most {max_items}.")
        for name, member in value.items():
            if len(name) > max_key_length:
                raise invalid(path, f"Invalid '{path}': a key is longer than {max_key_length} characters.")
            shape(member, f"{path}.{name}")

    return check


def no_deeper_than(levels: int, shape: Shape) -> Shape:
    """Accept what `shape` accepts, if objects and arrays in it are nested at most so deeply."""

    def check(value: object, path: str) -> None:
        if _is_deeper(value, levels):
            raise ClientError("invalid_value", f"The event is nested more than {levels} levels deep.")
        shape(value, path)

    return check


def _is_deeper(value: object, levels: int) -> bool:
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    if members is None:
        return False
    return levels == 0 or any(_is_deeper(member, levels - 1) for member in members)
