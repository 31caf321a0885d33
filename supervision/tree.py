"""The supervision tree as a value, and how it is gathered without anybody waiting. Owns no thread."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import pykka

from .futures import Future
from .messaging import call
from .replies import Reply
from .requests import RESTARTING, ChildInfo, Tree

__all__ = ["TreeNode", "tree"]


@dataclass(frozen=True, slots=True)
class TreeNode:
    """One actor of a supervision tree, with its children in start order. `str()` draws the tree.

    Attributes:
        id: of its spec; a root's name.
        actor_class: the name of its class.
        state: running, restarting or stopped.
        restarts: how many incarnations followed the first.
        urn: the first 8 digits of the incarnation's urn; "" if none runs.
        children: a supervisor's.
    """

    id: Hashable
    actor_class: str
    state: Literal["running", "restarting", "stopped"]
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

    Raises:
        CallTimeout: some supervisor in it is busy for longer than `timeout_s`.
        ActorDown: it is down.
    """
    node: TreeNode = call(supervisor, Tree(), timeout_s)
    return node


def short_urn(ref: pykka.ActorRef[Any]) -> str:
    """Return the first 8 digits of the actor's urn."""
    return ref.actor_urn.removeprefix("urn:uuid:")[:8]


def node_of(child: ChildInfo) -> TreeNode:
    """Return the node of one child, without its children."""
    ref = child.ref
    name = child.stable_ref.actor_class.__name__
    if ref is None:
        return TreeNode(child.id, name, "stopped", child.restarts, "")
    if ref is RESTARTING:
        return TreeNode(child.id, name, "restarting", child.restarts, "")
    return TreeNode(child.id, name, "running", child.restarts, short_urn(ref))


def gather(root: TreeNode, children: Iterable[ChildInfo], reply: Reply) -> None:
    """Answer `reply` with `root` and its children when all supervisors among them have described their own trees.

    Nobody waits: the last one to answer sets the reply, in its thread. A supervisor that is down, or ends meanwhile,
    is shown without children.
    """
    nodes = [node_of(child) for child in children]
    asked: dict[int, Future[Any]] = {}
    for index, child in enumerate(children):
        # By its class: the type of a spec may be "supervisor" for an actor that would not know what is wanted of it.
        actor_class = child.stable_ref.actor_class
        if getattr(actor_class, "_trunkline_is_supervisor", False) and isinstance(child.ref, pykka.ActorRef):
            future = child.ref.ask(Tree(), block=False)
            if isinstance(future, Future):
                asked[index] = future
    lock = threading.Lock()
    left = set(asked)

    def finish() -> None:
        reply.set(replace(root, children=tuple(nodes)))

    def arrived(index: int, future: Future[Any]) -> None:
        if future.exception() is None:
            below: TreeNode = future.get()
            nodes[index] = replace(nodes[index], children=below.children)
        with lock:
            left.discard(index)
            last = not left
        if last:
            finish()

    if not asked:
        finish()
    for index, future in asked.items():
        future.add_done_callback(partial(arrived, index))
