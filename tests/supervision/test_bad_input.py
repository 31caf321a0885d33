"""What is wrong is said to whoever did it, by name, and harms neither supervisor nor siblings."""

import asyncio
import dataclasses
import math
import subprocess
import sys
import threading

import pykka
import pytest
from pykka.messages import ProxyCall, ProxyGetAttr

from trunkline.supervision import (
    ActorDown,
    AlreadyRegistered,
    ChildSpec,
    DeleteChild,
    DynamicSupervisor,
    GenServer,
    GetChildSpec,
    InvalidRequest,
    InvalidSpec,
    NotFound,
    Registry,
    RestartChild,
    StartChild,
    StartError,
    StartTimeout,
    Supervised,
    SupervisionError,
    Supervisor,
    TerminateChild,
    WhichChild,
    WhichChildren,
    call,
    join,
    link,
    tree,
    watch,
    zombies,
)

PATIENCE_S = 30.0
BASE_EXCEPTIONS = [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError]
KINDS = [Supervisor, DynamicSupervisor]


class Unhashable:
    __hash__ = None


class Explosive:
    """Cannot even be looked at."""

    def __hash__(self):
        raise ValueError("no hash today")


class Final(pykka.ThreadingActor):
    def __init_subclass__(cls, **kwargs):
        raise TypeError("Final is final")


class FailsToConstruct(GenServer):
    def __init__(self, error):
        super().__init__()
        raise error


class FailsToStart(GenServer):
    def __init__(self, error):
        super().__init__()
        self._error = error

    def on_start(self):
        raise self._error


# -- specs and flags --


@pytest.mark.parametrize("field", ["shutdown", "start_timeout_s", "kill_grace_s"])
@pytest.mark.parametrize("value", [-1, -1.0, -0.001, math.nan, -math.inf, "5", None, True, (), 1j])
def test_a_duration_that_is_none_is_refused_and_named(worker_class, field, value):
    with pytest.raises(InvalidSpec, match=f"^{field}=") as caught:
        ChildSpec("a", worker_class, **{field: value})
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("start", pykka.ThreadingActor.start),
        ("start", None),
        ("id", Explosive()),
        ("id", Unhashable()),
        ("kwargs", {1: 2}),
        ("kwargs", [("a", 1)]),
        ("args", [1]),
        ("register", (Registry(), Explosive())),
        ("restart", ["permanent"]),
        ("type", {}),
        ("mailbox", Unhashable()),
    ],
)
def test_a_field_that_cannot_work_is_refused_and_named(worker_class, field, value):
    with pytest.raises(InvalidSpec) as caught:
        ChildSpec(**{"id": "a", "start": worker_class, field: value})
    assert caught.value.field == field


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("clock", [5, "noon", object])
def test_a_clock_that_is_none_is_refused_and_named(kind, clock):
    before = set(threading.enumerate())
    with pytest.raises(InvalidSpec, match=r"^clock="):
        kind.start(clock=clock)
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("children", [5, None, ChildSpec("a", FailsToStart)])
def test_children_that_are_no_list_are_refused_and_named(children):
    with pytest.raises(InvalidSpec, match=r"^children="):
        Supervisor.start(children)


def test_a_class_that_cannot_be_supervised_is_refused_and_named(run_tree):
    spec = ChildSpec("final", Final)
    with pytest.raises(InvalidSpec, match=r"^start="):
        Supervisor.start([spec])
    for kind in KINDS:
        supervisor = run_tree(kind)
        with pytest.raises(InvalidSpec, match=r"^start="):
            call(supervisor, StartChild(spec), PATIENCE_S)
        assert supervisor.is_alive()


# -- requests --


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrong", ["x", None, 5, ChildSpec, (), Unhashable(), Explosive()])
@pytest.mark.parametrize(
    "request_class", [StartChild, TerminateChild, RestartChild, DeleteChild, WhichChild, GetChildSpec]
)
def test_a_request_about_nothing_is_the_callers_error(run_tree, kind, request_class, wrong):
    supervisor = run_tree(kind)
    with pytest.raises((InvalidSpec, NotFound)):
        call(supervisor, request_class(wrong), PATIENCE_S)
    assert supervisor.is_alive()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "message",
    [
        ProxyCall(attr_path=("start_child",), args=(), kwargs={}),
        ProxyCall(attr_path=("terminate_child",), args=(1, 2), kwargs={}),
        ProxyCall(attr_path=("restart_child",), args=(), kwargs={"child": "a"}),
        ProxyCall(attr_path=("which_children",), args=("a",), kwargs={}),
        ProxyCall(attr_path=("adopt_child",), args=(), kwargs={}),
        ProxyCall(attr_path=("let_it_crash",), args=(), kwargs={}),
        ProxyGetAttr(attr_path=("adopted",)),
    ],
    ids=str,
)
def test_a_request_that_is_none_is_the_callers_error_and_the_supervisor_lives(run_tree, kind, message):
    supervisor = run_tree(kind)
    with pytest.raises(InvalidRequest) as caught:
        call(supervisor, message, PATIENCE_S)
    assert isinstance(caught.value, SupervisionError)
    assert isinstance(caught.value, TypeError)
    supervisor.tell(message)
    assert call(supervisor, WhichChildren(), PATIENCE_S) == []


