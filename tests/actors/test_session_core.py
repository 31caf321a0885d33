"""The session's decisions, as tables: what goes on the wire (W) and what a subscriber sees (V), without a thread or a socket."""

from __future__ import annotations

import json

import pytest

from trunkline.actors.commands import (
    AwaitOpen,
    CommitAudio,
    CreateResponse,
    GetHistory,
    GetInstructions,
    Interrupt,
    SendAudio,
    SendText,
    UpdateInstructions,
)
from trunkline.actors.effects import AudioEpoch, Finish, OpenLine, SendAppend
from trunkline.actors.errors import CommandTimeout, InvalidCommand, LineDown
from trunkline.actors.events import Error
from trunkline.actors.tool_outcome import ToolOutcome
from trunkline.actors.tool_runner import SerialToolRunner
from trunkline.gateway.audio import MAX_APPEND_BYTES
from trunkline.gateway.errors import ConnectTimeout, HandshakeRefused, LineClosed, ServerError, Unreachable


class TestStatement01SingleFlightReplies:
    def test_a_text_sends_its_item_and_one_create(self, drive):
        core = drive()
        token = core.say(SendText("hi"))
        assert core.types() == ["conversation.item.create", "response.create"]
        assert core.wire[0]["item"]["content"] == [{"type": "input_text", "text": "hi"}]
        assert core.resolved[token] == core.wire[0]["item"]["id"]

    def test_asks_during_a_response_send_items_at_once_and_coalesce_into_one_create_after_it(self, drive):
        core = drive()
        core.begin("r1")
        for text in ("a", "b", "c"):
            core.say(SendText(text))
        assert core.types() == ["conversation.item.create"] * 3
        core.done("r1")
        assert core.types().count("response.create") == 1
        assert "error" not in core.kinds()

    def test_an_unacknowledged_create_holds_back_the_next(self, drive):
        core = drive()
        core.say(SendText("a"))
        core.say(SendText("b"))
        assert core.types().count("response.create") == 1
        core.begin("r1")
        core.done("r1")
        assert core.types().count("response.create") == 2
        core.begin("r2")
        core.done("r2")
        assert core.types().count("response.create") == 2

    def test_a_race_with_the_server_s_own_response_is_resolved_by_one_more_create(self, drive):
        core = drive()
        core.say(SendText("a"))
        create = core.wire[-1]["event_id"]
        core.begin("vad")
        core.refuse(create, "conversation_already_has_active_response")
        core.clear()
        core.done("vad")
        assert core.types() == ["response.create"]
        assert "error" not in core.kinds()

    def test_a_race_is_settled_when_the_server_s_response_already_covers_the_item(self, drive):
        core = drive()
        core.say(SendText("a"))
        item, create = core.wire[0]["item"], core.wire[1]["event_id"]
        core.server("conversation.item.added", item=item)
        core.begin("vad")
        core.refuse(create, "conversation_already_has_active_response")
        core.clear()
        core.done("vad")
        assert core.types() == []

    def test_the_refusal_may_come_before_the_response_is_known(self, drive):
        core = drive()
        core.say(SendText("a"))
        core.refuse(core.wire[-1]["event_id"], "conversation_already_has_active_response")
        core.clear()
        core.server("response.done", response={"id": "unseen", "status": "completed"})
        assert core.types() == ["response.create"]

    def test_a_response_that_was_never_seen_to_begin_covers_no_more_than_it_answered(self, drive):
        core = drive()
        core.say(SendText("a"))
        item, create = core.wire[0]["item"], core.wire[1]["event_id"]
        core.server("conversation.item.added", item=item)
        core.refuse(create, "conversation_already_has_active_response")
        core.clear()
        core.server("response.done", response={"id": "unseen", "status": "completed", "output": []})
        assert core.types() == ["response.create"]

    def test_a_response_that_was_never_seen_to_begin_covers_what_its_words_follow(self, drive):
        core = drive()
        core.say(SendText("a"))
        item, create = core.wire[0]["item"], core.wire[1]["event_id"]
        core.server("conversation.item.added", item=item)
        core.refuse(create, "conversation_already_has_active_response")
        core.clear()
        said = {"id": "i9", "type": "message", "role": "assistant", "status": "completed"}
        said["content"] = [{"type": "output_text", "text": "A"}]
        core.server("response.done", response={"id": "unseen", "status": "completed", "output": [said]})
        assert core.types() == []

    def test_silence_is_a_recoverable_error_and_a_late_response_is_cancelled_and_hidden(self, drive):
        core = drive()
        core.say(SendText("a"))
        assert "reply" in core.timers()
        core.timer("reply")
        assert [(e.code, e.recoverable) for e in core.seen] == [("response_timeout", True)]
        core.clear()
        core.begin("late")
        core.text("never shown", "late")
        core.done("late")
        assert [(f["type"], f["response_id"]) for f in core.wire] == [("response.cancel", "late")]
        assert core.seen == []

    def test_another_refusal_of_a_create_is_an_error_that_names_it_and_the_next_ask_goes_on(self, drive):
        core = drive()
        core.say(SendText("a"))
        create = core.wire[-1]["event_id"]
        core.refuse(create, "invalid_value", param="response")
        assert [(e.code, e.event_id, e.param) for e in core.seen] == [("invalid_value", create, "response")]
        core.clear()
        core.say(SendText("b"))
        assert core.types() == ["conversation.item.create", "response.create"]


