"""A probe: an actor that a test sends things to, and asks what arrived. Owns a thread: the probe's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self, TypeVar, overload

import pykka

from .genserver import GenServer
from .monitor import Down, Monitor, monitor
from .reasons import ExitReason

__all__ = ["Arrivals", "Probe", "matches"]

T = TypeVar("T")
_ANY: Any = object()


def matches(wanted: Any, arrived: Any) -> bool:
    """Return whether `arrived` is what is wanted: an instance of a class, true for a predicate, else equal."""
    if isinstance(wanted, type):
        return isinstance(arrived, wanted)
    if callable(wanted):
        return bool(wanted(arrived))
    return bool(wanted == arrived)


def _listed(things: Iterable[Any]) -> str:
    lines = [f"  {thing!r}" for thing in things]
    return "\n".join(lines) if lines else "  (nothing)"


class Arrivals:
    """A list that any thread may append to and that can be waited on: each entry is taken once."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._all: list[Any] = []
        self._left: list[Any] = []

    def add(self, thing: Any) -> None:
        """Append `thing` and wake who waits for it."""
        with self._changed:
            self._all.append(thing)
            self._left.append(thing)
            self._changed.notify_all()

    @property
    def everything(self) -> list[Any]:
        """What has arrived, in order, taken or not."""
        with self._changed:
            return list(self._all)

    @property
    def left(self) -> list[Any]:
        """What has arrived and was not taken, in order."""
        with self._changed:
            return list(self._left)

    def take(self, wanted: Any, within_s: float, what: str = "") -> Any:
        """Take the first entry that matches, waiting for it.

        Raises:
            AssertionError: none came in time; the message lists what did come.
        """
        deadline = time.monotonic() + within_s
        with self._changed:
            while True:
                for index, thing in enumerate(self._left):
                    if matches(wanted, thing):
                        return self._left.pop(index)
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    break
                self._changed.wait(left_s)
            arrived = _listed(self._left)
        raise AssertionError(f"no {what or repr(wanted)} within {within_s} s; what did arrive:\n{arrived}")

    def take_nothing(self, for_s: float) -> None:
        """Wait `for_s` seconds for nothing to come.

        Raises:
            AssertionError: something has arrived, before or meanwhile, and was not taken.
        """
        deadline = time.monotonic() + for_s
        with self._changed:
            while not self._left and (left_s := deadline - time.monotonic()) > 0:
                self._changed.wait(left_s)
            arrived = list(self._left)
        if arrived:
            raise AssertionError(f"nothing was to arrive, but this did:\n{_listed(arrived)}")


class _ProbeActor(GenServer):
    def __init__(self, arrivals: Arrivals) -> None:
        super().__init__()
        self._arrivals = arrivals

    def on_receive(self, message: Any) -> None:
        self._arrivals.add(message)


class Probe:
    """An actor that keeps what it is sent, and a test's view of it.

    `probe.ref` goes wherever a reference is asked for: as a subscriber, a watcher, a recipient. Use it as a context
    manager, or `stop()` it. An ask to it is answered with None.

    Example:
        with Probe() as probe:
            probe.watch(worker)
            crash(worker, ValueError("bug"))
            assert isinstance(probe.expect_down(worker), ValueError)

    Source: Akka's TestProbe; `expect` is selective, as Erlang's `receive` and ExUnit's `assert_receive` are.
    """

    def __init__(self) -> None:
        self._arrivals = Arrivals()
        self.ref: pykka.ActorRef[Any] = _ProbeActor.start(self._arrivals)

    @property
    def received(self) -> list[Any]:
        """Everything that has arrived, in order, expected already or not."""
        return self._arrivals.everything

    @overload
    def expect(self, wanted: type[T], within_s: float = 5.0) -> T: ...
    @overload
    def expect(self, wanted: Callable[[Any], object], within_s: float = 5.0) -> Any: ...
    @overload
    def expect(self, wanted: T, within_s: float = 5.0) -> T: ...
    def expect(self, wanted: Any, within_s: float = 5.0) -> Any:
        """Take the first message that matches out of what has arrived, waiting for it. Others stay for a later `expect`.

        Args:
            wanted: a class (an instance of it is wanted), a predicate, or the message itself.
            within_s: how long to wait, seconds.

        Raises:
            AssertionError: none came in time; the message lists what did come.
        """
        return self._arrivals.take(wanted, within_s)

    def watch(self, ref: pykka.ActorRef[Any]) -> Monitor:
        """Monitor `ref`, for `expect_down`."""
        return monitor(ref, self.ref)

    def expect_down(
        self, ref: pykka.ActorRef[Any], reason: ExitReason = _ANY, within_s: float = 5.0
    ) -> ExitReason:
        """Take the `Down` of `ref`, which was watched by `probe.watch(ref)` or `monitor(ref, probe.ref)`. Return its reason.

        Args:
            ref: what was watched, the very reference.
            reason: what the reason must be; by default any.
            within_s: how long to wait, seconds.

        Raises:
            AssertionError: it did not come in time, or with another reason.
        """

        def is_its_down(message: object) -> bool:
            return isinstance(message, Down) and message.ref == ref

        down: Down = self._arrivals.take(is_its_down, within_s, f"Down of {ref} (is it watched?)")
        if reason is not _ANY and down.reason is not reason and down.reason != reason:
            raise AssertionError(f"{ref} is down for {down.reason!r}, not for {reason!r}")
        return down.reason

    def expect_no_message(self, for_s: float = 0.05) -> None:
        """See to it that nothing is left that was not expected, and that nothing arrives for `for_s` seconds.

        Raises:
            AssertionError: something is, or does; the message lists it.
        """
        self._arrivals.take_nothing(for_s)

    def stop(self) -> None:
        """Stop the probe's actor. What arrived can still be looked at."""
        self.ref.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"Probe(left={self._arrivals.left!r})"
