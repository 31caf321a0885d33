"""The 20 fault scenarios of otp.md E, by number: what is injected, and exactly what comes of it.

Throughout: untouched actors keep the identical reference, no future stays unresolved, and nothing is left behind (conftest.py).
"""

import asyncio
import random
import socket
import threading

import pykka
import pytest

from trunkline.supervision import (
    KILLED,
    NORMAL,
    RESTARTING,
    SHUTDOWN,
    ActorDown,
    AlreadyPresent,
    ChildSpec,
    DeleteChild,
    DynamicSupervisor,
    Exit,
    GenServer,
    MailboxFull,
    RestartChild,
    Restarting,
    Shutdown,
    StartChild,
    StartError,
    StartTimeout,
    Supervisor,
    TerminateChild,
    WhichChild,
    WhichChildren,
    call,
    cast,
    kill,
    stop,
    watch,
    zombies,
)
from trunkline.supervision.testing import Ended, Record, RecordingSupervisor, crash, wait_for_restart

PATIENCE_S = 20.0


class Plain(GenServer):
    """Does as it is told, at its start too."""

    def __init__(self, on_start=None, on_terminate=None):
        super().__init__()
        self._on_start = on_start
        self._on_terminate = on_terminate

    def on_start(self):
        if self._on_start is not None:
            self._on_start(self)

    def on_receive(self, message):
        if isinstance(message, BaseException):
            raise message
        return message() if callable(message) else message

    def terminate(self, reason):
        if self._on_terminate is not None:
            self._on_terminate(self)


@pytest.fixture
def run_tree():
    """`run_tree(children, ...)`: a recording supervisor and its record; it is stopped at the end."""
    roots = []

    def start(children=(), record=None, supervisor=RecordingSupervisor, **options):
        record = record or Record()
        # Restarts count together however long they take.
        root = supervisor.start(children, record=record, **{"max_seconds": 600.0, **options})
        roots.append(root)
        return root, record

    yield start
    for root in roots:
        root.stop()


def child_of(supervisor, id):
    return call(supervisor, WhichChild(id), PATIENCE_S)


def when_down(ref):
    """An event that is set when the actor is down and its supervisor has been told."""
    over = threading.Event()
    watch(ref, lambda _: over.set())
    return over


def ends(ref, do):
    over = when_down(ref)
    do()
    assert over.wait(PATIENCE_S)


def test_01_a_session_whose_handler_raises_on_a_tell_is_restarted_alone(
    house, directory, new_directory, probe
):
    session, other = house.open_session(directory), house.open_session(new_directory())
    urn, incarnation = session.actor_urn, house.incarnation(session)
    untouched = [ref.actor_urn for ref in (other, house.broker, house.sessions, house.workers)]
    bug = ValueError("bug")
    probe.watch(incarnation)
    probe.watch(session)

    session.tell(bug)

    assert wait_for_restart(session) == 1
    assert probe.expect_down(incarnation) is bug
    probe.expect_no_message()  # nor a Down of the StableRef
    assert directory.diary == ["start", ("terminate", bug), "start"]
    assert session.actor_urn != urn
    assert child_of(house.sessions, session).stable_ref is session
    assert [ref.actor_urn for ref in (other, house.broker, house.sessions, house.workers)] == untouched
    assert [ref.restarts for ref in (other, house.broker, house.sessions)] == [0, 0, 0]


def test_02_on_an_ask_the_caller_gets_the_exception_and_the_session_is_restarted(house, directory):
    session, bug = house.open_session(directory), ValueError("bug")
    urn = session.actor_urn
    with pytest.raises(ValueError, match="bug") as caught:
        call(session, bug, PATIENCE_S)
    assert caught.value is not bug  # the asker's is a copy: nobody raises the reason
    assert wait_for_restart(session) == 1
    assert session.actor_urn != urn
    assert directory.diary == ["start", ("terminate", bug), "start"]


