"""auto_shutdown: a supervisor that ends when its significant children have done their work."""

import itertools
import threading

import pytest

from trunkline.supervision import (
    NORMAL,
    SHUTDOWN,
    ChildSpec,
    DynamicSupervisor,
    InvalidSpec,
    Shutdown,
    StartChild,
    Supervisor,
    TerminateChild,
    WhichChild,
    WhichChildren,
    call,
    join,
    kill,
)

PATIENCE_S = 30.0
MODES = ["never", "any_significant", "all_significant"]
CRASH = ValueError("crash")


def stable(supervisor, child_id):
    return call(supervisor, WhichChild(child_id), PATIENCE_S).stable_ref


def ids(supervisor):
    return [child.id for child in reversed(call(supervisor, WhichChildren(), PATIENCE_S))]


def end(child, reason):
    """End the child by itself and wait until it is down: then its supervisor has been told."""
    incarnation = child._incarnation
    if reason == "kill":
        kill(child)
    else:
        child.tell(("exit", reason))
    assert join(incarnation, PATIENCE_S)


@pytest.fixture
def specs(worker_class):
    """`specs("ab", ...)`: a Worker per letter; capitals are significant."""

    def make(names, restart="temporary", **options):
        return [
            ChildSpec(name, worker_class, restart=restart, significant=name.isupper(), **options)
            for name in names
        ]

    return make


@pytest.mark.parametrize(
    ("mode", "restart", "reason"),
    [*itertools.product(MODES, ["temporary", "transient"], [NORMAL, SHUTDOWN, CRASH, "kill"])],
)
def test_the_end_of_an_insignificant_child_never_ends_the_supervisor(run_tree, specs, mode, restart, reason):
    supervisor = run_tree(Supervisor, specs("ab", restart), auto_shutdown=mode)
    end(stable(supervisor, "a"), reason)
    assert "b" in ids(supervisor)
    assert supervisor.is_alive()


@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, Shutdown("x"), CRASH, "kill"])
def test_any_end_of_a_significant_temporary_child_ends_any_significant(run_tree, specs, reason):
    supervisor = run_tree(Supervisor, specs("ABc"), auto_shutdown="any_significant")
    b, c = stable(supervisor, "B"), stable(supervisor, "c")
    end(stable(supervisor, "A"), reason)
    assert join(supervisor, PATIENCE_S)
    assert supervisor.actor_inbox.reason is SHUTDOWN
    assert (b.state, c.state) == ("stopped", "stopped")


@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, Shutdown("x"), CRASH, "kill"])
def test_the_last_end_of_a_significant_temporary_child_ends_all_significant(run_tree, specs, reason):
    supervisor = run_tree(Supervisor, specs("ABc"), auto_shutdown="all_significant")
    end(stable(supervisor, "A"), reason)
    assert ids(supervisor) == ["B", "c"]
    end(stable(supervisor, "B"), reason)
    assert join(supervisor, PATIENCE_S)
    assert supervisor.actor_inbox.reason is SHUTDOWN


@pytest.mark.parametrize("mode", MODES[1:])
def test_a_significant_transient_child_ends_it_only_by_a_clean_end(run_tree, specs, mode):
    supervisor = run_tree(Supervisor, specs("Ab", "transient"), auto_shutdown=mode)
    a = stable(supervisor, "A")
    end(a, CRASH)
    assert call(a, "served", PATIENCE_S) == "served"
    end(a, NORMAL)
    assert join(supervisor, PATIENCE_S)
    assert supervisor.actor_inbox.reason is SHUTDOWN


@pytest.mark.parametrize(("mode", "restart"), [*itertools.product(MODES[1:], ["temporary", "transient"])])
def test_terminating_a_significant_child_does_not_end_its_supervisor(run_tree, specs, mode, restart):
    supervisor = run_tree(Supervisor, specs("Ab", restart), auto_shutdown=mode)
    call(supervisor, TerminateChild("A"))
    assert "b" in ids(supervisor)
    assert supervisor.is_alive()


