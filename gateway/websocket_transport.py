"""The Transport over a WebSocket: keepalive, stall, bounds, a bounded end. Owns a socket, for one thread."""

import math
import selectors
import ssl
import threading
from collections.abc import Callable, Mapping

from .cancellation import current_cancellation
from .deadline import Deadline
from .dial import dial
from .errors import ConfigError, ConnectCancelled, ConnectError, LineClosed, SendBufferFull
from .frame_parser import ProtocolViolation
from .frame_socket import FrameSocket, upgrade
from .line_health import Keepalive, Stall, Verdict
from .line_limits import DEFAULT_LIMITS, LineLimits
from .proxy import proxy_for
from .url import parse_endpoint

__all__ = ["WebSocketTransport", "check_headers", "connect_websocket"]

_GRACE_S = 1.0
_MAX_REASON_BYTES = 123
_RESERVED = frozenset({"connection", "content-length", "cookie", "host", "transfer-encoding", "upgrade"})


class WebSocketTransport:
    """See `Transport`, whose contract this class keeps; made by `connect_websocket`."""

    def __init__(self, frames: FrameSocket, limits: LineLimits) -> None:
        self._frames = frames
        self._fd = frames.fileno()
        self._send_buffer_bytes = limits.send_buffer_bytes
        self._keepalive = Keepalive(limits.ping_interval_s, limits.pong_timeout_s)
        self._stall = Stall(limits.stall_timeout_s)
        self._ended: LineClosed | None = None
        # Between abort() and the end of close(): a closed number may be somebody else's.
        self._fate = threading.Lock()

    @property
    def wants_write(self) -> bool:
        """Whether bytes wait for the socket to take them."""
        return self._frames.buffered > 0

    def fileno(self) -> int:
        """Return the socket's descriptor, -1 after `close()`."""
        return self._fd

    def pump(self, handle: Callable[[memoryview], None]) -> None:
        """Read once and hand over every complete message."""
        if self._ended is not None:
            raise self._again()
        try:
            self._frames.pump(handle)
        except ProtocolViolation as violation:
            self._frames.say_close(_close_payload(violation.close_code, ""), urgent=True)
            raise self._end(
                LineClosed(violation.close_code, f"the server sent {violation.detail}")
            ) from violation
        except LineClosed as closed:
            self._ended = closed
            raise

    def send(self, data: bytes) -> None:
        """Send one message ahead of waiting audio."""
        if self._ended is not None:
            raise self._again()
        self._frames.write_text(data, urgent=True)

    def send_audio(self, data: bytes) -> None:
        """Send one message behind all others, or refuse it whole."""
        if self._ended is not None:
            raise self._again()
        waiting = self._frames.buffered
        # a frame that alone is over the bound may pass an empty buffer: else it never could
        if waiting and waiting + len(data) > self._send_buffer_bytes:
            raise SendBufferFull(self._send_buffer_bytes)
        self._frames.write_text(data, urgent=False)

    def flush(self) -> None:
        """Write what waits, as far as the socket takes it."""
        if self._ended is not None:
            raise self._again()
        self._frames.flush()

    def service(self, now: float) -> float:
        """Ping, and notice a mute server or a stalled socket."""
        if self._ended is not None:
            raise self._again()
        verdict, next_look = self._keepalive.look(now, self._frames.reads)
        if verdict is Verdict.PING:
            self._frames.ping()
        elif verdict is Verdict.DEAD:
            if not self._readable():
                raise self._end(LineClosed(1011, "the server answered no ping"))
            next_look = now + _GRACE_S  # its answer is there: the owner was late, not the server
        return min(next_look, self._look_for_stall(now))

    def _look_for_stall(self, now: float) -> float:
        frames = self._frames
        verdict, next_look = self._stall.look(now, frames.buffered > 0, frames.written)
        if verdict is not Verdict.DEAD:
            return next_look
        frames.flush()
        verdict, next_look = self._stall.look(now, frames.buffered > 0, frames.written)
        if verdict is Verdict.DEAD:
            raise self._end(LineClosed(1006, "the socket takes no data"))
        return next_look

    def close(self, code: int = 1000, reason: str = "", timeout_s: float = 0.5) -> None:
        """Flush, exchange CLOSE, and close the socket, within the bound."""
        if self._frames.sock is None:
            return
        deadline = Deadline(timeout_s if timeout_s > 0 else 0.0)
        try:
            if self._ended is None:
                self._ended = LineClosed(code, "closed by this side")
                self._frames.say_close(_close_payload(code, reason), urgent=False)
                self._converse(deadline)
            else:
                self._frames.flush()
        except (LineClosed, ProtocolViolation, OSError):
            pass  # the server said CLOSE or broke off: either way it has ended
        finally:
            with self._fate:
                self._fd = -1
                self._frames.release()

    def _converse(self, deadline: Deadline) -> None:
        """Write what waits and read until the server's CLOSE, which ends it as `LineClosed` does."""
        frames = self._frames
        nested = frames.pumping  # called by the handler of a pump: its read is still in hand, so write only
        if not nested:
            frames.pump(_ignore)
        with selectors.DefaultSelector() as selector:
            selector.register(self._fd, selectors.EVENT_READ)
            while (left := deadline.left()) > 0 and not (nested and not frames.buffered):
                interest = (0 if nested else selectors.EVENT_READ) | (
                    selectors.EVENT_WRITE if frames.buffered else 0
                )
                selector.modify(self._fd, interest)
                for _, ready in selector.select(left):
                    if ready & selectors.EVENT_WRITE:
                        frames.flush()
                    if ready & selectors.EVENT_READ:
                        frames.pump(_ignore)

    def abort(self) -> None:
        """Kill the line from any thread."""
        with self._fate:
            self._frames.broken = self._frames.broken or "aborted by this side"
            self._frames.kill()

    def _end(self, closed: LineClosed) -> LineClosed:
        self._ended = closed
        return closed

    def _again(self) -> LineClosed:
        assert self._ended is not None
        return LineClosed(self._ended.close_code, self._ended.reason)

    def _readable(self) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(self._fd, selectors.EVENT_READ)
            return bool(selector.select(0))


