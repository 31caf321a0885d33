"""Elixir's gen_server_test, and the init and continue of A10: each test ports the case it is named after (otp.md B3, A10)."""

import threading

import pykka
import pytest

from trunkline.supervision import (
    KILLED,
    NOPROC,
    NORMAL,
    SHUTDOWN,
    ActorDown,
    CallingSelf,
    CallTimeout,
    ChildSpec,
    Exit,
    GenServer,
    Registry,
    Shutdown,
    StartChild,
    StartError,
    call,
    cast,
    join,
    kill,
    stop,
)

PATIENCE_S = 30.0
CRASH = ValueError("crash")


class Server(GenServer):
    """Runs what it is sent, and answers with the result."""

    def __init__(self, diary=None):
        super().__init__()
        self._diary = [] if diary is None else diary

    def on_receive(self, message):
        self._diary.append("message")
        return message(self)

    def terminate(self, reason):
        self._diary.append(("terminate", reason))


@pytest.fixture
def server(lab):
    return lab.actor(Server)


@pytest.fixture
def dead(lab):
    ref = lab.actor(Server)
    stop(ref, NORMAL, PATIENCE_S)
    return ref


@pytest.fixture
def busy(server):
    """A server that is in a handler until the event it yields is set."""
    started, release = threading.Event(), threading.Event()

    def block(_):
        started.set()
        release.wait(PATIENCE_S)

    server.tell(block)
    assert started.wait(PATIENCE_S)
    yield release
    release.set()


# -- call


def test_call_exit_messages_calling_self(server):
    def call_self(server):
        with pytest.raises(CallingSelf):
            call(server.actor_ref, "never seen")
        return "alive"

    assert call(server, call_self, PATIENCE_S) == "alive"


def test_call_exit_messages_timeout(server, busy):
    executed = threading.Event()
    with pytest.raises(CallTimeout) as caught:
        call(server, lambda _: executed.set(), timeout_s=0.0)
    assert isinstance(caught.value, pykka.Timeout)
    busy.set()
    assert executed.wait(PATIENCE_S)  # the server goes on, and executes what nobody waits for


def test_call_exit_messages_noproc(dead):
    with pytest.raises(ActorDown) as caught:
        call(dead, "anybody?")
    assert isinstance(caught.value, pykka.ActorDeadError)


@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, Shutdown("why")], ids=repr)
def test_call_exit_messages_reason_of_the_server(lab, reason):
    def leave(_):
        raise Exit(reason)

    with pytest.raises(ActorDown) as caught:
        call(lab.actor(Server), leave, PATIENCE_S)
    assert caught.value.reason is reason


def test_call_exit_messages_reason_of_the_server__also_of_a_call_that_is_queued(server, busy):
    queued = server.ask("behind the kill", block=False)
    kill(server)
    busy.set()
    with pytest.raises(ActorDown) as caught:
        queued.get(timeout=PATIENCE_S)
    assert caught.value.reason is KILLED


def test_call_exit_messages_reason_of_the_server__a_crash_ends_the_server(lab, server):
    def crash(_):
        raise CRASH

    with pytest.raises(ValueError, match="crash") as caught:
        call(server, crash, PATIENCE_S)
    assert caught.value is not CRASH  # the asker's is a copy: nobody raises the reason
    assert lab.reason(server) is CRASH


# -- cast


def test_cast_to_unknown_is_ok(dead, server):
    assert cast(dead, "hello?") is False
    assert cast(server, lambda _: None) is True


# -- stop


def test_stop_dead_is_noproc(dead):
    assert stop(dead, NORMAL, PATIENCE_S) is False


def test_stop_from_inside_is_calling_self(server):
    def stop_self(server):
        with pytest.raises(CallingSelf):
            stop(server.actor_ref)
        return "alive"

    assert call(server, stop_self, PATIENCE_S) == "alive"


@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, Shutdown("why"), CRASH], ids=repr)
def test_stop_with_reason_and_timeout(lab, reason):
    diary = []
    server = lab.actor(Server, diary)
    assert stop(server, reason, PATIENCE_S) is True
    assert lab.reason(server) is reason
    assert diary == [("terminate", reason)]


