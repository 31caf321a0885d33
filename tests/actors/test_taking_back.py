"""Statements 5, 6 and 15 at the core: what was not heard is taken back from the model, and what was said is remembered."""

from __future__ import annotations

import base64

import pytest

from trunkline.actors.commands import GetHistory, GetUsage, Interrupt, ReportPlayback, SendText
from trunkline.actors.errors import InvalidCommand
from trunkline.gateway.errors import LineClosed
from trunkline.gateway.turn_detection import ServerVad

SPEECH = {"modalities": ["audio"], "turn_detection": "server_vad"}


def speak(core, ms, *, words="one two three four", item="i1", response="r1"):
    """The model speaks: so many milliseconds of 24 kHz PCM16, and the words to them."""
    where = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
    core.server("response.output_audio_transcript.delta", delta=words, **where)
    core.server("response.output_audio.delta", delta=base64.b64encode(bytes(48 * ms)).decode(), **where)


def spoken(item="i1", status="completed", words="one two three four"):
    content = [{"type": "output_audio", "transcript": words}]
    return {"id": item, "type": "message", "role": "assistant", "status": status, "content": content}


def history(core):
    return core.resolved[core.say(GetHistory())]


class TestStatement05ManualInterrupt:
    def test_the_response_is_cancelled_and_the_audio_truncated_where_it_was(self, drive):
        core = drive(**SPEECH)
        core.begin("r1")
        speak(core, 2000)
        core.now += 0.7
        core.say(Interrupt())
        cancel, truncate = core.wire
        assert (cancel["type"], cancel["response_id"]) == ("response.cancel", "r1")
        assert truncate["type"] == "conversation.item.truncate"
        assert (truncate["item_id"], truncate["content_index"], truncate["audio_end_ms"]) == ("i1", 0, 700)

    def test_the_subscriber_hears_of_it_once_and_sees_no_more_of_that_turn(self, drive):
        core = drive(**SPEECH)
        core.begin("r1")
        speak(core, 2000)
        core.now += 0.7
        core.clear()
        core.say(Interrupt())
        core.say(Interrupt())
        speak(core, 500)
        core.done("r1", "cancelled")
        assert core.kinds() == ["interrupted", "assistant_turn_completed"]
        assert (core.seen[0].turn_id, core.seen[0].reason, core.seen[0].audio_end_ms) == ("r1", "manual", 700)
        assert core.seen[1].status == "cancelled"
        assert core.types() == ["response.cancel", "conversation.item.truncate"]

    def test_a_final_item_that_was_played_to_its_end_is_left_as_it_is(self, drive):
        core = drive(**SPEECH)
        core.begin("r1")
        speak(core, 400)
        core.server("response.output_item.done", response_id="r1", output_index=0, item=spoken())
        core.now += 0.4
        speak(core, 2000, item="i2")
        core.now += 0.7
        core.say(Interrupt())
        truncated = [(one["item_id"], one["audio_end_ms"]) for one in core.wire[1:]]
        assert truncated == [("i2", 700)]
        assert [e.audio_end_ms for e in core.seen if e.kind == "interrupted"] == [700]

    def test_an_item_of_which_nothing_was_played_is_deleted(self, drive):
        core = drive(**SPEECH)
        core.begin("r1")
        speak(core, 2000)
        core.say(Interrupt())
        assert core.types() == ["response.cancel", "conversation.item.delete"]
        assert core.wire[1]["item_id"] == "i1"
        core.server("conversation.item.done", item=spoken(status="incomplete"))
        core.done("r1", "cancelled")
        assert history(core) == []

    def test_nothing_is_truncated_beyond_what_was_received(self, drive):
        core = drive(**SPEECH)
        core.begin("r1")
        speak(core, 300)
        core.now += 60.0
        core.say(Interrupt())
        assert core.wire[1]["audio_end_ms"] == 300

    def test_a_text_is_cancelled_and_nothing_is_truncated(self, drive):
        core = drive()
        core.begin("r1")
        core.text("hello")
        core.say(Interrupt())
        assert core.types() == ["response.cancel"]

    def test_a_response_that_is_done_but_still_playing_is_truncated_and_not_cancelled(self, drive):
        core = drive(**SPEECH)
        core.begin("r1")
        speak(core, 2000)
        core.server("conversation.item.done", item=spoken())
        core.done("r1")
        core.now += 1.0
        core.clear()
        core.say(Interrupt())
        assert core.types() == ["conversation.item.truncate"]
        assert core.wire[0]["audio_end_ms"] == 1000
        assert core.kinds() == ["interrupted"]
        assert [(item.text, item.truncated) for item in history(core)] == [("one two", True)]

    def test_a_response_that_was_played_to_its_end_is_left_alone(self, drive):
        core = drive(**SPEECH)
        core.begin("r1")
        speak(core, 500)
        core.done("r1")
        core.now += 0.6
        core.clear()
        core.say(Interrupt())
        assert (core.types(), core.kinds()) == ([], [])

    def test_two_items_of_a_response_are_taken_back_each_as_far_as_it_was_not_heard(self, drive):
        core = drive(**SPEECH)
        core.begin("r1")
        speak(core, 1000, item="i1")
        speak(core, 1000, item="i2")
        core.now += 0.4
        core.say(Interrupt())
        assert [(f["type"], f.get("item_id"), f.get("audio_end_ms")) for f in core.wire[1:]] == [
            ("conversation.item.truncate", "i1", 400),
            ("conversation.item.delete", "i2", None),
        ]

    def test_what_the_application_reports_counts_and_not_the_clock(self, drive):
        core = drive(**SPEECH)
        core.begin("r1")
        speak(core, 2000)
        core.say(ReportPlayback("i1", 250.0))
        core.now += 1.5
        core.say(Interrupt())
        assert core.wire[1]["audio_end_ms"] == 250

    def test_an_out_of_band_response_is_no_part_of_the_conversation_and_not_truncated(self, drive):
        core = drive(**SPEECH)
        core.begin("r1")
        core.done("r1")
        core.begin("oob", conversation_id=None)
        speak(core, 1000, response="oob")
        core.now += 0.5
        core.clear()
        core.say(Interrupt())
        assert "conversation.item.truncate" not in core.types()

    @pytest.mark.parametrize("played_s", [0.0, 0.5])
    def test_an_item_that_was_deleted_while_it_played_is_not_taken_back(self, drive, played_s):
        core = drive(**SPEECH)
        core.begin("r1")
        speak(core, 2000)
        core.server("conversation.item.done", item=spoken())
        core.done("r1")
        core.server("conversation.item.deleted", item_id="i1")
        core.now += played_s
        core.clear()
        core.say(Interrupt())
        assert core.types() == []

    @pytest.mark.parametrize("played_ms", [-1.0, float("nan"), float("inf"), "7", True, None])
    def test_a_report_that_makes_no_sense_fails_in_the_caller(self, played_ms):
        with pytest.raises(InvalidCommand, match="milliseconds"):
            ReportPlayback("i1", played_ms)