def test_02_without_let_it_crash_the_session_goes_on(house, directory, polite):
    session, bug = house.open_session(directory, polite), ValueError("bug")
    urn = session.actor_urn
    with pytest.raises(ValueError, match="bug") as caught:
        call(session, bug, PATIENCE_S)
    assert caught.value is bug
    assert call(session, "still here", PATIENCE_S) == "still here"
    assert (session.actor_urn, session.restarts) == (urn, 0)


@pytest.mark.parametrize("base_exception", [SystemExit, asyncio.CancelledError, pytest.fail.Exception])
def test_03_a_base_exception_ends_its_actor_alone(house, directory, new_directory, base_exception):
    class Foreign(pykka.ThreadingActor):
        use_daemon_thread = True

    foreign = Foreign.start()
    session, other = house.open_session(directory), house.open_session(new_directory())
    urns = [ref.actor_urn for ref in (other, house.broker)]
    error = base_exception("bug")
    with pytest.raises(ActorDown) as caught:
        call(session, error, PATIENCE_S)
    assert caught.value.reason is error
    assert wait_for_restart(session) == 1
    assert [ref.actor_urn for ref in (other, house.broker)] == urns
    assert foreign.is_alive()
    foreign.stop()


def test_04_a_tree_whose_third_child_does_not_start_is_not_there_at_all(run_tree):
    bug, constructed, record = ValueError("bug"), [], Record()

    class Numbered(Plain):
        def __init__(self, number):
            super().__init__()
            constructed.append(number)
            self._number = number

        def on_start(self):
            if self._number == 3:
                raise bug

    with pytest.raises(StartError) as caught:
        run_tree([ChildSpec(n, Numbered, (n,)) for n in (1, 2, 3, 4)], record)
    assert caught.value.reason == Shutdown(("failed_to_start_child", 3, bug))
    assert caught.value.__cause__ is bug
    assert constructed == [1, 2, 3]
    assert record.started == [1, 2]
    assert record.ended == [3, 2, 1]
    assert pykka.ActorRegistry.get_all() == []


def test_05_a_start_that_fails_twice_is_tried_again_and_requests_are_served_in_between(run_tree):
    todo, answers, bug = [None], [], ValueError("bug")

    def on_start(actor):
        if todo.pop(0) is None:
            return
        # What is queued now is served between this attempt and the next.
        for request in (WhichChild("a"), StartChild(spec), RestartChild("a"), DeleteChild("a")):
            answers.append(root.ask(request, block=False))
        raise bug

    spec = ChildSpec("a", Plain, (on_start,))
    root, record = run_tree([spec, ChildSpec("b", Plain)], max_restarts=3)
    child, sibling = (child_of(root, id).stable_ref for id in "ab")
    urn = sibling.actor_urn
    todo += [bug, bug, None]
    crash(child, bug)
    assert wait_for_restart(child) == 1
    assert len(answers) == 8
    for which, started, restarted, deleted in (answers[:4], answers[4:]):
        assert which.get(timeout=PATIENCE_S).ref is RESTARTING
        assert isinstance(started.exception(timeout=PATIENCE_S), AlreadyPresent)
        assert isinstance(restarted.exception(timeout=PATIENCE_S), Restarting)
        assert isinstance(deleted.exception(timeout=PATIENCE_S), Restarting)
    assert sibling.actor_urn == urn
    assert [report.context for report in record.reports] == ["child_terminated", "start_error", "start_error"]
    # Three were counted, so the next crash is one too many.
    ends(root, lambda: crash(child, bug))
    assert record.reports[-1].context == "gave_up"


@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
def test_06_a_start_that_hangs_fails_in_time_and_the_supervisor_serves_again(kind, eventually):
    release = threading.Event()
    root = kind.start()
    spec = ChildSpec(
        "a", Plain, (lambda _: release.wait(PATIENCE_S),), start_timeout_s=0.5, kill_grace_s=0.02
    )
    with pytest.raises(StartError) as caught:
        call(root, StartChild(spec), PATIENCE_S)
    assert isinstance(caught.value.reason, StartTimeout)
    eventually(lambda: call(root, WhichChildren(), PATIENCE_S) == [])
    assert not release.is_set()
    assert len(zombies()) == 1
    release.set()
    eventually(lambda: not zombies())
    assert call(root, WhichChildren(), PATIENCE_S) == []
    root.stop()


