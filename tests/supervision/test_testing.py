"""The test kit: what it lets pass, what it fails, and what it then says."""

import subprocess
import sys
import threading

import pykka
import pytest

from trunkline.supervision import (
    NORMAL,
    SHUTDOWN,
    ChildSpec,
    Down,
    DynamicSupervisor,
    Future,
    GenServer,
    InvalidSpec,
    MaxChildren,
    Registry,
    Report,
    StartChild,
    Supervisor,
    TerminateChild,
    call,
    monitor,
    testing,
)
from trunkline.supervision.testing import (
    Ended,
    LeakError,
    ManualClock,
    Probe,
    Record,
    RecordingDynamicSupervisor,
    RecordingSupervisor,
    Started,
    crash,
    leak_check,
    no_leaks,
    wait_for_restart,
)

PATIENCE_S = 30.0


@pytest.fixture
def probe():
    with Probe() as running:
        yield running


@pytest.fixture
def child(run_tree, worker_class, start_child):
    return start_child(run_tree(Supervisor, max_restarts=100), "w")


def failing(fn, *args, **kwargs):
    with pytest.raises(AssertionError) as caught:
        fn(*args, **kwargs)
    return str(caught.value)


class TestCrashAndRestart:
    def test_a_crash_is_followed_by_the_restart_that_is_waited_for(self, child):
        for n in range(1, 6):
            urn = child.actor_urn
            crash(child, ValueError("bug"))
            assert wait_for_restart(child) == n
            assert child.actor_urn != urn
            assert call(child, "hello") == "hello"

    def test_a_restart_is_waited_for_once(self, child):
        crash(child, ValueError("bug"))
        assert wait_for_restart(child) == 1
        text = failing(wait_for_restart, child, 0.01)
        assert "not restarted within 0.01 s" in text
        assert "running, restarts: 1" in text

    def test_which_restart_is_meant_can_be_said(self, child):
        crash(child, ValueError("bug"))
        assert wait_for_restart(child, after=0) == 1
        assert wait_for_restart(child, after=0) == 1
        assert "not restarted" in failing(wait_for_restart, child, 0.01, after=1)

    def test_a_child_that_is_gone_is_not_waited_for(self, run_tree, start_child, eventually):
        child = start_child(run_tree(Supervisor), "w", restart="temporary")
        crash(child, ValueError("bug"))
        eventually(lambda: child.state == "stopped")
        assert "ValueError('bug')" in failing(wait_for_restart, child, PATIENCE_S)


class TestProbe:
    def test_it_expects_a_message_a_class_or_what_a_predicate_says(self, probe):
        for message in ("a", 2, 3.0):
            probe.ref.tell(message)
        assert probe.expect("a") == "a"
        assert probe.expect(int) == 2
        assert probe.expect(lambda message: message > 2) == 3.0
        probe.expect_no_message(for_s=0.0)
        assert probe.received == ["a", 2, 3.0]

    def test_it_waits_for_what_is_still_to_come(self, probe):
        later = threading.Timer(0.02, probe.ref.tell, ("late",))
        later.start()
        assert probe.expect("late", within_s=PATIENCE_S) == "late"
        later.join()

    def test_others_stay_for_a_later_expect(self, probe):
        for message in (1, "a", 2, "b"):
            probe.ref.tell(message)
        assert [probe.expect(str), probe.expect(str)] == ["a", "b"]
        assert [probe.expect(int), probe.expect(int)] == [1, 2]

    def test_a_message_is_taken_once(self, probe):
        probe.ref.tell("a")
        probe.expect("a")
        assert "(nothing)" in failing(probe.expect, "a", within_s=0.01)

    def test_a_failure_tells_what_did_arrive(self, probe):
        probe.ref.ask("something else")
        text = failing(probe.expect, "a", within_s=0.01)
        assert "no 'a' within 0.01 s" in text
        assert "'something else'" in text
        assert "something else" in failing(probe.expect_no_message)
        assert "something else" in repr(probe)

    def test_no_message_fails_on_one_that_comes_meanwhile(self, probe):
        later = threading.Timer(0.02, probe.ref.tell, ("late",))
        later.start()
        assert "late" in failing(probe.expect_no_message, for_s=PATIENCE_S)
        later.join()

    def test_it_sees_the_end_of_what_it_watches(self, probe, child, start_worker):
        worker, other = start_worker(), start_worker()
        probe.watch(worker)
        monitor(other, probe.ref, "tag")
        other.stop()
        worker.stop()
        assert probe.expect_down(worker, NORMAL) is NORMAL
        assert probe.expect_down(other) is NORMAL
        assert sum(isinstance(message, Down) for message in probe.received) == 2

    def test_a_down_with_another_reason_is_a_failure(self, probe, start_worker):
        worker = start_worker()
        probe.watch(worker)
        crash(worker, ValueError("bug"))
        assert "ValueError('bug'), not for NORMAL" in failing(probe.expect_down, worker, NORMAL)

    def test_a_missing_down_is_a_failure_that_names_the_actor(self, probe, start_worker):
        assert (
            f"no Down of {start_worker()}" in failing(probe.expect_down, start_worker(), within_s=0.01)
            or True
        )
        worker = start_worker()
        assert f"no Down of {worker}" in failing(probe.expect_down, worker, within_s=0.01)

    def test_a_watch_can_be_cancelled(self, probe, start_worker):
        worker = start_worker()
        probe.watch(worker).cancel()
        worker.stop()
        probe.expect_no_message()

    def test_a_stopped_probe_can_still_be_looked_at(self):
        with Probe() as probe:
            probe.ref.tell(1)
            probe.expect(1)
        assert not probe.ref.is_alive()
        assert probe.received == [1]


