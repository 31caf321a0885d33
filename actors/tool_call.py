"""Run one tool call to its outcome, whatever the tool does. Owns no thread: it runs in its caller's, a ToolWorker's own."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from .cancel_token import CancelToken
from .tool_arguments import parse_arguments
from .tool_errors import ToolArgumentsError, ToolCancelled, ToolError, ToolResultError
from .tool_outcome import ToolFailureCode, ToolOutcome
from .tool_result import serialise_result

if TYPE_CHECKING:
    from .tool import Tool
    from .tool_context import ToolContext

_log = logging.getLogger("trunkline.actors")

_MAX_DETAIL = 500
#: What a coroutine left running behind it gets to end, in seconds, before its loop is closed under it.
_LEFTOVERS_S = 1.0


def run_tool(tool: Tool, raw_arguments: str, ctx: ToolContext) -> ToolOutcome:
    """Decode the arguments, run the tool, encode its result.

    A coroutine gets an event loop of its own, in this thread, and is cancelled when the token is set; a function sees
    the token when it looks. A tool that returns although it was cancelled has succeeded: what becomes of its result is
    the session's decision.

    Args:
        tool: what to run.
        raw_arguments: the call's ``arguments``, as the model wrote them.
        ctx: the call.

    Returns:
        The outcome, for everything the tool may raise as an ``Exception``. What is none (``SystemExit``,
        ``KeyboardInterrupt``) goes through to the caller: it ends the ToolWorker, and the session, which monitors it, makes
        the outcome ``crashed`` of it.
    """
    if ctx.cancelled:
        return _cancelled(ctx)
    try:
        result = tool.run(parse_arguments(raw_arguments), ctx)
        if inspect.isawaitable(result):
            result = wait_for(result, ctx.token)
        return ToolOutcome.succeeded(ctx.call_id, ctx.name, serialise_result(result), result)
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the worker's edge: it becomes the outcome
        return _failed(error, ctx)


def _failed(error: BaseException, ctx: ToolContext) -> ToolOutcome:
    if ctx.cancelled and isinstance(error, ToolCancelled | asyncio.CancelledError):
        return _cancelled(ctx)
    code: ToolFailureCode
    match error:
        case ToolArgumentsError(message=message):
            code = "invalid_arguments"
        case ToolResultError(message=message):
            code = "unserialisable"
        case ToolError(message=message):
            code = "raised"
        case _:
            # the text of an exception may hold addresses, keys and other people's data: the model gets the fact only
            code, message = "raised", ""
    _log.warning(
        "tool %s failed (%s)",
        ctx.name,
        code,
        exc_info=error if code == "raised" else None,
        extra={"session_id": ctx.session_id, "call_id": ctx.call_id},
    )
    return ToolOutcome.failed(ctx.call_id, ctx.name, code, message, _detail(error))


def _cancelled(ctx: ToolContext) -> ToolOutcome:
    reason = ctx.cancel_reason or "cancelled"
    code: ToolFailureCode = "timeout" if reason == "timeout" else "cancelled"
    return ToolOutcome.failed(ctx.call_id, ctx.name, code, detail=reason)


def _detail(error: BaseException) -> str:
    try:
        text = getattr(error, "detail", "") or str(error)
    except Exception as broken:  # noqa: BLE001 - a broken __str__ must not hide the error that is being reported
        text = f"<str() raised {type(broken).__name__}>"
    return f"{type(error).__name__}: {text}"[:_MAX_DETAIL]


def wait_for(awaitable: Awaitable[Any], token: CancelToken) -> Any:
    """Run a coroutine to its end in a new event loop, in this thread; it is cancelled when the token is set.

    asyncio.run() would do, but it waits without bound for the threads of ``asyncio.to_thread``, and one that hangs would keep
    a cancelled call from ending.
    """
    loop = asyncio.new_event_loop()
    try:
        task = asyncio.ensure_future(awaitable, loop=loop)
        take_back = token.on_cancel(lambda: _cancel_soon(task, loop))
        try:
            return loop.run_until_complete(task)
        finally:
            take_back()
            if task.done() and not task.cancelled():
                task.exception()  # a SystemExit came past the task as well: asyncio is to regard it as seen
            loop.run_until_complete(_cancel_leftovers(asyncio.all_tasks(loop)))
            loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


def _cancel_soon(task: asyncio.Future[Any], loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.call_soon_threadsafe(task.cancel)
    except RuntimeError:
        pass  # the loop is closed: the tool came to its end in this very moment


async def _cancel_leftovers(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=_LEFTOVERS_S)
