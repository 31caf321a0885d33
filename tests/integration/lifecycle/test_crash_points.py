"""Every crash point of session, tool worker and broker, on the real stack: what crashes there, and how it goes on."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline import tool
from trunkline.gateway.simulator import CallTool, FunctionBrain, Say
from trunkline.supervision import ActorDown
from trunkline.supervision.crash_points import CRASH_POINTS, CrashInjected, crash_at
from trunkline.supervision.testing import wait_for_restart

ECHO = FunctionBrain(lambda conversation: [Say("heard " + " ".join(conversation.user_texts))])
SESSION_POINTS = sorted(name for name in CRASH_POINTS if name.startswith("session."))
WORKER_POINTS = sorted(name for name in CRASH_POINTS if name.startswith("tool_worker."))


def answer(reader: Any, end: str) -> str:
    """Return the first whole answer that ends so."""
    while not (text := reader.until("assistant_text").text).endswith(end):
        pass
    return str(text)


@pytest.mark.parametrize("after", [0, 2])
@pytest.mark.parametrize("point", SESSION_POINTS)
def test_a_session_that_crashes_anywhere_goes_on_with_the_conversation(
    trunk: Any, read: Any, point: str, after: int
) -> None:
    line = trunk(ECHO)
    neighbour, session = line.connect(), line.connect()
    reader, elsewhere = read(session.events()), read(neighbour.events())
    session.send_text("a").get(timeout=10)
    assert answer(reader, "a") == "heard a"
    before = line.actors()
    accepted = ["a"]
    with crash_at(point, after=after) as crashes:
        for text in "bcd":
            if session.send_text(text).exception(timeout=10) is None:
                accepted.append(text)
            if crashes.fired:
                break
        crashes.wait(10.0)
    assert wait_for_restart(session.actor_ref, 10.0, after=0) == 1
    session.send_text("end").get(timeout=10)
    heard = answer(reader, "end").split()
    assert [text for text in heard if text in (*accepted, "end")] == [*accepted, "end"]
    after_it = line.actors()
    assert [name for name in before if before[name] != after_it[name]] == [
        f"SessionActor {session.session_id}"
    ]
    neighbour.send_text("x").get(timeout=10)
    assert answer(elsewhere, "x") == "heard x"
    session.close().get(timeout=10)
    reader.rest()


def test_a_command_that_was_accepted_does_not_fail_for_what_comes_after_it(trunk: Any, read: Any) -> None:
    """Accepted is what is in the log: a crash on the way to the provider is the next incarnation's business alone."""
    line = trunk(ECHO)
    session = line.connect()
    reader = read(session.events())
    with crash_at("session.before_send") as crashes:
        assert session.send_text("a").exception(timeout=10) is None
        crashes.wait(10.0)
    assert answer(reader, "a") == "heard a"
    session.close().get(timeout=10)
    reader.rest()


def test_of_a_command_that_was_half_written_down_nothing_is_left(trunk: Any, read: Any) -> None:
    line = trunk(ECHO)
    session = line.connect()
    reader = read(session.events())
    with crash_at("session.after_accept"):
        assert isinstance(session.send_text("a").exception(timeout=10), CrashInjected)
    session.send_text("b").get(timeout=10)
    assert answer(reader, "b") == "heard b"
    session.close().get(timeout=10)
    reader.rest()


@pytest.mark.parametrize("after", [3, 8, 10, 11])
def test_who_is_answered_anew_after_a_crash_was_not_told_the_old_answer(
    trunk: Any, read: Any, after: int
) -> None:
    """The model may call tools, so that more may have been to come: it is asked again, and must not believe it has answered."""

    @tool
    def look() -> str:
        """Look at something."""
        return "seen"

    line = trunk(ECHO, tools=[look])
    session = line.connect()
    reader = read(session.events())
    with crash_at("session.after_receive", after=after) as crashes:
        session.send_text("a").get(timeout=10)
        crashes.wait(10.0)
    assert reader.until("session_updated", resumed=True)
    assert reader.until("assistant_turn_completed", status="completed")
    again = [frame["item"]["role"] for frame in line.wire.sent("conversation.item.create", connection=2)]
    assert again == ["user"]
    line.wire.sent("response.create", connection=2).once()
    session.close().get(timeout=10)
    reader.rest()


@pytest.mark.parametrize("point", WORKER_POINTS)
def test_a_tool_worker_that_crashes_anywhere_costs_its_call_alone(
    trunk: Any, read: Any, wait_until: Any, point: str
) -> None:
    ran: list[str] = []

    @tool
    def look(what: str = "") -> str:
        """Look at something."""
        ran.append(what)
        return "seen"

    def brain(conversation: Any) -> list[Any]:
        outputs = [item for item in conversation.items if item["type"] == "function_call_output"]
        return [Say("done")] if outputs else [CallTool("look", {"what": "it"})]

    line = trunk(FunctionBrain(brain), tools=[look])
    session = line.connect()
    reader = read(session.events())
    with crash_at(point):
        session.send_text("look").get(timeout=10)
        failed = reader.until("tool_call_failed")
    assert failed.code == "crashed"
    assert ran == (["it"] if point.endswith("after_run") else [])
    assert answer(reader, "done") == "done"
    assert session.actor_ref.restarts == 0
    wait_until(lambda: not line.workers(), line.workers)


@pytest.mark.parametrize("point", ["broker.before_connect", "broker.after_child_started"])
def test_a_broker_that_crashes_anywhere_costs_the_connect_in_hand(
    trunk: Any, read: Any, wait_until: Any, point: str
) -> None:
    line = trunk(ECHO)
    session = line.connect()
    reader = read(session.events())
    before = line.actors()
    with crash_at(point), pytest.raises((CrashInjected, ActorDown)):
        line.broker.connect().get(timeout=10)
    assert wait_for_restart(line.broker.actor_ref, 10.0, after=0) == 1
    wait_until(lambda: len(line.directory.entries()) == 1, line.directory.entries)
    wait_until(lambda: not line.workers(), line.workers)
    wait_until(lambda: len(line.actors()) == len(before), line.actors)
    now = line.actors()
    assert [name for name in before if before[name] != now.get(name)] == ["BrokerActor broker"]
    session.send_text("a").get(timeout=10)
    assert answer(reader, "a") == "heard a"
    another = line.connect()
    other = read(another.events())
    another.send_text("b").get(timeout=10)
    assert answer(other, "b") == "heard b"
