"""The error tree of the gateway room. Pure. Errors carry no header, no key and no whole frame, and all of them pickle."""

import re
import reprlib
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

from . import codes

if TYPE_CHECKING:
    from .wire_types import ErrorDetail

_SECRETS: Final = re.compile(
    r"""\b(?:sk|ek|rk)[-_][\w*-]{6,}|\b(?i:bearer)\s+[^\s"',;]+|insecure-api-key\.[^\s"',;]+"""
    r"""|(?<=")(?i:authorization|api[-_]key|client_secret|token)"\s*:\s*"[^"]*"""
)
_NAMED_SECRETS: Final = re.compile(
    r"""\b((?i:api[ _-]?key|token|secret|password)(?: \w+){0,3} ?[:=] ?["'`]?)(?=[^\s"'`,;]*\d)[^\s"'`,;]{12,}"""
)
_SECRET_FIELDS: Final = re.compile(
    r"(?:^|[_.-])(?:key|token|secret|authorization|headers|password|extras|servers)(?:$|[.[])", re.IGNORECASE
)
_HIDDEN: Final = "[hidden]"
_SHORT: Final = 80
_brief: Final = reprlib.Repr()
_brief.maxstring = _brief.maxother = _brief.maxlong = _SHORT


def redact(text: str) -> str:
    """Return the text with everything that looks like an API key or a bearer token, or is called one, replaced."""
    return _NAMED_SECRETS.sub(rf"\1{_HIDDEN}", _SECRETS.sub(_HIDDEN, text))


def shorten(value: object, limit: int = _SHORT) -> str:
    """Return a repr of any value, however hostile, in at most ``limit`` characters and without keys."""
    try:
        text = _brief.repr(value)
    except Exception:  # noqa: BLE001 - a broken __repr__ must not hide the error that is being reported
        text = f"<{type(value).__name__}>"
    text = redact(text)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _rebuild(cls: type["GatewayError"], args: tuple[Any, ...], state: dict[str, Any]) -> "GatewayError":
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


class GatewayError(Exception):
    """The root of everything this room raises.

    Attributes:
        code: a stable snake_case name, the provider's own where it sent one.
        message: what happened.
        recoverable: whether trying again, or going on, makes sense without changing anything first.
    """

    code: str | None
    message: str
    recoverable: bool

    def __init__(
        self, message: str, *, code: str | None = None, recoverable: bool = False, advice: str = ""
    ) -> None:
        self.message = redact(message)
        self.code = code
        self.recoverable = recoverable
        self._advice = advice
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} ({self._advice})" if self._advice else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # BaseException would call the class with self.args, which is the message alone.
        return _rebuild, (type(self), self.args, self.__dict__.copy())


class ConfigError(GatewayError, ValueError):
    """A setting that cannot work. The fault of whoever wrote it.

    Attributes:
        field: the field's name, with its path when nested (``turn_detection.threshold``).
        value: the refused value as a short repr; hidden when the field holds a secret.
        allowed: what would have been accepted.
    """

    def __init__(self, field: str, value: object, allowed: str) -> None:
        self.field = field
        self.value = _HIDDEN if _SECRET_FIELDS.search(field) else shorten(value)
        self.allowed = allowed
        super().__init__(f"{field}={self.value} is not possible: use {allowed}", code="invalid_config")


class ProtocolError(GatewayError):
    """A frame that is no realtime event. The fault of the server, or of a proxy between; the line stays usable.

    Attributes:
        event_type: the event's type where the frame got that far.
        detail: what is wrong with it, with the path of the field.
        frame_excerpt: the beginning of the frame without secrets, for whoever debugs; never logged by us.
    """

    def __init__(self, code: str, event_type: str | None, detail: str, frame_excerpt: str = "") -> None:
        self.event_type = event_type
        self.detail = redact(detail)
        self.frame_excerpt = redact(frame_excerpt)
        super().__init__(
            f"the server sent a frame that cannot be read as {event_type or 'an event'}: {self.detail}",
            code=code,
            recoverable=True,
            advice="the frame is skipped and the session goes on; report it if it recurs",
        )


