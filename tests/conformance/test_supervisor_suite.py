"""OTP's supervisor_SUITE: each test ports the case it is named after, from its one-line statement (otp.md B1)."""

import gc
import logging
import math
import threading
import weakref

import pytest

from trunkline.supervision import (
    BRUTAL_KILL,
    IGNORE,
    KILLED,
    NORMAL,
    RESTARTING,
    SHUTDOWN,
    ActorDown,
    AlreadyPresent,
    AlreadyStarted,
    ChildSpec,
    DeleteChild,
    DynamicSupervisor,
    GenServer,
    GetChildSpec,
    Ignore,
    InvalidSpec,
    ManualClock,
    NotFound,
    Registry,
    RestartChild,
    Restarting,
    Running,
    Shutdown,
    StartChild,
    StartError,
    StartTimeout,
    Supervisor,
    TerminateChild,
    WhichChildren,
    call,
    cast,
    join,
    stop,
)
from trunkline.supervision.supervised import StopFor

PATIENCE_S = 30.0
CRASH = ValueError("crash")
ENDLESS = 10**9


def stop_later(ref, reason=SHUTDOWN):
    """Have a supervisor stop, and return a future of that."""
    return ref.ask(StopFor.because(reason), block=False)


class NoActor(GenServer):
    """The junk return of a start function: a constructor that leaves no actor behind."""

    def __init__(self, *args):
        pass


class Turnstile:
    """Lets starts that are to fail through, one at a time."""

    def __init__(self):
        self.at_it = threading.Semaphore(0)
        self.let_in = threading.Semaphore(0)
        self.open = False

    def __call__(self, node):
        self.at_it.release()
        if not self.open:
            assert self.let_in.acquire(timeout=PATIENCE_S)
        raise CRASH

    def wait_for_attempt(self):
        assert self.at_it.acquire(timeout=PATIENCE_S)

    def let_one_fail(self):
        self.let_in.release()

    def open_for_all(self):
        self.open = True
        self.let_in.release()


# -- starting


def test_sup_start_normal(lab):
    supervisor = lab.supervisor()
    assert stop(supervisor, SHUTDOWN, PATIENCE_S)
    assert lab.reason(supervisor) is SHUTDOWN


@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
def test_sup_start_error_return(kind):
    before = set(threading.enumerate())
    with pytest.raises(ValueError, match="max_restarts"):
        kind.start(max_restarts="many")
    with pytest.raises(InvalidSpec) as caught:
        kind.start(max_seconds=None)
    assert caught.value.field == "max_seconds"
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
def test_sup_start_fail(kind):
    class Broken(kind):
        def on_start(self):
            raise CRASH

    with pytest.raises(StartError) as caught:
        Broken.start()
    assert caught.value.reason is CRASH
    assert caught.value.__cause__ is CRASH


def test_sup_start_restart_child_returns_error(lab):
    supervisor = lab.supervisor(lab.spec("child", lab.Plan(None, CRASH)))
    call(supervisor, TerminateChild("child"))
    with pytest.raises(StartError) as caught:
        call(supervisor, RestartChild("child"))
    assert caught.value.reason is CRASH
    assert lab.pid(supervisor, "child") is None
    assert lab.counts(supervisor) == (1, 0, 0, 1)


def test_sup_start_child_returns_error(lab):
    supervisor = lab.supervisor(max_restarts=0)
    for _ in range(3):
        with pytest.raises(StartError) as caught:
            lab.add(supervisor, "child", lab.Plan(CRASH))
        assert caught.value.reason is CRASH
    with pytest.raises(StartError) as caught:
        call(supervisor, StartChild(ChildSpec("child", NoActor)))
    assert isinstance(caught.value.reason, TypeError)
    assert lab.ids(supervisor) == []
    assert supervisor.is_alive()


def test_sup_start_child_returns_error_simple(lab):
    supervisor = lab.dynamic(max_restarts=0)
    for _ in range(3):
        with pytest.raises(StartError) as caught:
            lab.add(supervisor, "child", lab.Plan(CRASH))
        assert caught.value.reason is CRASH
    with pytest.raises(StartError) as caught:
        call(supervisor, StartChild(ChildSpec("child", NoActor)))
    assert isinstance(caught.value.reason, TypeError)
    assert lab.counts(supervisor) == (0, 0, 0, 0)


def test_sup_start_map(lab):
    worker, inner = lab.spec("worker"), ChildSpec("inner", Supervisor)
    assert (worker.restart, worker.shutdown, worker.type) == ("permanent", 5.0, "worker")
    assert (inner.restart, inner.shutdown, inner.type) == ("permanent", math.inf, "supervisor")
    supervisor = lab.supervisor(worker, inner)
    assert call(supervisor, GetChildSpec("worker")) is worker
    assert call(supervisor, GetChildSpec("inner")) is inner
    with pytest.raises(NotFound):
        call(supervisor, GetChildSpec("nobody"))


def test_sup_start_map_simple(lab):
    supervisor, outsider = lab.dynamic(), lab.node()
    spec = lab.spec("child")
    child = call(supervisor, StartChild(spec))
    assert call(supervisor, GetChildSpec(child)) is spec
    assert call(supervisor, GetChildSpec(lab.pid(supervisor, child))) is spec
    with pytest.raises(NotFound):
        call(supervisor, GetChildSpec(outsider))


def test_sup_start_map_faulty_specs(lab):
    with pytest.raises(TypeError, match="id"):
        ChildSpec(start=lab.Node)
    with pytest.raises(TypeError, match="start"):
        ChildSpec("no start")
    with pytest.raises(TypeError, match="colour"):
        ChildSpec("unknown key", lab.Node, colour="red")
    for no_spec in ("child", {"id": "child", "start": lab.Node}, lab.Node, None):
        with pytest.raises(InvalidSpec):
            Supervisor.start([no_spec])


# -- stopping


def test_sup_stop_infinity(lab):
    supervisor = lab.supervisor(
        lab.spec("worker", shutdown=math.inf), ChildSpec("inner", Supervisor, shutdown=math.inf)
    )
    worker, inner = lab.pids(supervisor, "worker", "inner")
    stop(supervisor, SHUTDOWN, PATIENCE_S)
    assert [lab.reason(ref) for ref in (worker, inner, supervisor)] == [SHUTDOWN] * 3


def stop_with_one_busy_child(lab, supervisor, clock, busy, idle):
    started, release = threading.Event(), threading.Event()
    busy.tell(("block", started, release))
    assert started.wait(PATIENCE_S)
    try:
        stop_later(supervisor)
        assert lab.reason(idle) is SHUTDOWN
        lab.let_time_pass(clock, lambda: join(supervisor, 0.0))
        assert lab.reason(busy) is KILLED
        assert lab.reason(supervisor) is SHUTDOWN
    finally:
        release.set()


