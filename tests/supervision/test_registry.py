"""Names: unique, free before anybody is told of an end, and given again to each incarnation."""

import pickle
import threading

import pykka
import pytest

from trunkline.supervision import (
    NOPROC,
    SHUTDOWN,
    ActorDown,
    AlreadyRegistered,
    ChildSpec,
    DynamicSupervisor,
    InvalidSpec,
    Registry,
    RestartChild,
    StartChild,
    StartError,
    Supervisor,
    TerminateChild,
    WhichChild,
    call,
    join,
    kill,
    watch,
)

PATIENCE_S = 30.0


@pytest.fixture
def registry():
    return Registry()


def stable(supervisor, child_id):
    return call(supervisor, WhichChild(child_id)).stable_ref


def test_a_name_is_found_until_it_is_given_back(registry, start_worker):
    worker = start_worker()
    registry.register("w", worker)
    registry.register(("also", 1), worker)
    assert registry.whereis("w") is worker
    assert registry.names() == ["w", ("also", 1)]
    assert call(registry.ref("w"), "hello") == "hello"
    assert registry.unregister("w") is True
    assert registry.unregister("w") is False
    assert registry.whereis("w") is None
    assert registry.names() == [("also", 1)]


def test_a_name_nobody_has_is_noproc(registry):
    with pytest.raises(ActorDown) as caught:
        registry.ref("nobody")
    assert caught.value.reason is NOPROC


def test_a_taken_name_is_refused_and_the_error_names_its_owner(registry, start_worker):
    owner = start_worker()
    registry.register("w", owner)
    for ref in (start_worker(), owner):
        with pytest.raises(AlreadyRegistered) as caught:
            registry.register("w", ref)
        assert (caught.value.name, caught.value.ref) == ("w", owner)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.name, copy.ref) == ("w", str(owner))


def test_registries_know_nothing_of_each_other(registry, start_worker):
    registry.register("w", start_worker())
    assert Registry().whereis("w") is None


def test_a_dead_actor_gets_no_name(registry, start_worker):
    worker = start_worker()
    worker.stop()
    with pytest.raises(ActorDown):
        registry.register("w", worker)
    assert registry.names() == []


def test_a_plain_pykka_actor_gets_no_name(registry):
    plain = pykka.ThreadingActor.start()
    try:
        with pytest.raises(TypeError):
            registry.register("w", plain)
        assert registry.names() == []
    finally:
        plain.stop()


@pytest.mark.usefixtures("switching")
def test_a_name_is_free_before_an_asker_or_a_watcher_learns_of_the_end(registry, start_worker):
    for _ in range(50):
        worker, seen = start_worker(), []
        watch(worker, lambda _, seen=seen: seen.append(registry.whereis("w")))
        registry.register("w", worker)
        future = worker.ask(("exit", SHUTDOWN), block=False)
        with pytest.raises(ActorDown):
            future.get(timeout=PATIENCE_S)
        successor = start_worker()
        registry.register("w", successor)
        assert registry.whereis("w") is successor
        assert join(worker, PATIENCE_S)
        assert seen in ([None], [successor], [])
        assert registry.unregister("w")


def test_the_late_end_of_an_old_owner_does_not_take_the_name_from_the_new_one(registry, start_worker):
    old, new = start_worker(), start_worker()
    registry.register("w", old)
    registry.unregister("w")
    registry.register("w", new)
    old.stop()
    assert registry.whereis("w") is new


def test_a_name_that_is_freed_leaves_nothing_with_its_owner(registry, start_worker):
    worker = start_worker()
    before = len(worker.actor_inbox._watchers)
    for _ in range(3):
        registry.register("w", worker)
        registry.unregister("w")
    assert len(worker.actor_inbox._watchers) == before


