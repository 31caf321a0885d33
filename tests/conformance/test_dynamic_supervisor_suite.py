"""Elixir's dynamic_supervisor_test: each test ports the case it is named after, from its one-line statement (otp.md B2)."""

import itertools
import math
import threading

import pytest

from trunkline.supervision import (
    BRUTAL_KILL,
    KILLED,
    NORMAL,
    RESTARTING,
    SHUTDOWN,
    ChildSpec,
    DynamicSupervisor,
    GenServer,
    GetChildSpec,
    Ignore,
    InvalidSpec,
    ManualClock,
    MaxChildren,
    NotFound,
    Shutdown,
    StartChild,
    StartError,
    Supervisor,
    TerminateChild,
    call,
    join,
    stop,
    tree,
)
from trunkline.supervision.supervised import StopFor

PATIENCE_S = 30.0
CRASH = ValueError("crash")
ENDLESS = 10**9
REASONS = [NORMAL, SHUTDOWN, Shutdown("why"), CRASH, KILLED]


class Fickle(GenServer):
    """Starts as the next of `outcomes` says: ok, ignore, error, or, the unknown return of a start function, no actor."""

    def __init__(self, outcomes):
        self._outcome = next(outcomes)
        if self._outcome != "unknown":
            super().__init__()

    def on_receive(self, message):
        kind, error = message
        assert kind == "raise"
        raise error

    def on_start(self):
        match self._outcome:
            case "ignore":
                raise Ignore
            case "error":
                raise CRASH


def stop_later(ref, reason=SHUTDOWN):
    """Have a supervisor stop, and return a future of that."""
    return ref.ask(StopFor.because(reason), block=False)


# -- being a child


def test_can_be_supervised_directly(lab):
    root = lab.supervisor(ChildSpec("dynamic", DynamicSupervisor))
    child = lab.add(lab.stable(root, "dynamic"), "child")
    assert child.ask("hello", timeout=PATIENCE_S) == "hello"
    assert lab.counts(root) == (1, 1, 1, 0)


def test_multiple_supervisors_can_be_supervised_and_identified_with_simple_child_spec(lab):
    root = lab.supervisor(*(ChildSpec(id, DynamicSupervisor) for id in ("a", "b")))
    a, b = lab.stable(root, "a"), lab.stable(root, "b")
    lab.add(a, "child")
    assert lab.counts(a) == (1, 1, 0, 1)
    assert lab.counts(b) == (0, 0, 0, 0)
    with pytest.raises(InvalidSpec) as caught:
        Supervisor.start([ChildSpec("same", DynamicSupervisor), ChildSpec("same", DynamicSupervisor)])
    assert caught.value.value == "same"


def test_generates_child_spec():
    spec = ChildSpec("dynamic", DynamicSupervisor)
    assert (spec.type, spec.shutdown, spec.restart) == ("supervisor", math.inf, "permanent")
    spec = ChildSpec("dynamic", DynamicSupervisor, restart="temporary", shutdown=3.0)
    assert (spec.type, spec.shutdown, spec.restart) == ("supervisor", 3.0, "temporary")


# -- flags


def test_init_set_default_options(lab):
    """Ported: 3 restarts in 5 seconds, inclusive, and any number of children."""
    clock = ManualClock()
    supervisor = lab.dynamic(clock=clock)
    children = [lab.add(supervisor, n) for n in range(50)]
    now = lab.pid(supervisor, children[0])
    for until_next in (5.5, 5.0):
        for _ in range(3):
            lab.end(now, CRASH)
            now = lab.replaced(supervisor, children[0], now)
        clock.advance(until_next)
    lab.end(now, CRASH)
    assert lab.reason(supervisor) is SHUTDOWN


@pytest.mark.parametrize(
    ("flag", "value"),
    [("max_restarts", -1), ("max_seconds", 0), ("max_children", -1), ("budget", "unknown")],
)
def test_start_link_with_non_ok_init(flag, value):
    with pytest.raises(InvalidSpec) as caught:
        DynamicSupervisor.start(**{flag: value})
    assert caught.value.field == flag


def test_start_link_with_registered_process(lab):
    supervisor = lab.dynamic(name="sessions")
    assert tree(supervisor).id == "sessions"
    assert "DynamicSupervisor sessions" in {thread.name for thread in threading.enumerate()}
    assert stop(supervisor, NORMAL, PATIENCE_S)
    assert lab.reason(supervisor) is NORMAL


# -- start_child