def test_sup_stop_timeout(lab):
    clock = ManualClock()
    supervisor = lab.supervisor(*lab.specs("busy", "idle", shutdown=2.0), clock=clock)
    stop_with_one_busy_child(lab, supervisor, clock, *lab.pids(supervisor, "busy", "idle"))


def test_sup_stop_timeout_dynamic(lab):
    clock = ManualClock()
    supervisor = lab.dynamic(clock=clock)
    refs = [lab.pid(supervisor, lab.add(supervisor, id, shutdown=2.0)) for id in ("busy", "idle")]
    stop_with_one_busy_child(lab, supervisor, clock, *refs)


def test_sup_stop_brutal_kill(lab):
    supervisor = lab.supervisor(
        lab.spec("polite"), lab.spec("brutal", shutdown=BRUTAL_KILL), ChildSpec("inner", Supervisor)
    )
    polite, brutal, inner = lab.pids(supervisor, "polite", "brutal", "inner")
    stop(supervisor, SHUTDOWN, PATIENCE_S)
    assert [lab.reason(ref) for ref in (polite, brutal, inner)] == [SHUTDOWN, KILLED, SHUTDOWN]
    assert ("terminate", "brutal", KILLED) not in lab.diary
    assert lab.reason(supervisor) is SHUTDOWN


def test_sup_stop_brutal_kill_dynamic(lab):
    supervisor = lab.dynamic()
    refs = [lab.pid(supervisor, lab.add(supervisor, n, shutdown=BRUTAL_KILL)) for n in range(10)]
    stop(supervisor, SHUTDOWN, PATIENCE_S)
    assert [lab.reason(ref) for ref in refs] == [KILLED] * 10
    assert lab.reason(supervisor) is SHUTDOWN


@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, Shutdown("why"), CRASH], ids=repr)
def test_sup_stop_race(lab, restart, reason):
    ending, go_on = threading.Event(), threading.Event()

    def wait_at_end(node, reason):
        ending.set()
        assert go_on.wait(PATIENCE_S)

    supervisor = lab.supervisor(
        lab.spec("racer", restart=restart), lab.spec("last", lab.Plan(at_end=wait_at_end))
    )
    racer = lab.pid(supervisor, "racer")
    stop_later(supervisor)
    assert ending.wait(PATIENCE_S)
    lab.end(racer, reason)  # by itself, while the supervisor waits for its sibling
    go_on.set()
    assert lab.reason(supervisor) is SHUTDOWN
    assert lab.reason(racer) is reason
    assert lab.starts("racer") == 1


@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, Shutdown("why"), CRASH], ids=repr)
def test_sup_stop_non_shutdown_exit_dynamic(lab, reason):
    """Ported: the child has its end already queued when it is told to stop, so it ends with that reason."""
    supervisor = lab.dynamic()
    started, release = threading.Event(), threading.Event()
    child = lab.pid(supervisor, lab.add(supervisor, "child"))
    child.tell(("block", started, release))
    assert started.wait(PATIENCE_S)
    child.tell(("raise", reason) if reason is CRASH else ("exit", reason))
    stop_later(supervisor)
    release.set()
    assert lab.reason(child) is reason
    assert lab.reason(supervisor) is SHUTDOWN
    assert lab.starts("child") == 1


# -- the requests


def test_extra_return(lab):
    supervisor = lab.supervisor(max_restarts=1)
    ref = lab.add(supervisor, "child")
    with pytest.raises(AlreadyStarted) as caught:
        lab.add(supervisor, "child")
    assert caught.value.ref is ref
    call(supervisor, TerminateChild("child"))
    with pytest.raises(AlreadyPresent):
        lab.add(supervisor, "child")
    assert call(supervisor, RestartChild("child")) is ref
    with pytest.raises(Running):
        call(supervisor, RestartChild("child"))
    old = lab.pid(supervisor, "child")
    lab.end(old, CRASH)
    lab.replaced(supervisor, "child", old)


def test_child_adm(lab):
    supervisor = lab.supervisor()
    assert lab.ids(supervisor) == []
    assert lab.counts(supervisor) == (0, 0, 0, 0)
    ref = lab.add(supervisor, "child")
    assert lab.counts(supervisor) == (1, 1, 0, 1)
    # running
    with pytest.raises(AlreadyStarted) as caught:
        lab.add(supervisor, "child")
    assert caught.value.ref is ref
    for request in (RestartChild("child"), DeleteChild("child")):
        with pytest.raises(Running):
            call(supervisor, request)
    # a reference is no id
    for request in (TerminateChild, RestartChild, DeleteChild, GetChildSpec):
        with pytest.raises(NotFound):
            call(supervisor, request(lab.pid(supervisor, "child")))
    # stopped
    assert call(supervisor, TerminateChild("child")) is None
    assert lab.pid(supervisor, "child") is None
    assert lab.counts(supervisor) == (1, 0, 0, 1)
    assert call(supervisor, TerminateChild("child")) is None
    with pytest.raises(AlreadyPresent):
        lab.add(supervisor, "child")
    assert call(supervisor, RestartChild("child")) is ref
    call(supervisor, TerminateChild("child"))
    assert call(supervisor, DeleteChild("child")) is None
    # unknown
    for request in (TerminateChild, RestartChild, DeleteChild, GetChildSpec):
        with pytest.raises(NotFound):
            call(supervisor, request("child"))
    lab.add(supervisor, "child")


def test_child_adm__a_supervisor_that_is_down_is_noproc(lab):
    supervisor = lab.supervisor()
    stop(supervisor, SHUTDOWN, PATIENCE_S)
    for request in (
        StartChild(lab.spec("child")),
        TerminateChild("child"),
        RestartChild("child"),
        WhichChildren(),
    ):
        with pytest.raises(ActorDown):
            call(supervisor, request)


