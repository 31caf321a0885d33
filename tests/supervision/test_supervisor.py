"""The one_for_one supervisor: starting, restarting, ending, and its requests."""

import gc
import logging
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
    AlreadyPresent,
    AlreadyStarted,
    ChildSpec,
    CountChildren,
    Counts,
    DeleteChild,
    GenServer,
    GetChildSpec,
    InvalidSpec,
    ManualClock,
    NotFound,
    RestartChild,
    Restarting,
    Running,
    Shutdown,
    Sibling,
    StableRef,
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
    stop,
    zombies,
)

PATIENCE_S = 30.0


def ids(supervisor):
    return [child.id for child in call(supervisor, WhichChildren())]


def stable(supervisor, child_id):
    return call(supervisor, WhichChild(child_id)).stable_ref


@pytest.fixture
def specs(worker_class):
    """`specs("a", "b")`: workers that write into one diary, with their ids."""

    class Named(worker_class):
        def __init__(self, name, diary, **kwargs):
            super().__init__(**kwargs)
            self._name, self._book = name, diary

        def on_start(self):
            self._book.append(("start", self._name))
            super().on_start()

        def terminate(self, reason):
            self._book.append(("terminate", self._name, reason))

    def make(*names, diary=None, **options):
        diary = [] if diary is None else diary
        return [ChildSpec(name, Named, (name, diary), **options) for name in names]

    return make


# -- start and stop --


def test_start_returns_when_every_child_has_acked_and_stop_when_all_are_down(run_tree, specs):
    diary = []
    supervisor = run_tree(Supervisor, specs("a", "b", "c", diary=diary))
    assert diary == [("start", name) for name in "abc"]
    assert type(supervisor) is pykka.ActorRef
    assert ids(supervisor) == ["c", "b", "a"]
    assert supervisor.stop() is True
    assert diary[3:] == [("terminate", name, SHUTDOWN) for name in "cba"]
    assert pykka.ActorRegistry.get_all() == []
    assert supervisor.actor_inbox.reason is NORMAL


def test_an_empty_supervisor_starts_and_stops(run_tree):
    supervisor = run_tree(Supervisor)
    assert stop(supervisor, SHUTDOWN, PATIENCE_S)
    assert supervisor.actor_inbox.reason is SHUTDOWN


def test_the_roots_thread_keeps_the_process_alive_and_the_childrens_do_not(run_tree, specs):
    supervisor = run_tree(Supervisor, specs("a"), name="root")
    threads = {thread.name: thread.daemon for thread in threading.enumerate()}
    assert threads["Supervisor root"] is False
    assert threads["Named a"] is True
    assert supervisor.is_alive()


def test_terminate_of_a_subclass_runs_after_all_children_are_down(run_tree, specs):
    diary = []

    class Root(Supervisor):
        def terminate(self, reason):
            diary.append(("root", reason, len(pykka.ActorRegistry.get_all())))

    supervisor = run_tree(Root, specs("a", "b", diary=diary))
    supervisor.stop()
    assert diary[-1] == ("root", NORMAL, 0)


def test_when_a_child_does_not_start_those_before_it_are_ended_and_those_after_it_never_made(specs):
    diary, error = [], ValueError("x")
    failing = specs("bad", diary=diary)[0]
    broken = ChildSpec("bad", failing.start, failing.args, {"fails": [error]})
    with pytest.raises(StartError) as caught:
        Supervisor.start([*specs("a", "b", diary=diary), broken, *specs("d", diary=diary)])
    assert caught.value.reason == Shutdown(("failed_to_start_child", "bad", error))
    assert caught.value.__cause__ is error
    assert diary == [
        ("start", "a"),
        ("start", "b"),
        ("start", "bad"),
        ("terminate", "b", SHUTDOWN),
        ("terminate", "a", SHUTDOWN),
    ]
    assert pykka.ActorRegistry.get_all() == []


