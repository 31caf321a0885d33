"""The supervision tree as a value."""

import pytest

from trunkline.supervision import (
    ChildSpec,
    DynamicSupervisor,
    Supervisor,
    TerminateChild,
    WhichChild,
    call,
    tree,
)


@pytest.fixture
def root(run_tree, worker_class):
    inner = ChildSpec(
        "inner", Supervisor, ([ChildSpec("leaf", worker_class), ChildSpec("twig", worker_class)],)
    )
    return run_tree(
        Supervisor,
        [inner, ChildSpec("sessions", DynamicSupervisor), ChildSpec("last", worker_class)],
        name="trunk",
    )


def shape(node):
    return (node.id, node.actor_class, node.state, node.restarts, [shape(child) for child in node.children])


def test_a_tree_has_all_levels_in_start_order(root):
    assert shape(tree(root)) == (
        "trunk",
        "Supervisor",
        "running",
        0,
        [
            ("inner", "Supervisor", "running", 0, [
                ("leaf", "Worker", "running", 0, []),
                ("twig", "Worker", "running", 0, []),
            ]),
            ("sessions", "DynamicSupervisor", "running", 0, []),
            ("last", "Worker", "running", 0, []),
        ],
    )  # fmt: skip


def test_a_tree_shows_restarts_new_urns_and_what_is_stopped(root, crash, start_child):
    last = call(root, WhichChild("last")).stable_ref
    before = tree(root)
    crash(last)
    call(last, "sync")
    inner = call(root, WhichChild("inner")).stable_ref
    call(inner, TerminateChild("twig"))
    start_child(call(root, WhichChild("sessions")).stable_ref, "session-1")
    after = tree(root)
    assert after.children[2].restarts == 1
    assert after.children[2].urn != before.children[2].urn
    assert after.children[0].children[1].state == "stopped"
    assert after.children[0].children[0] == before.children[0].children[0]
    assert [node.id for node in after.children[1].children] == ["session-1"]


def test_a_tree_is_readable(root):
    lines = str(tree(root)).splitlines()
    assert [line.split("  ")[0] for line in lines if not line.startswith(" │")] == [
        "trunk (Supervisor)",
        " ├─ inner (Supervisor)",
        " ├─ sessions (DynamicSupervisor)",
        " └─ last (Worker)",
    ]
    assert lines[2].startswith(" │   ├─ leaf (Worker)  running, ")
    assert lines[3].startswith(" │   └─ twig (Worker)  running, ")


def test_a_supervisor_that_ends_while_it_is_asked_does_not_hold_the_tree_up(root):
    dynamic = call(root, WhichChild("sessions")).ref
    dynamic.tell("something it does not know")
    dynamic.stop(block=False)
    assert len(tree(root).children) == 3
