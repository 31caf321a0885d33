"""What an upgrade request is answered with over HTTP, and what is kept of it. Owns nothing."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Response
from websockets.typing import Subprotocol

from .admission import refusal_body


def refusal(websocket: ServerConnection, status: int, retry_after_s: int | None) -> Response:
    """Return the answer that refuses an upgrade as the service does: JSON that says why.

    Args:
        websocket: Whose upgrade it is.
        status: Of HTTP.
        retry_after_s: For a `Retry-After` header; None: no such header.
    """
    response = websocket.respond(status, msgspec.json.encode(refusal_body(status)).decode())
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "application/json"
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    return response


def lower(headers: Headers) -> dict[str, str]:
    """Return headers with their names in lower case."""
    return {name.lower(): value for name, value in headers.raw_items()}


def select_subprotocol(websocket: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Choose `realtime`: clients that cannot set headers offer it with their key, and the answer must be one of those."""
    return Subprotocol("realtime") if "realtime" in offered else None
