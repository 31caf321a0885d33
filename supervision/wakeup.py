"""A descriptor that becomes readable when another thread says so. Owns one eventfd, or two sockets where there is none."""

from __future__ import annotations

import os
import socket
from typing import Protocol

__all__ = ["Wakeup", "new_wakeup"]


class Wakeup(Protocol):
    """Wakes a thread that polls `fileno()`.

    The descriptor is closed when nobody refers to the object any more and never by hand: a thread that is inside
    `signal()` keeps it open, so that a late signal cannot go to a descriptor of the same number that belongs to
    somebody else.
    """

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""
        ...

    def signal(self) -> None:
        """Make the descriptor readable. Callable from any thread; never blocks."""
        ...

    def drain(self) -> None:
        """Make the descriptor unreadable again."""
        ...


class EventFd:
    """A wake-up by eventfd (Linux)."""

    __slots__ = ("_fd",)

    def __init__(self) -> None:
        self._fd = -1
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""
        return self._fd

    def signal(self) -> None:
        """Make the descriptor readable."""
        os.eventfd_write(self._fd, 1)

    def drain(self) -> None:
        """Make the descriptor unreadable again."""
        try:
            os.eventfd_read(self._fd)
        except BlockingIOError:
            pass  # nothing was signalled

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)


class SocketPair:
    """A wake-up by a pair of sockets, where there is no eventfd."""

    __slots__ = ("_reader", "_writer")

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""
        return self._reader.fileno()

    def signal(self) -> None:
        """Make the descriptor readable."""
        try:
            self._writer.send(b"\0")
        except BlockingIOError:
            pass  # it is as readable as can be

    def drain(self) -> None:
        """Make the descriptor unreadable again."""
        try:
            while len(self._reader.recv(4096)) == 4096:
                pass
        except BlockingIOError:
            pass  # nothing was signalled

    def __del__(self) -> None:
        self._reader.close()
        self._writer.close()


def new_wakeup() -> Wakeup:
    """Return the cheapest wake-up this system has."""
    return EventFd() if hasattr(os, "eventfd") else SocketPair()
