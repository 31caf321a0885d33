"""A socket as websocket-client's handshake sees it: one deadline for all of it, no cookies. Owns no socket: borrows one.

websocket-client reads the response byte by byte with a timeout per byte, keeps one cookie jar for the whole process, and
reads as much error body as Content-Length says. Here the head is read at once, within the deadline and a size limit,
and the header lines that trigger the other two are left out in both directions.
"""

import re
import socket
import ssl

from .deadline import Deadline

__all__ = ["HandshakeSocket", "HeadTooLong", "read_head"]

_END = b"\r\n\r\n"
_MAX_HEAD_BYTES = 64 * 1024
_CHUNK = 4096
_COOKIE = re.compile(rb"\r\ncookie:[^\r\n]*", re.IGNORECASE)
_UNWANTED = re.compile(rb"\r\n(?:set-cookie2?|content-length):[^\r\n]*", re.IGNORECASE)


class HeadTooLong(Exception):
    """The peer's answer does not end its head within the limit, or is no HTTP at all."""


def read_head(sock: socket.socket, deadline: Deadline) -> bytes:
    """Read one HTTP response head and not a byte more; b"" or an unterminated head at EOF.

    The frames that follow must stay in the kernel, where the owner's poll sees them. (What OpenSSL has decrypted along
    with the head is out of poll's sight: hence the first `pump` that the transport's contract asks for.)

    Raises:
        TimeoutError: the deadline passed.
        HeadTooLong: no end within 64 KiB.
    """
    head = b""
    peekable = not isinstance(sock, ssl.SSLSocket)
    while not head.endswith(_END):
        if len(head) >= _MAX_HEAD_BYTES:
            raise HeadTooLong(f"no end of the response head within {_MAX_HEAD_BYTES} bytes")
        size = _peek(sock, deadline, head) if peekable else 1
        if not size or not (chunk := deadline.govern(sock).recv(size)):
            break
        head += chunk
    return head


def _peek(sock: socket.socket, deadline: Deadline, head: bytes) -> int:
    """Return how many of the bytes that wait belong to the head."""
    seen = head[-3:] + deadline.govern(sock).recv(_CHUNK, socket.MSG_PEEK)
    overlap = len(head[-3:])
    end = seen.find(_END)
    return (len(seen) if end < 0 else end + len(_END)) - overlap


class HandshakeSocket:
    """What `websocket.WebSocket.connect(socket=...)` talks to while it upgrades."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline
        self._head: bytes | None = None

    def gettimeout(self) -> float:
        """Return 0, which makes websocket-client call `recv` and `send` as they are, without a selector of its own."""
        return 0.0

    def send(self, data: bytes) -> int:
        """Send all of the request; a cookie that websocket-client remembers for this host is left out."""
        self._deadline.govern(self._sock).sendall(_COOKIE.sub(b"", data))
        return len(data)

    def recv(self, size: int) -> bytes:
        """Return the next bytes of the response head, b"" after its end."""
        if self._head is None:
            head = read_head(self._sock, self._deadline)
            if head and not head.startswith(b"HTTP/"):
                raise HeadTooLong("the answer is no HTTP response")
            self._head = _UNWANTED.sub(b"", head)
        chunk, self._head = self._head[:size], self._head[size:]
        return chunk

    def read_excerpt(self, limit: int, wait_s: float) -> bytes:
        """Return at most `limit` bytes of what follows the head, waiting at most `wait_s` seconds."""
        patience = Deadline(min(wait_s, self._deadline.left()))
        body = b""
        try:
            while len(body) < limit and (chunk := patience.govern(self._sock).recv(limit - len(body))):
                body += chunk
        except OSError:
            pass  # an excerpt is a courtesy: what has come is enough
        return body

    def close(self) -> None:
        """Do nothing: websocket-client closes when the handshake fails, but the body is still to be read then."""