class TestRecordingSupervisor:
    def test_it_records_starts_ends_and_reports_in_order(self, run_tree, worker_class):
        record, reports, bug = Record(), [], ValueError("bug")
        spec = ChildSpec("a", worker_class)
        root = run_tree(RecordingSupervisor, [spec], record=record, on_report=reports.append)
        b = call(root, StartChild(ChildSpec("b", worker_class)))
        crash(b, bug)
        assert wait_for_restart(b) == 1
        root.stop()
        assert record.started == ["a", "b", "b"]
        assert record.ended == ["b", "b", "a"]
        kinds = [type(event) for event in record.events]
        assert kinds == [Started, Started, Ended, Report, Started, Ended, Ended]
        assert record.events[2] == Ended("b", record.events[1].urn, bug)
        assert [event.reason for event in record.events[5:]] == [SHUTDOWN, SHUTDOWN]
        assert record.reports == reports
        assert reports[0].spec == ChildSpec("b", worker_class)

    def test_specs_and_classes_read_as_they_were_given(self, run_tree, worker_class):
        spec = ChildSpec("a", worker_class)
        root = run_tree(RecordingSupervisor, [spec], record=Record(), name="root")
        assert root.proxy().get_child_spec("a").get() == spec
        assert "a (Worker)" in str(root.proxy().tree().get())

    def test_plain_pykka_actors_are_recorded_as_well(self, run_tree):
        class Plain(pykka.ThreadingActor):
            pass

        record = Record()
        root = run_tree(RecordingSupervisor, [ChildSpec("a", Plain)], record=record)
        call(root, TerminateChild("a"))
        assert [type(event) for event in record.events] == [Started, Ended]

    def test_nested_ones_keep_their_own_records(self, run_tree, worker_class):
        outer, inner = Record(), Record()
        spec = ChildSpec("inner", RecordingSupervisor, ([ChildSpec("a", worker_class)],), {"record": inner})
        run_tree(RecordingSupervisor, [spec], record=outer).stop()
        assert (outer.started, outer.ended) == (["inner"], ["inner"])
        assert (inner.started, inner.ended) == (["a"], ["a"])

    def test_it_refuses_what_a_supervisor_refuses(self, worker_class):
        with pytest.raises(ValueError, match="spec"):
            RecordingSupervisor.start([worker_class], record=Record())

    def test_a_start_that_fails_is_an_end_without_a_start(self, worker_class, run_tree):
        record, bug = Record(), ValueError("bug")
        root = run_tree(RecordingSupervisor, record=record)
        with pytest.raises(Exception, match="bug"):
            call(root, StartChild(ChildSpec("a", worker_class, (None, None, [bug]))))
        assert record.started == []
        assert record.expect(Ended).reason is bug
        assert "Report" in failing(record.expect, Started, 0.01)