def test_a_terminated_child_is_not_left_for_all_significant(run_tree, specs):
    supervisor = run_tree(Supervisor, specs("AB", "transient"), auto_shutdown="all_significant")
    call(supervisor, TerminateChild("A"))
    end(stable(supervisor, "B"), NORMAL)
    assert join(supervisor, PATIENCE_S)


def test_a_significant_child_that_is_being_restarted_is_left_for_all_significant(
    run_tree, specs, worker_class
):
    starts, reached, release = [], threading.Event(), threading.Event()

    class Hesitant(worker_class):
        def on_start(self):
            starts.append(self.actor_urn)
            if len(starts) == 2:
                reached.set()
                release.wait(PATIENCE_S)
                raise CRASH

    hesitant = ChildSpec("A", Hesitant, restart="transient", significant=True)
    supervisor = run_tree(Supervisor, [hesitant, *specs("B")], auto_shutdown="all_significant")
    a, b = stable(supervisor, "A"), stable(supervisor, "B")
    end(a, CRASH)
    assert reached.wait(PATIENCE_S)
    end(b, NORMAL)  # its end is queued before the retry of A
    release.set()
    assert call(a, "served", PATIENCE_S) == "served"
    assert ids(supervisor) == ["A"]


@pytest.mark.parametrize(
    ("strategy", "mode"), [*itertools.product(["one_for_all", "rest_for_one"], MODES[1:])]
)
def test_a_significant_bystander_does_not_end_its_supervisor(run_tree, specs, strategy, mode):
    children = [*specs("a", "permanent"), *specs("B", "temporary"), *specs("C", "transient")]
    supervisor = run_tree(Supervisor, children, strategy=strategy, auto_shutdown=mode)
    end(stable(supervisor, "a"), CRASH)
    assert ids(supervisor) == ["a", "C"]
    assert call(stable(supervisor, "C"), "served", PATIENCE_S) == "served"


@pytest.mark.parametrize("significant", [True, False])
def test_the_auto_shutdown_of_a_significant_supervisor_ends_its_parent(
    run_tree, specs, eventually, significant
):
    inner = ChildSpec(
        "inner",
        Supervisor,
        (specs("A"),),
        {"auto_shutdown": "any_significant"},
        restart="transient",
        significant=significant,
    )
    root = run_tree(Supervisor, [inner, *specs("b")], auto_shutdown="any_significant")
    stable_inner = stable(root, "inner")
    end(stable(stable_inner, "A"), NORMAL)
    if significant:
        assert join(root, PATIENCE_S)
        assert root.actor_inbox.reason is SHUTDOWN
    else:
        eventually(lambda: stable_inner.state == "stopped")
        assert ids(root) == ["inner", "b"]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [({"auto_shutdown": "sometimes"}, "auto_shutdown"), ({}, "significant")],
)
def test_wrong_combinations_are_refused_before_a_thread_exists(specs, arguments, field):
    with pytest.raises(InvalidSpec) as caught:
        Supervisor.start(specs("A"), **arguments)
    assert caught.value.field == field


def test_a_significant_child_of_a_supervisor_that_never_shuts_down_is_refused(run_tree, specs):
    supervisor = run_tree(Supervisor)
    with pytest.raises(InvalidSpec, match="significant"):
        call(supervisor, StartChild(specs("A")[0]))
    assert ids(supervisor) == []


def test_a_significant_child_that_is_added_later_counts(run_tree, specs):
    supervisor = run_tree(Supervisor, auto_shutdown="any_significant")
    child = call(supervisor, StartChild(specs("A")[0]))
    end(child, NORMAL)
    assert join(supervisor, PATIENCE_S)


def test_a_dynamic_supervisor_has_no_significant_children(run_tree, specs):
    with pytest.raises(InvalidSpec, match="significant"):
        call(run_tree(DynamicSupervisor), StartChild(specs("A")[0]))