class TestStatement02EveryCompletedCallGetsOneOutput:
    def test_outputs_go_in_the_model_s_order_whatever_order_the_tools_end_in(self, drive):
        core = drive()
        core.begin()
        for index, call in enumerate(("c0", "c1", "c2")):
            core.call(call, index=index)
        core.done()
        assert core.started() == ["c0", "c1", "c2"]
        for call in ("c2", "c0", "c1"):
            core.finish(call, call.upper())
        assert core.outputs() == [("c0", "C0"), ("c1", "C1"), ("c2", "C2")]
        assert core.types()[-1] == "response.create"
        assert core.types().count("response.create") == 1
        batch = next(e for e in core.seen if e.kind == "tool_batch_submitted")
        assert (batch.turn_id, batch.call_ids) == ("r1", ("c0", "c1", "c2"))

    @pytest.mark.parametrize(
        ("arguments", "name", "code"),
        [
            ("{broken", "look", "invalid_arguments"),
            ("[1]", "look", "invalid_arguments"),
            ("3", "look", "invalid_arguments"),
            ("{}", "nobody", "unknown_tool"),
            ("{}", "", "unknown_tool"),
        ],
    )
    def test_a_call_that_cannot_run_is_answered_at_once(self, drive, arguments, name, code):
        core = drive()
        core.begin()
        core.call("c0", arguments=arguments, name=name)
        core.done()
        assert core.started() == []
        ((call_id, output),) = core.outputs()
        assert (call_id, json.loads(output)["error"]["code"]) == ("c0", code)
        assert core.types()[-1] == "response.create"
        assert [e.code for e in core.seen if e.kind == "tool_call_failed"] == [code]

    def test_an_empty_argument_string_is_an_empty_object(self, drive):
        core = drive()
        core.begin()
        core.call("c0", arguments="")
        core.done()
        assert core.started() == ["c0"]

    def test_a_worker_that_died_is_answered_for_once(self, drive):
        core = drive()
        core.begin()
        core.call("c0")
        core.done()
        core.take(core.core.tool_finished(ToolOutcome.failed("c0", "look", "crashed"), 0.0))
        core.finish("c0")
        assert len(core.outputs()) == 1

    def test_a_timeout_stops_the_worker_and_answers(self, drive):
        core = drive(tool_timeout_s=3.0)
        core.begin()
        core.call("c0")
        core.done()
        assert ("tool", "c0") in core.timers()
        core.timer(("tool", "c0"))
        assert core.stopped() == ["c0"]
        assert json.loads(core.outputs()[0][1])["error"]["code"] == "timeout"
        core.finish("c0")
        assert len(core.outputs()) == 1

    def test_a_serial_runner_starts_one_after_the_other(self, drive):
        core = drive(runner=SerialToolRunner())
        core.begin()
        core.call("c0", index=0)
        core.call("c1", index=1)
        core.done()
        assert core.started() == ["c0"]
        core.finish("c0")
        assert core.started() == ["c0", "c1"]
        core.finish("c1")
        assert [call for call, _ in core.outputs()] == ["c0", "c1"]

    @pytest.mark.parametrize("fault", ["raises", "admits nobody"])
    def test_a_runner_that_fails_is_passed_over_and_reported(self, drive, fault):
        class Broken:
            def admit(self, waiting, running):
                if fault == "raises":
                    raise KeyError("bug")
                return ()

        core = drive(runner=Broken())
        core.begin()
        core.call("c0")
        core.done()
        assert core.started() == ["c0"]
        core.finish("c0")
        assert len(core.outputs()) == 1
        assert [e.code for e in core.seen if e.kind == "error"] == ["tool_runner_failed"]

    def test_rounds_without_a_word_of_the_user_are_bounded(self, drive):
        core = drive(max_tool_rounds=2)
        core.say(SendText("go"))
        for number in range(3):
            core.begin(f"r{number}")
            core.call(f"c{number}", response=f"r{number}")
            core.done(f"r{number}")
            core.finish(f"c{number}")
        assert len(core.outputs()) == 3
        assert core.types().count("response.create") == 3  # the user's and two rounds
        assert [e.code for e in core.seen if e.kind == "error"] == ["too_many_tool_rounds"]