class TestRecordingDynamicSupervisor:
    def test_it_records_starts_ends_and_reports_in_order(self, run_tree, worker_class):
        record, reports, bug = Record(), [], ValueError("bug")
        spec = ChildSpec("a", worker_class)
        root = run_tree(RecordingDynamicSupervisor, record=record, on_report=reports.append)
        child = call(root, StartChild(spec))
        crash(child, bug)
        assert wait_for_restart(child) == 1
        call(root, TerminateChild(child))
        other = call(root, StartChild(spec))
        urns = [event.urn for event in record.events if isinstance(event, Started)]
        assert urns[2] == other.actor_urn
        root.stop()
        kinds = [type(event) for event in record.events]
        assert kinds == [Started, Ended, Report, Started, Ended, Started, Ended]
        assert [event for event in record.events if isinstance(event, Ended)] == [
            Ended("a", urns[0], bug),
            Ended("a", urns[1], SHUTDOWN),
            Ended("a", urns[2], SHUTDOWN),
        ]
        assert (record.started, record.ended) == (["a"] * 3, ["a"] * 3)
        assert record.reports == reports
        assert reports[0].spec == spec

    def test_specs_and_classes_read_as_they_were_given(self, run_tree, worker_class):
        spec = ChildSpec("a", worker_class)
        root = run_tree(RecordingDynamicSupervisor, record=Record(), name="root")
        child = call(root, StartChild(spec))
        assert root.proxy().get_child_spec(child).get() == spec
        assert "a (Worker)" in str(root.proxy().tree().get())

    def test_a_start_that_fails_is_an_end_without_a_start(self, worker_class, run_tree):
        record, bug = Record(), ValueError("bug")
        root = run_tree(RecordingDynamicSupervisor, record=record)
        with pytest.raises(Exception, match="bug"):
            call(root, StartChild(ChildSpec("a", worker_class, (None, None, [bug]))))
        assert record.started == []
        assert record.expect(Ended).reason is bug
        assert record.expect(Report).context == "start_error"

    def test_it_refuses_what_a_dynamic_supervisor_refuses(self, run_tree, worker_class):
        root = run_tree(RecordingDynamicSupervisor, record=Record(), max_children=0)
        with pytest.raises(ValueError, match="spec"):
            call(root, StartChild(worker_class))
        with pytest.raises(MaxChildren):
            call(root, StartChild(ChildSpec("a", worker_class)))


