"""A supervisor against a model of it: whatever is done to a tree of two levels, both end up in the same state.

The model is OTP's semantics (otp.md A1 to A8) in plain Python without threads or time. Hypothesis invents what is
done. After each step the tree comes to rest, and then: every supervisor lists what the model lists, who is not affected is the same
incarnation, there are as many actors and threads as the model has, and nobody was started more often than it says.

`make test TESTS=tests/supervision/test_model.py STEPS=200000` runs longer than CI does.
"""

import faulthandler
import itertools
import logging
import os
import threading
import time
from dataclasses import dataclass, field

import pykka
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from trunkline.supervision import (
    KILLED,
    NORMAL,
    RESTARTING,
    SHUTDOWN,
    ActorDown,
    AlreadyPresent,
    AlreadyStarted,
    ChildSpec,
    CountChildren,
    DeleteChild,
    Exit,
    GenServer,
    Ignore,
    InvalidSpec,
    ManualClock,
    NotFound,
    RestartChild,
    Running,
    Shutdown,
    StartChild,
    StartError,
    Supervisor,
    TerminateChild,
    WhichChildren,
    call,
    is_clean,
    kill,
    policy,
    watch,
)
from trunkline.supervision.testing import crash

STEPS = int(os.environ.get("STEPS", "10000"))
STEPS_PER_RUN = 50
PATIENCE_S = 30.0
MAX_SECONDS = 5.0
AUTO_SHUTDOWNS = policy.AUTO_SHUTDOWNS

# -- the model


@dataclass(frozen=True)
class Plan:
    """The spec of a child, or of the root, in the model."""

    id: str
    restart: str = "permanent"
    significant: bool = False
    children: tuple["Plan", ...] | None = None  # a supervisor's
    strategy: str = "one_for_one"
    max_restarts: int = 1
    auto_shutdown: str = "never"


@dataclass
class Child:
    plan: Plan
    state: str = "down"
    token: int | None = None  # which incarnation
    starts: int = 0
    sup: "Sup | None" = None


@dataclass
class Sup:
    plan: Plan
    path: tuple[str, ...]
    children: dict[str, Child] = field(default_factory=dict)
    restarts: list[float] = field(default_factory=list)
    parent: "Sup | None" = None


class GaveUp(Exception):
    """A supervisor ends by itself, with SHUTDOWN."""


