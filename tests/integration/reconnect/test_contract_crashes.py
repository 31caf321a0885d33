"""Statement 11 of the session contract, its last sentence, over real sockets: a session's actor crashes anywhere in a turn."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator
from typing import Any

import pykka
import pytest

from trunkline import AssistantTurnCompleted, Interrupted, ToolContext, tool
from trunkline.gateway.simulator import CallTool, Say
from trunkline.supervision import CountChildren, call
from trunkline.supervision.testing import crash, wait_for_restart
from trunkline.testing import CRASH_POINTS, EventLog, crash_at

BUG = RuntimeError("on purpose")
POINTS = sorted(name for name in CRASH_POINTS if name.startswith("session."))


def whole_answers(stage: Any) -> list[str]:
    """The answers that were not cut off: each is text of a turn that completed, and of no interrupted one."""
    interrupted = {event.turn_id for event in stage.events.of("interrupted")}
    finals = [*stage.events.of("assistant_text"), *stage.events.of("assistant_transcript")]
    return [event.text for event in finals if event.turn_id not in interrupted]


class TestStatement11CrashAnywhereInATurn:
    @pytest.mark.parametrize("after", [0, 1, 2, 4])
    @pytest.mark.parametrize("kind", ["text", "tool"])
    @pytest.mark.parametrize("point", POINTS)
    def test_what_was_accepted_is_answered_once(
        self, rig: Any, answers: Any, point: str, kind: str, after: int
    ) -> None:
        stage = rig(kind)
        accepted: list[str] = []
        with crash_at(point, after=after) as crash:
            for word in ("one", "two", "three", "four"):
                if stage.session.send_text(word).exception(timeout=10) is None:
                    accepted.append(word)
                    if not crash.fired:
                        answers(stage).until_answered_or(lambda: crash.fired)
                if crash.fired:
                    break
            crash.wait(10.0)
        assert wait_for_restart(stage.session.actor_ref, 10.0, after=0) == 1
        stage.say("end")
        accepted.append("end")
        answers(stage).until_ends_with("end")
        stage.quiet()
        answers(stage).check()
        heard = whole_answers(stage)[-1].split()
        known = [word for word in heard if word in ("one", "two", "three", "four", "end")]
        assert [word for word in known if word in accepted] == accepted, "each accepted message is there once"
        last = max(frame.connection for frame in stage.wire.handshakes())
        sent = [frame["item"] for frame in stage.wire.sent("conversation.item.create", last)]
        outputs = [item["call_id"] for item in sent if item["type"] == "function_call_output"]
        assert len(outputs) == len(set(outputs))
        finals = [text for text in whole_answers(stage) if text != "wait"]
        if kind == "text":  # two questions at once may each have their own round of tools
            assert len(finals) == len(set(finals)), finals

    @pytest.mark.parametrize(
        ("point", "after"),
        [
            *(("session.after_receive", n) for n in (0, 3, 6, 9, 12)),
            *(("session.before_emit", n) for n in (0, 2, 4, 6, 8)),
            *(("session.after_accept", n) for n in (0, 1, 2, 3, 5)),
        ],
    )
    def test_what_was_spoken_and_understood_is_answered_once(
        self, rig: Any, answers: Any, kinds: Any, point: str, after: int
    ) -> None:
        stage = rig("spoken")
        with crash_at(point, after=after) as crash:
            stage.server.refuse_status = 503  # the next line is to hear nothing of what is being said
            kinds["spoken"].say(stage, "one")
            crash.wait(10.0)
        stage.server.refuse_status = None
        assert wait_for_restart(stage.session.actor_ref, 10.0, after=0) == 1
        stage.events.until("session_updated", resumed=True)
        stage.session.update_instructions("go on").get(timeout=10)  # behind the replay: history is what it is
        items = stage.session.history().get(timeout=10)
        understood = [item.text for item in items if item.role == "user" and item.text]
        if understood:
            answers(stage).until_said("one")
        kinds["spoken"].say(stage, "two")
        answers(stage).until_ends_with("two")
        stage.quiet()
        answers(stage).check()
        finals = whole_answers(stage)
        assert len(finals) == len(set(finals)), finals


@tool
def stay(ctx: ToolContext) -> str:
    """Stay until somebody says that it is over."""
    pause = threading.Event()
    while not ctx.cancelled:
        pause.wait(0.01)
    return "gone"


def work(_: Any) -> list[Any]:
    return [Say("wait"), CallTool("stay", {})]


def give_up(stage: Any) -> None:
    """Crash the session until it is not started any more."""
    with crash_at("session.before_emit", times=3) as crashes:
        crash(stage.session.actor_ref, BUG)
        crashes.wait(10.0)


def close_while_it_crashes(stage: Any) -> None:
    """Crash the session, and have its client close it before the next incarnation is there."""
    supervisor = stage.session._supervisor
    with hanging(stage):
        crash(stage.session.actor_ref, BUG)
        closed = stage.session.close()
        call(supervisor, CountChildren(), 10.0)  # and so the supervisor knows of the closing
    closed.get(timeout=10)


def close_while_it_hangs(stage: Any) -> None:
    with hanging(stage):
        stage.session.close().get(timeout=10)


def crash_its_supervisor(_: Any) -> None:
    (supervisor,) = pykka.ActorRegistry.get_by_class_name("SessionSupervisor")
    crash(supervisor, BUG)


@contextlib.contextmanager
def hanging(stage: Any) -> Generator[None]:
    """The session's thread is in a callback."""
    entered, release = threading.Event(), threading.Event()

    def hang(_: Any) -> None:
        entered.set()
        release.wait(10.0)

    stage.session.subscribe(hang)
    assert entered.wait(10.0)
    try:
        yield
    finally:
        release.set()


