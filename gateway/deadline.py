"""How long a chain of blocking socket calls may take, and who may call it off. Owns nothing; reads the monotonic clock."""

import socket
import time
from functools import partial

from .cancellation import Cancellation, shut_down
from .errors import ConnectCancelled

__all__ = ["Deadline"]


class Deadline:
    """What is left of a timeout, however many calls share it.

    Args:
        timeout_s: The timeout in seconds, from now on.
        cancellation: Who may end it earlier.
    """

    __slots__ = ("_at", "cancellation", "timeout_s")

    def __init__(self, timeout_s: float, cancellation: Cancellation | None = None) -> None:
        self.timeout_s = timeout_s
        self.cancellation = cancellation or Cancellation()
        self._at = time.monotonic() + timeout_s

    def left(self) -> float:
        """Return the seconds left, at least 0."""
        return max(0.0, self._at - time.monotonic())

    def require(self) -> float:
        """Return the seconds left.

        Raises:
            TimeoutError: none is left.
            ConnectCancelled: it was called off.
        """
        if self.cancellation.cancelled:
            raise ConnectCancelled
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError("deadline exceeded")
        return left

    def govern(self, sock: socket.socket) -> socket.socket:
        """Give the socket's next call no more time than is left, and return it."""
        sock.settimeout(self.require())
        return sock

    def watch(self, sock: socket.socket) -> socket.socket:
        """Have a cancellation end what this socket does, the only one from now on, and return it."""
        self.cancellation.watch(partial(shut_down, sock))
        return sock

    def discard(self, sock: socket.socket) -> None:
        """Close a socket that is watched; never while somebody shuts it down, when its number may be another one's already."""
        self.cancellation.unwatch()
        sock.close()
