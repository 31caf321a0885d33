"""A check that nothing is left behind: actors, threads, names, unresolved futures. Owns no thread."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import pykka

from .futures import Future
from .registry import Registry
from .supervised import life_of
from .tree import tree
from .zombies import stack_of, zombies

__all__ = ["LeakError", "Names", "leak_check", "no_leaks"]


T = TypeVar("T")


class LeakError(AssertionError):
    """Something was left behind; the text says what, with the tree it belongs to and the stacks."""


class Names(Protocol):
    """Where actors have names: a `Registry`."""

    def names(self) -> Any:
        """Return the names that are taken."""
        ...


@dataclass(slots=True)
class _Found:
    actors: list[pykka.ActorRef[Any]] = field(default_factory=list[pykka.ActorRef[Any]])
    threads: list[threading.Thread] = field(default_factory=list[threading.Thread])
    names: list[Any] = field(default_factory=list[Any])
    futures: list[Future[Any]] = field(default_factory=list[Future[Any]])

    def __bool__(self) -> bool:
        return bool(self.actors or self.threads or self.names or self.futures)


class _Baseline:
    """What was there before."""

    def __init__(self, registries: tuple[Names, ...]) -> None:
        self._actors = {ref.actor_urn for ref in pykka.ActorRegistry.get_all()}
        self._threads = set(threading.enumerate())
        self._futures = weakref.WeakSet(_unresolved_futures())
        self._names: weakref.WeakKeyDictionary[Any, set[Any]] = weakref.WeakKeyDictionary()
        for registry in (*registries, *_alive(Registry)):
            self._names[registry] = set(registry.names())
        self._registries = registries

    def found_since(self) -> _Found:
        """Return what is there now and was not then. Names and futures cost a walk over the heap: they are looked for last."""
        found = _Found(
            [ref for ref in pykka.ActorRegistry.get_all() if ref.actor_urn not in self._actors],
            [thread for thread in threading.enumerate() if thread not in self._threads],
        )
        if not found:
            registries = {id(registry): registry for registry in (*self._registries, *_alive(Registry))}
            found.names = [
                name
                for registry in registries.values()
                for name in registry.names()
                if name not in self._names.get(registry, ())
            ]
            found.futures = [future for future in _unresolved_futures() if future not in self._futures]
        return found


def _alive(kind: type[T]) -> list[T]:
    # By type() and not isinstance(): that would run the __class__ of whatever lies on the heap. And by membership: it is
    # done for each of a hundred thousand objects.
    kinds = _with_subclasses(kind)
    return [thing for thing in gc.get_objects() if type(thing) in kinds]


def _with_subclasses(kind: type[T]) -> set[type[T]]:
    return {kind}.union(*(_with_subclasses(subclass) for subclass in kind.__subclasses__()))


def _unresolved_futures() -> list[Future[Any]]:
    return [
        future
        for future in _alive(Future)
        # Those with a hook or sources are computed when somebody asks: nobody owes them a result.
        if getattr(future, "_lock", None) is not None
        and future._result is None
        and future._get_hook is None
        and not future._sources
    ]


@contextmanager
def leak_check(*registries: Names, within_s: float = 2.0) -> Generator[None, None, None]:
    """Fail when the block leaves actors, threads, names or unresolved futures behind that were not there before.

    What is on its way out is waited for. Leaked actors are told to stop once they are reported, so that one leak does
    not fail every later test.

    Args:
        registries: others than a `Registry`, whose names are to be looked at too; every live Registry is.
        within_s: how long to wait until everything is gone, seconds.

    Raises:
        LeakError: something is left; it says what, with the trees and the stacks. An exception of the block itself goes first.

    Example:
        with leak_check():
            root = Supervisor.start([...])
            ...
            root.stop()
    """
    baseline = _Baseline(registries)
    yield
    found = _wait_until_nothing(baseline, within_s)
    if found:
        text = _described(found)
        for ref in found.actors:
            ref.stop(block=False)
        raise LeakError(text)


def no_leaks() -> Iterator[None]:
    """Be the body of a pytest fixture: `no_leaks = pytest.fixture(autouse=True)(testing.no_leaks)` in a conftest.py.

    This module does not import pytest. Other plugins drive it likewise: `next()` before, `next()` after a test.

    Raises:
        LeakError: see `leak_check`.
    """
    with leak_check():
        yield


def _wait_until_nothing(baseline: _Baseline, within_s: float) -> _Found:
    deadline = time.monotonic() + within_s
    pause = threading.Event()
    has_collected = False
    while found := baseline.found_since():
        if found.futures and not has_collected:
            has_collected = True
            gc.collect()  # a future in a cycle of an exception and its traceback is not waited for by anybody
        elif time.monotonic() > deadline:
            break
        else:
            pause.wait(0.02 if found.futures else 0.001)
        found.futures.clear()
    return found


def _described(found: _Found) -> str:
    parts = [
        _section("actors", found.actors, _describe_actor),
        _section("trees of these actors", _roots(found.actors), _describe_tree),
        _section("threads", found.threads, _describe_thread),
        _section("names", found.names, repr),
        _section("unresolved futures", found.futures, _describe_future),
    ]
    return "left behind:\n" + "\n".join(part for part in parts if part)


def _section(title: str, things: list[Any], describe: Callable[[Any], str]) -> str:
    return "" if not things else f"{len(things)} {title}:\n" + "\n".join(describe(thing) for thing in things)


def _roots(actors: list[pykka.ActorRef[Any]]) -> list[pykka.ActorRef[Any]]:
    lives = [(ref, life_of(ref)) for ref in actors]
    return [
        ref
        for ref, life in lives
        if life is not None
        and not life.ancestors
        and getattr(ref.actor_class, "_trunkline_is_supervisor", False)
    ]


def _describe_actor(ref: pykka.ActorRef[Any]) -> str:
    life = life_of(ref)
    child = "" if life is None or life.child_id is None else f", child {life.child_id!r}"
    return f"  {ref}{child}"


def _describe_tree(ref: pykka.ActorRef[Any]) -> str:
    try:
        text = str(tree(ref, timeout_s=1.0))
    except Exception as error:  # noqa: BLE001  # a busy supervisor must not hide the leak
        text = f"{ref} does not say: {error!r}"
    return "\n".join(f"  {line}" for line in text.splitlines())


def _describe_thread(thread: threading.Thread) -> str:
    abandoned = " (abandoned by its supervisor)" if _is_zombie(thread) else ""
    return f"  {thread.name}{abandoned}, at\n{stack_of(thread)}".rstrip()


def _is_zombie(thread: threading.Thread) -> bool:
    return any(zombie.thread_name == thread.name for zombie in zombies())


def _describe_future(future: Future[Any]) -> str:
    holders = {
        type(holder).__name__ for holder in gc.get_referrers(future) if not isinstance(holder, list | tuple)
    }
    return f"  {future!r}, held by {', '.join(sorted(holders)) or 'a list'}"
