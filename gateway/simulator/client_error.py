"""A client event that is refused: what the service answers with an `error` event. Pure."""

from __future__ import annotations

from typing import Any


class ClientError(Exception):
    """The client sent something that the service refuses; the session stays open.

    The client's fault. It never leaves the simulator: it becomes an `error` event.

    Source: protocol event `error`, protocol.md A.8.
    """

    def __init__(
        self, code: str, message: str, param: str | None = None, type: str = "invalid_request_error"
    ) -> None:
        super().__init__(code, message, param, type)
        self.code = code
        self.message = message
        self.param = param
        self.type = type

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    def detail(self, event_id: str | None) -> dict[str, Any]:
        """Return the `error` member of the event; `event_id` is the client's own, or None."""
        return {
            "type": self.type,
            "code": self.code,
            "message": self.message,
            "param": self.param,
            "event_id": event_id,
        }


def missing(param: str) -> ClientError:
    """Return the error for a required field that is not there."""
    return ClientError("missing_required_parameter", f"Missing required parameter: '{param}'.", param)


def unknown(param: str) -> ClientError:
    """Return the error for a field that the protocol does not have."""
    return ClientError("unknown_parameter", f"Unknown parameter: '{param}'.", param)


def invalid(param: str, message: str) -> ClientError:
    """Return the error for a field with a value that is not allowed."""
    return ClientError("invalid_value", message, param)


def mistyped(param: str, message: str) -> ClientError:
    """Return the error for a field whose value has another JSON type than the protocol's."""
    return ClientError("invalid_type", message, param)