def test_the_cause_of_a_failed_start_comes_up_through_nested_supervisors(worker_class):
    error = ValueError("deep down")
    leaf = ChildSpec("leaf", worker_class, kwargs={"fails": [error]})
    inner = ChildSpec("inner", Supervisor, ([leaf],))
    with pytest.raises(StartError) as caught:
        Supervisor.start([inner])
    assert caught.value.__cause__ is error
    assert pykka.ActorRegistry.get_all() == []


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1)])
def test_a_constructor_that_raises_is_a_start_error(run_tree, error):
    class Unborn(GenServer):
        def __init__(self):
            raise error

    with pytest.raises(StartError) as caught:
        Supervisor.start([ChildSpec("u", Unborn)])
    assert caught.value.__cause__ is error
    supervisor = run_tree(Supervisor)
    with pytest.raises(StartError) as caught:
        call(supervisor, StartChild(ChildSpec("u", Unborn)))
    assert caught.value.reason is error
    assert ids(supervisor) == []


def test_a_class_that_forgets_super_init_is_a_start_error(run_tree):
    class Forgetful(GenServer):
        def __init__(self):
            pass

    with pytest.raises(StartError):
        call(run_tree(Supervisor), StartChild(ChildSpec("f", Forgetful)))
    assert len(pykka.ActorRegistry.get_all()) == 1


def test_no_thread_to_be_had_is_a_start_error_and_leaves_no_ghost(run_tree):
    class Threadless(GenServer):
        def _start_actor_loop(self):
            raise RuntimeError("can't start new thread")

    with pytest.raises(StartError):
        call(run_tree(Supervisor), StartChild(ChildSpec("t", Threadless)))
    assert len(pykka.ActorRegistry.get_all()) == 1


@pytest.mark.usefixtures("no_zombies")
def test_a_child_that_hangs_in_on_start_fails_to_start_within_its_timeout(run_tree, eventually):
    release = threading.Event()

    class Hanging(GenServer):
        def on_start(self):
            release.wait(PATIENCE_S)

    supervisor = run_tree(Supervisor)
    spec = ChildSpec("h", Hanging, start_timeout_s=0.05, kill_grace_s=0.05)
    with pytest.raises(StartError) as caught:
        call(supervisor, StartChild(spec), PATIENCE_S)
    assert isinstance(caught.value.reason, StartTimeout)
    assert ids(supervisor) == []
    release.set()


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("strategy", {"strategy": "all_or_nothing"}),
        ("max_restarts", {"max_restarts": -1}),
        ("max_restarts", {"max_restarts": 1.5}),
        ("max_seconds", {"max_seconds": 0}),
        ("max_seconds", {"max_seconds": "five"}),
        ("on_report", {"on_report": "loud"}),
        ("spec", {"children": ["no spec"]}),
    ],
)
def test_wrong_arguments_are_refused_in_the_caller_before_a_thread_exists(field, arguments):
    before = set(threading.enumerate())
    with pytest.raises(InvalidSpec) as caught:
        Supervisor.start(**arguments)
    assert caught.value.field == field
    assert set(threading.enumerate()) <= before


def test_two_children_with_one_id_are_refused_in_the_caller(specs):
    with pytest.raises(InvalidSpec, match="children"):
        Supervisor.start(specs("a", "a"))


# -- restarting --


def test_a_crashed_child_is_restarted_and_its_siblings_are_not(run_tree, specs, crash):
    supervisor = run_tree(Supervisor, specs("a", "b"))
    a, b = stable(supervisor, "a"), stable(supervisor, "b")
    urns = a.actor_urn, b.actor_urn
    crash(a)
    assert call(a, "urn") != urns[0]
    assert call(b, "urn") == urns[1]
    assert (a.restarts, b.restarts) == (1, 0)
    assert stable(supervisor, "a") is a


