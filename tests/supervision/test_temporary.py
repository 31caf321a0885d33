"""What a supervisor keeps of its temporary children: no arguments once they run, nothing at all once they are down."""

import gc
import logging
import weakref

import pytest

from trunkline.supervision import (
    NORMAL,
    ChildSpec,
    CountChildren,
    DynamicSupervisor,
    GenServer,
    GetChildSpec,
    NotFound,
    StartChild,
    Supervisor,
    TerminateChild,
    WhichChildren,
    call,
    join,
    kill,
)

PATIENCE_S = 30.0


class Cargo:
    """Something large."""


class Forgetful(GenServer):
    """Takes arguments and keeps none."""

    def __init__(self, *cargo, **more):
        super().__init__()

    def on_receive(self, message):
        if isinstance(message, BaseException):
            raise message
        return message


KINDS = [
    (Supervisor, {"strategy": "one_for_one"}),
    (Supervisor, {"strategy": "one_for_all"}),
    (Supervisor, {"strategy": "rest_for_one"}),
    (DynamicSupervisor, {}),
]


def start_with_cargo(supervisor, restart):
    """Start a child with arguments; return its StableRef and what tells whether the arguments are still there."""
    cargo = Cargo(), Cargo()
    spec = ChildSpec("a", Forgetful, (cargo[0],), {"more": cargo[1]}, restart=restart)
    child = call(supervisor, StartChild(spec), PATIENCE_S)
    return child, [weakref.ref(thing) for thing in cargo]


def still_there(references):
    gc.collect()
    return [reference() is not None for reference in references]


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
def test_the_arguments_of_temporary_children_alone_are_not_kept(run_tree, eventually, kind, options, restart):
    supervisor = run_tree(kind, **options)
    child, cargo = start_with_cargo(supervisor, restart)
    key = child if kind is DynamicSupervisor else "a"
    if restart == "temporary":
        eventually(lambda: still_there(cargo) == [False, False])
    else:
        assert still_there(cargo) == [True, True]
    spec = call(supervisor, GetChildSpec(key))
    assert (spec.id, spec.start, spec.restart) == ("a", Forgetful, restart)
    assert bool(spec.args) is bool(spec.kwargs) is (restart != "temporary")


def test_a_supervisor_keeps_no_arguments_of_the_temporary_children_it_started_with(run_tree, eventually):
    cargo = Cargo()
    seen = weakref.ref(cargo)
    run_tree(Supervisor, [ChildSpec("a", Forgetful, (cargo,), restart="temporary")])
    del cargo
    eventually(lambda: still_there([seen]) == [False])


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize("end", ["kill", "normal", "crash", "terminate"])
def test_nothing_is_kept_of_a_temporary_child_that_is_down(run_tree, eventually, caplog, kind, options, end):
    caplog.set_level(logging.CRITICAL + 1)  # pytest keeps records, they tracebacks, and those the actors
    supervisor = run_tree(kind, **options)
    child, _ = start_with_cargo(supervisor, "temporary")
    key, incarnation = child if kind is DynamicSupervisor else "a", child._incarnation
    match end:
        case "kill":
            kill(child)
        case "normal":
            incarnation.stop()
        case "crash":
            child.tell(ValueError("x"))
        case "terminate":
            call(supervisor, TerminateChild(key))
    assert join(incarnation, PATIENCE_S)
    assert incarnation.actor_inbox.reason is not NORMAL or end == "normal"
    assert call(supervisor, WhichChildren()) == []
    with pytest.raises(NotFound):
        call(supervisor, GetChildSpec(key))
    assert call(supervisor, CountChildren()).specs == 0
    record = weakref.ref(child)
    del child, key, incarnation  # its reason has a traceback, that the actor
    eventually(lambda: still_there([record]) == [False])


def test_the_same_id_can_be_started_again_after_a_temporary_child(run_tree):
    supervisor = run_tree(Supervisor)
    for _ in range(2):
        child, _ = start_with_cargo(supervisor, "temporary")
        call(supervisor, TerminateChild("a"))
        assert child.state == "stopped"
