"""Statements 5 (cancel) and 6 (no truncation yet) of the session contract, over real sockets: who interrupts, and what is left."""

from __future__ import annotations

import threading

import pytest

from trunkline import SemanticVad, ServerVad, tool
from trunkline.gateway.simulator import CallTool, Gate, Hold, Say


class TestStatement05ManualInterrupt:
    def test_while_streaming_cancels_by_id_and_shows_nothing_of_the_turn_afterwards(self, simulate):
        gate = Gate()
        stage, _ = simulate([Say(["one ", Hold(gate), "two"])])
        stage.say("go")
        r1 = stage.events.until("assistant_text_delta", delta="one ").turn_id
        stage.interrupt()
        stage.events.until("assistant_turn_completed", turn_id=r1)
        stage.quiet()
        assert [frame["response_id"] for frame in stage.sent("response.cancel")] == [r1]
        assert stage.types() == ["conversation.item.create", "response.create", "response.cancel"]
        assert stage.events.kinds() == [
            "assistant_turn_started",
            "assistant_text_delta",
            "interrupted",
            "assistant_turn_completed",
        ]
        interrupted, completed = stage.events.seen[-2:]
        assert (interrupted.turn_id, interrupted.reason) == (r1, "manual")
        assert (completed.turn_id, completed.status) == (r1, "cancelled")

    def test_deltas_that_the_server_still_sends_reach_nobody(self, puppeteer):
        stage, puppet = puppeteer()
        stage.say("go")
        create = puppet.take("response.create")
        puppet.begin("r1", create)
        puppet.delta("r1", "seen")
        stage.events.until("assistant_text_delta")
        stage.interrupt()
        puppet.take("response.cancel")
        before = len(stage.events.seen)
        puppet.delta("r1", "unseen")
        puppet.send("response.output_audio.delta", response_id="r1", item_id="i", delta="AAAA")
        puppet.send("response.output_audio_transcript.delta", response_id="r1", item_id="i", delta="unseen")
        puppet.call("r1", "c1", "nobody")
        puppet.send(
            "response.function_call_arguments.delta", response_id="r1", item_id="i", call_id="c1", delta="{"
        )
        puppet.text_done("r1", "seen unseen")
        stage.quiet()
        assert [event.kind for event in stage.events.seen[before:]] == ["interrupted"]
        puppet.done("r1", "cancelled", create=create)
        stage.quiet()
        assert [event.kind for event in stage.events.seen[before:]] == [
            "interrupted",
            "assistant_turn_completed",
        ]

    def test_a_second_interrupt_adds_nothing(self, simulate):
        gate = Gate()
        stage, _ = simulate([Say(["one ", Hold(gate), "two"])])
        stage.say("go")
        stage.events.until("assistant_text_delta")
        for _ in range(3):
            stage.interrupt()
        stage.events.until("assistant_turn_completed")
        stage.interrupt()
        stage.quiet()
        assert len(stage.sent("response.cancel")) == 1
        assert len(stage.events.of("interrupted")) == 1
        assert len(stage.events.of("assistant_turn_completed")) == 1

    def test_with_nothing_to_stop_nothing_happens(self, simulate):
        stage, _ = simulate([Say("hello")])
        stage.interrupt()
        stage.quiet()
        assert (stage.types(), stage.events.kinds()) == ([], [])
        stage.say("go")
        stage.events.until("assistant_turn_completed", status="completed")
        stage.interrupt()
        stage.quiet()
        assert stage.types() == ["conversation.item.create", "response.create"]
        assert "interrupted" not in stage.events.kinds()

    def test_before_the_response_began_it_is_cut_as_it_begins(self, puppeteer):
        stage, puppet = puppeteer()
        stage.say("go")
        create = puppet.take("response.create")
        stage.interrupt()
        stage.quiet()
        assert "response.cancel" not in stage.types(), "there is no response to cancel yet"
        puppet.begin("r1", create)
        puppet.delta("r1", "unseen")
        assert puppet.take("response.cancel")["response_id"] == "r1"
        puppet.done("r1", "cancelled", create=create)
        stage.quiet()
        assert stage.events.kinds() == ["assistant_turn_started", "interrupted", "assistant_turn_completed"]
        assert stage.types().count("response.create") == 1

    def test_who_speaks_after_interrupting_an_unbegun_response_is_answered(self, puppeteer):
        stage, puppet = puppeteer()
        stage.say("never mind")
        create = puppet.take("response.create")
        stage.interrupt()
        stage.say("this instead")
        stage.quiet()
        puppet.begin("r1", create)
        puppet.take("response.cancel")
        puppet.done("r1", "cancelled", create=create)
        create = puppet.take("response.create")
        puppet.begin("r2", create)
        puppet.delta("r2", "yes")
        puppet.done("r2", create=create)
        stage.events.until("assistant_text_delta", turn_id="r2")
        assert [event.turn_id for event in stage.events.of("interrupted")] == ["r1"]

    @pytest.mark.parametrize("code", ["conversation_already_has_active_response", "server_error"])
    def test_a_create_that_was_interrupted_and_then_refused_costs_no_later_answer(self, puppeteer, code):
        stage, puppet = puppeteer()
        stage.say("never mind")
        create = puppet.take("response.create")
        stage.interrupt()
        stage.quiet()
        puppet.refuse(create["event_id"], code)
        if code.startswith("conversation"):
            puppet.begin("other")
            puppet.done("other")
        stage.quiet()
        assert stage.types().count("response.create") == 1, "nobody waits for what was interrupted"
        stage.say("this")
        create = puppet.take("response.create")
        puppet.begin("r1", create)
        puppet.delta("r1", "yes")
        puppet.done("r1", create=create)
        stage.events.until("assistant_text_delta", turn_id="r1")
        stage.events.until("assistant_turn_completed", turn_id="r1", status="completed")
        assert "response.cancel" not in stage.types()

    def test_while_tools_run_stops_them_and_sends_no_cancel(self, simulate):
        running, told = threading.Event(), threading.Event()

        @tool
        def patient(ctx) -> str:
            """Wait to be told."""
            running.set()
            if ctx.wait_cancelled(10):
                told.set()
            return "too late"

        stage, _ = simulate([CallTool("patient", {}, call_id="c1")], tools=[patient])
        stage.say("go")
        assert running.wait(10)
        r1 = stage.events.until("tool_call_dispatched").turn_id
        stage.interrupt()
        stage.interrupt()
        assert told.wait(10)
        stage.quiet()
        assert stage.types() == ["conversation.item.create", "response.create"]
        assert [(e.turn_id, e.reason) for e in stage.events.of("interrupted")] == [(r1, "manual")]
        assert [(e.call_id, e.code) for e in stage.events.of("tool_call_failed")] == [("c1", "cancelled")]

    def test_a_cancel_that_comes_too_late_for_the_server_is_no_error(self, puppeteer):
        stage, puppet = puppeteer()
        stage.say("go")
        create = puppet.take("response.create")
        puppet.begin("r1", create)
        puppet.delta("r1", "all of it")
        stage.events.until("assistant_text_delta")
        stage.interrupt()
        cancel = puppet.take("response.cancel")
        puppet.done("r1", "completed", create=create)
        puppet.refuse(cancel["event_id"], "response_cancel_not_active")
        stage.quiet()
        assert stage.events.of("error") == []
        assert [e.status for e in stage.events.of("assistant_turn_completed")] == ["cancelled"]

    def test_what_was_said_during_the_response_is_answered_after_it_was_cut(self, simulate):
        gate = Gate()
        stage, heard = simulate([Say(["one ", Hold(gate), "two"])], [Say("next")])
        stage.say("go")
        stage.events.until("assistant_text_delta")
        stage.say("and this")
        stage.interrupt()
        stage.events.until("assistant_text_delta", delta="next")
        stage.events.until("assistant_turn_completed", status="completed")
        assert heard[1].user_texts == ["go", "and this"]
        assert stage.types().count("response.create") == 2

    def test_the_turn_after_an_interrupted_one_is_whole(self, simulate):
        gate = Gate()
        stage, _ = simulate([Say(["one ", Hold(gate), "two"])], [Say("all of it")])
        stage.say("go")
        stage.events.until("assistant_text_delta")
        stage.interrupt()
        stage.say("again")
        stage.events.until("assistant_turn_completed", status="cancelled")
        turn_id = stage.events.until("assistant_turn_completed", status="completed").turn_id
        assert stage.events.kinds(turn_id) == [
            "assistant_turn_started",
            *["assistant_text_delta"] * 3,
            "assistant_text",
            "assistant_turn_completed",
        ]