def test_start_child_supports_old_child_spec(lab):
    supervisor = lab.dynamic()
    spec = ChildSpec("child", lab.Node, ("child", lab.diary))
    assert call(supervisor, GetChildSpec(call(supervisor, StartChild(spec)))) is spec


def test_start_child_supports_new_child_spec_as_tuple(lab):
    supervisor = lab.dynamic()
    for no_spec in ((lab.Node, ("child", lab.diary)), lab.Node):
        with pytest.raises(InvalidSpec):
            call(supervisor, StartChild(no_spec))


def test_start_child_supports_new_child_spec(lab):
    supervisor = lab.dynamic()
    spec = ChildSpec(id="child", start=lab.Node, kwargs={"name": "child", "diary": lab.diary})
    assert call(supervisor, GetChildSpec(call(supervisor, StartChild(spec)))) is spec


@pytest.mark.parametrize(
    "fields", [{"start": "no class"}, {"restart": "sometimes"}, {"type": "manager"}, {"args": "no tuple"}]
)
def test_start_child_with_invalid_child_spec(lab, fields):
    (field,) = fields
    with pytest.raises(InvalidSpec) as caught:  # in the caller: no supervisor is needed
        ChildSpec(**{"id": "child", "start": lab.Node, **fields})
    assert caught.value.field == field


@pytest.mark.parametrize("shutdown", [-0.5, "soon", math.nan, None])
def test_start_child_with_invalid_shutdown(lab, shutdown):
    with pytest.raises(InvalidSpec) as caught:
        lab.spec("child", shutdown=shutdown)
    assert caught.value.field == "shutdown"


def test_start_child_with_different_returns(lab):
    supervisor = lab.dynamic(max_restarts=0)

    def start(outcome):
        return call(supervisor, StartChild(ChildSpec("child", Fickle, (iter([outcome]),))))

    assert start("ok").is_alive()
    assert start("ignore") is None
    for outcome, reason in (("error", ValueError), ("unknown", TypeError)):
        with pytest.raises(StartError) as caught:
            start(outcome)
        assert isinstance(caught.value.reason, reason)
    assert lab.counts(supervisor) == (1, 1, 0, 1)


def test_start_child_with_throw_error_exit(lab):
    supervisor = lab.dynamic(max_restarts=0)
    for error in (CRASH, SystemExit("bye"), KeyboardInterrupt()):
        with pytest.raises(StartError) as caught:
            lab.add(supervisor, "child", lab.Plan(error))
        assert caught.value.reason is error
        assert caught.value.__cause__ is error
    assert lab.counts(supervisor) == (0, 0, 0, 0)


def test_start_child_with_max_children(lab):
    supervisor = lab.dynamic(max_children=0)
    for _ in range(2):
        with pytest.raises(MaxChildren) as caught:
            lab.add(supervisor, "child")
        assert caught.value.limit == 0
    assert lab.diary == []


# -- restart types


def test_temporary_child_is_not_restarted_regardless_of_reason(lab):
    supervisor = lab.dynamic(max_restarts=0)
    for reason in REASONS:
        child = lab.add(supervisor, "child", restart="temporary")
        lab.end(lab.pid(supervisor, child), reason)
        lab.forgotten(supervisor, child)
    assert lab.counts(supervisor) == (0, 0, 0, 0)


def test_transient_child_is_restarted_unless_normal_shutdown(lab):
    supervisor = lab.dynamic(max_restarts=2)
    for reason in REASONS:
        child = lab.add(supervisor, "child", restart="transient")
        now = lab.pid(supervisor, child)
        lab.end(now, reason)
        if reason in (CRASH, KILLED):
            lab.replaced(supervisor, child, now)
        else:
            lab.forgotten(supervisor, child)
    assert lab.counts(supervisor) == (2, 2, 0, 2)


def test_permanent_child_is_restarted_regardless_of_reason(lab):
    supervisor = lab.dynamic(max_restarts=len(REASONS))
    child = lab.add(supervisor, "child")
    for reason in REASONS:
        now = lab.pid(supervisor, child)
        lab.end(now, reason)
        lab.replaced(supervisor, child, now)
    assert child.restarts == len(REASONS)


# -- restarts whose start fails