class Model:
    """What OTP says happens. Failures to come are a list of kinds for each worker, by path."""

    def __init__(self) -> None:
        self.now = 0.0
        self.root: Sup | None = None
        self.failures: dict[tuple[str, ...], list[str]] = {}
        self.attempts: dict[tuple[str, ...], int] = {}
        self._tokens = itertools.count()

    # starting and ending

    def boot(self, plan: Plan) -> bool:
        sup = self._open(plan, (), None)
        self.root = sup if isinstance(sup, Sup) else None
        return self.root is not None

    def _open(self, plan: Plan, path: tuple[str, ...], parent: Sup | None) -> "Sup | str":
        sup = Sup(plan, path, parent=parent)
        for child_plan in plan.children or ():
            child = sup.children[child_plan.id] = Child(child_plan)
            if self._start(sup, child) == "failed":
                return "failed"  # those before it are ended again
        return sup

    def _start(self, sup: Sup, child: Child) -> str:
        """Try to start: "ok", "failed" or "ignored"."""
        path = (*sup.path, child.plan.id)
        child.state, child.sup = "down", None
        if child.plan.children is not None:
            opened = self._open(child.plan, path, sup)
            if not isinstance(opened, Sup):
                return opened
            child.sup = opened
        else:
            self.attempts[path] = self.attempts.get(path, 0) + 1
            kinds = self.failures.get(path)
            if kinds:
                if kinds.pop(0) != "ignore":
                    return "failed"
                if child.plan.restart == "temporary":
                    del sup.children[child.plan.id]
                return "ignored"
        child.state, child.token = "up", next(self._tokens)
        child.starts += 1
        return "ok"

    def _end(self, sup: Sup, child: Child) -> None:
        child.state, child.sup = "down", None
        if child.plan.restart == "temporary":
            del sup.children[child.plan.id]

    # requests: each returns the type of the answer

    def start_child(self, sup: Sup, plan: Plan) -> type | None:
        if plan.significant and sup.plan.auto_shutdown == "never":
            return InvalidSpec
        if (known := sup.children.get(plan.id)) is not None:
            return AlreadyStarted if known.state == "up" else AlreadyPresent
        child = sup.children[plan.id] = Child(plan)
        if self._start(sup, child) == "failed":
            del sup.children[plan.id]
            return StartError
        return None

    def terminate_child(self, sup: Sup, child_id: str) -> type | None:
        if (child := sup.children.get(child_id)) is None:
            return NotFound
        self._end(sup, child)
        return None

    def restart_child(self, sup: Sup, child_id: str) -> type | None:
        if (child := sup.children.get(child_id)) is None:
            return NotFound
        if child.state == "up":
            return Running
        return StartError if self._start(sup, child) == "failed" else None

    def delete_child(self, sup: Sup, child_id: str) -> type | None:
        if (child := sup.children.get(child_id)) is None:
            return NotFound
        if child.state == "up":
            return Running
        del sup.children[child_id]
        return None

    # exits

    def child_exits(self, sup: Sup, child: Child, clean: bool) -> None:
        child.state, child.sup = "down", None
        try:
            if child.plan.restart == "permanent" or (child.plan.restart == "transient" and not clean):
                self._restart(sup, child)
                return
            if child.plan.restart == "temporary":
                del sup.children[child.plan.id]
            if child.plan.significant:
                self._consider_shutdown(sup)
        except GaveUp:
            self.sup_exits(sup, clean=True)

    def sup_exits(self, sup: Sup, clean: bool) -> None:
        if sup.parent is None:
            self.root = None
        else:
            self.child_exits(sup.parent, sup.parent.children[sup.plan.id], clean)

    def _consider_shutdown(self, sup: Sup) -> None:
        rest = any(child.plan.significant and child.state == "up" for child in sup.children.values())
        if sup.plan.auto_shutdown == "any_significant" or (
            sup.plan.auto_shutdown == "all_significant" and not rest
        ):
            raise GaveUp

    def _restart(self, sup: Sup, child: Child) -> None:
        while True:
            sup.restarts = [t for t in sup.restarts if t >= self.now - MAX_SECONDS] + [self.now]
            if len(sup.restarts) > sup.plan.max_restarts:
                raise GaveUp
            failed = self._apply_strategy(sup, child)
            if failed is None:
                return
            child = failed

    def _apply_strategy(self, sup: Sup, child: Child) -> Child | None:
        """Restart who is affected; return who failed."""
        ids = list(sup.children)
        if sup.plan.strategy == "one_for_one":
            ids = [child.plan.id]
        elif sup.plan.strategy == "rest_for_one":
            ids = ids[ids.index(child.plan.id) :]
        for child_id in reversed(ids):
            if child_id != child.plan.id:
                self._end(sup, sup.children[child_id])
        for child_id in ids:
            if child_id in sup.children:
                affected = sup.children[child_id]
                if self._start(sup, affected) == "failed":
                    return affected
        return None


# -- the real thing


class World:
    """What the workers of a tree share with the test."""

    def __init__(self) -> None:
        self.failures: dict[tuple[str, ...], list[str]] = {}
        self.attempts: dict[tuple[str, ...], int] = {}


class Bug(Exception):
    """What workers crash with."""


class Worker(GenServer):
    def __init__(self, world, path):
        super().__init__()
        world.attempts[path] = world.attempts.get(path, 0) + 1
        kinds = world.failures.get(path)
        self._fails = kinds.pop(0) if kinds else None
        if self._fails == "construct":
            raise Bug("in the constructor")

    def on_start(self):
        match self._fails:
            case "raise":
                raise Bug("in on_start")
            case "exit":
                raise Exit(SHUTDOWN)
            case "base":
                raise SystemExit
            case "ignore":
                raise Ignore

    def on_receive(self, message):
        raise message


