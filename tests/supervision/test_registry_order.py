"""stop_all() meets supervisors before their children."""

import threading

import pykka
import pytest

from trunkline.supervision import ChildSpec, DynamicSupervisor, GenServer, Supervisor, WhichChild, call
from trunkline.supervision.registry_order import make_oldest, search_from_young_end

PATIENCE_S = 30.0


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


class Leaver(GenServer):
    """Says, when it stops, who is registered."""

    def __init__(self, seen):
        super().__init__()
        self._seen = seen

    def on_stop(self):
        self._seen.append((self.actor_ref, pykka.ActorRegistry.get_all()))


def test_children_that_end_together_are_where_pykka_looks_first(run_tree, start_child, start_worker):
    seen = []
    older = start_worker()
    supervisor = run_tree(DynamicSupervisor)
    children = [start_child(supervisor, n, Leaver, args=(seen,))._incarnation for n in range(20)]
    supervisor.stop()
    assert {ref for ref, _ in seen} == set(children)
    for _, registered in seen:
        still_there = [ref for ref in registered if ref in children]
        assert registered[: len(still_there)] == still_there
        assert older in registered


def test_making_children_the_oldest_keeps_everybody_else_in_order(start_worker):
    refs = [start_worker() for _ in range(6)]
    gone = refs[3]
    gone.stop()
    make_oldest([refs[4], gone, refs[2]])
    assert pykka.ActorRegistry.get_all() == [refs[4], refs[2], refs[0], refs[1], refs[5]]


def test_a_supervisor_is_found_from_the_young_end(start_worker):
    class Counting(list):
        looked = 0

        def __getitem__(self, place):
            self.looked += 1
            return super().__getitem__(place)

    crowd = Counting(start_worker() for _ in range(200))
    assert search_from_young_end(crowd, crowd[-2]) == 198
    assert crowd.looked <= 4
    assert search_from_young_end(crowd, "nobody") is None


def test_the_registry_is_whole_while_children_end_and_others_come_and_go(
    run_tree, start_child, start_worker, eventually
):
    before = start_worker()
    over = threading.Event()

    def come_and_go():
        while not over.is_set():
            start_worker().stop()

    visitor = threading.Thread(target=come_and_go)
    visitor.start()
    try:
        for _ in range(5):
            supervisor = run_tree(DynamicSupervisor)
            for number in range(20):
                start_child(supervisor, number)
            supervisor.stop()
    finally:
        over.set()
        visitor.join(PATIENCE_S)
    eventually(lambda: pykka.ActorRegistry.get_all() == [before])
