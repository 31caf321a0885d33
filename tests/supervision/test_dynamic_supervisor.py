"""The dynamic supervisor: children that come and go, and nobody who waits for another."""

import math
import threading

import pykka
import pytest

from trunkline.supervision import (
    BRUTAL_KILL,
    KILLED,
    NORMAL,
    RESTARTING,
    SHUTDOWN,
    ActorDown,
    ChildSpec,
    CountChildren,
    Counts,
    DeleteChild,
    DynamicSupervisor,
    GenServer,
    GetChildSpec,
    InvalidSpec,
    ManualClock,
    MaxChildren,
    NotFound,
    Registry,
    RestartChild,
    Shutdown,
    StableRef,
    StartChild,
    StartError,
    StartTimeout,
    Supervisor,
    TerminateChild,
    WhichChild,
    WhichChildren,
    call,
    cast,
    join,
    kill,
    watch,
    zombies,
)

PATIENCE_S = 30.0


class Blocking(GenServer):
    """Blocks where it is told to, until released."""

    def __init__(self, where, started, release, freed_by_kill=False):
        super().__init__()
        self._where, self._started, self._release, self._freed = where, started, release, freed_by_kill

    def _maybe_block(self, here):
        if here == self._where:
            self._started.set()
            self._release.wait(PATIENCE_S)

    def on_start(self):
        self._maybe_block("on_start")

    def on_receive(self, message):
        self._maybe_block(message)
        return message

    def terminate(self, reason):
        self._maybe_block("terminate")

    def on_kill(self):
        if self._freed:
            self._release.set()


@pytest.fixture
def events():
    started, release = threading.Event(), threading.Event()
    yield started, release
    release.set()


@pytest.fixture
def supervisor(run_tree):
    return run_tree(DynamicSupervisor)


def children(supervisor):
    return call(supervisor, WhichChildren())


# -- start --


def test_start_child_resolves_to_a_stable_ref_when_the_child_has_acked(supervisor, worker_class):
    diary = []
    child = supervisor.ask(StartChild(ChildSpec("c", worker_class, (diary,))), block=False).get(
        timeout=PATIENCE_S
    )
    assert diary == ["start"]
    assert isinstance(child, StableRef)
    assert call(child, "hello") == "hello"


def test_an_actor_can_start_a_child_without_waiting(supervisor, worker_class, eventually):
    started = []
    supervisor.ask(StartChild(ChildSpec("c", worker_class)), block=False).add_done_callback(started.append)
    eventually(lambda: started)
    assert isinstance(started[0].get(), StableRef)


def test_ids_are_labels_only_and_the_last_started_comes_first(supervisor, start_child):
    one, two = start_child(supervisor, "same"), start_child(supervisor, "same")
    assert [child.stable_ref for child in children(supervisor)] == [two, one]


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1)])
def test_a_start_that_fails_is_the_askers_and_stores_nothing(run_tree, worker_class, error):
    supervisor = run_tree(DynamicSupervisor, max_restarts=0)
    with pytest.raises(StartError) as caught:
        call(supervisor, StartChild(ChildSpec("c", worker_class, kwargs={"fails": [error]})))
    assert caught.value.reason is error
    assert caught.value.__cause__ is error
    assert children(supervisor) == []


def test_a_constructor_that_raises_is_a_start_error(supervisor):
    class Unborn(GenServer):
        def __init__(self):
            raise SystemExit(1)

    with pytest.raises(StartError):
        call(supervisor, StartChild(ChildSpec("u", Unborn)))
    assert children(supervisor) == []