def test_child_adm_simple(lab):
    supervisor, outsider = lab.dynamic(), lab.node()
    a, b = lab.add(supervisor, "same"), lab.add(supervisor, "same")
    assert a != b
    assert lab.counts(supervisor) == (2, 2, 0, 2)
    assert [child.stable_ref for child in call(supervisor, WhichChildren())] == [b, a]
    assert call(supervisor, TerminateChild(a)) is None
    assert call(supervisor, TerminateChild(lab.pid(supervisor, b))) is None
    assert lab.counts(supervisor) == (0, 0, 0, 0)
    for ref in (a, outsider):
        with pytest.raises(NotFound):
            call(supervisor, TerminateChild(ref))
    assert outsider.ask("alive?", timeout=PATIENCE_S) == "alive?"
    for request in (RestartChild(a), DeleteChild(a)):
        with pytest.raises(NotFound):
            call(supervisor, request)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("start", "no class"),
        ("start", dict),
        ("restart", "prmanent"),
        ("shutdown", -2.0),
        ("shutdown", "5 s"),
        ("type", "wrker"),
        ("args", ["a", "list"]),
        ("kwargs", ("no", "mapping")),
        ("id", ["not", "hashable"]),
    ],
)
def test_child_specs(lab, field, value):
    fields = {"id": "child", "start": lab.Node, field: value}
    with pytest.raises(InvalidSpec) as caught:
        ChildSpec(**fields)
    assert caught.value.field == field


@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
@pytest.mark.parametrize("shutdown", [BRUTAL_KILL, 0, 0.5, 7, math.inf])
@pytest.mark.parametrize("type", ["worker", "supervisor"])
def test_child_specs__all_legal_combinations_are_accepted(lab, restart, shutdown, type):
    supervisor = lab.supervisor()
    lab.add(supervisor, "child", restart=restart, shutdown=shutdown, type=type)
    assert lab.counts(supervisor) == (1, 1, int(type == "supervisor"), int(type == "worker"))


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("strategy", "none_for_one"),
        ("max_restarts", -1),
        ("max_restarts", 1.5),
        ("max_restarts", "one"),
        ("max_seconds", 0),
        ("max_seconds", -5.0),
        ("max_seconds", "five"),
        ("auto_shutdown", "sometimes"),
        ("auto_shutdown", None),
    ],
)
def test_sup_flags(flag, value):
    with pytest.raises(InvalidSpec) as caught:
        Supervisor.start(**{flag: value})
    assert caught.value.field == flag


def test_sup_flags__an_unknown_flag_is_a_type_error():
    with pytest.raises((TypeError, StartError)) as caught:
        Supervisor.start(colour="red")
    assert "colour" in str(caught.value)


# -- restart types


def check_restarted(lab, restart, *reasons):
    supervisor = lab.supervisor(lab.spec("child", restart=restart), max_restarts=len(reasons))
    for reason in reasons:
        old = lab.pid(supervisor, "child")
        lab.end(old, reason)
        lab.replaced(supervisor, "child", old)
    assert lab.counts(supervisor) == (1, 1, 0, 1)


def check_stopped(lab, *reasons):
    supervisor = lab.supervisor(lab.spec("child", restart="transient"), max_restarts=0)
    for reason in reasons:
        lab.end(lab.pid(supervisor, "child"), reason)
        lab.becomes(supervisor, "child", None)
        assert lab.counts(supervisor) == (1, 0, 0, 1)
        call(supervisor, RestartChild("child"))


def check_gone(lab, *reasons):
    supervisor = lab.supervisor(max_restarts=0)
    for reason in reasons:
        lab.add(supervisor, "child", restart="temporary")
        lab.end(lab.pid(supervisor, "child"), reason)
        lab.forgotten(supervisor, "child")
        assert lab.counts(supervisor) == (0, 0, 0, 0)


def test_permanent_normal(lab):
    check_restarted(lab, "permanent", NORMAL)


def test_transient_normal(lab):
    check_stopped(lab, NORMAL)


def test_temporary_normal(lab):
    check_gone(lab, NORMAL)


def test_permanent_shutdown(lab):
    check_restarted(lab, "permanent", SHUTDOWN, Shutdown("why"))


def test_transient_shutdown(lab):
    check_stopped(lab, SHUTDOWN, Shutdown("why"))


def test_temporary_shutdown(lab):
    check_gone(lab, SHUTDOWN, Shutdown("why"))


def test_permanent_abnormal(lab):
    check_restarted(lab, "permanent", CRASH, KILLED)


def test_transient_abnormal(lab):
    check_restarted(lab, "transient", CRASH, KILLED)


def test_temporary_abnormal(lab):
    check_gone(lab, CRASH, KILLED)


def test_faulty_application_shutdown(lab):
    leaf = lab.spec("leaf", lab.Plan(CRASH))
    inner = ChildSpec("inner", Supervisor, ([lab.spec("first"), leaf],))
    with pytest.raises(StartError) as caught:
        Supervisor.start([inner])
    reason = Shutdown(("failed_to_start_child", "leaf", CRASH))
    assert caught.value.reason == Shutdown(("failed_to_start_child", "inner", reason))
    assert caught.value.__cause__ is CRASH
    assert lab.since() == [("start", "first"), ("start", "leaf"), ("terminate", "first")]


# -- strategies and intensity


def test_multiple_restarts(lab):
    clock = ManualClock()
    supervisor = lab.supervisor(lab.spec("child"), max_restarts=1, max_seconds=1.0, clock=clock)
    for _ in range(4):
        old = lab.pid(supervisor, "child")
        lab.end(old, CRASH)
        lab.replaced(supervisor, "child", old)
        clock.advance(2.1)
    assert supervisor.is_alive()


def test_one_for_one(lab):
    supervisor = lab.supervisor(*lab.specs("a", "b"), max_restarts=2)
    a, b = lab.pids(supervisor, "a", "b")
    for _ in range(2):
        lab.end(a, CRASH)
        a = lab.replaced(supervisor, "a", a)
        assert lab.pid(supervisor, "b") == b
    lab.end(a, CRASH)
    assert lab.reason(supervisor) is SHUTDOWN
    assert lab.reason(b) is SHUTDOWN


def test_one_for_one_escalation(lab):
    plan = lab.Plan(None, ever_after=CRASH)
    supervisor = lab.supervisor(lab.spec("a", plan), lab.spec("b"), max_restarts=4)
    a, b = lab.pids(supervisor, "a", "b")
    lab.end(a, CRASH)
    assert lab.reason(supervisor) is SHUTDOWN
    assert lab.reason(b) is SHUTDOWN
    assert plan.starts == 1 + 4


# -- dynamic supervisors


def test_simple_one_for_one(lab):
    supervisor = lab.dynamic(max_restarts=2)
    a, b = lab.add(supervisor, "a"), lab.add(supervisor, "b")
    a_now, b_now = lab.pids(supervisor, a, b)
    for _ in range(2):
        lab.end(a_now, CRASH)
        a_now = lab.replaced(supervisor, a, a_now)
        assert lab.pid(supervisor, b) == b_now
    lab.end(a_now, CRASH)
    assert lab.reason(supervisor) is SHUTDOWN
    assert lab.reason(b_now) is SHUTDOWN


