"""A point in time that a chain of blocking socket calls shares. Owns nothing; reads the monotonic clock."""

import socket
import time

__all__ = ["Deadline"]


class Deadline:
    """What is left of a timeout, however many calls share it."""

    __slots__ = ("_at", "timeout_s")

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._at = time.monotonic() + timeout_s

    def left(self) -> float:
        """Return the seconds left, at least 0."""
        return max(0.0, self._at - time.monotonic())

    def require(self) -> float:
        """Return the seconds left.

        Raises:
            TimeoutError: none is left.
        """
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError("deadline exceeded")
        return left

    def govern(self, sock: socket.socket) -> socket.socket:
        """Give the socket's next call no more time than is left, and return it."""
        sock.settimeout(self.require())
        return sock