@pytest.mark.parametrize(
    ("restart", "reason", "expected"),
    [
        ("permanent", NORMAL, "restarted"),
        ("permanent", Shutdown("x"), "restarted"),
        ("permanent", ValueError("x"), "restarted"),
        ("transient", NORMAL, "stopped"),
        ("transient", SHUTDOWN, "stopped"),
        ("transient", Shutdown("x"), "stopped"),
        ("transient", ValueError("x"), "restarted"),
        ("temporary", NORMAL, "removed"),
        ("temporary", ValueError("x"), "removed"),
    ],
)
def test_a_child_that_ended_by_itself_fares_as_its_restart_type_says(
    run_tree, specs, eventually, restart, reason, expected
):
    supervisor = run_tree(Supervisor, specs("a", restart=restart))
    child = stable(supervisor, "a")
    child.tell(("exit", reason))
    if expected == "restarted":
        eventually(lambda: child.restarts == 1)
        assert call(child, "alive") == "alive"
        return
    eventually(lambda: not child.is_alive())
    assert ids(supervisor) == (["a"] if expected == "stopped" else [])
    with pytest.raises(ActorDown):
        call(child, "alive")
    if expected == "stopped":
        assert call(supervisor, WhichChild("a")).ref is None


def test_more_than_max_restarts_end_the_supervisor_and_all_its_children_with_shutdown(run_tree, specs, crash):
    diary = []
    supervisor = run_tree(Supervisor, specs("a", "b", diary=diary), max_restarts=2)
    a, b = stable(supervisor, "a"), stable(supervisor, "b")
    for _ in range(3):
        crash(a)
    assert join(supervisor, PATIENCE_S)
    assert supervisor.actor_inbox.reason is SHUTDOWN
    assert diary.count(("start", "a")) == 3
    assert diary[-1] == ("terminate", "b", SHUTDOWN)
    assert not a.is_alive()
    assert not b.is_alive()


def test_restarts_that_are_far_enough_apart_never_end_the_supervisor(run_tree, specs, crash):
    clock = ManualClock()
    supervisor = run_tree(Supervisor, specs("a"), max_restarts=1, max_seconds=5.0, clock=clock)
    a = stable(supervisor, "a")
    for number in range(5):
        crash(a)
        assert call(a, number) == number
        clock.advance(5.1)
    assert a.restarts == 5
    assert supervisor.is_alive()


def test_a_start_that_fails_during_a_restart_is_tried_again_and_counted(
    run_tree, worker_class, crash, eventually
):
    fails = [None, ValueError("1"), ValueError("2")]
    supervisor = run_tree(Supervisor, [ChildSpec("a", worker_class, kwargs={"fails": fails})])
    a = stable(supervisor, "a")
    crash(a)
    assert call(a, "served", PATIENCE_S) == "served"
    assert fails == []
    assert a.restarts == 1
    crash(a)  # that was the third restart of three; this one is the fourth
    assert join(supervisor, PATIENCE_S)


def test_a_start_that_always_fails_is_tried_max_restarts_times(run_tree, worker_class, crash):
    diary, fails = [], [None, *(ValueError(str(number)) for number in range(10))]
    supervisor = run_tree(Supervisor, [ChildSpec("a", worker_class, (diary, None, fails))], max_restarts=3)
    a = stable(supervisor, "a")
    future = a.ask(("raise", ValueError("x")), block=False)
    future.exception(timeout=PATIENCE_S)
    assert join(supervisor, PATIENCE_S)
    assert diary.count("start") == 1 + 3
    assert not a.is_alive()


def test_a_nested_supervisor_that_gives_up_is_restarted_by_its_parent(run_tree, specs, crash, eventually):
    inner = ChildSpec("inner", Supervisor, (specs("leaf"),), {"max_restarts": 0})
    root = run_tree(Supervisor, [inner])
    stable_inner = stable(root, "inner")
    leaf = stable(stable_inner, "leaf")
    crash(leaf)
    eventually(lambda: stable_inner.restarts == 1)
    assert call(stable(stable_inner, "leaf"), "hello") == "hello"
    with pytest.raises(ActorDown):
        call(leaf, "the child of a supervisor that died is gone")


# -- the end --


