"""ToolWorker: one tool call, in an actor of its own. Owns a thread: the tool runs in it.

Whatever the tool does to this thread (``sys.exit()``, an endless loop, a crash in C) it does to nobody else: the session
monitors the worker and makes an outcome of its end. A tool with a process of its own runs there, while this thread waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pykka

from ..supervision import NORMAL, Exit, ExitReason, GenServer, Monitor, cast, crash_points, watch
from .tool import Tool
from .tool_approval import Approver, ToolApproval
from .tool_arguments import parse_arguments
from .tool_call import run_tool
from .tool_context import ToolContext
from .tool_outcome import ToolFailureCode, ToolOutcome
from .tool_processes import ToolProcesses, is_isolated


@dataclass(frozen=True, slots=True)
class ToolDone:
    """To the session: how a call ended."""

    outcome: ToolOutcome


@dataclass(frozen=True, slots=True)
class ToolApproved:
    """To the session: a call was allowed, and runs from now on."""

    call_id: str


class ToolWorker(GenServer):
    """Runs one call, tells the session, ends.

    Args:
        tool: what to run; None if nobody offers a tool of this name any more.
        arguments: the call's arguments, as the model wrote them.
        context: the call, with the token that cancels it.
        session: the session's StableRef: the outcome reaches whichever incarnation is there.
        processes: where a tool with ``isolation="process"`` runs.
        approver: must allow the call first; None if nobody needs to.
        server_label: the remote MCP server that would make the call, if it is not ours to make.
    """

    def __init__(
        self,
        tool: Tool,
        arguments: str,
        context: ToolContext,
        session: pykka.ActorRef[Any],
        processes: ToolProcesses,
        approver: Approver | None = None,
        server_label: str | None = None,
    ) -> None:
        super().__init__()
        self._tool = tool
        self._arguments = arguments
        self._context = context
        self._session = session
        self._processes = processes
        self._approver = approver
        self._server_label = server_label
        self._session_monitor: Monitor | None = None

    def handle_continue(self) -> None:
        """Run the tool: after the supervisor's start is acknowledged, before any message."""
        # The session is gone for good: whatever the tool finds out, nobody waits for it.
        self._session_monitor = watch(
            self._session, lambda _reason: self._context.token.cancel("session_closed")
        )
        try:
            if crash_points.armed:
                crash_points.reach("tool_worker.before_run")
            outcome = self._refused() or self._run()
            if crash_points.armed:
                crash_points.reach("tool_worker.after_run")
        except (
            BaseException
        ) as error:  # said here: the session may begin to monitor this worker after its end
            self._tell(self._failed("crashed", f"{type(error).__name__}: {error}"))
            raise
        self._tell(outcome)
        raise Exit(NORMAL)

    def _tell(self, outcome: ToolOutcome) -> None:
        cast(self._session, ToolDone(outcome))

    def _failed(self, code: ToolFailureCode, detail: str) -> ToolOutcome:
        return ToolOutcome.failed(self._context.call_id, self._context.name, code, detail=detail)

    def _refused(self) -> ToolOutcome | None:
        if self._approver is None:
            return None
        context = self._context
        question = ToolApproval(
            context.session_id,
            context.turn_id,
            context.call_id,
            context.name,
            parse_arguments(self._arguments),
            self._server_label,
        )
        refusal = self._approver.refusal(question, context.token)
        if context.cancelled:
            return None  # to run it is to find that out
        if refusal is not None:
            return self._failed("denied", refusal)
        cast(self._session, ToolApproved(context.call_id))
        return None

    def _run(self) -> ToolOutcome:
        if is_isolated(self._tool):
            return self._processes.run(self._tool, self._arguments, self._context)
        return run_tool(self._tool, self._arguments, self._context)

    def terminate(self, reason: ExitReason) -> None:
        """Forget the monitor."""
        if self._session_monitor is not None:
            self._session_monitor.cancel()

    def on_kill(self) -> None:
        """The killer's thread: the tool cannot be killed, but it can be told; its process, if it has one, is killed by that."""
        self._context.token.cancel("killed")