class TestStatement06ServerBargeIn:
    def test_the_server_cancels_and_we_truncate(self, drive):
        core = drive(**SPEECH)
        core.begin("r1")
        speak(core, 2000)
        core.now += 0.5
        core.clear()
        core.server("input_audio_buffer.speech_started", audio_start_ms=10, item_id="u1")
        assert core.types() == ["conversation.item.truncate"]
        assert core.kinds() == ["user_speech_started", "interrupted"]
        assert (core.seen[1].reason, core.seen[1].audio_end_ms) == ("barge_in", 500)

    def test_a_user_who_speaks_into_the_tail_of_an_answer_has_not_heard_it(self, drive):
        core = drive(**SPEECH)
        core.begin("r1")
        speak(core, 2000)
        core.done("r1")
        core.now += 0.5
        core.clear()
        core.server("input_audio_buffer.speech_started", audio_start_ms=10, item_id="u1")
        assert core.types() == ["conversation.item.truncate"]
        assert core.kinds() == ["user_speech_started", "interrupted"]

    def test_without_interrupt_response_the_turn_runs_on(self, drive):
        core = drive(modalities=["audio"], turn_detection=ServerVad(interrupt_response=False))
        core.begin("r1")
        speak(core, 2000)
        core.clear()
        core.server("input_audio_buffer.speech_started", audio_start_ms=10, item_id="u1")
        assert (core.types(), core.kinds()) == ([], ["user_speech_started"])


