"""How a tool call ended: the one value every call leads to, whatever happened. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

import msgspec

ToolFailureCode: TypeAlias = Literal[
    "invalid_arguments",  # not JSON, not an object, or not what the tool's schema asks for
    "unknown_tool",  # the model made a name up
    "raised",  # the tool raised
    "unserialisable",  # the tool returned what JSON cannot hold
    "timeout",  # the tool took longer than it may
    "cancelled",  # interrupted, or the session closed
    "denied",  # it needed approval and got none
    "crashed",  # the tool took its ToolWorker down (SystemExit and the like), or the process that it runs in
]

_MESSAGES: dict[ToolFailureCode, str] = {
    "invalid_arguments": "The arguments do not fit this tool.",
    "unknown_tool": "There is no tool of this name.",
    "raised": "The tool failed.",
    "unserialisable": "The tool returned a result that cannot be written as JSON.",
    "timeout": "The tool took too long and was stopped.",
    "cancelled": "The call was cancelled before the tool finished.",
    "denied": "The call was not allowed.",
    "crashed": "The tool stopped unexpectedly.",
}


@dataclass(frozen=True, slots=True)
class ToolFailure:
    """Why a call has no result.

    Attributes:
        code: machine-readable.
        message: what the model is told; no internals.
        detail: for subscribers and logs, never for the model: the exception's type and text.
    """

    code: ToolFailureCode
    message: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """How one tool call ended.

    Attributes:
        call_id: the provider's id of the call.
        name: the tool's name, as the model called it.
        output: the text of the ``function_call_output`` item.
        ok: whether the tool returned.
        result: what the tool returned, as it returned it; None on failure.
        error: why there is no result; None if ``ok``.
    """

    call_id: str
    name: str
    output: str
    ok: bool
    result: Any = None
    error: ToolFailure | None = None

    @classmethod
    def succeeded(cls, call_id: str, name: str, output: str, result: Any) -> Self:
        """Return the outcome of a call whose tool returned ``result``, written as ``output``."""
        return cls(call_id, name, output, ok=True, result=result)

    @classmethod
    def failed(
        cls, call_id: str, name: str, code: ToolFailureCode, message: str = "", detail: str = ""
    ) -> Self:
        """Return the outcome of a call without a result; its output is ``{"error": {"code": ..., "message": ...}}``.

        Args:
            call_id: the provider's id of the call.
            name: the tool's name, as the model called it.
            code: why.
            message: a sentence for the model; the code's own by default.
            detail: for subscribers and logs only.
        """
        text = (message or _MESSAGES[code]).encode("utf-8", "replace").decode()  # a lone surrogate is no JSON
        output = msgspec.json.encode({"error": {"code": code, "message": text}}).decode()
        return cls(call_id, name, output, ok=False, error=ToolFailure(code, text, detail))
