"""The checks behind every setting: each returns the value in its final form or raises ``ConfigError``. Pure.

What they return is plain (no StrEnum, no numpy float), because the encoder takes nothing else. They take ``object``, because what
arrives comes from people and files: no value, however hostile, raises anything else.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from functools import wraps
from typing import Any, TypeVar

import msgspec

from .errors import ConfigError

_Settings = TypeVar("_Settings")


def settings(path: str = "") -> Callable[[type[_Settings]], type[_Settings]]:
    """Have a dataclass refuse a setting that it does not have as it refuses a value, with a hint at the one that was meant.

    Args:
        path: goes before the name in the error, as in ``turn_detection.threshold``.
    """

    def with_hints(cls: type[_Settings]) -> type[_Settings]:
        known, take = names_of(cls), cls.__init__

        @wraps(take)
        def check_and_take(self: _Settings, *args: Any, **given: Any) -> None:
            known_setting(known, given, path)
            take(self, *args, **given)

        cls.__init__ = check_and_take  # type: ignore[method-assign, assignment] # of the same signature
        return cls

    return with_hints


def names_of(cls: type) -> tuple[str, ...]:
    """Return the names of the settings that a dataclass takes, in order."""
    return tuple(each.name for each in fields(cls) if each.init)


def known_setting(known: Sequence[str], given: Iterable[str], path: str = "") -> None:
    """Refuse the first of the given names that is no setting."""
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(known)}"
            # not the value: what was meant may be a secret
            raise ConfigError(path + name, "...", f"a setting that exists: {hint}")


def listed(choices: Sequence[str]) -> str:
    """Return choices as text: ``a, b or c``."""
    return " or ".join(filter(None, (", ".join(choices[:-1]), choices[-1])))


def one_of(field: str, value: object, allowed: Iterable[str], *or_else: str) -> str:
    """Return the value if it is one of the allowed strings; ``or_else`` names what the caller accepts besides."""
    names = tuple(allowed)
    if isinstance(value, str) and value in names:
        return names[names.index(value)]  # ours, not a StrEnum's member
    raise ConfigError(field, value, listed([*(f'"{name}"' for name in names), *or_else]))


def text(field: str, value: object, *, empty: bool = False, what: str = "") -> str:
    """Return the value if it is a string that can be written as UTF-8, and not blank unless ``empty``."""
    allowed = what or ("text" if empty else "text that is not empty")
    if not isinstance(value, str) or not (empty or value.strip()):
        raise ConfigError(field, value, allowed)
    try:
        return value.encode().decode()  # a plain str, whatever subclass it was
    except UnicodeEncodeError:
        raise ConfigError(field, value, f"{allowed}, without lone surrogates") from None


def number(field: str, value: object, low: float, high: float) -> float:
    """Return the value as a float if it is a number within the bounds, both included."""
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
        return float(value)
    raise ConfigError(field, value, f"a number from {low:g} to {high:g}")


def seconds(field: str, value: object, *, limit_s: float = 86_400.0) -> float:
    """Return a duration in seconds: more than none and, because clocks and sockets have their limits, at most a day."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= limit_s:
        return float(value)
    raise ConfigError(field, value, f"seconds, more than 0 and at most {limit_s:g}")


def integer(field: str, value: object, low: int, high: int | None = None, *, or_else: str = "") -> int:
    """Return the value if it is an integer within the bounds, both included."""
    if isinstance(value, int) and not isinstance(value, bool):
        whole = int(value)
        if whole >= low and (high is None or whole <= high):
            return whole
    upto = f"from {low} to {high}" if high is not None else f"of at least {low}"
    raise ConfigError(field, value, f"an integer {upto}{or_else}")


def flag(field: str, value: object) -> bool:
    """Return the value if it is True or False, and nothing that merely behaves so."""
    if isinstance(value, bool):
        return value
    raise ConfigError(field, value, "True or False")


def items(field: str, value: object, what: str) -> tuple[Any, ...]:
    """Return a list or tuple as a tuple; a string or a mapping, though iterable, is neither."""
    if isinstance(value, list | tuple):
        return tuple(value)
    raise ConfigError(field, value, f"a list or tuple of {what}")


def texts(field: str, value: object) -> tuple[str, ...]:
    """Return a list or tuple of strings as a tuple."""
    return tuple(text(f"{field}[{i}]", item) for i, item in enumerate(items(field, value, "text")))


def json_object(field: str, value: object) -> dict[str, Any]:
    """Return a deep copy of a mapping that JSON can hold, in plain dicts, lists, strings and numbers."""
    allowed = "a dict with text as keys and what JSON can hold as values"
    if not isinstance(value, Mapping):
        raise ConfigError(field, value, allowed)
    try:
        copy = msgspec.json.decode(msgspec.json.encode(dict(value)))
    except Exception as error:  # the values run their own code while they are encoded
        raise ConfigError(field, value, f"{allowed}: {error}") from error
    return dict(copy)
