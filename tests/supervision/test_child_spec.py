"""Child specs are checked when they are built, in the caller."""

import math

import pykka
import pytest

from trunkline.supervision import BRUTAL_KILL, ChildSpec, DynamicSupervisor, InvalidSpec, Supervisor


class Plain(pykka.ThreadingActor):
    pass


def test_the_defaults_are_otps():
    spec = ChildSpec("a", Plain)
    assert (spec.restart, spec.shutdown, spec.type, spec.significant, spec.mailbox) == (
        "permanent",
        5.0,
        "worker",
        False,
        "drop",
    )


@pytest.mark.parametrize("start", [Supervisor, DynamicSupervisor])
def test_a_supervisor_is_recognised_and_given_all_the_time_it_needs(start):
    spec = ChildSpec("a", start)
    assert (spec.type, spec.shutdown, spec.start_timeout_s) == ("supervisor", math.inf, math.inf)


def test_any_actor_can_be_declared_a_supervisor():
    assert ChildSpec("a", Plain, type="supervisor").shutdown == math.inf


@pytest.mark.parametrize("shutdown", [0, 0.5, 5, math.inf, BRUTAL_KILL])
def test_legal_shutdowns(shutdown):
    assert ChildSpec("a", Plain, shutdown=shutdown).shutdown == shutdown


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("start", "not a class"),
        ("start", int),
        ("restart", "always"),
        ("shutdown", -2),
        ("shutdown", "soon"),
        ("shutdown", None),
        ("shutdown", True),
        ("shutdown", math.nan),
        ("type", "manager"),
        ("mailbox", "share"),
        ("start_timeout_s", -3),
        ("kill_grace_s", -1),
        ("args", ["a list"]),
        ("kwargs", "text"),
        ("significant", "yes"),
        ("id", ["unhashable"]),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_field(field, value):
    arguments = {"id": "a", "start": Plain, field: value}
    with pytest.raises(InvalidSpec) as caught:
        ChildSpec(**arguments)
    assert caught.value.field == field
    assert field in str(caught.value)


def test_a_permanent_child_cannot_be_significant():
    with pytest.raises(InvalidSpec, match="significant"):
        ChildSpec("a", Plain, significant=True)
    assert ChildSpec("a", Plain, significant=True, restart="transient").significant


def test_an_unknown_field_is_a_type_error():
    with pytest.raises(TypeError):
        ChildSpec("a", Plain, modules=[])
