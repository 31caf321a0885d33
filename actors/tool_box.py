"""The tools that a session can run right now: those of its configuration, and those of single responses. Owns nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..gateway.config import Config
from .errors import InvalidCommand
from .tool import Tool, as_tool, tool_terms
from .tool_errors import ToolDefinitionError
from .tool_terms import ToolTerms


class ToolBox:
    """Tools by name, with the terms of each.

    Attributes:
        tools: all of them.
        terms: on what terms they run, by name. Both stay the same objects.

    Args:
        config: the session's.
        tools: what can be run: the tools of the configuration, and those of earlier responses.
    """

    def __init__(self, config: Config, tools: Mapping[str, Tool]) -> None:
        self._config = config
        self._sessions = {descriptor.name for descriptor in config.tool_descriptors}
        self.tools: dict[str, Tool] = {}
        self.terms: dict[str, ToolTerms] = {}
        self._put(tools)

    def configured(self, config: Config) -> None:
        """The session has another configuration: its tools replace those of the last one."""
        for name in self._sessions:
            del self.tools[name]
            del self.terms[name]
        self._config = config
        tools = runnable_tools(config.tools)
        self._sessions = set(tools)
        self._put(tools)

    def check(self, candidates: Iterable[object] | None) -> None:
        """See whether tools could be run.

        Raises:
            ToolDefinitionError: one of them cannot. The caller's fault.
        """
        runnable_tools(candidates, approves=self._config.approve_tool is not None)

    def learn(self, candidates: Iterable[object] | None) -> bool:
        """Take in the tools of one response. Returns whether there was a new one.

        Raises:
            InvalidCommand: the session has another tool of that name. The caller's fault, as is
            ToolDefinitionError: one of them cannot be run.
        """
        tools = runnable_tools(candidates, approves=self._config.approve_tool is not None)
        for name, tool in tools.items():
            known = self.tools.get(name)
            if name in self._sessions and known is not None and not _same(known, tool):
                raise InvalidCommand(
                    f"the session has another tool {name!r}: give this response's a name of its own"
                )
        new = {name: tool for name, tool in tools.items() if name not in self._sessions}
        self._put(new)
        return bool(new)

    def _put(self, tools: Mapping[str, Tool]) -> None:
        self.tools.update(tools)
        self.terms.update({name: tool_terms(tool, self._config) for name, tool in tools.items()})


def runnable_tools(candidates: Iterable[object] | None, *, approves: bool = True) -> dict[str, Tool]:
    """Return tools by name. ``approves``: there is somebody to approve of calls.

    Raises:
        ToolDefinitionError: one of them cannot be run. The caller's fault.
    """
    tools = [as_tool(candidate) for candidate in candidates or ()]
    for one in tools:
        if getattr(one, "needs_approval", False) and not approves:
            problem = "needs approval, and there is nobody to give it"
            raise ToolDefinitionError(one.descriptor.name, None, problem, "set Config(approve_tool=...)")
    return {tool.descriptor.name: tool for tool in tools}


def _same(one: Tool, other: Tool) -> bool:
    return one is other or getattr(one, "function", one) is getattr(other, "function", other)
