"""A line gets a successor before it expires, and the session moves when nothing is lost by it: the decisions, without a socket."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from trunkline.actors.commands import (
    ClearAudio,
    CommitAudio,
    DeleteItem,
    Interrupt,
    SendAudio,
    SendText,
    Update,
)
from trunkline.actors.effects import (
    DropLine,
    Finish,
    LeaveLine,
    OpenLine,
    Send,
    SendAppend,
    SendToNext,
    StartTimer,
    StopTimer,
    SwitchLine,
)
from trunkline.gateway.client_events import SessionUpdate
from trunkline.gateway.codec import decode_server_event
from trunkline.gateway.errors import HandshakeRefused, LineClosed, Unreachable

PIECE = bytes(48 * 200)
SOUND = (np.sin(np.arange(4800) / 5) * 8000).astype("<i2").tobytes()


def open_with(drive, *, expires_at=1000.0, **config):
    core = drive(opened=False, **{"rollover_margin_s": 100, **config})
    core.open(expires_at=expires_at)
    return core


def delays(core):
    return {effect.key: effect.delay_s for effect in core.of(StartTimer)}


def heard(core, type, **fields):
    frame = decode_server_event(json.dumps({"type": type, "event_id": "e", **fields}).encode())
    core.take(core.core.receive_next(frame, core.now))


def successor(core):
    """The successor is opened, unless it is already, and greeted; returns the number of its attempt."""
    core.timer("rollover")
    attempt = core.of(OpenLine)[-1].attempt
    core.clear()
    taken, effects = core.core.connected(attempt, core.now)
    assert taken
    core.take(effects)
    heard(core, "session.created", session={"id": "sess_2", "model": "m", "expires_at": 2000})
    heard(core, "session.updated", session={"id": "sess_2"})
    return attempt


class TestWhen:
    def test_it_is_due_a_margin_before_the_end_and_overdue_half_a_margin_later(self, drive):
        core = open_with(drive)
        assert (delays(core)["rollover"], delays(core)["rollover_limit"]) == (900, 950)

    @pytest.mark.parametrize("margin", [None, 0])
    def test_it_can_be_turned_off(self, drive, margin):
        assert "rollover" not in delays(open_with(drive, rollover_margin_s=margin))

    @pytest.mark.parametrize("expires_at", [None, -5.0])
    def test_where_the_provider_does_not_say_there_is_a_longest_age(self, drive, expires_at):
        core = open_with(drive, expires_at=expires_at, session_max_age_s=500)
        assert delays(core)["rollover"] == 400

    def test_no_line_gets_older_than_the_longest_age_whatever_the_clocks_say(self, drive):
        assert delays(open_with(drive, expires_at=4000.0))["rollover"] == 3500
        assert delays(open_with(drive, expires_at=4000.0, session_max_age_s=None))["rollover"] == 3900

    def test_where_nobody_knows_the_line_serves_on(self, drive):
        assert "rollover" not in delays(open_with(drive, expires_at=None, session_max_age_s=None))

    def test_a_short_life_is_not_all_margin(self, drive):
        core = open_with(drive, expires_at=10.0)
        assert (delays(core)["rollover"], delays(core)["rollover_limit"]) == (5, 7.5)


class TestTheMove:
    def test_an_idle_session_moves_at_once_and_closes_the_old_line_last(self, drive):
        core = open_with(drive)
        core.say(SendText("hi"))
        core.begin("r1")
        core.done("r1")
        successor(core)
        greeting = core.of(SendToNext)
        assert [type(effect.event) for effect in greeting] == [SessionUpdate]
        kinds = [type(effect) for effect in core.effects]
        assert kinds.index(SwitchLine) < kinds.index(Send) < kinds.index(LeaveLine) == len(kinds) - 1
        assert core.types() == ["conversation.item.create"]
        assert [(e.kind, getattr(e, "rolled_over", None)) for e in core.seen] == [
            ("session_opened", None),
            ("session_updated", True),
        ]
        assert core.seen[0].server_session_id == "sess_2"
        assert delays(core)["rollover"] == 1900

    def test_it_waits_for_the_end_of_what_is_being_said(self, drive):
        core = open_with(drive)
        core.say(SendText("hi"))
        successor(core)
        assert not core.of(SwitchLine)
        core.begin("r1")
        core.text("hello")
        assert not core.of(SwitchLine)
        core.done("r1")
        assert len(core.of(SwitchLine)) == 1
        assert "interrupted" not in core.kinds()
        assert core.types().count("response.create") == 0

    def test_it_waits_for_tools_and_the_answer_to_their_outputs(self, drive):
        core = open_with(drive)
        core.say(SendText("hi"))
        core.begin("r1")
        core.call("c1")
        core.done("r1")
        successor(core)
        core.finish("c1")
        assert not core.of(SwitchLine)
        core.begin("r2")
        core.done("r2")
        assert len(core.of(SwitchLine)) == 1

    def test_it_waits_for_the_user_and_for_a_transcript(self, drive):
        core = open_with(drive, turn_detection="server_vad", input_audio_transcription=True)
        core.server("input_audio_buffer.speech_started", audio_start_ms=0, item_id="u1")
        successor(core)
        core.server("input_audio_buffer.speech_stopped", audio_end_ms=500, item_id="u1")
        core.server("input_audio_buffer.committed", item_id="u1")
        spoken = {"type": "message", "id": "u1", "role": "user", "content": [{"type": "input_audio"}]}
        core.server("conversation.item.added", item=spoken)
        core.begin("r1")
        core.done("r1")
        assert not core.of(SwitchLine)
        core.server(
            "conversation.item.input_audio_transcription.completed",
            item_id="u1",
            content_index=0,
            transcript="hello",
        )
        assert len(core.of(SwitchLine)) == 1
        told = [frame["item"] for frame in core.wire if frame["type"] == "conversation.item.create"]
        assert [item["content"][0]["text"] for item in told] == ["hello"]

    def test_it_waits_for_what_the_provider_was_asked(self, drive):
        core = open_with(drive)
        core.say(DeleteItem("a"))
        successor(core)
        assert not core.of(SwitchLine)
        core.server("conversation.item.deleted", item_id="a")
        assert len(core.of(SwitchLine)) == 1

    def test_it_waits_for_audio_that_is_not_committed(self, drive):
        core = open_with(drive)
        core.say(SendAudio(PIECE))
        successor(core)
        assert not core.of(SwitchLine)
        core.say(CommitAudio())
        core.begin("r1")
        core.done("r1")
        assert len(core.of(SwitchLine)) == 1
        core.clear()
        core.say(SendAudio(PIECE))
        assert [type(effect).__name__ for effect in core.effects].count("SendAppend") == 1

    def test_at_the_limit_what_is_not_committed_goes_to_the_new_line_too(self, drive):
        core = open_with(drive)
        core.timer("rollover")
        core.say(SendText("hi"))
        core.say(SendAudio(PIECE))
        core.say(SendAudio(SOUND))
        successor(core)
        core.clear()
        core.timer("rollover_limit")
        kinds = [type(effect) for effect in core.effects]
        assert kinds.index(SwitchLine) < kinds.index(Send) < kinds.index(SendAppend) < kinds.index(LeaveLine)
        (append,) = core.of(SendAppend)
        assert (append.carried, b"".join(piece.audio for piece in append.pieces)) == (True, PIECE + SOUND)
        assert "error" not in core.kinds()
        core.clear()
        core.begin("r1")
        core.done("r1")
        core.say(CommitAudio())
        assert core.types() == ["input_audio_buffer.commit", "response.create"]

    def test_what_the_old_line_refused_is_not_for_the_new_one_either(self, drive):
        core = open_with(drive)
        core.timer("rollover")
        core.say(SendText("hi"))
        core.say(SendAudio(SOUND))
        core.say(SendAudio(PIECE))
        core.core.audio_refused(len(PIECE))
        successor(core)
        core.timer("rollover_limit")
        assert [piece.audio for piece in core.of(SendAppend)[0].pieces] == [SOUND]

    def test_after_a_move_everything_is_as_before_it(self, drive):
        core = open_with(drive)
        core.say(SendText("hi"))
        successor(core)
        core.timer("rollover_limit")
        core.begin("r1")
        core.done("r1")
        core.say(SendAudio(PIECE))
        successor(core)
        assert not core.of(SwitchLine), "the limit was the first line's"
        core.say(SendAudio(SOUND))
        core.clear()
        core.timer("rollover_limit")
        assert [piece.audio for piece in core.of(SendAppend)[0].pieces] == [SOUND]
        assert [event.dropped for event in core.seen if event.kind == "error"] == [1]

    def test_what_was_said_before_the_move_was_near_is_missing_and_reported(self, drive):
        core = open_with(drive)
        core.say(SendAudio(PIECE))
        core.say(SendAudio(PIECE))
        successor(core)
        core.say(SendAudio(SOUND))
        core.clear()
        core.timer("rollover_limit")
        assert [piece.audio for piece in core.of(SendAppend)[0].pieces] == [SOUND]
        (error,) = (event for event in core.seen if event.kind == "error")
        assert (error.code, error.dropped, error.recoverable) == ("uplink_lagging", 2, True)

    @pytest.mark.parametrize("end", [CommitAudio(), ClearAudio()])
    def test_what_is_committed_or_cleared_is_not_for_the_new_line(self, drive, end):
        core = open_with(drive)
        core.timer("rollover")
        core.say(SendText("hi"))
        core.say(SendAudio(SOUND))
        core.say(end)
        successor(core)
        core.clear()
        core.timer("rollover_limit")
        assert len(core.of(SwitchLine)) == 1
        assert core.of(SendAppend) == []

    def test_a_line_that_is_lost_takes_the_audio_with_it(self, drive):
        core = open_with(drive)
        core.timer("rollover")
        core.say(SendText("hi"))
        core.say(SendAudio(SOUND))
        successor(core)
        core.clear()
        core.take(core.core.line_lost(LineClosed(1006, "gone"), core.now))
        assert len(core.of(SwitchLine)) == 1
        assert core.of(SendAppend) == []
        successor(core)
        core.clear()
        core.timer("rollover_limit")
        assert core.of(SendAppend) == []

    def test_speech_that_is_announced_goes_to_the_new_line_from_its_beginning(self, drive):
        core = open_with(drive, turn_detection="server_vad")
        core.timer("rollover")
        for _ in range(20):
            core.say(SendAudio(PIECE))
        core.server("input_audio_buffer.speech_started", audio_start_ms=4000, item_id="u1")
        core.say(SendAudio(SOUND))
        successor(core)
        core.clear()
        core.timer("rollover_limit")
        (append,) = core.of(SendAppend)
        carried = b"".join(piece.audio for piece in append.pieces)
        assert carried == PIECE * 3 + SOUND
        assert "error" not in core.kinds()

    @pytest.mark.parametrize("announced", [True, False])
    def test_nobody_is_answered_while_the_user_still_speaks(self, drive, announced):
        core = open_with(drive, turn_detection="server_vad")
        core.timer("rollover")
        core.server("input_audio_buffer.speech_started", audio_start_ms=0, item_id="u1")
        core.say(SendAudio(SOUND))
        core.say(SendText("hi"))
        successor(core)
        core.timer("rollover_limit")
        assert len(core.of(SwitchLine)) == 1
        assert core.types() == ["conversation.item.create"]
        if announced:
            core.server("conversation.item.added", item=core.wire[0]["item"])
            core.server("input_audio_buffer.speech_started", audio_start_ms=0, item_id="u2")
            core.server("input_audio_buffer.speech_stopped", audio_end_ms=200, item_id="u2")
            core.begin("r1")
            core.done("r1")
            assert core.types() == ["conversation.item.create"], "the provider's own reply answers it all"
        else:
            core.timer("reply")
            assert core.types() == ["conversation.item.create", "response.create"]

    def test_speech_that_goes_on_over_the_new_line_begins_once_for_subscribers(self, drive):
        core = open_with(drive, turn_detection="server_vad")
        core.timer("rollover")
        core.server("input_audio_buffer.speech_started", audio_start_ms=0, item_id="u1")
        assert core.kinds()[-1] == "user_speech_started"
        core.say(SendAudio(SOUND))
        successor(core)
        core.clear()
        core.timer("rollover_limit")
        for item_id in ("u2", "u3"):
            core.server("input_audio_buffer.speech_started", audio_start_ms=0, item_id=item_id)
            core.server("input_audio_buffer.speech_stopped", audio_end_ms=200, item_id=item_id)
        speech = [event for event in core.seen if event.kind.startswith("user_speech")]
        assert [(event.kind, event.item_id) for event in speech] == [
            ("user_speech_stopped", "u2"),
            ("user_speech_started", "u3"),
            ("user_speech_stopped", "u3"),
        ]

    @pytest.mark.parametrize("why", ["not announced", "silent there", "lost"])
    def test_speech_that_does_not_go_on_there_begins_anew(self, drive, why):
        core = open_with(drive, turn_detection="server_vad")
        core.timer("rollover")
        if why != "not announced":
            core.server("input_audio_buffer.speech_started", audio_start_ms=0, item_id="u1")
        core.say(SendAudio(SOUND))
        successor(core)
        if why == "lost":
            core.take(core.core.line_lost(LineClosed(1006, "gone"), core.now))
        else:
            core.timer("rollover_limit")
        if why == "silent there":
            core.timer("reply")
        assert len(core.of(SwitchLine)) == 1
        core.clear()
        core.server("input_audio_buffer.speech_started", audio_start_ms=0, item_id="u2")
        assert core.kinds()[:1] == ["user_speech_started"]

    def test_under_turn_detection_silence_stays_where_it_is(self, drive):
        core = open_with(drive, turn_detection="server_vad")
        core.timer("rollover")
        core.say(SendText("hi"))
        core.say(SendAudio(PIECE))
        successor(core)
        core.clear()
        core.timer("rollover_limit")
        assert len(core.of(SwitchLine)) == 1
        assert core.of(SendAppend) == []

    def test_it_waits_for_the_provider_to_say_whether_sound_that_begins_is_speech(self, drive):
        core = open_with(drive, turn_detection="server_vad")
        core.timer("rollover")
        core.say(SendAudio(PIECE))
        core.now += 0.2
        core.say(SendAudio(SOUND))
        assert delays(core)["sound"] == 1.0
        successor(core)
        assert not core.of(SwitchLine)
        core.now += 0.5
        core.say(SendAudio(PIECE))
        assert not core.of(SwitchLine)
        core.now += 0.5
        core.timer("sound")
        assert len(core.of(SwitchLine)) == 1
        assert not [append for append in core.of(SendAppend) if append.carried]

    def test_sound_that_turns_out_to_be_speech_is_said_to_the_end_first(self, drive):
        core = open_with(drive, turn_detection="server_vad")
        core.timer("rollover")
        core.say(SendAudio(SOUND))
        successor(core)
        core.server("input_audio_buffer.speech_started", audio_start_ms=0, item_id="u1")
        core.now += 2.0
        core.timer("sound")
        assert not core.of(SwitchLine)
        core.server("input_audio_buffer.speech_stopped", audio_end_ms=200, item_id="u1")
        core.server("input_audio_buffer.committed", item_id="u1")
        core.begin("r1")
        core.done("r1")
        assert len(core.of(SwitchLine)) == 1

    def test_at_the_limit_it_waits_no_longer_and_the_user_is_answered_anew(self, drive):
        core = open_with(drive)
        core.say(SendText("hi"))
        core.begin("r1")
        core.text("hel")
        successor(core)
        core.timer("rollover_limit")
        assert len(core.of(SwitchLine)) == 1
        assert [(e.reason) for e in core.seen if e.kind == "interrupted"] == ["error"]
        assert core.types() == ["conversation.item.create", "response.create"]

    def spoken(self, core, item_id):
        """The user has said something that the provider answers, and has not transcribed yet."""
        core.server("input_audio_buffer.committed", item_id=item_id)
        item = {"id": item_id, "type": "message", "role": "user", "status": "completed"}
        core.server("conversation.item.added", item={**item, "content": [{"type": "input_audio"}]})
        core.begin(f"r_{item_id}")
        core.text("hel", response=f"r_{item_id}")

    def transcribed(self, core, item_id, text):
        kind = "conversation.item.input_audio_transcription.completed"
        core.server(kind, item_id=item_id, content_index=0, transcript=text)

    def told(self, core):
        frames = [frame for frame in core.wire if frame["type"] == "conversation.item.create"]
        return [(frame["item"]["id"], frame["item"]["content"][0]["text"]) for frame in frames]

    def test_at_the_limit_it_waits_for_the_words_of_the_user_and_the_new_line_hears_them(self, drive):
        core = open_with(drive, turn_detection="server_vad", input_audio_transcription=True)
        self.spoken(core, "u1")
        successor(core)
        core.timer("rollover_limit")
        assert delays(core)["rollover_words"] == 12.5
        assert not core.of(SwitchLine)
        core.clear()
        self.transcribed(core, "u1", "hi")
        assert len(core.of(SwitchLine)) == 1
        assert self.told(core) == [("u1", "hi")]
        assert core.types() == ["conversation.item.create", "response.create"]
        assert [event.reason for event in core.seen if event.kind == "interrupted"] == ["error"]

    def test_it_waits_for_them_no_longer_than_a_bound_on_each_line_anew(self, drive):
        core = open_with(drive, turn_detection="server_vad", input_audio_transcription=True)
        for number, item_id in enumerate(["u1", "u2"], 1):
            self.spoken(core, item_id)
            successor(core)
            core.timer("rollover_limit")
            assert not core.of(SwitchLine)
            core.timer("rollover_words")
            assert len(core.of(SwitchLine)) == 1, number
            assert self.told(core) == []
            core.timer("rollover_words")  # what is left of the line before says nothing of this one
            core.clear()

    def test_where_nothing_is_transcribed_it_does_not_wait_for_words(self, drive):
        core = open_with(drive, turn_detection="server_vad", input_audio_transcription=False)
        self.spoken(core, "u1")
        successor(core)
        core.timer("rollover_limit")
        assert len(core.of(SwitchLine)) == 1

    def test_a_successor_that_comes_after_the_limit_takes_over_at_once(self, drive):
        core = open_with(drive)
        core.say(SendText("hi"))
        core.timer("rollover_limit")
        assert not core.of(SwitchLine)
        successor(core)
        assert len(core.of(SwitchLine)) == 1

    def test_settings_that_changed_since_the_greeting_are_told_first(self, drive):
        core = open_with(drive)
        core.say(SendText("hi"))
        successor(core)
        core.say(Update({"instructions": "other"}))
        core.clear()
        core.server("session.updated", session={"instructions": "other"})
        assert [effect.event.session["instructions"] for effect in core.of(SendToNext)] == ["other"]
        assert delays(core)["rollover_open"] == 15.0
        core.begin("r1")
        core.done("r1")
        assert not core.of(SwitchLine), "the line that is to follow is another session yet"
        core.clear()
        heard(core, "session.updated", session={"instructions": "other"})
        assert StopTimer("rollover_open") in core.effects
        assert len(core.of(SwitchLine)) == 1
        assert "session.update" not in core.types()

    def test_a_change_that_the_move_overtakes_is_answered_by_its_own_confirmation(self, drive):
        core = open_with(drive)
        core.say(SendText("hi"))
        core.timer("rollover")
        core.core.connected(core.of(OpenLine)[-1].attempt, core.now)
        first = core.say(Update({"instructions": "first"}))
        core.server("session.updated", session={"instructions": "first"})
        assert first in core.resolved
        heard(core, "session.created", session={"id": "sess_2"})
        second = core.say(Update({"speed": 1.2}))
        core.timer("rollover_limit")
        heard(core, "session.updated", session={"instructions": None})
        assert not core.of(SwitchLine), "that is the answer to the greeting before"
        heard(core, "session.updated", session={"instructions": "first"})
        assert len(core.of(SwitchLine)) == 1
        assert second not in core.resolved
        behind = core.effects[core.effects.index(SwitchLine()) :]
        sent = [effect.event for effect in behind if isinstance(effect, Send)]
        assert [event.session for event in sent if isinstance(event, SessionUpdate)] == [
            {"type": "realtime", "audio": {"output": {"speed": 1.2}}}
        ]
        core.server("session.updated", session={"instructions": "first"})
        assert second in core.resolved

    def test_what_was_spoken_before_is_cut_on_the_new_line_without_its_audio(self, drive):
        core = open_with(drive, modalities=["audio"])
        core.say(SendText("hi"))
        core.begin("r1")
        where = {"response_id": "r1", "item_id": "i1", "content_index": 0}
        item = {"type": "message", "id": "i1", "role": "assistant", "status": "completed"}
        core.server(
            "response.output_item.added", response_id="r1", output_index=0, item={**item, "content": []}
        )
        core.server("response.output_audio.delta", delta=base64.b64encode(bytes(96000)).decode(), **where)
        core.server("response.output_audio_transcript.done", transcript="one two three four", **where)
        core.server(
            "conversation.item.done",
            item={**item, "content": [{"type": "output_audio", "transcript": "one two three four"}]},
        )
        core.done("r1")
        successor(core)
        assert core.of(SwitchLine), "what is playing goes on playing"
        core.clear()
        core.now = 1.0
        core.say(Interrupt())
        assert core.types() == ["conversation.item.delete", "conversation.item.create"]
        assert core.wire[1]["item"]["content"][0]["text"] == "one two"
        assert "interrupted" in core.kinds()
        core.server("conversation.item.deleted", item_id="i1")
        assert "i1" in [item.item_id for item in core.core._conversation.history()]


class TestFailures:
    @pytest.mark.parametrize("error", [Unreachable("no"), HandshakeRefused("later", status=503)])
    def test_an_attempt_that_fails_is_made_again_and_nobody_hears_of_it(self, drive, error):
        core = open_with(drive)
        core.clear()
        core.timer("rollover")
        first = core.of(OpenLine)[-1].attempt
        core.take(core.core.connect_failed(first, error, core.now))
        assert core.of(DropLine) == [DropLine(first)]
        assert [effect.jitter for effect in core.of(StartTimer) if effect.key == "rollover"] == [True]
        core.timer("rollover")
        assert core.of(OpenLine)[-1].attempt > first
        assert core.seen == []
        core.say(SendText("hi"))
        assert core.types() == ["conversation.item.create", "response.create"]

    def test_one_that_would_fail_again_is_told_and_not_made_again(self, drive):
        core = open_with(drive)
        core.clear()
        core.timer("rollover")
        core.take(
            core.core.connect_failed(core.of(OpenLine)[-1].attempt, HandshakeRefused("no", status=401), 0.0)
        )
        assert [(e.kind, e.recoverable) for e in core.seen] == [("error", True)]
        assert [effect for effect in core.of(StartTimer) if effect.key == "rollover"] == []

    def test_a_successor_that_is_lost_before_it_serves_is_replaced(self, drive):
        core = open_with(drive)
        core.say(SendText("hi"))
        attempt = successor(core)
        core.clear()
        core.take(core.core.next_line_lost(LineClosed(1006, "gone"), core.now))
        assert core.of(DropLine) == [DropLine(attempt)]
        assert "rollover" in delays(core)
        core.begin("r1")
        core.done("r1")
        assert not core.of(SwitchLine)

    def test_each_attempt_is_confirmed_for_itself(self, drive):
        core = open_with(drive)
        core.say(SendText("hi"))
        successor(core)
        core.say(Update({"instructions": "other"}))
        core.server("session.updated", session={"instructions": "other"})
        core.take(core.core.next_line_lost(LineClosed(1006, "gone"), core.now))
        successor(core)
        core.begin("r1")
        core.done("r1")
        assert len(core.of(SwitchLine)) == 1

    @pytest.mark.parametrize("key", ["rollover", "rollover_limit", "rollover_open"])
    def test_without_a_line_there_is_nothing_to_follow(self, drive, key):
        core = open_with(drive)
        core.take(core.core.line_lost(LineClosed(1006, "gone"), core.now))
        core.clear()
        core.timer(key)
        assert core.effects == []

    def test_that_the_worker_ends_behind_its_line_is_no_failure(self, drive):
        core = open_with(drive)
        core.say(SendText("hi"))
        attempt = successor(core)
        core.take(core.core.connect_failed(attempt, Unreachable("the worker ended"), core.now))
        assert not core.of(DropLine)
        core.begin("r1")
        core.done("r1")
        assert len(core.of(SwitchLine)) == 1

    def test_one_that_does_not_come_in_time_is_given_up(self, drive):
        core = open_with(drive)
        core.timer("rollover")
        core.clear()
        core.timer("rollover_open")
        assert core.of(DropLine)
        assert "rollover" in delays(core)

    def test_a_line_that_is_lost_meanwhile_is_followed_at_once_by_the_one_that_is_ready(self, drive):
        core = open_with(drive)
        core.say(SendText("hi"))
        core.begin("r1")
        core.text("hel")
        successor(core)
        core.clear()
        core.take(core.core.line_lost(LineClosed(1006, "gone"), core.now))
        kinds = [type(effect) for effect in core.effects]
        assert kinds.index(DropLine) < kinds.index(SwitchLine) < kinds.index(Send)
        assert kinds.count(DropLine) == 1
        assert [(e.kind, getattr(e, "code", None)) for e in core.seen] == [
            ("interrupted", None),
            ("assistant_turn_completed", None),
            ("error", "connection_lost"),
            ("session_opened", None),
            ("session_updated", None),
        ]
        assert (core.seen[-1].resumed, core.seen[-1].rolled_over) == (True, False)
        assert core.seen[-2].server_session_id == "sess_2"
        assert core.types() == ["conversation.item.create", "response.create"]
        assert (delays(core).keys(), delays(core)["rollover"]) == (
            {"reply", "rollover", "rollover_limit"},
            1900,
        )
        core.begin("r2")
        core.done("r2")
        assert len(core.of(SwitchLine)) == 1, "it has a successor of its own to wait for"

    def test_one_that_takes_over_and_is_lost_at_once_counts_as_a_failure(self, drive):
        core = open_with(drive)
        core.say(SendText("hi"))
        successor(core)
        for _ in range(2):
            core.clear()
            core.take(core.core.line_lost(LineClosed(1006, "gone"), core.now))
        assert delays(core)["retry"] == 1.0

    def test_a_line_that_is_lost_meanwhile_takes_a_successor_with_it_that_is_not_ready(self, drive):
        core = open_with(drive)
        core.say(SendText("hi"))
        core.timer("rollover")
        attempt = core.of(OpenLine)[-1].attempt
        core.core.connected(attempt, core.now)
        core.clear()
        core.take(core.core.line_lost(LineClosed(1006, "gone"), core.now))
        assert DropLine(attempt) in core.effects
        assert {effect.key for effect in core.of(StopTimer)} >= {"rollover", "rollover_limit"}
        core.timer("retry")
        core.open(expires_at=3000)
        assert core.types().count("response.create") == 1
        core.begin("r1")
        core.done("r1")
        assert not core.of(SwitchLine)

    @pytest.mark.parametrize(("code", "reason"), [(4000, "server"), (1000, "server"), (1008, "error")])
    def test_an_end_that_is_fatal_ends_the_session_whatever_line_is_ready(self, drive, code, reason):
        core = open_with(drive)
        core.say(SendText("hi"))
        attempt = successor(core)
        core.clear()
        core.take(core.core.line_lost(LineClosed(code, "no more"), core.now))
        assert core.of(Finish), reason
        assert DropLine(attempt) in core.effects
        assert not core.of(SwitchLine)
