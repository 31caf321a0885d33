"""News that comes late: a retry that was taken over, the end of a child of an older self, an ack after its time."""

import math
import threading
from dataclasses import replace

import pykka
import pytest

from trunkline.supervision import (
    BRUTAL_KILL,
    ChildSpec,
    DynamicSupervisor,
    GenServer,
    ManualClock,
    StartChild,
    StartError,
    StartTimeout,
    Supervisor,
    TerminateChild,
    WhichChild,
    WhichChildren,
    call,
    join,
    testing,
    watch,
)

PATIENCE_S = 30.0


def child_of(supervisor, id):
    return call(supervisor, WhichChild(id), PATIENCE_S)


class Part(GenServer):
    def __init__(self, on_start=None):
        super().__init__()
        self._on_start = on_start

    def on_start(self):
        if self._on_start is not None:
            self._on_start()


def test_a_retry_that_was_taken_over_is_no_attempt_of_its_own(run_tree):
    """Between any two attempts what was queued at the first is served, also after a retry was taken over by another crash."""
    book, broken, reached, release = [], threading.Event(), threading.Event(), threading.Event()

    def fail():
        if not broken.is_set():
            return
        number = sum(what == "attempt" for what, _ in book)
        book.append(("attempt", number))
        if number == 0:
            reached.set()
            assert release.wait(PATIENCE_S)
        answered = root.ask(WhichChildren(), block=False)
        answered.add_done_callback(lambda _: book.append(("served", number)))
        if number < 8:
            raise ValueError("start")

    specs = [ChildSpec("a", Part), ChildSpec("b", Part, (fail,))]
    root = run_tree(Supervisor, specs, strategy="rest_for_one", max_restarts=100)
    a, b = child_of(root, "a"), child_of(root, "b")
    broken.set()
    testing.crash(b.stable_ref, ValueError("b"))
    assert reached.wait(PATIENCE_S)
    testing.crash(a.stable_ref, ValueError("a"))
    assert join(a.ref, PATIENCE_S)  # its end is queued: before the retry of b
    release.set()
    assert testing.wait_for_restart(b.stable_ref, PATIENCE_S) == 1
    call(root, WhichChildren(), PATIENCE_S)
    # The crash of a is served at once, and with it b's second attempt; from then on each request before the next one.
    assert book[:4] == [("attempt", 0), ("attempt", 1), ("served", 0), ("served", 1)]
    assert book[4:] == [(what, number) for number in range(2, 9) for what in ("attempt", "served")]


class Stuck:
    """Mixed into a supervisor: blocks its thread on demand, so that it is abandoned."""

    def on_receive(self, message):
        if isinstance(message, tuple):
            started, release = message
            started.set()
            release.wait(PATIENCE_S)
            return None
        return super().on_receive(message)


class StuckSupervisor(Stuck, Supervisor):
    pass


class StuckDynamicSupervisor(Stuck, DynamicSupervisor):
    pass


@pytest.mark.usefixtures("no_zombies")
@pytest.mark.parametrize("kind", [StuckSupervisor, StuckDynamicSupervisor])
def test_the_end_of_a_child_of_an_older_self_is_nothing_to_the_new_one(run_tree, kind):
    """An abandoned supervisor's queue goes over to its successor (mailbox="keep"), and in it what happened under it."""
    reports, started, release = [], threading.Event(), threading.Event()
    inner = ChildSpec(
        "inner",
        kind,
        kwargs={"on_report": reports.append},
        mailbox="keep",
        shutdown=BRUTAL_KILL,
        kill_grace_s=0.02,
    )
    root = run_tree(Supervisor, [inner, ChildSpec("other", Part)], strategy="one_for_all")
    stable, other = child_of(root, "inner").stable_ref, child_of(root, "other").stable_ref
    child = call(stable, StartChild(ChildSpec("child", Part)), PATIENCE_S)
    incarnation = child._incarnation
    stable.tell((started, release))
    assert started.wait(PATIENCE_S)
    testing.crash(child, ValueError("child"))
    assert join(incarnation, PATIENCE_S)  # its end is queued, and the supervisor is stuck
    testing.crash(other, ValueError("other"))
    assert testing.wait_for_restart(other, PATIENCE_S) == 1
    assert call(stable, WhichChildren(), PATIENCE_S) == []
    assert (stable.restarts, child.state, reports) == (1, "stopped", [])
    release.set()


class Starting(GenServer):
    """Starts when it may, and says how far it has come."""

    def __init__(self, at_start, may_start, has_started):
        super().__init__()
        self._at_start, self._may_start, self._has_started = at_start, may_start, has_started

    def on_start(self):
        self._at_start.release()
        assert self._may_start.wait(PATIENCE_S)

    def handle_continue(self):
        self._has_started.set()


@pytest.fixture
def starting():
    """A spec of a child that hangs at its start, and its events."""
    events = threading.Semaphore(0), threading.Event(), threading.Event()
    yield ChildSpec("a", Starting, events, start_timeout_s=1.0, shutdown=math.inf, kill_grace_s=1.0), *events
    events[1].set()


