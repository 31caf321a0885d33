"""The closable mailbox: no reply is lost, whoever closes it and when."""

import queue
import threading

import pykka
import pytest
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from trunkline.supervision import (
    KILLED,
    NORMAL,
    SHUTDOWN,
    ActorDown,
    Future,
    Mailbox,
    MailboxFull,
    ManualClock,
    SelectableMailbox,
)

PATIENCE_S = 30.0


@pytest.fixture(params=[Mailbox, SelectableMailbox])
def new_mailbox(request):
    return request.param


@pytest.fixture
def mailbox(new_mailbox):
    mailbox = new_mailbox()
    yield mailbox
    mailbox.finalize(NORMAL)


def ask(message="ask"):
    return Envelope(message, reply_to=Future())


def reason_of(envelope):
    with pytest.raises(ActorDown) as caught:
        envelope.reply_to.get(timeout=PATIENCE_S)
    return caught.value.reason


def test_messages_come_out_in_the_order_they_went_in(mailbox):
    for number in range(100):
        mailbox.put(Envelope(number))
    assert mailbox.qsize() == 100
    assert [mailbox.get().message for _ in range(100)] == list(range(100))
    assert mailbox.empty()


def test_get_waits_for_put(mailbox):
    got = queue.Queue()
    thread = threading.Thread(target=lambda: got.put(mailbox.get().message), daemon=True)
    thread.start()
    mailbox.put(Envelope("hello"))
    assert got.get(timeout=PATIENCE_S) == "hello"
    thread.join(PATIENCE_S)


def test_finalize_fails_queued_asks_with_the_reason(mailbox):
    asks = [ask() for _ in range(3)]
    for envelope in asks:
        mailbox.put(envelope)
    assert mailbox.finalize(SHUTDOWN)
    assert [reason_of(envelope) for envelope in asks] == [SHUTDOWN] * 3
    assert mailbox.down.is_set()
    assert mailbox.reason is SHUTDOWN


def test_finalize_fails_the_ask_in_hand(mailbox):
    envelope = ask()
    mailbox.put(envelope)
    assert mailbox.get() is envelope
    mailbox.finalize(KILLED)
    assert reason_of(envelope) is KILLED


def test_finalize_fails_deferred_answers(mailbox):
    envelope = ask()
    future = envelope.reply_to
    mailbox.put(envelope)
    mailbox.get()
    reply = mailbox.defer_reply()
    assert envelope.reply_to is None
    mailbox.finalize(KILLED)
    with pytest.raises(ActorDown):
        future.get(timeout=PATIENCE_S)
    assert reply.set("late") is False


def test_a_deferred_answer_is_given_once(mailbox):
    envelope = ask()
    future = envelope.reply_to
    mailbox.put(envelope)
    mailbox.get()
    reply = mailbox.defer_reply()
    assert reply.set(1) is True
    assert reply.set(2) is False
    assert reply.set_exception(ValueError()) is False
    assert future.get(timeout=0) == 1
    mailbox.finalize(NORMAL)
    assert future.get(timeout=0) == 1


def test_the_deferred_answer_to_a_tell_goes_nowhere(mailbox):
    mailbox.put(Envelope("tell"))
    mailbox.get()
    assert mailbox.defer_reply().set(1) is False


def test_finalize_works_once(mailbox):
    assert mailbox.finalize(SHUTDOWN) is True
    assert mailbox.finalize(KILLED) is False
    assert mailbox.reason is SHUTDOWN


def test_put_after_close_answers_an_ask_and_raises_for_a_tell(mailbox):
    mailbox.finalize(SHUTDOWN)
    envelope = ask()
    mailbox.put(envelope)
    assert reason_of(envelope) is SHUTDOWN
    with pytest.raises(pykka.ActorDeadError) as caught:
        mailbox.put(Envelope("tell"))
    assert isinstance(caught.value, ActorDown)
    assert mailbox.empty()


def test_a_stop_that_is_left_behind_has_succeeded(mailbox):
    stop = Envelope(_ActorStop(), reply_to=Future())
    mailbox.put(stop)
    mailbox.finalize(NORMAL)
    assert stop.reply_to.get(timeout=PATIENCE_S) is None
    late = Envelope(_ActorStop(), reply_to=Future())
    mailbox.put(late)
    assert late.reply_to.get(timeout=PATIENCE_S) is None


def test_offer_says_whether_it_took_the_envelope(mailbox):
    envelope = ask()
    assert mailbox.offer(envelope) is True
    mailbox.finalize(NORMAL)
    refused = ask()
    assert mailbox.offer(refused) is False
    assert not refused.reply_to.done()


def test_get_after_close_returns_a_message_that_says_nothing(mailbox):
    mailbox.finalize(NORMAL)
    assert mailbox.get().reply_to is None


def test_interrupt_makes_get_return_ahead_of_the_queue(mailbox):
    mailbox.put(Envelope("queued"))
    mailbox.interrupt()
    assert mailbox.get().message != "queued"
    assert mailbox.get().message == "queued"


