"""Sentences of the OTP reference that no other file is about: the defaults, what counts, what is reported, who waits for whom."""

import inspect
import math
import threading

import pykka
import pytest

from trunkline.supervision import (
    KILLED,
    NOPROC,
    NORMAL,
    RESTARTING,
    SHUTDOWN,
    ActorDown,
    CallTimeout,
    ChildSpec,
    DynamicSupervisor,
    Exit,
    GenServer,
    GetChildSpec,
    ManualClock,
    Registry,
    RestartChild,
    Shutdown,
    StartChild,
    StartError,
    StartTimeout,
    Supervisor,
    TerminateChild,
    WhichChild,
    WhichChildren,
    call,
    join,
    kill,
    testing,
    watch,
    zombies,
)
from trunkline.supervision.testing import Ended, Record, RecordingSupervisor, Started

PATIENCE_S = 30.0


def stable(supervisor, child):
    return call(supervisor, WhichChild(child), PATIENCE_S).stable_ref


def name_of(supervisor_class, child):
    """What a child is called in requests: its id, or its reference."""
    return child.child_id if supervisor_class is Supervisor else child


# -- A1: defaults


@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
def test_the_flags_defaults_are_elixirs(kind):
    defaults = {name: p.default for name, p in inspect.signature(kind).parameters.items()}
    assert (defaults["max_restarts"], defaults["max_seconds"]) == (3, 5.0)
    if kind is Supervisor:
        assert (defaults["strategy"], defaults["auto_shutdown"]) == ("one_for_one", "never")
    else:
        assert (defaults["max_children"], defaults["budget"]) == (None, "supervisor")


# -- A4: what counts, and when it is counted


def test_what_is_done_by_hand_never_counts(run_tree, worker_class):
    supervisor = run_tree(Supervisor, [ChildSpec("a", worker_class)], max_restarts=0)
    a = stable(supervisor, "a")
    for _ in range(5):
        call(supervisor, TerminateChild("a"))
        assert call(supervisor, RestartChild("a")) is a
        call(supervisor, StartChild(ChildSpec("b", worker_class, restart="temporary")))
        call(supervisor, TerminateChild("b"))
    assert a.restarts == 5
    assert call(a, "alive") == "alive"


def test_a_dynamic_child_that_is_terminated_by_hand_never_counts(run_tree, start_child):
    supervisor = run_tree(DynamicSupervisor, max_restarts=0)
    for n in range(5):
        call(supervisor, TerminateChild(start_child(supervisor, n)))
    with pytest.raises(StartError):
        start_child(supervisor, "fails", kwargs={"fails": [ValueError("x")]})
    assert call(start_child(supervisor, "alive"), "alive") == "alive"


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_a_supervisor_that_gives_up_has_not_touched_the_siblings_before(run_tree, worker_class, strategy):
    record = Record()
    specs = [ChildSpec(id, worker_class) for id in "abc"]
    root = run_tree(RecordingSupervisor, specs, record=record, strategy=strategy, max_restarts=0)
    testing.crash(stable(root, "a"), ValueError("bug"))
    assert join(root, PATIENCE_S)
    events = [
        event.id if isinstance(event, Started | Ended) else event.context for event in record.events[3:]
    ]
    assert events == ["a", "child_terminated", "gave_up", "c", "b"]
    assert [event.reason for event in record.events[-2:]] == [SHUTDOWN, SHUTDOWN]


# -- A3: every reason, every restart type, every kind of supervisor

BUG = ValueError("bug")
CLEAN = [NORMAL, SHUTDOWN, Shutdown("x")]
UNCLEAN = [KILLED, NOPROC, BUG, SystemExit(1)]