@pytest.mark.usefixtures("no_zombies")
def test_a_child_that_hangs_in_on_start_fails_alone_and_everybody_else_is_served_meanwhile(
    run_tree, start_child, events, eventually, act_on_the_time
):
    started, release = events
    clock = ManualClock()
    supervisor = run_tree(DynamicSupervisor, clock=clock)
    spec = ChildSpec("h", Blocking, ("on_start", started, release), start_timeout_s=5.0, kill_grace_s=1.0)
    hanging = supervisor.ask(StartChild(spec), block=False)
    assert started.wait(PATIENCE_S)
    other = start_child(supervisor, "other")
    assert call(other, "served") == "served"
    clock.advance(5.0)
    act_on_the_time(supervisor)
    assert len(children(supervisor)) == 2
    clock.advance(1.0)
    error = hanging.exception(timeout=PATIENCE_S)
    assert isinstance(error, StartError)
    assert isinstance(error.reason, StartTimeout)
    assert len(children(supervisor)) == 1
    assert [zombie.thread_name for zombie in zombies()] == ["Blocking h"]


def test_a_start_that_has_timed_out_is_over_when_its_starter_is_told(run_tree, events):
    """Nothing of it is in the way of the next attempt: no name, no place. Source: gen.erl, whose starter waits for the end."""
    started, release = events
    registry = Registry()
    supervisor = run_tree(DynamicSupervisor, max_children=1)
    spec = ChildSpec(
        "h",
        Blocking,
        ("on_start", started, release),
        start_timeout_s=0.02,
        kill_grace_s=0.02,
        register=(registry, "n"),
    )
    for _ in range(2):
        with pytest.raises(StartError) as failed:
            call(supervisor, StartChild(spec))
        assert isinstance(failed.value.reason, StartTimeout)
        assert list(registry.names()) == []
        assert children(supervisor) == []
    release.set()


def test_max_children_is_a_limit_and_restarting_children_count(run_tree, start_child, worker_class, events):
    supervisor = run_tree(DynamicSupervisor, max_children=1)
    start_child(supervisor, "c")
    with pytest.raises(MaxChildren) as caught:
        start_child(supervisor, "d")
    assert caught.value.limit == 1
    none_at_all = run_tree(DynamicSupervisor, max_children=0)
    with pytest.raises(MaxChildren):
        start_child(none_at_all, "e")


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("max_children", {"max_children": -1}),
        ("max_children", {"max_children": "many"}),
        ("budget", {"budget": "family"}),
        ("max_restarts", {"max_restarts": True}),
        ("max_seconds", {"max_seconds": -1}),
    ],
)
def test_wrong_arguments_are_refused_in_the_caller(field, arguments):
    with pytest.raises(InvalidSpec) as caught:
        DynamicSupervisor.start(**arguments)
    assert caught.value.field == field


def test_a_significant_child_and_what_is_no_spec_are_refused(supervisor, worker_class):
    with pytest.raises(InvalidSpec):
        call(supervisor, StartChild(ChildSpec("c", worker_class, restart="transient", significant=True)))
    with pytest.raises(InvalidSpec):
        call(supervisor, StartChild("no spec"))
    assert children(supervisor) == []


# -- restart --


@pytest.mark.parametrize(
    ("restart", "reason", "restarted"),
    [
        ("permanent", NORMAL, True),
        ("permanent", ValueError("x"), True),
        ("transient", NORMAL, False),
        ("transient", Shutdown("x"), False),
        ("transient", ValueError("x"), True),
        ("temporary", NORMAL, False),
        ("temporary", ValueError("x"), False),
    ],
)
def test_a_child_that_ended_by_itself_fares_as_its_restart_type_says(
    supervisor, start_child, eventually, restart, reason, restarted
):
    child, seen = start_child(supervisor, "c", restart=restart), []
    watch(child, seen.append)
    child.tell(("exit", reason))
    if restarted:
        eventually(lambda: child.restarts == 1)
        assert call(child, "hello") == "hello"
        assert seen == []
    else:
        eventually(lambda: seen == [reason])
        assert children(supervisor) == []