def test_watchers_are_called_once_with_the_reason_after_down(mailbox):
    seen = []
    assert mailbox.watch(lambda reason: seen.append((reason, mailbox.down.is_set())))
    mailbox.finalize(KILLED)
    mailbox.finalize(NORMAL)
    assert seen == [(KILLED, True)]


def test_who_joins_goes_on_when_the_watchers_have_been_called(mailbox):
    called, may_return, told = threading.Event(), threading.Event(), []

    def slow(reason):
        called.set()
        assert may_return.wait(PATIENCE_S)
        told.append(reason)

    mailbox.watch(slow)
    dying = threading.Thread(target=mailbox.finalize, args=(KILLED,))
    dying.start()
    assert called.wait(PATIENCE_S)
    assert mailbox.down.is_set()
    assert not mailbox.join(0.0)
    may_return.set()
    assert mailbox.join(PATIENCE_S)
    assert told == [KILLED]
    dying.join(PATIENCE_S)


def test_a_watcher_may_join(mailbox):
    joined = []
    mailbox.watch(lambda _: joined.append(mailbox.join(PATIENCE_S)))
    mailbox.finalize(NORMAL)
    assert joined == [True]


def test_a_watcher_that_raises_does_not_keep_the_others_from_being_called(mailbox, caplog):
    seen = []
    mailbox.watch(lambda reason: 1 / 0)
    mailbox.watch(seen.append)
    mailbox.finalize(NORMAL)
    assert seen == [NORMAL]
    assert "ZeroDivisionError" in caplog.text


def test_a_watcher_that_was_removed_is_not_called(mailbox):
    seen = []
    mailbox.watch(seen.append)
    mailbox.unwatch(seen.append)
    mailbox.finalize(NORMAL)
    assert seen == []


def test_watching_a_mailbox_that_is_down_says_so(mailbox):
    mailbox.finalize(NORMAL)
    assert mailbox.watch(print) is False


def test_the_heir_gets_what_was_not_begun_but_no_stops_and_no_timers(new_mailbox):
    clock = ManualClock()
    mailbox = new_mailbox(clock=clock)
    inherited = []
    mailbox.bequeath(inherited.extend)
    begun, first, second = ask("begun"), ask("first"), Envelope("second")
    for envelope in (begun, first, Envelope(_ActorStop(), reply_to=Future()), second):
        mailbox.put(envelope)
    mailbox.get()
    mailbox.send_after(1.0, "timer")
    clock.advance(2.0)
    mailbox._queue_due()
    mailbox.finalize(KILLED)
    assert inherited == [first, second]
    assert reason_of(begun) is KILLED
    assert not first.reply_to.done()


def test_a_bounded_mailbox_refuses_what_it_has_no_room_for_but_takes_a_stop(new_mailbox):
    mailbox = new_mailbox(max_size=2)
    mailbox.put(Envelope(1))
    mailbox.put(Envelope(2))
    with pytest.raises(MailboxFull) as caught:
        mailbox.put(Envelope(3))
    assert caught.value.limit == 2
    refused = ask()
    mailbox.put(refused)
    assert isinstance(refused.reply_to.exception(timeout=PATIENCE_S), MailboxFull)
    mailbox.put(Envelope(_ActorStop()))
    assert mailbox.qsize() == 3


def test_a_timer_is_delivered_when_it_is_due_behind_what_is_queued(new_mailbox):
    clock = ManualClock()
    mailbox = new_mailbox(clock=clock)
    mailbox.send_after(2.0, "second")
    mailbox.send_after(1.0, "first")
    mailbox.put(Envelope("before"))
    clock.advance(3.0)
    assert [mailbox.get().message for _ in range(3)] == ["before", "first", "second"]


def test_a_cancelled_timer_says_nothing_even_if_it_was_queued_already(new_mailbox):
    clock = ManualClock()
    mailbox = new_mailbox(clock=clock)
    timer = mailbox.send_after(1.0, "never")
    clock.advance(1.0)
    mailbox._queue_due()
    timer.cancel()
    timer.cancel()
    assert timer.cancelled
    assert mailbox.get().message != "never"


def test_advancing_a_manual_clock_wakes_a_waiting_mailbox(new_mailbox):
    clock = ManualClock()
    mailbox = new_mailbox(clock=clock)
    got = queue.Queue()
    thread = threading.Thread(target=lambda: got.put(mailbox.get().message), daemon=True)
    mailbox.send_after(3600.0, "an hour later")
    thread.start()
    with pytest.raises(queue.Empty):
        got.get(timeout=0.05)
    clock.advance(3600.0)
    assert got.get(timeout=PATIENCE_S) == "an hour later"
    thread.join(PATIENCE_S)


