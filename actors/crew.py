"""A session's workers: who connects and who runs tools for it right now. Owns no thread: used in the session's own.

Starting never waits: the WorkerSupervisor's answer comes back as a :class:`WorkerStarted`, the worker's end as a Down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pykka

from ..gateway.tool_descriptor import ToolDescriptor
from ..supervision import BRUTAL_KILL, ChildSpec, Future, GenServer, StartChild, TerminateChild, cast, monitor
from .cancel_token import CancelToken
from .connect_worker import Attempt, ConnectWorker
from .effects import AskApproval, OpenLine, StartTool, StopTool
from .recipe import SessionRecipe
from .tool import Tool
from .tool_approval import Approver
from .tool_context import ToolContext
from .tool_outcome import ToolOutcome
from .tool_processes import ToolProcesses
from .tool_worker import ToolDone, ToolWorker

KILL_GRACE_S = 0.1  # a tool that does not look at its token is abandoned after this


@dataclass(frozen=True, slots=True)
class Tag:
    """Names a worker of one incarnation: the next one inherits news of it, and must not take it for its own.

    Attributes:
        key: an attempt's number, or a call_id.
    """

    kind: Literal["line", "tool"]
    key: str | int
    incarnation: int


@dataclass(frozen=True, slots=True)
class WorkerStarted:
    """To the session itself: the answer to a worker's start."""

    tag: Tag
    ref: pykka.ActorRef[Any] | None
    error: BaseException | None


@dataclass(slots=True)
class ToolAtWork:
    """A tool that runs for a session: it outlives a crash of the session's actor, and the next incarnation takes it over.

    Attributes:
        token: cancels it.
        ref: its worker, once that has started.
    """

    token: CancelToken
    ref: pykka.ActorRef[Any] | None = None


class _Allowed:
    """What runs when a call is allowed that the provider makes."""

    descriptor = ToolDescriptor("allowed")

    def run(self, arguments: dict[str, Any], ctx: ToolContext) -> None:
        return None