def test_with_budget_child_a_child_over_its_budget_is_given_up_alone(
    run_tree, start_child, crash, eventually
):
    reports = []
    supervisor = run_tree(DynamicSupervisor, budget="child", max_restarts=2, on_report=reports.append)
    child, sibling, seen = start_child(supervisor, "c"), start_child(supervisor, "d"), []
    watch(child, seen.append)
    errors = [ValueError(number) for number in range(3)]
    for error in errors:
        assert call(child, "alive") == "alive"
        crash(child, error)
    with pytest.raises(ActorDown) as caught:
        call(child, "alive", PATIENCE_S)
    assert caught.value.reason is errors[2]
    eventually(lambda: seen == [errors[2]])  # askers are told first
    assert [info.stable_ref for info in children(supervisor)] == [sibling]
    assert call(sibling, "alive") == "alive"
    assert [report.context for report in reports] == ["child_terminated"] * 3 + ["gave_up"]


def test_with_budget_child_each_child_has_its_own_budget(run_tree, start_child, crash):
    supervisor = run_tree(DynamicSupervisor, budget="child", max_restarts=1)
    for number in range(5):
        child = start_child(supervisor, number)
        crash(child)
        assert call(child, "alive") == "alive"
    assert len(children(supervisor)) == 5


def test_with_budget_supervisor_the_supervisor_gives_up_as_in_otp(run_tree, start_child, crash):
    supervisor = run_tree(DynamicSupervisor, max_restarts=1)
    one, two = start_child(supervisor, "c"), start_child(supervisor, "d")
    crash(one)
    call(one, "alive")
    crash(two)
    assert join(supervisor, PATIENCE_S)
    assert supervisor.actor_inbox.reason is SHUTDOWN
    assert not one.is_alive()
    assert not two.is_alive()


def test_a_start_that_fails_during_a_restart_is_tried_again_and_each_attempt_is_counted(
    run_tree, start_child, worker_class, crash
):
    fails = [None, ValueError("1"), ValueError("2")]
    supervisor = run_tree(DynamicSupervisor, budget="child", max_restarts=3)
    child = start_child(supervisor, "c", kwargs={"fails": fails})
    crash(child)
    assert call(child, "served", PATIENCE_S) == "served"
    crash(child)  # the fourth
    with pytest.raises(ActorDown):
        call(child, "gone", PATIENCE_S)


def test_asks_held_while_a_child_fails_to_restart_fail_when_it_is_given_up(
    run_tree, start_child, worker_class
):
    last = ValueError("last")
    supervisor = run_tree(DynamicSupervisor, budget="child", max_restarts=2)
    child = start_child(supervisor, "c", mailbox="keep", kwargs={"fails": [None, ValueError("1"), last]})
    child.tell(("raise", ValueError("0")))
    held = child.ask("never", block=False)
    with pytest.raises(ActorDown) as caught:
        held.get(timeout=PATIENCE_S)
    assert caught.value.reason is last


@pytest.mark.usefixtures("no_zombies")
def test_a_restart_whose_start_hangs_is_an_attempt_that_failed(
    run_tree, start_child, events, crash, eventually, act_on_the_time
):
    started, release = events
    clock, hang = ManualClock(), []

    class SometimesHanging(GenServer):
        def on_start(self):
            hang.append(1)
            if len(hang) == 2:
                started.set()
                release.wait(PATIENCE_S)

        def on_receive(self, message):
            if isinstance(message, BaseException):
                raise message
            return message

    supervisor = run_tree(DynamicSupervisor, clock=clock)
    child = start_child(supervisor, "c", start=SometimesHanging, start_timeout_s=2.0, kill_grace_s=1.0)
    child.tell(ValueError("x"))
    assert started.wait(PATIENCE_S)
    assert child.state == "restarting"
    held = child.ask("held", block=False)
    assert call(supervisor, WhichChild(child)).ref is RESTARTING
    clock.advance(2.0)
    act_on_the_time(supervisor)
    clock.advance(1.0)
    assert held.get(timeout=PATIENCE_S) == "held"
    assert child.restarts == 1


