"""Children that do not want to be started: `raise Ignore()` in `on_start`."""

import pickle

import pykka
import pytest

from trunkline.supervision import (
    IGNORE,
    ActorDown,
    AlreadyPresent,
    ChildSpec,
    CountChildren,
    Counts,
    DynamicSupervisor,
    GenServer,
    Ignore,
    NotFound,
    RestartChild,
    StartChild,
    StartError,
    Supervisor,
    WhichChild,
    WhichChildren,
    call,
)

PATIENCE_S = 30.0


class Picky(GenServer):
    """Starts, fails or ignores as `wishes` says, one after the other."""

    def __init__(self, wishes):
        super().__init__()
        self._wishes = wishes

    def on_start(self):
        wish = self._wishes.pop(0) if self._wishes else None
        if wish is not None:
            raise wish

    def on_receive(self, message):
        if isinstance(message, BaseException):
            raise message
        return message


class PickyConstructor(GenServer):
    def __init__(self):
        raise Ignore


def ids(supervisor):
    return [child.id for child in call(supervisor, WhichChildren())]


def test_ignore_is_an_exit_that_pickles():
    assert Ignore().reason is IGNORE
    assert pickle.loads(pickle.dumps(Ignore())).reason is IGNORE


def test_a_supervisor_starts_without_the_child_that_ignores_and_keeps_its_spec(run_tree):
    reports = []
    specs = [ChildSpec("a", Picky, ([Ignore()],)), ChildSpec("b", Picky, ([],))]
    supervisor = run_tree(Supervisor, specs, on_report=reports.append)
    assert [(child.id, child.ref is None) for child in call(supervisor, WhichChildren())] == [
        ("b", False),
        ("a", True),
    ]
    assert call(supervisor, CountChildren()) == Counts(specs=2, active=1, supervisors=0, workers=2)
    a = call(supervisor, WhichChild("a")).stable_ref
    with pytest.raises(ActorDown):
        call(a, "hello")
    assert call(supervisor, RestartChild("a")) is a
    assert call(a, "hello") == "hello"
    assert reports == []


def test_the_spec_of_a_temporary_child_that_ignores_is_dropped(run_tree):
    supervisor = run_tree(Supervisor, [ChildSpec("a", Picky, ([Ignore()],), restart="temporary")])
    assert ids(supervisor) == []
    spec = ChildSpec("b", Picky, ([Ignore()],), restart="temporary")
    assert call(supervisor, StartChild(spec)) is None
    assert ids(supervisor) == []


def ignoring_specs():
    return [ChildSpec("a", Picky, ([Ignore()],)), ChildSpec("a", PickyConstructor)]


@pytest.mark.parametrize("which", [0, 1], ids=["on_start", "constructor"])
def test_start_child_answers_none_and_the_id_is_taken(run_tree, which):
    supervisor = run_tree(Supervisor)
    assert call(supervisor, StartChild(ignoring_specs()[which])) is None
    assert ids(supervisor) == ["a"]
    with pytest.raises(AlreadyPresent):
        call(supervisor, StartChild(ignoring_specs()[which]))
    assert len(pykka.ActorRegistry.get_all()) == 1


def test_restart_child_answers_none_and_the_child_stays_down(run_tree):
    wishes = [Ignore(), Ignore()]
    supervisor = run_tree(Supervisor, [ChildSpec("a", Picky, (wishes,))])
    assert call(supervisor, RestartChild("a")) is None
    assert call(supervisor, WhichChild("a")).ref is None
    assert wishes == []


def test_a_child_that_ignores_its_restart_stays_down_and_the_others_are_restarted(run_tree, eventually):
    specs = [ChildSpec("a", Picky, ([None, Ignore()],)), ChildSpec("b", Picky, ([],))]
    supervisor = run_tree(Supervisor, specs, strategy="one_for_all", max_restarts=1)
    a, b = (call(supervisor, WhichChild(name)).stable_ref for name in "ab")
    a.tell(ValueError("x"))
    eventually(lambda: b.restarts == 1)
    assert call(b, "served", PATIENCE_S) == "served"
    assert a.state == "stopped"
    assert call(supervisor, WhichChild("a")).ref is None


@pytest.mark.parametrize("which", [0, 1], ids=["on_start", "constructor"])
def test_a_dynamic_supervisor_answers_none_and_stores_nothing(run_tree, which):
    reports = []
    supervisor = run_tree(DynamicSupervisor, on_report=reports.append, max_children=1)
    for _ in range(2):
        assert call(supervisor, StartChild(ignoring_specs()[which])) is None
        assert ids(supervisor) == []
    assert reports == []


def test_a_dynamic_supervisor_removes_a_child_that_ignores_its_restart(run_tree, eventually):
    supervisor = run_tree(DynamicSupervisor)
    child = call(supervisor, StartChild(ChildSpec("a", Picky, ([None, Ignore()],))))
    child.tell(ValueError("x"))
    eventually(lambda: child.state == "stopped")
    assert ids(supervisor) == []
    with pytest.raises(NotFound):
        call(supervisor, WhichChild(child))


def test_outside_a_tree_a_supervisor_that_ignores_its_start_is_a_start_error():
    class Idle(Supervisor):
        def on_start(self):
            super().on_start()
            raise Ignore

    with pytest.raises(StartError) as caught:
        Idle.start([ChildSpec("a", Picky, ([],))])
    assert caught.value.reason is IGNORE
    assert pykka.ActorRegistry.get_all() == []
