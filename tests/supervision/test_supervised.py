"""The mixin: pykka's contract, without pykka's gaps."""

import asyncio
import gc
import threading
import weakref

import pykka
import pytest

from trunkline.supervision import (
    KILLED,
    NORMAL,
    SHUTDOWN,
    ActorDown,
    ChildSpec,
    DynamicSupervisor,
    Exit,
    GenServer,
    Shutdown,
    Supervised,
    join,
    kill,
    stop,
)
from trunkline.supervision.supervised import supervisable

PATIENCE_S = 30.0


class Mixed(Supervised, pykka.ThreadingActor):
    """Keeps pykka's way with exceptions: let_it_crash is off."""

    use_daemon_thread = True

    def __init__(self, diary=None, failing=()):
        super().__init__()
        self._diary = [] if diary is None else diary
        self._failing = failing

    def _enter(self, name):
        self._diary.append(name)
        if name in self._failing:
            raise self._failing[name]

    def on_start(self):
        self._enter("on_start")

    def handle_continue(self):
        self._enter("handle_continue")

    def on_stop(self):
        self._enter("on_stop")

    def on_failure(self, exception_type, exception_value, traceback):
        self._enter("on_failure")

    def terminate(self, reason):
        self._diary.append(("terminate", reason))
        self._enter("terminate")

    def on_receive(self, message):
        self._diary.append(message)
        if isinstance(message, BaseException):
            raise message
        return message


@pytest.fixture
def started(start_worker):
    def start(*args, **kwargs):
        return start_worker(*args, actor_class=Mixed, **kwargs)

    return start


def ended(ref):
    assert join(ref, PATIENCE_S)
    return ref.actor_inbox.reason


def test_hooks_run_in_order_and_stop_waits_for_terminate(started):
    diary = []
    ref = started(diary)
    ref.tell("message")
    assert ref.stop() is True
    assert diary == ["on_start", "handle_continue", "message", "on_stop", ("terminate", NORMAL), "terminate"]
    assert ref.actor_inbox.down.is_set()
    assert ref.actor_inbox.reason is NORMAL


def test_without_let_it_crash_an_exception_of_an_ask_goes_to_the_asker_and_the_actor_lives(started):
    ref, error = started(), ValueError("x")
    with pytest.raises(ValueError) as caught:
        ref.ask(error)
    assert caught.value is error
    assert ref.ask("still here") == "still here"


def test_an_exception_of_a_tell_ends_the_actor_by_on_failure_and_terminate(started):
    diary, error = [], ValueError("x")
    ref = started(diary)
    ref.tell(error)
    assert ended(ref) is error
    assert diary[-3:] == ["on_failure", ("terminate", error), "terminate"]
    assert "on_stop" not in diary


@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, Shutdown("done")])
def test_exit_with_a_clean_reason_ends_the_actor_and_fails_the_asker(started, reason, caplog):
    ref = started()
    with pytest.raises(ActorDown) as caught:
        ref.ask(Exit(reason))
    assert caught.value.reason == reason
    assert ended(ref) == reason
    assert "Unhandled" not in caplog.text


def test_exit_with_an_exception_ends_the_actor_with_it(started):
    ref, error = started(), KeyError("k")
    ref.tell(Exit(error))
    assert ended(ref) is error


def test_when_on_start_raises_queued_asks_fail_and_terminate_does_not_run(started):
    diary, error = [], ValueError("x")
    ref = started(diary, {"on_start": error})
    with pytest.raises(pykka.ActorDeadError):
        ref.ask("too late", timeout=PATIENCE_S)
    assert ended(ref) is error
    assert diary == ["on_start"]


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError(), KeyboardInterrupt()])
def test_a_base_exception_in_on_start_leaves_nothing_registered(started, error):
    ref = started(failing={"on_start": error})
    assert ended(ref) is error
    assert pykka.ActorRegistry.get_by_urn(ref.actor_urn) is None
    with pytest.raises(pykka.ActorDeadError):
        ref.ask("hello", timeout=PATIENCE_S)


def test_a_failing_handle_continue_is_a_crash_of_a_started_actor(started):
    diary, error = [], ValueError("x")
    ref = started(diary, {"handle_continue": error})
    assert ended(ref) is error
    assert ("terminate", error) in diary


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1)])
def test_a_failing_on_stop_is_the_reason_and_stop_returns(started, error):
    ref = started(failing={"on_stop": error})
    assert ref.stop(timeout=PATIENCE_S) is True
    assert ended(ref) is error


def test_a_failing_terminate_is_the_reason_and_stop_returns(started):
    error = ValueError("x")
    ref = started(failing={"terminate": error})
    assert ref.stop(timeout=PATIENCE_S) is True
    assert ended(ref) is error


def test_a_base_exception_in_on_failure_still_ends_the_actor_properly(started):
    ref = started(failing={"on_failure": SystemExit(1)})
    ref.tell(ValueError("x"))
    ended(ref)
    assert pykka.ActorRegistry.get_by_urn(ref.actor_urn) is None


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError(), KeyboardInterrupt()])
def test_a_base_exception_in_a_supervised_handler_ends_that_actor_alone(
    error, run_tree, start_child, start_worker
):
    bystander = start_worker()
    supervisor = run_tree(DynamicSupervisor)
    child = start_child(supervisor, "child", start=Mixed, restart="temporary")
    with pytest.raises(ActorDown) as caught:
        child.ask(error, timeout=PATIENCE_S)
    assert caught.value.reason is error
    assert bystander.ask("alive?", timeout=PATIENCE_S) == "alive?"
    assert supervisor.is_alive()


