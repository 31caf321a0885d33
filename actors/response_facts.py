"""What a response says of itself, beside its items: its status, its failure, its format, whose it is. Pure.

Source: ``response.created`` and ``response.done``; the session contract, statement 12.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from ..gateway import codes
from ..gateway.errors import redact
from ..gateway.session_update import format_name
from ..gateway.wire_types import Response, SessionInfo
from .effects import Effect
from .events import Error, RateLimited, TurnStatus
from .reply_gate import CREATE_ID


def status_of(response: Response) -> TurnStatus:
    """Return how a response ended; a provider that does not say completed it."""
    return response.status if response.status in get_args(TurnStatus) else "completed"  # type: ignore[return-value]  # narrowed by the set


def failure_of(response: Response) -> list[Effect]:
    """Return the events that say why a response failed."""
    details = response.status_details
    error = details.error if details is not None else None
    code = (error.code or error.type if error else None) or "response_failed"
    message = (error.message if error else None) or "the provider could not complete the response"
    recoverable = codes.is_recoverable_error(code, error.type if error else None)
    limited = [RateLimited(0.0)] if codes.is_rate_limit_error(code) else []
    return [Error(code, redact(message), recoverable=recoverable), *limited]


def output_format_of(session: SessionInfo) -> str | None:
    """Return the name of the format that the provider speaks in, if it says so."""
    output = session.audio.output if session.audio is not None else None
    return format_name(output.format) if output is not None else None


def metadata_of(response: Response) -> Mapping[str, Any] | None:
    """Return what the application gave a response to carry, without our own mark; None if that is nothing."""
    given = {name: value for name, value in (response.metadata or {}).items() if name != CREATE_ID}
    return given or None


def format_of(response: Response) -> str | None:
    """Return the format of a response's audio, where the provider names it."""
    output = response.audio.output if response.audio is not None else None
    return format_name(output.format) if output is not None else None
