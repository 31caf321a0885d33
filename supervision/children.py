"""The children of a Supervisor by id, in start order: what is known of each. Owns no thread: its supervisor's uses it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .child_spec import ChildSpec
from .errors import AlreadyPresent, AlreadyStarted, NotFound, Restarting, Running
from .incarnation import Incarnation
from .policy import Scope, affected
from .reasons import NORMAL, ExitReason
from .requests import RESTARTING, ChildInfo
from .stable_ref import StableRef
from .supervised import supervisable

__all__ = ["Child", "Children"]


@dataclass(slots=True, eq=False)
class Child:
    """One child of a Supervisor.

    Attributes:
        spec: its recipe.
        stable_ref: the reference it is known by.
        incarnation: the one that runs.
        retry: the queued event that will try its start again; it is restarting then. None: it is not.
        waiting: it is down until the restart of a sibling before it succeeds; the StableRef holds.
        last_reason: why the last incarnation ended, or did not start.
    """

    spec: ChildSpec
    stable_ref: StableRef[Any]
    incarnation: Incarnation | None = None
    retry: object | None = None
    waiting: bool = False
    last_reason: ExitReason = NORMAL

    @property
    def info(self) -> ChildInfo:
        """The child as it is now. Callable from any thread."""
        incarnation = self.incarnation  # once: its supervisor's thread may change it
        ref = RESTARTING if self.retry else None if incarnation is None else incarnation.ref
        return ChildInfo(self.spec.id, ref, self.stable_ref, self.spec.type, self.stable_ref.restarts)

    def await_start(self) -> None:
        """Have the StableRef hold until the next start, which is to come."""
        self.waiting = True
        self.stable_ref._hold()

    def close(self, reason: ExitReason) -> None:
        """Give the child up: nothing starts it again but a request, or the strategy."""
        self.retry = None
        self.waiting = False
        self.stable_ref._end(reason)


class Children:
    """The children, in start order."""

    __slots__ = ("_by_id",)

    def __init__(self) -> None:
        self._by_id: dict[Any, Child] = {}

    def __iter__(self) -> Iterator[Child]:
        """Iterate in start order over the children of the moment. Callable from any thread."""
        return iter(list(self._by_id.values()))

    def __reversed__(self) -> Iterator[Child]:
        return reversed(list(self._by_id.values()))

    def __contains__(self, child: Child) -> bool:
        return self._by_id.get(child.spec.id) is child

    def add(self, spec: ChildSpec) -> Child:
        """Add a child that is down, as the last.

        Raises:
            AlreadyStarted: there is a running child with this id.
            AlreadyPresent: there is one that is not running.
        """
        known = self._by_id.get(spec.id)
        if known is not None:
            if known.incarnation is not None:
                raise AlreadyStarted(known.stable_ref)
            raise AlreadyPresent(spec.id)
        stable_ref: StableRef[Any] = StableRef(supervisable(spec.start), spec.id)
        child = self._by_id[spec.id] = Child(spec, stable_ref)
        return child

    def find(self, child_id: Any) -> Child:
        """Return the child with this id, or raise NotFound."""
        try:
            return self._by_id[child_id]
        except Exception:  # noqa: BLE001  # a KeyError; or what the caller's object answers to hash() or ==
            raise NotFound(child_id) from None

    def find_down(self, child_id: Any) -> Child:
        """Return the child with this id, which is down; else raise NotFound, Restarting or Running."""
        child = self.find(child_id)
        if child.retry:
            raise Restarting(child_id)
        if child.incarnation is not None:
            raise Running(child_id)
        return child

    def forget(self, child: Child, reason: ExitReason) -> None:
        """Remove the child: it is gone for `reason`."""
        self._by_id.pop(child.spec.id, None)
        child.close(reason)

    def affected(self, scope: Scope, ended: Child) -> list[Child]:
        """Return who is started again with `ended`, in start order."""
        return [self._by_id[child_id] for child_id in affected(scope, list(self._by_id), ended.spec.id)]

    @property
    def siblings(self) -> dict[Any, StableRef[Any]]:
        """What a `Sibling(id)` stands for, by id."""
        return {child.spec.id: child.stable_ref for child in self}

    @property
    def significant_left(self) -> int:
        """How many significant children run, or are being restarted."""
        return sum(child.spec.significant and bool(child.incarnation or child.retry) for child in self)

    def give_up_waiting(self) -> None:
        """Close whoever waits for a sibling's restart, if none is being restarted any more."""
        if not any(child.retry for child in self):
            for child in self:
                if child.waiting:
                    child.close(child.last_reason)
