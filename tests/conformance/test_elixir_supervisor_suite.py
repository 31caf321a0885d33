"""Elixir's supervisor_test: each test ports the case it is named after, from its one-line statement (otp.md B3)."""

import dataclasses
import math

import pytest

from trunkline.supervision import (
    NORMAL,
    SHUTDOWN,
    AlreadyPresent,
    AlreadyStarted,
    DeleteChild,
    InvalidSpec,
    RestartChild,
    Supervisor,
    TerminateChild,
    call,
    stop,
)

PATIENCE_S = 10.0


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
