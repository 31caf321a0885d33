"""A plain pykka class keeps its own names when it is supervised: only who inherits `Supervised` has hooks and flags."""

import inspect
import threading

import pykka
import pytest

from trunkline.supervision import (
    KILLED,
    ActorDown,
    ChildSpec,
    DynamicSupervisor,
    Supervised,
    Supervisor,
    WhichChild,
    call,
    join,
    kill,
    link,
)
from trunkline.supervision.supervised import SupervisedLoop, supervisable
from trunkline.supervision.testing import Record, RecordingSupervisor, crash, wait_for_restart

PATIENCE_S = 30.0
ADDED = sorted({*dir(Supervised)} - {*dir(pykka.Actor)} - {"__annotations__", "__dict__", "__weakref__"})


class Theatre(pykka.ThreadingActor):
    """Has methods and attributes of its own by all the names that mean something to us, and notes who calls them."""

    let_it_crash = True
    traps_exits = "never"
    _is_supervisor = True
    _caller_errors = (ValueError,)

    def __init__(self, calls):
        super().__init__()
        self._calls = calls
        self._life = "nine"
        self._mailbox = ["letter"]
        self._stable_ref = "hay"
        self._trunk = "line"

    # With any arguments, so that a call of ours would be noted and not just fail.

    def terminate(self, contract=None, notice_days=0):
        self._calls.append("terminate")
        return f"{contract} ends in {notice_days} days"

    def on_kill(self, villain=None):
        self._calls.append("on_kill")
        return f"{villain} did it"

    def handle_continue(self, act=None):
        self._calls.append("handle_continue")
        return f"act {act}"

    def _wind_down(self, *_):
        self._calls.append("_wind_down")

    def _crash(self, *_):
        self._calls.append("_crash")

    def _fail(self, *_):
        self._calls.append("_fail")

    def _go_down(self, *_):
        self._calls.append("_go_down")

    def _judge(self, *_):
        self._calls.append("_judge")

    def own(self):
        return self._life, self._mailbox, self._stable_ref, self.let_it_crash, self.traps_exits

    def on_receive(self, message):
        if isinstance(message, BaseException):
            raise message
        return message


for name in ADDED:
    assert name in vars(Theatre) or name in (
        "_trunkline_is_supervisor",
        "_life",
        "_mailbox",
        "_stable_ref",
        "_trunkline_crash",
    ), name


def a_supervisor(run_tree, start_child, calls):
    root = run_tree(Supervisor, [ChildSpec("theatre", Theatre, args=(calls,))])
    return root, call(root, WhichChild("theatre")).stable_ref


def a_dynamic_one(run_tree, start_child, calls):
    root = run_tree(DynamicSupervisor)
    return root, start_child(root, "theatre", Theatre, args=(calls,))


def a_recording_one(run_tree, start_child, calls):
    root = run_tree(RecordingSupervisor, [ChildSpec("theatre", Theatre, args=(calls,))], record=Record())
    return root, call(root, WhichChild("theatre")).stable_ref


@pytest.fixture
def calls():
    return []


@pytest.fixture(params=[a_supervisor, a_dynamic_one, a_recording_one])
def tree(request, run_tree, start_child, calls):
    return request.param(run_tree, start_child, calls)


def test_its_methods_are_called_by_its_users_alone(tree, calls):
    root, theatre = tree
    proxy = theatre.proxy()
    assert proxy.terminate("lease", notice_days=30).get(timeout=PATIENCE_S) == "lease ends in 30 days"
    assert proxy.on_kill("butler").get(timeout=PATIENCE_S) == "butler did it"
    assert proxy.handle_continue(2).get(timeout=PATIENCE_S) == "act 2"
    assert proxy.own().get(timeout=PATIENCE_S) == ("nine", ["letter"], "hay", True, "never")
    assert calls == ["terminate", "on_kill", "handle_continue"]
    root.stop()
    assert calls == ["terminate", "on_kill", "handle_continue"]


def test_a_crash_and_a_kill_call_none_of_them(tree, calls):
    _, theatre = tree
    crash(theatre, LookupError("bug"))
    assert wait_for_restart(theatre) == 1
    kill(theatre)
    assert wait_for_restart(theatre) == 2
    assert calls == []


def test_its_let_it_crash_is_no_flag_and_its_caller_errors_are_not_ours(tree):
    _, theatre = tree
    for error in (LookupError("bug"), ValueError("bug")):
        with pytest.raises(type(error), match="bug") as caught:
            theatre.ask(error, timeout=PATIENCE_S)
        assert caught.value is error
    assert theatre.ask("still here", timeout=PATIENCE_S) == "still here"
    theatre.tell(ValueError("bug"))
    assert wait_for_restart(theatre) == 1


def test_its_traps_exits_is_no_flag_of_links(tree, start_worker):
    _, theatre = tree
    other = start_worker()
    link(theatre, other)
    kill(other)
    assert join(other, PATIENCE_S)
    assert wait_for_restart(theatre) == 1


def test_a_plain_class_is_no_supervisor_whatever_it_says():
    spec = ChildSpec("theatre", Theatre, args=([],))
    assert (spec.type, spec.shutdown) == ("worker", 5.0)


def test_what_is_put_before_a_foreign_class_takes_public_names_only_from_pykka():
    ours = {name for name in vars(SupervisedLoop) if not name.startswith("__") and name != "_abc_impl"}
    taken = {name for name in ours if not hasattr(pykka.ThreadingActor, name)}
    assert {name for name in taken if not name.startswith("_trunkline_")} == set()
    made = supervisable(Theatre)
    for name in ("terminate", "on_kill", "handle_continue", "let_it_crash", "_wind_down", "_crash"):
        assert inspect.getattr_static(made, name) is inspect.getattr_static(Theatre, name)


def test_a_killed_foreign_actor_that_is_blocked_is_abandoned_without_a_hook(run_tree, calls, no_zombies):
    release, entered = threading.Event(), threading.Event()

    class Blocking(Theatre):
        def on_receive(self, message):
            entered.set()
            release.wait(PATIENCE_S)

    root = run_tree(
        Supervisor, [ChildSpec("theatre", Blocking, args=(calls,), shutdown=0.01, kill_grace_s=0.01)]
    )
    theatre = call(root, WhichChild("theatre")).stable_ref
    waiting = theatre.ask("block", block=False)
    assert entered.wait(PATIENCE_S)
    root.stop()
    with pytest.raises(ActorDown) as caught:
        waiting.get(timeout=PATIENCE_S)
    assert caught.value.reason is KILLED
    release.set()
    assert calls == []