def test_an_ack_that_is_behind_the_end_of_its_time_does_not_revive_the_child(run_tree, starting, eventually):
    spec, at_start, may_start, has_started = starting
    clock, stops = ManualClock(), [(threading.Event(), threading.Event()) for _ in range(2)]
    root = run_tree(StuckDynamicSupervisor, clock=clock)
    child = root.ask(StartChild(spec), block=False)
    assert at_start.acquire(timeout=PATIENCE_S)
    for stuck in stops:
        root.tell(stuck)
    assert stops[0][0].wait(PATIENCE_S)
    clock.advance(1.0)  # the end of its time is queued behind the second message
    stops[0][1].set()
    assert stops[1][0].wait(PATIENCE_S)
    may_start.set()
    assert has_started.wait(PATIENCE_S)  # and its ack behind that
    stops[1][1].set()
    error = child.exception(timeout=PATIENCE_S)
    assert isinstance(error, StartError)
    assert isinstance(error.reason, StartTimeout)
    eventually(lambda: call(root, WhichChildren(), PATIENCE_S) == [])
    assert not at_start.acquire(blocking=False)


@pytest.mark.usefixtures("no_zombies")
def test_a_child_that_is_terminated_when_its_time_is_up_already_is_abandoned_in_its_time(
    run_tree, starting, act_on_the_time
):
    spec, at_start, may_start, _ = starting
    clock = ManualClock()
    root = run_tree(DynamicSupervisor, clock=clock)
    child = root.ask(StartChild(spec), block=False)
    assert at_start.acquire(timeout=PATIENCE_S)
    (info,) = call(root, WhichChildren(), PATIENCE_S)
    clock.advance(1.0)
    act_on_the_time(root)  # it is being killed
    terminated = root.ask(TerminateChild(info.stable_ref), block=False)
    assert len(call(root, WhichChildren(), PATIENCE_S)) == 1
    clock.advance(1.0)
    terminated.get(timeout=PATIENCE_S)
    error = child.exception(timeout=PATIENCE_S)
    assert isinstance(error, StartError)
    assert isinstance(error.reason, StartTimeout)
    assert call(root, WhichChildren(), PATIENCE_S) == []
    may_start.set()


@pytest.mark.usefixtures("no_zombies")
def test_a_child_that_is_killed_at_its_start_has_its_grace_whatever_time_its_start_had(
    run_tree, starting, act_on_the_time
):
    spec, at_start, may_start, _ = starting
    clock = ManualClock()
    root = run_tree(DynamicSupervisor, clock=clock)
    root.ask(StartChild(replace(spec, shutdown=0.05)), block=False)
    assert at_start.acquire(timeout=PATIENCE_S)
    (info,) = call(root, WhichChildren(), PATIENCE_S)
    clock.advance(0.9)
    terminated = root.ask(TerminateChild(info.stable_ref), block=False)
    act_on_the_time(root)
    clock.advance(0.06)
    act_on_the_time(root)  # it is being killed
    clock.advance(0.1)  # its start would be over
    act_on_the_time(root)
    assert not terminated.done()
    clock.advance(0.9)
    terminated.get(timeout=PATIENCE_S)
    may_start.set()


@pytest.mark.parametrize("what", ["terminate_child", "stop"])
@pytest.mark.parametrize("kind", [Supervisor, StuckDynamicSupervisor])
def test_an_end_between_two_attempts_is_an_end(run_tree, eventually, kind, what):
    """It is served before the next attempt, there is none after it, and it is no failure of its own."""
    reports, starts, answers, bug = [], [], [], ValueError("start")
    started, release = threading.Event(), threading.Event()

    class Failing(GenServer):
        def on_start(self):
            starts.append(self.actor_urn)
            if len(starts) == 3 and kind is Supervisor:
                ask_for_the_end()  # it waits for this start: the next attempt will be queued behind
            elif len(starts) == 3:  # it never waits: it is to see the failure and the end at once
                root.tell((started, release))
                assert started.wait(PATIENCE_S)
                self._mailbox.watch(ask_for_the_end)
            if len(starts) > 1:
                raise bug

    def ask_for_the_end(_=None):
        known_as = "a" if kind is Supervisor else child
        end = pykka.messages._ActorStop() if what == "stop" else TerminateChild(known_as)
        answers.append(root.ask(end, block=False))
        release.set()

    root = run_tree(kind, max_restarts=100, on_report=reports.append)
    child, downs = call(root, StartChild(ChildSpec("a", Failing)), PATIENCE_S), []
    watch(child, downs.append)
    testing.crash(child, ValueError("crash"))
    eventually(lambda: downs)
    answers[0].get(timeout=PATIENCE_S)
    if what == "terminate_child":
        infos = call(root, WhichChildren(), PATIENCE_S)
        assert [info.ref for info in infos] == ([None] if kind is Supervisor else [])
    assert len(starts) == 3
    assert downs == [bug]
    assert [report.context for report in reports] == ["child_terminated", "start_error", "start_error"]
