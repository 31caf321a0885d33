"""A client's frame as an event: what is no JSON object, or one nested too deeply, is refused. Pure.

Source: protocol.md A.8 (`invalid_json`, `invalid_event`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from .client_error import ClientError
from .ids import Event

_MAX_DEPTH = 64
"""Deep enough for any schema of a tool, and far from where copying an event would end in a RecursionError."""


def parsed(frame: str | bytes) -> Event:
    """Return the event in a frame, whatever its fields are.

    Raises:
        ClientError: There is none: the client's fault.
    """
    if not isinstance(frame, str):
        raise ClientError("invalid_event", "Binary frames are not supported. Send JSON in text frames.")
    try:
        event = msgspec.json.decode(frame)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ClientError("invalid_json", f"We could not parse the JSON of your event: {error}") from error
    if not isinstance(event, dict):
        raise ClientError("invalid_json", "The event is not a JSON object.")
    if _is_deeper(event, _MAX_DEPTH):
        raise ClientError("invalid_json", f"The event is nested more than {_MAX_DEPTH} levels deep.")
    return event


def _is_deeper(value: Any, levels: int) -> bool:
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return False
    return levels == 0 or any(_is_deeper(member, levels - 1) for member in value)
