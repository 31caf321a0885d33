"""Statement 13 of the session contract, over real sockets: how a session begins for whoever listens, and how it ends."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from trunkline import tool
from trunkline.supervision.testing import wait_for_restart
from trunkline.testing import HalfOpen, NoClose, Refuse, Reset, crash_at

BOUND_S = 2.0
TEN_TIMES = 10.0  # the contract's figures are for benchmarks


def ended(stage: Any) -> Any:
    """The session is over: return its one session_closed, after every iterator, old and new, has ended."""
    closed = stage.events.until("session_closed")
    stage.events.expect_end()
    assert len(stage.events.of("session_closed")) == 1
    with stage.session.events() as late:
        assert [event.kind for event in late] == ["session_opened", "session_closed"]
    return closed


class TestStatement13HowItBegins:
    def test_connect_returns_behind_the_upgrade_and_the_server_s_confirmation(self, rig: Any) -> None:
        stage = rig("text")
        received = [frame["type"] for frame in stage.wire.received()]
        assert received[:2] == ["session.created", "session.updated"]
        handshake = stage.wire.handshakes()[0]
        assert "openai-beta" not in handshake.headers
        opened = stage.events.until("session_opened")
        created = stage.wire.received("session.created")[0]["session"]
        assert (opened.server_session_id, opened.model) == (created["id"], created["model"])
        assert opened.expires_at == created["expires_at"]

    def test_each_update_has_its_type(self, rig: Any) -> None:
        stage = rig("text", Reset().on("response.created"))
        stage.session.update_instructions("other").get(timeout=10)
        stage.say("one")
        stage.events.until("session_updated", resumed=True)
        updates = stage.wire.sent("session.update")
        assert len(updates) >= 3
        assert {frame["session"]["type"] for frame in updates} == {"realtime"}

    @pytest.mark.parametrize("after", ["a loss", "a crash"])
    def test_a_late_subscriber_hears_first_of_the_line_that_serves(self, rig: Any, after: str) -> None:
        stage = rig("text")
        if after == "a loss":
            stage.server.drop_all()
        else:
            with crash_at("session.after_receive") as crash:
                stage.session.send_text("one").exception(timeout=10)
                crash.wait(10.0)
            assert wait_for_restart(stage.session.actor_ref, 10.0, after=0) == 1
        stage.events.until("session_updated", resumed=True)
        created = stage.wire.received("session.created")[-1]["session"]
        with stage.session.events() as late:
            opened = late.get(10)
            assert (opened.kind, opened.server_session_id) == ("session_opened", created["id"])
            stage.session.send_text("two").get(timeout=10)
            kinds = {late.get(10).kind for _ in range(3)}
        assert "session_opened" not in kinds
        assert len(stage.events.of("session_opened")) == 1


class TestStatement13HowItEnds:
    @pytest.mark.parametrize("fault", [NoClose().at_frame(1), HalfOpen().on("response.created")])
    def test_close_is_bounded_with_a_mute_server_and_a_hung_tool(self, rig: Any, fault: Any) -> None:
        inside, leave = threading.Event(), threading.Event()

        @tool
        def look(what: str) -> str:
            """Look at something, and never come back."""
            inside.set()
            leave.wait(30)
            return what

        stage = rig("tool", fault, tools=[look], close_timeout_s=BOUND_S)
        try:
            stage.say("one")
            if isinstance(fault.fault, NoClose):
                assert inside.wait(10)
            stage.session.close().get(timeout=TEN_TIMES * BOUND_S)
            stage.session.close().get(timeout=TEN_TIMES * BOUND_S)
            closed = ended(stage)
            assert closed.reason == "client"
        finally:
            leave.set()

    @pytest.mark.parametrize("ends", ["close", "stop"])
    def test_what_subscribers_saw_begin_ends_before_the_session_does(self, puppeteer: Any, ends: str) -> None:
        @tool
        def look(ctx: Any) -> str:
            """Look, and wait to be told."""
            ctx.wait_cancelled(10)
            return "too late"

        stage, puppet = puppeteer(tools=[look])
        stage.say("one")
        first = puppet.take("response.create")
        puppet.begin("r1", first)
        puppet.call("r1", "c1", "look")
        puppet.done("r1", create=first)
        stage.events.until("tool_call_dispatched")
        stage.say("two")
        puppet.begin("r2", puppet.take("response.create"))
        puppet.delta("r2", "well")
        stage.events.until("assistant_text_delta")
        ending = stage.session.close() if ends == "close" else stage.broker.stop()
        ending.get(timeout=10)
        stage.events.until("session_closed", reason="client")
        failed, completed = stage.events.seen[-3:-1]
        assert (failed.kind, failed.call_id, failed.code) == ("tool_call_failed", "c1", "cancelled")
        assert (completed.kind, completed.turn_id, completed.status) == (
            "assistant_turn_completed",
            "r2",
            "cancelled",
        )

    def test_close_ends_a_session_that_has_no_line(self, rig: Any) -> None:
        stage = rig("text", *(Refuse().at_connection(number) for number in range(2, 12)))
        stage.server.drop_all()
        stage.events.until("error", code="connection_lost")
        stage.session.close().get(timeout=10)
        assert ended(stage).reason == "client"

    def test_close_ends_both_lines_of_a_session_that_is_about_to_move(self, rig: Any, move: Any) -> None:
        stage = rig("text")
        stage.session.send_audio_frame(np.zeros(4800, np.int16)).get(timeout=10)  # not committed: it waits
        move(stage).until_ready()
        stage.session.close().get(timeout=10)
        assert ended(stage).reason == "client"
        assert len(stage.wire.wait_closed(2, 10)) == 2
        assert not any(event.rolled_over for event in stage.events.of("session_updated"))
