"""Cuts a byte stream into WebSocket frames as the bytes arrive, whole text messages without a copy. Pure.

Source: RFC 6455 section 5.2, as a client reads it. What is no unfragmented text goes to `on_other`, whole.
"""

import struct
from collections.abc import Callable

__all__ = ["FrameParser", "ProtocolViolation"]

TEXT = 0x81
"""First byte of an unfragmented text frame: FIN and opcode 1."""

_STOPPED = -1
_LONGEST_HEAD = 10
_HEAD = struct.Struct("!BBH").unpack_from
_FIRST_BYTES = frozenset({0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8A})
"""FIN with every known opcode; without FIN only data frames. No extension is offered, so no RSV bit is legal."""


class ProtocolViolation(Exception):
    """The server broke the protocol or a limit; the stream cannot be read on.

    Attributes:
        close_code: What to tell the server: 1002 (protocol error) or 1009 (too big).
        detail: What it did, without payload.
    """

    def __init__(self, close_code: int, detail: str) -> None:
        super().__init__(close_code, detail)
        self.close_code = close_code
        self.detail = detail


class FrameParser:
    """The state between two reads: the bytes of an incomplete frame, and which frames take the short way."""

    __slots__ = ("_fast", "_have", "_max_frame_bytes", "_parts", "_want")

    def __init__(self, max_frame_bytes: int) -> None:
        self._max_frame_bytes = max_frame_bytes
        self._parts: list[bytes] = []
        self._have = 0
        self._want = 0
        self._fast = TEXT

    @property
    def behind(self) -> bool:
        """Whether complete frames may be left over, because a callback raised: feed `b""` to go on."""
        return 0 < self._have >= self._want

    def fragmented(self, is_open: bool) -> None:
        """Say whether a fragmented message is open: a text frame is a violation then, so none takes the short way."""
        if self._fast != _STOPPED:
            self._fast = _STOPPED - 1 if is_open else TEXT

    def stop(self) -> None:
        """Drop all that is left and all that comes; callable from within a callback."""
        self._fast = _STOPPED

    def feed(
        self, data: bytes, on_text: Callable[[memoryview], None], on_other: Callable[[int, memoryview], None]
    ) -> None:
        """Take the next bytes and hand over every frame they complete.

        Args:
            data: Bytes as they arrived; views on them are handed out.
            on_text: Called per unfragmented text frame with its payload.
            on_other: Called per other frame with its first byte and payload; any first byte is a legal one.

        Raises:
            ProtocolViolation: a masked frame, a reserved bit or opcode, an illegal control frame, or one over the limit.
        """
        if not self._have:
            self._cut(data, 0, on_text, on_other)
            return
        missing = self._want - self._have
        if len(data) < missing:
            self._parts.append(data)
            self._have += len(data)
        elif self._want <= _LONGEST_HEAD or missing <= 0:
            self._cut(self._joined(data), 0, on_text, on_other)
        else:  # the frame that was begun is put together, and nothing else: to copy the whole read costs 5 % of an audio frame
            try:
                self._cut(self._joined(data[:missing]), 0, on_text, on_other)
            except BaseException:
                self._keep(data, missing, 2)
                raise
            self._cut(data, missing, on_text, on_other)

    def _joined(self, data: bytes) -> bytes:
        joined = b"".join((*self._parts, data))
        self._parts.clear()
        self._have = 0
        return joined

    def _cut(
        self,
        data: bytes,
        pos: int,
        on_text: Callable[[memoryview], None],
        on_other: Callable[[int, memoryview], None],
    ) -> None:
        view = memoryview(data)
        end, want, limit = len(data), 2, self._max_frame_bytes
        try:
            while (left := end - pos) >= 2:
                # one call for all three: to index bytes costs 30 ns a time
                first, n, n16 = _HEAD(data, pos) if left >= 4 else (data[pos], data[pos + 1], 0)
                start = pos + 2
                if n > 125:
                    head = want = 4 if n == 126 else self._long_head(n)
                    start = pos + head
                    if end < start:
                        break
                    n = n16 if head == 4 else int.from_bytes(data[pos + 2 : start], "big")
                if n > limit:
                    raise ProtocolViolation(1009, f"a frame of {n} bytes, over {limit}")
                if end < (stop := start + n):
                    want = stop - pos
                    self._check(first, n)
                    break
                pos, want = stop, 2
                # self._fast is read anew for each frame: a callback may stop the parser
                if first == self._fast:
                    on_text(view[start:stop])
                elif self._fast == _STOPPED:
                    pos = end
                else:
                    self._check(first, n)
                    on_other(first, view[start:stop])
        finally:
            self._keep(data, pos, want)

    def _keep(self, data: bytes, pos: int, want: int) -> None:
        if pos < len(data) and self._fast != _STOPPED:
            rest = data[pos:]
            self._parts.append(rest)
            self._have = len(rest)
            self._want = want

    @staticmethod
    def _long_head(length_byte: int) -> int:
        if length_byte > 127:
            raise ProtocolViolation(1002, "a masked frame from a server")
        return 10

    @staticmethod
    def _check(first_byte: int, n: int) -> None:
        if first_byte not in _FIRST_BYTES:
            raise ProtocolViolation(1002, f"an illegal frame with first byte 0x{first_byte:02x}")
        if first_byte >= 0x88 and n > 125:
            raise ProtocolViolation(1002, f"a control frame of {n} bytes")
