"""Links: who ends with whom, and why."""

import itertools
import threading

import pykka
import pytest

from trunkline.supervision import (
    KILLED,
    NOPROC,
    NORMAL,
    SHUTDOWN,
    ChildSpec,
    ExitSignal,
    Shutdown,
    Supervisor,
    WhichChild,
    call,
    cast,
    join,
    kill,
    link,
    stop,
)

PATIENCE_S = 30.0


@pytest.fixture
def trapper_class(worker_class):
    """A Worker that traps exits and writes their signals into its diary."""

    class Trapper(worker_class):
        traps_exits = True

        def on_receive(self, message):
            if isinstance(message, ExitSignal):
                self._diary.append(message)
                return None
            return super().on_receive(message)

    return Trapper


def stable(supervisor, child_id):
    return call(supervisor, WhichChild(child_id)).stable_ref


@pytest.mark.parametrize("first", [0, 1])
def test_the_crash_of_either_ends_the_other_for_the_same_reason(start_worker, first):
    diary, error = [], ValueError("x")
    pair = [start_worker(diary), start_worker(diary)]
    link(*pair)
    pair[first].tell(("raise", error))
    assert all(join(ref, PATIENCE_S) for ref in pair)
    assert [ref.actor_inbox.reason for ref in pair] == [error, error]
    assert diary.count(("terminate", error)) == 2


def test_a_kill_travels_as_a_reason_and_terminate_runs(start_worker):
    diary = []
    a, b = start_worker(), start_worker(diary)
    link(a, b)
    kill(a)
    assert join(b, PATIENCE_S)
    assert b.actor_inbox.reason is KILLED
    assert diary == ["start", ("terminate", KILLED)]


@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, Shutdown("x")])
def test_a_clean_end_does_not_travel_and_ends_the_link(start_worker, reason):
    a, b = start_worker(), start_worker()
    link(a, b)
    assert stop(a, reason, PATIENCE_S)
    assert call(b, "alive") == "alive"
    assert len(a.actor_inbox._watchers) == len(b.actor_inbox._watchers) == 0


def test_a_crash_goes_through_a_chain_of_links(start_worker):
    chain = [start_worker() for _ in range(5)]
    for left, right in itertools.pairwise(chain):
        link(left, right)
    error = ValueError("x")
    chain[2].tell(("raise", error))
    assert all(join(ref, PATIENCE_S) for ref in chain)
    assert {ref.actor_inbox.reason for ref in chain} == {error}


def test_the_signal_is_ahead_of_what_is_queued(start_worker):
    diary, started, release = [], threading.Event(), threading.Event()
    a, b = start_worker(), start_worker(diary)
    link(a, b)
    in_hand = b.ask(("block", started, release), block=False)
    assert started.wait(PATIENCE_S)
    queued = b.ask(("note", "never"), block=False)
    a.tell(("raise", ValueError("x")))
    assert join(a, PATIENCE_S)
    release.set()
    assert in_hand.get(timeout=PATIENCE_S) == "released"
    assert isinstance(queued.exception(timeout=PATIENCE_S), pykka.ActorDeadError)
    assert "never" not in diary


def test_a_link_that_is_cancelled_does_nothing(start_worker):
    a, b = start_worker(), start_worker()
    made = link(a, b)
    for _ in range(2):
        made.cancel()
    a.tell(("raise", ValueError("x")))
    assert join(a, PATIENCE_S)
    assert call(b, "alive") == "alive"
    assert len(b.actor_inbox._watchers) == 0


@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, Shutdown("x")])
def test_an_actor_that_traps_exits_hears_nothing_of_a_clean_end(start_worker, trapper_class, reason):
    diary = []
    trapper, other = start_worker(diary, actor_class=trapper_class), start_worker()
    link(trapper, other)
    assert stop(other, reason, PATIENCE_S)
    assert call(trapper, "alive") == "alive"
    assert diary == ["start"]


@pytest.mark.parametrize("dead", [0, 1])
def test_a_link_to_a_dead_actor_ends_the_other_with_noproc(start_worker, dead):
    pair = [start_worker(), start_worker()]
    pair[dead].stop()
    link(*pair)
    assert join(pair[1 - dead], PATIENCE_S)
    assert pair[1 - dead].actor_inbox.reason is NOPROC


def test_a_link_of_two_dead_actors_is_nothing(start_worker):
    a, b = start_worker(), start_worker()
    a.stop()
    b.stop()
    link(a, b).cancel()


def test_an_actor_that_traps_exits_gets_a_message_behind_what_the_other_had_sent(
    start_worker, trapper_class, worker_class, eventually
):
    class Talker(worker_class):
        def on_receive(self, message):
            friend, error = message
            cast(friend, ("note", "last words"))
            raise error

    diary, error = [], ValueError("x")
    trapper = start_worker(diary, actor_class=trapper_class)
    talker = start_worker(actor_class=Talker)
    link(trapper, talker)
    talker.tell((trapper, error))
    assert join(talker, PATIENCE_S)
    assert call(trapper, "alive") == "alive"
    assert diary == ["start", "last words", ExitSignal(talker, error)]


def test_a_link_to_a_dead_actor_is_a_noproc_signal_to_one_that_traps(start_worker, trapper_class):
    diary = []
    trapper, dead = start_worker(diary, actor_class=trapper_class), start_worker()
    dead.stop()
    link(trapper, dead)
    assert call(trapper, "alive") == "alive"
    assert diary == ["start", ExitSignal(dead, NOPROC)]


def test_the_end_of_one_that_traps_ends_the_other(start_worker, trapper_class):
    trapper, other = start_worker(actor_class=trapper_class), start_worker()
    link(trapper, other)
    kill(trapper)
    assert join(other, PATIENCE_S)


def test_a_plain_pykka_actor_cannot_be_linked(start_worker):
    plain, worker = pykka.ThreadingActor.start(), start_worker()
    try:
        with pytest.raises(TypeError):
            link(worker, plain)
        assert len(worker.actor_inbox._watchers) == 0
    finally:
        plain.stop()


def test_a_stable_ref_is_linked_as_the_incarnation_of_the_moment(run_tree, worker_class, eventually):
    supervisor = run_tree(Supervisor, [ChildSpec(name, worker_class) for name in "ab"], max_restarts=10)
    a, b = stable(supervisor, "a"), stable(supervisor, "b")
    link(a, b)
    a.tell(("raise", ValueError("x")))
    eventually(lambda: (a.restarts, b.restarts) == (1, 1))
    a.tell(("raise", ValueError("x")))
    eventually(lambda: a.restarts == 2)
    assert call(b, "alive") == "alive"
    assert b.restarts == 1


def test_a_linked_supervisor_takes_its_children_down(run_tree, start_worker, worker_class):
    diary, error = [], ValueError("x")
    supervisor = run_tree(Supervisor, [ChildSpec("a", worker_class, (diary,))])
    worker = start_worker()
    link(worker, supervisor)
    worker.tell(("raise", error))
    assert join(supervisor, PATIENCE_S)
    assert supervisor.actor_inbox.reason is error
    assert diary == ["start", ("terminate", SHUTDOWN)]


@pytest.mark.usefixtures("switching")
def test_two_that_crash_at_once_end_once_each(start_worker):
    for _ in range(50):
        diary = []
        a, b = start_worker(diary), start_worker(diary)
        link(a, b)
        for ref in (a, b):
            cast(ref, ("raise", ValueError("x")))
        assert join(a, PATIENCE_S)
        assert join(b, PATIENCE_S)
        assert sum(entry != "start" for entry in diary) == 2
