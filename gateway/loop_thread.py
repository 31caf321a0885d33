"""A thread with an event loop in it, started, called into and stopped from outside. Owns that thread."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

_logger = logging.getLogger("trunkline.gateway")
_CALL_TIMEOUT_S = 5.0

Main = Callable[[Callable[[], None], asyncio.Event], Coroutine[Any, Any, None]]
"""What runs in the thread: it calls its first argument when it is ready, and ends when the event is set."""


class LoopThread:
    """Run a coroutine in a thread of its own; more than once, but one at a time.

    Args:
        name: Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_started(self) -> bool:
        """Whether `start` succeeded and `stop` did not yet."""
        return self._thread is not None

    def start(self, main: Main) -> None:
        """Start the thread and return when `main` is ready; what it raises before that is raised here.

        Raises:
            RuntimeError: It runs already: the caller's fault.
        """
        if self._thread is not None:
            raise RuntimeError(f"{self._name} is running already")
        self._ready.clear()
        self._failure = None
        self._thread = threading.Thread(target=self._run, args=(main,), name=self._name, daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            self._thread = None
            raise self._failure

    def stop(self, timeout_s: float) -> bool:
        """Ask `main` to end and wait for the thread; return whether it is gone. Without a thread: do nothing."""
        thread, loop, stopping = self._thread, self._loop, self._stopping
        if thread is None:
            return True
        if loop is not None and stopping is not None:
            try:
                loop.call_soon_threadsafe(stopping.set)
            except RuntimeError:
                # The loop is closed: the thread is ending by itself.
                pass
        thread.join(timeout_s)
        if thread.is_alive():
            return False
        self._thread = None
        return True

    def call(self, act: Callable[[], None]) -> None:
        """Run `act` in the thread and wait for it (at once, when that thread is the caller's).

        Raises:
            RuntimeError: Nothing runs: the caller's fault.
            TimeoutError: The thread is blocked.
        """
        loop = self._loop
        if loop is None:
            raise RuntimeError(f"{self._name} is not running")
        if threading.current_thread() is self._thread:
            act()
            return
        done: Future[None] = Future()

        def run() -> None:
            try:
                act()
            except Exception as error:  # noqa: BLE001 - the thread's edge: it is raised in the caller
                done.set_exception(error)
            else:
                done.set_result(None)

        loop.call_soon_threadsafe(run)
        done.result(_CALL_TIMEOUT_S)

    def _run(self, main: Main) -> None:
        try:
            asyncio.run(self._main(main))
        except BaseException as error:
            self._failure = error
            if self._ready.is_set():
                _logger.exception("%s died", self._name)
        finally:
            self._loop = None
            self._ready.set()

    async def _main(self, main: Main) -> None:
        self._stopping = asyncio.Event()

        def ready() -> None:
            self._loop = asyncio.get_running_loop()
            self._ready.set()

        await main(ready, self._stopping)