def test_a_child_handles_what_was_queued_before_it_is_told_to_stop(run_tree, specs):
    supervisor = run_tree(Supervisor, specs("a"))
    a = stable(supervisor, "a")
    futures = [a.ask(number, block=False) for number in range(50)]
    call(supervisor, TerminateChild("a"))
    assert [future.get(timeout=0) for future in futures] == list(range(50))


def test_a_busy_child_is_killed_after_its_shutdown_time_and_on_kill_frees_it(run_tree, worker_class):
    diary, started, release = [], threading.Event(), threading.Event()
    reports = []
    spec = ChildSpec("a", worker_class, (diary, release), shutdown=0.05, kill_grace_s=PATIENCE_S)
    supervisor = run_tree(Supervisor, [spec], on_report=reports.append)
    a = stable(supervisor, "a")
    future = a.ask(("block", started, release), block=False)
    assert started.wait(PATIENCE_S)
    supervisor.stop()
    assert [entry[0] for entry in diary[1:]] == ["on_kill"]
    assert [(report.context, report.reason) for report in reports] == [("shutdown_error", KILLED)]
    assert zombies() == []
    future.exception(timeout=PATIENCE_S)


@pytest.mark.usefixtures("no_zombies")
def test_a_child_that_cannot_be_freed_is_abandoned_and_its_waking_changes_nothing(run_tree, worker_class):
    diary, started, release = [], threading.Event(), threading.Event()
    spec = ChildSpec("a", worker_class, (diary,), shutdown=0.05, kill_grace_s=0.05)
    supervisor = run_tree(Supervisor, [spec])
    a = stable(supervisor, "a")
    in_hand = a.ask(("block", started, release), block=False)
    queued = a.ask(("note", "never"), block=False)
    assert started.wait(PATIENCE_S)
    supervisor.stop()
    for future in (in_hand, queued):
        with pytest.raises(ActorDown) as caught:
            future.get(timeout=0)
        assert caught.value.reason is KILLED
    (zombie,) = zombies()
    assert zombie.thread_name == "Worker a"
    assert "release.wait" in zombie.stack
    release.set()
    assert diary == ["start", ("on_kill", "Supervisor " + supervisor.actor_urn.removeprefix("urn:uuid:")[:8])]


def test_brutal_kill_runs_no_terminate(run_tree, worker_class):
    diary = []
    supervisor = run_tree(Supervisor, [ChildSpec("a", worker_class, (diary,), shutdown=BRUTAL_KILL)])
    call(supervisor, TerminateChild("a"))
    assert [entry[0] for entry in diary if entry != "start"] == ["on_kill"]


def test_a_child_that_crashes_while_it_is_told_to_stop_is_reported_and_not_restarted(
    run_tree, specs, eventually
):
    reports = []
    supervisor = run_tree(Supervisor, specs("a"), on_report=reports.append)
    a = stable(supervisor, "a")
    started, release, error = threading.Event(), threading.Event(), ValueError("x")
    a.tell(("block", started, release))
    assert started.wait(PATIENCE_S)
    a.tell(("raise", error))
    done = supervisor.ask(TerminateChild("a"), block=False)
    mailbox = a._mailbox
    eventually(lambda: mailbox.qsize() == 2, "the child is told to stop")
    release.set()
    done.get(timeout=PATIENCE_S)
    assert [(report.context, report.reason) for report in reports] == [("shutdown_error", error)]
    assert a.restarts == 0


def test_killing_a_supervisor_takes_its_children_down(run_tree, specs):
    supervisor = run_tree(Supervisor, specs("a", "b"))
    a, b = stable(supervisor, "a"), stable(supervisor, "b")
    kill(supervisor)
    assert join(supervisor, PATIENCE_S)
    assert supervisor.actor_inbox.reason is KILLED
    assert join(a, PATIENCE_S)
    assert join(b, PATIENCE_S)


