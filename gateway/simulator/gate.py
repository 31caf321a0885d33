"""A gate that holds a response back until a test opens it. Owns a lock; any thread may open it."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Gate:
    """Hold a response at a chosen point, so that a test decides when it goes on, without sleeping.

    A brain answers with `Hold(gate)`; the test waits with `wait_reached()` and goes on with `open()`. An opened gate
    stays open.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = False
        self._reached = threading.Event()
        self._wakers: list[Callable[[], None]] = []

    @property
    def is_open(self) -> bool:
        """Whether `open` was called."""
        return self._open

    def open(self) -> None:
        """Let everything pass that waits here, and all that comes later. From any thread; more than once is fine."""
        with self._lock:
            self._open = True
            wakers, self._wakers = self._wakers, []
        for wake in wakers:
            wake()

    def wait_reached(self, timeout_s: float = 5.0) -> None:
        """Block until a response has come to this gate.

        Raises:
            TimeoutError: None came within `timeout_s` seconds.
        """
        if not self._reached.wait(timeout_s):
            raise TimeoutError(f"no response reached the gate within {timeout_s} s")

    def when_open(self, wake: Callable[[], None]) -> None:
        """Call `wake` once the gate is open: at once if it is, else later in the opener's thread."""
        with self._lock:
            if not self._open:
                self._wakers.append(wake)
        self._reached.set()
        if self._open:
            # Possibly a second call, when `open` ran between: waking twice is harmless by contract.
            wake()