@pytest.mark.parametrize("reason", [*CLEAN, *UNCLEAN], ids=repr)
@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
@pytest.mark.parametrize("kind", ["one_for_one", "one_for_all", "rest_for_one", "dynamic"])
def test_what_becomes_of_a_child_and_its_siblings(run_tree, start_child, eventually, kind, restart, reason):
    reports, downs = [], []
    if kind == "dynamic":
        root = run_tree(DynamicSupervisor, on_report=reports.append)
    else:
        root = run_tree(Supervisor, strategy=kind, on_report=reports.append)
    before, child, after = (
        start_child(root, id, restart=restart if id == "b" else "permanent") for id in "abc"
    )
    watch(child, downs.append)
    child.tell(("exit", reason))
    restarted = restart == "permanent" or (restart == "transient" and reason in UNCLEAN)
    if restarted:
        assert testing.wait_for_restart(child, PATIENCE_S) == 1
        if kind in ("one_for_all", "rest_for_one"):
            assert testing.wait_for_restart(after, PATIENCE_S) == 1
        assert downs == []
    else:
        eventually(lambda: downs)
        assert downs == [reason]
    infos = {info.id: info.ref for info in call(root, WhichChildren(), PATIENCE_S)}
    is_kept = restarted or (restart == "transient" and kind != "dynamic")
    assert ("b" in infos) is is_kept
    assert (infos.get("b") is not None) is restarted
    assert before.restarts == (restarted and kind == "one_for_all")
    assert after.restarts == (restarted and kind in ("one_for_all", "rest_for_one"))
    is_reported = restart == "permanent" or reason in UNCLEAN
    expected = [("child_terminated", reason)] if is_reported else []
    assert [(report.context, report.reason) for report in reports] == expected


# -- A7: what is reported at the end


@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
@pytest.mark.parametrize("how", ["terminate_child", "stop"])
@pytest.mark.parametrize(
    ("restart", "reason", "is_reported"),
    [
        *((restart, SHUTDOWN, False) for restart in ("permanent", "transient", "temporary")),
        *((restart, BUG, True) for restart in ("permanent", "transient", "temporary")),
        *((restart, KILLED, True) for restart in ("permanent", "transient", "temporary")),
        *(("permanent", reason, True) for reason in (NORMAL, Shutdown("x"))),
        *(("transient", reason, False) for reason in (NORMAL, Shutdown("x"))),
        *(("temporary", reason, False) for reason in (NORMAL, Shutdown("x"))),
    ],
)
def test_an_unexpected_end_of_a_child_that_is_told_to_stop_is_reported_and_stops_nothing(
    run_tree, start_child, worker_class, eventually, kind, how, restart, reason, is_reported
):
    """What it had queued before the stop is served first, and one of these messages ends it."""
    reports, diary, downs = [], [], []
    root = run_tree(kind, on_report=reports.append)
    start_child(root, "first", args=(diary,))
    child = start_child(root, "a", restart=restart)
    watch(child, downs.append)
    started, release = threading.Event(), threading.Event()
    child.tell(("block", started, release))
    assert started.wait(PATIENCE_S)
    child.tell(("exit", reason))
    mailbox = child._mailbox
    end = pykka.messages._ActorStop() if how == "stop" else TerminateChild(name_of(kind, child))
    done = root.ask(end, block=False)
    eventually(lambda: mailbox.qsize() == 2, "the child is told to stop")
    release.set()
    done.get(timeout=PATIENCE_S)
    expected = [("shutdown_error", reason)] if is_reported else []
    assert [(report.context, report.reason) for report in reports] == expected
    assert downs == [reason]
    assert child.restarts == 0
    if how == "stop":
        assert diary == ["start", ("terminate", SHUTDOWN)]


# -- A6: specs are known in every state, and who waits for whom


@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
def test_the_spec_of_a_child_is_known_while_it_runs_and_while_it_is_restarting(run_tree, worker_class, kind):
    answers, fails = [], [None, BUG]

    class Asking(worker_class):
        def on_start(self):
            if fails == [BUG]:  # the restart: what is asked now is served between this attempt and the next
                for request in (GetChildSpec, WhichChild):
                    answers.append(root.ask(request(name_of(kind, child)), block=False))
            super().on_start()

    spec = ChildSpec("a", Asking, kwargs={"fails": fails})
    root = run_tree(kind)
    child = call(root, StartChild(spec))
    assert call(root, GetChildSpec(name_of(kind, child))) is spec
    testing.crash(child, ValueError("bug"))
    assert testing.wait_for_restart(child, PATIENCE_S) == 1
    assert answers[0].get(timeout=PATIENCE_S) is spec
    assert answers[1].get(timeout=PATIENCE_S).ref is RESTARTING


