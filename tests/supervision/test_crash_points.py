"""Crash points: they crash what they name, when they should, and say so when they did not."""

import pickle
import threading

import pykka
import pytest

from trunkline.supervision import (
    ActorDown,
    ChildSpec,
    DynamicSupervisor,
    InvalidSpec,
    StartChild,
    Supervisor,
    TerminateChild,
    WhichChild,
    WhichChildren,
    call,
    crash_points,
)
from trunkline.supervision.crash_points import (
    CRASH_POINTS,
    CrashInjected,
    CrashPointNeverFired,
    UnknownCrashPoint,
    crash_at,
    reach,
)
from trunkline.supervision.testing import crash, wait_for_restart

PATIENCE_S = 30.0
POINT = "session.before_emit"


@pytest.fixture(autouse=True)
def nothing_stays_armed():
    yield
    assert crash_points.armed is False


def visits(count):
    """Which of `count` visits crash."""
    crashed = []
    for visit in range(count):
        try:
            reach(POINT)
        except CrashInjected:
            crashed.append(visit)
    return crashed


# -- the kit --


@pytest.mark.parametrize(
    ("options", "crashed"),
    [
        ({}, [0]),
        ({"after": 3}, [3]),
        ({"times": 2}, [0, 1]),
        ({"after": 1, "times": 3}, [1, 2, 3]),
    ],
)
def test_it_passes_as_often_as_it_should_and_then_crashes_as_often_as_it_should(options, crashed):
    with crash_at(POINT, **options) as point:
        assert visits(6) == crashed
    assert (point.fired, point.passed) == (len(crashed), 6 - len(crashed))


def test_nothing_is_armed_before_the_context_and_after_it():
    point = crash_at(POINT)
    assert crash_points.armed is False
    with point:
        assert crash_points.armed is True
        assert visits(1) == [0]
    assert visits(3) == []


def test_a_point_that_never_fired_fails_the_test_and_is_named():
    with pytest.raises(CrashPointNeverFired, match=POINT) as caught, crash_at(POINT, after=3, times=2):
        visits(4)
    assert (caught.value.fired, caught.value.wanted, caught.value.passed) == (1, 2, 3)
    assert "fired 1 of 2 times" in str(caught.value)


def test_a_test_that_fails_by_itself_fails_with_its_own_error():
    with pytest.raises(LookupError, match="the test's"), crash_at(POINT):
        raise LookupError("the test's")


def test_an_unknown_point_is_refused_with_the_list_of_those_there_are():
    with pytest.raises(UnknownCrashPoint) as caught:
        crash_at("session.before_coffee")
    assert all(name in str(caught.value) for name in CRASH_POINTS)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("after", -1),
        ("after", 1.5),
        ("after", True),
        ("times", 0),
        ("times", None),
        ("exception", "boom"),
        ("exception", int),
        ("exception", None),
    ],
)
def test_what_cannot_be_is_refused_and_named(field, value):
    with pytest.raises(InvalidSpec) as caught:
        crash_at(POINT, **{field: value})
    assert caught.value.field == field


def test_what_is_raised_can_be_chosen_and_an_object_is_copied_for_each_crash():
    with crash_at(POINT, exception=SystemExit), pytest.raises(SystemExit, match=POINT):
        reach(POINT)
    error = ConnectionError("cable")
    seen = []
    with crash_at(POINT, exception=error, times=2):
        for _ in range(2):
            with pytest.raises(ConnectionError, match="cable") as caught:
                reach(POINT)
            seen.append(caught.value)
    assert len({id(each) for each in [error, *seen]}) == 3
    assert error.__traceback__ is None


def test_points_are_independent_of_each_other():
    with crash_at(POINT, after=1) as one, crash_at("session.before_send") as other:
        with pytest.raises(CrashInjected, match=r"session\.before_send"):
            reach("session.before_send")
        assert (one.passed, one.fired, other.fired) == (0, 0, 1)
        assert visits(2) == [1]