def test_simple_one_for_one_shutdown(lab):
    together = threading.Barrier(3)
    plan = lab.Plan(at_end=lambda node, reason: together.wait(PATIENCE_S))
    supervisor = lab.dynamic()
    refs = [lab.pid(supervisor, lab.add(supervisor, n, plan)) for n in range(3)]
    stop(supervisor, SHUTDOWN, PATIENCE_S)  # one after the other they would wait for ever
    assert not together.broken
    assert [lab.reason(ref) for ref in refs] == [SHUTDOWN] * 3


def test_simple_one_for_one_shutdown__a_child_that_takes_too_long_is_killed(lab):
    clock, release = ManualClock(), threading.Event()
    late = lab.Plan(at_end=lambda node, reason: release.wait(PATIENCE_S))
    supervisor = lab.dynamic(clock=clock)
    refs = [
        lab.pid(supervisor, lab.add(supervisor, *child, shutdown=2.0))
        for child in (("late", late), ("quick",))
    ]
    stop_later(supervisor)
    assert lab.reason(refs[1]) is SHUTDOWN
    lab.let_time_pass(clock, lambda: join(supervisor, 0.0))
    release.set()
    assert lab.reason(refs[0]) is KILLED
    assert lab.reason(supervisor) is SHUTDOWN


def test_simple_one_for_one_extra(lab):
    supervisor = lab.dynamic()
    child = lab.add(supervisor, "child")
    old = lab.pid(supervisor, child)
    assert child.ask("hello", timeout=PATIENCE_S) == "hello"
    lab.end(old, CRASH)
    lab.replaced(supervisor, child, old)
    assert child.ask("hello again", timeout=PATIENCE_S) == "hello again"


def test_simple_one_for_one_escalation(lab):
    supervisor = lab.dynamic(max_restarts=4)
    plan = lab.Plan(None, ever_after=CRASH)
    a, b = lab.add(supervisor, "a", plan), lab.add(supervisor, "b")
    a_now, b_now = lab.pids(supervisor, a, b)
    lab.end(a_now, CRASH)
    assert lab.reason(supervisor) is SHUTDOWN
    assert lab.reason(b_now) is SHUTDOWN
    assert plan.starts == 1 + 4


# -- children that do not behave


def test_child_unlink(lab):
    clock, release = ManualClock(), threading.Event()
    naughty = lab.Plan(at_end=lambda node, reason: release.wait(PATIENCE_S))
    supervisor = lab.supervisor(lab.spec("naughty", naughty, shutdown=1.0), clock=clock)
    ref = lab.pid(supervisor, "naughty")
    done = supervisor.ask(TerminateChild("naughty"), block=False)
    lab.let_time_pass(clock, done.done)
    assert done.get(timeout=PATIENCE_S) is None
    assert lab.reason(ref) is KILLED
    assert lab.pid(supervisor, "naughty") is None
    release.set()


def test_child_unlink__a_child_that_never_acks(lab):
    clock, release = ManualClock(), threading.Event()
    supervisor = lab.supervisor(clock=clock)
    naughty = lab.spec("naughty", lab.Plan(lambda node: release.wait(PATIENCE_S)), start_timeout_s=1.0)
    started = supervisor.ask(StartChild(naughty), block=False)
    lab.let_time_pass(clock, started.done)
    with pytest.raises(StartError) as caught:
        started.get(timeout=PATIENCE_S)
    assert isinstance(caught.value.reason, StartTimeout)
    assert lab.ids(supervisor) == []
    release.set()


# -- counts


def test_count_children(lab):
    supervisor = lab.dynamic()
    started = [supervisor.ask(StartChild(lab.spec(n, restart="temporary")), block=False) for n in range(200)]
    children = [future.get(timeout=PATIENCE_S) for future in started]
    assert len(call(supervisor, WhichChildren())) == 200
    assert lab.counts(supervisor) == (200, 200, 0, 200)
    for child in children:
        cast(child, ("exit", NORMAL))
    lab.eventually(lambda: lab.counts(supervisor) == (0, 0, 0, 0))


def test_count_children_supervisor(lab):
    supervisor = lab.dynamic()
    children = [
        call(supervisor, StartChild(ChildSpec(n, Supervisor, restart="temporary"))) for n in range(50)
    ]
    assert len(call(supervisor, WhichChildren())) == 50
    assert lab.counts(supervisor) == (50, 50, 50, 0)
    for child in children:
        lab.end(lab.pid(supervisor, child), KILLED)
    lab.eventually(lambda: lab.counts(supervisor) == (0, 0, 0, 0))


def test_count_restarting_children(lab):
    supervisor = lab.dynamic(max_restarts=ENDLESS)
    children = [lab.add(supervisor, n, lab.Plan(None, ever_after=CRASH)) for n in range(3)]
    for n, child in enumerate(children, 1):
        lab.end(lab.pid(supervisor, child), CRASH)
        lab.becomes(supervisor, child, RESTARTING)
        assert lab.counts(supervisor) == (3, 3 - n, 0, 3)
    for n, child in enumerate(children, 1):
        call(supervisor, TerminateChild(child))
        assert lab.counts(supervisor) == (3 - n, 0, 0, 3 - n)


def test_simple_one_for_one_scale_many_temporary_children(lab):
    supervisor = lab.dynamic()
    started = [supervisor.ask(StartChild(lab.spec(n, restart="temporary")), block=False) for n in range(500)]
    children = [future.get(timeout=PATIENCE_S) for future in started]
    ended = [supervisor.ask(TerminateChild(child), block=False) for child in children]
    assert [future.get(timeout=PATIENCE_S) for future in ended] == [None] * 500
    assert lab.counts(supervisor) == (0, 0, 0, 0)


def test_scale_start_stop_many_children(lab):
    supervisor = lab.supervisor()
    for n in range(200):
        lab.add(supervisor, n)
    assert lab.counts(supervisor) == (200, 200, 0, 200)
    for n in range(0, 200, 2):
        call(supervisor, TerminateChild(n))
        call(supervisor, DeleteChild(n))
    assert lab.counts(supervisor) == (100, 100, 0, 100)
    mark = lab.mark()
    stop(supervisor, SHUTDOWN, PATIENCE_S)
    assert lab.since(mark) == [("terminate", n) for n in range(199, 0, -2)]


# -- restarts that hang