class TestStatement03IncompleteCallsNeverRun:
    @pytest.mark.parametrize("status", ["cancelled", "incomplete", "failed"])
    def test_calls_of_a_response_that_did_not_complete(self, drive, status):
        core = drive()
        core.begin()
        core.call("c0")
        core.done(status=status)
        assert core.started() == []
        assert core.wire == []
        assert [(e.call_id, e.code) for e in core.seen if e.kind == "tool_call_failed"] == [("c0", status)]
        assert [e.status for e in core.seen if e.kind == "assistant_turn_completed"] == [status]

    def test_a_call_whose_item_is_incomplete_does_not_run_though_its_arguments_are_done(self, drive):
        core = drive()
        core.begin()
        item = {"type": "function_call", "id": "i", "call_id": "c0", "name": "look"}
        core.server("response.output_item.added", response_id="r1", output_index=0, item=item)
        core.server("response.function_call_arguments.done", response_id="r1", call_id="c0", arguments="{}")
        core.server("response.output_item.done", response_id="r1", item={**item, "status": "incomplete"})
        core.done()
        assert core.started() == []
        assert [e.code for e in core.seen if e.kind == "tool_call_failed"] == ["incomplete"]


class TestStatement04Identity:
    def test_tools_of_one_response_run_while_another_streams_and_their_outputs_wait(self, drive):
        core = drive()
        core.begin("r1")
        core.call("c1", response="r1")
        core.done("r1")
        core.say(SendText("also"))
        core.begin("r2")
        core.text("two", "r2")
        core.clear()
        core.finish("c1")
        assert core.types() == ["conversation.item.create"]
        core.text("more", "r2")
        assert [e.turn_id for e in core.seen if e.kind == "assistant_text_delta"] == ["r2"]
        core.done("r2")
        assert core.types() == ["conversation.item.create", "response.create"]

    def test_an_out_of_band_response_touches_nothing_else(self, drive):
        core = drive()
        core.begin("r1")
        core.say(SendText("next"))
        core.server("response.created", response={"id": "oob", "conversation_id": None})
        core.text("aside", "oob")
        core.clear()
        core.server("response.done", response={"id": "oob", "status": "completed"})
        core.text("main", "r1")
        assert core.wire == []
        assert core.kinds() == ["assistant_turn_completed", "assistant_text_delta"]
        core.done("r1")
        assert core.types() == ["response.create"]

    def test_interrupting_the_second_response_cancels_the_first_one_s_tools(self, drive):
        core = drive()
        core.begin("r1")
        core.call("c1", response="r1")
        core.done("r1")
        core.begin("r2")
        core.clear()
        core.say(Interrupt())
        assert core.stopped() == ["c1"]
        assert [e.turn_id for e in core.seen if e.kind == "interrupted"] == ["r2", "r1"]

    def test_a_second_response_done_changes_nothing(self, drive):
        core = drive()
        core.begin("r1")
        core.done("r1")
        core.clear()
        core.done("r1", status="failed")
        assert core.effects == []

    @pytest.mark.parametrize(
        ("wire", "field"),
        [("response.output_text", "text"), ("response.output_audio_transcript", "transcript")],
    )
    def test_what_a_part_says_is_told_once_also_when_the_provider_says_it_twice(self, drive, wire, field):
        core = drive()
        core.begin("r1")
        core.clear()
        for index, said in ((0, "one"), (0, "one"), (1, "one"), (0, "other")):
            part = {"response_id": "r1", "item_id": "i1", "content_index": index, field: said}
            core.server(f"{wire}.done", **part)
        assert [(e.content_index, e.text) for e in core.seen] == [(0, "one"), (1, "one"), (0, "other")]


class TestStatement05ManualInterrupt:
    def test_cancels_by_id_and_shows_nothing_of_the_turn_afterwards(self, drive):
        core = drive()
        core.begin("r1")
        core.text("one")
        core.say(Interrupt())
        core.text("two")
        core.server("response.output_text.done", response_id="r1", item_id="i1", text="one two")
        core.done("r1", "cancelled")
        cancels = [f for f in core.wire if f["type"] == "response.cancel"]
        assert [f["response_id"] for f in cancels] == ["r1"]
        assert core.kinds() == [
            "assistant_turn_started",
            "assistant_text_delta",
            "interrupted",
            "assistant_turn_completed",
        ]
        assert core.seen[-1].status == "cancelled"

    def test_a_second_interrupt_adds_nothing(self, drive):
        core = drive()
        core.begin("r1")
        core.say(Interrupt())
        core.clear()
        core.say(Interrupt())
        assert (core.wire, core.seen) == ([], [])

    def test_without_a_response_nothing_happens(self, drive):
        core = drive()
        token = core.say(Interrupt())
        assert (core.wire, core.seen) == ([], [])
        assert token in core.resolved

    def test_a_response_that_was_asked_for_and_has_not_begun_is_cut_as_it_begins(self, drive):
        core = drive()
        core.say(SendText("a"))
        core.say(Interrupt())
        core.clear()
        core.begin("r1")
        assert core.types() == ["response.cancel"]
        assert core.kinds() == ["assistant_turn_started", "interrupted"]

    def test_tools_of_an_interrupted_response_never_run_even_if_the_server_completed_it(self, drive):
        core = drive()
        core.begin()
        core.call("c0")
        core.say(Interrupt())
        core.done()
        assert core.started() == []
        assert core.outputs() == []

    def test_who_was_interrupted_is_not_answered_again(self, drive):
        core = drive()
        core.say(SendText("a"))
        core.begin("r1")
        core.say(Interrupt())
        core.clear()
        core.done("r1", "cancelled")
        assert core.wire == []