@pytest.mark.parametrize(
    ("restart", "comes_back"), [("permanent", True), ("transient", False), ("temporary", False)]
)
def test_07_a_supervisor_gives_up_after_three_restarts(run_tree, probe, restart, comes_back):
    inner = Record()
    specs = [ChildSpec(id, Plain) for id in "abcd"]
    root, outer = run_tree(
        [
            ChildSpec(
                "inner",
                RecordingSupervisor,
                (specs,),
                {"record": inner, "max_restarts": 3, "max_seconds": 600.0},
                restart=restart,
            )
        ]
    )
    supervisor = child_of(root, "inner")
    child = child_of(supervisor.ref, "b").stable_ref
    probe.watch(supervisor.ref)
    for n in (1, 2, 3):
        crash(child, ValueError("bug"))
        assert wait_for_restart(child) == n
    crash(child, ValueError("bug"))
    probe.expect_down(supervisor.ref, SHUTDOWN, PATIENCE_S)
    assert inner.started[:7] == ["a", "b", "c", "d", "b", "b", "b"]
    assert inner.ended == ["b", "b", "b", "b", "d", "c", "a"]
    assert [report.context for report in inner.reports] == ["child_terminated"] * 4 + ["gave_up"]
    children = call(root, WhichChildren(), PATIENCE_S)
    if comes_back:
        assert wait_for_restart(supervisor.stable_ref) == 1
        assert inner.started[7:] == ["a", "b", "c", "d"]
    else:
        assert [info.ref for info in children] == ([None] if restart == "transient" else [])
        assert inner.started[7:] == []
    assert outer.ended == ["inner"]


class Reader(GenServer):
    """Blocks its thread in a system call."""

    def __init__(self, connection, reading):
        super().__init__()
        self._connection = connection
        self._reading = reading

    def on_receive(self, message):
        if message == "read":
            self._reading.set()
            return self._connection.recv(1)
        return message


class AbortableReader(Reader):
    def on_kill(self):
        self._connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def connection():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
def test_08_a_thread_blocked_in_a_read_is_unblocked_by_on_kill(kind, connection, probe):
    root, reading = kind.start(), threading.Event()
    spec = ChildSpec("r", AbortableReader, (connection[0], reading), shutdown=0.02, kill_grace_s=PATIENCE_S)
    child = call(root, StartChild(spec), PATIENCE_S)
    probe.watch(child)
    child.tell("read")
    assert reading.wait(PATIENCE_S)
    call(root, TerminateChild("r" if kind is Supervisor else child), PATIENCE_S)
    assert probe.expect_down(child) is KILLED
    assert zombies() == []
    root.stop()


@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
def test_09_a_thread_that_cannot_be_unblocked_is_abandoned_and_does_no_harm(
    kind, connection, probe, eventually
):
    root, reading = kind.start(), threading.Event()
    spec = ChildSpec(
        "r", Reader, (connection[0], reading), restart="temporary", shutdown=0.02, kill_grace_s=0.02
    )
    child = call(root, StartChild(spec), PATIENCE_S)
    probe.watch(child)
    asked = child.ask("read", block=False)
    assert reading.wait(PATIENCE_S)
    call(root, TerminateChild("r" if kind is Supervisor else child), PATIENCE_S)
    assert probe.expect_down(child) is KILLED
    assert asked.exception(timeout=PATIENCE_S).reason is KILLED
    assert [zombie.thread_name for zombie in zombies()] == ["Reader r"]
    successor = call(root, StartChild(spec), PATIENCE_S)  # its id is free at once
    urn = successor.actor_urn

    connection[1].send(b"x")  # it wakes up

    eventually(lambda: not zombies())
    assert call(successor, "hello", PATIENCE_S) == "hello"
    assert (successor.actor_urn, successor.restarts) == (urn, 0)
    assert [info.id for info in call(root, WhichChildren(), PATIENCE_S)] == ["r"]
    probe.expect_no_message()
    root.stop()


