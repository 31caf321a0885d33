"""What a session's process and a tool's process say to each other: JSON frames on a socket. Owns nothing: both ends use it."""

from __future__ import annotations

import socket
import struct
from typing import Any, TypeVar

import msgspec

M = TypeVar("M")

_LENGTH = struct.Struct("!I")
_CHUNK = 1 << 16


class ToolOrigin(msgspec.Struct, frozen=True):
    """Where a tool's process finds it.

    Attributes:
        module: its import path.
        qualname: its name in there.
        main_file: the program's file, if the tool is defined in the program itself, which has no import path.
    """

    module: str
    qualname: str
    main_file: str | None = None


class ToolReady(msgspec.Struct, frozen=True):
    """The child's first word. ``refusal``: why it cannot run the tool."""

    refusal: str | None = None


class RunCall(msgspec.Struct, frozen=True):
    """One call: what a ToolContext holds, and the arguments as the model wrote them."""

    call_id: str
    name: str
    session_id: str
    turn_id: str
    arguments: str
    may_have_run: bool = False


class CallBegan(msgspec.Struct, frozen=True):
    """The child has a call in hand: from here on it counts as run."""


class CallAnswer(msgspec.Struct, frozen=True):
    """How a call ended. ``is_text``: the output is the result as it is, no JSON. ``code``: why it failed, if it did."""

    output: str
    is_text: bool = False
    code: str | None = None
    message: str = ""
    detail: str = ""


class Frames:
    """Messages in both directions of a socket: four bytes of length, then JSON."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def send(self, message: Any) -> None:
        """Write a message.

        Raises:
            OSError: the other end is gone.
        """
        data = msgspec.json.encode(message)
        self._sock.sendall(_LENGTH.pack(len(data)) + data)

    def receive(self, kind: type[M], timeout_s: float | None = None) -> M:
        """Wait for a message.

        Raises:
            EOFError: the other end is gone.
            TimeoutError: it said nothing in time.
        """
        self._sock.settimeout(timeout_s)
        try:
            length: int = _LENGTH.unpack(self._read(_LENGTH.size))[0]
            return msgspec.json.decode(self._read(length), type=kind)
        except ConnectionError as error:
            raise EOFError from error
        finally:
            self._sock.settimeout(None)

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            chunk = self._sock.recv(min(_CHUNK, size - len(data)))
            if not chunk:
                raise EOFError
            data += chunk
        return bytes(data)