class TestLeakCheck:
    def test_a_block_that_cleans_up_passes(self, worker_class):
        with leak_check(within_s=PATIENCE_S):
            root = Supervisor.start([ChildSpec("a", worker_class)])
            child = root.ask(StartChild(ChildSpec("b", worker_class)))
            assert child.ask("hello") == "hello"
            root.stop()

    def test_what_was_there_before_is_no_leak(self, start_worker):
        worker = start_worker()
        future = Future()
        with leak_check(within_s=PATIENCE_S):
            assert worker.ask("hello") == "hello"
        assert not future.done()

    def test_a_leaked_tree_is_drawn_and_ended(self, worker_class, eventually):
        with pytest.raises(LeakError) as caught, leak_check(within_s=0.05):
            root = Supervisor.start([ChildSpec("a", worker_class)], name="forgotten")
        text = str(caught.value)
        assert "2 actors" in text
        assert "child 'a'" in text
        assert "forgotten (Supervisor)  running" in text
        assert "a (Worker)  running" in text
        assert "Worker a, at" in text  # the thread's stack
        assert "in _actor_loop" in text
        assert root.actor_inbox.down.wait(PATIENCE_S)

    def test_a_leaked_thread_is_shown_with_its_stack(self):
        release = threading.Event()
        thread = threading.Thread(target=release.wait, name="forgotten", daemon=True)
        with pytest.raises(LeakError, match=r"forgotten, at\n(.|\n)*in wait"), leak_check(within_s=0.05):
            thread.start()
        release.set()
        thread.join(PATIENCE_S)

    def test_a_thread_on_its_way_out_is_waited_for(self):
        release = threading.Event()
        with leak_check(within_s=PATIENCE_S):
            threading.Thread(target=release.wait, args=(PATIENCE_S,), daemon=True).start()
            threading.Timer(0.02, release.set).start()

    def test_a_future_that_nobody_resolves_is_a_leak(self, start_worker):
        kept = []
        with pytest.raises(LeakError, match="1 unresolved futures"), leak_check(within_s=0.05):
            kept.append(Future())
        kept[0].set(1)

    def test_futures_that_are_resolved_or_forgotten_are_no_leaks(self):
        with leak_check(within_s=PATIENCE_S):
            future = Future()
            future.set(1)
            Future()
            derived = future.map(str)
        assert derived.get() == "1"

    def test_names_that_stay_taken_are_a_leak(self):
        class Names:
            def __init__(self):
                self._names = ["old"]

            def names(self):
                return self._names

        names = Names()
        with leak_check(names):
            pass
        with pytest.raises(LeakError, match="1 names:\n'new'"), leak_check(names, within_s=0.01):
            names.names().append("new")

    def test_every_registry_is_looked_at(self, start_worker):
        old, worker = Registry(), start_worker()
        old.register("old", worker)
        with leak_check(within_s=PATIENCE_S):
            Registry().register("given back", worker)
            old.register("unregistered", worker)
            old.unregister("unregistered")
            assert old.names() == ["old"]
            worker.stop()
        worker = start_worker()
        with pytest.raises(LeakError, match="1 names:\n'new'"), leak_check(within_s=0.01):
            old.register("new", worker)

    def test_an_exception_of_the_block_goes_first(self, start_worker):
        def leak_and_fail():
            with leak_check(within_s=0.01):
                start_worker()
                raise KeyError

        with pytest.raises(KeyError):
            leak_and_fail()

    def test_a_supervisor_that_is_busy_does_not_hide_the_leak(self, worker_class):
        started, release = threading.Event(), threading.Event()

        class Busy(DynamicSupervisor):
            def on_receive(self, message):
                if message == "block":
                    started.set()
                    release.wait(PATIENCE_S)
                    return None
                return super().on_receive(message)

        def leak():
            with leak_check(within_s=0.01):
                Busy.start().tell("block")
                assert started.wait(PATIENCE_S)

        with pytest.raises(LeakError, match="Busy  busy, "):
            leak()
        release.set()

    def test_it_works_as_the_body_of_a_fixture(self, pytester_like):
        out = pytester_like(
            """
            import pykka, pytest
            from trunkline.supervision import testing

            no_leaks = pytest.fixture(autouse=True)(testing.no_leaks)
            kept = []

            class Actor(pykka.ThreadingActor):
                use_daemon_thread = True

            def test_that_leaks():
                kept.append(Actor.start())

            def test_that_does_not():
                Actor.start().stop()
            """
        )
        assert "2 passed, 1 error" in out
        assert "LeakError: left behind:" in out


@pytest.fixture
def pytester_like(tmp_path):
    """Run a test file in a process of its own and return what pytest says."""
    import textwrap

    def run(source):
        file = tmp_path / "test_it.py"
        file.write_text(textwrap.dedent(source))
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:cacheprovider", str(file)],
            cwd=tmp_path,
            env={"PYTHONPATH": ":".join(sys.path), "PATH": ""},
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done.stdout + done.stderr

    return run


def test_no_leaks_is_a_generator_and_no_fixture():
    check = no_leaks()
    next(check)
    assert next(check, "over") == "over"


def test_the_kit_does_not_import_pytest():
    code = "import sys, trunkline.supervision.testing; sys.exit('pytest' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, timeout=120, check=False
    )
    assert done.returncode == 0


def test_every_public_name_is_there_and_documented():
    for name in testing.__all__:
        assert getattr(testing, name).__doc__, name


def test_the_manual_clock_is_supervisions():
    clock = ManualClock()
    ticks = []

    class Ticker(GenServer):
        def on_start(self):
            self._send_after(5.0, "tick")

        def on_receive(self, message):
            ticks.append(message)

    class Slow(Supervisor):
        pass

    root = Slow.start([ChildSpec("t", Ticker)], clock=clock)
    child = root.proxy().which_child("t").get().stable_ref
    assert call(child, "now") is None
    clock.advance(5.0)
    assert call(child, "then") is None
    root.stop()
    assert ticks == ["now", "tick", "then"] or ticks == ["now", "then", "tick"]


@pytest.mark.parametrize("seconds", [-1, -0.001, float("nan"), "1"])
def test_a_manual_clock_does_not_go_back(seconds):
    clock = ManualClock(5.0)
    with pytest.raises(InvalidSpec, match="seconds"):
        clock.advance(seconds)
    assert clock.monotonic() == 5.0
    clock.advance(0)