class TestStatement07Policies:
    def batch(self, drive, **config):
        core = drive(**config)
        core.begin()
        core.call("c0", index=0)
        core.call("c1", index=1)
        core.done()
        core.finish("c0", "real")
        core.clear()
        core.say(Interrupt())
        return core

    def test_drop_sends_nothing_and_asks_for_nothing(self, drive):
        core = self.batch(drive, on_interrupt="drop")
        assert core.wire == []
        assert core.stopped() == ["c1"]
        core.finish("c1")
        assert core.wire == []

    def test_a_dropped_call_s_id_may_be_used_again(self, drive):
        core = self.batch(drive, on_interrupt="drop")
        core.begin("r2")
        core.call("c1", response="r2")
        core.done("r2")
        assert core.started() == ["c1"]
        core.finish("c1", "this time")
        assert core.outputs() == [("c1", "this time")]

    def test_drop_that_settles_sends_one_cancelled_output_per_call_and_no_create(self, drive):
        core = self.batch(drive, on_interrupt="drop", settle_dropped_calls=True)
        assert [(c, json.loads(o)["error"]["code"]) for c, o in core.outputs()] == [
            ("c0", "cancelled"),
            ("c1", "cancelled"),
        ]
        assert "response.create" not in core.types()

    @pytest.mark.parametrize("spelling", ["submit_completed_only", "submit-completed-only"])
    def test_submit_completed_only_tells_the_finished_and_cancels_the_rest(self, drive, spelling):
        core = self.batch(drive, on_interrupt=spelling)
        assert core.outputs()[0] == ("c0", "real")
        assert json.loads(core.outputs()[1][1])["error"]["code"] == "cancelled"
        assert core.types()[-1] == "response.create"
        core.finish("c1", "too late")
        assert len(core.outputs()) == 2

    def test_submit_lets_the_tools_finish(self, drive):
        core = self.batch(drive, on_interrupt="submit")
        assert (core.stopped(), core.wire) == ([], [])
        core.finish("c1", "also real")
        assert core.outputs() == [("c0", "real"), ("c1", "also real")]

    def test_no_create_while_the_user_is_speaking(self, drive):
        core = drive(on_interrupt="submit", turn_detection="server_vad", modalities=["audio"])
        core.begin()
        core.call("c0")
        core.done()
        core.server("input_audio_buffer.speech_started", audio_start_ms=1, item_id="u")
        core.finish("c0")
        assert "response.create" not in core.types()
        core.server("input_audio_buffer.speech_stopped", audio_end_ms=2, item_id="u")
        assert "response.create" not in core.types()  # the VAD's own response comes first
        core.begin("vad")
        core.done("vad")
        assert core.types().count("response.create") == 1

    def test_the_server_gets_its_full_time_to_reply_to_the_last_utterance(self, drive):
        core = drive(turn_detection="server_vad", modalities=["audio"])
        for at_ms in (1, 3):
            core.server("input_audio_buffer.speech_started", audio_start_ms=at_ms, item_id="u")
            core.server("input_audio_buffer.speech_stopped", audio_end_ms=at_ms + 1, item_id="u")
        assert core.timers() == ["reply", "reply"]


class TestStatement06BargeIn:
    def test_the_server_cancels_by_itself(self, drive):
        core = drive(turn_detection="server_vad", modalities=["audio"])
        core.begin()
        core.clear()
        core.server("input_audio_buffer.speech_started", audio_start_ms=700, item_id="u")
        assert core.wire == []
        assert core.kinds() == ["user_speech_started", "interrupted"]
        assert (core.seen[0].at_ms, core.seen[1].reason) == (700, "barge_in")

    def test_without_interrupt_response_the_turn_runs_on(self, drive):
        from trunkline import ServerVad

        core = drive(turn_detection=ServerVad(interrupt_response=False), modalities=["audio"])
        core.begin()
        core.server("input_audio_buffer.speech_started", audio_start_ms=700, item_id="u")
        core.text("on")
        assert core.kinds()[-2:] == ["user_speech_started", "assistant_text_delta"]


