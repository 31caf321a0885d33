"""The child processes of a broker's isolated tools: a warm one for each, more while calls need them. Owns processes.

A new process costs a tenth of a second or more, a call to a warm one less than a millisecond (``benchmarks/tools.py``), so
one is kept per tool; further ones end with their calls. What was cancelled was killed, and the next call starts anew.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from typing import Any, TypeGuard, cast

import msgspec

from .tool import FunctionTool, Tool
from .tool_context import ToolContext
from .tool_errors import ToolDefinitionError
from .tool_outcome import ToolFailureCode, ToolOutcome
from .tool_process import ToolProcess, ToolProcessEnded, origin_of
from .tool_wire import CallAnswer, RunCall, ToolOrigin

_log = logging.getLogger("trunkline.actors")


class _Lease:
    """One call's hold on a process: a late cancellation must not reach the call that has the process next."""

    def __init__(self, process: ToolProcess) -> None:
        self._lock = threading.Lock()
        self._process: ToolProcess | None = process
        self.killed = False

    def kill(self) -> None:
        with self._lock:
            if self._process is not None:
                self.killed = True
                self._process.kill()

    def release(self) -> None:
        with self._lock:
            self._process = None


class ToolProcesses:
    """The processes of one broker. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[ToolOrigin, ToolProcess] = {}
        self._all: set[ToolProcess] = set()
        self._importable: set[ToolOrigin] = set()
        self._closed = False

    def prepare(self, tools: Iterable[Tool]) -> None:
        """Start a process for each isolated tool that none has imported yet, and wait until they are ready.

        Raises:
            ToolDefinitionError: a process cannot import its tool. The programmer's fault.
        """
        origins = dict.fromkeys(origin_of(tool) for tool in tools if is_isolated(tool))
        new = [origin for origin in origins if origin not in self._importable]
        processes: list[ToolProcess] = []
        try:
            for origin in new:
                processes.append(self._start(origin))
            for process in processes:
                _get_ready(process)
        except BaseException:
            for process in processes:
                self._discard(process)
            raise
        self._importable.update(new)
        for process in processes:
            if not self._keep(process):
                self._discard(process)

    def check(self, candidates: object) -> None:
        """See whether the isolated tools among these can be imported, if there are any; what else they are is others' to check.

        Raises:
            ToolDefinitionError: a process cannot import its tool. The programmer's fault.
        """
        if isinstance(candidates, Sequence) and not self._closed:
            self.prepare(tool for tool in cast("Sequence[Tool]", candidates) if is_isolated(tool))

    def run(self, tool: FunctionTool[..., Any], raw_arguments: str, ctx: ToolContext) -> ToolOutcome:
        """Run one call in a process, and wait for it. The process is killed when the token is set.

        Returns:
            The outcome, whatever the process does.
        """
        try:
            try:
                return self._run(origin_of(tool), raw_arguments, ctx)
            except ToolProcessEnded as ended:
                if ended.begun:
                    raise
                # A warm one, which had died while it waited.
                return self._run(origin_of(tool), raw_arguments, ctx)
        except (OSError, ToolProcessEnded, ToolDefinitionError) as error:
            return _cancelled(ctx) if ctx.cancelled else _crashed(error, ctx)

    def _run(self, origin: ToolOrigin, raw_arguments: str, ctx: ToolContext) -> ToolOutcome:
        if ctx.cancelled:
            return _cancelled(ctx)
        call = RunCall(ctx.call_id, ctx.name, ctx.session_id, ctx.turn_id, raw_arguments, ctx.may_have_run)
        process = self._take(origin)
        lease = _Lease(process)
        take_back = ctx.token.on_cancel(lease.kill)
        try:
            process.get_ready()
            return _outcome(process.run(call), ctx)
        except BaseException:
            lease.kill()
            raise
        finally:
            take_back()
            lease.release()
            if lease.killed or not self._keep(process):
                self._discard(process)

    def close(self) -> None:
        """Kill all processes; whoever waits for one hears of it, and none is started any more."""
        with self._lock:
            self._closed = True
            processes, idle = list(self._all), list(self._idle.values())
            self._idle.clear()
        for process in processes:
            process.kill()
        for process in idle:  # a busy one is let go by the thread that uses it
            self._discard(process)

    def pids(self) -> list[int]:
        """Return the ids of the processes there are."""
        with self._lock:
            return [process.pid for process in self._all]

    def _take(self, origin: ToolOrigin) -> ToolProcess:
        with self._lock:
            process = self._idle.pop(origin, None)
        return self._start(origin) if process is None else process

    def _start(self, origin: ToolOrigin) -> ToolProcess:
        process = ToolProcess(origin)
        with self._lock:
            closed = self._closed
            if not closed:
                self._all.add(process)
        if closed:
            process.close()
            raise OSError("the broker is closed")
        return process

    def _keep(self, process: ToolProcess) -> bool:
        """Keep a process for the next call, if there is none for its tool yet."""
        with self._lock:
            keeps = not self._closed and process.origin not in self._idle
            if keeps:
                self._idle[process.origin] = process
            return keeps

    def _discard(self, process: ToolProcess) -> None:
        process.close()
        with self._lock:
            self._all.discard(process)


def _get_ready(process: ToolProcess) -> None:
    try:
        process.get_ready()
    except ToolProcessEnded as ended:
        name = f"{process.origin.module}.{process.origin.qualname}"
        problem = f"cannot be imported by the process that is to run it ({ended.how})"
        raise ToolDefinitionError(name, None, problem, "see what its module does") from ended


def is_isolated(tool: Tool) -> TypeGuard[FunctionTool[..., Any]]:
    """Whether a tool is to run in a process of its own."""
    return isinstance(tool, FunctionTool) and tool.isolation == "process"


def _outcome(answer: CallAnswer, ctx: ToolContext) -> ToolOutcome:
    if answer.code is None:
        result = answer.output if answer.is_text else msgspec.json.decode(answer.output)
        return ToolOutcome.succeeded(ctx.call_id, ctx.name, answer.output, result)
    code = cast(ToolFailureCode, answer.code)
    _log.warning(
        "tool %s failed in its process (%s)",
        ctx.name,
        code,
        extra={"session_id": ctx.session_id, "call_id": ctx.call_id},
    )
    return ToolOutcome.failed(ctx.call_id, ctx.name, code, answer.message, answer.detail)


def _crashed(error: Exception, ctx: ToolContext) -> ToolOutcome:
    _log.warning(
        "the process of tool %s ended (%s)",
        ctx.name,
        error,
        extra={"session_id": ctx.session_id, "call_id": ctx.call_id},
    )
    return ToolOutcome.failed(ctx.call_id, ctx.name, "crashed", detail=str(error))


def _cancelled(ctx: ToolContext) -> ToolOutcome:
    reason = ctx.cancel_reason or "cancelled"
    code: ToolFailureCode = "timeout" if reason == "timeout" else "cancelled"
    return ToolOutcome.failed(ctx.call_id, ctx.name, code, detail=reason)
