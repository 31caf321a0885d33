"""Tables of close codes, HTTP statuses and error codes: which end a session and which do not. Pure.

Source: openai-python ``types/websocket_reconnection.py`` (retryable close codes), livekit ``_FATAL_ERROR_CODES``,
and what the real service was seen to send.
"""

from typing import Final

CONNECTION_LOST: Final = "connection_lost"
ACTIVE_RESPONSE: Final = "conversation_already_has_active_response"
CANCEL_NOT_ACTIVE: Final = "response_cancel_not_active"
DUPLICATE_ITEM: Final = "item_create_duplicate_item_id"
COMMIT_EMPTY: Final = "input_audio_buffer_commit_empty"
SESSION_EXPIRED: Final = "session_expired"

RETRIED_CLOSES: Final = frozenset({1001, 1002, 1005, 1006, 1011, 1012, 1013, 1015})
"""Close codes after which a new connection is worth trying. 3000 and 4000 (bad key, model, shape) never are.

1002 is ours: the bytes that came were no frames. A new line has new bytes (decision 0011).
"""

FATAL_ERRORS: Final = frozenset(
    {
        "account_deactivated",
        "beta_api_shape_disabled",
        "billing_hard_limit_reached",
        "insufficient_quota",
        "invalid_api_key",
        "invalid_model",
        "missing_model",
        "model_not_found",
    }
)
"""Error codes that no retry cures: the account, the key or the model has to change first."""

FATAL_ERROR_TYPES: Final = frozenset({"authentication_error", "insufficient_quota", "permission_error"})
"""Error types that are as fatal as the codes, for providers that send no code."""

RATE_LIMIT_ERRORS: Final = frozenset({"inference_rate_limit_exceeded", "rate_limit_exceeded"})
"""Error codes that say: slow down, then try again."""

_ADVICE: Final = {
    "account_deactivated": "ask the provider why the account was deactivated",
    "beta_api_shape_disabled": "send GA events to the GA endpoint, without an OpenAI-Beta header",
    "billing_hard_limit_reached": "raise the billing limit of the account",
    "insufficient_quota": "check the plan and the billing of the account",
    "invalid_api_key": "check the API key and the account it belongs to",
    "invalid_model": "check the model name and that this key may use it",
    "missing_model": "name a model",
    "model_not_found": "check the model name and that this key may use it",
    "authentication_error": "check the API key and the account it belongs to",
    "permission_error": "check what this key may use",
    ACTIVE_RESPONSE: "ask again when the running response is done",
    "cannot_update_voice": "choose the voice before the first audio of the session",
    COMMIT_EMPTY: "send at least 100 ms of audio before committing it",
    CANCEL_NOT_ACTIVE: "nothing to do: the response had already ended",
    SESSION_EXPIRED: "open a new session: this one reached the provider's maximum duration",
    "inference_rate_limit_exceeded": "wait, then try again",
    "rate_limit_exceeded": "wait, then try again",
    "server_error": "try again: the fault is the provider's",
}


def is_recoverable_close(code: int | None) -> bool:
    """Tell whether a connection that ended with this WebSocket close code is worth opening again.

    Args:
        code: the close code received; None when TCP ended without a CLOSE frame (1006 in the RFC's words).

    Source: RFC 6455 section 7.4; openai-python ``types/websocket_reconnection.py``.
    """
    return code is None or code in RETRIED_CLOSES


def is_recoverable_status(status: int) -> bool:
    """Tell whether a handshake refused with this HTTP status is worth trying again: 429 and 5xx are."""
    return status == 429 or 500 <= status <= 599


def is_recoverable_error(code: str | None, error_type: str | None = None) -> bool:
    """Tell whether a session can go on, or be opened again, after a server error.

    Only the known fatal codes and types say no: a rejected request leaves the session open.

    Source: server event ``error``; ``response.done`` with status ``failed``.
    """
    return code not in FATAL_ERRORS and error_type not in FATAL_ERROR_TYPES


def is_benign_error(code: str | None, *, under_vad: bool = False) -> bool:
    """Tell whether a server error is a race that nobody needs to hear of.

    Args:
        code: the error's code.
        under_vad: whether the server's turn detection is on; it commits the audio buffer itself, so that an
            empty commit is a race then and the caller's mistake otherwise.
    """
    return code == CANCEL_NOT_ACTIVE or (under_vad and code == COMMIT_EMPTY)


def is_rate_limit_error(code: str | None) -> bool:
    """Tell whether a server error asks to slow down."""
    return code in RATE_LIMIT_ERRORS


def error_code_in(reason: str) -> str | None:
    """Return the known fatal code, or ``session_expired``, that a CLOSE frame's reason names.

    The service writes ``invalid_request_error.invalid_api_key``; gateways in between write plain codes.
    """
    last = reason.strip().rpartition(".")[2]
    return last if last in FATAL_ERRORS or last == SESSION_EXPIRED else None


def advice_for(code: str | None, error_type: str | None = None) -> str:
    """Return what somebody who meets this error should do, or "" when there is nothing to say."""
    return _ADVICE.get(code or "", "") or _ADVICE.get(error_type or "", "")