class TestStatement08LostLines:
    def test_a_lost_line_ends_the_turn_and_a_new_one_brings_the_conversation_back(self, drive):
        core = drive()
        core.say(SendText("a"))
        core.begin("r1")
        core.server("response.output_text.done", response_id="r1", item_id="i1", text="A")
        core.done("r1")
        core.say(SendText("b"))
        core.begin("r2")
        core.clear()
        core.take(core.core.line_lost(LineClosed(1006), 1.0))
        assert core.kinds() == ["interrupted", "assistant_turn_completed", "error"]
        assert (core.seen[0].reason, core.seen[2].code, core.seen[2].recoverable) == (
            "error",
            "connection_lost",
            True,
        )
        assert "retry" in core.timers()
        core.timer("retry")
        core.wire.clear()
        core.open()
        assert core.types() == ["session.update", *["conversation.item.create"] * 3, "response.create"]
        said = [(f["item"]["role"], f["item"]["content"][0]["text"]) for f in core.wire[1:4]]
        assert said == [("user", "a"), ("assistant", "A"), ("user", "b")]
        assert [e.resumed for e in core.seen if e.kind == "session_updated"] == [True]

    def test_a_provider_may_count_its_responses_anew_on_each_line(self, drive):
        core = drive()
        core.say(SendText("a"))
        core.begin("r1")
        core.server("response.output_text.done", response_id="r1", item_id="i1", text="A")
        core.done("r1")
        core.take(core.core.line_lost(LineClosed(1006), 1.0))
        core.timer("retry")
        core.open()
        core.say(SendText("b"))
        core.clear()
        core.begin("r1")
        core.server("response.output_text.delta", response_id="r1", item_id="i2", delta="B")
        core.done("r1")
        assert core.kinds() == [
            "assistant_turn_started",
            "assistant_text_delta",
            "assistant_turn_completed",
        ]

    def test_what_is_said_while_the_line_is_down_is_accepted_and_sent_on_the_next(self, drive):
        core = drive()
        core.take(core.core.line_lost(LineClosed(1011), 1.0))
        token = core.say(SendText("meanwhile"))
        assert token in core.resolved
        core.timer("retry")
        core.wire.clear()
        core.open()
        assert core.types() == ["session.update", "conversation.item.create", "response.create"]

    def test_outputs_of_tools_that_outlive_the_line_go_with_their_calls(self, drive):
        core = drive()
        core.say(SendText("a"))
        core.begin()
        core.call("c0")
        core.done()
        core.take(core.core.line_lost(LineClosed(1006), 1.0))
        core.timer("retry")
        core.open()
        core.clear()
        core.finish("c0")
        assert [f.get("item", {}).get("type") for f in core.wire] == [
            "function_call",
            "function_call_output",
            None,
        ]

    @pytest.mark.parametrize("close_code", [3000, 4000])
    def test_a_fatal_close_is_not_retried(self, drive, close_code):
        core = drive()
        core.take(core.core.line_lost(LineClosed(close_code), 1.0))
        finish = core.of(Finish)[0]
        assert finish.reason == "error"
        assert [e.recoverable for e in core.seen if e.kind == "error"] == [False]
        assert "retry" not in core.timers()

    def test_a_normal_close_is_the_server_s_goodbye(self, drive):
        core = drive()
        core.take(core.core.line_lost(LineClosed(1000, "bye"), 1.0))
        assert [(f.reason, f.code) for f in core.of(Finish)] == [("server", "1000")]

    def test_attempts_are_bounded(self, drive):
        core = drive()
        core.take(core.core.line_lost(LineClosed(1006), 1.0))
        for _ in range(10):
            assert not core.of(Finish)
            core.timer("retry")
            attempt = core.of(OpenLine)[-1].attempt
            core.take(core.core.connect_failed(attempt, Unreachable("no"), 2.0))
        assert [f.reason for f in core.of(Finish)] == ["error"]

    def test_an_outage_is_bounded_in_time(self, drive):
        core = drive()
        core.take(core.core.line_lost(LineClosed(1006), 1.0))
        core.timer("retry")
        core.take(core.core.connect_failed(core.of(OpenLine)[-1].attempt, Unreachable("no"), 130.0))
        assert core.of(Finish)

    def test_a_restarted_session_says_what_was_accepted_and_asks_once(self, drive):
        first = drive()
        first.say(SendText("a"))
        first.say(SendText("b"))
        second = drive(opened=False, log=first.log, restarts=1)
        second.wire.clear()
        second.open()
        assert second.types() == [
            "session.update",
            "conversation.item.create",
            "conversation.item.create",
            "response.create",
        ]
        assert [f["item"]["id"] for f in second.wire[1:3]] == [
            f["item"]["id"] for f in first.wire if "item" in f
        ]
        assert [(e.resumed, e.restarts) for e in second.seen if e.kind == "session_updated"] == [(True, 1)]

    def test_a_restarted_session_does_not_answer_again_what_was_answered(self, drive):
        first = drive()
        first.say(SendText("a"))
        first.begin("r1")
        first.server("response.output_text.done", response_id="r1", item_id="i1", text="A")
        first.done("r1")
        second = drive(opened=False, log=first.log)
        second.open()
        assert second.types() == ["session.update", *["conversation.item.create"] * 2]


