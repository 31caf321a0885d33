"""one_for_all and rest_for_one: who is ended and started again with a child, in which order, and when that fails."""

import threading

import pytest

from trunkline.supervision import (
    NORMAL,
    RESTARTING,
    SHUTDOWN,
    ActorDown,
    AlreadyPresent,
    ChildSpec,
    GenServer,
    RestartChild,
    StartChild,
    Supervisor,
    TerminateChild,
    WhichChild,
    WhichChildren,
    call,
    join,
    testing,
    watch,
)

PATIENCE_S = 30.0


class Part(GenServer):
    """Keeps the book of its tree, and fails to start as often as `fails[name]` says."""

    def __init__(self, name, book, fails, gates):
        super().__init__()
        self._name, self._book, self._fails, self._gates = name, book, fails, gates

    def on_start(self):
        self._book.append(("start", self._name))
        if self._fails.get(self._name, 0) > 0:
            self._fails[self._name] -= 1
            if self._name in self._gates:
                reached, release = self._gates[self._name]
                reached.set()
                release.wait(PATIENCE_S)
            raise ValueError(f"{self._name} does not start")

    def on_receive(self, message):
        if isinstance(message, BaseException):
            raise message
        return message

    def terminate(self, reason):
        self._book.append(("end", self._name))


class Tree:
    """A supervisor of Parts, its book, and its children by name."""

    def __init__(self, run_tree, strategy, names="abc", *, restart=None, **options):
        self.book, self.fails, self.gates = [], {}, {}
        restart = restart or {}
        self.ref = run_tree(
            Supervisor,
            [self.spec(name, restart=restart.get(name, "permanent")) for name in names],
            strategy=strategy,
            **options,
        )
        self.book.clear()

    def spec(self, name, **options):
        return ChildSpec(name, Part, (name, self.book, self.fails, self.gates), **options)

    def __getitem__(self, name):
        return call(self.ref, WhichChild(name), PATIENCE_S).stable_ref

    def urns(self):
        return {child.id: child.stable_ref.actor_urn for child in call(self.ref, WhichChildren(), PATIENCE_S)}

    def states(self):
        return [(child.id, child.ref) for child in reversed(call(self.ref, WhichChildren(), PATIENCE_S))]

    def crash(self, name, error=None):
        child, error = self[name], error or ValueError("crash")
        testing.wait_for_restart(child, PATIENCE_S, after=-1)  # it runs
        incarnation = child._incarnation
        with pytest.raises(type(error)):
            call(child, error, PATIENCE_S)
        assert join(incarnation, PATIENCE_S)  # now the supervisor has been told, too

    def hang_in_failing_start(self, name, times=1):
        self.fails[name] = times
        self.gates[name] = gate = (threading.Event(), threading.Event())
        return gate


@pytest.fixture
def tree(run_tree):
    """`tree(strategy, names, ...)`: a running Tree."""
    return lambda *args, **kwargs: Tree(run_tree, *args, **kwargs)


def ends(names):
    return [("end", name) for name in names]


def starts(names):
    return [("start", name) for name in names]


@pytest.mark.parametrize(
    ("strategy", "crashed", "again"),
    [
        *(("one_for_one", name, name) for name in "abcd"),
        *(("one_for_all", name, "abcd") for name in "abcd"),
        ("rest_for_one", "a", "abcd"),
        ("rest_for_one", "b", "bcd"),
        ("rest_for_one", "c", "cd"),
        ("rest_for_one", "d", "d"),
    ],
)
def test_all_are_ended_in_reverse_order_before_any_is_started_in_order(tree, strategy, crashed, again):
    parts = tree(strategy, "abcd")
    before, references = parts.urns(), {name: parts[name] for name in "abcd"}
    parts.crash(crashed)
    after = parts.urns()
    others = [name for name in reversed(again) if name != crashed]
    assert parts.book == [*ends(crashed), *ends(others), *starts(again)]
    assert {name for name in "abcd" if before[name] != after[name]} == set(again)
    assert all(call(references[name], name) == name for name in "abcd")
    assert {name: references[name].restarts for name in "abcd"} == {
        name: int(name in again) for name in "abcd"
    }


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_a_crash_counts_once_however_many_siblings_restart(tree, strategy):
    parts = tree(strategy, "abcd", max_restarts=1)
    parts.crash("a")
    assert call(parts["d"], "served") == "served"
    parts.book.clear()
    parts.crash("a")
    assert join(parts.ref, PATIENCE_S)
    assert parts.ref.actor_inbox.reason is SHUTDOWN
    assert parts.book == ends("adcb")  # the budget is looked at before a sibling is touched


