"""Checks of arguments, so that a wrong one fails in the caller and names itself. Pure."""

from __future__ import annotations

from .errors import InvalidSpec

__all__ = ["is_a", "is_count", "is_seconds", "require"]


def require(met: bool, field: str, value: object, allowed: str) -> None:
    """Raise InvalidSpec unless `met`."""
    if not met:
        raise InvalidSpec(field, value, allowed)


def is_a(value: object, kind: type | tuple[type, ...]) -> bool:
    """Return whether `value` is what its annotation promises: callers without a type checker break such promises."""
    return isinstance(value, kind)


def is_seconds(value: object) -> bool:
    """Return whether `value` is a duration: a number >= 0, inf included."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def is_count(value: object) -> bool:
    """Return whether `value` is an int >= 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
