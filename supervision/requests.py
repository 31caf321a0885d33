"""What one can ask a supervisor, of either kind, and its answers. Pure.

Each request is also a method of the supervisor, for proxies: `StartChild(spec)` is `start_child(spec)`.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pykka

from .child_spec import ChildSpec

if TYPE_CHECKING:
    from .stable_ref import StableRef

__all__ = [
    "RESTARTING",
    "ChildInfo",
    "CountChildren",
    "Counts",
    "DeleteChild",
    "GetChildSpec",
    "Request",
    "RestartChild",
    "StartChild",
    "TerminateChild",
    "Tree",
    "WhichChild",
    "WhichChildren",
]


class RestartingType(Enum):
    """Type of `RESTARTING`."""

    RESTARTING = "restarting"

    def __repr__(self) -> str:
        return self.name


RESTARTING = RestartingType.RESTARTING
"""In place of a reference: the child is between two incarnations."""


@dataclass(frozen=True, slots=True)
class StartChild:
    """Start a child. Answer: its StableRef, when its `on_start` has returned, or None, if that raised `Ignore`.

    Errors: StartError, AlreadyStarted, AlreadyPresent, MaxChildren; ActorDown, if the supervisor ends before its answer.
    """

    spec: ChildSpec


@dataclass(frozen=True, slots=True)
class TerminateChild:
    """End a child: by id, or, in a DynamicSupervisor, by reference. Answer: None, when it is down. Errors: NotFound."""

    child: Any


@dataclass(frozen=True, slots=True)
class RestartChild:
    """Start a child again that is down. Answer: as `StartChild`. Errors: NotFound, Running, Restarting, StartError."""

    id: Hashable


@dataclass(frozen=True, slots=True)
class DeleteChild:
    """Forget a child that is down. Answer: None. Errors: NotFound, Running, Restarting."""

    id: Hashable


@dataclass(frozen=True, slots=True)
class WhichChildren:
    """List the children. Answer: list[ChildInfo], last started first."""


@dataclass(frozen=True, slots=True)
class WhichChild:
    """Look up one child: by id, or, in a DynamicSupervisor, by reference. Answer: ChildInfo. Errors: NotFound."""

    child: Any


@dataclass(frozen=True, slots=True)
class CountChildren:
    """Count the children. Answer: Counts."""


@dataclass(frozen=True, slots=True)
class GetChildSpec:
    """Look up a child's spec: by id, or, in a DynamicSupervisor, by reference. Answer: ChildSpec. Errors: NotFound."""

    child: Any


@dataclass(frozen=True, slots=True)
class Tree:
    """Describe the whole tree below this supervisor. Answer: TreeNode, whose str() is readable, when all supervisors in it have
    answered; `tree()` waits for none longer than it is told.
    """


Request: TypeAlias = (
    StartChild
    | TerminateChild
    | RestartChild
    | DeleteChild
    | WhichChildren
    | WhichChild
    | CountChildren
    | GetChildSpec
    | Tree
)


@dataclass(frozen=True, slots=True)
class ChildInfo:
    """One child, as it is now.

    Attributes:
        id: of its spec.
        ref: the incarnation that runs, RESTARTING, or None if it is down.
        stable_ref: the reference that outlives incarnations.
        type: worker or supervisor.
        restarts: how many incarnations followed the first.
    """

    id: Hashable
    ref: pykka.ActorRef[Any] | RestartingType | None
    stable_ref: StableRef[Any]
    type: Literal["worker", "supervisor"]
    restarts: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How many children there are: specs, actors that are alive, and, dead or alive, supervisors and workers."""

    specs: int
    active: int
    supervisors: int
    workers: int
