"""Contract statement 11 on real sockets: what breaks, breaks alone, and the conversation goes on."""

from __future__ import annotations

import base64
import json
import sys
import threading
from typing import Any

import pykka
import pytest

from trunkline import SessionClosed, tool
from trunkline.actors.connect_worker import Attempt, LineFailed, LineOffered
from trunkline.gateway.simulator import CallTool, FunctionBrain, Gate, Hold, Say
from trunkline.supervision import ActorDown, kill
from trunkline.supervision.testing import crash, wait_for_restart

BUG = RuntimeError("on purpose")


def echo(conversation: Any) -> list[Any]:
    """Repeat all the user has said so far: what is lost is missing, what came twice is there twice."""
    return [Say("heard " + " ".join(conversation.user_texts))]


ECHO = FunctionBrain(echo)


# -- frames


FRAMES = {
    "no JSON": "{nope",
    "empty": "",
    "no object": "[1, 2]",
    "no type": '{"event_id": "e"}',
    "a number for a type": '{"type": 3}',
    "an unknown type": '{"type": "response.telepathy.delta", "event_id": "e", "delta": "x"}',
    "no fields": '{"type": "response.output_text.delta"}',
    "wrong fields": '{"type": "response.output_text.delta", "response_id": 3, "delta": []}',
    "bad base64": '{"type": "response.output_audio.delta", "event_id": "e", "response_id": "r", "item_id": "i",'
    ' "output_index": 0, "content_index": 0, "delta": "?not base64!"}',
    "odd bytes of audio": json.dumps(
        {
            "type": "response.output_audio.delta",
            "event_id": "e",
            "response_id": "r",
            "item_id": "i",
            "output_index": 0,
            "content_index": 0,
            "delta": base64.b64encode(b"abc").decode(),
        }
    ),
    "a response without id": '{"type": "response.done", "event_id": "e", "response": {}}',
    "an error without details": '{"type": "error", "event_id": "e"}',
    "an error of nulls": '{"type": "error", "event_id": "e", "error": {"type": null, "message": null}}',
    "limits of nulls": '{"type": "rate_limits.updated", "event_id": "e", "rate_limits": [{"name": null, "limit": 0}]}',
    "binary": b"\x00\x01\x02",
    "deep": '{"type":' * 3000,
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_that_makes_no_sense_costs_one_recoverable_error_at_most(
    trunk: Any, read: Any, name: str
) -> None:
    gate = Gate()
    line = trunk(FunctionBrain(lambda _: [Say(["one ", Hold(gate), "two"])]))
    session = line.connect()
    urn = session.actor_ref.actor_urn
    reader = read(session.events())
    session.send_text("go").get(timeout=10)
    gate.wait_reached(10)
    line.simulator.inject(FRAMES[name])
    gate.open()
    assert reader.texts(1) == ["one two"]
    reader.until("assistant_turn_completed", status="completed")
    errors = [event for event in reader.seen if event.kind == "error"]
    assert len(errors) <= 1, errors
    assert all(error.recoverable and error.code and error.message for error in errors)
    assert session.actor_ref.actor_urn == urn
    assert line.simulator.accepted == 1


# -- subscribers and tools


def test_a_callback_that_raises_anything_harms_nobody(trunk: Any, read: Any) -> None:
    line = trunk(ECHO)
    session = line.connect()
    reader = read(session.events())
    seen: list[str] = []
    for error in (ValueError("x"), SystemExit(3), KeyboardInterrupt(), GeneratorExit(), ActorDown()):

        def raises(event: Any, error: BaseException = error) -> None:
            seen.append(type(error).__name__)
            raise error

        session.subscribe(raises).get(timeout=10)
    session.send_text("a").get(timeout=10)
    assert reader.texts(1) == ["heard a"]
    session.close().get(timeout=10)
    reader.rest()
    assert line.simulator.accepted == 1
    assert seen.count("ActorDown") == seen.count("SystemExit") > 3


def test_dead_actor_subscribers_are_forgotten(trunk: Any, read: Any, probe: Any, wait_until: Any) -> None:
    line = trunk(ECHO)
    session = line.connect()
    reader = read(session.events())
    dead, _ = probe()
    dead.stop()
    dying, actor = probe()
    session.subscribe(dead).get(timeout=10)
    session.subscribe(dying).get(timeout=10)
    session.send_text("a").get(timeout=10)
    reader.texts(1)
    wait_until(lambda: any(event.kind == "assistant_text" for event in actor.events))
    dying.tell("die")
    assert dying.actor_stopped.wait(10)
    session.send_text("b").get(timeout=10)
    assert reader.texts(1) == ["heard a b"]
    (entry,) = line.directory.entries()
    assert [sink.subscriber for sink in entry.subscribers._sinks] == [reader.stream]


def test_a_stream_that_was_given_up_is_forgotten(trunk: Any, read: Any, wait_until: Any) -> None:
    line = trunk(ECHO)
    session = line.connect()
    reader = read(session.events())
    abandoned = session.events()
    closed = session.events()
    closed.close()
    abandoned._given_up = True  # what 10,000 unread control events lead to
    abandoned._bound = -1
    session.send_text("a").get(timeout=10)
    reader.texts(1)
    (entry,) = line.directory.entries()
    assert [sink.subscriber for sink in entry.subscribers._sinks] == [reader.stream]


@pytest.mark.parametrize("end", [SystemExit(3), KeyboardInterrupt(), RuntimeError("x"), MemoryError()])
def test_a_tool_that_crashes_its_worker_gets_one_output_and_the_line_stays(
    trunk: Any, read: Any, end: BaseException
) -> None:
    @tool
    def explode() -> str:
        raise end

    def brain(conversation: Any) -> list[Any]:
        outputs = [item for item in conversation.items if item["type"] == "function_call_output"]
        return [Say("I see")] if outputs else [CallTool("explode", {})]

    line = trunk(FunctionBrain(brain), tools=[explode])
    session = line.connect()
    reader = read(session.events())
    session.send_text("go").get(timeout=10)
    reader.until("tool_call_failed")
    assert reader.texts(1) == ["I see"]
    outputs = [
        event
        for event in line.wire.sent("conversation.item.create")
        if event["item"]["type"] == "function_call_output"
    ]
    assert len(outputs) == 1
    assert line.simulator.accepted == 1
    assert session.actor_ref.restarts == 0


# -- the session's actor crashes


def talk(session: Any, reader: Any, word: str, before: str = "") -> None:
    """Say a word; the answer repeats what was said ``before``, and the word. Then the session is idle."""
    session.send_text(word).get(timeout=10)
    assert reader.texts(1) == [f"heard {before}{word}"]
    reader.until("assistant_turn_completed")  # before it, the question still counts as unanswered


def crashed_alone(before: dict[str, str], after: dict[str, str], session: Any) -> None:
    """Check that of all actors one has a new incarnation."""
    assert before.keys() == after.keys()
    changed = [name for name in before if before[name] != after[name]]
    assert changed == [f"SessionActor {session.session_id}"]


def test_an_idle_session_that_crashes_goes_on_and_nobody_else_notices(
    trunk: Any, read: Any, probe: Any, wait_until: Any
) -> None:
    line = trunk(ECHO)
    neighbour, session = line.connect(), line.connect()
    reader, elsewhere = read(session.events()), read(neighbour.events())
    ref, actor = probe()
    called: list[Any] = []
    session.subscribe(ref).get(timeout=10)
    session.subscribe(called.append).get(timeout=10)
    talk(session, reader, "a")
    before = line.actors()
    crash(session.actor_ref, BUG)
    updated = reader.until("session_updated", resumed=True)
    assert updated.restarts == 1
    crashed_alone(before, line.actors(), session)
    talk(session, reader, "b", "a ")
    talk(neighbour, elsewhere, "c")
    late = read(session.events())
    session.close().get(timeout=10)
    assert late.rest()[0] == "session_opened"
    assert actor.closed.wait(10)
    for events in (actor.events, called, (reader.rest(), reader.seen)[1]):
        kinds = [event.kind for event in events]
        assert kinds.count("session_opened") <= 1
        assert kinds.count("session_updated") >= 1
        assert kinds.count("session_closed") == 1
        assert [event.text for event in events if event.kind == "assistant_text"] == ["heard a", "heard a b"]
        assert [e.restarts for e in events if e.kind == "session_updated" and e.resumed] == [1]
    line.simulator.wait_connections(1, 10)


def test_a_crash_in_the_middle_of_a_reply_is_answered_once_after_all(trunk: Any, read: Any) -> None:
    gate = Gate()
    broken: list[bool] = []

    def brain(conversation: Any) -> list[Any]:
        if broken:
            return echo(conversation)
        return [Say(["half ", Hold(gate), "way"])]

    line = trunk(FunctionBrain(brain))
    session = line.connect()
    reader = read(session.events())
    session.send_text("a").get(timeout=10)
    reader.until("assistant_text_delta")
    session.send_text("b").get(timeout=10)
    broken.append(True)
    crash(session.actor_ref, BUG)
    reader.until("session_updated", resumed=True)
    assert reader.texts(1) == ["heard a b"]
    talk(session, reader, "c", "a b ")
    gate.open()
    again = line.wire.sent("response.create", connection=2)
    assert len(again) == 2, "one for what was left unanswered, one for c"


def test_a_tool_at_work_outlives_a_crash_and_its_output_is_answered_once(
    trunk: Any, read: Any, wait_until: Any
) -> None:
    entered, release = threading.Event(), threading.Event()
    tokens: list[Any] = []

    @tool
    def slow(ctx: Any) -> str:
        tokens.append(ctx)
        entered.set()
        release.wait(10)
        return "done"

    def brain(conversation: Any) -> list[Any]:
        outputs = [item for item in conversation.items if item["type"] == "function_call_output"]
        return [Say("I see")] if outputs else [CallTool("slow", {})]

    line = trunk(FunctionBrain(brain), tools=[slow])
    session = line.connect()
    reader = read(session.events())
    session.send_text("go").get(timeout=10)
    assert entered.wait(10)
    crash(session.actor_ref, BUG)
    reader.until("session_updated", resumed=True)
    release.set()
    assert reader.texts(1) == ["I see"]
    assert [ctx.cancelled for ctx in tokens] == [False], "it ran once, to its end"
    wait_until(lambda: not line.workers(), line.workers)
    session.close().get(timeout=10)
    assert reader.rest().count("assistant_text") == 1
    outputs = [
        event
        for event in line.wire.sent("conversation.item.create", connection=2)
        if event["item"]["type"] == "function_call_output"
    ]
    assert len(outputs) == 1


def test_a_crash_while_connecting_does_not_fail_connect(trunk: Any, read: Any) -> None:
    line = trunk(ECHO)
    line.simulator.mute(future=True)
    connecting = line.broker.connect()
    entry = one_entry(line)
    line.simulator.unmute()  # what was made before stays mute
    crash(entry.ref, BUG)
    session = connecting.get(timeout=10)
    reader = read(session.events())
    talk(session, reader, "a")
    assert session.actor_ref.restarts == 1
    assert not connecting.get().events().ended


def test_a_line_for_an_earlier_incarnation_is_not_taken(trunk: Any) -> None:
    line = trunk(ECHO)
    line.simulator.mute(future=True)
    connecting = line.broker.connect()
    entry = one_entry(line)
    assert entry.ref.ask(LineOffered(Attempt(incarnation=0, number=1), object()), timeout=10) is False
    entry.ref.tell(LineFailed(Attempt(incarnation=0, number=1), ValueError("old news")))
    line.simulator.unmute()
    crash(entry.ref, BUG)
    assert connecting.get(timeout=10).session_id == entry.session_id


def one_entry(line: Any) -> Any:
    done = threading.Event()
    while not line.directory.entries() or line.directory.entries()[0].ref is None:
        assert not done.wait(0.002)
    return line.directory.entries()[0]


def test_four_crashes_in_a_row_give_up_that_session_alone(trunk: Any, read: Any, probe: Any) -> None:
    line = trunk(ECHO)
    neighbour, session = line.connect(), line.connect()
    reader, elsewhere = read(session.events()), read(neighbour.events())
    ref, actor = probe()
    called: list[Any] = []
    session.subscribe(ref).get(timeout=10)
    session.subscribe(called.append).get(timeout=10)
    before = line.actors()
    for restarts in range(1, 4):
        crash(session.actor_ref, BUG)
        assert wait_for_restart(session.actor_ref, 10.0) == restarts
    crash(session.actor_ref, BUG)
    reader.rest()
    assert actor.closed.wait(10)
    line.broker.tree()
    for closed in (reader.seen[-1], actor.events[-1]):
        assert closed == SessionClosed("error", "session_crashed", closed.message)
        assert "RuntimeError" in closed.message
    with pytest.raises(ActorDown):
        session.send_text("x").get(timeout=10)
    session.close().get(timeout=10)
    after = line.actors()
    assert before.keys() - after.keys() == {f"SessionActor {session.session_id}"}
    assert all(before[name] == after[name] for name in after)
    talk(neighbour, elsewhere, "b")
    again = line.connect()
    talk(again, read(again.events()), "c")
    assert [event.kind for event in session.events()] == ["session_opened", "session_closed"]
    line.simulator.wait_connections(2, 10)


def test_what_is_sent_while_a_session_restarts_is_answered_once_and_in_order(trunk: Any, read: Any) -> None:
    line = trunk(ECHO)
    session = line.connect()
    reader = read(session.events())
    futures = []
    for n in range(3):
        futures.append((f"a{n}", session.send_text(f"a{n}")))
        crash(session.actor_ref, BUG)
        futures.append((f"b{n}", session.send_text(f"b{n}")))
        reader.until("session_updated", restarts=n + 1)
    accepted = [text for text, future in futures if future.exception(timeout=10) is None]
    session.send_text("end").get(timeout=10)
    assert len(accepted) >= 3
    while not (last := reader.until("assistant_text").text).endswith("end"):
        pass
    assert last == " ".join(["heard", *accepted, "end"])
    reader.until("assistant_turn_completed")
    session.close().get(timeout=10)
    assert reader.rest()[-2:] == ["assistant_turn_completed", "session_closed"], "and nothing more was asked"


# -- others crash


def test_a_broker_crash_touches_no_session(trunk: Any, read: Any) -> None:
    line = trunk(ECHO)
    sessions = [line.connect() for _ in range(3)]
    readers = [read(session.events()) for session in sessions]
    before = line.actors()
    crash(line.broker.actor_ref, BUG)
    # In the mailbox that ends with the crash, or, where this thread is slow, in the next one:
    behind = line.broker.connect()
    failed = behind.exception(timeout=10)
    assert failed is None or isinstance(failed, ActorDown)
    another = line.connect() if failed else behind.get()
    after = line.actors()
    assert [name for name in before if before[name] != after[name]] == ["BrokerActor broker"]
    assert len(after) == len(before) + 1
    for session, reader in zip(sessions, readers, strict=True):
        talk(session, reader, "a")
    sessions[0].close().get(timeout=10)
    readers[0].rest()
    for restarts in range(4):
        crash(sessions[1].actor_ref, BUG)
        if restarts < 3:
            wait_for_restart(sessions[1].actor_ref, 10.0)
    readers[1].rest()
    assert readers[1].seen[-1].code == "session_crashed", "the new broker watches the old one's sessions"
    talk(another, read(another.events()), "b")


@pytest.mark.parametrize("started", [False, True])
def test_a_broker_crash_fails_a_connect_in_flight_and_leaves_nothing_of_it(
    trunk: Any, wait_until: Any, started: bool
) -> None:
    line = trunk(ECHO, connect_timeout_s=60.0)  # so that no attempt fails by itself
    line.simulator.mute(future=True)
    connecting = [line.broker.connect() for _ in range(5)]
    if started:
        wait_until(lambda: [entry.ref is None for entry in line.directory.entries()] == [False] * 5)
    crash(line.broker.actor_ref, BUG)
    for future in connecting:
        with pytest.raises(ActorDown):
            future.get(timeout=10)
    wait_until(lambda: not line.directory.entries(), line.directory.entries)
    wait_until(lambda: not any("SessionActor" in name for name in line.actors()), line.actors)
    wait_until(lambda: not line.workers(), line.workers)
    line.simulator.unmute()
    line.connect().close().get(timeout=10)


def test_a_crash_of_the_session_supervisor_ends_its_sessions_with_an_error_each(
    trunk: Any, read: Any, wait_until: Any
) -> None:
    line = trunk(ECHO)
    readers = [read(line.connect().events()) for _ in range(3)]
    before = line.actors()
    crash(supervisor(line, "SessionSupervisor"), BUG)
    for reader in readers:
        reader.rest()
        assert reader.seen[-1].reason == "error"
    wait_until(lambda: not line.directory.entries())
    name = "SessionSupervisor sessions"
    wait_until(lambda: line.actors().get(name) not in (before[name], ""))
    after = line.actors()
    assert after["BrokerActor broker"] == before["BrokerActor broker"]
    assert after["WorkerSupervisor workers"] == before["WorkerSupervisor workers"]
    session = line.connect()
    talk(session, read(session.events()), "a")
    line.simulator.wait_connections(1, 10)


def supervisor(line: Any, name: str) -> Any:
    return next(ref for ref in pykka.ActorRegistry.get_all() if ref.actor_class.__name__ == name)


def test_a_crash_of_the_worker_supervisor_fails_running_tools_and_no_session(
    trunk: Any, read: Any, wait_until: Any
) -> None:
    entered, release = threading.Event(), threading.Event()

    @tool
    def slow() -> str:
        entered.set()
        release.wait(10)
        return "done"

    def brain(conversation: Any) -> list[Any]:
        outputs = [item for item in conversation.items if item["type"] == "function_call_output"]
        return [Say("I see")] if outputs else [CallTool("slow", {})]

    line = trunk(FunctionBrain(brain), tools=[slow])
    session = line.connect()
    reader = read(session.events())
    session.send_text("go").get(timeout=10)
    assert entered.wait(10)
    before = line.actors()
    crash(supervisor(line, "WorkerSupervisor"), BUG)
    failed = reader.until("tool_call_failed")
    assert failed.code == "crashed"
    release.set()
    assert reader.texts(1) == ["I see"]
    workers = "WorkerSupervisor workers"  # it tells of its tools' end before its own
    wait_until(lambda: line.actors().get(workers) not in (before[workers], ""))
    after = line.actors()
    assert [name for name in before if before[name] != after[name]] == [workers]
    line.simulator.abort_all()
    reader.until("session_updated", resumed=True)


@pytest.mark.parametrize("moment", ["idle", "connecting", "mid-stream", "restarting", "mixed"])
def test_stop_all_at_any_moment_leaves_nothing(
    trunk: Any, read: Any, wait_until: Any, moment: str, nothing_is_left_behind: Any
) -> None:
    gate = Gate()
    before = type(nothing_is_left_behind)()
    line = trunk(FunctionBrain(lambda _: [Say(["a ", Hold(gate), "b"])]))
    sessions = [line.connect() for _ in range(3)]
    readers = [read(session.events()) for session in sessions]
    connecting = []
    if moment in ("mid-stream", "mixed"):
        sessions[0].send_text("go").get(timeout=10)
        gate.wait_reached(10)
    if moment in ("restarting", "mixed"):
        crash(sessions[1].actor_ref, BUG)
        crash(line.broker.actor_ref, BUG)
    if moment in ("connecting", "mixed"):
        connecting = [line.broker.connect() for _ in range(3)]
    pykka.ActorRegistry.stop_all(timeout=10)
    gate.open()
    assert not pykka.ActorRegistry.get_all()
    for reader in readers:
        reader.rest()
    for future in connecting:
        if future.exception(timeout=10) is not None:
            assert isinstance(future.exception(), ActorDown)
    line.simulator.stop()
    before.comes_back()


@pytest.mark.parametrize("how", ["killed", "crashes", "gives up"])
def test_a_root_that_ends_otherwise_than_by_stop_ends_its_sessions_with_an_error(
    trunk: Any, read: Any, how: str, wait_until: Any
) -> None:
    line = trunk(ECHO)
    reader = read(line.connect().events())
    root = line.broker._root
    if how == "killed":
        kill(root)
    elif how == "crashes":
        crash(root, BUG)
    else:
        for restarts in range(4):
            crash(line.broker.actor_ref, BUG)
            wait_until(lambda n=restarts: n == 3 or line.broker.actor_ref.restarts == n + 1)
    reader.rest()
    assert reader.seen[-1].reason == "error"
    wait_until(lambda: not line.broker.actor_ref.is_alive())  # its sessions end a moment before it
    with pytest.raises(ActorDown):
        line.broker.connect().get(timeout=10)


# -- the line


@pytest.mark.parametrize("how", ["abort", 1001, 1005, 1011, 1012, 1013])
def test_a_lost_line_is_replaced_and_nothing_that_was_accepted_is_lost(
    trunk: Any, read: Any, how: Any
) -> None:
    gate = Gate()
    held: list[bool] = []

    def brain(conversation: Any) -> list[Any]:
        if held:
            return echo(conversation)
        held.append(True)
        return [Say(["never ", Hold(gate), "said"])]

    line = trunk(FunctionBrain(brain))
    session = line.connect()
    urn = session.actor_ref.actor_urn
    reader = read(session.events())
    session.send_text("a").get(timeout=10)
    reader.until("assistant_text_delta")
    line.simulator.refuse_status = 503
    lose(line, how)
    error = reader.until("error")
    assert (error.code, error.recoverable) == ("connection_lost", True)
    session.send_text("b").get(timeout=10)
    line.simulator.refuse_status = None
    reader.until("session_updated", resumed=True, restarts=0)
    assert reader.texts(1) == ["heard a b"]
    assert "session_closed" not in reader.kinds
    assert [event.reason for event in reader.seen if event.kind == "interrupted"] == ["error"]
    assert session.actor_ref.actor_urn == urn
    gate.open()


def lose(line: Any, how: Any) -> None:
    if how == "abort":
        line.simulator.abort_all()
    else:
        line.simulator.close_all(how, "") if how != 1005 else line.simulator.close_all(1001)


def test_a_server_that_closes_normally_ends_the_session(trunk: Any, read: Any) -> None:
    line = trunk(ECHO)
    session = line.connect()
    reader = read(session.events())
    talk(session, reader, "a")
    line.simulator.close_all(1000, "bye")
    reader.rest()
    assert reader.seen[-1] == SessionClosed("server", "1000", "bye")
    assert "error" not in reader.kinds
    with pytest.raises(ActorDown):
        session.send_text("x").get(timeout=10)
    session.close().get(timeout=10)
    line.connect().close().get(timeout=10)


@pytest.mark.parametrize("code", [3000, 4000])
def test_a_fatal_close_ends_the_session_with_an_error(
    trunk: Any, read: Any, code: int, wait_until: Any
) -> None:
    line = trunk(ECHO)
    neighbour = line.connect()
    session = line.connect()
    reader = read(session.events())
    talk(session, reader, "a")
    line.simulator.close_all(code, "no more")
    reader.rest()
    assert [event.kind for event in reader.seen[-2:]] == ["error", "session_closed"]
    assert not reader.seen[-2].recoverable
    assert reader.seen[-1].reason == "error"
    assert f"{code}" in (reader.seen[-1].message or "") + (reader.seen[-1].code or "")
    wait_until(lambda: not line.directory.entries())
    assert line.simulator.accepted == 2
    assert neighbour.close().get(timeout=10) is None


def test_a_fatal_refusal_of_the_next_line_ends_the_session(trunk: Any, read: Any) -> None:
    line = trunk(ECHO)
    session = line.connect()
    reader = read(session.events())
    line.simulator.refuse_status = 401
    line.simulator.abort_all()
    reader.rest()
    assert [event.kind for event in reader.seen[-3:]] == ["error", "error", "session_closed"]
    assert [event.recoverable for event in reader.seen[-3:-1]] == [True, False]
    assert reader.seen[-1].reason == "error"


def test_races_are_found_with_a_tiny_switch_interval_too(trunk: Any, read: Any) -> None:
    """Ten crashes spread over ten sessions while all of them are talked to."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        line = trunk(ECHO)
        sessions = [line.connect() for _ in range(5)]
        readers = [read(session.events()) for session in sessions]
        for n in range(2):
            for session, reader in zip(sessions, readers, strict=True):
                crash(session.actor_ref, BUG)
                talk(session, reader, f"a{n}", "a0 " * n)
    finally:
        sys.setswitchinterval(interval)
