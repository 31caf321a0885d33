"""The errors of tools: defining one, calling one, and what a tool raises to speak to the model. Pure. All of them pickle."""

from __future__ import annotations

from typing import Any


class ToolError(Exception):
    """Raise this in a tool to tell the model what went wrong: its text is the only one of an exception that the model sees.

    The texts of all other exceptions stay on this side (they may hold internals): they go to the log and to
    ``ToolFailure.detail``.

    Attributes:
        message: a sentence for the model.
    """

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message,)


class ToolArgumentsError(ToolError):
    """The model's arguments do not fit the tool. The model's fault: the message tells it what to send instead."""


class ToolResultError(ToolError):
    """The tool's result cannot be written as JSON. The tool's fault: it must return what msgspec can encode.

    Attributes:
        detail: what could not be encoded, for the log; the model sees ``message`` alone.
    """

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.detail)


class ToolCancelled(ToolError):
    """The call was cancelled while the tool ran. Nobody's fault: raised by ``ctx.raise_if_cancelled()`` to leave the tool.

    Attributes:
        reason: why, as the canceller put it (``"barge_in"``, ``"timeout"``, ``"closed"`` ...).
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"The call was cancelled ({reason}).")
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reason,)


class ToolDefinitionError(TypeError):
    """A function or an object cannot be a tool. The programmer's fault, raised where the tool is defined, never during a call.

    Attributes:
        function: the name of what was to become a tool.
        parameter: the parameter at fault, or None when it is the function itself.
        problem: what is wrong with it.
        advice: what to do about it.
    """

    def __init__(self, function: str, parameter: str | None, problem: str, advice: str) -> None:
        self.function = function
        self.parameter = parameter
        self.problem = problem
        self.advice = advice
        super().__init__(function, parameter, problem, advice)

    def __str__(self) -> str:
        where = f"parameter {self.parameter!r} of " if self.parameter else ""
        return f"not a tool: {where}{self.function} {self.problem}; {self.advice}"