class TestStatement12TypedErrors:
    def test_every_client_event_has_an_id_of_its_own(self, drive):
        core = drive()
        core.say(SendText("a"))
        core.begin("r1")
        core.say(Interrupt())
        core.say(UpdateInstructions("b"))
        ids = [frame["event_id"] for frame in core.wire]
        assert len(ids) == len(set(ids)) == 4

    def test_a_refused_item_is_an_error_that_names_it(self, drive):
        core = drive()
        token = core.say(SendText("a"))
        core.refuse(core.wire[0]["event_id"], "invalid_value", param="item.content")
        (error,) = core.seen
        assert (error.item_id, error.param, error.recoverable) == (core.resolved[token], "item.content", True)

    def test_a_refused_item_is_not_said_again_on_another_line_or_by_another_incarnation(self, drive):
        core = drive()
        core.say(SendText("refused"))
        core.refuse(core.wire[0]["event_id"], "invalid_value")
        core.take(core.core.line_lost(LineClosed(1006), 1.0))
        core.timer("retry")
        core.wire.clear()
        core.open()
        assert core.types() == ["session.update"]
        second = drive(opened=False, log=core.log, restarts=1)
        second.wire.clear()
        second.open()
        assert second.types() == ["session.update"]

    def test_a_told_item_that_the_provider_has_already_stays(self, drive):
        core = drive()
        core.say(SendText("still there"))
        for _ in range(2):
            core.take(core.core.line_lost(LineClosed(1006), 1.0))
            core.timer("retry")
            core.wire.clear()
            core.open()
            assert core.types() == ["session.update", "conversation.item.create", "response.create"]
            core.seen.clear()
            core.refuse(core.wire[1]["event_id"], "item_create_duplicate_item_id")
            assert core.seen == [], "it is where it should be"
        core.begin("r1", metadata=core.wire[2]["response"]["metadata"])
        core.done("r1")
        core.say(GetHistory())
        assert [item.text for item in list(core.resolved.values())[-1]] == ["still there"]

    @pytest.mark.parametrize("code", ["response_cancel_not_active"])
    def test_benign_races_are_no_event(self, drive, code):
        core = drive()
        core.refuse("event_x", code)
        assert core.seen == []

    @pytest.mark.parametrize(
        ("code", "recoverable"),
        [
            ("server_error", True),
            ("insufficient_quota", False),
            ("invalid_api_key", False),
            ("invalid_value", True),
        ],
    )
    def test_recoverable_comes_from_the_table_of_codes(self, drive, code, recoverable):
        core = drive()
        core.server("error", error={"code": code, "message": "m"})
        assert [(e.code, e.recoverable) for e in core.seen if e.kind == "error"] == [(code, recoverable)]

    def test_a_failed_response_is_an_error_and_a_failed_turn(self, drive):
        core = drive()
        core.begin()
        details = {"type": "failed", "error": {"code": "rate_limit_exceeded", "message": "slow down"}}
        core.done(status="failed", status_details=details)
        assert core.kinds() == ["assistant_turn_started", "error", "rate_limited", "assistant_turn_completed"]
        assert (core.seen[1].code, core.seen[3].status) == ("rate_limit_exceeded", "failed")

    def test_a_failure_that_quotes_a_key_is_told_without_it(self, drive):
        said = "Incorrect API key provided: 0123456789abcdef."
        error = {"code": "invalid_api_key", "message": said}
        core = drive()
        core.begin()
        core.done(status="failed", status_details={"type": "failed", "error": error})
        core.server("error", error=error)
        core.server("conversation.item.input_audio_transcription.failed", item_id="u1", error=error)
        told = [getattr(e, "message", None) or getattr(e, "error", None) for e in core.seen]
        assert [text for text in told if text] == ["Incorrect API key provided: [hidden]"] * 3

    @pytest.mark.parametrize(
        ("remaining", "seen"), [(99, []), (10, []), (9, ["rate_limited"]), (0, ["rate_limited"])]
    )
    def test_rate_limited_only_below_a_tenth(self, drive, remaining, seen):
        core = drive()
        limits = [
            {"name": "requests", "limit": 100, "remaining": 100, "reset_seconds": 1},
            {"name": "tokens", "limit": 100, "remaining": remaining, "reset_seconds": 2.5},
        ]
        core.server("rate_limits.updated", rate_limits=limits)
        assert core.kinds() == seen
        if seen:
            assert core.seen[0].reset_ms == 2500

    def test_update_instructions_is_answered_by_the_provider(self, drive):
        core = drive(instructions="old")
        token = core.say(UpdateInstructions("new"))
        assert core.wire[0]["session"] == {"type": "realtime", "instructions": "new"}
        assert core.resolved[core.say(GetInstructions())] == "old"
        core.server("session.updated", session={"id": "s", "instructions": "new"})
        assert token in core.resolved
        assert core.resolved[core.say(GetInstructions())] == "new"
        assert [e.instructions for e in core.seen] == ["new"]

    def test_a_refused_update_fails_its_caller_alone(self, drive):
        core = drive(instructions="old")
        token = core.say(UpdateInstructions("new"))
        core.refuse(core.wire[0]["event_id"], "invalid_value", param="session.instructions")
        error = core.rejected[token]
        assert isinstance(error, ServerError)
        assert (error.code, error.param) == ("invalid_value", "session.instructions")
        assert core.seen == []
        assert core.resolved[core.say(GetInstructions())] == "old"

    def test_an_update_that_is_never_answered_times_out(self, drive):
        core = drive()
        token = core.say(UpdateInstructions("new"))
        core.timer(core.timers()[0])
        assert isinstance(core.rejected[token], CommandTimeout)