@pytest.mark.slow
@pytest.mark.usefixtures("frantic")
@pytest.mark.parametrize("mailbox", ["drop", "keep"])
@pytest.mark.parametrize("to", ["the child", "its incarnations"])
def test_10_ten_thousand_asks_that_race_crashes_and_the_end_are_all_answered(mailbox, to):
    root = Supervisor.start(max_restarts=10**6)
    child = call(root, StartChild(ChildSpec("a", Plain, mailbox=mailbox)), PATIENCE_S)
    futures, go = [], threading.Event()

    def ask():
        mine = []
        go.wait(PATIENCE_S)
        for n in range(2500):
            ref = child if to == "the child" else child._incarnation
            if ref is not None:
                mine.append((n, ref.ask(n, block=False)))
        futures.append(mine)

    def break_it():
        go.wait(PATIENCE_S)
        for n in range(20):
            cast(child, ValueError("bug"))
            if n % 5 == 0:
                kill(child)

    threads = [threading.Thread(target=target, daemon=True) for target in [ask] * 4 + [break_it]]
    for thread in threads:
        thread.start()
    go.set()
    threads[0].join(PATIENCE_S)
    root.stop()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert len(futures) == 4
    # What is sent to the child in the restart window is held, 1,000 messages of it.
    refusals = (pykka.ActorDeadError, MailboxFull) if to == "the child" else pykka.ActorDeadError
    for n, future in [pair for mine in futures for pair in mine]:
        error = future.exception(timeout=PATIENCE_S)
        assert error is None or isinstance(error, refusals), error
        assert error is not None or future.get() == n


def test_11_what_was_queued_behind_a_crash_fails_and_does_not_reach_the_next_incarnation(
    house, directory, caplog
):
    session, bug = house.open_session(directory), ValueError("bug")
    started, release = threading.Event(), threading.Event()
    session.tell(("block and raise", started, release, bug))
    assert started.wait(PATIENCE_S)
    asks = [session.ask(("ask", n), block=False) for n in range(100)]
    for n in range(100):
        session.tell(("tell", n))
    with caplog.at_level("DEBUG", "trunkline.supervision"):
        release.set()
        errors = [future.exception(timeout=PATIENCE_S) for future in asks]
        assert wait_for_restart(session) == 1
    assert all(isinstance(error, ActorDown) and error.reason is bug for error in errors)
    assert any(record.getMessage().startswith("100 messages were left") for record in caplog.records)
    assert call(session, "next", PATIENCE_S) == "next"
    assert directory.diary == ["start", ("terminate", bug), "start", "next"]


def test_12_what_the_broker_sends_in_the_restart_window_is_held_and_served(house, directory):
    session, gate = house.open_session(directory), threading.Event()
    urn = house.broker.actor_urn
    directory.starts.append(gate)
    ends(house.incarnation(session), lambda: crash(session, ValueError("bug")))
    call(house.broker, ("use", session, "hello"), PATIENCE_S)
    assert session.state == "restarting"
    assert house.log.events == []
    gate.set()
    assert house.log.expect(lambda _: True, PATIENCE_S).get() == "hello"
    assert (house.broker.actor_urn, house.broker.is_alive()) == (urn, True)


class Failing:
    """A start that waits, and then fails."""

    def __init__(self, gate, error):
        self._gate = gate
        self._error = error

    def wait(self, timeout):
        assert self._gate.wait(timeout)
        raise self._error


