"""References that outlive incarnations: running, restarting (holds), stopped."""

import asyncio
import copy
import threading

import pykka
import pytest
from pykka._envelope import Envelope

from trunkline.supervision import (
    KILLED,
    SHUTDOWN,
    ActorDown,
    DynamicSupervisor,
    Future,
    GenServer,
    Mailbox,
    MailboxFull,
    StableRef,
    call,
    kill,
)
from trunkline.supervision.stable_ref import HOLD_LIMIT

PATIENCE_S = 30.0


@pytest.fixture
def held(worker_class):
    """A StableRef between two incarnations."""
    return StableRef(worker_class, "child")


@pytest.fixture
def supervisor(run_tree):
    return run_tree(DynamicSupervisor, max_restarts=1000)


def test_it_is_a_real_actor_ref(held):
    assert isinstance(held, pykka.ActorRef)
    assert held.is_alive()
    assert "child" in str(held)


def test_it_holds_in_order_while_restarting_and_hands_over_before_newer_messages(held, start_worker):
    diary = []
    futures = [held.ask(("note", number), block=False) for number in range(5)]
    held.tell(("note", 5))
    assert held.state == "restarting"
    assert held.actor_inbox.qsize() == 6
    held._bind(start_worker(diary))
    held.tell(("note", 6))
    assert [future.get(timeout=PATIENCE_S) for future in futures] == list(range(5))
    assert call(held, "sync") == "sync"
    assert diary == ["start", *range(7)]
    assert held.state == "running"


def test_who_is_answered_by_an_incarnation_finds_it_running(held, start_worker):
    class Watchful(Mailbox):
        def offer(self, envelope):
            states.append((held.state, held._incarnation))
            return super().offer(envelope)

    class Ready(GenServer):
        _create_actor_inbox = staticmethod(Watchful)

    states = []
    held.tell("held")
    ref = start_worker(actor_class=Ready)
    held._bind(ref)
    assert states == [("running", ref)]


def test_it_holds_a_thousand_messages_and_refuses_the_next(held):
    for number in range(HOLD_LIMIT):
        held.tell(number)
    with pytest.raises(MailboxFull) as caught:
        held.tell("one too many")
    assert caught.value.limit == HOLD_LIMIT == 1000
    assert isinstance(held.ask("and another", block=False).exception(timeout=0), MailboxFull)
    held._end(SHUTDOWN)


def test_when_the_child_is_given_up_held_asks_fail_and_watchers_are_told_once(held):
    seen, future = [], held.ask("hello", block=False)
    assert held.watch(seen.append)
    error = ValueError("x")
    held._end(error)
    held._end(KILLED)
    with pytest.raises(ActorDown) as caught:
        future.get(timeout=0)
    assert caught.value.reason is error
    assert seen == [error]
    assert held.watch(seen.append) is False
    assert not held.is_alive()
    with pytest.raises(ActorDown) as caught:
        held.tell("hello")
    assert caught.value.reason is error  # the first end is the end
    with pytest.raises(ActorDown):
        held.ask("hello")
    assert held.stop() is False


def test_a_child_that_is_started_again_by_hand_is_alive_from_then_on(held, start_worker):
    held._end(SHUTDOWN)
    held._hold()
    assert (held.state, held.is_alive()) == ("restarting", True)
    future = held.ask("hello", block=False)
    held._bind(start_worker())
    assert future.get(timeout=PATIENCE_S) == "hello"


def test_an_incarnation_that_is_dead_before_it_is_known_is_not_taken_for_running(held, start_worker):
    first, second = start_worker(), start_worker()
    first.stop()
    future = held.ask("hello", block=False)
    held._bind(first)
    assert (held.state, held.restarts, future.done()) == ("restarting", 0, False)
    held._bind(second)
    assert future.get(timeout=PATIENCE_S) == "hello"
    assert (held.state, held.restarts) == ("running", 1)


def test_what_is_sent_to_a_dying_incarnation_is_held_before_its_supervisor_knows(held, start_worker):
    first, second = start_worker(), start_worker()
    held._bind(first)
    first.stop()
    future = held.ask("hello", block=False)
    assert not future.done()
    assert held.state == "restarting"
    held._bind(second)
    assert future.get(timeout=PATIENCE_S) == "hello"
    assert held.restarts == 1


def test_what_an_incarnation_had_queued_is_inherited_before_what_was_held(held, start_worker, worker_class):
    diary, started, release = [], threading.Event(), threading.Event()
    first = start_worker(diary, release)
    first.actor_inbox.bequeath(held._inherit)
    held._bind(first)
    in_hand = held.ask(("block", started, release), block=False)
    queued = [held.ask(("note", number), block=False) for number in range(3)]
    assert started.wait(PATIENCE_S)
    first.actor_inbox.finalize(KILLED)  # as a supervisor does that abandons it
    newer = held.ask(("note", "newer"), block=False)
    release.set()
    with pytest.raises(ActorDown):
        in_hand.get(timeout=PATIENCE_S)
    second_diary = []
    held._bind(start_worker(second_diary))
    assert [future.get(timeout=PATIENCE_S) for future in [*queued, newer]] == [0, 1, 2, "newer"]
    assert second_diary == ["start", 0, 1, 2, "newer"]
    kill(first)