class TestStatement15HistoryTranscriptsUsage:
    def test_user_speech_is_in_its_place_although_its_transcript_comes_late(self, drive):
        core = drive(**SPEECH)
        audio = {"id": "u1", "type": "message", "role": "user", "status": "completed"}
        core.server("conversation.item.added", item={**audio, "content": [{"type": "input_audio"}]})
        core.begin("r1")
        core.server("conversation.item.done", item=spoken(), previous_item_id="u1")
        core.done("r1")
        core.server(
            "conversation.item.input_audio_transcription.completed",
            item_id="u1",
            content_index=0,
            transcript="hi",
            usage={"type": "tokens", "total_tokens": 3, "input_tokens": 2, "output_tokens": 1},
        )
        assert [(item.role, item.text) for item in history(core)] == [
            ("user", "hi"),
            ("assistant", "one two three four"),
        ]
        assert core.resolved[core.say(GetUsage())].transcription.total_tokens == 3

    def test_the_provider_s_order_wins_over_ours(self, drive):
        core = drive()
        core.say(SendText("first"))
        core.say(SendText("second"))
        first, second = (f["item"] for f in core.wire if f["type"] == "conversation.item.create")
        core.server("conversation.item.added", item=first, previous_item_id=second["id"])
        assert [item.text for item in history(core)] == ["second", "first"]

    def test_a_transcription_that_fails_closes_what_there_was_of_it(self, drive):
        core = drive(**SPEECH)
        where = {"item_id": "u1", "content_index": 0}
        core.server("conversation.item.input_audio_transcription.delta", delta="hel", **where)
        core.clear()
        error = {"code": "audio_unintelligible", "message": "unintelligible"}
        core.server("conversation.item.input_audio_transcription.failed", error=error, **where)
        assert [(e.kind, e.text, e.error) for e in core.seen] == [
            ("user_transcript", "hel", "unintelligible")
        ]

    def test_the_cost_of_every_response_counts_whatever_became_of_it(self, drive):
        core = drive()
        for number, status in enumerate(("completed", "cancelled", "failed", "incomplete")):
            core.begin(f"r{number}")
            details = {"text_tokens": 6, "cached_tokens": 2, "cached_tokens_details": {"text_tokens": 2}}
            usage = {
                "total_tokens": 10,
                "input_tokens": 6,
                "output_tokens": 4,
                "input_token_details": details,
            }
            core.done(f"r{number}", status, usage=usage)
        used = core.resolved[core.say(GetUsage())]
        assert (used.n_responses, used.tokens.total_tokens) == (4, 40)
        assert used.tokens.input_token_details.cached_tokens_details.text_tokens == 8

    def test_the_next_incarnation_has_the_same_history_and_the_same_cost(self, drive):
        core = drive(**SPEECH)
        core.say(SendText("hi"))
        core.begin("r1")
        speak(core, 2000)
        core.now += 0.5
        core.say(Interrupt())
        core.server("conversation.item.done", item=spoken(status="incomplete"))
        core.done("r1", "cancelled", usage={"total_tokens": 10})
        next_one = drive(log=core.log, restarts=1, **SPEECH)
        assert history(next_one) == history(core)
        assert next_one.resolved[next_one.say(GetUsage())] == core.resolved[core.say(GetUsage())]

    def test_a_deleted_item_is_gone_from_the_history(self, drive):
        core = drive()
        core.say(SendText("hi"))
        core.server("conversation.item.deleted", item_id=core.wire[0]["item"]["id"])
        assert history(core) == []

    def test_the_items_of_a_response_that_came_too_late_are_deleted(self, drive):
        core = drive()
        core.say(SendText("hi"))
        core.timer("reply")
        core.begin("late")
        item = spoken("i9", "in_progress")
        core.server("response.output_item.added", response_id="late", output_index=0, item=item)
        core.clear()
        core.done("late", "cancelled")
        assert [(f["type"], f["item_id"]) for f in core.wire] == [("conversation.item.delete", "i9")]