def _ignore(_: memoryview) -> None:
    """Take a message and do nothing."""


def _close_payload(code: int, reason: str) -> bytes:
    sendable = (1000 <= code <= 1014 and code not in (1004, 1005, 1006)) or 3000 <= code <= 4999
    text = reason.encode("utf-8", "replace")[:_MAX_REASON_BYTES].decode("utf-8", "ignore")
    return (code if sendable else 1000).to_bytes(2, "big") + text.encode()


def connect_websocket(
    url: str,
    *,
    headers: Mapping[str, str],
    timeout_s: float,
    ssl_context: ssl.SSLContext | None = None,
    proxy: str | None = None,
    limits: LineLimits = DEFAULT_LIMITS,
) -> WebSocketTransport:
    """Open a line, blocking for at most `timeout_s` seconds in all: name, TCP, proxy, TLS and upgrade.

    Args:
        url: `ws://` or `wss://`; never shown in an error, because its query may hold a key.
        headers: Sent with the upgrade; never shown in an error.
        timeout_s: The deadline in seconds.
        ssl_context: How to verify the server; by default a new context with the system's certificates (22 ms and 832 KB
            each: share one).
        proxy: URL of an HTTP proxy, "" for none; by default the environment's, which is ignored for loopback hosts.
        limits: How much the line may take, and how long.

    Raises:
        ConfigError: the URL, a header or the proxy is none (the caller's fault).
        Unreachable: no such host, nobody listens, or the connection was lost on the way.
        TlsFailed: the server could not be verified.
        HandshakeRefused: the server answered with something else than a WebSocket.
        ConnectTimeout: the deadline passed.
        ConnectCancelled: the attempt was called off: see ``cancellation``.
    """
    check_headers(headers)
    if not (timeout_s > 0 and math.isfinite(timeout_s)):
        raise ConfigError("timeout_s", timeout_s, "a positive number of seconds")
    deadline = Deadline(timeout_s, current_cancellation())
    endpoint = parse_endpoint(url)
    way = proxy_for(endpoint, proxy)
    try:
        sock = dial(endpoint, deadline=deadline, ssl_context=ssl_context, proxy=way)
        frames = upgrade(sock, url, headers=headers, deadline=deadline, limits=limits)
        _let_go(frames, deadline)
    except ConnectError as error:
        if deadline.cancellation.cancelled and not isinstance(error, ConnectCancelled):
            raise ConnectCancelled from error  # a socket that is shut down fails in any way
        raise
    return WebSocketTransport(frames, limits)


def _let_go(frames: FrameSocket, deadline: Deadline) -> None:
    """From now on the line is its owner's, and no cancellation touches it; one that came before has killed it."""
    deadline.cancellation.unwatch()
    if deadline.cancellation.cancelled:
        frames.release()
        raise ConnectCancelled


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse what would break out of a header line, or fight with the upgrade.

    Raises:
        ConfigError: it names the header; never its value (the caller's fault).
    """
    for name, value in headers.items():
        token = name.replace("-", "").replace("_", "")
        if not (token.isascii() and token.isalnum()):
            raise ConfigError("headers", name, "header names of letters, digits, '-' and '_'")
        if name.lower() in _RESERVED or name.lower().startswith("sec-websocket-"):
            raise ConfigError("headers", name, "headers that the upgrade itself does not need")
        if not (value.isascii() and (value.isprintable() or not value)):
            raise ConfigError("headers", "", f"printable ASCII as the value of {name}")
