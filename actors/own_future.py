"""A future that will not wait in the thread that has to resolve it. Owns no thread.

A callback runs in its session's thread: what it asks of that session is answered when the callback has returned, so to wait
for it there is to wait for ever.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import Any, TypeVar

from ..supervision import Future
from .errors import WaitingForOneself

T = TypeVar("T")


class OwnFuture(Future[T]):
    """A future made in the thread that will resolve it: there it raises :class:`WaitingForOneself` instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self._resolver = threading.current_thread()

    def follow(self, source: Future[T]) -> None:
        """Take over what another future brings."""
        source.add_done_callback(self._take)

    def get(self, *, timeout: float | None = None) -> Any:
        """Return the value; see ``Future.get``.

        Raises:
            WaitingForOneself: it is not there, and waiting here would keep it from coming. The caller's fault.
        """
        self._refuse_to_wait()
        return super().get(timeout=timeout)

    def exception(self, *, timeout: float | None = None) -> BaseException | None:
        """Return the exception; see ``Future.exception``. Raises as ``get`` does."""
        self._refuse_to_wait()
        return super().exception(timeout=timeout)

    def __await__(self) -> Generator[Any, None, T]:
        self._refuse_to_wait()
        return super().__await__()

    def _refuse_to_wait(self) -> None:
        if not self.done() and threading.current_thread() is self._resolver:
            raise WaitingForOneself

    def _take(self, source: Future[T]) -> None:
        error = source.exception()
        if error is None:
            self.set(source.get())
        else:
            self.set_exception((type(error), error, error.__traceback__))