def test_12_if_the_session_is_given_up_the_broker_gets_actor_down(house, directory, probe):
    session, gate, bug = house.open_session(directory), threading.Event(), ValueError("start")
    probe.watch(session)
    urn = house.broker.actor_urn
    directory.starts += [Failing(gate, bug), bug, bug, bug]
    ends(house.incarnation(session), lambda: crash(session, ValueError("bug")))
    call(house.broker, ("use", session, "hello"), PATIENCE_S)
    assert house.log.events == []
    gate.set()
    error = house.log.expect(lambda _: True, PATIENCE_S).exception()
    assert isinstance(error, ActorDown)
    assert probe.expect_down(session) is error.reason
    assert (house.broker.actor_urn, house.broker.is_alive()) == (urn, True)


@pytest.mark.parametrize(
    ("strategy", "survives"), [("one_for_all", True), ("one_for_one", False), ("rest_for_one", True)]
)
def test_13_two_children_that_crash_at_once_are_one_restart_or_two(run_tree, strategy, survives, probe):
    gate = threading.Event()
    root, record = run_tree([ChildSpec(id, Plain) for id in "ab"], strategy=strategy, max_restarts=1)
    a, b = (child_of(root, id).ref for id in "ab")
    probe.watch(root)
    # The supervisor waits for this start, so it sees both ends together.
    third = root.ask(
        StartChild(ChildSpec("c", Plain, (lambda _: gate.wait(PATIENCE_S),), restart="transient")),
        block=False,
    )
    for ref in (a, b):
        ends(ref, lambda ref=ref: ref.tell(ValueError("bug")))
    gate.set()
    third.exception(timeout=PATIENCE_S)
    if survives:
        children = call(root, WhichChildren(), PATIENCE_S)
        assert [info.restarts for info in children] == [1, 1, 1]
        assert record.started == ["a", "b", "c", "a", "b", "c"]
        # One was counted, so the next crash is one too many.
        child_of(root, "a").ref.tell(ValueError("bug"))
    probe.expect_down(root, SHUTDOWN, PATIENCE_S)


@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, ValueError("bug")])
def test_14_a_child_that_ends_by_itself_while_its_supervisor_stops_stays_down(run_tree, probe, reason):
    stopping, gate = threading.Event(), threading.Event()

    def linger(_):
        stopping.set()
        assert gate.wait(PATIENCE_S)

    root, record = run_tree([ChildSpec("a", Plain), ChildSpec("b", Plain, (None, linger))])
    a = child_of(root, "a").ref
    probe.watch(root)
    stopper = threading.Thread(target=stop, args=(root, Shutdown("mine")), daemon=True)
    stopper.start()
    assert stopping.wait(PATIENCE_S)
    ends(a, lambda: a.tell(Exit(reason)))
    gate.set()
    stopper.join(PATIENCE_S)
    probe.expect_down(root, Shutdown("mine"), PATIENCE_S)
    assert record.started == ["a", "b"]
    ended = [(event.id, event.reason) for event in record.events if isinstance(event, Ended)]
    assert ended == [("a", reason), ("b", SHUTDOWN)]


@pytest.mark.parametrize("pace", ["hot", "slow"])
def test_15_a_stop_during_a_retry_loop_is_served_within_one_attempt(run_tree, pace):
    attempts, broken, trying, gate = [], threading.Event(), threading.Semaphore(0), threading.Semaphore(0)

    def on_start(_):
        if broken.is_set():
            attempts.append(1)
            trying.release()
            assert pace == "hot" or gate.acquire(timeout=PATIENCE_S)
            raise ValueError("start")

    root, record = run_tree([ChildSpec("a", Plain, (on_start,))], max_restarts=10**6)
    broken.set()
    crash(child_of(root, "a").stable_ref, ValueError("bug"))
    for _ in range(3):
        assert trying.acquire(timeout=PATIENCE_S)
        gate.release()
    if pace == "slow":
        assert trying.acquire(timeout=PATIENCE_S)  # the fourth attempt waits at the gate
    stopped = root.stop(block=False)
    gate.release()
    stopped.get(timeout=PATIENCE_S)
    made = len(attempts)
    assert pace == "hot" or made == 4
    assert record.started == ["a"]
    assert pykka.ActorRegistry.get_all() == []
    assert len(attempts) == made


