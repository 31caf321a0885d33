"""Tools: ``@tool`` on a typed function, or any object with a descriptor and ``run``. Owns no thread and no socket."""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, Unpack, cast, overload, runtime_checkable

from ..gateway.config import Config
from ..gateway.errors import ConfigError
from ..gateway.tool_descriptor import ToolDescriptor, descriptor_of
from .tool_arguments import convert_arguments
from .tool_context import ToolContext
from .tool_docstring import first_paragraph
from .tool_errors import ToolDefinitionError
from .tool_options import Isolation, ToolOptions, ToolSettings, checked_flag, checked_timeout
from .tool_signature import read_signature
from .tool_terms import ToolTerms

P = ParamSpec("P")
R = TypeVar("R")

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@runtime_checkable
class Tool(Protocol):
    """What a session can call: any object that describes itself and runs.

    It may have attributes as well: ``timeout_s: float | None``, in seconds, that goes before ``Config(tool_timeout_s=)``,
    ``background: bool`` and ``needs_approval: bool``, as the options of :func:`tool`.
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
        isolation: whether it runs in a thread or in a process of its own.
        background: whether it goes on when the user interrupts.
        needs_approval: whether each call has to be allowed.
    """

    descriptor: ToolDescriptor
    timeout_s: float | None
    isolation: Isolation
    background: bool
    needs_approval: bool

    def __init__(
        self,
        function: Callable[P, R],
        local_names: Mapping[str, Any] | None = None,
        **options: Unpack[ToolOptions],
    ) -> None:
        self._options = options
        label = _label(function)
        settings = ToolSettings.of(options, label)
        _check_function(function, label)
        settings.check(function, label)
        functools.update_wrapper(cast("Any", self), function, updated=())
        self._function = function
        self._signature = read_signature(function, label, local_names or {})
        self.timeout_s = settings.timeout_s
        self.isolation = settings.isolation
        self.background = settings.background
        self.needs_approval = settings.needs_approval
        name, description = settings.name, settings.description
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
        return _rebuild, (self._function, self._options)

    def __repr__(self) -> str:
        return f"<tool {self.descriptor.name}>"


def _rebuild(function: Callable[..., Any], options: ToolOptions) -> FunctionTool[..., Any]:
    return FunctionTool(function, **options)


@overload
def tool(function: Callable[P, R], /, **options: Unpack[ToolOptions]) -> FunctionTool[P, R]: ...


@overload
def tool(**options: Unpack[ToolOptions]) -> Callable[[Callable[P, R]], FunctionTool[P, R]]: ...


def tool(function: Callable[..., Any] | None = None, /, **options: Unpack[ToolOptions]) -> Any:
    """Make a typed function, or a bound method, a tool.

    The parameters' annotations become the JSON Schema, the docstring's first paragraph the description, its ``Args:`` (or
    ``Annotated[T, "text"]``) the parameters' descriptions. A parameter named ``ctx``, or annotated with ToolContext, receives
    the :class:`ToolContext` and is not shown to the model. The function may be a coroutine function.

    Args:
        function: the function, when used without parentheses.
        options: ``name``, ``description``, ``timeout_s``, ``isolation``, ``background``, ``needs_approval``; see
            :class:`ToolOptions`.

    Returns:
        What goes into ``Config(tools=[...])`` and can still be called as the function it was; with options alone, what
        makes one of a function.

    Raises:
        ToolDefinitionError: the function cannot be a tool; the text says why. The programmer's fault.
    """

    def decorate(decorated: Callable[..., Any]) -> FunctionTool[..., Any]:
        # names that string annotations may refer to, when a tool is defined inside a function
        local_names = sys._getframe(1 if function is None else 2).f_locals
        plain = decorated.function if isinstance(decorated, FunctionTool) else decorated
        return FunctionTool(plain, local_names=local_names, **options)

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
    timeout_s = checked_timeout(getattr(candidate, "timeout_s", None), label)
    background, needs_approval = (
        checked_flag(option, getattr(candidate, option, False), label)
        for option in ("background", "needs_approval")
    )
    if getattr(candidate, "descriptor", None) is descriptor:
        return cast(Tool, candidate)
    return _DescribedTool(descriptor, timeout_s, background, needs_approval, candidate)


@dataclass(frozen=True, slots=True)
class _DescribedTool:
    """An object whose descriptor is a mapping, with the descriptor read."""

    descriptor: ToolDescriptor
    timeout_s: float | None
    background: bool
    needs_approval: bool
    _tool: Any

    def run(self, arguments: dict[str, Any], ctx: ToolContext) -> Any:
        return self._tool.run(arguments, ctx)


def tool_terms(candidate: Tool, config: Config) -> ToolTerms:
    """Return on what terms calls of this tool run: its own, else the Config's."""
    own = cast("float | None", getattr(candidate, "timeout_s", None))
    needs_approval = bool(getattr(candidate, "needs_approval", False))
    return ToolTerms(
        timeout_s=config.tool_timeout_s if own is None else own,
        approval_s=config.approval_timeout_s if needs_approval else 0.0,
        background=bool(getattr(candidate, "background", False)),
    )


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