def test_a_proxys_wrong_arguments_are_the_callers_error(run_tree):
    supervisor = run_tree(DynamicSupervisor)
    with pytest.raises(InvalidRequest, match="terminate_child"):
        supervisor.proxy().terminate_child().get(timeout=PATIENCE_S)
    assert supervisor.proxy().which_children().get(timeout=PATIENCE_S) == []


@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
@pytest.mark.parametrize(
    ("asked", "says"), [("hello", "'hello'"), (WhichChildren, "did you mean WhichChildren"), (None, "None")]
)
def test_what_is_no_request_is_the_asker_s_mistake(run_tree, kind, asked, says):
    supervisor = run_tree(kind)
    with pytest.raises(InvalidRequest, match="no request") as caught:
        call(supervisor, asked)
    assert says in str(caught.value)
    supervisor.tell(asked)  # nobody to tell
    assert call(supervisor, WhichChildren()) == []


@pytest.mark.parametrize("nobody", [None, "actor", 5])
def test_only_actors_are_watched_and_linked(start_worker, nobody):
    with pytest.raises(TypeError, match="cannot be watched"):
        watch(nobody, print)
    with pytest.raises(TypeError, match="cannot be linked"):
        link(start_worker(), nobody)


# -- starts --


@pytest.mark.parametrize("error_class", BASE_EXCEPTIONS)
@pytest.mark.parametrize("fails", [FailsToConstruct, FailsToStart])
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_a_start_raises_is_a_start_error(run_tree, kind, fails, error_class):
    supervisor, error = run_tree(kind), error_class("at start")
    with pytest.raises(StartError) as caught:
        call(supervisor, StartChild(ChildSpec("a", fails, args=(error,))), PATIENCE_S)
    assert caught.value.reason is error
    assert supervisor.proxy().which_children().get(timeout=PATIENCE_S) == []
    assert pykka.ActorRegistry.get_all() == [supervisor]


@pytest.mark.parametrize("error_class", BASE_EXCEPTIONS)
@pytest.mark.parametrize("fails", [FailsToConstruct, FailsToStart])
def test_whatever_a_child_of_a_new_tree_raises_is_a_start_error_of_the_tree(fails, error_class):
    error = error_class("at start")
    with pytest.raises(StartError) as caught:
        Supervisor.start([ChildSpec("a", fails, args=(error,))])
    assert caught.value.__cause__ is error
    assert pykka.ActorRegistry.get_all() == []


@pytest.mark.parametrize("error_class", [SystemExit, GeneratorExit, asyncio.CancelledError, LookupError])
def test_whatever_a_roots_constructor_raises_is_a_start_error(error_class):
    error = error_class("at start")

    class Root(Supervisor):
        def __init__(self):
            super().__init__()
            raise error

    with pytest.raises(StartError) as caught:
        Root.start()
    assert caught.value.__cause__ is error