def test_16_a_tool_worker_that_crashes_is_removed_and_its_session_goes_on(
    house, directory, outcome, eventually
):
    session, bug, gate = house.open_session(directory), ValueError("tool"), threading.Event()

    def tool():
        assert gate.wait(PATIENCE_S)
        raise bug

    call(session, ("run", house.workers, "call_1", tool), PATIENCE_S)
    eventually(lambda: len(call(house.workers, WhichChildren(), PATIENCE_S)) == 1)
    worker = call(house.workers, WhichChildren(), PATIENCE_S)[0].stable_ref
    assert call(session, "while it runs", PATIENCE_S) == "while it runs"
    gate.set()
    eventually(lambda: directory.outcomes)
    assert directory.outcomes == [outcome("call_1", bug)]
    assert call(house.workers, WhichChildren(), PATIENCE_S) == []
    assert worker.restarts == 0
    assert call(session, "afterwards", PATIENCE_S) == "afterwards"
    assert session.restarts == house.workers.restarts == 0


def test_17_a_tools_outcome_is_taken_up_by_the_sessions_next_incarnation(
    house, directory, outcome, eventually
):
    session, gate = house.open_session(directory), threading.Event()
    call(session, ("run", house.workers, "call_1", lambda: gate.wait(PATIENCE_S) and "sunny"), PATIENCE_S)
    crash(session, ValueError("bug"))
    assert wait_for_restart(session) == 1
    gate.set()
    eventually(lambda: directory.outcomes)
    assert directory.outcomes == [outcome("call_1", "sunny")]
    eventually(lambda: call(house.workers, WhichChildren(), PATIENCE_S) == [])


def test_17_a_tool_ends_with_its_session_if_that_is_given_up(house, directory, probe, eventually):
    session = house.open_session(directory)
    call(session, ("run", house.workers, "call_1", lambda: None), PATIENCE_S)
    eventually(lambda: len(call(house.workers, WhichChildren(), PATIENCE_S)) == 1)
    worker = call(house.workers, WhichChildren(), PATIENCE_S)[0].stable_ref
    probe.watch(worker)
    call(house.sessions, TerminateChild(session), PATIENCE_S)
    assert probe.expect_down(worker) is NORMAL
    eventually(lambda: call(house.workers, WhichChildren(), PATIENCE_S) == [])
    assert directory.outcomes == []


def test_17_the_late_outcome_of_a_zombie_is_dropped(house, directory, outcome, eventually):
    session, started, gate = house.open_session(directory), threading.Event(), threading.Event()

    def tool():
        started.set()
        assert gate.wait(PATIENCE_S)
        return "too late"

    call(session, ("run", house.workers, "call_1", tool), PATIENCE_S)
    assert started.wait(PATIENCE_S)
    worker = call(house.workers, WhichChildren(), PATIENCE_S)[0].stable_ref
    call(house.workers, TerminateChild(worker), PATIENCE_S)
    eventually(lambda: directory.outcomes)
    assert len(zombies()) == 1
    gate.set()
    eventually(lambda: not zombies())
    assert call(session, "afterwards", PATIENCE_S) == "afterwards"
    assert directory.outcomes == [outcome("call_1", KILLED)]
    assert session.restarts == 0