def test_killing_a_supervisor_that_waits_for_a_child_frees_it(run_tree, worker_class):
    started, release = threading.Event(), threading.Event()
    spec = ChildSpec("a", worker_class, ([], release), shutdown=PATIENCE_S * 10, kill_grace_s=PATIENCE_S)
    supervisor = run_tree(Supervisor, [spec])
    stable(supervisor, "a").tell(("block", started, release))
    assert started.wait(PATIENCE_S)
    waiting = supervisor.ask(TerminateChild("a"), block=False)
    kill(supervisor)
    assert join(supervisor, PATIENCE_S)
    waiting.exception(timeout=PATIENCE_S)


def test_a_supervisor_whose_own_code_raises_takes_its_children_down_and_is_restarted_by_its_parent(
    run_tree, specs
):
    class Shaky(Supervisor):
        def on_receive(self, message):
            if message == "raise":
                raise SystemExit(1)
            return super().on_receive(message)

    diary = []
    root = run_tree(Supervisor, [ChildSpec("shaky", Shaky, (specs("a", diary=diary),))])
    shaky = stable(root, "shaky")
    with pytest.raises(ActorDown):
        call(shaky, "raise")
    assert ids(shaky) == ["a"]
    assert [entry[0] for entry in diary] == ["start", "terminate", "start"]


# -- requests --


def test_children_can_be_added(run_tree, specs):
    supervisor = run_tree(Supervisor)
    child = call(supervisor, StartChild(specs("a")[0]))
    assert isinstance(child, StableRef)
    assert call(child, "hello") == "hello"
    assert ids(supervisor) == ["a"]


def test_a_failed_start_child_stores_nothing_and_counts_no_restart(run_tree, worker_class):
    supervisor = run_tree(Supervisor, max_restarts=0)
    error = ValueError("x")
    with pytest.raises(StartError) as caught:
        call(supervisor, StartChild(ChildSpec("a", worker_class, kwargs={"fails": [error]})))
    assert caught.value.reason is error
    assert ids(supervisor) == []


def test_the_table_of_otps_answers_running(run_tree, specs):
    supervisor = run_tree(Supervisor, specs("a"))
    a = stable(supervisor, "a")
    with pytest.raises(AlreadyStarted) as caught:
        call(supervisor, StartChild(specs("a")[0]))
    assert caught.value.ref is a
    with pytest.raises(Running):
        call(supervisor, RestartChild("a"))
    with pytest.raises(Running):
        call(supervisor, DeleteChild("a"))
    assert call(supervisor, GetChildSpec("a")).id == "a"
    assert call(supervisor, TerminateChild("a")) is None


def test_the_table_of_otps_answers_stopped(run_tree, specs):
    supervisor = run_tree(Supervisor, specs("a"), max_restarts=0)
    a = stable(supervisor, "a")
    for _ in range(2):
        assert call(supervisor, TerminateChild("a")) is None
    with pytest.raises(AlreadyPresent):
        call(supervisor, StartChild(specs("a")[0]))
    assert call(supervisor, CountChildren()) == Counts(specs=1, active=0, supervisors=0, workers=1)
    assert a.state == "stopped"
    assert call(supervisor, RestartChild("a")) is a
    assert call(a, "hello") == "hello"
    call(supervisor, TerminateChild("a"))
    assert call(supervisor, DeleteChild("a")) is None
    assert ids(supervisor) == []


@pytest.mark.parametrize(
    "request_type", [TerminateChild, RestartChild, DeleteChild, GetChildSpec, WhichChild]
)
def test_the_table_of_otps_answers_unknown(run_tree, request_type):
    with pytest.raises(NotFound):
        call(run_tree(Supervisor), request_type("nobody"))