@pytest.mark.parametrize("how", ["crash", "kill", "terminate"])
def test_stop_with_reason_and_timeout__another_reason_is_the_callers_to_know(lab, busy, server, how):
    if how == "crash":
        server.tell(lambda _: 1 / 0)
    caught = []

    def stop_it():
        try:
            stop(server, SHUTDOWN, PATIENCE_S)
        except ActorDown as error:
            caught.append(error.reason)

    thread = threading.Thread(target=stop_it)
    thread.start()
    lab.eventually(lambda: server.actor_inbox.qsize() == 1 + (how == "crash"), "the stop is queued")
    if how == "kill":
        kill(server)
    elif how == "terminate":
        server._actor_weakref().terminate = lambda _: 1 / 0
    busy.set()
    thread.join(PATIENCE_S)
    assert caught == [lab.reason(server)]
    assert lab.reason(server) is not SHUTDOWN


def test_stop_with_reason_and_timeout__a_timeout_leaves_the_stop_queued(lab, server, busy):
    with pytest.raises(CallTimeout):
        stop(server, SHUTDOWN, timeout_s=0.0)
    assert not join(server, 0.0)
    busy.set()
    assert lab.reason(server) is SHUTDOWN


# -- init and continue


class Continuing(Server):
    """Sends itself a message in init, and has something to do after it."""

    def __init__(self, diary, failure=None):
        super().__init__(diary)
        self._failure = failure

    def on_start(self):
        self._diary.append("init")
        self.actor_ref.tell(lambda _: None)

    def handle_continue(self):
        self._diary.append("continue")
        if self._failure is not None:
            raise self._failure


def test_handle_continue_runs_before_any_message(lab):
    diary = []
    server = lab.actor(Continuing, diary)  # which does not wait for its init
    lab.eventually(lambda: "continue" in diary)
    stop(server, NORMAL, PATIENCE_S)
    assert diary == ["init", "continue", "message", ("terminate", NORMAL)]


def test_handle_continue_crash_is_after_a_successful_start(lab):
    diary = []
    supervisor = lab.supervisor(lab.spec("other"), max_restarts=2)
    spec = ChildSpec("child", Continuing, (diary, CRASH))
    child = call(supervisor, StartChild(spec), PATIENCE_S)  # it has started, whatever comes after
    assert lab.reason(supervisor) is SHUTDOWN
    assert diary == ["init", "continue", ("terminate", CRASH)] * 3
    assert child.restarts == 2


@pytest.mark.parametrize(
    "failure", [CRASH, Exit(SHUTDOWN), Exit(Shutdown("why")), SystemExit("bye")], ids=repr
)
def test_init_that_stops_or_raises_is_a_start_error(lab, failure):
    supervisor = lab.supervisor(max_restarts=0)
    reason = failure.reason if isinstance(failure, Exit) else failure
    with pytest.raises(StartError) as caught:
        lab.add(supervisor, "child", lab.Plan(failure))
    assert caught.value.reason is reason
    assert caught.value.__cause__ is (reason if isinstance(reason, BaseException) else None)
    assert lab.since() == [("start", "child")]  # no terminate of what did not start


def test_call_exit_messages_noproc__of_a_free_name(lab):
    registry = Registry()
    server = lab.actor(Server)
    registry.register("server", server)
    assert call(registry.ref("server"), lambda _: "hello") == "hello"
    stop(server, NORMAL, PATIENCE_S)
    with pytest.raises(ActorDown) as caught:
        call(registry.ref("server"), "anybody?")
    assert caught.value.reason is NOPROC


@pytest.mark.parametrize("ends", [lambda _: 1 / 0, lambda server: server.stop()], ids=["crash", "stop"])
def test_stop_with_reason_and_timeout__an_exception_in_terminate_replaces_the_reason(lab, server, ends):
    def fail(reason):
        raise CRASH

    server._actor_weakref().terminate = fail
    server.tell(ends)
    assert lab.reason(server) is CRASH
