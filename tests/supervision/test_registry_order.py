"""stop_all() meets supervisors before their children."""

import pykka
import pytest

from trunkline.supervision import ChildSpec, DynamicSupervisor, Supervisor, WhichChild, call

PATIENCE_S = 10.0


def nested(run_tree, worker_class):
    inner = ChildSpec("inner", Supervisor, ([ChildSpec("leaf", worker_class)],))
    return run_tree(Supervisor, [inner, ChildSpec("dynamic", DynamicSupervisor)])


def test_a_supervisor_is_younger_in_pykkas_registry_than_everything_below_it(
    run_tree, start_child, worker_class
):
    root = nested(run_tree, worker_class)
    dynamic = call(root, WhichChild("dynamic")).ref
    late = start_child(dynamic, "late")
    order = pykka.ActorRegistry.get_all()
    inner = call(root, WhichChild("inner")).ref
    leaf = call(inner, WhichChild("leaf")).ref
    assert order[-1] == root
    assert order.index(leaf) < order.index(inner)
    assert order.index(late._incarnation) < order.index(dynamic)


@pytest.mark.usefixtures("switching")
def test_stop_all_stops_everything_and_nothing_is_started_again(run_tree, start_child, worker_class):
    for _ in range(10):
        root = nested(run_tree, worker_class)
        dynamic = call(root, WhichChild("dynamic")).ref
        for number in range(5):
            start_child(dynamic, number)
        assert all(isinstance(stopped, bool) for stopped in pykka.ActorRegistry.stop_all(timeout=PATIENCE_S))
        assert pykka.ActorRegistry.get_all() == []
        assert not root.is_alive()


def test_stop_all_during_a_restart_leaves_nothing(run_tree, start_child, worker_class):
    root = nested(run_tree, worker_class)
    dynamic = call(root, WhichChild("dynamic")).ref
    child = start_child(dynamic, "crashing")
    child.tell(("raise", ValueError("x")))
    pykka.ActorRegistry.stop_all(timeout=PATIENCE_S)
    assert pykka.ActorRegistry.get_all() == []
