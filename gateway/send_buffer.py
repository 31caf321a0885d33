"""What waits to be written: whole frames in two classes, and at most one frame that has been begun. Pure."""

from collections import deque

__all__ = ["SendBuffer"]


class SendBuffer:
    """Order of writing: the frame that has been begun, a PONG, then urgent frames, then the others; each class in order.

    A frame that has been begun is never overtaken: a byte between its parts would corrupt the stream. Of PONGs only the newest
    waits: a server that asks without reading the answers would make us keep them all.

    Source: RFC 6455 section 5.5.3.

    Attributes:
        size: Bytes that wait, the rest of a begun frame included.
    """

    __slots__ = ("_begun", "_pong", "_urgent", "_waiting", "size")

    def __init__(self) -> None:
        self._begun: memoryview | None = None
        self._pong: bytes | None = None
        self._urgent: deque[bytes] = deque()
        self._waiting: deque[bytes] = deque()
        self.size = 0

    def add(self, frame: bytes, *, urgent: bool) -> None:
        """Queue a whole frame, urgent ones ahead of all others that have not been begun."""
        (self._urgent if urgent else self._waiting).append(frame)
        self.size += len(frame)

    def add_pong(self, frame: bytes) -> None:
        """Queue a PONG instead of the one that waits, if there is one."""
        self.size += len(frame) - len(self._pong or b"")
        self._pong = frame

    def peek(self) -> memoryview | bytes | None:
        """Return what is to be written next, or None."""
        if self._begun is not None:
            return self._begun
        if self._pong is not None:
            return self._pong
        queue = self._urgent or self._waiting
        return queue[0] if queue else None

    def begin(self) -> None:
        """Bind the next frame to its place: the socket has taken it, though it said so of no byte.

        OpenSSL encrypts a record before it finds out that it cannot be written, and the retry must offer the
        same bytes.
        """
        if self._begun is not None or not self.size:
            return
        if self._pong is not None:
            self._begun, self._pong = memoryview(self._pong), None
        else:
            self._begun = memoryview((self._urgent or self._waiting).popleft())

    def advance(self, n_bytes: int) -> None:
        """Drop bytes that have been written from the front of what `peek` returned."""
        self.begin()
        assert self._begun is not None
        self.size -= n_bytes
        self._begun = self._begun[n_bytes:] if n_bytes < len(self._begun) else None

    def clear(self) -> None:
        """Drop everything."""
        self._begun = None
        self._pong = None
        self._urgent.clear()
        self._waiting.clear()
        self.size = 0