def test_hanging_restart_loop(lab):
    turnstile = Turnstile()
    supervisor = lab.supervisor(lab.spec("child", lab.Plan(None, ever_after=turnstile)), max_restarts=ENDLESS)
    lab.end(lab.pid(supervisor, "child"), CRASH)
    expected = [
        (StartChild(lab.spec("child")), AlreadyPresent),
        (RestartChild("child"), Restarting),
        (DeleteChild("child"), Restarting),
    ]
    for request, error in expected:
        turnstile.wait_for_attempt()
        answer = supervisor.ask(request, block=False)
        which = supervisor.ask(WhichChildren(), block=False)
        turnstile.let_one_fail()
        with pytest.raises(error):
            answer.get(timeout=PATIENCE_S)
        assert [child.ref for child in which.get(timeout=PATIENCE_S)] == [RESTARTING]
    turnstile.wait_for_attempt()
    ended = supervisor.ask(TerminateChild("child"), block=False)
    turnstile.let_one_fail()
    assert ended.get(timeout=PATIENCE_S) is None
    assert lab.pid(supervisor, "child") is None
    assert supervisor.is_alive()


def test_hanging_restart_loop__the_supervisor_can_be_stopped(lab):
    turnstile = Turnstile()
    supervisor = lab.supervisor(lab.spec("child", lab.Plan(None, ever_after=turnstile)), max_restarts=ENDLESS)
    lab.end(lab.pid(supervisor, "child"), CRASH)
    turnstile.wait_for_attempt()
    stop_later(supervisor)
    turnstile.open_for_all()
    assert lab.reason(supervisor) is SHUTDOWN
    assert lab.starts("child") == 2


def test_hanging_restart_loop_simple(lab):
    turnstile = Turnstile()
    supervisor = lab.dynamic(max_restarts=ENDLESS)
    child = lab.add(supervisor, "child", lab.Plan(None, ever_after=turnstile))
    sibling = lab.add(supervisor, "sibling")
    before = lab.pid(supervisor, sibling)
    old = lab.pid(supervisor, child)
    lab.end(old, CRASH)
    turnstile.wait_for_attempt()
    assert lab.pid(supervisor, child) is RESTARTING
    for request in (RestartChild(child), DeleteChild(child)):
        with pytest.raises(NotFound):
            call(supervisor, request)
    ended = supervisor.ask(TerminateChild(old), block=False)  # by its old reference
    turnstile.open_for_all()
    assert ended.get(timeout=PATIENCE_S) is None
    assert not lab.knows(supervisor, child)
    assert lab.pid(supervisor, sibling) == before


# -- reports


def test_format_log_1(lab, caplog):
    caplog.set_level(logging.INFO, "trunkline.supervision")
    reports = []
    spec = lab.spec("child", lab.Plan(None, CRASH))
    supervisor = lab.supervisor(spec, name="root", on_report=reports.append)
    old = lab.pid(supervisor, "child")
    lab.end(old, CRASH)
    lab.replaced(supervisor, "child", old)
    assert [(r.supervisor, r.context, r.reason, r.spec) for r in reports] == [
        ("root", "child_terminated", CRASH, spec),
        ("root", "start_error", CRASH, spec),
    ]
    assert reports[0].offender == old.actor_urn
    logged = [record for record in caplog.records if hasattr(record, "context")]
    assert [(r.supervisor, r.context, r.child_id) for r in logged] == [
        ("root", "child_terminated", "child"),
        ("root", "start_error", "child"),
    ]
    assert all("'child'" in record.getMessage() and "crash" in record.getMessage() for record in logged)


def test_format_log_2(lab, caplog):
    caplog.set_level(logging.INFO, "trunkline.supervision")
    reports = []
    spec = lab.spec("child")
    supervisor = lab.supervisor(spec, name="root", on_report=reports.append, max_restarts=0)
    lab.end(lab.pid(supervisor, "child"), CRASH)
    assert lab.reason(supervisor) is SHUTDOWN
    assert [(r.context, r.reason) for r in reports] == [("child_terminated", CRASH), ("gave_up", CRASH)]
    (gave_up,) = [record for record in caplog.records if getattr(record, "context", "") == "gave_up"]
    assert gave_up.levelno == logging.ERROR
    assert "root" in gave_up.getMessage()


# -- strategies


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_temporary_bystander(lab, strategy):
    supervisor = lab.supervisor(
        lab.spec("permanent"), lab.spec("temporary", restart="temporary"), strategy=strategy, max_restarts=1
    )
    permanent, temporary = lab.pids(supervisor, "permanent", "temporary")
    lab.end(permanent, CRASH)
    lab.replaced(supervisor, "permanent", permanent)
    assert lab.reason(temporary) is SHUTDOWN
    assert lab.ids(supervisor) == ["permanent"]
    assert lab.starts("temporary") == 1


def test_one_for_all(lab):
    supervisor = lab.supervisor(*lab.specs("a", "b"), strategy="one_for_all", max_restarts=2)
    a, b = lab.pids(supervisor, "a", "b")
    for crashing in (0, 1):  # the first one, and the last
        old = a, b
        lab.end(old[crashing], CRASH)
        a, b = lab.replaced(supervisor, "a", a), lab.replaced(supervisor, "b", b)
        assert lab.reason(old[1 - crashing]) is SHUTDOWN
    lab.end(a, CRASH)
    assert lab.reason(supervisor) is SHUTDOWN
    assert lab.reason(b) is SHUTDOWN


def test_one_for_all_escalation(lab):
    plan = lab.Plan(None, ever_after=CRASH)
    supervisor = lab.supervisor(lab.spec("a"), lab.spec("b", plan), strategy="one_for_all", max_restarts=4)
    lab.end(lab.pid(supervisor, "a"), CRASH)
    assert lab.reason(supervisor) is SHUTDOWN
    assert plan.starts == 1 + 4
    assert lab.since()[-1] == ("terminate", "a")


def test_one_for_all_other_child_fails_restart(lab):
    supervisor = lab.supervisor(
        lab.spec("a"), lab.spec("b", lab.Plan(None, CRASH)), strategy="one_for_all", max_restarts=2
    )
    mark = lab.mark()
    a, b = lab.pids(supervisor, "a", "b")
    lab.end(a, CRASH)
    lab.replaced(supervisor, "b", b)
    assert lab.since(mark) == [
        ("terminate", "a"),
        ("terminate", "b"),
        ("start", "a"),
        ("start", "b"),  # fails
        ("terminate", "a"),
        ("start", "a"),
        ("start", "b"),
    ]
    assert lab.counts(supervisor) == (2, 2, 0, 2)


def test_rest_for_one(lab):
    supervisor = lab.supervisor(*lab.specs("a", "b", "c"), strategy="rest_for_one", max_restarts=2)
    a, b, c = lab.pids(supervisor, "a", "b", "c")
    for _ in range(2):
        lab.end(b, CRASH)
        b, old_c = lab.replaced(supervisor, "b", b), c
        c = lab.replaced(supervisor, "c", c)
        assert lab.reason(old_c) is SHUTDOWN
        assert lab.pid(supervisor, "a") == a
    lab.end(b, CRASH)
    assert lab.reason(supervisor) is SHUTDOWN
    assert [lab.reason(ref) for ref in (a, c)] == [SHUTDOWN] * 2