def test_the_spec_of_a_child_that_is_stopped_is_known(run_tree, worker_class):
    spec = ChildSpec("a", worker_class)
    supervisor = run_tree(Supervisor, [spec])
    call(supervisor, TerminateChild("a"))
    assert call(supervisor, GetChildSpec("a")) is spec


class Asker(GenServer):
    """Asks its own supervisor at its start or at its end, and notes what came of it."""

    def __init__(self, when, notes):
        super().__init__()
        self._when, self._notes = when, notes

    def _ask(self):
        supervisor = self._life.ancestors[0]
        try:
            self._notes.append(
                len(call(supervisor, WhichChildren(), 0.05 if self._is_waited_for() else PATIENCE_S))
            )
        except CallTimeout:
            self._notes.append("no answer")

    def _is_waited_for(self):
        return self._life.ancestors[0].actor_class is Supervisor

    def on_start(self):
        if self._when == "start":
            self._ask()

    def terminate(self, reason):
        if self._when == "end":
            self._ask()


@pytest.mark.parametrize("when", ["start", "end"])
@pytest.mark.parametrize(("kind", "answer"), [(Supervisor, "no answer"), (DynamicSupervisor, 1)])
def test_a_child_that_asks_its_own_supervisor_is_served_by_a_dynamic_one_only(run_tree, kind, answer, when):
    """As in OTP a Supervisor waits for its child, so it does not answer it. A DynamicSupervisor never waits: difference 5."""
    notes = []
    root = run_tree(kind)
    child = call(root, StartChild(ChildSpec("a", Asker, (when, notes))), PATIENCE_S)
    call(root, TerminateChild(name_of(kind, child)), PATIENCE_S)
    assert notes == [answer]


# -- what is given up leaves no name behind


@pytest.mark.usefixtures("no_zombies")
@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
def test_the_name_of_a_child_that_hangs_at_its_start_is_free_when_it_is_abandoned(run_tree, kind, eventually):
    registry, begun, release, reports, clock = (
        Registry(),
        threading.Event(),
        threading.Event(),
        [],
        ManualClock(),
    )

    class Hanging(GenServer):
        def on_start(self):
            begun.set()
            assert release.wait(PATIENCE_S)

    root = run_tree(kind, on_report=reports.append, clock=clock)
    spec = ChildSpec(
        "a",
        Hanging,
        register=(registry, "name"),
        start_timeout_s=1.0,
        shutdown=math.inf,  # it is killed: what has not started is not told to stop
        kill_grace_s=1.0,
    )
    starting = root.ask(StartChild(spec), block=False)
    assert begun.wait(PATIENCE_S)  # what is killed before is no zombie

    def time_passes():
        clock.advance(1.0)
        return starting.done()

    eventually(time_passes)
    error = starting.exception(timeout=PATIENCE_S)
    assert isinstance(error, StartError)
    assert isinstance(error.reason, StartTimeout)
    eventually(lambda: registry.names() == [] and len(zombies()) == 1)
    assert registry.whereis("name") is None
    eventually(lambda: reports)
    assert [report.context for report in reports] == ["start_error"]
    assert isinstance(reports[0].reason, StartTimeout)
    release.set()