@pytest.mark.parametrize("seed", range(8))
def test_18_stop_all_at_a_random_moment_ends_everything_for_good(seed):
    chance = random.Random(seed)
    terminated, crashing = [], threading.Event()

    def note(actor):
        terminated.append(actor.actor_urn)

    def inner():
        return [ChildSpec(n, Plain, (None, note)) for n in range(3)]

    root = Supervisor.start(
        [ChildSpec(id, Supervisor, (inner(),), {"max_restarts": 10**6}) for id in ("left", "right")],
        max_restarts=10**6,
    )
    children = [
        info.stable_ref
        for supervisor in call(root, WhichChildren(), PATIENCE_S)
        for info in call(supervisor.ref, WhichChildren(), PATIENCE_S)
    ]

    def keep_crashing():
        while crashing.is_set():
            cast(chance.choice(children), ValueError("bug"))

    crashing.set()
    crasher = threading.Thread(target=keep_crashing, daemon=True)
    crasher.start()
    threading.Event().wait(chance.random() / 50)  # the random moment
    pykka.ActorRegistry.stop_all()
    crashing.clear()
    crasher.join(PATIENCE_S)
    assert pykka.ActorRegistry.get_all() == []
    assert root.actor_inbox.down.is_set()
    assert len(terminated) == len(set(terminated))


def test_18_stop_all_in_the_middle_of_a_restart_starts_nothing_afterwards(run_tree):
    restarting, trying, gate = threading.Event(), threading.Event(), threading.Event()

    def on_start(_):
        if restarting.is_set():
            trying.set()
            assert gate.wait(PATIENCE_S)

    root, record = run_tree([ChildSpec("a", Plain, (on_start,)), ChildSpec("b", Plain)])
    restarting.set()
    crash(child_of(root, "a").stable_ref, ValueError("bug"))
    assert trying.wait(PATIENCE_S)
    host = threading.Thread(target=pykka.ActorRegistry.stop_all, daemon=True)
    host.start()
    gate.set()
    host.join(PATIENCE_S)
    assert not host.is_alive()
    assert pykka.ActorRegistry.get_all() == []
    assert record.started == ["a", "b", "a"]
    assert record.ended == ["a", "b", "a"]


@pytest.mark.parametrize("k", [1, 3])
def test_19_a_restart_without_a_thread_is_a_failed_start_and_leaves_no_ghost(run_tree, k):
    broken, no_thread = [], RuntimeError("can't start new thread")

    class Threadless(Plain):
        def _start_actor_loop(self):
            if broken:
                raise broken.pop()
            super()._start_actor_loop()

    root, record = run_tree([ChildSpec("a", Threadless), ChildSpec("b", Plain)], max_restarts=k + 1)
    child = child_of(root, "a").stable_ref
    broken += [no_thread] * k
    crash(child, ValueError("bug"))
    assert wait_for_restart(child) == 1
    failed = [report for report in record.reports if report.context == "start_error"]
    assert [report.reason for report in failed] == [no_thread] * k
    alive = {ref.actor_urn for ref in pykka.ActorRegistry.get_all()}
    assert alive == {root.actor_urn, child.actor_urn, child_of(root, "b").ref.actor_urn}
    ends(root, lambda: crash(child, ValueError("bug")))  # k + 1 were counted
    assert record.reports[-1].context == "gave_up"


@pytest.mark.parametrize("how", ["raises", "is killed"])
def test_20_a_supervisor_that_dies_takes_its_children_along_and_is_restarted_empty(
    house, directory, probe, how
):
    session = house.open_session(directory)
    incarnation, supervisor = house.incarnation(session), child_of(house.root, "sessions").ref
    urns = [house.broker.actor_urn, house.workers.actor_urn]
    bug = ValueError("in a supervisor")
    probe.watch(incarnation)
    probe.watch(session)
    probe.watch(supervisor)
    if how == "raises":
        crash(supervisor, bug)
    else:
        kill(supervisor)
    assert probe.expect_down(supervisor, bug if how == "raises" else KILLED)
    probe.expect_down(incarnation, SHUTDOWN if how == "raises" else KILLED)
    probe.expect_down(session)
    assert wait_for_restart(house.sessions) == 1
    assert call(house.sessions, WhichChildren(), PATIENCE_S) == []
    assert [house.broker.actor_urn, house.workers.actor_urn] == urns
    assert house.broker.is_alive()
    assert call(house.open_session(directory), "hello", PATIENCE_S) == "hello"