class TestStatement13Lifecycle:
    def test_open_needs_created_and_updated(self, drive):
        core = drive(opened=False)
        token = core.say(AwaitOpen())
        core.take(core.core.connected(1, 0.0)[1])
        assert core.types() == ["session.update"]
        assert core.wire[0]["session"]["type"] == "realtime"
        core.server("session.created", session={"id": "sess_9", "model": "m9", "expires_at": 42})
        assert token not in core.resolved
        core.server("session.updated", session={"id": "sess_9"})
        assert core.resolved[token] is True
        opened, updated = core.seen
        assert (opened.kind, opened.server_session_id, opened.model, opened.expires_at) == (
            "session_opened",
            "sess_9",
            "m9",
            42,
        )
        assert (updated.kind, updated.resumed) == ("session_updated", False)

    def test_the_first_connect_is_not_retried(self, drive):
        core = drive(opened=False)
        core.take(core.core.connect_failed(1, Unreachable("no"), 0.0))
        (finish,) = core.of(Finish)
        assert isinstance(finish.error, Unreachable)

    def test_an_error_and_a_close_right_after_the_upgrade_are_one_refusal(self, drive):
        core = drive(opened=False)
        core.take(core.core.connected(1, 0.0)[1])
        core.server(
            "error", error={"code": "invalid_api_key", "message": "bad key", "type": "invalid_request_error"}
        )
        core.take(core.core.line_lost(LineClosed(3000, "invalid_request_error.invalid_api_key"), 0.0))
        error = core.of(Finish)[0].error
        assert isinstance(error, HandshakeRefused)
        assert (error.code, error.close_code, error.recoverable) == ("invalid_api_key", 3000, False)

    def test_an_error_without_a_close_is_a_refusal_too(self, drive):
        core = drive(opened=False)
        core.take(core.core.connected(1, 0.0)[1])
        core.server("error", error={"code": "invalid_model", "message": "no such model"})
        core.timer("refused")
        assert core.of(Finish)[0].error.code == "invalid_model"

    def test_a_rejected_configuration_fails_the_connect(self, drive):
        core = drive(opened=False)
        core.take(core.core.connected(1, 0.0)[1])
        core.refuse(core.wire[0]["event_id"], "invalid_value", param="session.audio.output.voice")
        error = core.of(Finish)[0].error
        assert isinstance(error, ServerError)
        assert (error.code, error.param) == ("invalid_value", "session.audio.output.voice")

    @pytest.mark.parametrize("greeted", [False, True])
    def test_the_deadline_holds_before_and_after_the_upgrade(self, drive, greeted):
        core = drive(opened=False)
        if greeted:
            core.take(core.core.connected(1, 0.0)[1])
        core.timer("open")
        assert isinstance(core.of(Finish)[0].error, ConnectTimeout)

    def test_a_line_that_comes_too_late_is_not_taken(self, drive):
        core = drive(opened=False)
        core.timer("open")
        assert core.core.connected(1, 0.0) == (False, ())