class TestStatement06ServerBargeIn:
    def speak(self, puppet, at_ms=700):
        puppet.send("input_audio_buffer.speech_started", audio_start_ms=at_ms, item_id="u1")

    @pytest.mark.parametrize(
        "vad",
        ["server_vad", "semantic_vad", ServerVad(), ServerVad(interrupt_response=True), SemanticVad()],
        ids=str,
    )
    def test_the_server_cancels_and_the_subscriber_is_told(self, puppeteer, voice, vad):
        stage, puppet = puppeteer(**{**voice, "turn_detection": vad})
        stage.say("go")
        create = puppet.take("response.create")
        puppet.begin("r1", create)
        puppet.delta("r1", "seen")
        self.speak(puppet)
        puppet.delta("r1", "unseen")
        puppet.done("r1", "cancelled", create=create)
        stage.quiet()
        assert stage.types() == ["conversation.item.create", "response.create"]
        assert stage.events.kinds() == [
            "assistant_turn_started",
            "assistant_text_delta",
            "user_speech_started",
            "interrupted",
            "assistant_turn_completed",
        ]
        (started,) = stage.events.of("user_speech_started")
        (interrupted,) = stage.events.of("interrupted")
        (completed,) = stage.events.of("assistant_turn_completed")
        assert (started.at_ms, started.item_id) == (700, "u1")
        assert (interrupted.turn_id, interrupted.reason) == ("r1", "barge_in")
        assert completed.status == "cancelled"

    @pytest.mark.parametrize(
        "vad", [ServerVad(interrupt_response=False), SemanticVad(interrupt_response=False), "none"], ids=str
    )
    def test_where_speech_does_not_interrupt_the_turn_runs_on(self, puppeteer, voice, vad):
        stage, puppet = puppeteer(**{**voice, "turn_detection": vad})
        stage.say("go")
        create = puppet.take("response.create")
        puppet.begin("r1", create)
        self.speak(puppet)
        puppet.delta("r1", "goes on")
        puppet.done("r1", create=create)
        stage.quiet()
        assert stage.types() == ["conversation.item.create", "response.create"]
        assert stage.events.kinds() == [
            "assistant_turn_started",
            "user_speech_started",
            "assistant_text_delta",
            "assistant_turn_completed",
        ]
        assert stage.events.of("assistant_turn_completed")[0].status == "completed"

    def test_interrupting_what_the_user_s_voice_interrupted_adds_nothing(self, puppeteer, voice):
        stage, puppet = puppeteer(**voice)
        stage.say("go")
        create = puppet.take("response.create")
        puppet.begin("r1", create)
        self.speak(puppet)
        stage.events.until("interrupted")
        stage.interrupt()
        stage.quiet()
        assert "response.cancel" not in stage.types()
        assert len(stage.events.of("interrupted")) == 1
