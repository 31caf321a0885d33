"""Elixir's task/supervisor_test, with temporary workers for tasks: each test ports the case it is named after (otp.md B3)."""

import queue
import threading

import pytest

from trunkline.supervision import (
    BRUTAL_KILL,
    KILLED,
    NORMAL,
    SHUTDOWN,
    ActorDown,
    CallTimeout,
    ChildSpec,
    Down,
    Exit,
    GenServer,
    MaxChildren,
    NotFound,
    Shutdown,
    StartChild,
    TerminateChild,
    call,
    cast,
    monitor,
)

PATIENCE_S = 30.0
CRASH = ValueError("crash")


class Owner(GenServer):
    """The caller of a task: keeps what comes to its mailbox, and answers an ask at once."""

    def __init__(self):
        super().__init__()
        self._inbox = queue.SimpleQueue()

    def on_receive(self, message):
        if message == "inbox":
            return self._inbox
        self._inbox.put(message)
        return message


class Task(GenServer):
    """Runs one function when it is told to go, tells its owner the result, and ends."""

    def __init__(self, function, owner=None):
        super().__init__()
        self._function, self._owner = function, owner

    def on_receive(self, message):
        result = self._function()
        if self._owner is not None:
            cast(self._owner, ("result", result))
        if message == "go":
            raise Exit(NORMAL)
        return result


def start_task(supervisor, function, owner=None, **options):
    """Return the StableRef of a task that waits for its "go"."""
    spec = ChildSpec("task", Task, (function, owner), restart="temporary", **options)
    return call(supervisor, StartChild(spec), PATIENCE_S)


@pytest.fixture
def supervisor(lab):
    return lab.dynamic(max_restarts=0)


@pytest.fixture
def owner(lab):
    return lab.actor(Owner)


def inbox(owner):
    return call(owner, "inbox", PATIENCE_S)


def run(failure=None, result="done"):
    """Return a function for a task."""

    def function():
        if failure is not None:
            raise failure
        return result

    return function


def test_async_nolink_is_not_linked(supervisor, owner):
    task = start_task(supervisor, run(CRASH), owner)
    monitor(task, owner, "task")
    task.tell("go")
    assert inbox(owner).get(timeout=PATIENCE_S) == Down("task", task, CRASH)
    assert call(owner, "alive", PATIENCE_S) == "alive"


def test_reply_comes_before_down_normal(supervisor, owner):
    for n in range(50):
        task = start_task(supervisor, run(result=n), owner)
        monitor(task, owner, n)
        task.tell("go")
        box = inbox(owner)
        assert box.get(timeout=PATIENCE_S) == ("result", n)
        assert box.get(timeout=PATIENCE_S) == Down(n, task, NORMAL)


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (CRASH, CRASH),
        (Exit(SHUTDOWN), SHUTDOWN),
        (Exit(Shutdown("why")), Shutdown("why")),
        (Exit(NORMAL), NORMAL),
        (leave := SystemExit("bye"), leave),
    ],
    ids=repr,
)
def test_throw_error_exit_reasons(supervisor, owner, failure, reason):
    task = start_task(supervisor, run(failure), owner)
    monitor(task, owner, "task")
    task.tell("go")
    down = inbox(owner).get(timeout=PATIENCE_S)
    assert (down.tag, down.reason) == ("task", reason)
    assert supervisor.is_alive()


def test_custom_shutdown_brutal_kill(lab, supervisor, owner):
    task = start_task(supervisor, run(), owner, shutdown=BRUTAL_KILL)
    monitor(task, owner, "task")
    call(supervisor, TerminateChild(task))
    assert inbox(owner).get(timeout=PATIENCE_S) == Down("task", task, KILLED)


def test_max_children_raises(lab):
    supervisor = lab.dynamic(max_children=1)
    start_task(supervisor, run())
    with pytest.raises(MaxChildren):
        start_task(supervisor, run())
    assert lab.counts(supervisor) == (1, 1, 0, 1)


def test_terminate_child_twice(supervisor):
    task = start_task(supervisor, run())
    assert call(supervisor, TerminateChild(task)) is None
    with pytest.raises(NotFound):
        call(supervisor, TerminateChild(task))
    with pytest.raises(ActorDown):
        call(task, "late")


def test_await_timeout_leaves_no_stray_message(supervisor, owner):
    release, finished = threading.Event(), threading.Event()

    def slow():
        release.wait(PATIENCE_S)
        finished.set()
        return "late"

    task = start_task(supervisor, slow)
    monitor(task, owner, "task")
    with pytest.raises(CallTimeout):
        call(task, "await", timeout_s=0.0)
    release.set()
    assert finished.wait(PATIENCE_S)  # the task ran on
    call(supervisor, TerminateChild(task))
    box = inbox(owner)
    assert box.get(timeout=PATIENCE_S) == Down("task", task, SHUTDOWN)
    assert box.empty()