def test_a_base_exception_in_an_unsupervised_handler_stops_all_as_in_pykka_but_the_asker_is_answered(started):
    ref, bystander = started(), started()
    with pytest.raises(ActorDown):
        ref.ask(SystemExit(3), timeout=PATIENCE_S)
    assert isinstance(ended(ref), SystemExit)
    assert ended(bystander) is NORMAL


def test_an_unsupervised_base_exception_does_not_deadlock_with_an_asker_that_is_an_actor_itself(
    started, start_worker
):
    raiser = started()

    class Asker(GenServer):
        def on_receive(self, message):
            try:
                return raiser.ask(SystemExit(3))
            except ActorDown:
                return "answered"

    # pykka's stop_all() waits in the raiser for the asker, which waits for its answer
    asking = start_worker(actor_class=Asker).ask("go", block=False)
    assert asking.get(timeout=PATIENCE_S) == "answered"
    assert join(raiser, PATIENCE_S)


def test_stop_is_fifo(started):
    diary = []
    ref = started(diary)
    for number in range(10):
        ref.tell(number)
    ref.stop()
    assert diary[2:12] == list(range(10))


def test_an_actor_can_be_stopped_with_a_reason(started):
    diary = []
    ref = started(diary)
    assert stop(ref, Shutdown("enough"), PATIENCE_S) is True
    assert diary[-2:] == [("terminate", Shutdown("enough")), "terminate"]
    assert stop(ref, SHUTDOWN, PATIENCE_S) is False


def test_a_killed_actor_handles_no_further_message_and_runs_no_terminate(start_worker, worker_class):
    diary, started_event, release = [], threading.Event(), threading.Event()
    ref = start_worker(diary, release)
    blocked = ref.ask(("block", started_event, release), block=False)
    queued = ref.ask(("note", "never"), block=False)
    assert started_event.wait(PATIENCE_S)
    kill(ref)  # on_kill releases it
    assert ended(ref) is KILLED
    with pytest.raises(ActorDown) as caught:
        queued.get(timeout=PATIENCE_S)
    assert caught.value.reason is KILLED
    blocked.exception(timeout=PATIENCE_S)
    assert diary == ["start", ("on_kill", threading.current_thread().name)]


def test_killing_an_idle_actor_ends_it(started):
    ref = started()
    ref.ask("hello")
    kill(ref)
    assert ended(ref) is KILLED
    kill(ref)


def test_an_on_kill_that_raises_does_not_reach_the_killer(start_worker, caplog):
    class Stubborn(GenServer):
        def on_kill(self):
            raise ValueError("no")

    ref = start_worker(actor_class=Stubborn)
    kill(ref)
    assert ended(ref) is KILLED
    assert "on_kill" in caplog.text


def test_threads_are_named_after_the_class_and_the_child(start_worker, run_tree, start_child):
    assert start_worker().ask("thread").name.startswith("Worker ")
    supervisor = run_tree(DynamicSupervisor, name="the dynamic one")
    assert start_child(supervisor, "the child").ask("thread").name == "Worker the child"
    names = {thread.name for thread in threading.enumerate()}
    assert "DynamicSupervisor the dynamic one" in names


def test_an_actor_knows_its_stable_ref_before_on_start(run_tree, start_child, start_worker):
    seen = []

    class Curious(GenServer):
        def on_start(self):
            seen.append(self._stable_ref)

    supervisor = run_tree(DynamicSupervisor)
    child = start_child(supervisor, "c", start=Curious)
    assert seen == [child]
    alone = start_worker()
    assert alone.ask("stable_ref") is alone


def test_a_foreign_class_gets_one_supervised_subclass_of_the_same_name():
    class Foreign(pykka.ThreadingActor):
        """Somebody else's."""

    made = supervisable(Foreign)
    assert made is supervisable(Foreign)
    assert issubclass(made, Foreign)
    assert (made.__name__, made.__doc__) == ("Foreign", "Somebody else's.")
    assert supervisable(Mixed) is Mixed


def test_a_foreign_actor_is_supervised_as_it_is(run_tree, start_child, eventually):
    class Foreign(pykka.ThreadingActor):
        def __init__(self, number):
            super().__init__()
            self.number = number

        def double(self):
            return 2 * self.number

        def fail(self):
            raise ValueError("x")

    supervisor = run_tree(DynamicSupervisor)
    child = start_child(supervisor, "f", start=Foreign, args=(21,))
    proxy = child.proxy()
    assert proxy.double().get(timeout=PATIENCE_S) == 42
    with pytest.raises(ValueError):
        proxy.fail().get(timeout=PATIENCE_S)
    assert child.restarts == 0
    proxy.fail.defer()
    eventually(lambda: child.restarts == 1)
    assert proxy.number.get(timeout=PATIENCE_S) == 21


def test_a_dead_actor_is_not_kept_alive_by_its_references(run_tree, start_child, worker_class, eventually):
    supervisor = run_tree(DynamicSupervisor)
    child = start_child(supervisor, "c")
    actor = weakref.ref(child._actor_weakref())
    child.ask(("note", "x"))
    stop(child, NORMAL, PATIENCE_S)

    def is_collected():
        gc.collect()
        return actor() is None

    eventually(is_collected, "the actor is collected")


def test_the_spec_of_a_supervised_actor_starts_a_daemon_thread_whatever_its_class_says(run_tree, start_child):
    class NonDaemon(pykka.ThreadingActor):
        use_daemon_thread = False

        def is_daemon(self):
            return threading.current_thread().daemon

    supervisor = run_tree(DynamicSupervisor)
    assert start_child(supervisor, "n", start=NonDaemon).proxy().is_daemon().get(timeout=PATIENCE_S) is True
    assert ChildSpec("n", NonDaemon).start is NonDaemon
