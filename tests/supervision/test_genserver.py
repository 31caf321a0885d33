"""GenServer: let it crash, deferred replies, timers."""

import threading

import pykka
import pytest

from trunkline.supervision import ActorDown, CallerError, GenServer, ManualClock, join

PATIENCE_S = 30.0


class Deferring(GenServer):
    def __init__(self, clock=None):
        super().__init__()
        if clock is not None:
            self.actor_inbox.use_clock(clock)
        self._reply = None
        self._timer = None

    def on_receive(self, message):
        match message:
            case "defer":
                self._reply = self._defer_reply()
                return "ignored"
            case ("defer and raise", error):
                self._reply = self._defer_reply()
                raise error
            case ("answer", value):
                return self._reply.set(value)
            case ("fail", error):
                return self._reply.set_exception(error)
            case ("after", delay_s, later):
                self._timer = self._send_after(delay_s, later)
            case "cancel":
                self._timer.cancel()
            case "now":
                return self._now()
            case "spawn":
                reply = self._defer_reply()
                threading.Thread(target=reply.set, args=("from a thread",), daemon=True).start()
        return None


@pytest.fixture
def server(start_worker):
    return start_worker(actor_class=Deferring)


def test_an_exception_in_an_ask_goes_to_the_asker_and_ends_the_actor(start_worker):
    diary, error = [], ValueError("x")
    ref = start_worker(diary)
    with pytest.raises(ValueError) as caught:
        ref.ask(("raise", error), timeout=PATIENCE_S)
    assert caught.value.args == error.args
    assert caught.value is not error
    assert join(ref, PATIENCE_S)
    assert ref.actor_inbox.reason is error
    assert diary == ["start", ("terminate", error)]


def test_the_asker_learns_of_the_crash_when_the_mailbox_is_closed_so_that_asking_again_cannot_meet_the_dying(
    start_worker,
):
    for _ in range(50):
        ref = start_worker()
        with pytest.raises(ValueError):
            ref.ask(("raise", ValueError("x")), timeout=PATIENCE_S)
        assert ref.actor_inbox.reason is not None


def test_a_caller_error_goes_to_the_asker_alone(start_worker):
    ref = start_worker()
    with pytest.raises(CallerError):
        ref.ask("refuse", timeout=PATIENCE_S)
    ref.tell("refuse")
    assert ref.ask("still here", timeout=PATIENCE_S) == "still here"


def test_a_deferred_reply_is_sent_later(server):
    future = server.ask("defer", block=False)
    server.ask("anything")
    assert not future.done()
    assert server.ask(("answer", 42)) is True
    assert future.get(timeout=PATIENCE_S) == 42
    assert server.ask(("answer", 43)) is False


def test_a_deferred_reply_can_be_an_exception(server):
    future = server.ask("defer", block=False)
    server.ask(("fail", KeyError("k")))
    with pytest.raises(KeyError):
        future.get(timeout=PATIENCE_S)


def test_a_deferred_reply_can_come_from_another_thread(server):
    assert server.ask("spawn", timeout=PATIENCE_S) == "from a thread"


def test_open_deferred_replies_fail_when_the_actor_ends(server):
    future = server.ask("defer", block=False)
    server.stop()
    with pytest.raises(ActorDown):
        future.get(timeout=PATIENCE_S)


def test_a_handler_that_defers_and_then_raises_sends_the_exception_and_ends(server):
    error = ValueError("x")
    with pytest.raises(ValueError) as caught:
        server.ask(("defer and raise", error), timeout=PATIENCE_S)
    assert caught.value.args == error.args
    assert join(server, PATIENCE_S)


def test_a_handler_that_defers_and_then_raises_a_caller_error_lives(server):
    with pytest.raises(CallerError):
        server.ask(("defer and raise", CallerError("no")), timeout=PATIENCE_S)
    assert server.ask("now") > 0


def test_a_timer_message_is_handled_when_it_is_due(start_worker):
    clock = ManualClock()
    server = start_worker(clock, actor_class=Deferring)
    future = server.ask("defer", block=False)
    server.ask(("after", 30.0, ("answer", "fired")))
    clock.advance(29.0)
    assert server.ask("now") == 29.0
    assert not future.done()
    clock.advance(1.0)
    assert future.get(timeout=PATIENCE_S) == "fired"


def test_a_cancelled_timer_message_is_not_handled(start_worker):
    clock = ManualClock()
    server = start_worker(clock, actor_class=Deferring)
    future = server.ask("defer", block=False)
    server.ask(("after", 1.0, ("answer", "fired")))
    server.ask("cancel")
    clock.advance(2.0)
    server.ask("now")
    assert not future.done()


def test_a_timer_that_sets_itself_again_does_not_starve_the_mailbox(start_worker):
    class Restless(GenServer):
        def on_receive(self, message):
            if message == "again":
                self._send_after(0.0, "again")
            return message

    ref = start_worker(actor_class=Restless)
    ref.tell("again")
    assert [ref.ask(number, timeout=PATIENCE_S) for number in range(20)] == list(range(20))


def test_proxies_work_as_pykkas(start_worker):
    proxy = start_worker().proxy()
    assert proxy.greet("you").get(timeout=PATIENCE_S) == "hello you"
    proxy.greet.defer("nobody")


def test_a_proxy_shows_none_of_the_protected_api(start_worker):
    proxy = start_worker().proxy()
    assert not [name for name in dir(proxy) if name in {"defer_reply", "send_after", "mailbox", "life"}]
    assert isinstance(proxy, pykka.ActorProxy)
