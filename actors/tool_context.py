"""What a running tool knows of its call. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .tool_errors import ToolCancelled

if TYPE_CHECKING:
    from .cancel_token import CancelToken


@dataclass(frozen=True, slots=True)
class ToolContext:
    """Given to a tool's parameter ``ctx`` (or to the one annotated with this class), and to ``run`` of a tool object.

    Attributes:
        call_id: the provider's id of the call: a good idempotency key for what the tool does outside.
        name: the tool's name, as the model called it.
        session_id: our id of the session.
        turn_id: the response that made the call.
        token: the switch behind the methods below; the session holds it too.
        may_have_run: this call was begun before, by a process or a session that died before its outcome was written down: what the
            tool does outside may be done already. False is a promise, True is not.
    """

    call_id: str
    name: str
    session_id: str
    turn_id: str
    token: CancelToken
    may_have_run: bool = False

    @property
    def cancelled(self) -> bool:
        """Whether the call was cancelled: its result will not be used. With ``on_interrupt="submit"`` no interruption cancels."""
        return self.token.cancelled

    @property
    def cancel_reason(self) -> str | None:
        """Why the call was cancelled, or None."""
        return self.token.reason

    def wait_cancelled(self, timeout_s: float) -> bool:
        """Wait at most ``timeout_s`` seconds for the cancellation: a sleep that ends early. Returns ``cancelled``.

        Only for functions: in a coroutine it would block the loop, and a coroutine is cancelled anyway.
        """
        return self.token.wait(timeout_s)

    def raise_if_cancelled(self) -> None:
        """Leave the tool if the call was cancelled.

        Raises:
            ToolCancelled: the call was cancelled. A ToolError, so do not catch those around this.
        """
        if self.token.cancelled:
            raise ToolCancelled(self.token.reason or "cancelled")