def test_one_of_many_that_want_a_name_gets_it(registry, start_worker):
    workers, refused, gate = [start_worker() for _ in range(8)], [], threading.Barrier(8)

    def want(worker):
        gate.wait(PATIENCE_S)
        try:
            registry.register("w", worker)
        except AlreadyRegistered as error:
            refused.append(error.ref)

    threads = [threading.Thread(target=want, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert refused == [registry.whereis("w")] * 7


def test_a_stable_ref_keeps_its_name_over_restarts_until_the_child_is_gone(run_tree, registry, specs, crash):
    supervisor = run_tree(Supervisor, specs("a"))
    a = stable(supervisor, "a")
    registry.register("kept", a)
    crash(a)
    assert call(a, "hello") == "hello"
    assert registry.whereis("kept") is a
    call(supervisor, TerminateChild("a"))
    assert registry.names() == []


# -- ChildSpec(register=...) --


@pytest.fixture
def specs(worker_class):
    return lambda *names, **options: [ChildSpec(name, worker_class, **options) for name in names]


def test_a_childs_name_is_known_in_on_start_already(run_tree, registry, worker_class):
    class Curious(worker_class):
        def on_start(self):
            self._diary.append(registry.whereis("me") == self.actor_ref)

    diary = []
    run_tree(Supervisor, [ChildSpec("a", Curious, (diary,), register=(registry, "me"))])
    assert diary == [True]


@pytest.mark.parametrize("how", ["crash", "kill", "normal", "terminate"])
def test_each_incarnation_has_the_name_of_its_spec(run_tree, registry, specs, crash, how, eventually):
    supervisor = run_tree(Supervisor, specs("a", register=(registry, "me")))
    a, first = stable(supervisor, "a"), registry.ref("me")
    assert first.actor_urn == a.actor_urn
    match how:
        case "crash":
            crash(a)
        case "kill":
            kill(a)
        case "normal":
            first.stop()
        case "terminate":
            call(supervisor, TerminateChild("a"))
            assert registry.whereis("me") is None
            call(supervisor, RestartChild("a"))
    assert join(first, PATIENCE_S)
    assert call(a, "hello", PATIENCE_S) == "hello"
    second = registry.ref("me")
    assert second != first
    assert second.actor_urn == a.actor_urn


def test_a_killed_supervisors_children_have_their_names_again_after_its_restart(
    run_tree, registry, specs, eventually
):
    inner = ChildSpec("inner", Supervisor, (specs("a", register=(registry, "me")),))
    root = run_tree(Supervisor, [inner])
    first, stable_inner = registry.ref("me"), stable(root, "inner")
    kill(stable_inner)
    eventually(lambda: stable_inner.restarts == 1)
    assert registry.ref("me") != first


def test_a_taken_name_is_a_start_error_that_leaves_nothing_behind(run_tree, registry, specs, start_worker):
    owner = start_worker()
    registry.register("me", owner)
    for kind in (Supervisor, DynamicSupervisor):
        supervisor = run_tree(kind)
        before = len(pykka.ActorRegistry.get_all())
        with pytest.raises(StartError) as caught:
            call(supervisor, StartChild(specs("a", register=(registry, "me"))[0]))
        assert isinstance(caught.value.reason, AlreadyRegistered)
        assert caught.value.reason.ref is owner
        assert len(pykka.ActorRegistry.get_all()) == before
    assert registry.whereis("me") is owner


def test_the_name_of_a_child_that_failed_to_start_is_free_when_its_starter_is_told(
    run_tree, registry, worker_class
):
    supervisor = run_tree(Supervisor)
    spec = ChildSpec("a", worker_class, kwargs={"fails": [ValueError("x")]}, register=(registry, "me"))
    with pytest.raises(StartError):
        call(supervisor, StartChild(spec))
    assert registry.names() == []
    call(supervisor, StartChild(spec))
    assert registry.names() == ["me"]


@pytest.mark.parametrize("value", ["me", (None, "me"), (Registry(), []), (Registry(), "a", "b"), Registry()])
def test_a_wrong_register_is_refused_when_the_spec_is_built(worker_class, value):
    with pytest.raises(InvalidSpec) as caught:
        ChildSpec("a", worker_class, register=value)
    assert caught.value.field == "register"
