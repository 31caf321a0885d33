"""The line's decisions: how long it is tried, what its end means, and what another incarnation tells of a crash."""

from __future__ import annotations

import pytest

from trunkline.actors.commands import SendText
from trunkline.actors.effects import Finish, OpenLine, StartTimer
from trunkline.actors.events import (
    AssistantTranscript,
    AssistantTurnCompleted,
    AssistantTurnStarted,
    Interrupted,
    SessionClosed,
    ToolCallFailed,
    ToolCallStarted,
)
from trunkline.actors.line_state import LONGEST_OUTAGE_S, MOST_ATTEMPTS, LineState
from trunkline.actors.open_turns import OpenTurns, recollect
from trunkline.actors.session_log import ItemRecorded, MemorySessionLog, ReplyAsked
from trunkline.gateway.errors import HandshakeRefused, LineClosed, Unreachable
from trunkline.gateway.items import assistant_text


def lose(core, code=1006, reason="gone"):
    core.take(core.core.line_lost(LineClosed(code, reason), core.now))


def retries(core):
    return [effect for effect in core.of(StartTimer) if effect.key == "retry"]


def fail(core, error=None):
    core.take(core.core.connect_failed(core.of(OpenLine)[-1].attempt, error or Unreachable("no"), core.now))


class TestStatement08Backoff:
    def test_it_doubles_up_to_eight_seconds_with_full_jitter(self, drive):
        core = drive()
        lose(core)
        for _ in range(6):
            core.timer("retry")
            fail(core)
        assert [(one.delay_s, one.jitter) for one in retries(core)] == [
            (0.5, True),
            (1.0, True),
            (2.0, True),
            (4.0, True),
            (8.0, True),
            (8.0, True),
            (8.0, True),
        ]

    def test_ten_attempts_and_no_more(self, drive):
        core = drive()
        lose(core)
        for _ in range(MOST_ATTEMPTS):
            assert not core.of(Finish)
            core.timer("retry")
            fail(core)
        assert [effect.reason for effect in core.of(Finish)] == ["error"]
        assert len(core.of(OpenLine)) == MOST_ATTEMPTS
        assert [e.recoverable for e in core.seen if e.kind == "error"] == [True, False]

    def test_two_minutes_without_a_line_and_no_more(self, drive):
        core = drive()
        lose(core)
        core.timer("retry")
        core.now += LONGEST_OUTAGE_S + 1
        fail(core)
        assert core.of(Finish)

    def test_a_line_that_serves_a_silent_session_is_no_outage(self, drive):
        core = drive()
        lose(core)
        core.timer("retry")
        core.open()
        core.now += 10 * LONGEST_OUTAGE_S
        lose(core)
        assert not core.of(Finish)
        assert retries(core)[-1].delay_s == 1.0, "nothing was said, so the failure before still counts"

    def test_the_first_word_of_the_conversation_renews_the_budget(self, drive):
        core = drive()
        lose(core)
        core.timer("retry")
        core.open()
        core.server("error", error={"code": "whatever", "message": "no"})
        lose(core)
        assert retries(core)[-1].delay_s == 1.0
        core.timer("retry")
        core.open()
        core.begin("r1")
        lose(core)
        assert retries(core)[-1].delay_s == 0.5

    def test_a_server_that_asks_to_wait_is_left_alone(self, drive):
        core = drive()
        lose(core)
        core.timer("retry")
        fail(core, HandshakeRefused("slow down", status=429, retry_after_s=30))
        assert retries(core)[-1].at_least_s == 30

    def test_one_that_asks_for_longer_than_anybody_waits_is_given_up(self, drive):
        core = drive()
        lose(core)
        core.timer("retry")
        fail(core, HandshakeRefused("slow down", status=429, retry_after_s=3600))
        assert core.of(Finish)


class TestStatement08Causes:
    def test_an_error_long_ago_is_not_the_cause_of_a_loss(self, drive):
        core = drive()
        core.server("error", error={"code": "insufficient_quota", "message": "used up"})
        core.now += 3600
        lose(core)
        assert retries(core)

    def test_an_error_just_before_is(self, drive):
        core = drive()
        core.server("error", error={"code": "insufficient_quota", "message": "used up"})
        lose(core, 1011)
        assert [effect.code for effect in core.of(Finish)] == ["insufficient_quota"]
        assert [event.code for event in core.seen if event.kind == "error"] == ["insufficient_quota"]

    def test_an_error_that_did_not_sound_final_is_told_anew_when_it_is(self, drive):
        core = drive()
        core.server("error", error={"code": "session_expired", "message": "over"})
        lose(core, 4000)
        errors = [(event.code, event.recoverable) for event in core.seen if event.kind == "error"]
        assert errors == [("session_expired", True), ("session_expired", False)]
        assert core.of(Finish)

    def test_an_expired_session_is_left_even_if_nobody_closes_it(self, drive):
        core = drive()
        core.server("error", error={"code": "session_expired", "message": "over"})
        core.timer("refused")
        assert retries(core)
        assert not core.of(Finish)

    @pytest.mark.parametrize("code", [3000, 4000, 1008])
    def test_a_fatal_close_stays_fatal_whatever_was_said_before(self, drive, code):
        core = drive()
        lose(core)
        core.timer("retry")
        _, effects = core.core.connected(core.of(OpenLine)[-1].attempt, core.now)
        core.take(effects)
        core.server("error", error={"code": "server_error", "message": "sorry"})
        lose(core, code)
        assert core.of(Finish)


