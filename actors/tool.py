"""Tools: ``@tool`` on a typed function, or any object with a descriptor and ``run``. Owns no thread and no socket."""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast, overload, runtime_checkable

from ..gateway.errors import ConfigError
from ..gateway.tool_descriptor import ToolDescriptor, descriptor_of
from .tool_arguments import convert_arguments
from .tool_context import ToolContext
from .tool_docstring import first_paragraph
from .tool_errors import ToolDefinitionError
from .tool_signature import read_signature

P = ParamSpec("P")
R = TypeVar("R")

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@runtime_checkable
class Tool(Protocol):
    """What a session can call: any object that describes itself and runs.

    It may have an attribute ``timeout_s: float | None`` as well, in seconds, that goes before ``Config(tool_timeout_s=)``.
    """

    @property
    def descriptor(self) -> ToolDescriptor:
        """What the model is told of it."""
        ...

    def run(self, arguments: dict[str, Any], ctx: ToolContext) -> Any:
        """Do the work, in a thread of its own, and return a result that JSON can hold; may be a coroutine function.

        Args:
            arguments: the JSON object that the model sent, decoded; to check it against the schema is up to the tool
                (raise :class:`ToolArgumentsError` to tell the model what is wrong).
            ctx: the call, and whether it has been cancelled.
        """
        ...


