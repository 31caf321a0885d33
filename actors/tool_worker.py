"""ToolWorker: one tool call, in an actor of its own. Owns a thread: the tool runs in it.

Whatever the tool does to this thread (``sys.exit()``, an endless loop, a crash in C) it does to nobody else: the session
monitors the worker and makes an outcome of its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pykka

from ..supervision import NORMAL, Exit, ExitReason, GenServer, Monitor, cast, crash_points, watch
from .tool import Tool
from .tool_call import run_tool
from .tool_context import ToolContext
from .tool_outcome import ToolOutcome


@dataclass(frozen=True, slots=True)
class ToolDone:
    """To the session: how a call ended."""

    outcome: ToolOutcome


class ToolWorker(GenServer):
    """Runs one call, tells the session, ends.

    Args:
        tool: what to run; None if nobody offers a tool of this name any more.
        arguments: the call's arguments, as the model wrote them.
        context: the call, with the token that cancels it.
        session: the session's StableRef: the outcome reaches whichever incarnation is there.
    """

    def __init__(
        self, tool: Tool, arguments: str, context: ToolContext, session: pykka.ActorRef[Any]
    ) -> None:
        super().__init__()
        self._tool = tool
        self._arguments = arguments
        self._context = context
        self._session = session
        self._session_monitor: Monitor | None = None

    def handle_continue(self) -> None:
        """Run the tool: after the supervisor's start is acknowledged, before any message."""
        # The session is gone for good: whatever the tool finds out, nobody waits for it.
        self._session_monitor = watch(
            self._session, lambda _reason: self._context.token.cancel("session_closed")
        )
        if crash_points.armed:
            crash_points.reach("tool_worker.before_run")
        outcome = run_tool(self._tool, self._arguments, self._context)
        if crash_points.armed:
            crash_points.reach("tool_worker.after_run")
        cast(self._session, ToolDone(outcome))
        raise Exit(NORMAL)

    def terminate(self, reason: ExitReason) -> None:
        """Forget the monitor."""
        if self._session_monitor is not None:
            self._session_monitor.cancel()

    def on_kill(self) -> None:
        """The killer's thread: the tool cannot be killed, but it can be told."""
        self._context.token.cancel("killed")