class TestWhatIsToldAgain:
    def test_the_server_s_echo_neither_doubles_nor_moves_an_item(self, drive):
        core = drive()
        core.say(SendText("one"))
        core.begin("r1")
        core.done("r1")
        core.say(SendText("two"))
        before = [item.item_id for item in core.core._conversation.history()]
        lose(core)
        core.clear()
        core.timer("retry")
        core.open()
        told = [frame["item"] for frame in core.wire if frame["type"] == "conversation.item.create"]
        for item in told:
            core.server("conversation.item.added", item=item, previous_item_id="somewhere")
            core.server(
                "conversation.item.done", item={**item, "status": "completed"}, previous_item_id="root"
            )
        assert [item.item_id for item in core.core._conversation.history()] == before
        assert core.types().count("response.create") == 1

    def test_what_was_spoken_and_not_understood_is_not_asked_about(self, drive):
        core = drive(turn_detection="server_vad")
        core.server("input_audio_buffer.committed", item_id="u1")
        lose(core)
        core.clear()
        core.timer("retry")
        core.open()
        assert core.types() == ["session.update"]

    def test_what_was_spoken_and_understood_is(self, drive):
        core = drive(turn_detection="server_vad", input_audio_transcription=True)
        core.server("input_audio_buffer.committed", item_id="u1")
        spoken = {"type": "message", "id": "u1", "role": "user", "content": [{"type": "input_audio"}]}
        core.server("conversation.item.added", item=spoken)
        core.server(
            "conversation.item.input_audio_transcription.completed",
            item_id="u1",
            content_index=0,
            transcript="hello",
        )
        lose(core)
        core.clear()
        core.timer("retry")
        core.open()
        assert core.types() == ["session.update", "conversation.item.create", "response.create"]


class TestOpenTurns:
    def test_a_crash_ends_what_was_begun_and_nothing_else(self):
        turns = OpenTurns()
        for event in (
            AssistantTurnStarted("over"),
            AssistantTurnCompleted("over", "completed"),
            AssistantTurnStarted("open"),
            AssistantTurnStarted("cut"),
            Interrupted("cut", "manual"),
            Interrupted("played", "manual"),
        ):
            turns.note(event)
        assert turns.crashed({}) == [
            Interrupted("open", "error"),
            AssistantTurnCompleted("open", "failed"),
            AssistantTurnCompleted("cut", "cancelled"),
        ]
        for event in turns.crashed({}):
            turns.note(event)
        assert turns.crashed({}) == [], "once they are told"

    @pytest.mark.parametrize("reason", ["client", "server", "error"])
    def test_the_end_of_the_session_ends_what_was_begun_as_it_ends_itself(self, reason):
        turns = OpenTurns()
        call = ToolCallStarted("open", "c", "look", "i")
        over = ToolCallStarted("open", "d", "look", "j")
        for event in (
            AssistantTurnStarted("open"),
            call,
            over,
            ToolCallFailed("open", "d", "look", "no", "crashed"),
            AssistantTurnStarted("cut"),
            Interrupted("cut", "manual"),
        ):
            turns.note(event)
        failed, *ended = turns.closed(SessionClosed(reason))
        assert (failed.kind, failed.call_id, failed.code) == ("tool_call_failed", "c", "cancelled")
        how = AssistantTurnCompleted("open", "cancelled" if reason == "client" else "failed")
        interrupted = [] if reason == "client" else [Interrupted("open", "error")]
        assert ended == [*interrupted, how, AssistantTurnCompleted("cut", "cancelled")]

    def test_half_an_answer_is_forgotten_and_one_that_was_cut_off_is_what_was_heard(self):
        turns, log = OpenTurns(), MemorySessionLog()
        for turn_id in ("open", "cut"):
            turns.note(AssistantTurnStarted(turn_id))
            turns.note(AssistantTranscript(turn_id, "one two", f"i_{turn_id}"))
            log.append(ItemRecorded(assistant_text("one two", item_id=f"i_{turn_id}")))
        turns.note(Interrupted("cut", "manual", 400))
        log.append(ReplyAsked("u2"))
        assert recollect(log, turns, with_tools=True).history.ids() == ["i_cut"]


def test_a_number_is_given_once():
    lines = LineState(1.0)
    lines.open(0.0)
    assert (lines.number, lines.take_number(), lines.number) == (1, 2, 1)
    lines.open(1.0)
    assert lines.number == 3