# -- terminate --


def test_terminate_child_is_answered_when_the_child_is_down_and_forgets_it(supervisor, start_child):
    diary = []
    child = start_child(supervisor, "c", args=(diary,))
    assert call(supervisor, TerminateChild(child)) is None
    assert diary[-1] == ("terminate", SHUTDOWN)
    assert not child.is_alive()
    with pytest.raises(NotFound):
        call(supervisor, TerminateChild(child))
    assert children(supervisor) == []


def test_a_child_can_be_named_by_its_incarnation_as_by_a_pid(supervisor, start_child, start_worker):
    child = start_child(supervisor, "c")
    info = call(supervisor, WhichChild(child))
    assert call(supervisor, GetChildSpec(info.ref)).id == "c"
    call(supervisor, TerminateChild(info.ref))
    stranger = start_worker()
    for unknown in (stranger, "an id", None):
        with pytest.raises(NotFound):
            call(supervisor, TerminateChild(unknown))
    assert stranger.is_alive()


def test_there_is_no_restart_or_delete(supervisor):
    for request in (RestartChild("c"), DeleteChild("c")):
        with pytest.raises(NotFound):
            call(supervisor, request)


def test_a_child_that_does_not_end_is_killed_then_abandoned_while_others_are_served(
    run_tree, start_child, events, act_on_the_time
):
    started, release = events
    clock = ManualClock()
    supervisor = run_tree(DynamicSupervisor, clock=clock)
    child = start_child(
        supervisor, "b", start=Blocking, args=("block", started, release), shutdown=2.0, kill_grace_s=1.0
    )
    in_hand = child.ask("block", block=False)
    queued = child.ask("queued", block=False)
    assert started.wait(PATIENCE_S)
    done = [supervisor.ask(TerminateChild(child), block=False) for _ in range(2)]
    other = start_child(supervisor, "other")
    assert call(other, "served") == "served"
    clock.advance(2.0)  # kill
    act_on_the_time(supervisor)
    assert not done[0].done()
    clock.advance(1.0)  # abandon
    assert [future.get(timeout=PATIENCE_S) for future in done] == [None, None]
    for future in (in_hand, queued):
        with pytest.raises(ActorDown) as caught:
            future.get(timeout=PATIENCE_S)
        assert caught.value.reason is KILLED
    assert [zombie.thread_name for zombie in zombies()] == ["Blocking b"]


def test_on_kill_frees_a_blocked_child_within_its_grace(run_tree, start_child, events):
    started, release = events
    clock = ManualClock()
    supervisor = run_tree(DynamicSupervisor, clock=clock)
    child = start_child(supervisor, "b", start=Blocking, args=("block", started, release, True), shutdown=2.0)
    child.tell("block")
    assert started.wait(PATIENCE_S)
    done = supervisor.ask(TerminateChild(child), block=False)
    call(supervisor, CountChildren())
    clock.advance(2.0)
    assert done.get(timeout=PATIENCE_S) is None
    assert zombies() == []


def test_twenty_hanging_children_take_as_long_as_one_to_terminate(
    run_tree, start_child, events, act_on_the_time
):
    started, release = events
    clock = ManualClock()
    supervisor = run_tree(DynamicSupervisor, clock=clock)
    hanging = [
        start_child(
            supervisor,
            n,
            start=Blocking,
            args=("terminate", started, release),
            shutdown=2.0,
            kill_grace_s=1.0,
        )
        for n in range(20)
    ]
    done = [supervisor.ask(TerminateChild(child), block=False) for child in hanging]
    call(supervisor, CountChildren())
    clock.advance(2.0)
    act_on_the_time(supervisor)
    clock.advance(1.0)
    assert [future.get(timeout=PATIENCE_S) for future in done] == [None] * 20


