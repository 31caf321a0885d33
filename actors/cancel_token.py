"""The switch that tells a running tool to stop. Owns no thread and no socket; any thread may use it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

_log = logging.getLogger("trunkline.actors")


class CancelToken:
    """Set once, by whoever owns the call, with a reason; read and waited for by the tool, from any thread.

    Cancelling is a request: a tool sees it when it looks (``ctx.cancelled``), and a coroutine gets its ``CancelledError``.
    """

    __slots__ = ("_callbacks", "_lock", "_reason", "_set")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._set = threading.Event()
        self._reason: str | None = None
        self._callbacks: list[Callable[[], object]] = []

    @property
    def cancelled(self) -> bool:
        """Whether the token is set."""
        return self._set.is_set()

    @property
    def reason(self) -> str | None:
        """Why it was set, or None as long as it is not."""
        return self._reason

    def cancel(self, reason: str = "cancelled") -> bool:
        """Set the token and run its callbacks in this thread.

        Args:
            reason: a snake_case word for the tool and the outcome; ``"timeout"`` makes the outcome's code ``timeout``.

        Returns:
            True the first time; False, and nothing happens, ever after.
        """
        with self._lock:
            if self._set.is_set():
                return False
            self._reason = reason
            self._set.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            _run(callback)
        return True

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the token is set, at most ``timeout_s`` seconds. Returns whether it is."""
        return self._set.wait(timeout_s)

    def on_cancel(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Have ``callback`` called, once, in the thread that cancels; at once if the token is set.

        It must be quick. What it raises is logged.

        Returns:
            A function that takes the callback back; it may be called at any time, more than once.
        """
        with self._lock:
            if not self._set.is_set():
                self._callbacks.append(callback)
                return lambda: self._forget(callback)
        _run(callback)
        return _nothing

    def _forget(self, callback: Callable[[], object]) -> None:
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

    def __repr__(self) -> str:
        return f"<CancelToken {self._reason if self.cancelled else 'not set'}>"


def _nothing() -> None:
    return None


def _run(callback: Callable[[], object]) -> None:
    try:
        callback()
    except Exception:  # noqa: BLE001 - one broken callback must not keep the others from being told
        _log.exception("a callback of a cancelled tool call raised")
