"""What can be said of a tool beside its function: name, limits, where it runs, who must allow it. Pure."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self, TypeAlias, TypedDict, get_args

from .tool_errors import ToolDefinitionError

Isolation: TypeAlias = Literal["thread", "process"]


class ToolOptions(TypedDict, total=False):
    """The keyword arguments of ``@tool``.

    Attributes:
        name: the model's name for it: 1 to 64 letters, digits, ``_`` and ``-``; the function's own by default.
        description: instead of the docstring's first paragraph.
        timeout_s: how long a call may take, in seconds, before the session goes on without it.
        isolation: where it runs: in a "thread", which can be told to stop and no more than that, or in a "process" of its own,
            which is killed when the call is cancelled or takes too long. The child process imports the function, so
            that must be at the top level of a module; arguments and results go over as JSON.
        background: an interruption by the user does not stop it: its output is submitted when it is there, whatever
            ``Config(on_interrupt=)`` says of others.
        needs_approval: each call waits until ``Config(approve_tool=)`` allows it.
    """

    name: str | None
    description: str | None
    timeout_s: float | None
    isolation: Isolation
    background: bool
    needs_approval: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSettings:
    """The options of one tool, checked; see :class:`ToolOptions`."""

    name: str | None = None
    description: str | None = None
    timeout_s: float | None = None
    isolation: Isolation = "thread"
    background: bool = False
    needs_approval: bool = False

    @classmethod
    def of(cls, options: Mapping[str, Any], label: str) -> Self:
        """Return the settings that these options make.

        Raises:
            ToolDefinitionError: there is no such option. The programmer's fault.
        """
        known = [each.name for each in fields(cls)]
        for name in options:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                advice = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
                raise ToolDefinitionError(
                    label, None, f"has an option {name!r} that @tool does not know", advice
                )
        return cls(**options)

    def check(self, function: Callable[..., Any], label: str) -> None:
        """Check all but the name, for this function.

        Raises:
            ToolDefinitionError: an option cannot be so. The programmer's fault.
        """
        checked_timeout(self.timeout_s, label)
        for option in ("background", "needs_approval"):
            checked_flag(option, getattr(self, option), label)
        if self.isolation not in get_args(Isolation):
            problem = f"has isolation={self.isolation!r}"
            raise ToolDefinitionError(label, None, problem, 'use "thread" or "process"')
        bound = inspect.ismethod(function) or not function.__module__
        if self.isolation == "process" and (bound or "<" in function.__qualname__):
            problem = "cannot be imported by the process that is to run it"
            raise ToolDefinitionError(
                label, None, problem, "define the function at the top level of a module"
            )


def checked_timeout(timeout_s: object, label: str) -> float | None:
    """Return a time limit, if it is one.

    Raises:
        ToolDefinitionError: it is none. The programmer's fault.
    """
    if timeout_s is None:
        return None
    if isinstance(timeout_s, int | float) and timeout_s > 0 and timeout_s is not True:
        return timeout_s
    raise ToolDefinitionError(
        label, None, f"has timeout_s={timeout_s!r}", "use a number of seconds above 0, or None for no limit"
    )


def checked_flag(option: str, value: object, label: str) -> bool:
    """Return True or False, if it is one of them.

    Raises:
        ToolDefinitionError: it is neither. The programmer's fault.
    """
    if isinstance(value, bool):
        return value
    raise ToolDefinitionError(label, None, f"has {option}={value!r}", "use True or False")