@pytest.mark.parametrize(
    ("then", "counts"),
    [
        ("ok", (1, 1, 0, 1)),
        ("ignore", (0, 0, 0, 0)),
        ("error", (1, 0, 0, 1)),
        ("unknown", (1, 0, 0, 1)),
    ],
)
def test_child_is_restarted_with_different_values(lab, then, counts):
    supervisor = lab.dynamic(max_restarts=ENDLESS)
    outcomes = itertools.chain(["ok"], itertools.repeat(then))
    child = call(supervisor, StartChild(ChildSpec("child", Fickle, (outcomes,))))
    old = lab.pid(supervisor, child)
    lab.end(old, CRASH)
    if then == "ok":
        lab.replaced(supervisor, child, old)
    elif then == "ignore":
        lab.forgotten(supervisor, child)
    else:
        lab.becomes(supervisor, child, RESTARTING)
    assert lab.counts(supervisor) == counts


def test_restarting_on_init_children_counted_in_max_children(lab):
    """Ported: a child whose restart fails again and again keeps its place."""
    supervisor = lab.dynamic(max_children=1, max_restarts=ENDLESS)
    child = lab.add(supervisor, "child", lab.Plan(None, ever_after=CRASH))
    lab.end(lab.pid(supervisor, child), CRASH)
    lab.becomes(supervisor, child, RESTARTING)
    assert lab.counts(supervisor) == (1, 0, 0, 1)
    with pytest.raises(MaxChildren):
        lab.add(supervisor, "another")


def test_restarting_on_exit_children_counted_in_max_children(lab):
    """Ported: likewise while its start hangs."""
    release = threading.Event()
    supervisor = lab.dynamic(max_children=1)
    child = lab.add(supervisor, "child", lab.Plan(None, lambda node: release.wait(PATIENCE_S)))
    old = lab.pid(supervisor, child)
    lab.end(old, CRASH)
    lab.becomes(supervisor, child, RESTARTING)
    with pytest.raises(MaxChildren):
        lab.add(supervisor, "another")
    release.set()
    lab.replaced(supervisor, child, old)


def test_child_is_restarted_when_trying_again(lab):
    supervisor = lab.dynamic(max_restarts=2)
    child = lab.add(supervisor, "child", lab.Plan(None, CRASH, None))
    old = lab.pid(supervisor, child)
    lab.end(old, CRASH)
    lab.replaced(supervisor, child, old)
    assert lab.counts(supervisor) == (1, 1, 0, 1)
    assert lab.starts("child") == 3


def test_child_triggers_maximum_restarts(lab):
    supervisor = lab.dynamic(max_restarts=1)
    child = lab.add(supervisor, "child")
    now = lab.pid(supervisor, child)
    lab.end(now, CRASH)
    lab.end(lab.replaced(supervisor, child, now), CRASH)
    assert lab.reason(supervisor) is SHUTDOWN


def test_child_triggers_maximum_restarts_when_trying_again(lab):
    supervisor = lab.dynamic(max_restarts=2)
    child = lab.add(supervisor, "child", lab.Plan(None, ever_after=CRASH))
    lab.end(lab.pid(supervisor, child), CRASH)
    assert lab.reason(supervisor) is SHUTDOWN
    assert lab.starts("child") == 1 + 2


# -- the end of the supervisor


def stop_all(lab, supervisor, *specs):
    """Start children, stop the supervisor, and return their reasons."""
    refs = [lab.pid(supervisor, call(supervisor, StartChild(spec))) for spec in specs]
    stop(supervisor, SHUTDOWN, PATIENCE_S)
    assert lab.reason(supervisor) is SHUTDOWN
    return [lab.reason(ref) for ref in refs]


def raises_at_end(node, reason):
    raise CRASH


@pytest.mark.parametrize("shutdown", [0, 0.001])
def test_terminate_with_valid_shutdown(lab, shutdown):
    release = threading.Event()
    plan = lab.Plan(at_end=lambda node, reason: release.wait(PATIENCE_S))
    specs = [lab.spec(n, plan, shutdown=shutdown, kill_grace_s=0.001) for n in range(3)]
    try:
        assert stop_all(lab, lab.dynamic(), *specs) == [KILLED] * 3
    finally:
        release.set()


def test_terminate_with_brutal_kill(lab):
    specs = lab.specs(1, 2, 3, shutdown=BRUTAL_KILL)
    assert stop_all(lab, lab.dynamic(), *specs) == [KILLED] * 3
    assert lab.since() == [("start", n) for n in (1, 2, 3)]


def test_terminate_with_infinity_shutdown(lab):
    assert stop_all(lab, lab.dynamic(), *lab.specs(1, 2, 3, shutdown=math.inf)) == [SHUTDOWN] * 3


