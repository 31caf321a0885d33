"""A client's frame as an event: what is no JSON object is refused. Pure.

Source: protocol.md A.8 (`invalid_json`, `invalid_event`).
"""

from __future__ import annotations

import msgspec

from .client_error import ClientError
from .ids import Event


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
    return event
