"""News that comes late: a retry that another one has taken over, the end of a child of an older self."""

import threading

import pytest

from trunkline.supervision import (
    BRUTAL_KILL,
    ChildSpec,
    DynamicSupervisor,
    GenServer,
    StartChild,
    Supervisor,
    WhichChild,
    WhichChildren,
    call,
    testing,
)

PATIENCE_S = 10.0


def child_of(supervisor, id):
    return call(supervisor, WhichChild(id), PATIENCE_S)


class Part(GenServer):
    def __init__(self, on_start=None):
        super().__init__()
        self._on_start = on_start

    def on_start(self):
        if self._on_start is not None:
            self._on_start()


def test_a_retry_that_was_taken_over_is_no_attempt_of_its_own(run_tree):
    """Between any two attempts what was queued at the first is served, also after a retry was taken over by another crash."""
    book, broken, reached, release = [], threading.Event(), threading.Event(), threading.Event()

    def fail():
        if not broken.is_set():
            return
        number = sum(what == "attempt" for what, _ in book)
        book.append(("attempt", number))
        if number == 0:
            reached.set()
            assert release.wait(PATIENCE_S)
        answered = root.ask(WhichChildren(), block=False)
        answered.add_done_callback(lambda _: book.append(("served", number)))
        if number < 8:
            raise ValueError("start")

    specs = [ChildSpec("a", Part), ChildSpec("b", Part, (fail,))]
    root = run_tree(Supervisor, specs, strategy="rest_for_one", max_restarts=100)
    a, b = child_of(root, "a"), child_of(root, "b")
    broken.set()
    testing.crash(b.stable_ref, ValueError("b"))
    assert reached.wait(PATIENCE_S)
    testing.crash(a.stable_ref, ValueError("a"))
    assert a.ref.actor_inbox.down.wait(PATIENCE_S)  # its end is queued: before the retry of b
    release.set()
    assert testing.wait_for_restart(b.stable_ref, PATIENCE_S) == 1
    call(root, WhichChildren(), PATIENCE_S)
    # The crash of a is served at once, and with it b's second attempt; from then on each request before the next one.
    assert book[:4] == [("attempt", 0), ("attempt", 1), ("served", 0), ("served", 1)]
    assert book[4:] == [(what, number) for number in range(2, 9) for what in ("attempt", "served")]


class Stuck:
    """Mixed into a supervisor: blocks its thread on demand, so that it is abandoned."""

    def on_receive(self, message):
        if isinstance(message, tuple):
            started, release = message
            started.set()
            release.wait(PATIENCE_S)
            return None
        return super().on_receive(message)


class StuckSupervisor(Stuck, Supervisor):
    pass


class StuckDynamicSupervisor(Stuck, DynamicSupervisor):
    pass


@pytest.mark.usefixtures("no_zombies")
@pytest.mark.parametrize("kind", [StuckSupervisor, StuckDynamicSupervisor])
def test_the_end_of_a_child_of_an_older_self_is_nothing_to_the_new_one(run_tree, kind):
    """An abandoned supervisor's queue goes over to its successor (mailbox="keep"), and in it what happened under it."""
    reports, started, release = [], threading.Event(), threading.Event()
    inner = ChildSpec(
        "inner",
        kind,
        kwargs={"on_report": reports.append},
        mailbox="keep",
        shutdown=BRUTAL_KILL,
        kill_grace_s=0.02,
    )
    root = run_tree(Supervisor, [inner, ChildSpec("other", Part)], strategy="one_for_all")
    stable, other = child_of(root, "inner").stable_ref, child_of(root, "other").stable_ref
    child = call(stable, StartChild(ChildSpec("child", Part)), PATIENCE_S)
    incarnation = child._incarnation
    stable.tell((started, release))
    assert started.wait(PATIENCE_S)
    testing.crash(child, ValueError("child"))
    assert incarnation.actor_inbox.down.wait(PATIENCE_S)  # its end is queued, and the supervisor is stuck
    testing.crash(other, ValueError("other"))
    assert testing.wait_for_restart(other, PATIENCE_S) == 1
    assert call(stable, WhichChildren(), PATIENCE_S) == []
    assert (stable.restarts, child.state, reports) == (1, "stopped", [])
    release.set()