def test_it_can_be_armed_and_disarmed_by_a_fixture():
    point = crash_at(POINT).arm().arm()
    assert visits(2) == [0]
    point.disarm()
    point.disarm()
    point.verify()
    assert crash_points.armed is False
    with pytest.raises(CrashPointNeverFired):
        crash_at(POINT).verify()


def test_one_waits_for_a_crash_in_another_thread():
    with crash_at(POINT) as point:
        thread = threading.Thread(target=visits, args=(1,))
        thread.start()
        point.wait(PATIENCE_S)
        assert point.fired == 1
        thread.join(PATIENCE_S)
    with pytest.raises(CrashPointNeverFired), crash_at(POINT).arm() as point:
        point.wait(0.001)


@pytest.mark.parametrize(
    "error", [CrashInjected(POINT), UnknownCrashPoint("x"), CrashPointNeverFired(POINT, 0, 1, 2)], ids=repr
)
def test_its_errors_pickle(error):
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


# -- the supervisors' points --


@pytest.fixture(params=[Supervisor, DynamicSupervisor])
def nested(request, run_tree):
    """A supervisor under another one: its StableRef."""
    root = run_tree(Supervisor, [ChildSpec("inner", request.param)], max_seconds=3600.0)
    return call(root, WhichChild("inner")).stable_ref


@pytest.mark.parametrize("point", ["supervisor.before_start_child", "supervisor.after_start_child"])
def test_a_supervisor_that_crashes_at_a_start_is_restarted_without_the_child(
    nested, point, worker_class, eventually
):
    request = StartChild(ChildSpec("a", worker_class))
    with crash_at(point), pytest.raises((CrashInjected, ActorDown)) as caught:
        call(nested, request, PATIENCE_S)
    # It was in no hand any more: the supervisor is down, whatever its child.
    if isinstance(caught.value, ActorDown):
        assert isinstance(caught.value.reason, CrashInjected)
    assert wait_for_restart(nested, after=0) == 1
    eventually(lambda: len(pykka.ActorRegistry.get_all()) == 2, "the child is down")
    assert call(nested, WhichChildren(), PATIENCE_S) == []
    assert call(call(nested, request, PATIENCE_S), "hello", PATIENCE_S) == "hello"


def test_a_supervisor_that_crashes_instead_of_a_restart_is_restarted_itself(nested, start_child):
    child = start_child(nested, "a")
    with crash_at("supervisor.before_restart") as point:
        crash(child, ValueError("bug"))
        point.wait(PATIENCE_S)
    assert wait_for_restart(nested, after=0) == 1
    assert child.state == "stopped"
    assert call(nested, WhichChildren(), PATIENCE_S) == []


def test_a_supervisor_that_crashes_at_a_terminate_ends_its_children_and_is_restarted(nested, start_child):
    child = start_child(nested, "a")
    info = call(nested, WhichChildren(), PATIENCE_S)[0]
    named = (
        child
        if call(nested, WhichChildren(), PATIENCE_S) and nested.actor_class is DynamicSupervisor
        else info.id
    )
    with crash_at("supervisor.before_terminate"), pytest.raises(CrashInjected):
        call(nested, TerminateChild(named), PATIENCE_S)
    assert wait_for_restart(nested, after=0) == 1
    assert child.state == "stopped"
    assert call(nested, WhichChildren(), PATIENCE_S) == []


def test_supervisors_that_crash_again_and_again_at_a_point_are_given_up(
    nested, start_child, worker_class, eventually
):
    with crash_at("supervisor.before_start_child", times=4):
        for _ in range(4):
            with pytest.raises((CrashInjected, ActorDown)):
                call(nested, StartChild(ChildSpec("a", worker_class)), PATIENCE_S)
    eventually(lambda: nested.state == "stopped")
    eventually(lambda: pykka.ActorRegistry.get_all() == [])
