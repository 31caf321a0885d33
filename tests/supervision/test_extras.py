"""Otp.md E's "Extra": messages before Down, wall clocks that jump, a thousand restarts, the end of the main thread."""

import gc
import json
import os
import subprocess
import sys
import textwrap
import threading
import weakref

import pykka
import pytest

from trunkline.supervision import (
    NORMAL,
    ChildSpec,
    DynamicSupervisor,
    Exit,
    GenServer,
    ManualClock,
    Registry,
    StartChild,
    Supervisor,
    WhichChildren,
    call,
    cast,
    kill,
    link,
    monitor,
    stop,
    testing,
)

PATIENCE_S = 30.0


class Bug(Exception):
    """What the workers here crash with."""


# -- what was sent before the end


class Talker(GenServer):
    """Says a hundred things to whom it is told, and then ends as it is told."""

    def on_receive(self, message):
        listener, end = message
        for n in range(100):
            listener.tell(n)
        return end(self)


def crashes(_):
    raise Bug


def exits(_):
    raise Exit(NORMAL)


ENDS = {
    "a crash": crashes,
    "a base exception": lambda _: sys.exit(),
    "an exit": exits,
    "a stop of oneself": lambda actor: actor.stop(),
    "a kill": lambda actor: kill(actor.actor_ref),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.usefixtures("switching")
def test_what_an_actor_had_sent_comes_before_its_down_however_it_ends(end, run_tree, start_child):
    with testing.Probe() as probe:
        root = run_tree(Supervisor)
        talker = start_child(root, "talker", Talker, restart="temporary")
        incarnation = call(root, WhichChildren())[0].ref
        probe.watch(incarnation)
        probe.watch(talker)
        cast(talker, (probe.ref, ENDS[end]))
        probe.expect_down(incarnation, within_s=PATIENCE_S)
        probe.expect_down(talker, within_s=PATIENCE_S)
        assert probe.received[:100] == list(range(100))
        assert sorted(type(message).__name__ for message in probe.received[100:]) == ["Down", "Down"]


# -- in a process of its own


def run_program(program, *arguments):
    """Run a program of this file. Return what it printed: a value."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 0, done.stderr
    assert "Exception in thread" not in done.stderr, done.stderr
    return json.loads(done.stdout)


CLOCKS_THAT_JUMP = """
    import itertools, json, threading, time

    years = itertools.cycle([0.0, 3e8, -3e8, 6e8, -6e8])
    wall = time.time, time.time_ns
    time.time = lambda: wall[0]() + next(years)
    time.time_ns = lambda: wall[1]() + int(next(years) * 1e9)

    from trunkline.supervision import *
    from trunkline.supervision.testing import Probe, crash, wait_for_restart

    class Worker(GenServer):
        def on_receive(self, message):
            if message == "remind":
                self._send_after(10.0, "due")
            else:
                noted.append(message)
            if message == "due":
                due.set()
            return message

    class Stubborn(GenServer):
        def on_receive(self, message):
            began.set()
            release.wait(20.0)

    noted, said, clock = [], {}, ManualClock()
    due, began, release = threading.Event(), threading.Event(), threading.Event()
    with Probe() as probe:
        # Two restarts in one second of the supervisor's clock are too many, whatever the year is.
        root = Supervisor.start([ChildSpec("a", Worker)], max_restarts=1, max_seconds=5.0, clock=clock)
        probe.watch(root)
        a = call(root, WhichChild("a")).stable_ref
        crash(a, ValueError("first"))
        wait_for_restart(a)
        clock.advance(1.0)
        crash(a, ValueError("second"))
        said["close together"] = str(probe.expect_down(root))

        # Far apart on its clock they are not, at whatever years.
        root = Supervisor.start([ChildSpec("a", Worker)], max_restarts=1, max_seconds=5.0, clock=clock)
        a = call(root, WhichChild("a")).stable_ref
        for _ in range(10):
            crash(a, ValueError("again"))
            wait_for_restart(a)
            clock.advance(6.0)
        said["far apart"] = a.restarts

        # A timer is due when its clock says so: not before, and then at once.
        call(a, "remind")
        clock.advance(9.0)
        for n in range(3):
            call(a, n)
        clock.advance(1.0)
        due.wait(20.0)
        said["timer"] = noted
        root.stop()

    # On the system's clock: a call, a kill after `shutdown`, an end.
    root = Supervisor.start([ChildSpec("s", Stubborn, shutdown=0.05, kill_grace_s=0.05)])
    s = call(root, WhichChild("s")).stable_ref
    s.tell("block")
    began.wait(20.0)
    try:
        call(s, "anybody?", 0.05)
    except CallTimeout:
        said["call"] = "timed out"
    call(root, TerminateChild("s"))
    said["abandoned"] = len(zombies())
    release.set()
    root.stop()
    print(json.dumps(said))
"""


def test_a_wall_clock_that_jumps_by_years_changes_nothing():
    assert run_program(CLOCKS_THAT_JUMP) == {
        "close together": "SHUTDOWN",
        "far apart": 10,
        "timer": [0, 1, 2, "due"],
        "call": "timed out",
        "abandoned": 1,
    }


THE_MAIN_THREAD_ENDS = """
    import json, sys, threading

    from trunkline.supervision import *

    kind = {"Supervisor": Supervisor, "DynamicSupervisor": DynamicSupervisor}[sys.argv[1]]
    starts, trying, reports = [], threading.Event(), []

    class Worker(GenServer):
        def on_start(self):
            starts.append(self.actor_urn)
            if len(starts) == 2:  # the restart: it is under way when the main thread ends, and then fails
                trying.set()
                threading.main_thread().join()
                raise ValueError("start")

        def handle_continue(self):
            if len(starts) == 3:
                root.stop(block=False)

        def on_receive(self, message):
            raise ValueError("bug")

    class Root(kind):
        def terminate(self, reason):
            print(json.dumps([reports, len(starts), str(reason)]), flush=True)

    root = Root.start(on_report=lambda report: reports.append([report.context, type(report.reason).__name__]))
    worker = call(root, StartChild(ChildSpec("a", Worker)))
    worker.tell("crash")
    trying.wait(20.0)
"""


@pytest.mark.parametrize("kind", ["Supervisor", "DynamicSupervisor"])
def test_when_the_main_thread_ends_during_a_restart_the_process_ends_with_the_tree(kind):
    reports, starts, reason = run_program(THE_MAIN_THREAD_ENDS, kind)
    begun = [["child_terminated", "ValueError"], ["start_error", "ValueError"]]
    if starts == 2:
        # Python 3.12: no thread is started any more. Each refusal is a start that failed, and counts: 3 are allowed.
        assert reports == [*begun, *[["start_error", "RuntimeError"]] * 2, ["gave_up", "RuntimeError"]]
        assert reason == "SHUTDOWN"
    else:
        # Python 3.11 and 3.13: the tree lives, as any thread that is no daemon, until somebody stops it.
        assert (starts, reports, reason) == (3, begun, "NORMAL")


# -- a thousand restarts


class Steady(GenServer):
    """Lives on while what it is linked to crashes."""

    traps_exits = True


class Restless(GenServer):
    """Ties itself to everything an actor can be tied to, in each of its lives."""

    def __init__(self, steady, lives, threads):
        super().__init__()
        self._steady = steady
        lives.append(weakref.ref(self))
        threads.append(threading.current_thread())

    def on_start(self):
        link(self.actor_ref, self._steady)
        monitor(self._steady, self.actor_ref)
        monitor(self.actor_ref, self._steady)
        self._send_after(3600.0, "never due")

    def on_receive(self, message):
        return message


def counts(root, child, steady, registry):
    """What must not grow, by name."""
    actor = root._actor_weakref()
    gc.collect()
    return {
        "threads": threading.active_count(),
        "actors": len(pykka.ActorRegistry.get_all()),
        "names": len(registry.names()),
        "watchers of the supervisor": len(root.actor_inbox._watchers),
        "watchers of the child": len(child._watchers),
        "watchers of a neighbour": len(steady.actor_inbox._watchers),
        "references to the supervisor": sys.getrefcount(root),
        "references to the child": sys.getrefcount(child),
        "references to a neighbour": sys.getrefcount(steady),
        "references to the supervising actor": sys.getrefcount(actor),
        "timers": len(root.actor_inbox._timers.pending),
    }


@pytest.mark.slow
@pytest.mark.parametrize("mailbox", ["drop", "keep"])
@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
def test_a_thousand_restarts_leave_everything_as_flat_as_it_was(
    kind, mailbox, run_tree, start_worker, caplog
):
    # Pytest keeps records, they tracebacks, and those the actors.
    caplog.set_level("CRITICAL", "trunkline.supervision")
    caplog.set_level("CRITICAL", "pykka")
    clock, registry, lives, threads = ManualClock(), Registry(), [], []
    root = run_tree(kind, clock=clock, max_restarts=3, max_seconds=5.0)
    steady = start_worker(actor_class=Steady)
    spec = ChildSpec("a", Restless, (steady, lives, threads), mailbox=mailbox, register=(registry, "a"))
    child = call(root, StartChild(spec), PATIENCE_S)

    def restart(times):
        for _ in range(times):
            testing.crash(child, Bug())
            testing.wait_for_restart(child, PATIENCE_S)
            assert call(child, "hello", PATIENCE_S) == "hello"
            victim = threads.pop(0)
            victim.join(PATIENCE_S)  # its last act is to tell the neighbour's watchers
            assert not victim.is_alive()
            clock.advance(2.0)
        call(steady, "sync", PATIENCE_S)

    restart(10)
    before = counts(root, child, steady, registry)
    restart(1000)
    after = counts(root, child, steady, registry)
    grown = {name: count - before[name] for name, count in after.items() if count > before[name]}
    # Threads that are on their way to wait hold references of the moment; a leak is one for each restart.
    assert all(name.startswith("references") and growth < 100 for name, growth in grown.items()), grown
    assert child.restarts == 1010
    assert len(root._actor_weakref()._intensity.restarts) <= 3
    # The one that runs, and, at most, the one whose frame is in the traceback of the last reason.
    assert len([life for life in lives if life() is not None]) <= 2


def test_a_monitor_ends_with_its_watcher(start_worker):
    """As in OTP: the monitors of a process are gone with it."""
    steady, watcher = start_worker(), start_worker()
    watchers = steady.actor_inbox._watchers
    before = len(watchers)
    monitor(steady, watcher)
    assert len(watchers) == before + 1
    stop(watcher)
    assert len(watchers) == before
    monitor(steady, watcher)
    assert len(watchers) == before


def test_a_monitor_that_has_fired_leaves_nothing_with_its_watcher(start_worker):
    steady, watched = start_worker(), start_worker()
    watchers = steady.actor_inbox._watchers
    before = len(watchers)
    monitor(watched, steady)
    cancelled = monitor(watched, steady)
    cancelled.cancel()
    stop(watched)
    monitor(watched, steady)
    assert len(watchers) == before