def test_rest_for_one_escalation(lab):
    plan = lab.Plan(None, ever_after=CRASH)
    supervisor = lab.supervisor(
        lab.spec("a"), lab.spec("b"), lab.spec("c", plan), strategy="rest_for_one", max_restarts=4
    )
    a, b = lab.pids(supervisor, "a", "b")
    lab.end(b, CRASH)
    assert lab.reason(supervisor) is SHUTDOWN
    assert lab.reason(a) is SHUTDOWN
    assert plan.starts == 1 + 4


def test_rest_for_one_other_child_fails_restart(lab):
    supervisor = lab.supervisor(
        lab.spec("a"), lab.spec("b", lab.Plan(None, CRASH)), strategy="rest_for_one", max_restarts=2
    )
    mark = lab.mark()
    a, b = lab.pids(supervisor, "a", "b")
    lab.end(a, CRASH)
    lab.replaced(supervisor, "b", b)
    assert lab.since(mark) == [
        ("terminate", "a"),
        ("terminate", "b"),
        ("start", "a"),
        ("start", "b"),  # fails: a is not touched again
        ("start", "b"),
    ]


def test_order_of_children(lab):
    ids = ["a", "b", "c", "d", "e"]
    supervisor = lab.supervisor(*lab.specs(*ids), strategy="rest_for_one")
    assert lab.since() == [("start", id) for id in ids]
    assert lab.ids(supervisor) == ids
    mark, (a, b, c, e) = lab.mark(), lab.pids(supervisor, "a", "b", "c", "e")
    lab.end(c, CRASH)
    lab.replaced(supervisor, "e", e)
    assert lab.since(mark) == [
        *[("terminate", id) for id in ("c", "e", "d")],
        *[("start", id) for id in ("c", "d", "e")],
    ]
    assert lab.pids(supervisor, "a", "b") == [a, b]
    mark = lab.mark()
    stop(supervisor, SHUTDOWN, PATIENCE_S)
    assert lab.since(mark) == [("terminate", id) for id in reversed(ids)]


def test_tree(lab):
    root = lab.supervisor(
        ChildSpec("inner", Supervisor, (lab.specs("a", "b"),), {"max_restarts": 1}),
        ChildSpec("dynamic", DynamicSupervisor),
        ChildSpec("transient", Supervisor, (lab.specs("t"),), restart="transient"),
        strategy="one_for_all",
    )
    inner, dynamic = lab.stable(root, "inner"), lab.stable(root, "dynamic")
    lab.add(dynamic, "lost")
    before = lab.pids(root, "inner", "dynamic", "transient")
    # only the dead child is restarted
    a, b = lab.pids(inner, "a", "b")
    lab.end(a, CRASH)
    a = lab.replaced(inner, "a", a)
    assert lab.pid(inner, "b") == b
    assert lab.pids(root, "inner", "dynamic", "transient") == before
    assert lab.counts(dynamic) == (1, 1, 0, 1)
    # the inner supervisor gives up: all of them start anew
    lab.end(a, CRASH)
    assert [lab.reason(ref) for ref in before] == [SHUTDOWN] * 3
    now = [
        lab.replaced(root, id, old) for id, old in zip(("inner", "dynamic", "transient"), before, strict=True)
    ]
    assert lab.reason(b) is SHUTDOWN
    assert lab.ids(inner) == ["a", "b"]
    assert lab.counts(dynamic) == (0, 0, 0, 0)
    # one that was terminated comes back with its siblings
    call(root, TerminateChild("transient"))
    assert lab.pid(root, "transient") is None
    lab.end(now[0], KILLED)
    lab.replaced(root, "transient", now[2])
    assert lab.counts(root) == (3, 3, 3, 0)


def test_hanging_restart_loop_rest_for_one(lab):
    turnstile = Turnstile()
    supervisor = lab.supervisor(
        lab.spec("a"),
        lab.spec("b", lab.Plan(None, ever_after=turnstile)),
        lab.spec("c"),
        strategy="rest_for_one",
        max_restarts=ENDLESS,
    )
    a, b = lab.pids(supervisor, "a", "b")
    lab.end(b, CRASH)
    expected = [
        (StartChild(lab.spec("b")), AlreadyPresent),
        (StartChild(lab.spec("c")), AlreadyPresent),
        (RestartChild("b"), Restarting),
        (DeleteChild("b"), Restarting),
    ]
    for request, error in expected:
        turnstile.wait_for_attempt()
        answer = supervisor.ask(request, block=False)
        which = supervisor.ask(WhichChildren(), block=False)
        turnstile.let_one_fail()
        with pytest.raises(error):
            answer.get(timeout=PATIENCE_S)
        assert [child.ref for child in which.get(timeout=PATIENCE_S)] == [None, RESTARTING, a]
    turnstile.wait_for_attempt()
    ended = supervisor.ask(TerminateChild("b"), block=False)
    turnstile.let_one_fail()
    assert ended.get(timeout=PATIENCE_S) is None
    assert lab.pids(supervisor, "a", "b", "c") == [a, None, None]
    call(supervisor, RestartChild("c"))
    assert lab.counts(supervisor) == (3, 2, 0, 3)


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
@pytest.mark.parametrize("way", [KILLED, NORMAL, CRASH, TerminateChild], ids=repr)
def test_do_not_save_child_specs_for_temporary_children(lab, strategy, way):
    supervisor = lab.supervisor(
        *(lab.spec(restart, restart=restart) for restart in ("permanent", "transient", "temporary")),
        strategy=strategy,
    )
    for child in ("temporary", "transient", "permanent"):
        old = lab.pid(supervisor, child)
        if way is TerminateChild:
            call(supervisor, TerminateChild(child))
        else:
            lab.end(old, way)
        if child == "temporary":
            lab.forgotten(supervisor, child)
        elif way is TerminateChild or (way is NORMAL and child == "transient"):
            lab.becomes(supervisor, child, None)
        else:
            lab.replaced(supervisor, child, old)
        assert lab.ids(supervisor) == ["permanent", "transient"]


# -- ignore


def test_sup_start_ignore_init(lab):
    class Ignoring(Supervisor):
        def on_start(self):
            raise Ignore

    with pytest.raises(StartError) as caught:
        Ignoring.start()
    assert caught.value.reason is IGNORE
    supervisor = lab.supervisor(max_restarts=0)
    assert call(supervisor, StartChild(ChildSpec("inner", Ignoring))) is None
    assert lab.counts(supervisor) == (1, 0, 1, 0)