class TestStatement08Reconnect:
    def lose(self, core):
        core.clear()
        core.take(core.core.line_lost(LineClosed(1006, "gone"), core.now))
        core.timer("retry")
        core.open()

    def test_a_new_line_hears_what_was_heard(self, drive):
        core = drive(**SPEECH)
        core.say(SendText("hi"))
        core.begin("r1")
        speak(core, 2000)
        core.now += 1.0
        core.say(Interrupt())
        core.server("conversation.item.done", item=spoken(status="incomplete"))
        core.done("r1", "cancelled")
        self.lose(core)
        told = [
            frame["item"]["content"][0]["text"]
            for frame in core.wire
            if frame["type"] == "conversation.item.create"
        ]
        assert told == ["hi", "one two"]

    def half_heard(self, core, reason):
        """The user cuts an answer off after a second; no event of the provider has told yet what it came to."""
        core.say(SendText("hi"))
        core.begin("r1")
        item = {"id": "i1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        before = core.wire[0]["item"]["id"]
        core.server("response.output_item.added", response_id="r1", output_index=0, item=item)
        core.server("conversation.item.added", item=item, previous_item_id=before)
        speak(core, 2000)
        core.now += 1.0
        if reason == "manual":
            core.say(Interrupt())
        else:
            core.server("input_audio_buffer.speech_started", audio_start_ms=10, item_id="u1")

    def told(self, core):
        items = [f["item"] for f in core.wire if f["type"] == "conversation.item.create"]
        return [(item["role"], item["content"][0]["text"]) for item in items]

    @pytest.mark.parametrize("reason", ["manual", "barge_in"])
    def test_so_it_does_when_the_old_line_is_lost_before_it_could_say_what_was_cut_off(self, drive, reason):
        core = drive(**SPEECH)
        self.half_heard(core, reason)
        core.say(SendText("and now?"))
        self.lose(core)
        assert self.told(core) == [("user", "hi"), ("assistant", "one two"), ("user", "and now?")]
        assert core.types().count("response.create") == 1
        cut = history(core)[1]
        assert (cut.item_id, cut.text, cut.truncated, cut.audio_end_ms) == ("i1", "one two", True, 1000)
        assert cut.status == "incomplete"

    def test_and_when_the_session_crashes_before(self, drive):
        core = drive(**SPEECH)
        self.half_heard(core, "manual")
        core.say(SendText("and now?"))
        next_one = drive(log=core.log, restarts=1, opened=False, **SPEECH)
        next_one.open()
        assert history(next_one) == history(core)
        assert self.told(next_one) == [("user", "hi"), ("assistant", "one two"), ("user", "and now?")]

    def test_what_the_provider_then_says_of_it_changes_neither_its_place_nor_its_words(self, drive):
        core = drive(**SPEECH)
        self.half_heard(core, "manual")
        core.say(SendText("and now?"))
        heard = history(core)
        assert [item.text for item in heard] == ["hi", "one two", "and now?"]
        core.server("conversation.item.done", item=spoken(status="incomplete"))
        core.server("conversation.item.truncated", item_id="i1", content_index=0, audio_end_ms=1000)
        core.done("r1", "cancelled", output=[spoken(status="incomplete")])
        assert history(core) == heard

    def test_of_what_was_cut_off_before_it_was_heard_no_line_hears(self, drive):
        core = drive(**SPEECH)
        core.say(SendText("hi"))
        core.begin("r1")
        speak(core, 2000)
        core.say(Interrupt())
        self.lose(core)
        assert self.told(core) == [("user", "hi")]

    def say_all(self, core):
        """A response says a whole message, and its line is lost before it is over."""
        core.say(SendText("hi"))
        core.begin("r1")
        item = spoken()
        core.server("response.output_item.added", response_id="r1", output_index=0, item=item)
        core.server("conversation.item.done", item=item)
        core.server(
            "response.output_audio_transcript.done", response_id="r1", item_id=item["id"], transcript="a"
        )
        core.seen.clear()
        self.lose(core)

    def test_with_tools_words_need_not_be_all_and_the_answer_is_given_anew(self, drive):
        core = drive()
        self.say_all(core)
        assert [e.kind for e in core.seen if "turn" in e.kind or e.kind == "interrupted"] == [
            "interrupted",
            "assistant_turn_completed",
        ]
        assert core.types().count("response.create") == 1
        assert len([t for t in core.types() if t == "conversation.item.create"]) == 1

    def test_who_was_answered_before_the_turn_was_over_is_not_answered_again(self, drive):
        core = drive(tools=[])
        self.say_all(core)
        ended = [e for e in core.seen if e.kind in ("interrupted", "assistant_turn_completed")]
        assert [(e.kind, e.status) for e in ended] == [("assistant_turn_completed", "completed")]
        assert "response.create" not in core.types()
        assert len([t for t in core.types() if t == "conversation.item.create"]) == 2

    def test_who_was_not_answered_is(self, drive):
        core = drive()
        core.say(SendText("hi"))
        core.begin("r1")
        core.text("hel")
        self.lose(core)
        assert core.types().count("response.create") == 1

    def test_transcripts_in_the_making_are_closed(self, drive):
        core = drive(**SPEECH)
        core.server(
            "conversation.item.input_audio_transcription.delta", item_id="u1", content_index=0, delta="hel"
        )
        self.lose(core)
        assert [(e.text, e.error) for e in core.seen if e.kind == "user_transcript"] == [
            ("hel", "the line was lost")
        ]