def test_the_table_of_otps_answers_restarting(run_tree, worker_class, crash):
    second_start, release = threading.Event(), threading.Event()

    class SlowToFail(worker_class):
        def on_start(self):
            self._diary.append("start")
            if self._diary.count("start") == 2:
                second_start.set()
                release.wait(PATIENCE_S)
            if self._diary.count("start") > 1:
                raise ValueError("no more")

    supervisor = run_tree(Supervisor, [ChildSpec("a", SlowToFail, ([],))])
    a = stable(supervisor, "a")
    crash(a)
    assert second_start.wait(PATIENCE_S)
    # queued while the first attempt fails: served before the next one
    asked = [
        supervisor.ask(message, block=False)
        for message in (
            WhichChild("a"),
            RestartChild("a"),
            DeleteChild("a"),
            TerminateChild("a"),
            WhichChild("a"),
        )
    ]
    release.set()
    assert asked[0].get(timeout=PATIENCE_S).ref is RESTARTING
    assert isinstance(asked[1].exception(timeout=PATIENCE_S), Restarting)
    assert isinstance(asked[2].exception(timeout=PATIENCE_S), Restarting)
    assert asked[3].get(timeout=PATIENCE_S) is None
    assert asked[4].get(timeout=PATIENCE_S).ref is None
    assert not a.is_alive()


def test_requests_are_methods_for_proxies(run_tree, specs):
    proxy = run_tree(Supervisor, specs("a")).proxy()
    assert [child.id for child in proxy.which_children().get(timeout=PATIENCE_S)] == ["a"]
    assert proxy.count_children().get(timeout=PATIENCE_S).active == 1
    with pytest.raises(NotFound):
        proxy.terminate_child("b").get(timeout=PATIENCE_S)
    proxy.terminate_child("a").get(timeout=PATIENCE_S)
    proxy.restart_child("a").get(timeout=PATIENCE_S)
    assert "a" in str(proxy.tree().get(timeout=PATIENCE_S))


def test_a_refused_request_that_was_told_harms_nobody(run_tree):
    supervisor = run_tree(Supervisor)
    supervisor.tell(TerminateChild("nobody"))
    assert ids(supervisor) == []


def test_a_siblings_reference_can_be_a_start_argument_in_either_direction(
    run_tree, specs, worker_class, crash
):
    class Referring(worker_class):
        def __init__(self, other, *, friend=None):
            super().__init__()
            self._other = other

        def on_receive(self, message):
            return self._other if message == "other" else super().on_receive(message)

    first = ChildSpec("first", Referring, (Sibling("second"),))
    second = ChildSpec("second", Referring, (Sibling("first"),))
    supervisor = run_tree(Supervisor, [first, second])
    one, two = stable(supervisor, "first"), stable(supervisor, "second")
    assert call(one, "other") is two
    assert call(two, "other") is one
    crash(one)
    assert call(call(two, "other"), "hello") == "hello"


def test_a_sibling_that_is_not_there_is_a_start_error(run_tree, worker_class):
    with pytest.raises(StartError) as caught:
        Supervisor.start([ChildSpec("a", worker_class, (Sibling("b"),))])
    assert isinstance(caught.value.__cause__, LookupError)


def test_a_manual_clock_is_handed_down_the_tree(run_tree, worker_class):
    clock = ManualClock()
    clock.advance(77.0)

    class Timed(GenServer):
        def on_receive(self, message):
            return self._now()

    inner = ChildSpec("inner", Supervisor, ([ChildSpec("leaf", Timed)],))
    supervisor = run_tree(Supervisor, [inner], clock=clock)
    assert call(stable(stable(supervisor, "inner"), "leaf"), "now") == 77.0


def test_two_hundred_restarts_leave_nothing_behind(run_tree, worker_class, crash, eventually, caplog):
    caplog.set_level(logging.CRITICAL + 1)  # pytest keeps records, they tracebacks, and those the actors
    clock = ManualClock()
    supervisor = run_tree(Supervisor, [ChildSpec("a", worker_class)], clock=clock)
    a = stable(supervisor, "a")
    threads, watchers = threading.active_count(), len(supervisor.actor_inbox._watchers)
    for _ in range(200):
        crash(a)
        call(a, "sync", PATIENCE_S)
        clock.advance(6.0)
    eventually(lambda: threading.active_count() <= threads, "the victims' threads end")
    assert len(pykka.ActorRegistry.get_all()) == 2
    assert len(supervisor.actor_inbox._watchers) == watchers
    gc.collect()
    assert len([sleeper for sleeper in clock._sleepers if sleeper() is not None]) <= 4