def test_sup_start_ignore_child(lab):
    supervisor = lab.supervisor()
    assert lab.add(supervisor, "ignores", lab.Plan(Ignore())) is None
    assert lab.pid(supervisor, "ignores") is None
    lab.add(supervisor, "runs")
    assert lab.ids(supervisor) == ["ignores", "runs"]
    assert lab.counts(supervisor) == (2, 1, 0, 2)


def test_sup_start_ignore_temporary_child(lab):
    supervisor = lab.supervisor(
        lab.spec("ignores", lab.Plan(Ignore()), restart="temporary"), lab.spec("runs", restart="temporary")
    )
    assert lab.ids(supervisor) == ["runs"]
    assert lab.counts(supervisor) == (1, 1, 0, 1)


def test_sup_start_ignore_temporary_child_start_child(lab):
    supervisor = lab.supervisor()
    assert lab.add(supervisor, "ignores", lab.Plan(Ignore()), restart="temporary") is None
    lab.add(supervisor, "runs", restart="temporary")
    assert lab.ids(supervisor) == ["runs"]
    assert lab.counts(supervisor) == (1, 1, 0, 1)


def test_sup_start_ignore_temporary_child_start_child_simple(lab):
    supervisor = lab.dynamic()
    assert lab.add(supervisor, "ignores", lab.Plan(Ignore()), restart="temporary") is None
    lab.add(supervisor, "runs", restart="temporary")
    assert lab.ids(supervisor) == ["runs"]
    assert lab.counts(supervisor) == (1, 1, 0, 1)


def test_sup_start_ignore_permanent_child_start_child_simple(lab):
    supervisor = lab.dynamic()
    assert lab.add(supervisor, "ignores", lab.Plan(Ignore())) is None
    lab.add(supervisor, "runs")
    assert lab.ids(supervisor) == ["runs"]
    assert lab.counts(supervisor) == (1, 1, 0, 1)
    assert stop(supervisor, SHUTDOWN, PATIENCE_S)
    assert lab.reason(supervisor) is SHUTDOWN


# -- significant children


def check_alive(lab, supervisor):
    """Fail if the supervisor has ended, or has decided to."""
    mark = lab.mark()
    lab.ids(supervisor)  # behind the news of the last end, if it waited for that
    assert not join(supervisor, 0.0)
    assert lab.since(mark) == []


def end_in_any_way(lab, supervisor, child, way):
    if way is TerminateChild:
        call(supervisor, TerminateChild(child))
    else:
        lab.end(lab.pid(supervisor, child), way)


WAYS = [KILLED, CRASH, NORMAL, TerminateChild]


def test_child_specs_map(lab):
    """Ported: every combination of restart type, significance and auto_shutdown; and an id that is there twice."""
    for auto_shutdown in ("never", "any_significant", "all_significant"):
        for restart in ("permanent", "transient", "temporary"):
            for significant in (True, False):
                flags = {"auto_shutdown": auto_shutdown}
                options = {"restart": restart, "significant": significant}
                if significant and (restart == "permanent" or auto_shutdown == "never"):
                    with pytest.raises(InvalidSpec) as caught:
                        Supervisor.start([lab.spec("child", **options)], **flags)
                    assert caught.value.field == "significant"
                else:
                    supervisor = lab.supervisor(lab.spec("child", **options), **flags)
                    lab.add(supervisor, "another", **options)
                    assert lab.counts(supervisor) == (2, 2, 0, 2)
    with pytest.raises(InvalidSpec) as caught:
        Supervisor.start(lab.specs("same", "same"))
    assert caught.value.value == "same"


def test_child_specs_map__a_significant_child_that_is_added_where_it_may_not_be(lab):
    supervisor = lab.supervisor()
    with pytest.raises(InvalidSpec) as caught:
        lab.add(supervisor, "child", restart="temporary", significant=True)
    assert caught.value.field == "significant"
    assert lab.ids(supervisor) == []


@pytest.mark.parametrize("auto_shutdown", ["never", "any_significant", "all_significant"])
def test_nonsignificant_temporary(lab, auto_shutdown):
    for way in WAYS:
        supervisor = lab.supervisor(
            lab.spec("child", restart="temporary"), lab.spec("other"), auto_shutdown=auto_shutdown
        )
        end_in_any_way(lab, supervisor, "child", way)
        lab.forgotten(supervisor, "child")
        check_alive(lab, supervisor)


@pytest.mark.parametrize("auto_shutdown", ["never", "any_significant", "all_significant"])
def test_nonsignificant_transient(lab, auto_shutdown):
    for way in WAYS:
        supervisor = lab.supervisor(
            lab.spec("child", restart="transient"), lab.spec("other"), auto_shutdown=auto_shutdown
        )
        old = lab.pid(supervisor, "child")
        end_in_any_way(lab, supervisor, "child", way)
        if way in (KILLED, CRASH):
            lab.replaced(supervisor, "child", old)
        else:
            lab.becomes(supervisor, "child", None)
        check_alive(lab, supervisor)


def significant(lab, *ids, restart):
    return lab.specs(*ids, restart=restart, significant=True)


@pytest.mark.parametrize("way", WAYS, ids=repr)
def test_significant_temporary(lab, way):
    supervisor = lab.supervisor(
        *significant(lab, "a", "b", restart="temporary"), lab.spec("other"), auto_shutdown="any_significant"
    )
    other = lab.pid(supervisor, "other")
    end_in_any_way(lab, supervisor, "a", way)
    if way is TerminateChild:
        check_alive(lab, supervisor)
        assert lab.ids(supervisor) == ["b", "other"]
    else:
        assert lab.reason(supervisor) is SHUTDOWN
        assert lab.reason(other) is SHUTDOWN
        assert lab.since()[-2:] == [("terminate", "other"), ("terminate", "b")]


@pytest.mark.parametrize("way", WAYS, ids=repr)
def test_significant_temporary__the_last_of_all(lab, way):
    supervisor = lab.supervisor(
        *significant(lab, "a", "b", restart="temporary"), lab.spec("other"), auto_shutdown="all_significant"
    )
    end_in_any_way(lab, supervisor, "a", way)
    lab.forgotten(supervisor, "a")
    check_alive(lab, supervisor)
    end_in_any_way(lab, supervisor, "b", way)
    if way is TerminateChild:
        check_alive(lab, supervisor)
        assert lab.ids(supervisor) == ["other"]
    else:
        assert lab.reason(supervisor) is SHUTDOWN


