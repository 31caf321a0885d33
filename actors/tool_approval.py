"""Whether a tool call may run: the application is asked, and silence is a no. Owns a thread while it asks.

What the application does to answer is its own affair and may take for ever; who waits here waits for a bounded time.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import logging
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .cancel_token import CancelToken
from .tool_call import wait_for

_log = logging.getLogger("trunkline.actors")


@dataclass(frozen=True, slots=True)
class ToolApproval:
    """What ``Config(approve_tool=)`` is asked.

    Attributes:
        session_id: our id of the session.
        turn_id: the response that made the call.
        call_id: the call; for a remote MCP server's tool the id of the approval request.
        name: the tool.
        arguments: what it is to be called with.
        server_label: the MCP server whose tool it is; None for a tool of ours.
    """

    session_id: str
    turn_id: str
    call_id: str
    name: str
    arguments: Mapping[str, Any]
    server_label: str | None = None


@dataclass(frozen=True, slots=True)
class Approver:
    """Asks the application.

    Attributes:
        hook: what is asked; None denies everything.
        timeout_s: how long it has.
    """

    hook: Callable[[Any], object] | None
    timeout_s: float

    def refusal(self, question: ToolApproval, token: CancelToken) -> str | None:
        """Ask, and wait for the answer, the end of the time or the call's cancellation.

        Returns:
            Why the call may not run, for subscribers and logs; None if it may.
        """
        if self.hook is None:
            return "there is no Config(approve_tool=...) to allow it"
        answers: queue.SimpleQueue[object] = queue.SimpleQueue()
        over = CancelToken()
        take_back = token.on_cancel(lambda: answers.put("the call was cancelled"))
        name = f"approval of {question.call_id}"
        args = (self.hook, question, over, self.timeout_s, answers)
        threading.Thread(target=_ask, args=args, name=name, daemon=True).start()
        try:
            answer = answers.get(timeout=self.timeout_s)
        except queue.Empty:
            answer = f"nobody decided within {self.timeout_s} s"
        finally:
            take_back()
            over.cancel("over")
        if answer is True:
            return None
        return answer if isinstance(answer, str) else "it was denied"


def _ask(
    hook: Callable[[Any], object],
    question: ToolApproval,
    over: CancelToken,
    timeout_s: float,
    answers: queue.SimpleQueue[object],
) -> None:
    try:
        answer = _value(hook(question), over, timeout_s)
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - foreign code: what it raises is a no
        if over.cancelled:
            return  # nobody waits any more
        _log.warning(
            "the approval of tool %s failed",
            question.name,
            exc_info=error,
            extra={"call_id": question.call_id},
        )
        answers.put(f"its approval failed: {type(error).__name__}: {error}")
    else:
        answers.put(answer if answer is True else False)


def _value(answer: Any, over: CancelToken, timeout_s: float) -> object:
    """Wait for what a future or an awaitable brings; anything else is the answer itself."""
    if isinstance(answer, concurrent.futures.Future):
        return answer.result(timeout_s)
    if callable(getattr(answer, "get", None)):  # a pykka future: what asking an actor returns
        return answer.get(timeout=timeout_s)
    if inspect.isawaitable(answer):
        return wait_for(answer, over)
    return answer