class TestAudioIn:
    def test_a_commit_needs_a_tenth_of_a_second(self, drive):
        core = drive()
        core.say(SendAudio(b"\0" * 4798))
        short = core.say(CommitAudio())
        assert isinstance(core.rejected[short], InvalidCommand)
        assert core.wire == []
        core.say(SendAudio(b"\0\0"))
        core.say(CommitAudio())
        assert core.types() == ["input_audio_buffer.commit", "response.create"]

    @pytest.mark.parametrize(("format", "enough"), [("pcm16", 4800), ("g711_ulaw", 800), ("g711_alaw", 800)])
    def test_a_tenth_of_a_second_is_as_many_bytes_as_the_format_makes_of_it(self, drive, format, enough):
        core = drive(input_audio_format=format)
        core.say(SendAudio(b"\0" * (enough - 1)))
        assert "99 ms" in str(core.rejected[core.say(CommitAudio())])
        core.say(SendAudio(b"\0"))
        assert core.resolved[core.say(CommitAudio())] is None

    def test_under_turn_detection_an_empty_buffer_is_nobody_s_fault_and_sends_nothing(self, drive):
        core = drive(turn_detection="server_vad")
        assert core.resolved[core.say(CommitAudio())] is None
        core.say(SendAudio(b"\0" * 9600))
        core.server("input_audio_buffer.committed", item_id="i")
        assert core.resolved[core.say(CommitAudio())] is None
        assert core.wire == []
        core.say(SendAudio(b"\0" * 9600))
        core.say(CommitAudio())
        assert core.types() == ["input_audio_buffer.commit", "response.create"]

    def test_what_is_appended_behind_a_commit_is_not_taken_off_by_its_confirmation(self, drive):
        core = drive()
        core.say(SendAudio(b"\0" * 9600))
        core.say(CommitAudio())
        core.say(SendAudio(b"\0" * 9600))
        core.server("input_audio_buffer.committed", item_id="i")
        assert core.resolved[core.say(CommitAudio())] is None
        assert core.types().count("input_audio_buffer.commit") == 2

    def test_what_the_line_refused_does_not_count(self, drive):
        core = drive()
        core.say(SendAudio(b"\0" * 9600))
        core.core.audio_refused(9600)
        assert isinstance(core.rejected[core.say(CommitAudio())], InvalidCommand)

    def test_long_audio_goes_in_pieces_with_ids_of_their_own(self, drive):
        core = drive()
        data = bytes(range(256)) * (MAX_APPEND_BYTES // 128)
        token = core.say(SendAudio(data))
        (append,) = core.of(SendAppend)
        assert (append.token, b"".join(piece.audio for piece in append.pieces)) == (token, data)
        assert [len(piece.audio) for piece in append.pieces] == [MAX_APPEND_BYTES] * 2
        assert len({piece.event_id for piece in append.pieces}) == 2

    def test_audio_for_a_lost_line_is_not_for_the_next(self, drive):
        core = drive(opened=False)
        (first,) = core.of(AudioEpoch)
        core.open()
        core.take(core.core.line_lost(LineClosed(1006), 0.0))
        first, second = core.of(AudioEpoch)
        assert first.epoch != second.epoch
        core.timer("retry")
        core.open()
        core.clear()
        assert isinstance(core.rejected[core.say(SendAudio(b"\0\0", first.epoch))], LineDown)
        assert core.of(SendAppend) == []
        core.say(SendAudio(b"\0\0", second.epoch))
        core.say(SendAudio(b"\0\0"))
        assert len(core.of(SendAppend)) == 2

    def test_told_audio_that_found_no_line_is_reported_once(self, drive):
        core = drive()
        core.take(core.core.line_lost(LineClosed(1006), 0.0))
        for _ in range(3):
            core.take(core.core.command(SendAudio(b"\0\0"), None, 0.0))
        core.timer("retry")
        core.open()
        core.clear()
        core.say(SendAudio(b"\0\0"))
        core.say(SendAudio(b"\0\0"))
        assert [(event.code, event.dropped) for event in core.seen] == [("uplink_lagging", 3)]

    def test_audio_into_a_dead_line_is_refused(self, drive):
        core = drive()
        core.take(core.core.line_lost(LineClosed(1006), 0.0))
        assert isinstance(core.rejected[core.say(SendAudio(b"\0\0"))], LineDown)
        assert isinstance(core.rejected[core.say(CommitAudio())], LineDown)


def test_a_reply_can_be_asked_for_without_a_word(drive):
    core = drive()
    core.say(CreateResponse())
    assert core.types() == ["response.create"]


def test_a_garbled_frame_is_one_recoverable_error(drive):
    from trunkline.gateway.errors import ProtocolError

    core = drive()
    core.take(core.core.garbled(ProtocolError("invalid_json", None, "bad"), 0.0))
    assert [(type(e), e.code, e.recoverable) for e in core.seen] == [(Error, "invalid_json", True)]


class TestInstructionUpdates:
    def test_a_late_answer_is_not_taken_for_the_next_one_s(self, drive):
        core = drive(instructions="old")
        core.say(UpdateInstructions("one"))
        core.timer(core.timers()[0])
        second = core.say(UpdateInstructions("two"))
        core.server("session.updated", session={"id": "s", "instructions": "one"})
        assert second not in core.resolved
        core.server("session.updated", session={"id": "s", "instructions": "two"})
        assert second in core.resolved

    def test_a_provider_that_repeats_nothing_answers_in_order(self, drive):
        core = drive(instructions="old")
        tokens = [core.say(UpdateInstructions(text)) for text in ("one", "two")]
        core.server("session.updated", session={"id": "s"})
        assert (tokens[0] in core.resolved, tokens[1] in core.resolved) == (True, False)
        assert core.resolved[core.say(GetInstructions())] == "one"

    def test_what_timed_out_is_not_sent_again_on_a_new_line(self, drive):
        core = drive()
        core.say(UpdateInstructions("one"))
        core.timer(core.timers()[0])
        core.take(core.core.line_lost(LineClosed(1006), 0.0))
        core.timer("retry")
        core.wire.clear()
        core.open()
        assert core.types() == ["session.update"]
