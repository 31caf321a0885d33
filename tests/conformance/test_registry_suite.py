"""Elixir's registry_test: each test ports the case it is named after, from its one-line statement (otp.md B3, A11)."""

import pytest

from trunkline.supervision import (
    KILLED,
    NOPROC,
    NORMAL,
    SHUTDOWN,
    ActorDown,
    AlreadyRegistered,
    Registry,
    StartError,
    Supervisor,
    stop,
    watch,
)

PATIENCE_S = 30.0
CRASH = ValueError("crash")


@pytest.fixture
def registry():
    return Registry()


@pytest.mark.parametrize("reason", [CRASH, KILLED, NORMAL, SHUTDOWN], ids=repr)
def test_clean_up_on_crash(lab, registry, reason):
    owner, other = lab.node(), lab.node()
    registry.register("name", owner)
    registry.register("second name", owner)
    registry.register("another", other)
    lab.end(owner, reason)
    assert registry.names() == ["another"]
    registry.register("name", other)
    assert registry.whereis("name") is other


def test_name_is_free_before_down_is_seen(lab, registry):
    """Ported: 100 times, and whoever sees the Down can take the name at once."""
    heir = lab.node("heir")
    seen = []

    def on_down(reason):
        seen.append((registry.whereis("name"), reason))
        registry.register("name", heir)
        registry.unregister("name")

    for n in range(100):
        owner = lab.node(n)
        registry.register("name", owner)
        watch(owner, on_down)
        owner.tell(("raise", CRASH))
        lab.eventually(lambda n=n: len(seen) == n + 1)
        lab.eventually(lambda: registry.names() == [])
    assert seen == [(None, CRASH)] * 100


def test_register_a_taken_name(lab, registry):
    owner, other = lab.node("owner"), lab.node("other")
    registry.register("name", owner)
    for ref in (other, owner):
        with pytest.raises(AlreadyRegistered) as caught:
            registry.register("name", ref)
        assert (caught.value.name, caught.value.ref) == ("name", owner)
    assert registry.whereis("name") is owner


def test_register_a_taken_name__makes_the_start_of_a_child_fail(lab, registry):
    owner = lab.node("owner")
    registry.register("name", owner)
    with pytest.raises(StartError) as caught:
        Supervisor.start([lab.spec("child", register=(registry, "name"))])
    assert isinstance(caught.value.__cause__, AlreadyRegistered)
    assert caught.value.__cause__.ref is owner
    assert registry.whereis("name") is owner


def test_unregister_frees_the_name(lab, registry):
    owner, other = lab.node("owner"), lab.node("other")
    registry.register("name", owner)
    registry.unregister("name")
    assert registry.whereis("name") is None
    registry.unregister("name")  # idempotent
    registry.register("name", other)
    lab.end(owner, NORMAL)  # not its name any more
    assert registry.whereis("name") is other


def test_whereis_of_a_dead_owner_is_none(lab, registry):
    owner = lab.node("owner")
    registry.register("name", owner)
    assert registry.ref("name") is owner
    stop(owner, NORMAL, PATIENCE_S)
    assert registry.whereis("name") is None
    with pytest.raises(ActorDown) as caught:
        registry.ref("name")
    assert caught.value.reason is NOPROC
    with pytest.raises(ActorDown):
        registry.register("name", owner)
    assert registry.names() == []
