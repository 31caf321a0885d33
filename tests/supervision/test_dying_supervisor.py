"""Supervisors that end while a child starts: it ends with them, nothing is started any more, and who asked is told why."""

import math
import threading

import pytest

from trunkline.supervision import (
    KILLED,
    SHUTDOWN,
    ActorDown,
    ChildSpec,
    DynamicSupervisor,
    Exit,
    GenServer,
    Mailbox,
    StartChild,
    StartError,
    StartTimeout,
    Supervisor,
    TerminateChild,
    WhichChildren,
    call,
    join,
    kill,
    testing,
)

PATIENCE_S = 30.0
KINDS = [Supervisor, DynamicSupervisor]


class Starting(GenServer):
    """Says that its start has begun, and starts when it may."""

    def __init__(self, begun, may_start):
        super().__init__()
        self._begun, self._may_start = begun, may_start

    def on_start(self):
        self._begun.release()
        assert self._may_start.wait(PATIENCE_S)

    def on_kill(self):
        self._may_start.set()


@pytest.fixture
def gates():
    """Released by each start that begins; lets them all start."""
    begun, may_start = threading.Semaphore(0), threading.Event()
    yield begun, may_start
    may_start.set()


@pytest.mark.parametrize("kind", KINDS)
def test_who_starts_a_child_of_a_supervisor_that_is_killed_is_told_that_it_is_down(run_tree, gates, kind):
    reports = []
    root = run_tree(kind, on_report=reports.append)
    started = root.ask(StartChild(ChildSpec("a", Starting, gates)), block=False)
    assert gates[0].acquire(timeout=PATIENCE_S)
    kill(root)
    error = started.exception(timeout=PATIENCE_S)
    assert isinstance(error, ActorDown)
    assert error.reason is KILLED
    assert join(root, PATIENCE_S)
    assert reports == []


@pytest.mark.parametrize("reason", [SHUTDOWN, ValueError("bug")], ids=repr)
def test_who_starts_a_child_of_a_dynamic_supervisor_that_ends_is_told_that_it_is_down(
    run_tree, gates, reason
):
    class Mortal(DynamicSupervisor):
        def _on_event(self, event):
            if event == "end":
                raise Exit(reason)
            super()._on_event(event)

    root = run_tree(Mortal)
    started = root.ask(StartChild(ChildSpec("a", Starting, gates)), block=False)
    assert gates[0].acquire(timeout=PATIENCE_S)
    root.tell("end")
    gates[1].set()
    error = started.exception(timeout=PATIENCE_S)
    assert isinstance(error, ActorDown)
    assert error.reason is reason


def test_who_terminates_a_child_of_a_dynamic_supervisor_that_ends_is_told_that_it_is_down_too(
    run_tree, gates, start_child, worker_class
):
    """What was wanted has come about, whoever did it."""
    root = run_tree(DynamicSupervisor)
    started, release = threading.Event(), threading.Event()
    child = start_child(root, "a")
    child.tell(("block", started, release))
    assert started.wait(PATIENCE_S)
    terminated = root.ask(TerminateChild(child), block=False)
    stopped = root.ask(StartChild(ChildSpec("b", worker_class)), block=False)
    stopped.get(timeout=PATIENCE_S)  # the terminate_child is accepted
    root.stop(block=False)
    release.set()
    assert terminated.get(timeout=PATIENCE_S) is None


def test_a_supervisor_that_is_killed_while_it_ends_siblings_starts_nobody(run_tree, gates):
    class Part(GenServer):
        def __init__(self, name):
            super().__init__()
            self._name = name

        def on_start(self):
            starts.append(self._name)

        def terminate(self, reason):
            if self._name == "c":
                gates[0].release()
                assert gates[1].wait(PATIENCE_S)

        def on_kill(self):
            gates[1].set()

    starts = []
    root = run_tree(Supervisor, [ChildSpec(name, Part, (name,)) for name in "abc"], strategy="one_for_all")
    testing.crash(call(root, WhichChildren())[-1].stable_ref, ValueError("a"))
    assert gates[0].acquire(timeout=PATIENCE_S)
    kill(root)
    assert join(root, PATIENCE_S)
    assert root.actor_inbox.reason is KILLED
    assert starts == ["a", "b", "c"]


@pytest.mark.usefixtures("no_zombies")
def test_a_dynamic_supervisor_that_ends_waits_for_a_child_that_hangs_at_its_start_no_longer_than_its_time(
    run_tree,
):
    begun, release = threading.Event(), threading.Event()

    class Hanging(GenServer):
        def on_start(self):
            begun.set()
            release.wait(PATIENCE_S)

    root = run_tree(DynamicSupervisor)
    spec = ChildSpec("a", Hanging, shutdown=math.inf, start_timeout_s=1.0, kill_grace_s=0.01)
    root.tell(StartChild(spec))
    assert begun.wait(PATIENCE_S)
    root.stop(block=False)
    assert join(root, PATIENCE_S / 2)
    release.set()


class LateMailbox(Mailbox):
    """Is watched when it is too late."""

    def watch(self, fn):
        assert self.down.wait(PATIENCE_S)
        return super().watch(fn)


@pytest.mark.parametrize("kind", KINDS)
def test_a_child_that_is_abandoned_before_its_supervisor_can_watch_it_has_not_started(run_tree, kind):
    class Late(GenServer):
        _create_actor_inbox = staticmethod(LateMailbox)

        def on_start(self):
            starts.append(self)

    starts = []
    root = run_tree(kind)
    with pytest.raises(StartError) as caught:
        call(root, StartChild(ChildSpec("a", Late, start_timeout_s=0.01, kill_grace_s=0.0)), PATIENCE_S)
    assert isinstance(caught.value.reason, StartTimeout)
    assert call(root, WhichChildren(), PATIENCE_S) == []
    assert starts == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_time_that_no_clock_can_wait_for_is_for_ever(run_tree, gates, kind):
    root = run_tree(kind)
    spec = ChildSpec("a", Starting, gates, start_timeout_s=1e12, shutdown=1e12)
    started = root.ask(StartChild(spec), block=False)
    assert gates[0].acquire(timeout=PATIENCE_S)
    assert not started.done()
    gates[1].set()
    child = started.get(timeout=PATIENCE_S)
    call(root, TerminateChild("a" if kind is Supervisor else child), PATIENCE_S)