class EncodeError(GatewayError, ValueError):
    """A client event that JSON cannot hold. The fault of whoever built it.

    Attributes:
        event_type: the event's type.
        detail: what cannot be written.
    """

    def __init__(self, event_type: str, detail: str) -> None:
        self.event_type = event_type
        self.detail = redact(detail)
        super().__init__(
            f"{event_type} cannot be written as JSON: {self.detail}",
            code="invalid_client_event",
            advice="send text without lone surrogates, and values of the types the event declares",
        )


class InvalidAudio(GatewayError, ValueError):
    """Audio that cannot be sent as it is. The fault of the caller.

    Attributes:
        found: what was given: its type, dtype and shape, never its samples.
        allowed: what would have been accepted.
    """

    def __init__(self, found: str, allowed: str) -> None:
        self.found = found
        self.allowed = allowed
        super().__init__(f"audio cannot be {found}: use {allowed}", code="invalid_audio")


class MissingExtra(GatewayError, ImportError):
    """Something was asked for that needs an optional package. The fault of the installation.

    Attributes:
        extra: the extra of trunkline that brings the package.
    """

    def __init__(self, extra: str, purpose: str) -> None:
        self.extra = extra
        super().__init__(purpose, code="missing_extra", advice=f"pip install 'trunkline[{extra}]'")


class ConnectError(GatewayError):
    """No line could be opened.

    Attributes:
        status: the HTTP status of the refused upgrade.
        close_code: the WebSocket close code, when the upgrade went through and the line was then closed.
        retry_after_s: how many seconds the server asked to wait.
    """

    _code = "connect_failed"
    _recoverable = True
    _hint = "check the network and the base_url"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        close_code: int | None = None,
        retry_after_s: float | None = None,
        recoverable: bool | None = None,
    ) -> None:
        self.status = status
        self.close_code = close_code
        self.retry_after_s = retry_after_s
        super().__init__(
            message,
            code=code or self._code,
            recoverable=self._is_recoverable() if recoverable is None else recoverable,
            advice=codes.advice_for(code) or self._advise(),
        )

    def _is_recoverable(self) -> bool:
        return self._recoverable

    def _advise(self) -> str:
        return self._hint


class HandshakeRefused(ConnectError):
    """The server answered, and said no: by HTTP status, or by an error event or a CLOSE right after the upgrade."""

    _code = "handshake_refused"
    _hint = "check the base_url: the server behind it does not open a realtime session"
    _by_status: Final = {
        400: "check the model name and the query of base_url",
        401: "check the API key",
        403: "check what this key, organization and project may use",
        404: "check the model name and the base_url",
        429: "wait, then try again; if it stays, check the quota of the account",
    }

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        close_code: int | None = None,
        retry_after_s: float | None = None,
        recoverable: bool | None = None,
    ) -> None:
        if not codes.is_recoverable_error(code):
            recoverable = False
        super().__init__(
            message,
            code=code,
            status=status,
            close_code=close_code,
            retry_after_s=retry_after_s,
            recoverable=recoverable,
        )

    def _is_recoverable(self) -> bool:
        if self.status is not None and self.status != 101:
            return codes.is_recoverable_status(self.status)
        return codes.is_recoverable_close(self.close_code)

    def _advise(self) -> str:
        if self.status is not None and self.status >= 500:
            return "try again: the fault is the server's"
        return self._by_status.get(self.status or 0, self._hint)


class ConnectTimeout(ConnectError):
    """The line was not open within the deadline. The network's or the server's fault."""

    _code = "connect_timeout"
    _hint = "check the network, or give connect_timeout_s more time"


class ConnectCancelled(ConnectError):
    """The attempt was called off by this side before there was a line: the session was closed meanwhile. Nobody's fault."""

    _code = "connect_cancelled"
    _hint = "connect again if there is still a use for the line"

    def __init__(self, message: str = "the attempt to connect was called off", **details: Any) -> None:
        super().__init__(message, **details)


