"""What subscribers are told of tool calls that do not run. Pure.

Source: the session contract, statement 3.
"""

from __future__ import annotations

from collections.abc import Collection

from .effects import Effect
from .events import ToolCallFailed
from .turns import CallDraft, Turn


def call_failed(turn_id: str, draft: CallDraft, code: str, message: str) -> ToolCallFailed:
    """Return the event for a call without a result."""
    return ToolCallFailed(turn_id, draft.call_id, draft.name, message, code, draft.item_id)


def why_skipped(turn: Turn, status: str) -> tuple[str, str]:
    """Return the code and the text for calls that do not run; ``status``: how their response ended."""
    if status != "completed":
        return status, f"the call did not run: its response is {status}"
    if turn.default:
        return "incomplete", "the call did not run: the model did not complete it"
    where = "its response is out of the conversation, as its output would be"
    return "out_of_band", f"the call did not run: {where}"


def skipped(turn: Turn, status: str, runs: Collection[str] = ()) -> list[Effect]:
    """Return the events for the calls of a turn that were announced and do not run; ``status``: how their response ended."""
    code, message = why_skipped(turn, status)
    return [
        call_failed(turn.turn_id, call, code, message)
        for call in turn.calls.values()
        if call.announced and call.call_id not in runs
    ]