def flags(plan, clock):
    return {
        "strategy": plan.strategy,
        "max_restarts": plan.max_restarts,
        "max_seconds": MAX_SECONDS,
        "auto_shutdown": plan.auto_shutdown,
        "clock": clock,
    }


def spec_of(plan, path, world, clock):
    common = {"restart": plan.restart, "significant": plan.significant}
    if plan.children is None:
        return ChildSpec(plan.id, Worker, (world, path), **common)
    specs = [spec_of(child, (*path, child.id), world, clock) for child in plan.children]
    return ChildSpec(plan.id, Supervisor, (specs,), flags(plan, clock), **common)


#: How a worker, or a supervisor, is made to end: what it does, and whether the reason is a clean one.
ENDS = {
    "bug": lambda ref: ref.tell(Bug("told")),
    "bug in an ask": lambda ref: ref.ask(Bug("asked"), block=False),
    "base exception": lambda ref: ref.tell(SystemExit()),
    "exit with a bug": lambda ref: ref.tell(Exit(Bug("exit"))),
    "exit normal": lambda ref: ref.tell(Exit(NORMAL)),
    "exit shutdown": lambda ref: ref.tell(Exit(SHUTDOWN)),
    "exit shutdown term": lambda ref: ref.tell(Exit(Shutdown("because"))),
    "stop": lambda ref: ref.stop(),
    "kill": kill,
}
SUPERVISOR_ENDS = {
    "bug": lambda ref: crash(ref, Bug("in a supervisor")),
    "stop": lambda ref: ref.stop(),
    "kill": kill,
}

IDS = ("a", "b", "c", "d")
KINDS = ("construct", "raise", "exit", "base", "ignore")
restart_types = st.sampled_from(("permanent", "transient", "temporary"))
strategies = st.sampled_from(policy.STRATEGIES)


@st.composite
def workers(draw, id, auto_shutdown):
    restart = draw(restart_types)
    significant = auto_shutdown != "never" and restart != "permanent" and draw(st.booleans())
    return Plan(id, restart, significant)


@st.composite
def supervisors(draw, id, parents_auto_shutdown, depth):
    base = draw(workers(id, parents_auto_shutdown))
    auto_shutdown = draw(st.sampled_from(AUTO_SHUTDOWNS))
    children = [
        draw(supervisors(name, auto_shutdown, depth - 1))
        if depth > 0 and draw(st.booleans())
        else draw(workers(name, auto_shutdown))
        for name in IDS[: draw(st.integers(0, 3))]
    ]
    return Plan(
        id,
        base.restart,
        base.significant,
        tuple(children),
        draw(strategies),
        draw(st.sampled_from((0, 1, 2, 5, 1000))),
        auto_shutdown,
    )


