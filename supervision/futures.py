"""Futures of supervised actors: pykka's, plus callbacks, `done()` and an `await` that blocks no event loop. Owns no thread."""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pykka

from .guarded import guarded

if TYPE_CHECKING:
    from pykka._future import GetHookFunc
    from pykka._types import OptExcInfo

__all__ = ["Future"]

T = TypeVar("T")
M = TypeVar("M")
R = TypeVar("R")
J = TypeVar("J")

_new_lock = threading.Lock


class Future(pykka.ThreadingFuture[T]):
    """A `pykka.ThreadingFuture` that can be waited for without a thread.

    Differences from pykka's: it needs no condition variable (creating one is most of what an ask costs there),
    a getter with a timeout is not held up by another getter, and a future made by `map`, `filter`, `reduce` or `join` is done when
    its sources are.
    """

    # Class-level defaults: an ask creates one future, and most never need more than the lock and the result.
    _get_hook: GetHookFunc[T] | None = None
    _result: Any = None  # (value, exc_info) once set
    _waiters: list[Any] | None = None
    _callbacks: list[Callable[[Future[T]], object]] | None = None
    _sources: tuple[pykka.Future[Any], ...] = ()

    def __init__(self) -> None:  # pykka's own only creates the condition variable we do without
        self._lock = _new_lock()

    if not TYPE_CHECKING:  # type checkers know what a future has

        def __getattr__(self, name: str) -> Any:
            """Say what was probably forgotten: the mistake that everybody makes once."""
            raise AttributeError(
                f"'Future' object has no attribute {name!r}; what it brings may: .get() it, or await it",
                name=name,
            )

    def set(self, value: T | None = None) -> None:
        """Set the value and run the callbacks in this thread.

        Raises:
            queue.Full: it has a result already, or gets its value from a hook.
        """
        self._resolve((value, None))

    def set_exception(self, exc_info: OptExcInfo | None = None) -> None:
        """Set an exception (default: the one being handled) and run the callbacks in this thread.

        Raises:
            queue.Full: it has a result already, or gets its value from a hook.
        """
        kind, value, traceback = exc_info if exc_info is not None else sys.exc_info()
        if value is None and kind is not None:
            value = kind()
        self._resolve((None, (kind, value, traceback)))

    def _resolve(self, result: tuple[T | None, OptExcInfo | None]) -> None:
        with self._lock:
            if self._result is not None or self._get_hook is not None:
                raise queue.Full
            self._result = result
            waiters, callbacks = self._waiters, self._callbacks
            self._waiters = self._callbacks = None
        if waiters is not None:
            for waiter in waiters:
                waiter.release()
        if callbacks is not None:
            for callback in callbacks:
                self._run(callback)

    def set_get_hook(self, func: GetHookFunc[T]) -> None:
        """Compute the value by `func(timeout)` when it is first asked for, as in pykka."""
        with self._lock:
            if self._result is not None:
                raise queue.Full
            self._get_hook = func
            waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            waiter.release()

    def get(self, *, timeout: float | None = None) -> Any:
        """Return the value, or raise the exception, waiting at most `timeout` seconds for it.

        Raises:
            pykka.Timeout: there was no result in time.
        """
        result = self._result
        if result is None:
            result = self._wait(timeout)
        value, exc_info = result
        if exc_info is None:
            return value
        _, error, traceback = exc_info
        if error.__traceback__ is not traceback:
            raise error.with_traceback(traceback)
        raise error

    def _wait(self, timeout: float | None) -> Any:
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._get_hook is None:
            with self._lock:
                if self._result is not None:
                    return self._result
                if self._get_hook is not None:
                    break
                waiter = _new_lock()
                waiter.acquire()
                self._waiters = [waiter] if self._waiters is None else [*self._waiters, waiter]
            left = -1 if deadline is None else max(0.0, deadline - time.monotonic())
            if waiter.acquire(timeout=left):
                continue
            self._forget(waiter)
            if self._result is None and self._get_hook is None:
                raise pykka.Timeout(f"{timeout} seconds")
        return self._result or self._compute(timeout, deadline)

    def _forget(self, waiter: Any) -> None:
        with self._lock:
            if self._waiters is not None:
                self._waiters = [other for other in self._waiters if other is not waiter] or None

    def _compute(self, timeout: float | None, deadline: float | None) -> Any:
        # pykka holds the future's lock meanwhile, so that a second get(timeout=0.2) may take as long as the first: bounded here.
        if not self._lock.acquire(timeout=-1 if timeout is None else max(0.0, timeout)):
            raise pykka.Timeout(f"{timeout} seconds")
        try:
            if self._result is None:
                assert self._get_hook is not None
                left = timeout if deadline is None else max(0.0, deadline - time.monotonic())
                self._result = (self._get_hook(left), None)
            return self._result
        finally:
            self._lock.release()

    def done(self) -> bool:
        """Return whether `get()` would return, or raise, without waiting."""
        if self._result is not None:
            return True
        return bool(self._sources) and all(isinstance(f, Future) and f.done() for f in self._sources)

    def exception(self, *, timeout: float | None = None) -> BaseException | None:
        """Return the exception that `get()` would raise, or None, waiting at most `timeout` seconds for it.

        Raises:
            pykka.Timeout: there was no result in time.
        """
        if self._result is None and not self._sources and self._get_hook is None:
            self._wait(timeout)
        if self._result is not None:
            exc_info = self._result[1]
            return None if exc_info is None else exc_info[1]
        try:
            self.get(timeout=timeout)
        except BaseException as error:
            if isinstance(error, pykka.Timeout) and not self.done():
                raise
            return error
        return None

    def add_done_callback(self, fn: Callable[[Future[T]], object]) -> None:
        """Call `fn(self)` once there is a result: now, in this thread, if there is one, else in the thread that sets it.

        `fn` must be quick; what it raises is logged.

        Raises:
            TypeError: the value is computed by a hook of unknown sources (`ref.stop(block=False)`), so it is never
                known to be there.
        """
        if self._sources:
            self._when_sources_are_done(fn)
            return
        with self._lock:
            if self._result is None:
                if self._get_hook is not None:
                    raise TypeError(
                        "this future computes its value when get() is called: it has no moment when it is done"
                    )
                self._callbacks = [*(self._callbacks or ()), fn]
                return
        self._run(fn)

    def _when_sources_are_done(self, fn: Callable[[Future[T]], object]) -> None:
        left = list(self._sources)
        lock = _new_lock()

        def one_done(source: pykka.Future[Any]) -> None:
            with lock:
                left.remove(source)
                last = not left
            if last:
                self._run(fn)

        for source in self._sources:
            if not isinstance(source, Future):
                raise TypeError(f"{source!r} is a future without callbacks")
            source.add_done_callback(one_done)

    def _run(self, callback: Callable[[Future[T]], object]) -> None:
        # A broken callback must not take the actor down that answers.
        guarded(callback, self, "A future's callback %r", callback)

    def _derived(self, future: pykka.Future[M], *sources: pykka.Future[Any]) -> Future[M]:
        derived = cast("Future[M]", future)
        derived._sources = (self, *sources)
        return derived

    def filter(self: pykka.Future[Iterable[J]], func: Callable[[J], bool]) -> pykka.Future[Iterable[J]]:
        """Return a future of the items for which `func` is true, as pykka's."""
        return cast("Future[Any]", self)._derived(super().filter(func))  # type: ignore[misc]  # self is narrowed to iterables

    def join(self: pykka.Future[Any], *futures: pykka.Future[Any]) -> pykka.Future[Iterable[Any]]:
        """Return a future of the list of all results, as pykka's."""
        return cast("Future[Any]", self)._derived(super().join(*futures), *futures)  # type: ignore[misc]  # as above

    def map(self, func: Callable[[T], M]) -> Future[M]:
        """Return a future of `func(value)`, as pykka's. `func` runs in the thread that first gets it."""
        return self._derived(super().map(func))

    def reduce(self: pykka.Future[Iterable[J]], func: Callable[[R, J], R], *args: R) -> pykka.Future[R]:
        """Return a future of the items folded by `func`, as pykka's."""
        return cast("Future[Any]", self)._derived(super().reduce(func, *args))  # type: ignore[misc]  # as above

    def __await__(self) -> Generator[Any, None, T]:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # driven by hand or by another framework: pykka's way
            yield None
            return cast("T", self.get())
        if self._get_hook is not None and not self._sources:
            return cast("T", (yield from loop.run_in_executor(None, self.get).__await__()))
        arrived: asyncio.Future[None] = loop.create_future()
        self.add_done_callback(lambda _: _call_soon(loop, arrived))
        yield from arrived.__await__()
        return cast("T", self.get())

    __iter__ = __await__


def _call_soon(loop: asyncio.AbstractEventLoop, arrived: asyncio.Future[None]) -> None:
    def arrive() -> None:
        if not arrived.done():  # the awaiting task may have been cancelled
            arrived.set_result(None)

    try:
        loop.call_soon_threadsafe(arrive)
    except RuntimeError:
        pass  # the loop is closed: nobody waits any more