def test_a_timer_set_from_another_thread_wakes_a_waiting_mailbox(mailbox):
    got = queue.Queue()
    thread = threading.Thread(target=lambda: got.put(mailbox.get().message), daemon=True)
    thread.start()
    mailbox.send_after(0.01, "soon")
    assert got.get(timeout=PATIENCE_S) == "soon"
    thread.join(PATIENCE_S)


def interposing(mailbox_class, when, act):
    """A mailbox that does `act(mailbox)` once, at the moment when its owner stores what it has in hand and `when(it)`."""

    class Interposing(mailbox_class):
        _in_hand = None
        _acted = False

        @property
        def _current(self):
            return self._in_hand

        @_current.setter
        def _current(self, envelope):
            if self._armed and not self._acted and when(envelope):
                self._acted = True
                act(self)
            self._in_hand = envelope

        _armed = False

    mailbox = Interposing()
    mailbox._armed = True
    return mailbox


def test_a_put_between_the_owners_look_at_the_queue_and_its_sleep_is_not_slept_over(new_mailbox):
    mailbox = interposing(
        new_mailbox, lambda envelope: envelope is None, lambda m: m.put(Envelope("just now"))
    )
    assert mailbox.get().message == "just now"


def test_a_finalize_between_the_owners_look_at_the_queue_and_its_sleep_is_not_slept_over(new_mailbox):
    mailbox = interposing(new_mailbox, lambda envelope: envelope is None, lambda m: m.finalize(KILLED))
    assert mailbox.get().reply_to is None


def test_a_finalize_at_the_moment_a_message_is_taken_fails_it(new_mailbox):
    mailbox = interposing(new_mailbox, lambda envelope: envelope is not None, lambda m: m.finalize(KILLED))
    envelope = ask()
    mailbox.put(envelope)
    assert mailbox.get() is not envelope
    assert reason_of(envelope) is KILLED


@pytest.mark.parametrize(("place", "step"), [("_deferred", "defer_reply"), ("_owed", "owe")])
def test_a_finalize_while_the_owner_takes_an_answer_over_fails_it(new_mailbox, place, step):
    mailbox = new_mailbox()

    class DeferredSet(set):
        def add(self, item):
            mailbox.finalize(KILLED)  # the killer finds it neither here nor in hand
            super().add(item)

    class OwedList(list):
        def append(self, item):
            mailbox.finalize(KILLED)
            super().append(item)

    setattr(mailbox, place, DeferredSet() if place == "_deferred" else OwedList())
    envelope = ask()
    future = envelope.reply_to
    mailbox.put(envelope)
    mailbox.get()
    getattr(mailbox, step)()
    with pytest.raises(ActorDown) as caught:
        future.get(timeout=PATIENCE_S)
    assert caught.value.reason is KILLED


@pytest.mark.usefixtures("switching")
def test_put_racing_finalize_settles_every_ask_and_every_tell_exactly_once(new_mailbox):
    for _ in range(60):
        mailbox = new_mailbox()
        asks, raised, inherited, got = [], [], [], []
        mailbox.bequeath(inherited.extend)
        go = threading.Event()

        def put(mailbox=mailbox, asks=asks, raised=raised, go=go):
            go.wait(PATIENCE_S)
            for number in range(40):
                envelope = ask() if number % 2 else Envelope("tell")
                if number % 2:
                    asks.append(envelope)
                try:
                    mailbox.put(envelope)
                except ActorDown:
                    raised.append(envelope)

        def serve(mailbox=mailbox, got=got, go=go):
            go.wait(PATIENCE_S)
            while not mailbox.down.is_set():
                envelope = mailbox.get()
                if envelope.message in ("ask", "tell"):
                    got.append(envelope)
                if envelope.reply_to is not None:
                    try:
                        envelope.reply_to.set("served")
                    except queue.Full:
                        pass  # failed meanwhile, by the killer

        threads = [threading.Thread(target=put, daemon=True) for _ in range(2)]
        threads += [threading.Thread(target=serve, daemon=True)]
        for thread in threads:
            thread.start()
        go.set()
        mailbox.finalize(KILLED)
        for thread in threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        pending = [envelope for envelope in asks if not envelope.reply_to.done()]
        assert all(envelope in inherited for envelope in pending)
        assert mailbox.empty()
        tells = [e for e in [*got, *raised, *inherited] if e.message == "tell"]
        assert len(tells) == len(set(map(id, tells)))


@pytest.mark.usefixtures("switching")
def test_no_wake_up_is_lost_between_senders_and_a_sleeping_owner(new_mailbox):
    mailbox = new_mailbox()
    got = []
    owner = threading.Thread(
        target=lambda: got.extend(mailbox.get().message for _ in range(2000)), daemon=True
    )
    senders = [
        threading.Thread(target=lambda: [mailbox.put(Envelope(n)) for n in range(500)], daemon=True)
        for _ in range(4)
    ]
    for thread in (owner, *senders):
        thread.start()
    for thread in (*senders, owner):
        thread.join(PATIENCE_S * 2)
        assert not thread.is_alive()
    assert sorted(got) == sorted(list(range(500)) * 4)
