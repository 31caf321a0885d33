"""WebSocket frames as a proxy sees them: read whole from either side, written as either side writes them. Owns nothing.

Source: RFC 6455 section 5.2.
"""

import asyncio
from dataclasses import dataclass

from ..mask import client_frame

__all__ = [
    "CLOSE",
    "Frame",
    "FrameTooLong",
    "close_frame",
    "endless_head",
    "fragments",
    "read_frame",
    "server_frame",
]

CLOSE = 8
_MAX_FRAME_BYTES = 64 << 20
_ENDLESS = 1 << 62


class FrameTooLong(Exception):
    """A frame over 64 MiB: more than the proxy keeps in memory."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame.

    Attributes:
        first: FIN, RSV bits and opcode.
        payload: Without its mask.
        raw: As it came.
    """

    first: int
    payload: bytes
    raw: bytes

    @property
    def opcode(self) -> int:
        """0 to 2 are data, 8 to 10 control."""
        return self.first & 15

    @property
    def is_data(self) -> bool:
        """Whether it carries a message or a part of one."""
        return self.opcode < CLOSE

    @property
    def is_message(self) -> bool:
        """Whether it is a whole text message."""
        return self.first == 0x81


async def read_frame(reader: asyncio.StreamReader) -> Frame:
    """Return the next frame, masked or not.

    Raises:
        asyncio.IncompleteReadError: The stream ended; `partial` holds what came of the frame.
        FrameTooLong: It does not fit into memory.
        ConnectionError: The connection was lost.
    """
    raw, key = bytearray(await reader.readexactly(2)), b""
    try:
        n = raw[1] & 127
        if n > 125:
            raw += await reader.readexactly(2 if n == 126 else 8)
            n = int.from_bytes(raw[2:], "big")
        if n > _MAX_FRAME_BYTES:
            raise FrameTooLong
        if raw[1] & 128:
            key = await reader.readexactly(4)
        payload = await reader.readexactly(n)
    except asyncio.IncompleteReadError as error:
        raise asyncio.IncompleteReadError(bytes(raw) + key + error.partial, None) from error
    plain = _masked(payload, key) if key else payload
    return Frame(raw[0], plain, bytes(raw) + key + payload)


def server_frame(first: int, payload: bytes) -> bytes:
    """Return a frame as a server writes it."""
    return _head(first, len(payload)) + payload


def masked_server_frame(first: int, payload: bytes) -> bytes:
    """Return a frame of a server that masks, which it must not."""
    return client_frame(first, payload, b"\x12\x34\x56\x78")


def close_frame(code: int, reason: str) -> bytes:
    """Return a server's CLOSE, with whatever code."""
    return server_frame(0x80 | CLOSE, code.to_bytes(2, "big") + reason.encode("utf-8", "replace"))


def endless_head() -> bytes:
    """Return the head of a text frame that never ends."""
    return _head(0x81, _ENDLESS)


def fragments(payload: bytes, n: int) -> bytes:
    """Return a text message in n frames."""
    cuts = [len(payload) * i // n for i in range(n + 1)]
    firsts = [0x01, *[0x00] * (n - 2), 0x80]
    return b"".join(server_frame(firsts[i], payload[cuts[i] : cuts[i + 1]]) for i in range(n))


def _head(first: int, n_bytes: int) -> bytes:
    if n_bytes < 126:
        return bytes([first, n_bytes])
    if n_bytes < 1 << 16:
        return bytes([first, 126]) + n_bytes.to_bytes(2, "big")
    return bytes([first, 127]) + n_bytes.to_bytes(8, "big")


def _masked(payload: bytes, key: bytes) -> bytes:
    n = len(payload)
    keys = (key * (n // 4 + 1))[:n]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(keys, "big")).to_bytes(n, "big")