@pytest.mark.parametrize("auto_shutdown", ["any_significant", "all_significant"])
def test_significant_transient(lab, auto_shutdown):
    supervisor = lab.supervisor(
        *significant(lab, "a", "b", restart="transient"), lab.spec("other"), auto_shutdown=auto_shutdown
    )
    for reason in (CRASH, KILLED):
        old = lab.pid(supervisor, "a")
        lab.end(old, reason)
        lab.replaced(supervisor, "a", old)
    call(supervisor, TerminateChild("a"))
    check_alive(lab, supervisor)
    call(supervisor, RestartChild("a"))
    lab.end(lab.pid(supervisor, "a"), NORMAL)
    if auto_shutdown == "all_significant":
        lab.becomes(supervisor, "a", None)
        check_alive(lab, supervisor)
        lab.end(lab.pid(supervisor, "b"), SHUTDOWN)
    assert lab.reason(supervisor) is SHUTDOWN


def test_significant_simple(lab):
    supervisor = lab.dynamic()
    with pytest.raises(InvalidSpec) as caught:
        lab.add(supervisor, "child", restart="temporary", significant=True)
    assert caught.value.field == "significant"
    assert lab.counts(supervisor) == (0, 0, 0, 0)
    with pytest.raises((TypeError, StartError), match="auto_shutdown"):
        DynamicSupervisor.start(auto_shutdown="any_significant")


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
@pytest.mark.parametrize("auto_shutdown", ["any_significant", "all_significant"])
@pytest.mark.parametrize("restart", ["transient", "temporary"])
def test_significant_bystander(lab, strategy, auto_shutdown, restart):
    supervisor = lab.supervisor(
        lab.spec("crasher"),
        *significant(lab, "bystander", restart=restart),
        strategy=strategy,
        auto_shutdown=auto_shutdown,
    )
    crasher, bystander = lab.pids(supervisor, "crasher", "bystander")
    lab.end(crasher, CRASH)
    lab.replaced(supervisor, "crasher", crasher)
    if strategy == "one_for_one":
        assert lab.pid(supervisor, "bystander") == bystander
    elif restart == "transient":
        lab.replaced(supervisor, "bystander", bystander)
    else:
        lab.forgotten(supervisor, "bystander")
    check_alive(lab, supervisor)


@pytest.mark.parametrize("is_significant", [True, False])
@pytest.mark.parametrize("restart", ["transient", "temporary"])
def test_significant_escalation(lab, is_significant, restart):
    inner = ChildSpec(
        "inner",
        Supervisor,
        (significant(lab, "leaf", restart="transient"),),
        {"auto_shutdown": "any_significant"},
        restart=restart,
        significant=is_significant,
    )
    root = lab.supervisor(inner, lab.spec("other"), auto_shutdown="any_significant")
    inner_ref, other = lab.pids(root, "inner", "other")
    lab.end(lab.pid(inner_ref, "leaf"), NORMAL)
    assert lab.reason(inner_ref) is SHUTDOWN
    if is_significant:
        assert lab.reason(root) is SHUTDOWN
        assert lab.reason(other) is SHUTDOWN
    elif restart == "transient":
        lab.becomes(root, "inner", None)
        check_alive(lab, root)
    else:
        lab.forgotten(root, "inner")
        check_alive(lab, root)


# -- names


def test_simple_global_supervisor(lab):
    registry = Registry()
    worker = lab.spec("worker", register=(registry, "worker"))
    root = lab.supervisor(
        ChildSpec("inner", Supervisor, ([worker],), {"max_restarts": 5}, register=(registry, "inner"))
    )
    inner = lab.stable(root, "inner")

    def renewed(name, old):
        def is_new():
            new = registry.whereis(name)
            return new is not None and new.actor_urn != old.actor_urn

        lab.eventually(is_new, f"{name!r} names a new actor")

    # kill the supervisor
    old_inner, old_worker = registry.ref("inner"), registry.ref("worker")
    lab.end(lab.pid(root, "inner"), KILLED)
    renewed("inner", old_inner)
    renewed("worker", old_worker)
    # kill the worker, and have it end normally
    for reason in (KILLED, NORMAL):
        old = registry.ref("worker")
        lab.end(lab.pid(inner, "worker"), reason)
        renewed("worker", old)
    # terminate and restart
    old = registry.ref("worker")
    call(inner, TerminateChild("worker"))
    assert registry.whereis("worker") is None
    call(inner, RestartChild("worker"))
    renewed("worker", old)
    assert registry.ref("worker").actor_urn == lab.pid(inner, "worker").actor_urn
    stop(root, SHUTDOWN, PATIENCE_S)
    assert registry.names() == []


# -- what is not kept of temporary children


class Payload:
    """A start argument that can be referred to weakly."""


class Forgetful(GenServer):
    """Keeps nothing of what it is started with."""

    def __init__(self, payload, *, option):
        super().__init__()

    def on_receive(self, message):
        kind, error = message
        assert kind == "raise"
        raise error


def start_with_payload(supervisor, id, restart):
    """Start a child with two arguments, and return weak references to them."""
    payloads = Payload(), Payload()
    spec = ChildSpec(id, Forgetful, payloads[:1], {"option": payloads[1]}, restart=restart)
    call(supervisor, StartChild(spec))
    return [weakref.ref(payload) for payload in payloads]


def are_let_go(references):
    gc.collect()
    return all(reference() is None for reference in references)


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one", "dynamic"])
def test_do_not_save_start_parameters_for_temporary_children(lab, strategy):
    supervisor = lab.dynamic() if strategy == "dynamic" else lab.supervisor(strategy=strategy)
    kept = [start_with_payload(supervisor, restart, restart) for restart in ("permanent", "transient")]
    let_go = start_with_payload(supervisor, "temporary", "temporary")
    assert lab.counts(supervisor) == (
        3,
        3,
        0,
        3,
    )  # pykka's loop refers to a message, StartChild, until the next one comes
    lab.eventually(lambda: are_let_go(let_go), "the arguments of the temporary child are let go")
    assert all(reference() is not None for references in kept for reference in references)


def test_simple_one_for_one_corruption(lab):
    supervisor = lab.dynamic()
    start_with_payload(supervisor, "first", "temporary")
    first = call(supervisor, WhichChildren())[0].stable_ref
    lab.end(lab.pid(supervisor, first), CRASH)
    lab.forgotten(supervisor, first)
    for n in range(3):
        let_go = start_with_payload(supervisor, n, "temporary")
        lab.eventually(lambda let_go=let_go: are_let_go(let_go), "the arguments are let go")
    assert lab.counts(supervisor) == (3, 3, 0, 3)