class FunctionTool(Generic[P, R]):
    """A function as a tool. Calling it calls the function, as if it were not decorated.

    It pickles by import path, as functions do.

    Attributes:
        descriptor: what the model is told.
        timeout_s: how long a call may take, in seconds; None: what the Config says.
    """

    descriptor: ToolDescriptor
    timeout_s: float | None

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        description: str | None = None,
        timeout_s: float | None = None,
        local_names: Mapping[str, Any] | None = None,
    ) -> None:
        self._options = (name, description, timeout_s)
        label = _label(function)
        _check_function(function, label)
        functools.update_wrapper(cast("Any", self), function, updated=())
        self._function = function
        self._signature = read_signature(function, label, local_names or {})
        self.timeout_s = _checked_timeout(timeout_s, label)
        try:
            self.descriptor = ToolDescriptor(
                _checked_name(function.__name__ if name is None else name, label),
                first_paragraph(function.__doc__) if description is None else description,
                self._signature.schema,
            )
        except ConfigError as error:
            raise ToolDefinitionError(
                label, None, f"cannot be described to a model ({error})", "change that"
            ) from error

    @property
    def function(self) -> Callable[P, R]:
        """The function itself."""
        return self._function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function."""
        return self._function(*args, **kwargs)

    def run(self, arguments: dict[str, Any], ctx: ToolContext) -> Any:
        """Call the function with the model's arguments, checked and converted.

        Raises:
            ToolArgumentsError: the arguments do not fit. The model's fault.
        """
        values = convert_arguments(self._signature.parameters, arguments)
        if self._signature.context is not None:
            values[self._signature.context] = ctx
        return cast("Callable[..., Any]", self._function)(**values)

    def __reduce__(self) -> str | tuple[Any, ...]:
        found: Any = sys.modules.get(self._function.__module__)
        path = self._function.__qualname__
        for part in path.split("."):
            found = getattr(found, part, None)
        if found is self:
            return path
        return _rebuild, (self._function, *self._options)

    def __repr__(self) -> str:
        return f"<tool {self.descriptor.name}>"


def _rebuild(
    function: Callable[..., Any], name: str | None, description: str | None, timeout_s: float | None
) -> FunctionTool[..., Any]:
    return FunctionTool(function, name=name, description=description, timeout_s=timeout_s)


@overload
def tool(
    function: Callable[P, R],
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_s: float | None = None,
) -> FunctionTool[P, R]: ...


@overload
def tool(
    *, name: str | None = None, description: str | None = None, timeout_s: float | None = None
) -> Callable[[Callable[P, R]], FunctionTool[P, R]]: ...


def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_s: float | None = None,
) -> Any:
    """Make a typed function, or a bound method, a tool.

    The parameters' annotations become the JSON Schema, the docstring's first paragraph the description, its ``Args:`` (or
    ``Annotated[T, "text"]``) the parameters' descriptions. A parameter named ``ctx``, or annotated with ToolContext, receives
    the :class:`ToolContext` and is not shown to the model. The function may be a coroutine function.

    Args:
        function: the function, when used without parentheses.
        name: the model's name for it: 1 to 64 letters, digits, ``_`` and ``-``; the function's own by default.
        description: instead of the docstring's first paragraph.
        timeout_s: how long a call may take, in seconds, before the session goes on without it.

    Raises:
        ToolDefinitionError: the function cannot be a tool; the text says why. The programmer's fault.
    """

    def decorate(decorated: Callable[..., Any]) -> FunctionTool[..., Any]:
        # names that string annotations may refer to, when a tool is defined inside a function
        local_names = sys._getframe(1 if function is None else 2).f_locals
        plain = decorated.function if isinstance(decorated, FunctionTool) else decorated
        return FunctionTool(
            plain, name=name, description=description, timeout_s=timeout_s, local_names=local_names
        )

    return decorate if function is None else decorate(function)


def as_tool(candidate: object) -> Tool:
    """Return a tool: the object itself if it is one, else :func:`tool` of a function or bound method.

    Raises:
        ToolDefinitionError: it is neither. The programmer's fault.
    """
    label = _label(candidate)
    if inspect.isroutine(candidate):
        return FunctionTool(candidate)
    try:
        descriptor = descriptor_of(candidate)
    except ConfigError as error:
        raise ToolDefinitionError(
            label,
            None,
            f"does not describe itself as a tool ({error})",
            "decorate a function with @tool, or pass an object with descriptor and run(arguments, ctx)",
        ) from error
    if not callable(getattr(candidate, "run", None)):
        raise ToolDefinitionError(
            label, None, "has a descriptor but nothing to call", "give it run(arguments, ctx)"
        )
    timeout_s = _checked_timeout(getattr(candidate, "timeout_s", None), label)
    if getattr(candidate, "descriptor", None) is descriptor:
        return cast(Tool, candidate)
    return _DescribedTool(descriptor, timeout_s, candidate)


@dataclass(frozen=True, slots=True)
class _DescribedTool:
    """An object whose descriptor is a mapping, with the descriptor read."""

    descriptor: ToolDescriptor
    timeout_s: float | None
    _tool: Any

    def run(self, arguments: dict[str, Any], ctx: ToolContext) -> Any:
        return self._tool.run(arguments, ctx)


def tool_timeout_s(candidate: Tool, default: float | None) -> float | None:
    """Return how long a call of this tool may take, in seconds: its own ``timeout_s``, else ``default``; None: no limit."""
    own = cast("float | None", getattr(candidate, "timeout_s", None))
    return default if own is None else own


def _label(candidate: object) -> str:
    name = getattr(candidate, "__qualname__", None)
    return name if isinstance(name, str) else f"<{type(candidate).__name__}>"


def _check_function(function: object, label: str) -> None:
    if isinstance(function, staticmethod | classmethod):
        kind = type(function).__name__
        raise ToolDefinitionError(label, None, f"is a {kind} object", f"put @tool below @{kind}")
    if not inspect.isroutine(function):
        raise ToolDefinitionError(
            label, None, "is not a function or a bound method", "wrap the call in a function with annotations"
        )
    inner = inspect.unwrap(function)
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        raise ToolDefinitionError(
            label, None, "yields, but a call has one result", "return the result, such as a list"
        )


def _checked_name(name: str, label: str) -> str:
    if _NAME.fullmatch(name):
        return name
    raise ToolDefinitionError(
        label,
        None,
        f"has the name {name!r}, but a model's tool names are 1 to 64 of a-z A-Z 0-9 _ -",
        'give it one: tool(name="...")',
    )


def _checked_timeout(timeout_s: object, label: str) -> float | None:
    if timeout_s is None:
        return None
    if isinstance(timeout_s, int | float) and timeout_s > 0 and timeout_s is not True:
        return timeout_s
    raise ToolDefinitionError(
        label, None, f"has timeout_s={timeout_s!r}", "use a number of seconds above 0, or None for no limit"
    )