def test_ctrl_c_while_a_tree_starts_leaves_nothing_of_it():
    program = """
import signal, threading
import pykka
from trunkline.supervision import ChildSpec, GenServer, Supervisor

class Slow(GenServer):
    def __init__(self):
        super().__init__()
        self._bell = threading.Event()
    def on_start(self):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        self._bell.wait(30)
    def on_kill(self):
        self._bell.set()

try:
    Supervisor.start([ChildSpec("slow", Slow, start_timeout_s=60)])
except KeyboardInterrupt:
    print("interrupted", flush=True)
for thread in threading.enumerate():
    if thread is not threading.main_thread():
        thread.join(20)
print(len(pykka.ActorRegistry.get_all()), threading.active_count())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["interrupted", "0", "1"], done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_constructor_that_returns_another_actor_is_a_start_error(
    run_tree, start_worker, kind, worker_class
):
    supervisor, made = run_tree(kind), []

    class Single(Supervised, pykka.ThreadingActor):
        def __new__(cls):
            made.append(worker_class())
            return made[-1]

    class Shared(worker_class):
        def __new__(cls):
            return made[0]

        def __init__(self):
            pass

    for start in (Single, Shared, Shared):
        with pytest.raises(StartError) as caught:
            call(supervisor, StartChild(ChildSpec("a", start)), PATIENCE_S)
        assert isinstance(caught.value.reason, TypeError)
    assert pykka.ActorRegistry.get_all() == [supervisor]


def test_a_constructor_that_returns_its_running_self_is_a_start_error(run_tree, worker_class):
    supervisor, made = run_tree(DynamicSupervisor), []

    class Once(worker_class):
        def __new__(cls):
            if not made:
                made.append(object.__new__(cls))
            return made[0]

        def __init__(self):
            if "_diary" not in vars(self):
                super().__init__()

    first = call(supervisor, StartChild(ChildSpec("a", Once)), PATIENCE_S)
    with pytest.raises(StartError) as caught:
        call(supervisor, StartChild(ChildSpec("a", Once)), PATIENCE_S)
    assert isinstance(caught.value.reason, TypeError)
    assert first.ask("hello", timeout=PATIENCE_S) == "hello"


def test_who_asks_an_actor_that_was_constructed_but_not_started_is_told_so(run_tree, start_worker):
    registry, asked = Registry(), []
    registry.register("taken", start_worker())

    class AsksItself(GenServer):
        def __init__(self):
            super().__init__()
            asked.append(self.actor_ref.ask("anybody?", block=False))

    supervisor = run_tree(DynamicSupervisor)
    with pytest.raises(StartError) as caught:
        call(supervisor, StartChild(ChildSpec("a", AsksItself, register=(registry, "taken"))), PATIENCE_S)
    assert isinstance(caught.value.reason, AlreadyRegistered)
    with pytest.raises(ActorDown):
        asked[0].get(timeout=PATIENCE_S)


# -- callbacks and hooks --


@pytest.mark.parametrize("error_class", [*BASE_EXCEPTIONS, LookupError])
def test_a_watcher_that_raises_keeps_nobody_from_being_told(start_worker, error_class):
    told = []
    ref = start_worker()

    def raising(reason):
        raise error_class(reason)

    watch(ref, raising)
    watch(ref, told.append)
    assert ref.stop(timeout=PATIENCE_S) is True
    assert len(told) == 1


@pytest.mark.parametrize("error_class", [*BASE_EXCEPTIONS, LookupError])
def test_a_watcher_of_a_child_that_raises_keeps_nobody_from_being_told(run_tree, start_child, error_class):
    told = []
    supervisor = run_tree(DynamicSupervisor)
    child = start_child(supervisor, "a")

    def raising(reason):
        raise error_class(reason)

    watch(child, raising)
    watch(child, told.append)
    call(supervisor, TerminateChild(child), PATIENCE_S)
    assert len(told) == 1
    assert supervisor.is_alive()


@pytest.mark.parametrize("error_class", [*BASE_EXCEPTIONS, LookupError])
def test_a_report_callback_that_raises_does_not_harm_the_supervisor(
    run_tree, start_child, crash, eventually, error_class
):
    reports = []

    def on_report(report):
        reports.append(report)
        raise error_class("on_report")

    supervisor = run_tree(DynamicSupervisor, on_report=on_report)
    child = start_child(supervisor, "a")
    crash(child)
    eventually(lambda: child.restarts == 1)
    assert len(reports) == 1
    assert supervisor.is_alive()


@pytest.mark.parametrize("error_class", [*BASE_EXCEPTIONS, LookupError])
def test_an_on_kill_that_raises_does_not_harm_its_killer(run_tree, start_child, no_zombies, error_class):
    release, entered = threading.Event(), threading.Event()

    class Stubborn(GenServer):
        def on_receive(self, message):
            entered.set()
            release.wait(PATIENCE_S)

        def on_kill(self):
            raise error_class("on_kill")

    supervisor = run_tree(DynamicSupervisor)
    child = start_child(supervisor, "a", Stubborn, shutdown=0.01, kill_grace_s=0.01)
    child.tell("block")
    assert entered.wait(PATIENCE_S)
    call(supervisor, TerminateChild(child), PATIENCE_S)
    assert supervisor.is_alive()
    release.set()


@pytest.mark.parametrize("error_class", [*BASE_EXCEPTIONS, LookupError])
def test_a_futures_callback_that_raises_does_not_harm_who_answers(run_tree, start_child, error_class):
    supervisor = run_tree(DynamicSupervisor)
    child, entered, release = start_child(supervisor, "a"), threading.Event(), threading.Event()
    answer = child.ask(("block", entered, release), block=False)
    assert entered.wait(PATIENCE_S)

    def raising(future):
        raise error_class("callback")

    answer.add_done_callback(raising)
    release.set()
    assert answer.get(timeout=PATIENCE_S) == "released"
    assert child.ask("hello", timeout=PATIENCE_S) == "hello"
    assert child.restarts == 0


@pytest.mark.parametrize("error_class", BASE_EXCEPTIONS)
def test_an_on_failure_that_raises_ends_its_actor_alone(run_tree, start_child, start_worker, error_class):
    class Clumsy(GenServer):
        def on_receive(self, message):
            raise LookupError(message)

        def on_failure(self, *exc_info):
            raise error_class("on_failure")

    bystander = start_worker()
    child = start_child(run_tree(DynamicSupervisor), "a", Clumsy, restart="temporary")
    incarnation = child._incarnation
    with pytest.raises(LookupError):
        child.ask("x", timeout=PATIENCE_S)
    assert join(incarnation, PATIENCE_S)
    assert isinstance(incarnation.actor_inbox.reason, LookupError)
    assert bystander.is_alive()


# -- a child that only says it is a supervisor --


def test_who_only_says_it_is_a_supervisor_is_not_asked_for_its_tree(run_tree, worker_class):
    class Strict(GenServer):
        def on_receive(self, message):
            raise TypeError(message)

    root = run_tree(
        Supervisor,
        [ChildSpec("strict", Strict, type="supervisor"), ChildSpec("plain", worker_class, type="supervisor")],
    )
    drawn = tree(root, PATIENCE_S)
    assert [(child.id, child.state, child.children) for child in drawn.children] == [
        ("strict", "running", ()),
        ("plain", "running", ()),
    ]
    assert call(root, WhichChild("strict"), PATIENCE_S).restarts == 0


class Plain(pykka.ThreadingActor):
    pass


class HangsInItsConstructor(pykka.ThreadingActor):
    """Until it is released; then it says so."""

    def __init__(self, release, made):
        super().__init__()
        release.wait(30)
        made.set()


class TestAConstructorThatHangs:
    @pytest.fixture
    def hanging(self):
        release, made = threading.Event(), threading.Event()
        spec = ChildSpec(
            "stuck",
            HangsInItsConstructor,
            (release, made),
            shutdown=0.05,
            start_timeout_s=0.05,
            kill_grace_s=0.05,
        )
        yield spec, release, made
        release.set()
        assert made.wait(PATIENCE_S)

    @pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
    def test_is_a_start_error_and_the_supervisor_serves_on(self, kind, hanging, eventually):
        spec, _, _ = hanging
        supervisor = kind.start()
        try:
            with pytest.raises(StartError) as caught:
                call(supervisor, StartChild(spec))
            assert isinstance(caught.value.reason, StartTimeout)
            eventually(lambda: call(supervisor, WhichChildren()) == [])
        finally:
            supervisor.stop()

    def test_a_dynamic_supervisor_serves_while_it_hangs(self, hanging):
        spec, _, _ = hanging
        supervisor = DynamicSupervisor.start()
        try:
            started = supervisor.ask(StartChild(dataclasses.replace(spec, start_timeout_s=30.0)), block=False)
            (child,) = call(supervisor, WhichChildren())
            call(supervisor, TerminateChild(child.stable_ref))
            with pytest.raises(StartError):
                started.get(timeout=PATIENCE_S)
        finally:
            supervisor.stop()

    def test_what_it_makes_in_the_end_is_thrown_away(self, hanging, eventually):
        spec, release, made = hanging
        supervisor = DynamicSupervisor.start()
        try:
            with pytest.raises(StartError):
                call(supervisor, StartChild(spec))
            eventually(lambda: [one.thread_name for one in zombies()] == ["HangsInItsConstructor stuck"])
            release.set()
            assert made.wait(PATIENCE_S)
            eventually(lambda: zombies() == [])
            assert pykka.ActorRegistry.get_by_class(HangsInItsConstructor) == []
        finally:
            supervisor.stop()

    def test_a_tree_that_cannot_start_for_it_is_taken_down(self, hanging):
        spec, _, _ = hanging
        with pytest.raises(StartError) as caught:
            Supervisor.start([ChildSpec("before", Plain), spec])
        assert caught.value.reason.term[:2] == ("failed_to_start_child", "stuck")
        assert pykka.ActorRegistry.get_all() == []
