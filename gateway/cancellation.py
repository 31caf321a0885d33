"""Calls off a connection attempt from another thread. Owns nothing: it is told what the attempt waits for at the moment.

Who connects does so within `cancellable_by(cancellation)`; what blocks in there looks for it with `current_cancellation()`, and
says how it is to be woken. A wrapper around a gateway need know nothing of it; of a gateway that knows nothing of it the attempt
lives until its deadline.
"""

import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["Cancellation", "cancellable_by", "current_cancellation", "shut_down"]


class Cancellation:
    """One "stop", from any thread to the one that connects."""

    __slots__ = ("_cancelled", "_lock", "_wake")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = False
        self._wake: Callable[[], object] | None = None

    @property
    def cancelled(self) -> bool:
        """Whether the attempt has been called off."""
        return self._cancelled

    def cancel(self) -> None:
        """Call the attempt off, from any thread, and wake it if it waits. Idempotent; never blocks for long and never raises."""
        with self._lock:
            if not self._cancelled:
                self._cancelled = True
                self._call()

    def watch(self, wake: Callable[[], object]) -> None:
        """Name what `cancel` has to call from now on; it is called at once if that has happened already.

        Args:
            wake: Ends the wait that follows. Short, and raises nothing; called with a lock held, in another thread.
        """
        with self._lock:
            self._wake = wake
            if self._cancelled:
                self._call()

    def unwatch(self) -> None:
        """Forget it. When this returns it will not be called any more: a socket may be closed, or given away."""
        with self._lock:
            self._wake = None

    def _call(self) -> None:
        if self._wake is not None:
            self._wake()


_current: ContextVar[Cancellation | None] = ContextVar("trunkline_cancellation", default=None)


@contextmanager
def cancellable_by(cancellation: Cancellation) -> Generator[None, None, None]:
    """Have what connects in this thread, within this block, heed a cancellation."""
    token = _current.set(cancellation)
    try:
        yield
    finally:
        _current.reset(token)


def current_cancellation() -> Cancellation | None:
    """Return the cancellation that what connects here and now should heed, if there is one."""
    return _current.get()


def shut_down(sock: socket.socket) -> None:
    """End a connection in both directions, which wakes whoever waits for it; the descriptor stays open."""
    try:
        # not SSLSocket.shutdown, which drops the TLS state under a reader: it would see cipher text
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        pass  # it has ended already
