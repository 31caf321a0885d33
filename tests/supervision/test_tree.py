"""The supervision tree as a value."""

import threading

import pykka
import pytest

from trunkline.supervision import (
    NORMAL,
    ActorDown,
    CallingSelf,
    ChildSpec,
    DynamicSupervisor,
    GenServer,
    InvalidSpec,
    StartChild,
    Supervisor,
    TerminateChild,
    Tree,
    WhichChild,
    call,
    stop,
    tree,
)

PATIENCE_S = 30.0


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


# -- supervisors that do not answer --


class Starting(GenServer):
    """Starts when it may."""

    def __init__(self, begun, may_start):
        super().__init__()
        self._begun, self._may_start = begun, may_start

    def on_start(self):
        self._begun.set()
        assert self._may_start.wait(PATIENCE_S)


@pytest.fixture
def keep_busy():
    """`keep_busy(supervisor)`: it waits for the start of a child "new" until the test ends."""
    may_start, answers = threading.Event(), []

    def start_slowly(supervisor):
        begun = threading.Event()
        spec = ChildSpec("new", Starting, (begun, may_start), start_timeout_s=PATIENCE_S)
        answers.append(supervisor.ask(StartChild(spec), block=False))
        assert begun.wait(PATIENCE_S)

    yield start_slowly
    may_start.set()
    for answer in answers:
        answer.get(timeout=PATIENCE_S)


@pytest.fixture
def deep(run_tree, worker_class):
    """Three levels: trunk, branch, twig and, beside the branch, last; each but the last a supervisor."""
    twig = ChildSpec("twig", Supervisor, ([ChildSpec("leaf", worker_class)],))
    branch = ChildSpec("branch", Supervisor, ([twig],))
    return run_tree(Supervisor, [branch, ChildSpec("last", worker_class)], name="trunk")


def states(node):
    return {
        node.id: node.state,
        **{id: state for child in node.children for id, state in states(child).items()},
    }


ALL_RUN = dict.fromkeys(["trunk", "branch", "twig", "leaf", "last"], "running")


@pytest.mark.parametrize("path", [[], ["branch"], ["branch", "twig"]], ids=["root", "branch", "twig"])
def test_a_busy_supervisor_is_shown_as_busy_with_what_is_below_it(deep, keep_busy, eventually, path):
    busy = deep
    for id in path:
        busy = call(busy, WhichChild(id)).stable_ref
    keep_busy(busy)
    name = path[-1] if path else "trunk"
    drawn = []

    def draw():
        drawn[:] = [tree(deep, 0.05)]
        return states(drawn[0]) == {**ALL_RUN, name: "busy", "new": "restarting"}

    eventually(draw)  # on a machine that is busy itself, others may not answer in time either
    assert f"{name} (Supervisor)  busy" in str(drawn[0])


def test_a_tree_that_is_asked_for_by_message_waits_for_everybody(deep, keep_busy):
    keep_busy(call(deep, WhichChild("branch")).stable_ref)
    with pytest.raises(pykka.Timeout):
        call(deep, Tree(), 0.05)


def test_a_tree_below_a_nested_supervisor_is_known_by_its_id(deep):
    branch = call(deep, WhichChild("branch"))
    for ref in (branch.ref, branch.stable_ref):
        drawn = tree(ref, PATIENCE_S)
        assert (drawn.id, drawn.state, drawn.urn) == ("branch", "running", branch.ref.actor_urn[9:17])
        assert [child.id for child in drawn.children] == ["twig"]
        assert drawn == call(ref, Tree(), PATIENCE_S)


def test_who_is_no_supervisor_or_down_or_asks_itself_has_no_tree(deep, start_worker):
    class Introvert(DynamicSupervisor):
        def _on_event(self, event):
            return tree(self.actor_ref)

    with pytest.raises(InvalidSpec, match="a supervisor's reference"):
        tree(start_worker())
    introvert = Introvert.start()
    with pytest.raises(CallingSelf):
        introvert.ask("yourself", timeout=PATIENCE_S)
    stop(introvert)
    with pytest.raises(ActorDown) as caught:
        tree(introvert)
    assert caught.value.reason is NORMAL
