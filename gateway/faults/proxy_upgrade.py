"""The upgrade as the proxy changes it: a request without extensions, an answer that refuses. Owns nothing."""

import json
from http import HTTPStatus

from .values import HttpStatus

__all__ = ["refusal", "without_extensions"]


def without_extensions(head: bytes) -> bytes:
    """Return a request without its offer to compress: the frames are to be readable."""
    lines = head.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.lower().startswith(b"sec-websocket-extensions:"))


def refusal(fault: HttpStatus) -> bytes:
    """Return the answer to an upgrade that is refused."""
    phrase = HTTPStatus(fault.status).phrase
    body = json.dumps({"error": {"message": phrase, "type": "invalid_request_error", "code": None}}).encode()
    lines = [
        f"HTTP/1.1 {fault.status} {phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    if fault.retry_after_s is not None:
        lines.append(f"Retry-After: {fault.retry_after_s}")
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body