@pytest.mark.parametrize(("strategy", "alive"), [("one_for_all", True), ("one_for_one", False)])
def test_two_crashes_at_once_are_one_restart_of_all_but_two_of_one(tree, strategy, alive):
    parts = tree(strategy, "ab", max_restarts=1)
    reached, release = threading.Event(), threading.Event()
    held = _hold_supervisor(parts, reached, release)
    for name in "ab":
        told = _told_of_the_end(held[name])
        held[name].tell(ValueError(name))
        assert told.wait(PATIENCE_S)
    release.set()
    if alive:
        assert call(parts["a"], "served", PATIENCE_S) == "served"
        assert call(parts["b"], "served", PATIENCE_S) == "served"
        assert parts["a"].restarts == parts["b"].restarts == 1
    else:
        assert join(parts.ref, PATIENCE_S)
        assert parts.ref.actor_inbox.reason is SHUTDOWN


def _told_of_the_end(stable_ref):
    """An event: the supervisor has been told of the end of the incarnation of the moment. Watchers hear in their order."""
    told = threading.Event()
    assert stable_ref._incarnation.actor_inbox.watch(lambda _: told.set())
    return told


def _hold_supervisor(parts, reached, release):
    """Keep the supervisor busy with a child that starts slowly; return its children."""

    class Slow(GenServer):
        def on_start(self):
            reached.set()
            release.wait(PATIENCE_S)
            raise ValueError("never mind")

    held = {name: parts[name] for name in "ab"}
    parts.ref.tell(StartChild(ChildSpec("slow", Slow, start_timeout_s=PATIENCE_S)))
    assert reached.wait(PATIENCE_S)
    return held


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
def test_the_normal_end_of_a_transient_child_touches_no_sibling(tree, strategy, eventually):
    parts = tree(strategy, restart={"a": "transient"})
    a = parts["a"]
    a.stop()
    eventually(lambda: a.state == "stopped")
    assert [ref is None for _, ref in parts.states()] == [True, False, False]
    assert parts.book == ends("a")


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_children_that_are_down_are_started_again_with_a_crashed_sibling(tree, strategy, eventually):
    parts = tree(strategy, "abcd", restart={"b": "transient"})
    b, c = parts["b"], parts["c"]
    b.stop()
    eventually(lambda: b.state == "stopped")
    call(parts.ref, TerminateChild("c"))
    assert c.state == "stopped"
    parts.crash("a")
    assert [call(parts[name], name) for name in "abcd"] == list("abcd")
    assert (b.state, c.state) == ("running", "running")


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_temporary_siblings_are_ended_and_removed(tree, strategy):
    parts = tree(strategy, restart={"b": "temporary"})
    b, downs = parts["b"], []
    watch(b, downs.append)
    parts.crash("a")
    assert [child_id for child_id, _ in parts.states()] == ["a", "c"]
    assert parts.book == [*ends("acb"), *starts("ac")]
    assert downs == [SHUTDOWN]


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_a_temporary_child_that_crashes_takes_nobody_with_it(tree, strategy):
    parts = tree(strategy, restart={"a": "temporary"})
    parts.crash("a")
    assert [child_id for child_id, _ in parts.states()] == ["b", "c"]
    assert parts.book == ends("a")


# -- a later child fails to start --


def test_one_for_all_ends_those_started_again_and_starts_all_when_a_later_one_fails(tree):
    parts = tree("one_for_all")
    parts.fails["b"] = 1
    parts.crash("c")
    assert [call(parts[name], name) for name in "cba"] == list("cba")  # c is the last to be back
    assert parts.book == [*ends("cba"), *starts("ab"), *ends("a"), *starts("abc")]


