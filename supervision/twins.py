"""The asker's copy of the exception that ended an actor: raising it must not change the exit reason. Pure.

`raise` prepends to an exception's traceback and may set its context. The exception that ended an actor is its exit reason,
which supervisors, watchers and reports in other threads hold: nobody raises that object again.
"""

from __future__ import annotations

from types import GetSetDescriptorType, MemberDescriptorType
from typing import TypeVar

__all__ = ["twin_of"]

E = TypeVar("E", bound=BaseException)

_NOT_COPIED = ("args", "__dict__", "__weakref__", "__suppress_context__")


def twin_of(error: E) -> E:
    """Return an exception of the same type with the same content and traceback, but its own.

    Neither `__init__` nor `__reduce__` runs: they may want other arguments than `args`. What an exception holds is not copied.
    One that cannot be made this way (its `__new__` wants other arguments) is returned itself: two threads share it, as in pykka.
    """
    kind = type(error)
    try:
        twin = kind.__new__(kind, *error.args)
        if type(twin) is not kind or twin is error:
            return error
        twin.args = error.args
        vars(twin).update(vars(error))
    except Exception:  # noqa: BLE001  # the exception's own code, which is not ours to fail for
        return error
    if "__notes__" in vars(twin):
        twin.__notes__ = list(twin.__notes__)
    # Fields in C or in slots: errno and filename of an OSError, code of a SystemExit, cause, context and traceback of all.
    for base in reversed(kind.__mro__):
        for name, field in vars(base).items():
            if isinstance(field, MemberDescriptorType | GetSetDescriptorType) and name not in _NOT_COPIED:
                _copy_field(error, twin, name)
    twin.__suppress_context__ = error.__suppress_context__  # last: to set a cause sets it
    return twin


def _copy_field(error: BaseException, twin: BaseException, name: str) -> None:
    try:
        value = getattr(error, name)
        # An OSError words a None that was set otherwise than one that was not.
        if value is not getattr(twin, name, None):
            setattr(twin, name, value)
    except Exception:  # noqa: BLE001  # not set, or read-only: __new__ saw to it
        pass
