"""What the conformance suites share: a laboratory of failing nodes, deadlines, and a check that nothing is left behind.

A test is named after the case it ports: `test_<case>`, or `test_<case>__<what it adds>`. The cases are listed in cases.toml.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pykka
import pytest

from trunkline.supervision import (
    KILLED,
    ChildSpec,
    CountChildren,
    DynamicSupervisor,
    Exit,
    GenServer,
    NotFound,
    StartChild,
    Supervisor,
    WhichChild,
    WhichChildren,
    call,
    join,
    kill,
    testing,
)

PATIENCE_S = 30.0


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    with testing.leak_check(within_s=PATIENCE_S):
        yield


class Plan:
    """How the starts of a node go, one outcome each, over all its incarnations.

    Args:
        outcomes: None for a start that succeeds, an exception to raise, or something to call with the node.
        ever_after: the outcome of all further starts.
        at_end: called with the node and its reason in `terminate`.
    """

    def __init__(self, *outcomes: Any, ever_after: Any = None, at_end: Any = None) -> None:
        self.outcomes = deque(outcomes)
        self.ever_after = ever_after
        self.at_end = at_end
        self.starts = 0

    def go(self, node: GenServer) -> None:
        self.starts += 1
        outcome = self.outcomes.popleft() if self.outcomes else self.ever_after
        if isinstance(outcome, BaseException):
            raise outcome
        if outcome is not None:
            outcome(node)


class Node(GenServer):
    """Does what it is told, and writes its starts and ends into the laboratory's diary."""

    def __init__(self, name: Any, diary: list[Any], plan: Plan | None = None) -> None:
        super().__init__()
        self._name, self._diary, self._plan = name, diary, plan

    def on_start(self):
        self._diary.append(("start", self._name))
        if self._plan is not None:
            self._plan.go(self)

    def on_receive(self, message):
        match message:
            case ("raise", error):
                raise error
            case ("exit", reason):
                raise Exit(reason)
            case ("block", started, release):
                started.set()
                release.wait(PATIENCE_S)
                return "released"
            case _:
                return message

    def terminate(self, reason):
        self._diary.append(("terminate", self._name, reason))
        if self._plan is not None and self._plan.at_end is not None:
            self._plan.at_end(self, reason)


class Laboratory:
    """Starts trees of nodes, ends nodes, waits with a deadline. What it started is stopped at the end of the test."""

    patience_s = PATIENCE_S
    Node = Node
    Plan = Plan

    def __init__(self, eventually: Callable[..., None]) -> None:
        self.eventually = eventually
        self.diary: list[Any] = []
        self.roots: list[Any] = []

    # -- starting

    def spec(self, id: Any, plan: Plan | None = None, **options: Any) -> ChildSpec:
        return ChildSpec(id, Node, (id, self.diary, plan), **options)

    def specs(self, *ids: Any, **options: Any) -> list[ChildSpec]:
        return [self.spec(id, **options) for id in ids]

    def supervisor(self, *children: ChildSpec, **flags: Any) -> Any:
        self.roots.append(Supervisor.start(children, **flags))
        return self.roots[-1]

    def dynamic(self, **flags: Any) -> Any:
        self.roots.append(DynamicSupervisor.start(**flags))
        return self.roots[-1]

    def actor(self, actor_class: Any, *args: Any, **kwargs: Any) -> Any:
        self.roots.append(actor_class.start(*args, **kwargs))
        return self.roots[-1]

    def node(self, name: Any = "outsider") -> Any:
        return self.actor(Node, name, self.diary)

    def add(self, supervisor: Any, id: Any, plan: Plan | None = None, **options: Any) -> Any:
        """Return the StableRef of a new node."""
        return call(supervisor, StartChild(self.spec(id, plan, **options)), PATIENCE_S)

    # -- looking

    def ids(self, supervisor: Any) -> list[Any]:
        """Return the ids in start order."""
        return [child.id for child in reversed(call(supervisor, WhichChildren(), PATIENCE_S))]

    def pid(self, supervisor: Any, child: Any) -> Any:
        """Return the child's incarnation, RESTARTING or None."""
        return call(supervisor, WhichChild(child), PATIENCE_S).ref

    def pids(self, supervisor: Any, *ids: Any) -> list[Any]:
        return [self.pid(supervisor, id) for id in ids]

    def stable(self, supervisor: Any, child: Any) -> Any:
        return call(supervisor, WhichChild(child), PATIENCE_S).stable_ref

    def knows(self, supervisor: Any, child: Any) -> bool:
        try:
            self.pid(supervisor, child)
        except NotFound:
            return False
        return True

    def counts(self, supervisor: Any) -> tuple[int, int, int, int]:
        """Return specs, active, supervisors, workers."""
        counts = call(supervisor, CountChildren(), PATIENCE_S)
        return (counts.specs, counts.active, counts.supervisors, counts.workers)

    def starts(self, name: Any) -> int:
        return self.diary.count(("start", name))

    def mark(self) -> int:
        """Return the diary's length, for `since`."""
        return len(self.diary)

    def since(self, mark: int = 0) -> list[Any]:
        """Return the diary from `mark` on, without reasons."""
        return [(entry[0], entry[1]) for entry in self.diary[mark:]]

    # -- ending

    def end(self, ref: Any, reason: Any) -> None:
        """Have an incarnation end by itself for `reason`, and wait until it is down."""
        if reason is KILLED:
            kill(ref)
        elif isinstance(reason, BaseException):
            ref.tell(("raise", reason))
        else:
            ref.tell(("exit", reason))
        assert self.reason(ref) is reason

    def reason(self, ref: Any) -> Any:
        """Wait until an incarnation or a supervisor is down, and return why."""
        assert join(ref, PATIENCE_S), f"{ref} is not down within {PATIENCE_S} s"
        return ref.actor_inbox.reason

    # -- waiting

    def replaced(self, supervisor: Any, child: Any, old: Any) -> Any:
        """Wait until another incarnation than `old` runs, and return it."""

        def is_new() -> bool:
            new = self.pid(supervisor, child)
            return isinstance(new, pykka.ActorRef) and new != old

        self.eventually(is_new, f"{child!r} is restarted")
        return self.pid(supervisor, child)

    def becomes(self, supervisor: Any, child: Any, state: Any) -> None:
        """Wait until the child's incarnation is `state`: None or RESTARTING."""
        self.eventually(lambda: self.pid(supervisor, child) is state, f"{child!r} becomes {state}")

    def forgotten(self, supervisor: Any, child: Any) -> None:
        self.eventually(lambda: not self.knows(supervisor, child), f"{child!r} is forgotten")

    def let_time_pass(self, clock: Any, until: Callable[[], object]) -> None:
        """Advance a manual clock, a second at a time, until the condition holds."""

        def later() -> object:
            clock.advance(1.0)
            return until()

        self.eventually(later, "time passes")


@pytest.fixture
def lab(eventually: Callable[..., None]) -> Iterator[Laboratory]:
    laboratory = Laboratory(eventually)
    yield laboratory
    for root in reversed(laboratory.roots):
        root.stop(block=False)
    for root in laboratory.roots:
        assert join(root, PATIENCE_S), f"{root} does not stop"
