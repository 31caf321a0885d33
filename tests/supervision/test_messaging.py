"""call, cast, stop, kill and join."""

import threading

import pykka
import pytest

from trunkline.supervision import (
    KILLED,
    NORMAL,
    ActorDown,
    CallingSelf,
    CallTimeout,
    GenServer,
    Mailbox,
    StableRef,
    call,
    cast,
    join,
    kill,
    stop,
    teller,
)

PATIENCE_S = 30.0


def test_call_returns_the_answer(start_worker):
    assert call(start_worker(), "hello") == "hello"


def test_call_times_out_with_an_error_that_is_pykkas_too_and_the_request_is_still_executed(start_worker):
    diary, started, release = [], threading.Event(), threading.Event()
    ref = start_worker(diary)
    ref.tell(("block", started, release))
    with pytest.raises(CallTimeout) as caught:
        call(ref, ("note", "late"), 0.01)
    assert caught.value.timeout_s == 0.01
    assert isinstance(caught.value, pykka.Timeout)
    release.set()
    call(ref, "sync", PATIENCE_S)
    assert "late" in diary


def test_a_timeout_that_the_handler_raises_is_the_handlers_own(start_worker):
    error = pykka.Timeout("the handler's")
    with pytest.raises(pykka.Timeout) as caught:
        call(start_worker(), ("raise", error), PATIENCE_S)
    assert caught.value.args == error.args
    assert not isinstance(caught.value, CallTimeout)


def test_call_to_a_dead_actor_fails_at_once_with_its_reason(start_worker):
    ref = start_worker()
    kill(ref)
    assert join(ref, PATIENCE_S)
    with pytest.raises(ActorDown) as caught:
        call(ref, "hello")
    assert caught.value.reason is KILLED


def test_call_from_the_actors_own_thread_is_refused(start_worker):
    class Narcissus(GenServer):
        def on_receive(self, message):
            return call(self.actor_ref, "mirror") if message == "call" else stop(self.actor_ref)

    for message in ("call", "stop"):
        with pytest.raises(CallingSelf):
            start_worker(actor_class=Narcissus).ask(message, timeout=PATIENCE_S)


def test_cast_never_raises(start_worker):
    class Bounded(GenServer):
        @staticmethod
        def _create_actor_inbox():
            return Mailbox(max_size=1)

        def on_receive(self, message):
            message[0].set()
            message[1].wait(PATIENCE_S)

    ref = start_worker()
    assert cast(ref, "hello") is True
    ref.stop()
    assert cast(ref, "hello") is False
    full, started, release = start_worker(actor_class=Bounded), threading.Event(), threading.Event()
    assert cast(full, (started, release)) is True
    assert started.wait(PATIENCE_S)
    assert cast(full, (started, release)) is True
    assert cast(full, (started, release)) is False
    release.set()


def test_stop_waits_until_the_actor_is_down(start_worker):
    ref = start_worker()
    assert stop(ref, NORMAL, PATIENCE_S) is True
    assert ref.actor_inbox.down.is_set()
    assert stop(ref) is False


def test_join_waits_for_the_end_also_of_a_plain_pykka_actor(start_worker):
    class Plain(pykka.ThreadingActor):
        pass

    for actor_class in (Plain, GenServer):
        ref = start_worker(actor_class=actor_class)
        assert join(ref, 0.01) is False
        ref.stop(block=False)
        assert join(ref, PATIENCE_S) is True


def test_call_works_with_plain_pykka_actors(start_worker):
    class Plain(pykka.ThreadingActor):
        use_daemon_thread = True

        def on_receive(self, message):
            return message

    ref = start_worker(actor_class=Plain)
    assert call(ref, 1) == 1
    assert stop(ref) is True
    with pytest.raises(ActorDown):
        call(ref, 1)


# -- telling often


class Listens:
    """Keeps what it is told."""

    def __init__(self):
        super().__init__()
        self.told = []

    def on_receive(self, message):
        if message != "told?":
            self.told.append(message)
        return list(self.told)


class PlainListener(Listens, pykka.ThreadingActor):
    pass


class OurListener(Listens, GenServer):
    pass


@pytest.mark.parametrize("kind", [PlainListener, OurListener])
def test_a_teller_tells_in_order_and_says_when_the_actor_is_dead(kind):
    ref = kind.start()
    tell = teller(ref)
    for n in range(5):
        tell(n)
    assert ref.ask("told?", timeout=PATIENCE_S) == [0, 1, 2, 3, 4]
    ref.stop(timeout=PATIENCE_S)
    with pytest.raises(pykka.ActorDeadError):
        tell("too late")


def test_a_teller_of_a_child_tells_whichever_incarnation_runs():
    ref = StableRef(OurListener, "child")
    assert teller(ref) == ref.tell