def test_rest_for_one_goes_on_from_the_child_that_failed(tree):
    parts = tree("rest_for_one", "abcd")
    parts.fails["c"] = 1
    parts.crash("b")
    assert [call(parts[name], name) for name in "dcba"] == list("dcba")
    assert parts.book == [*ends("bdc"), *starts("bc"), *starts("cd")]


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_every_failed_attempt_counts(tree, strategy):
    parts = tree(strategy, max_restarts=3)
    parts.fails["b"] = 100
    parts.crash("a")
    assert join(parts.ref, PATIENCE_S)
    assert parts.ref.actor_inbox.reason is SHUTDOWN
    assert 100 - parts.fails["b"] == 3
    assert ("start", "c") not in parts.book


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_between_two_attempts_the_failed_one_is_restarting_and_those_after_it_wait(tree, strategy):
    parts = tree(strategy)
    reached, release = parts.hang_in_failing_start("b")
    c = parts["c"]
    crashed = parts["a"].ask(ValueError("x"), block=False)
    assert reached.wait(PATIENCE_S)
    asked = parts.ref.ask(WhichChildren(), block=False)
    again = parts.ref.ask(StartChild(parts.spec("c")), block=False)
    held = c.ask("for the next c", block=False)
    release.set()
    states = {child.id: child.ref for child in asked.get(timeout=PATIENCE_S)}
    assert (states["b"], states["c"]) == (RESTARTING, None)
    assert states["a"] is not None
    assert isinstance(again.exception(timeout=PATIENCE_S), AlreadyPresent)
    assert held.get(timeout=PATIENCE_S) == "for the next c"
    assert isinstance(crashed.exception(timeout=PATIENCE_S), ValueError)


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_terminating_the_failed_one_cancels_the_retry_and_those_after_it_stay_down(tree, strategy):
    parts = tree(strategy)
    reached, release = parts.hang_in_failing_start("b")
    a, b, c, downs = parts["a"], parts["b"], parts["c"], []
    watch(c, downs.append)
    a.tell(ValueError("x"))
    assert reached.wait(PATIENCE_S)
    held = c.ask("in vain", block=False)
    parts.ref.ask(TerminateChild("b"), block=False)
    release.set()
    assert isinstance(held.exception(timeout=PATIENCE_S), ActorDown)
    assert [ref is None for _, ref in parts.states()] == [False, True, True]
    assert downs == [SHUTDOWN]
    assert call(parts.ref, RestartChild("b")) is b
    assert [ref is None for _, ref in parts.states()] == [False, False, True]
    assert call(parts.ref, RestartChild("c")) is c
    assert parts.book.count(("start", "c")) == 1


def test_a_crash_before_a_restarting_child_takes_its_retry_over(tree):
    parts = tree("rest_for_one", max_restarts=3)
    reached, release = parts.hang_in_failing_start("b")
    a = parts["a"]
    parts["b"].tell(ValueError("x"))
    assert reached.wait(PATIENCE_S)
    told = _told_of_the_end(a)
    a.tell(ValueError("x"))
    assert told.wait(PATIENCE_S)  # its end is queued before the retry
    release.set()
    assert [call(parts[name], name, PATIENCE_S) for name in "cba"] == list("cba")
    assert parts.book == [*ends("bc"), *starts("b"), *ends("a"), *starts("abc")]


def test_a_child_that_waits_for_an_earlier_one_gives_its_own_retry_up(tree):
    parts = tree("rest_for_one", max_restarts=4)
    reached, release = parts.hang_in_failing_start("c")
    b = parts["b"]
    parts["c"].tell(ValueError("x"))
    assert reached.wait(PATIENCE_S)
    parts.fails["b"] = 1
    told = _told_of_the_end(b)
    b.tell(ValueError("x"))
    assert told.wait(PATIENCE_S)  # its end is queued before the retry of c
    release.set()
    assert [call(parts[name], name, PATIENCE_S) for name in "cba"] == list("cba")
    assert parts.book == [*ends("c"), *starts("c"), *ends("b"), *starts("bbc")]


def test_a_stop_is_served_between_two_attempts(tree):
    parts = tree("one_for_all", max_restarts=1000)
    reached, release = parts.hang_in_failing_start("b", times=1000)
    parts["a"].tell(ValueError("x"))
    assert reached.wait(PATIENCE_S)
    stopped = parts.ref.stop(block=False)
    release.set()
    stopped.get(timeout=PATIENCE_S)
    assert parts.ref.actor_inbox.reason is NORMAL
    assert parts.fails["b"] == 999


def test_a_watcher_of_a_bystander_hears_nothing_of_its_restart(tree):
    parts = tree("one_for_all")
    downs = []
    b = parts["b"]
    watch(b, downs.append)
    parts.crash("a")
    assert call(b, "served") == "served"
    assert downs == []