def test_terminate_with_infinity_shutdown_and_abnormal_reason(lab):
    reports = []
    spec = lab.spec("child", lab.Plan(at_end=raises_at_end), shutdown=math.inf)
    assert stop_all(lab, lab.dynamic(on_report=reports.append), spec) == [CRASH]
    assert [(report.context, report.reason) for report in reports] == [("shutdown_error", CRASH)]


def test_terminate_with_integer_shutdown(lab):
    assert stop_all(lab, lab.dynamic(), *lab.specs(1, 2, 3, shutdown=10)) == [SHUTDOWN] * 3


def test_terminate_with_integer_shutdown_and_abnormal_reason(lab):
    reports = []
    spec = lab.spec("child", lab.Plan(at_end=raises_at_end), shutdown=10)
    assert stop_all(lab, lab.dynamic(on_report=reports.append), spec) == [CRASH]
    assert [(report.context, report.reason) for report in reports] == [("shutdown_error", CRASH)]


def test_terminate_with_expired_integer_shutdown(lab):
    clock, release, started = ManualClock(), threading.Event(), threading.Event()
    supervisor = lab.dynamic(clock=clock)
    quick, busy, other = (
        lab.pid(supervisor, lab.add(supervisor, id, shutdown=1)) for id in ("quick", "busy", "other")
    )
    busy.tell(("block", started, release))
    assert started.wait(PATIENCE_S)
    stop_later(supervisor)
    assert [lab.reason(ref) for ref in (quick, other)] == [SHUTDOWN] * 2
    lab.let_time_pass(clock, lambda: join(supervisor, 0.0))
    release.set()
    assert lab.reason(busy) is KILLED
    assert lab.reason(supervisor) is SHUTDOWN


@pytest.mark.parametrize(("restart", "is_reported"), [("permanent", True), ("transient", False)])
def test_terminate_with_shutdown_permanent_and_normal_reason(lab, restart, is_reported):
    """Ported: a normal end that was queued before the shutdown is an error of a permanent child only."""
    reports = []
    supervisor = lab.dynamic(on_report=reports.append)
    child = lab.pid(supervisor, lab.add(supervisor, "child", restart=restart))
    busy, release = threading.Event(), threading.Event()
    child.tell(("block", busy, release))
    child.tell(("exit", NORMAL))
    assert busy.wait(PATIENCE_S)
    stop_later(supervisor)
    lab.eventually(lambda: child.actor_inbox.qsize() == 2, "the child is told to stop")
    release.set()
    assert lab.reason(supervisor) is SHUTDOWN
    assert lab.reason(child) is NORMAL
    assert [report.context for report in reports] == ["shutdown_error"] * is_reported


def test_terminate_with_shutdown_of_mixed_children(lab):
    specs = [
        lab.spec("infinity", shutdown=math.inf),
        lab.spec("seconds", shutdown=10),
        lab.spec("abnormal", lab.Plan(at_end=raises_at_end), shutdown=10),
        lab.spec("brutal", shutdown=BRUTAL_KILL),
        lab.spec("temporary", restart="temporary"),
    ]
    assert stop_all(lab, lab.dynamic(), *specs) == [SHUTDOWN, SHUTDOWN, CRASH, KILLED, SHUTDOWN]


# -- terminate_child


def test_terminate_child_with_brutal_kill(lab):
    check_terminate_child(lab, BRUTAL_KILL, KILLED)


def test_terminate_child_with_integer_shutdown(lab):
    check_terminate_child(lab, 10, SHUTDOWN)


def check_terminate_child(lab, shutdown, reason):
    supervisor = lab.dynamic(max_restarts=0)
    child = lab.add(supervisor, "child", shutdown=shutdown)
    ref = lab.pid(supervisor, child)
    assert call(supervisor, TerminateChild(child)) is None
    assert lab.reason(ref) is reason
    with pytest.raises(NotFound):
        call(supervisor, TerminateChild(child))
    assert lab.counts(supervisor) == (0, 0, 0, 0)


def test_terminate_child_with_restarting_child(lab):
    supervisor = lab.dynamic(max_restarts=ENDLESS)
    child = lab.add(supervisor, "child", lab.Plan(None, ever_after=CRASH))
    lab.end(lab.pid(supervisor, child), CRASH)
    lab.becomes(supervisor, child, RESTARTING)
    assert call(supervisor, TerminateChild(child)) is None
    with pytest.raises(NotFound):
        call(supervisor, TerminateChild(child))
    assert lab.counts(supervisor) == (0, 0, 0, 0)