def test_terminating_a_child_that_is_still_starting_fails_its_start(run_tree, events):
    started, release = events
    supervisor = run_tree(DynamicSupervisor)
    starting = supervisor.ask(
        StartChild(ChildSpec("h", Blocking, ("on_start", started, release))), block=False
    )
    assert started.wait(PATIENCE_S)
    (info,) = children(supervisor)
    done = supervisor.ask(TerminateChild(info.stable_ref), block=False)
    release.set()
    assert done.get(timeout=PATIENCE_S) is None
    assert isinstance(starting.exception(timeout=PATIENCE_S), StartError)
    assert children(supervisor) == []


def test_brutal_kill_runs_no_terminate(supervisor, start_child):
    diary = []
    child = start_child(supervisor, "c", args=(diary,), shutdown=BRUTAL_KILL)
    call(supervisor, TerminateChild(child))
    assert [entry[0] for entry in diary if entry != "start"] == ["on_kill"]


# -- the end --


def test_on_shutdown_all_children_are_told_first_and_waited_for_together(run_tree, start_child):
    supervisor = run_tree(DynamicSupervisor)
    meeting = threading.Barrier(5)

    class Sociable(GenServer):
        def terminate(self, reason):
            meeting.wait(PATIENCE_S)  # broken unless all five are ending at the same time

    for number in range(5):
        start_child(supervisor, number, start=Sociable)
    assert supervisor.stop() is True
    assert not meeting.broken
    assert pykka.ActorRegistry.get_all() == []


@pytest.mark.usefixtures("no_zombies")
def test_on_shutdown_late_children_are_killed_and_abandoned_together(run_tree, start_child, events):
    _, release = events
    supervisor, begun = run_tree(DynamicSupervisor), [threading.Event() for _ in range(10)]
    refs = [
        start_child(
            supervisor,
            number,
            start=Blocking,
            args=("block", begun[number], release),
            shutdown=0.05,
            kill_grace_s=0.05,
        )
        for number in range(10)
    ]
    for ref in refs:
        ref.tell("block")
    assert all(event.wait(PATIENCE_S) for event in begun)  # who is killed before handles nothing
    assert supervisor.stop(timeout=PATIENCE_S) is True
    assert len(zombies()) == 10
    assert pykka.ActorRegistry.get_all() == []
    release.set()


def test_when_the_supervisor_ends_starting_children_end_too_and_their_askers_are_told(run_tree, events):
    started, release = events
    supervisor = run_tree(DynamicSupervisor)
    starting = supervisor.ask(
        StartChild(ChildSpec("h", Blocking, ("on_start", started, release))), block=False
    )
    assert started.wait(PATIENCE_S)
    stopping = supervisor.stop(block=False)
    release.set()
    assert stopping.get(timeout=PATIENCE_S) is True
    assert starting.exception(timeout=PATIENCE_S) is not None


def test_killing_the_supervisor_takes_its_children_down(supervisor, start_child):
    refs = [start_child(supervisor, number) for number in range(3)]
    kill(supervisor)
    assert all(join(ref, PATIENCE_S) for ref in [supervisor, *refs])
    assert pykka.ActorRegistry.get_all() == []


@pytest.mark.usefixtures("no_zombies")
def test_when_a_stuck_supervisor_is_abandoned_its_children_are_killed_and_their_references_are_gone(
    run_tree, start_child, events
):
    started, release = events

    class Stuck(DynamicSupervisor):
        def on_receive(self, message):
            if message == "block":
                started.set()
                release.wait(PATIENCE_S)
                return None
            return super().on_receive(message)

    root = run_tree(Supervisor, [ChildSpec("stuck", Stuck, shutdown=0.05, kill_grace_s=0.05)])
    stuck = call(root, WhichChild("stuck")).stable_ref
    child, seen = start_child(stuck, "c"), []
    watch(child, seen.append)
    stuck.tell("block")
    assert started.wait(PATIENCE_S)
    call(root, TerminateChild("stuck"), PATIENCE_S)
    assert seen == [KILLED]
    with pytest.raises(ActorDown):
        child.tell("hello")
    release.set()


