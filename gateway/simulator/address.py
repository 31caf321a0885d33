"""Where a simulator listens. Owns nothing."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from ..errors import ConfigError
from .arguments import check_host, check_port

_PATH = "/v1/realtime"


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port, with or without TLS.

    Args:
        host: Loopback, unless others may be served.
        port: 0 takes a free one.
        ssl_context: Of the server; None serves `ws://`.
        allow_remote: Whether others may be served; they need a key.
        api_key: The key, if there is one.

    Raises:
        ConfigError: One of them is impossible, or others would be served without leave or key: the caller's fault.
    """

    host: str
    port: int
    ssl_context: ssl.SSLContext | None
    allow_remote: bool
    api_key: str | None

    def __post_init__(self) -> None:
        check_host(self.host, self.allow_remote, self.api_key)
        check_port(self.port)
        context = self.ssl_context
        is_context = isinstance(context, ssl.SSLContext)  # a caller without type checks may give anything
        if context is not None and (not is_context or context.protocol is ssl.PROTOCOL_TLS_CLIENT):
            raise ConfigError("ssl_context", context, "an ssl.SSLContext of a server, or None")

    def url(self, port: int) -> str:
        """Return the endpoint without a query, on the port that it was given."""
        scheme = "wss" if self.ssl_context is not None else "ws"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{port}{_PATH}"
