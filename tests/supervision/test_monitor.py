"""Monitors fire once."""

import queue

import pykka
import pytest

from trunkline.supervision import (
    NOPROC,
    NORMAL,
    Down,
    DynamicSupervisor,
    GenServer,
    TerminateChild,
    call,
    join,
    monitor,
    watch,
)

PATIENCE_S = 30.0


class Probe(pykka.ThreadingActor):
    """A plain pykka actor that keeps what it is told."""

    use_daemon_thread = True

    def __init__(self, told):
        super().__init__()
        self._told = told

    def on_receive(self, message):
        self._told.put(message)


@pytest.fixture
def told():
    return queue.Queue()


@pytest.fixture
def probe(start_worker, told):
    return start_worker(told, actor_class=Probe)


def test_a_monitor_sends_one_down_with_tag_reference_and_reason(start_worker, probe, told, crash):
    ref, error = start_worker(), ValueError("x")
    monitor(ref, probe, tag="the tag")
    crash(ref, error)
    assert told.get(timeout=PATIENCE_S) == Down("the tag", ref, error)
    ref.stop()
    probe.ask("sync")
    assert told.get(timeout=PATIENCE_S) == "sync"


def test_every_monitor_sends_its_own_down(start_worker, probe, told):
    ref = start_worker()
    for tag in range(3):
        monitor(ref, probe, tag)
    ref.stop()
    assert {told.get(timeout=PATIENCE_S).tag for _ in range(3)} == {0, 1, 2}


def test_monitoring_a_dead_actor_sends_noproc_at_once(start_worker, probe, told):
    ref = start_worker()
    ref.stop()
    monitor(ref, probe)
    assert told.get(timeout=PATIENCE_S) == Down(None, ref, NOPROC)


def test_a_cancelled_monitor_sends_nothing(start_worker, probe, told):
    ref = start_worker()
    running = monitor(ref, probe)
    running.cancel()
    running.cancel()
    ref.stop()
    probe.ask("sync")
    assert told.get(timeout=PATIENCE_S) == "sync"


def test_what_an_actor_sent_before_its_end_comes_before_its_down(probe, told, start_worker):
    class Parting(GenServer):
        def terminate(self, reason):
            for number in range(20):
                probe.tell(number)

    ref = start_worker(actor_class=Parting)
    monitor(ref, probe)
    ref.stop()
    got = [told.get(timeout=PATIENCE_S) for _ in range(21)]
    assert got == [*range(20), Down(None, ref, NORMAL)]


def test_a_watcher_that_died_harms_nobody(start_worker, probe):
    ref = start_worker()
    monitor(ref, probe)
    probe.stop()
    assert ref.stop() is True


def test_watch_calls_a_function_once(start_worker):
    ref, seen = start_worker(), []
    watch(ref, seen.append)
    ref.stop()
    assert join(ref, PATIENCE_S)
    assert seen == [NORMAL]
    watch(ref, seen.append)
    assert seen == [NORMAL, NOPROC]


def test_a_plain_pykka_actor_cannot_be_watched_and_the_error_says_what_to_do(probe):
    with pytest.raises(TypeError, match="Supervised"):
        watch(probe, print)


def test_a_monitor_on_a_stable_ref_ignores_restarts_and_fires_when_the_child_is_terminated(
    run_tree, start_child, probe, told, crash, eventually
):
    supervisor = run_tree(DynamicSupervisor)
    child = start_child(supervisor, "c")
    monitor(child, probe)
    crash(child)
    eventually(lambda: child.restarts == 1)
    probe.ask("sync")
    assert told.get(timeout=PATIENCE_S) == "sync"
    call(supervisor, TerminateChild(child))
    assert told.get(timeout=PATIENCE_S).ref is child


def test_a_monitor_on_a_stable_ref_fires_when_its_supervisor_dies(run_tree, start_child, probe, told):
    supervisor = run_tree(DynamicSupervisor)
    child = start_child(supervisor, "c")
    monitor(child, probe)
    supervisor.stop()
    assert told.get(timeout=PATIENCE_S).ref is child