@pytest.mark.parametrize("mailbox", ["drop", "keep"])
def test_as_a_child_of_a_supervisor_it_is_restarted_without_its_children(
    run_tree, start_child, eventually, mailbox
):
    class Shaky(DynamicSupervisor):
        def on_receive(self, message):
            if isinstance(message, BaseException):
                raise message
            return super().on_receive(message)

    root = run_tree(Supervisor, [ChildSpec("d", Shaky, mailbox=mailbox)])
    dynamic = call(root, WhichChild("d")).stable_ref
    child = start_child(dynamic, "c")
    cast(dynamic, ValueError("x"))
    eventually(lambda: dynamic.restarts == 1)
    assert call(dynamic, CountChildren()) == Counts(0, 0, 0, 0)
    assert not child.is_alive()
    # With "keep", the old self's news of its children came along.
    assert len(pykka.ActorRegistry.get_all()) == 2
    assert call(start_child(dynamic, "new"), "hello") == "hello"


def test_many_children_start_and_stop(run_tree, worker_class):
    supervisor = run_tree(DynamicSupervisor)
    futures = [supervisor.ask(StartChild(ChildSpec(n, worker_class)), block=False) for n in range(200)]
    refs = [future.get(timeout=PATIENCE_S) for future in futures]
    assert call(supervisor, CountChildren()) == Counts(200, 200, 0, 200)
    done = [supervisor.ask(TerminateChild(ref), block=False) for ref in refs[:100]]
    assert [future.get(timeout=PATIENCE_S) for future in done] == [None] * 100
    assert call(supervisor, CountChildren()).active == 100


@pytest.mark.usefixtures("switching")
def test_starting_crashing_and_terminating_at_once_leaves_every_future_resolved(run_tree, worker_class):
    supervisor = run_tree(DynamicSupervisor, budget="child", max_restarts=2)
    futures = []
    lock = threading.Lock()

    def live(number):
        starting = supervisor.ask(StartChild(ChildSpec(number, worker_class, mailbox="keep")), block=False)
        mine = [starting]
        try:
            child = starting.get(timeout=PATIENCE_S)
        except StartError:
            child = None
        if child is not None:
            for step in range(6):
                mine.append(child.ask(("raise", ValueError(step)) if step % 2 else step, block=False))
            mine.append(supervisor.ask(TerminateChild(child), block=False))
            mine.append(child.ask("after", block=False))
        with lock:
            futures.extend(mine)

    threads = [threading.Thread(target=live, args=(number,), daemon=True) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert len(futures) == 12 * 9
    for future in futures:
        error = future.exception(timeout=PATIENCE_S)
        assert error is None or isinstance(error, ValueError | pykka.ActorDeadError | NotFound), error
    supervisor.stop()
    assert pykka.ActorRegistry.get_all() == []


def test_a_child_that_hangs_in_on_start_is_terminated_although_its_shutdown_may_take_for_ever(run_tree):
    gate, entered = threading.Event(), threading.Event()

    class Hanging(GenServer):
        def on_start(self):
            entered.set()
            gate.wait(PATIENCE_S * 3)

        def on_kill(self):
            gate.set()

    supervisor = run_tree(DynamicSupervisor)
    spec = ChildSpec("a", Hanging, shutdown=math.inf, start_timeout_s=2.0)
    starting = supervisor.ask(StartChild(spec), block=False)
    assert entered.wait(PATIENCE_S)
    (child,) = call(supervisor, WhichChildren(), PATIENCE_S)
    call(supervisor, TerminateChild(child.stable_ref), PATIENCE_S)
    with pytest.raises(StartError):
        starting.get(timeout=PATIENCE_S)