class Unreachable(ConnectError):
    """No TCP connection: unknown host, refused port, no route, or a proxy that said no."""

    _code = "unreachable"
    _hint = "check the host and port of base_url, the network and the proxy"


class TlsFailed(ConnectError):
    """TLS was not agreed, or the certificate did not verify. Never retried."""

    _code = "tls_failed"
    _recoverable = False
    _hint = "check the host name and the system's certificates, or pass an ssl_context that trusts the server"


class LineClosed(GatewayError):
    """The line ended: a CLOSE frame, TCP's end, missed pongs, a stall, or a peer that broke the protocol.

    Attributes:
        close_code: the WebSocket close code; None when TCP ended without a CLOSE frame.
        reason: the CLOSE frame's text, or ours when we ended the line.
    """

    def __init__(self, close_code: int | None = None, reason: str = "") -> None:
        self.close_code = close_code
        self.reason = redact(reason)
        code = codes.error_code_in(self.reason)
        recoverable = code == codes.SESSION_EXPIRED or (
            code is None and codes.is_recoverable_close(close_code)
        )
        why = f": {self.reason}" if self.reason else ""
        super().__init__(
            f"the line was closed with code {close_code}{why}"
            if close_code is not None
            else f"the line was lost{why}",
            code=code or codes.CONNECTION_LOST,
            recoverable=recoverable,
            advice=codes.advice_for(code)
            or (
                "connect again"
                if recoverable
                else "see the close code: connecting again would end the same way"
            ),
        )


class ServerError(GatewayError):
    """The server's answer to something we sent, or its own failure.

    Attributes:
        param: the parameter it refuses.
        type: the provider's class of error (``invalid_request_error``, ``server_error`` ...).
        event_id: the id of the client event it answers, when that had one.

    Source: server event ``error``; ``response.done`` with status ``failed``.
    """

    def __init__(
        self,
        code: str | None = None,
        message: str = "",
        param: str | None = None,
        type: str | None = None,
        event_id: str | None = None,
    ) -> None:
        self.param = param
        self.type = type
        self.event_id = event_id
        recoverable = codes.is_recoverable_error(code, type)
        about = f" [param {param}]" if param else ""
        super().__init__(
            (message or f"the server reported {code or type or 'an error'}") + about,
            code=code,
            recoverable=recoverable,
            advice=codes.advice_for(code, type)
            or ("the session stays open" if recoverable else "retrying will not help"),
        )

    @classmethod
    def from_detail(cls, detail: "ErrorDetail") -> Self:
        """Make the error that an ``error`` event, a failed response or a failed transcription describes."""
        return cls(detail.code, detail.message or "", detail.param, detail.type, detail.event_id)


class SendBufferFull(GatewayError):
    """Audio was refused because the socket does not take what is already queued. Control events never are.

    Attributes:
        limit_bytes: the bound of the outgoing buffer.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        super().__init__(
            f"more than {limit_bytes} bytes are waiting to be sent",
            code="send_buffer_full",
            recoverable=True,
            advice="send audio no faster than it plays, and drop or retry this frame",
        )


class MissingApiKey(GatewayError):
    """No API key was given, and the environment has none. The fault of the caller.

    Attributes:
        variable: the environment variable that was looked up.
    """

    def __init__(self, variable: str = "OPENAI_API_KEY") -> None:
        self.variable = variable
        super().__init__(
            "there is no API key",
            code="missing_api_key",
            advice=f"set {variable}, or pass api_key= to the gateway",
        )


class InsecureUrl(GatewayError, ValueError):
    """A ws:// URL to a host that is not this machine. The fault of the caller.

    Attributes:
        url: scheme and host alone, because a query or user name may hold a key.
    """

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            self.url = f"{parts.scheme}://{parts.hostname or ''}"
        except ValueError:
            self.url = "the URL"
        super().__init__(
            f"{self.url} would carry the key and the audio in the clear",
            code="insecure_url",
            advice="use wss://, or allow_insecure=True if the network is your own",
        )
