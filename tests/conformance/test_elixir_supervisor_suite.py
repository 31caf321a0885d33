"""Elixir's supervisor_test: each test ports the case it is named after, from its one-line statement (otp.md B3)."""

import dataclasses
import math

import pytest

from trunkline.supervision import (
    NOPROC,
    NORMAL,
    SHUTDOWN,
    ActorDown,
    AlreadyPresent,
    AlreadyRegistered,
    AlreadyStarted,
    ChildSpec,
    DeleteChild,
    InvalidSpec,
    Registry,
    RestartChild,
    Supervisor,
    TerminateChild,
    call,
    stop,
)

PATIENCE_S = 30.0


def test_child_spec_overrides(lab):
    spec = lab.spec("child")
    other = dataclasses.replace(spec, id="other", restart="transient", shutdown=math.inf)
    assert (other.id, other.restart, other.shutdown) == ("other", "transient", math.inf)
    assert (other.start, other.args) == (spec.start, spec.args)
    with pytest.raises(InvalidSpec):
        dataclasses.replace(spec, restart="maybe")
    supervisor = lab.supervisor(spec, other)
    assert lab.ids(supervisor) == ["child", "other"]


@pytest.mark.parametrize("strategy", [None, "", "unknown", 1])
def test_init_with_missing_strategy(strategy):
    with pytest.raises(InvalidSpec) as caught:
        Supervisor.start(strategy=strategy)
    assert caught.value.field == "strategy"


def test_child_life_cycle(lab):
    supervisor = lab.supervisor()
    child = lab.add(supervisor, "child")
    assert child.ask("hello", timeout=PATIENCE_S) == "hello"
    with pytest.raises(AlreadyStarted):
        lab.add(supervisor, "child")
    assert lab.counts(supervisor) == (1, 1, 0, 1)
    call(supervisor, TerminateChild("child"))
    assert lab.pid(supervisor, "child") is None
    with pytest.raises(AlreadyPresent):
        lab.add(supervisor, "child")
    assert call(supervisor, RestartChild("child")) is child
    assert child.ask("hello again", timeout=PATIENCE_S) == "hello again"
    call(supervisor, TerminateChild("child"))
    call(supervisor, DeleteChild("child"))
    assert lab.ids(supervisor) == []
    assert lab.add(supervisor, "child") != child
    stop(supervisor, NORMAL, PATIENCE_S)
    assert [entry[2] for entry in lab.diary if entry[0] == "terminate"] == [SHUTDOWN] * 3


def test_start_link_with_local_global_and_via_names(lab):
    registry = Registry()
    root = lab.supervisor(
        ChildSpec("inner", Supervisor, (lab.specs("a"),), register=(registry, "named")), name="root"
    )
    named = registry.ref("named")
    assert lab.ids(named) == ["a"]
    assert named.actor_urn == lab.pid(root, "inner").actor_urn
    outsider = lab.supervisor()
    with pytest.raises(AlreadyRegistered) as caught:
        registry.register("named", outsider)
    assert caught.value.ref.actor_urn == named.actor_urn
    with pytest.raises(ActorDown) as caught:
        registry.ref("unknown")
    assert caught.value.reason is NOPROC


def test_restart_under_the_same_name_after_a_normal_stop(lab):
    registry = Registry()
    supervisor = lab.supervisor(lab.spec("child", register=(registry, "child")))
    for _ in range(3):
        old = registry.ref("child")
        stop(old, NORMAL, PATIENCE_S)
        lab.eventually(lambda: registry.whereis("child") is not None, "the name is registered again")
        new = registry.ref("child")
        assert new.actor_urn != old.actor_urn
        assert call(new, "hello") == "hello"
        lab.replaced(supervisor, "child", old)
