"""Both directions of all connections as lines of JSON, in a file. Owns a file; one thread writes.

A line is one frame: `{"t_s": 0.0123, "connection": 1, "direction": "sent", "event": {...}}`. `t_s` counts seconds from the
start, on a monotonic clock; directions are the client's. A frame that is no JSON object has `raw` (text) or `raw_base64`
(binary) instead of `event`. Handshakes are not in it, so no key is; what events may hold of credentials is starred out.

Each line is written at once and whole: nothing is buffered here, and whoever kills the process loses none.
"""

from __future__ import annotations

import base64
import fcntl
import logging
import os
import stat
import time
from collections.abc import Callable
from typing import Any

import msgspec

from .wire_log import Direction

_logger = logging.getLogger("trunkline.gateway")
_SECRET = "***"
_SECRET_FIELDS = ("authorization", "headers")
"""Of an MCP tool. Source: protocol.md A.3, `Mcp`."""


class Recording:
    """A file that frames are appended to.

    A file that cannot be written any more (a full disk) ends the recording, not the simulator: that is logged once, and
    what is in the file stays, in whole lines.

    Args:
        path: Is made, or emptied.
        clock: Seconds on a monotonic clock.

    Raises:
        OSError: The file cannot be made, or another recording is being made in it: the caller's fault.
    """

    def __init__(self, path: str | os.PathLike[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._path = os.fspath(path)
        self._clock = clock
        self._fd: int | None = _emptied(self._path)
        self._n_lines = 0
        self._n_bytes = 0
        self._started_s = clock()

    def note_frame(self, direction: Direction, connection: int, frame: str | bytes) -> None:
        """Append a frame."""
        if self._fd is None:
            return
        entry = {
            "t_s": round(self._clock() - self._started_s, 6),
            "connection": connection,
            "direction": direction,
            **_content(frame),
        }
        self._append(self._fd, msgspec.json.encode(entry) + b"\n")

    def close(self) -> None:
        """Close the file; more than once is fine."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _append(self, fd: int, line: bytes) -> None:
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(fd, rest) :]
        except OSError as error:
            self._give_up(fd, error)
        else:
            self._n_lines += 1
            self._n_bytes += len(line)

    def _give_up(self, fd: int, error: OSError) -> None:
        try:
            os.ftruncate(fd, self._n_bytes)
        except OSError:
            # A pipe, or a disk that is gone: there is no half line to take back.
            pass
        self.close()
        _logger.error(
            "recording to %s stopped after %d frames: %s. The simulator goes on without it.",
            self._path,
            self._n_lines,
            error,
        )


def _emptied(path: str) -> int:
    """Open a file for one's own recording, whatever was in it before."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        return fd  # a pipe or a device: nothing is in it, and others may write there too
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise BlockingIOError(error.errno, "another recording is being made in it", path) from error
    except OSError:
        pass  # a file system that knows no locks
    os.ftruncate(fd, 0)
    return fd


def _content(frame: str | bytes) -> dict[str, Any]:
    if not isinstance(frame, str):
        return {"raw_base64": base64.b64encode(frame).decode()}
    try:
        event = msgspec.json.decode(frame)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return {"raw": frame}
    if not isinstance(event, dict):
        return {"raw": frame}
    for holder in ("session", "response"):
        _star_out(event.get(holder))
    return {"event": event}


def _star_out(holder: object) -> None:
    """Replace what an MCP tool of a session or response lets the service log in with."""
    tools = holder.get("tools") if isinstance(holder, dict) else None
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, dict):
            tool.update((name, _SECRET) for name in _SECRET_FIELDS if tool.get(name))