class SupervisorMachine(RuleBasedStateMachine):
    steps = 0

    def __init__(self):
        super().__init__()
        self.clock = ManualClock()
        self.model = Model()
        self.world = World()
        self.root = None
        self.urns = {}  # token -> urn
        self.threads = set(threading.enumerate())

    # what there is

    def sups(self):
        """All supervisors that are up: (model's, path)."""
        if self.model.root is None:
            return []
        found = [self.model.root]
        for sup in found:
            found += [child.sup for child in sup.children.values() if child.sup is not None]
        return found

    def ref_of(self, sup):
        """The reference of a supervisor that is up: of its incarnation."""
        ref = self.root
        for id in sup.path:
            ref = next(info.ref for info in call(ref, WhichChildren(), PATIENCE_S) if info.id == id)
        return ref

    def some_sup(self, data):
        return data.draw(st.sampled_from(self.sups()), label="supervisor at")

    def some_child(self, data, sup):
        return data.draw(st.sampled_from((*sup.children, "nobody")), label="child")

    def answer(self, ref, message):
        try:
            call(ref, message, PATIENCE_S)
        except Exception as error:
            return type(error)
        return None

    def end(self, ref, do):
        """Do it, and return when the supervisor has been told."""
        over = threading.Event()
        watch(ref, lambda _: over.set())
        do(ref)
        assert over.wait(PATIENCE_S), f"{ref} did not end"

    # rules

    @initialize(plan=supervisors("root", "never", 1))
    def begin(self, plan):
        self.boot_with(plan)

    def boot_with(self, plan):
        specs = [spec_of(child, (child.id,), self.world, self.clock) for child in plan.children]
        expected = self.model.boot(plan)
        try:
            self.root = Supervisor.start(specs, **flags(plan, self.clock))
        except StartError:
            self.root = None
        assert (self.root is not None) == expected

    @precondition(lambda self: self.model.root is None)
    @rule(plan=supervisors("root", "never", 1))
    def boot(self, plan):
        self.boot_with(plan)

    @precondition(lambda self: self.model.root is not None)
    @rule(data=st.data())
    def start_child(self, data):
        sup = self.some_sup(data)
        id = data.draw(st.sampled_from(IDS), label="id")
        kinds = [workers(id, data.draw(st.sampled_from((AUTO_SHUTDOWNS[-1], sup.plan.auto_shutdown))))]
        if not sup.path:
            kinds.append(supervisors(id, sup.plan.auto_shutdown, 0))
        plan = data.draw(st.one_of(kinds), label="spec")
        ref = self.ref_of(sup)
        spec = spec_of(plan, (*sup.path, id), self.world, self.clock)
        assert self.answer(ref, StartChild(spec)) == self.model.start_child(sup, plan)

    @precondition(lambda self: self.model.root is not None)
    @rule(data=st.data(), request=st.sampled_from((TerminateChild, RestartChild, DeleteChild)))
    def request(self, data, request):
        sup = self.some_sup(data)
        id = self.some_child(data, sup)
        ref = self.ref_of(sup)
        does = {
            TerminateChild: self.model.terminate_child,
            RestartChild: self.model.restart_child,
            DeleteChild: self.model.delete_child,
        }
        assert self.answer(ref, request(id)) == does[request](sup, id)

    @precondition(lambda self: any(self.running_workers()))
    @rule(data=st.data(), how=st.sampled_from(sorted(ENDS)))
    def worker_ends(self, data, how):
        sup, child = data.draw(st.sampled_from(self.running_workers()), label="worker")
        self.end(self.incarnation(sup, child), ENDS[how])
        self.model.child_exits(sup, child, clean=how.startswith(("exit normal", "exit shutdown", "stop")))

    def running_workers(self):
        return [
            (sup, child)
            for sup in self.sups()
            for child in sup.children.values()
            if child.state == "up" and child.plan.children is None
        ]

    def incarnation(self, sup, child):
        infos = call(self.ref_of(sup), WhichChildren(), PATIENCE_S)
        return next(info.ref for info in infos if info.id == child.plan.id)

    @precondition(lambda self: len(self.sups()) > 1)
    @rule(data=st.data(), how=st.sampled_from(sorted(SUPERVISOR_ENDS)))
    def inner_supervisor_ends(self, data, how):
        sup = data.draw(st.sampled_from(self.sups()[1:]), label="supervisor at")
        self.end(self.ref_of(sup), SUPERVISOR_ENDS[how])
        self.model.sup_exits(sup, clean=how == "stop")

    @precondition(lambda self: self.model.root is not None)
    @rule(data=st.data(), n=st.integers(1, 4), kind=st.sampled_from(KINDS))
    def next_starts_fail(self, data, n, kind):
        sup = self.some_sup(data)
        names = sorted({*IDS, *sup.children})
        path = (*sup.path, data.draw(st.sampled_from(names), label="id"))
        self.model.failures[path] = [kind] * n
        self.world.failures[path] = [kind] * n

    @rule(seconds=st.sampled_from((MAX_SECONDS, MAX_SECONDS / 2, MAX_SECONDS + 1.0)))
    def time_passes(self, seconds):
        self.model.now += seconds
        self.clock.advance(seconds)

    @precondition(lambda self: self.model.root is not None)
    @rule(chance=st.integers(0, 9))
    def stop(self, chance):
        if chance == 0:  # seldom: the tree is to grow
            self.root.stop()
            self.model.root = None

    # at rest

    @invariant()
    def is_as_the_model_says(self):
        type(self).steps += 1
        expected = self.expected()
        deadline = time.monotonic() + PATIENCE_S
        pause = threading.Event()
        while (real := self.real()) != expected:
            if time.monotonic() > deadline:
                assert real == expected
            pause.wait(0.0002)
        if self.model.root is None:
            self.root = None
        self.same_incarnations()

    def expected(self):
        sups = {
            sup.path: [
                (child.plan.id, child.state, max(0, child.starts - 1))
                for child in reversed(sup.children.values())
            ]
            for sup in self.sups()
        }
        live = len(sups) + len(self.running_workers())
        return sups, dict(self.model.attempts), self.model.failures, live, live

    def real(self):
        sups = {}
        self.seen = {}
        if self.root is not None:
            self.describe(self.root, (), sups)
        return (
            sups,
            dict(self.world.attempts),
            self.world.failures,
            len(pykka.ActorRegistry.get_all()),
            self.n_threads(),
        )

    def n_threads(self):
        return len(set(threading.enumerate()) - self.threads)

    def describe(self, ref, path, sups):
        try:
            infos = call(ref, WhichChildren(), PATIENCE_S)
            counts = call(ref, CountChildren(), PATIENCE_S)
        except ActorDown:
            return
        states = []
        for info in infos:
            state = "restarting" if info.ref is RESTARTING else "down" if info.ref is None else "up"
            states.append((info.id, state, info.restarts))
            if state == "up":
                self.seen[*path, info.id] = info.ref.actor_urn
                if info.type == "supervisor":
                    self.describe(info.ref, (*path, info.id), sups)
        supervisors = sum(info.type == "supervisor" for info in infos)
        up = sum(state == "up" for _, state, _ in states)
        consistent = (counts.specs, counts.supervisors, counts.workers, counts.active) == (
            len(infos),
            supervisors,
            len(infos) - supervisors,
            up,
        )
        sups[path] = states if consistent else (states, counts)

    def same_incarnations(self):
        """Who the model has left alone is the incarnation it was; who was restarted is another one."""
        for sup in self.sups():
            for child in sup.children.values():
                if child.state == "up":
                    urn = self.seen[*sup.path, child.plan.id]
                    assert self.urns.setdefault(child.token, urn) == urn
        assert len(set(self.urns.values())) == len(self.urns)

    def teardown(self):
        if self.root is not None:
            self.root.stop()
        pykka.ActorRegistry.stop_all()
        deadline = time.monotonic() + PATIENCE_S
        pause = threading.Event()
        while self.n_threads() and time.monotonic() < deadline:
            pause.wait(0.001)
        assert self.n_threads() == 0


@pytest.fixture
def quiet():
    """Thousands of crashes: the log of each would be most of the work."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def unhurried():
    """pytest would have all stacks dumped after `faulthandler_timeout`: a long run is no hang.

    And Python 3.11 can crash when it walks the stacks of threads that end meanwhile.
    """
    faulthandler.cancel_dump_traceback_later()


@pytest.mark.slow
@pytest.mark.timeout(420 + STEPS // 20)
@pytest.mark.usefixtures("quiet", "unhurried")
def test_a_supervisor_does_what_the_model_says():
    SupervisorMachine.steps = 0
    while SupervisorMachine.steps < STEPS:  # once, as a rule: some runs end early
        run_state_machine_as_test(
            SupervisorMachine,
            settings=settings(
                max_examples=2 * max(1, STEPS // STEPS_PER_RUN),
                stateful_step_count=STEPS_PER_RUN,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )


def test_the_models_clean_ends_are_supervisions():
    assert [is_clean(reason) for reason in (NORMAL, SHUTDOWN, Shutdown("because"))] == [True] * 3
    assert [is_clean(reason) for reason in (KILLED, Bug())] == [False] * 2