class Crew:
    """The workers of one incarnation of a session.

    Attributes:
        recipe: the session's, as it is now.

    Args:
        recipe: the session's.
        supervisor: the WorkerSupervisor's StableRef.
        me: the session's incarnation: answers are for it alone.
        session: the session's StableRef: what workers find out is for whichever incarnation is there.
        incarnation: which one this is.
        tools: the calls at work, by call_id; the table outlives the incarnation.
        processes: the broker's, for isolated tools.
    """

    def __init__(
        self,
        recipe: SessionRecipe,
        supervisor: pykka.ActorRef[Any],
        me: pykka.ActorRef[Any],
        session: pykka.ActorRef[Any],
        incarnation: int,
        tools: dict[str, ToolAtWork],
        processes: ToolProcesses,
    ) -> None:
        self.recipe = recipe
        self._supervisor = supervisor
        self._me = me
        self._session = session
        self._incarnation = incarnation
        self._attempt = 0
        self._tools = tools
        self._processes = processes
        # This and the refs of tools are entered in the supervisor's thread.
        self._lines: dict[Tag, pykka.ActorRef[Any]] = {}
        self._left = False
        self._dismissed = False

    def connect(self, effect: OpenLine) -> None:
        """Start a connection attempt."""
        self._attempt = effect.attempt
        recipe = self.recipe
        attempt = Attempt(self._incarnation, effect.attempt)
        args = (recipe.gateway, recipe.model, effect.timeout_s, attempt, self._session)
        self._start(self._tag("line", effect.attempt), ConnectWorker, args)

    def stop_connecting(self, attempt: int) -> None:
        """Give an attempt up, if it is still at work."""
        self._end(self._tag("line", attempt))

    def adopt(self) -> set[str]:
        """Take over the tools that outlived an earlier incarnation. Returns their call_ids."""
        for call_id, tool in self._tools.items():
            if tool.ref is not None:  # else it is being started: we shall hear of it
                # One that has ended may have told its outcome to the mailbox we inherit: its Down comes behind that.
                monitor(tool.ref, self._session, self._tag("tool", call_id))
        return set(self._tools)

    def start_tool(self, effect: StartTool) -> None:
        """Start a tool call."""
        tool = self.recipe.tools.get(effect.name)
        if tool is None:  # the session was given other tools while the call waited for its turn
            gone = ToolOutcome.failed(effect.call_id, effect.name, "unknown_tool")
            cast(self._me, ToolDone(gone))
            return
        approver = self._approver() if getattr(tool, "needs_approval", False) else None
        self._start_tool(effect, tool, approver)

    def ask_approval(self, effect: AskApproval) -> None:
        """Ask the application whether the provider may call an MCP server's tool."""
        self._start_tool(effect.call, _Allowed(), self._approver(), effect.server_label)

    def _approver(self) -> Approver:
        config = self.recipe.config
        return Approver(config.approve_tool, config.approval_timeout_s)

    def _start_tool(self, effect: StartTool, tool: Tool, *approval: Any) -> None:
        token = CancelToken()
        self._tools[effect.call_id] = ToolAtWork(token)
        context = ToolContext(
            effect.call_id, effect.name, self.recipe.session_id, effect.turn_id, token, effect.may_have_run
        )
        args = (tool, effect.arguments, context, self._session, self._processes, *approval)
        self._start(self._tag("tool", effect.call_id), ToolWorker, args)

    def stop_tool(self, effect: StopTool) -> None:
        """Cancel a tool call and end its worker."""
        tool = self._tools.pop(effect.call_id, None)
        if tool is not None:
            tool.token.cancel(effect.reason)
            self._terminate(tool.ref)

    def done(self, call_id: str) -> None:
        """A tool call has its outcome."""
        self._tools.pop(call_id, None)

    def started(self, started: WorkerStarted) -> object | None:
        """The supervisor answered, us or an earlier incarnation. Returns why there is no worker, None if there is one."""
        tag = self._tag(started.tag.kind, started.tag.key)
        if started.ref is None:
            return started.error or "not started"
        if tag.key == self._attempt if tag.kind == "line" else self._is_at_work(tag, started.ref):
            # By the way its own news takes, and so behind it: the StableRef holds messages until the session's start is known.
            monitor(started.ref, self._session, tag)
        else:
            self._terminate(started.ref)  # it was called off, or is done, before we heard of its start
        return None

    def down(self, tag: Tag, ref: pykka.ActorRef[Any]) -> bool:
        """A worker ended. Returns whether its work was still open: a call_id may come again, with a worker of its own."""
        if tag.kind == "line":
            self._lines.pop(tag, None)
            return True
        return self._is_at_work(tag, ref)

    def _is_at_work(self, tag: Tag, ref: pykka.ActorRef[Any]) -> bool:
        tool = self._tools.get(str(tag.key))
        return tool is not None and tool.ref == ref

    def leave(self) -> None:
        """This incarnation crashed: end its connection attempts, hire nobody any more; tools go on for the next one."""
        self._left = True
        for tag in list(self._lines):
            self._end(tag)

    def dismiss(self, reason: str) -> None:
        """End everybody, and hire nobody any more; from any thread."""
        self._dismissed = True
        self.leave()
        for tool in list(self._tools.values()):
            tool.token.cancel(reason)
            self._terminate(tool.ref)
        self._tools.clear()

    def _tag(self, kind: Literal["line", "tool"], key: str | int) -> Tag:
        return Tag(kind, key, self._incarnation)

    def _start(self, tag: Tag, actor: type[GenServer], args: tuple[Any, ...]) -> None:
        if self._left:
            return  # a zombie woke up
        spec = ChildSpec(
            f"{tag.kind} {tag.key}",
            actor,
            args,
            restart="temporary",
            shutdown=BRUTAL_KILL,
            kill_grace_s=KILL_GRACE_S,
        )
        answer = self._supervisor.ask(StartChild(spec), block=False)
        assert isinstance(answer, Future)
        answer.add_done_callback(lambda future: self._answered(tag, future))

    def _answered(self, tag: Tag, answer: Future[Any]) -> None:
        """Note the worker and tell the session; in the supervisor's thread."""
        error = answer.exception()
        ref = None if error is not None else answer.get()
        if ref is not None:
            self._note(tag, ref)
        # After it was noted: either we see the dismissal, or whoever dismisses sees the worker.
        if ref is not None and (self._dismissed or (self._left and tag.kind == "line")):
            self._tools.pop(str(tag.key), None)
            self._lines.pop(tag, None)
            self._terminate(ref)
        # Of a tool the next incarnation hears as well, if there is one already: its worker outlived the crash.
        cast(self._session if tag.kind == "tool" else self._me, WorkerStarted(tag, ref, error))

    def _note(self, tag: Tag, ref: pykka.ActorRef[Any]) -> None:
        if tag.kind == "line":
            self._lines[tag] = ref
        elif (tool := self._tools.get(str(tag.key))) is not None:
            tool.ref = ref

    def _end(self, tag: Tag) -> None:
        self._terminate(self._lines.pop(tag, None))

    def _terminate(self, ref: pykka.ActorRef[Any] | None) -> None:
        if ref is not None:
            self._supervisor.ask(TerminateChild(ref), block=False)