def test_what_was_held_already_is_newer_than_what_is_inherited(held, start_worker):
    """A sender can meet the closed mailbox before its queue is handed over."""
    diary = []
    held.tell(("note", "newer"))
    held._inherit([Envelope(("note", "older")), Envelope(("note", "old"))])
    held._bind(start_worker(diary))
    call(held, "sync")
    assert diary == ["start", "older", "old", "newer"]


def test_what_an_incarnation_leaves_when_its_successor_runs_already_is_refused(held, start_worker):
    held._bind(start_worker())  # an earlier one was abandoned just as it was ending
    late = Future()
    held._inherit([Envelope("late", reply_to=late)])
    assert isinstance(late.exception(timeout=PATIENCE_S), ActorDown)
    assert held.state == "running"
    assert call(held, "hello", PATIENCE_S) == "hello"


def test_what_a_child_that_is_gone_had_queued_is_refused(held):
    future = Future()
    held._end(SHUTDOWN)
    held._inherit([Envelope("late", reply_to=future)])
    assert isinstance(future.exception(timeout=0), ActorDown)


@pytest.mark.usefixtures("switching")
def test_with_mailbox_keep_a_crash_loses_only_the_message_in_hand(supervisor, start_child, worker_class):
    diary = []
    child = start_child(supervisor, "c", args=(diary,), mailbox="keep")
    started, release = threading.Event(), threading.Event()
    for _ in range(3):
        diary.clear()
        child.tell(("block", started, release))
        assert started.wait(PATIENCE_S)
        crashing = child.ask(("raise", ValueError("x")), block=False)
        asks = [child.ask(("note", number), block=False) for number in range(50)]
        release.set()
        asks += [child.ask(("note", number), block=False) for number in range(50, 100)]
        assert isinstance(crashing.exception(timeout=PATIENCE_S), ValueError)
        assert [future.get(timeout=PATIENCE_S) for future in asks] == list(range(100))
        assert [entry for entry in diary if isinstance(entry, int)] == list(range(100))
        started.clear()
        release.clear()
    assert child.restarts == 3


def test_with_mailbox_drop_what_was_queued_dies_with_the_incarnation(supervisor, start_child):
    child = start_child(supervisor, "c")
    started, release = threading.Event(), threading.Event()
    child.tell(("block", started, release))
    assert started.wait(PATIENCE_S)
    error = ValueError("x")
    child.tell(("raise", error))
    asks = [child.ask(number, block=False) for number in range(100)]
    release.set()
    assert {future.exception(timeout=PATIENCE_S).reason for future in asks} == {error}
    assert call(child, "served by the next") == "served by the next"


def test_the_urn_is_the_incarnations_and_equality_the_childs(supervisor, start_child, crash):
    child, other = start_child(supervisor, "c"), start_child(supervisor, "c")
    urn, known = child.actor_urn, {child: "c"}
    crash(child)
    assert call(child, "urn") == child.actor_urn != urn
    assert known[child] == "c"
    assert child != other
    assert copy.copy(child) is child
    assert copy.deepcopy(child) is child


def test_ask_returns_a_future_that_can_be_awaited(supervisor, start_child):
    child = start_child(supervisor, "c")

    async def main():
        return await child.ask("hello", block=False)

    assert isinstance(child.ask("hello", block=False), Future)
    assert asyncio.run(main()) == "hello"


def test_stop_ends_the_incarnation_and_a_permanent_child_comes_back(supervisor, start_child, eventually):
    child = start_child(supervisor, "c")
    assert child.stop(timeout=PATIENCE_S) is True
    eventually(lambda: child.restarts == 1)


def test_a_bounded_mailbox_refuses_through_its_stable_ref_too(supervisor, start_child):
    class Bounded(GenServer):
        @staticmethod
        def _create_actor_inbox():
            return Mailbox(max_size=2)

        def on_receive(self, message):
            if message == "block":
                started.set()
                release.wait(PATIENCE_S)

    started, release = threading.Event(), threading.Event()
    child = start_child(supervisor, "c", start=Bounded)
    child.tell("block")
    assert started.wait(PATIENCE_S)
    child.tell(1)
    child.tell(2)
    with pytest.raises(MailboxFull):
        child.tell(3)
    release.set()


@pytest.mark.usefixtures("switching")
def test_asks_through_restarts_are_all_answered_or_failed(supervisor, start_child):
    child = start_child(supervisor, "c", mailbox="keep")
    answers = []

    def ask():
        for number in range(200):
            message = ("raise", ValueError(number)) if number % 20 == 0 else number
            answers.append((number, child.ask(message, block=False)))

    askers = [threading.Thread(target=ask, daemon=True) for _ in range(3)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join(PATIENCE_S)
        assert not asker.is_alive()
    for number, future in answers:
        error = future.exception(timeout=PATIENCE_S)
        assert isinstance(error, ValueError) if number % 20 == 0 else error is None, (number, error)
    assert child.restarts <= 30
