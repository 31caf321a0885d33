"""HTTP proxies: which one to use for a URL, and the CONNECT that opens a tunnel through it. Borrows a socket.

websocket-client's own tunnel reads with a timeout per byte and cannot share a deadline; this one can.
"""

import base64
import socket
import urllib.request
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from . import codes
from .deadline import Deadline
from .errors import ConfigError, Unreachable
from .handshake_socket import HeadTooLong, read_head
from .url import Endpoint

__all__ = ["Proxy", "open_tunnel", "proxy_for"]


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy; `credentials` is the value of its Proxy-Authorization header."""

    host: str
    port: int
    credentials: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> "Proxy":
        """Read `http://[user[:password]@]host[:port]`, or `host[:port]`; the port defaults to 80.

        Raises:
            ConfigError: no such URL, or a kind of proxy that is not supported (the caller's fault).
        """
        parts = urlsplit(url if "://" in url else f"http://{url}")
        try:
            host, port = parts.hostname, parts.port or 80
        except ValueError:
            host, port = None, 0
        if parts.scheme != "http" or not host:
            # the value may hold a password: name the scheme alone
            raise ConfigError(
                "proxy", f"{parts.scheme}://...", "an HTTP proxy, http://[user:password@]host:port"
            )
        credentials = None
        if parts.username:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            credentials = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
        return cls(host, port, credentials)


def proxy_for(endpoint: Endpoint, explicit: str | None) -> Proxy | None:
    """Return the proxy to use: the explicit one, else the environment's, which is ignored for loopback hosts.

    Args:
        endpoint: Where to connect to.
        explicit: A proxy URL; "" for none at all; None to ask the environment (`https_proxy`, `http_proxy`,
            `all_proxy`, `no_proxy`, or the system's settings).
    """
    if explicit is not None:
        return Proxy.parse(explicit) if explicit else None
    if endpoint.is_loopback:
        return None
    known = urllib.request.getproxies()
    names = ("wss", "https", "all") if endpoint.secure else ("ws", "http", "all")
    url = next((known[name] for name in names if known.get(name)), None)
    if url is None or urllib.request.proxy_bypass(endpoint.host):
        return None
    return Proxy.parse(url)


def open_tunnel(sock: socket.socket, endpoint: Endpoint, proxy: Proxy, deadline: Deadline) -> None:
    """Ask the proxy at the other end of `sock` for a tunnel to the endpoint.

    Raises:
        Unreachable: the proxy refused, or answered no HTTP.
        TimeoutError: the deadline passed.

    Source: RFC 9110 section 9.3.6.
    """
    target = f"{endpoint.bracketed_host}:{endpoint.port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.credentials is not None:
        lines.append(f"Proxy-Authorization: {proxy.credentials}")
    deadline.govern(sock).sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
    try:
        words = read_head(sock, deadline).split(b"\r\n", 1)[0].split()
    except HeadTooLong:
        words = []
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise Unreachable(f"the proxy {proxy.host}:{proxy.port} gave no HTTP answer")
    if not 200 <= (status := int(words[1])) <= 299:
        raise Unreachable(
            f"the proxy {proxy.host}:{proxy.port} refused the tunnel with HTTP {status}",
            recoverable=codes.is_recoverable_status(
                status
            ),  # credentials and rules do not change by themselves
        )
