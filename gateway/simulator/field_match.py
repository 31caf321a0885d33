"""Whether an event has the fields that a test wants, and if not, which differ: partial, nested. Pure.

A wanted value is compared with what is in the event:

- a mapping wants its own keys and lets others be; a list or tuple wants as many elements, each compared likewise,
- a class wants an instance, a compiled regular expression a string that it finds something in, a function a true answer,
- `...` wants the field to be there, whatever is in it; `ABSENT` wants it not to be there,
- anything else wants an equal value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_MAX_SHOWN = 80


class _Absent:
    __slots__ = ()

    def __repr__(self) -> str:
        return "ABSENT"

    def __reduce__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
"""As a wanted value: the field is not there."""


def at_least(limit: float) -> Callable[[Any], bool]:
    """Want a number of `limit` or more."""
    return _named(f"at_least({limit})", lambda value: _is_number(value) and value >= limit)


def at_most(limit: float) -> Callable[[Any], bool]:
    """Want a number of `limit` or less."""
    return _named(f"at_most({limit})", lambda value: _is_number(value) and value <= limit)


def one_of(*values: Any) -> Callable[[Any], bool]:
    """Want one of these values."""
    return _named(f"one_of{values!r}", lambda value: value in values)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The fields that are wanted of an event.

    Args:
        fields: Pairs of a path and a value; see `wanted_fields`.
    """

    fields: tuple[tuple[tuple[str, ...], Any], ...] = ()

    def differences(self, event: Mapping[str, Any]) -> list[str]:
        """Return a line for each field that is not as wanted; none if the event matches."""
        return [line for path, value in self.fields for line in _differences(path, value, _at(event, path))]

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Tell whether the event has all that is wanted."""
        return not self.differences(event)

    def __str__(self) -> str:
        return ", ".join(f"{'.'.join(path)}={shown(value)}" for path, value in self.fields)


def wanted_fields(mapping: Mapping[str, Any], keywords: Mapping[str, Any]) -> Wanted:
    """Read what a test wants.

    Args:
        mapping: Fields as they are on the wire, nested.
        keywords: Fields whose names may be paths, joined by two underscores: `item__content__0__text="hi"`.
    """
    plain = [((name,), value) for name, value in mapping.items()]
    paths = [(tuple(name.split("__")), value) for name, value in keywords.items()]
    return Wanted((*plain, *paths))


def shown(value: Any) -> str:
    """Return a value for people: short, and predicates and classes by name."""
    if isinstance(value, type):
        return f"a {value.__name__}"
    if isinstance(value, re.Pattern):
        return f"/{value.pattern}/"
    if value is ...:
        return "..."
    if callable(value):
        return str(getattr(value, "__name__", value))
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}\u2026"


def _named(name: str, fn: Callable[[Any], bool]) -> Callable[[Any], bool]:
    fn.__name__ = name
    return fn


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _at(event: Any, path: Sequence[str]) -> Any:
    found = event
    for name in path:
        if isinstance(found, Mapping) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            return ABSENT
    return found


def _differences(path: tuple[str, ...], wanted: Any, got: Any) -> list[str]:
    if isinstance(wanted, Mapping) and isinstance(got, Mapping):
        return [
            line
            for name, value in wanted.items()
            for line in _differences((*path, str(name)), value, got.get(name, ABSENT))
        ]
    if isinstance(wanted, list | tuple) and isinstance(got, list) and len(wanted) == len(got):
        return [
            line
            for index, (value, found) in enumerate(zip(wanted, got, strict=True))
            for line in _differences((*path, str(index)), value, found)
        ]
    try:
        if _fits(wanted, got):
            return []
        why = "it is not there" if got is ABSENT else f"got {shown(got)}"
    except Exception as error:  # noqa: BLE001 - a test's own predicate
        why = f"asking it of {shown(got)} raised {error!r}"
    return [f"{'.'.join(path)}: expected {shown(wanted)}, {why}"]


def _fits(wanted: Any, got: Any) -> bool:
    if wanted is ABSENT or got is ABSENT:
        return wanted is got
    if wanted is ...:
        return True
    if isinstance(wanted, type):
        return isinstance(got, wanted)
    if isinstance(wanted, re.Pattern):
        return isinstance(got, str) and wanted.search(got) is not None
    if callable(wanted):
        return bool(wanted(got))
    # A bool is a number for Python, not for JSON.
    return isinstance(wanted, bool) == isinstance(got, bool) and bool(wanted == got)