@pytest.mark.usefixtures("no_zombies")
@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
def test_a_child_that_is_abandoned_gives_its_name_to_its_successor(run_tree, worker_class, kind):
    registry, started, release = Registry(), threading.Event(), threading.Event()
    root = run_tree(kind)
    spec = ChildSpec(
        "a",
        worker_class,
        restart="temporary",
        register=(registry, "name"),
        shutdown=0.02,
        kill_grace_s=0.02,
    )
    child = call(root, StartChild(spec))
    child.tell(("block", started, release))
    assert started.wait(PATIENCE_S)
    call(root, TerminateChild(name_of(kind, child)), PATIENCE_S)
    assert len(zombies()) == 1
    successor = call(root, StartChild(spec))
    assert registry.ref("name").actor_urn == successor.actor_urn
    release.set()
    assert call(registry.ref("name"), "served") == "served"


# -- A7: a supervisor that is killed


@pytest.mark.usefixtures("switching")
@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
def test_a_killed_supervisor_kills_its_children_and_reports_nothing(run_tree, start_child, kind):
    for _ in range(20):
        reports, diary, downs = [], [], []
        root = run_tree(kind, on_report=reports.append)
        for id in "abc":
            watch(start_child(root, id, args=(diary,)), downs.append)
        kill(root)
        assert join(root, PATIENCE_S)
        assert downs == [KILLED] * 3
        assert [entry for entry in diary if entry[0] == "terminate"] == []
        assert reports == []


# -- A5: a start that fails during a restart, whatever it fails with


@pytest.mark.parametrize(
    "failure", [Exit(NORMAL), Exit(SHUTDOWN), Exit(Shutdown("x")), BUG, SystemExit(1)], ids=repr
)
@pytest.mark.parametrize("restart", ["permanent", "transient"])
@pytest.mark.parametrize("kind", ["one_for_one", "one_for_all", "rest_for_one", "dynamic"])
def test_a_restart_that_fails_is_tried_again_for_a_clean_reason_too(
    run_tree, start_child, kind, restart, failure
):
    """A transient child whose start ends cleanly has not done its work: it did not even start."""
    root = run_tree(DynamicSupervisor) if kind == "dynamic" else run_tree(Supervisor, strategy=kind)
    child = start_child(root, "a", restart=restart, kwargs={"fails": [None, failure]})
    testing.crash(child, ValueError("crash"))
    assert testing.wait_for_restart(child, PATIENCE_S) == 1
    assert call(child, "served") == "served"


def test_a_restart_by_hand_that_fails_leaves_the_child_stopped(run_tree, start_child):
    supervisor = run_tree(Supervisor, max_restarts=0)
    child = start_child(supervisor, "a", kwargs={"fails": [None, BUG]})
    call(supervisor, TerminateChild("a"))
    with pytest.raises(StartError) as caught:
        call(supervisor, RestartChild("a"))
    assert caught.value.reason is BUG
    assert child.state == "stopped"
    with pytest.raises(ActorDown) as refused:
        call(child, "in vain")
    assert refused.value.reason is BUG
    assert call(supervisor, WhichChild("a")).ref is None
    assert call(supervisor, RestartChild("a")) is child


@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
def test_each_attempt_is_reported_with_its_own_reason(run_tree, eventually, kind):
    clock, reports, starts = ManualClock(), [], []

    class Failing(GenServer):
        def __init__(self):
            super().__init__()
            self._killed = threading.Event()

        def on_start(self):
            starts.append(self)
            if len(starts) == 2:
                assert self._killed.wait(PATIENCE_S)
            if len(starts) == 3:
                raise BUG

        def on_kill(self):
            self._killed.set()

    root = run_tree(kind, on_report=reports.append, clock=clock)
    spec = ChildSpec("a", Failing, start_timeout_s=10.0, kill_grace_s=1e9)
    child = call(root, StartChild(spec), PATIENCE_S)
    testing.crash(child, BUG)

    def time_passes():
        if len(starts) == 2 and len(reports) < 2:  # while the second start hangs, and not before
            clock.advance(1.0)
        return len(reports) >= 2

    eventually(time_passes)
    assert testing.wait_for_restart(child, PATIENCE_S) == 1
    assert [report.context for report in reports] == ["child_terminated", "start_error", "start_error"]
    assert isinstance(reports[1].reason, StartTimeout)
    assert [reports[0].reason, reports[2].reason] == [BUG, BUG]
