"""The supervision tree as a value, and how it is gathered without any supervisor waiting. Owns no thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, cast

import pykka

from .checks import require
from .errors import ActorDown
from .futures import Future
from .messaging import reason_of, refuse_own_thread
from .requests import ChildInfo, WhichChildren
from .stable_ref import StableRef

__all__ = ["TreeNode", "tree"]


@dataclass(frozen=True, slots=True)
class TreeNode:
    """One actor of a supervision tree, with its children in start order. `str()` draws the tree.

    Attributes:
        id: of its spec; a root's name.
        actor_class: the name of its class.
        state: running, restarting or stopped; or busy: a supervisor that did not answer in time.
        restarts: how many incarnations followed the first.
        urn: the first 8 digits of the incarnation's urn; "" if none runs.
        children: a supervisor's.
    """

    id: Hashable
    actor_class: str
    state: Literal["running", "restarting", "stopped", "busy"]
    restarts: int
    urn: str
    children: tuple[TreeNode, ...] = ()

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> list[str]:
        label = self.actor_class if self.id is None else f"{self.id} ({self.actor_class})"
        facts = [
            self.state,
            *([self.urn] if self.urn else []),
            *([f"restarts: {self.restarts}"] if self.restarts else []),
        ]
        lines = [f"{label}  {', '.join(facts)}"]
        for child in self.children:
            last = child is self.children[-1]
            first, rest = (" └─ ", "    ") if last else (" ├─ ", " │  ")
            head, *below = child._lines()
            lines += [first + head, *(rest + line for line in below)]
        return lines


def tree(supervisor: pykka.ActorRef[Any], timeout_s: float | None = 5.0) -> TreeNode:
    """Return the tree below `supervisor`: `print(tree(root))`.

    A supervisor that does not answer within `timeout_s`, because it waits for a child or is stuck, is shown as busy, and
    what is below it as it looks from outside.

    Raises:
        InvalidSpec: this is no supervisor's reference.
        CallingSelf: from the supervisor's own thread.
        ActorDown: it is down.
    """
    require(_is_supervisor(supervisor), "supervisor", supervisor, "a supervisor's reference")
    refuse_own_thread(supervisor)
    answered = threading.Event()
    survey = Survey(answered.set)
    root = survey.ask(supervisor)
    answered.wait(timeout_s)
    if root.done() and root.exception() is not None:
        raise ActorDown(reason_of(supervisor))
    return survey.drawn(root_of(supervisor), supervisor)


def root_of(supervisor: pykka.ActorRef[Any]) -> TreeNode:
    """Return the node of the supervisor whose tree is drawn, without its children."""
    actor: Any = supervisor._actor_weakref()
    name, known_as = (None, supervisor) if actor is None else (actor._name, actor._stable_ref)
    kind, urn = supervisor.actor_class.__name__, short_urn(supervisor)
    if isinstance(known_as, StableRef):
        id = known_as.child_id if name is None else name
        return TreeNode(id, kind, known_as.state, known_as.restarts, urn)
    return TreeNode(name, kind, "running" if supervisor.is_alive() else "stopped", 0, urn)


class Survey:
    """Asks all supervisors of a tree for their children, each as soon as it is known, in whose threads the answers arrive.

    Args:
        on_complete: called once, when all have answered or are down.
    """

    def __init__(self, on_complete: Callable[[], object]) -> None:
        self._on_complete = on_complete
        self._lock = threading.Lock()
        self._asked: set[pykka.ActorRef[Any]] = set()
        self._answers: dict[pykka.ActorRef[Any], list[ChildInfo]] = {}

    def ask(self, supervisor: pykka.ActorRef[Any]) -> Future[list[ChildInfo]]:
        """Ask one supervisor, and then those below it."""
        with self._lock:
            self._asked.add(supervisor)
        future: Any = supervisor.ask(WhichChildren(), block=False)
        future.add_done_callback(partial(self._answered, supervisor))
        return cast("Future[list[ChildInfo]]", future)

    def _answered(self, supervisor: pykka.ActorRef[Any], future: Future[list[ChildInfo]]) -> None:
        children = future.get() if future.exception() is None else []
        for child in children:
            if isinstance(child.ref, pykka.ActorRef) and _is_supervisor(child.ref):
                self.ask(child.ref)
        with self._lock:
            self._answers[supervisor] = children
            complete = len(self._answers) == len(self._asked)
        if complete:
            self._on_complete()

    def drawn(self, node: TreeNode, ref: pykka.ActorRef[Any]) -> TreeNode:
        """Return the node of the actor `ref` with what is known of the tree below it now."""
        if not _is_supervisor(ref):
            return node
        with self._lock:
            known = self._answers.get(ref)
            busy = known is None and ref in self._asked
        children = seen_from_outside(ref) if known is None else known
        below = tuple(
            self.drawn(node_of(child), child.ref) if isinstance(child.ref, pykka.ActorRef) else node_of(child)
            for child in reversed(children)
        )
        return replace(node, state="busy" if busy else node.state, children=below)


def seen_from_outside(supervisor: pykka.ActorRef[Any]) -> list[ChildInfo]:
    """Return the children of a supervisor that is busy, last started first: its thread may be changing them."""
    actor: Any = supervisor._actor_weakref()
    children: list[ChildInfo] = [] if actor is None else actor.which_children()
    return children


def short_urn(ref: pykka.ActorRef[Any]) -> str:
    """Return the first 8 digits of the actor's urn."""
    return ref.actor_urn.removeprefix("urn:uuid:")[:8]


def node_of(child: ChildInfo) -> TreeNode:
    """Return the node of one child, without its children."""
    name = child.stable_ref.actor_class.__name__
    if isinstance(child.ref, pykka.ActorRef):
        return TreeNode(child.id, name, "running", child.restarts, short_urn(child.ref))
    # Of one that is down it tells whether a start is to come: its own, or first that of a sibling before it.
    stopped = child.ref is None and child.stable_ref.state == "stopped"
    return TreeNode(child.id, name, "stopped" if stopped else "restarting", child.restarts, "")


def _is_supervisor(ref: pykka.ActorRef[Any]) -> bool:
    # By its class: the type of a spec may be "supervisor" for an actor that would not know what is wanted of it.
    return bool(getattr(ref.actor_class, "_trunkline_is_supervisor", False))
