"""What a Simulator may be given: an impossible argument fails in the caller, with a `ConfigError` that names it. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from typing import TypeGuard

from ..errors import ConfigError
from .mcp import McpServer

_MOST = 1_000_000_000
"""Of any number: in seconds, thirty years."""
_NAMELESS = {306, 419, 420, 427, 430, 509}
_STATUSES = {*range(300, 309), *range(400, 432), 451, *range(500, 512)} - _NAMELESS
"""Of HTTP, from 300 on: an upgrade cannot succeed with another status than 101, and an answer has to have a name."""
_MAX_REASON_BYTES = 123
"""Of a CLOSE. Source: RFC 6455, 5.5 and 7.4."""


def check_host(host: object, allow_remote: object, api_key: object) -> None:
    """Refuse a host that is none, or that others can reach without leave or key."""
    check_flag(allow_remote=allow_remote)
    if api_key is not None and not (isinstance(api_key, str) and api_key):
        raise ConfigError("api_key", api_key, "a key, or None to accept any")
    if not isinstance(host, str) or not host:
        raise ConfigError("host", host, "a name or address of this machine")
    if not is_loopback(host) and not (allow_remote and api_key):
        raise ConfigError(
            "host", host, "a loopback address; to serve others takes allow_remote=True and an api_key"
        )


def check_port(port: object) -> None:
    """Refuse what is no port, nor 0."""
    if not _is_whole(port) or not 0 <= port <= 65535:
        raise ConfigError("port", port, "a number from 0 to 65535")


def check_models(models: object) -> None:
    """Refuse a single name, what is no collection, and members that are no names."""
    if models is None:
        return
    if (
        isinstance(models, str | bytes)
        or not isinstance(models, Collection)
        or not all(isinstance(name, str) and name for name in models)
    ):
        raise ConfigError("models", models, "a list of names, or None to serve any")


def check_brain(brain: object) -> None:
    """Refuse what is no `Brain`.

    Raises:
        TypeError: It has no method `reply`, or is a class of brains.
    """
    if isinstance(brain, type):
        raise TypeError(f"the brain is the class {brain.__name__}: make one of it, {brain.__name__}(...)")
    if not callable(getattr(brain, "reply", None)):
        raise TypeError(f"the brain {brain!r} has no method 'reply'")


def check_record(path: object) -> None:
    """Refuse what names no file."""
    if path is not None and not (isinstance(path, str) and path) and not hasattr(path, "__fspath__"):
        raise ConfigError("record", path, "the path of a file, or None")


def check_mcp_servers(servers: object) -> None:
    """Refuse what does not lead from labels to servers."""
    if servers is None:
        return
    if not isinstance(servers, Mapping) or not all(
        isinstance(label, str) and isinstance(server, McpServer) for label, server in servers.items()
    ):
        raise ConfigError("mcp_servers", servers, "a mapping from labels to McpServer(...), or None")


def check_callable(**functions: object) -> None:
    """Refuse what cannot be called; None is none."""
    for name, fn in functions.items():
        if fn is not None and not callable(fn):
            raise ConfigError(name, fn, "something to call, or None")


def check_flag(**flags: object) -> None:
    """Refuse what is neither True nor False."""
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            raise ConfigError(name, flag, "True or False")


def check_status(status: object) -> None:
    """Refuse what no upgrade is refused with; None refuses none."""
    if status is not None and not (_is_whole(status) and status in _STATUSES):
        raise ConfigError("refuse_status", status, "an HTTP status from 300 on, such as 429, or None")


def check_refusal(error: object) -> None:
    """Refuse what is no triple of a code, a message and a close code; None is none."""
    if error is None:
        return
    allowed = "(code, message, close_code), such as ('insufficient_quota', 'Pay first.', 3000), or None"
    match error:
        case (str(code), str(), close_code) if code:
            check_close("refuse_error", close_code, f"invalid_request_error.{code}")
        case _:
            raise ConfigError("refuse_error", error, allowed)


def check_close(field: str, code: object, reason: str = "") -> None:
    """Refuse a code or reason that no CLOSE frame can have."""
    is_sendable = _is_whole(code) and (
        (1000 <= code <= 1014 and code not in (1004, 1005, 1006)) or 3000 <= code <= 4999
    )
    if not is_sendable:
        raise ConfigError(
            field, code, "a close code that can be sent: 1000 to 1014 but 1004 to 1006, or 3000 to 4999"
        )
    if len(reason.encode(errors="replace")) > _MAX_REASON_BYTES:
        raise ConfigError(field, reason, f"a reason of at most {_MAX_REASON_BYTES} bytes")


def check_whole(**numbers: object) -> None:
    """Refuse what is no whole number of 0 or more, within reason."""
    for name, number in numbers.items():
        if not _is_whole(number) or not 0 <= number <= _MOST:
            raise ConfigError(name, number, "a whole number from 0 to 1e9")


def check_at_least_0(**numbers: object) -> None:
    """Refuse what is no number of 0 or more, within reason."""
    for name, number in numbers.items():
        if not _is_number(number) or not 0 <= number <= _MOST:
            raise ConfigError(name, number, "a number from 0 to 1e9")


def check_more_than_0(**numbers: object) -> None:
    """Refuse what is no number of more than 0, within reason."""
    for name, number in numbers.items():
        if not _is_number(number) or not 0 < number <= _MOST:
            raise ConfigError(name, number, "a number of more than 0, up to 1e9")


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach a server that listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
