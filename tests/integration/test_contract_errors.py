"""Statement 12 of the session contract, over real sockets: errors that say what, whose and whether it goes on."""

from __future__ import annotations

import json

import numpy as np
import pytest

from trunkline import ServerError, tool
from trunkline.gateway.simulator import CallTool, Fail, Gate, Hold, Say


class TestStatement12TypedCorrelatedErrors:
    def test_every_client_event_has_an_id_of_its_own(self, simulate):
        @tool
        def look() -> str:
            """Look."""
            return "seen"

        gate = Gate()
        stage, _ = simulate(
            [CallTool("look", {}), CallTool("look", {}), CallTool("nobody", {})],
            [Say(["one ", Hold(gate)])],
            tools=[look],
        )
        stage.say("go")
        stage.events.until("assistant_text_delta")
        stage.say("more")
        stage.interrupt()
        stage.session.update_instructions("be brief").get(timeout=10)
        for _ in range(5):
            stage.session.send_audio_frame(np.zeros(2400, np.int16)).get(timeout=10)
        stage.session.commit_audio().get(timeout=10)
        stage.session.create_response().get(timeout=10)
        stage.session.clear_audio().get(timeout=10)
        stage.quiet()
        frames = stage.wire.sent()
        kinds = {frame["type"] for frame in frames}
        assert kinds == {
            "session.update",
            "conversation.item.create",
            "response.create",
            "response.cancel",
            "input_audio_buffer.append",
            "input_audio_buffer.commit",
            "input_audio_buffer.clear",
        }
        nameless = {frame["type"] for frame in frames if not frame.get("event_id")}
        assert nameless == set()
        ids = [frame["event_id"] for frame in frames]
        assert len(set(ids)) == len(ids)
        assert stage.events.of("error") == []

    def test_a_refused_update_fails_exactly_its_caller(self, puppeteer):
        stage, puppet = puppeteer(instructions="old")
        puppet.take("session.update")
        puppet.confirms = False
        first = stage.session.update_instructions("one")
        second = stage.session.update_instructions("two")
        third = stage.session.update_instructions("three")
        puppet.take("session.update")
        puppet.send("session.updated", session={"id": "sess_1", "instructions": "one"})
        first.get(timeout=10)
        refused = puppet.take("session.update")
        assert refused["session"] == {"type": "realtime", "instructions": "two"}
        puppet.refuse(refused["event_id"], "invalid_value", param="session.instructions")
        with pytest.raises(ServerError) as failure:
            second.get(timeout=10)
        error = failure.value
        assert (error.code, error.param, error.event_id) == (
            "invalid_value",
            "session.instructions",
            refused["event_id"],
        )
        assert "invalid_value" in error.message
        assert stage.session.get_instructions().get(timeout=10) == "one"
        puppet.take("session.update")
        puppet.send("session.updated", session={"id": "sess_1", "instructions": "three"})
        third.get(timeout=10)
        stage.quiet()
        assert stage.events.of("error") == []

    def test_one_change_is_on_its_way_at_a_time(self, puppeteer):
        stage, puppet = puppeteer(instructions="old")
        puppet.take("session.update")
        puppet.confirms = False
        first = stage.session.update_instructions("one")
        second = stage.session.update(speed=1.5, instructions="two")
        stage.quiet()
        assert len(stage.wire.sent("session.update")) == 2
        puppet.take("session.update")
        puppet.send("session.updated", session={"id": "sess_1", "instructions": "one"})
        first.get(timeout=10)
        assert stage.session.get_instructions().get(timeout=10) == "one"
        change = puppet.take("session.update")["session"]
        assert change == {"type": "realtime", "instructions": "two", "audio": {"output": {"speed": 1.5}}}
        puppet.send("session.updated", session={"id": "sess_1", "instructions": "two"})
        second.get(timeout=10)
        assert stage.session.get_instructions().get(timeout=10) == "two"

    def test_an_error_that_came_before_anybody_listened_reaches_the_first_who_does(self, puppeteer):
        stage, puppet = puppeteer()
        session = stage.broker.connect().get(timeout=10)
        puppet.refuse("event_x", "invalid_value", param="session.speed")
        session.update_instructions("one").get(timeout=10)  # its answer comes behind the error
        first, second = session.events(), session.events()
        session.close().get(timeout=10)
        assert [event.kind for event in first] == ["session_opened", "error", "session_closed"]
        assert [event.kind for event in second] == ["session_opened", "session_closed"]

    def test_a_refused_item_is_an_error_that_names_it(self, puppeteer):
        stage, puppet = puppeteer()
        item_id = stage.say("a")
        frame = puppet.take("conversation.item.create")
        puppet.refuse(frame["event_id"], "invalid_value", param="item.content")
        error = stage.events.until("error")
        assert (error.code, error.param, error.item_id, error.event_id, error.recoverable) == (
            "invalid_value",
            "item.content",
            item_id,
            frame["event_id"],
            True,
        )

    def test_nobody_is_asked_to_answer_an_item_that_was_refused(self, puppeteer):
        stage, puppet = puppeteer()
        puppet.shows_items = False
        stage.say("a")
        puppet.take("conversation.item.create")
        create = puppet.take("response.create")
        puppet.begin("r1", create)
        stage.say("refused")
        puppet.refuse(puppet.take("conversation.item.create")["event_id"], "invalid_value")
        puppet.done("r1", create=create)
        stage.quiet()
        assert stage.types().count("response.create") == 1

    @pytest.mark.parametrize("code", ["server_error", "invalid_value", "rate_limit_exceeded"])
    def test_a_failed_response_is_an_error_and_a_failed_turn(self, simulate, code):
        stage, _ = simulate([Say("half"), Fail(code, "sorry")], [Say("whole")])
        stage.say("go")
        completed = stage.events.until("assistant_turn_completed")
        stage.quiet()
        assert completed.status == "failed"
        (error,) = stage.events.of("error")
        assert (error.code, error.message, error.recoverable) == (code, "sorry", True)
        assert len(stage.events.of("rate_limited")) == (code == "rate_limit_exceeded")
        kinds = stage.events.kinds()
        assert kinds.index("error") < kinds.index("assistant_turn_completed")
        stage.say("again")
        stage.events.until("assistant_turn_completed", status="completed")
        assert stage.types() == ["conversation.item.create", "response.create"] * 2

    def test_a_failure_without_details_has_a_code_all_the_same(self, puppeteer):
        stage, puppet = puppeteer()
        stage.say("go")
        create = puppet.take("response.create")
        puppet.begin("r1", create)
        puppet.done("r1", "failed", create=create, status_details=None)
        stage.events.until("error", code="response_failed", recoverable=True)
        stage.events.until("assistant_turn_completed", status="failed")

    @pytest.mark.parametrize(
        ("code", "recoverable"),
        [
            ("server_error", True),
            ("invalid_value", True),
            ("session_expired", True),
            ("rate_limit_exceeded", True),
            ("some_new_code", True),
            ("insufficient_quota", False),
            ("invalid_api_key", False),
            ("account_deactivated", False),
        ],
    )
    def test_recoverable_comes_from_the_table_of_codes(self, puppeteer, code, recoverable):
        stage, puppet = puppeteer()
        puppet.refuse(None, code)
        error = stage.events.until("error")
        assert (error.code, error.recoverable, error.message) == (code, recoverable, f"no: {code}")
        stage.say("still open")
        puppet.take("conversation.item.create")

    @pytest.mark.parametrize("names_event", [True, False])
    def test_benign_races_are_no_event(self, puppeteer, voice, names_event):
        stage, puppet = puppeteer(**voice)
        puppet.refuse("event_x" if names_event else None, "response_cancel_not_active")
        puppet.refuse("event_x" if names_event else None, "input_audio_buffer_commit_empty")
        puppet.refuse("event_x" if names_event else None, "conversation_already_has_active_response")
        stage.quiet()
        assert stage.events.kinds() == []

    def test_an_empty_commit_is_the_caller_s_mistake_without_turn_detection(self, puppeteer):
        stage, puppet = puppeteer()
        puppet.refuse("event_x", "input_audio_buffer_commit_empty")
        stage.events.until("error", code="input_audio_buffer_commit_empty", event_id="event_x")

    def limits(self, stage, *remaining, reset_s=2.5):
        shares = [
            {"name": f"limit_{i}", "limit": 1000, "remaining": left, "reset_seconds": reset_s}
            for i, left in enumerate(remaining)
        ]
        event = {"type": "rate_limits.updated", "event_id": "e", "rate_limits": shares}
        stage.server.inject(json.dumps(event))
        stage.quiet()
        return stage.events.of("rate_limited")

    @pytest.mark.parametrize(
        ("remaining", "seen"),
        [((1000, 990), 0), ((1000, 100), 0), ((1000, 99), 1), ((0, 1000), 1), ((0, 0), 1), ((), 0)],
    )
    def test_rate_limited_only_when_a_limit_is_nearly_used_up(self, simulate, remaining, seen):
        stage, _ = simulate()
        limited = self.limits(stage, *remaining)
        assert len(limited) == seen
        assert [event.reset_ms for event in limited] == [2500.0] * seen

    def test_the_limits_after_an_ordinary_response_are_no_event(self, simulate):
        stage, _ = simulate()
        stage.say("go")
        stage.events.until("assistant_turn_completed")
        stage.wire.wait_received("rate_limits.updated", 1)
        stage.quiet()
        assert stage.events.of("rate_limited") == []

    def test_a_rate_limit_error_is_told_as_both(self, puppeteer):
        stage, puppet = puppeteer()
        puppet.refuse(None, "rate_limit_exceeded")
        stage.quiet()
        assert stage.events.kinds() == ["error", "rate_limited"]
