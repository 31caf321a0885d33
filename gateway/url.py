"""Realtime URLs: what a base_url may be, where it leads, and the model in its query. Pure."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

from .errors import ConfigError, InsecureUrl

__all__ = ["Endpoint", "parse_endpoint", "public_url", "with_model"]

_ALLOWED = "wss://host[:port]/path (https, ws and http are accepted as well)"
_SCHEMES = {"wss": "wss", "https": "wss", "ws": "ws", "http": "ws"}
_DEFAULT_PORTS = {"wss": 443, "ws": 80}
_MAY_BE_SECRET = re.compile(r"[?#].*|(?<=//)[^?#]*@", re.DOTALL)
"""The query, the fragment, and a user name with its password, also in what is no URL."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The network half of a WebSocket URL."""

    host: str
    port: int
    secure: bool

    @property
    def bracketed_host(self) -> str:
        """The host as it is written in front of a port."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine by its name or number alone: no lookup is made."""
        host = self.host.rstrip(".")
        if host == "localhost" or host.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(host.partition("%")[0]).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"{self.bracketed_host}:{self.port}"


def _split(url: str, field: str) -> SplitResult:
    shown = _MAY_BE_SECRET.sub("", url)
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigError(field, ascii(shown), _ALLOWED)
    try:
        parts = urlsplit(url)
        bad = parts.port == 0 or not parts.hostname or parts.scheme not in _SCHEMES
    except ValueError:
        bad = True
        parts = urlsplit("")
    if bad:
        raise ConfigError(field, shown, _ALLOWED)
    if parts.username is not None:
        raise ConfigError(
            field, f"{parts.scheme}://...@{parts.hostname}", "a URL without user name: pass headers instead"
        )
    return parts


def parse_endpoint(url: str, field: str = "url") -> Endpoint:
    """Return where a URL leads.

    Raises:
        ConfigError: it is no WebSocket URL (the caller's fault).
    """
    parts = _split(url, field)
    scheme = _SCHEMES[parts.scheme]
    return Endpoint(parts.hostname or "", parts.port or _DEFAULT_PORTS[scheme], scheme == "wss")


def with_model(base_url: str, model: str, *, allow_insecure: bool = False) -> str:
    """Return the URL of a session: scheme ws or wss, the query that is there, and the model.

    Args:
        base_url: The endpoint; a `model` in its query is replaced.
        model: The model's name, URL-encoded here.
        allow_insecure: Whether ws:// may lead off this machine.

    Raises:
        ConfigError: the URL or the model is none.
        InsecureUrl: ws:// to another machine.
    """
    if not isinstance(model, str) or not model.strip():  # pyright: ignore[reportUnnecessaryIsInstance] - callers may be untyped
        raise ConfigError("model", model, "the name of a realtime model, such as 'gpt-realtime-2'")
    parts = _split(base_url, "base_url")
    endpoint = parse_endpoint(base_url, "base_url")
    if not (endpoint.secure or endpoint.is_loopback or allow_insecure):
        raise InsecureUrl(base_url)
    kept = [pair for pair in parts.query.split("&") if pair and pair.partition("=")[0] != "model"]
    query = "&".join([*kept, "model=" + quote(model.strip(), safe="")])
    return urlunsplit((_SCHEMES[parts.scheme], parts.netloc, parts.path or "/", query, ""))


def public_url(url: str) -> str:
    """Return scheme, host and path alone: what may be shown, since a query may hold a key."""
    try:
        parts = urlsplit(url)
        netloc = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "<no URL>"
    return urlunsplit((parts.scheme, netloc, parts.path, "", ""))