BY_AN_ERROR = [give_up, crash_its_supervisor]
BY_ITS_CLIENT = [close_while_it_crashes, close_while_it_hangs]


class TestStatement11WhatBeganEndsAlsoIfNobodyGoesOn:
    """There is no incarnation to end what subscribers saw begin: whoever ends the session does."""

    @pytest.fixture
    def seen_until(self, rig: Any) -> Any:
        """`seen_until(end, kind, **options)`: what subscribers saw of a session ended so when they had seen this kind."""

        def run(end: Any, kind: str, **options: Any) -> list[Any]:
            stage = rig(close_timeout_s=0.3, **options)
            called = EventLog(stage.session, timeout_s=10.0)
            stage.say("go")
            stage.events.until(kind)
            end(stage)
            called.wait_for("session_closed")
            stage.events.until("session_closed")
            stage.events.expect_end()
            greetings = ("session_opened", "session_updated")
            of_callback, of_stream = (
                [event for event in seen if event.kind not in greetings]
                for seen in (called.events, stage.events.seen)
            )
            assert of_callback == of_stream
            return of_stream

        return run

    @pytest.mark.parametrize("end", [*BY_AN_ERROR, *BY_ITS_CLIENT])
    def test_a_turn(self, seen_until: Any, end: Any) -> None:
        started, _, *ends, closed = seen_until(end, "assistant_text_delta", half=True)
        turn = started.turn_id
        if end in BY_AN_ERROR:
            assert ends == [Interrupted(turn, "error"), AssistantTurnCompleted(turn, "failed")]
            assert closed.reason == "error"
        else:
            assert ends == [AssistantTurnCompleted(turn, "cancelled")]
            assert closed.reason == "client"

    @pytest.mark.parametrize("end", [*BY_AN_ERROR, *BY_ITS_CLIENT])
    def test_a_tool_call(self, seen_until: Any, end: Any) -> None:
        seen = seen_until(end, "tool_call_dispatched", brain=work, tools=[stay])
        kinds = [event.kind for event in seen]
        assert kinds.count("tool_call_started") == kinds.count("tool_call_failed") == 1
        assert kinds.count("assistant_turn_started") == kinds.count("assistant_turn_completed") == 1
        assert [event.code for event in seen if event.kind == "tool_call_failed"] == ["cancelled"]
