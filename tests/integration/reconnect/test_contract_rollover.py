"""Statement 9 of the session contract, over real sockets: a session moves to a new line before the old one expires."""

from __future__ import annotations

import base64
import threading
from typing import Any

import numpy as np

from trunkline.gateway.simulator import Gate, Transcript, encode_words
from trunkline.testing import HttpStatus, Refuse, Reset

SHORT = {"session_max_age_s": 4.0}


def moved(stage: Any) -> Any:
    return stage.events.until("session_updated", rolled_over=True)


def numbers_on(stage: Any, line: int) -> list[int]:
    """The frames of 10 ms that a line was told, by the number that each begins with."""
    appends = stage.wire.sent("input_audio_buffer.append", line)
    said = b"".join(base64.b64decode(frame["audio"]) for frame in appends)
    return [int(number) for number in np.frombuffer(said, "<i2")[::240]]


class TestStatement09Rollover:
    def test_an_idle_session_moves_and_the_conversation_goes_on(
        self, rig: Any, move: Any, answers: Any
    ) -> None:
        stage = rig("text")
        stage.say("one")
        answers(stage).until("heard one")
        move(stage).due()
        moved(stage)
        closed = stage.wire.wait_closed(1, 10)[0]
        assert (closed.connection, closed.code) == (1, 1000)
        stage.quiet()
        assert stage.types() == [
            "conversation.item.create",
            "response.create",
            *["conversation.item.create"] * 2,
        ]
        first, *seeds = (f for f in stage.wire.sent(None, 2) if f["type"] != "input_audio_buffer.clear")
        assert (first["type"], first["session"]["type"]) == ("session.update", "realtime")
        assert [frame["item"]["role"] for frame in seeds] == ["user", "assistant"]
        stage.say("two")
        answers(stage).until("heard one two")
        kinds = stage.events.kinds()
        assert not {"error", "interrupted", "session_closed"} & set(kinds)
        assert kinds.count("assistant_text") == 2
        history = stage.session.history().get(timeout=10)
        assert [item.text for item in history] == ["one", "heard one", "two", "heard one two"]

    def test_a_late_subscriber_hears_of_the_line_that_serves(self, rig: Any) -> None:
        stage = rig("text", options=SHORT, rollover_margin_s=60)
        first = stage.events.until("session_opened")
        moved(stage)
        with stage.session.events() as late:
            opened = late.get(10)
        assert opened.kind == "session_opened"
        assert (opened.server_session_id, opened.expires_at) != (first.server_session_id, first.expires_at)

    def test_every_audio_frame_reaches_exactly_one_line(self, rig: Any, move: Any) -> None:
        stage = rig("spoken", input_audio_transcription=False)
        way = move(stage)
        sent, after, pace = 0, 0, threading.Event()
        while after < 50:
            frame = np.zeros(240, np.int16)
            frame[0] = sent = sent + 1
            if sent == 50:
                way.due()
            if sent == 100:
                way.limit()
            accepted = stage.session.send_audio_frame(frame)
            after += any(event.rolled_over for event in stage.events.of("session_updated"))
            if sent % 5 == 0:
                pace.wait(0.01)  # as a microphone does
                accepted.get(timeout=10)  # and no faster than it is taken
                stage.events.drain()
        stage.session.get_instructions().get(timeout=10)
        stage.wire.wait_sent("input_audio_buffer.append", sent, 10)
        by_line = [numbers_on(stage, line) for line in range(1, stage.server.accepted + 1)]
        # Two lines have no order between them: what a server reads first of them is its own affair.
        assert [number for numbers in by_line for number in numbers] == list(range(1, sent + 1))
        assert all(by_line[:2]), [len(numbers) for numbers in by_line]
        assert "error" not in stage.events.kinds()

    def test_attempts_that_fail_are_made_again_and_harm_nobody(
        self, rig: Any, move: Any, answers: Any
    ) -> None:
        stage = rig("text", Refuse().at_connection(2), HttpStatus(503).at_connection(3))
        stage.say("one")
        answers(stage).until("heard one")
        move(stage).due()
        moved(stage)
        assert len(stage.plan.fired) == 2
        assert "error" not in stage.events.kinds()
        stage.say("two")
        answers(stage).until("heard one two")

    def test_where_nothing_can_be_opened_the_line_serves_to_its_end_and_is_opened_anew(
        self, rig: Any, answers: Any
    ) -> None:
        stage = rig("text", options=SHORT, rollover_margin_s=None)
        stage.say("one")
        answers(stage).until("heard one")
        stage.events.until("session_updated", resumed=True)
        codes = [event.code for event in stage.events.of("error")]
        assert codes == ["session_expired", "connection_lost"]
        assert not any(event.rolled_over for event in stage.events.of("session_updated"))
        stage.say("two")
        answers(stage).until("heard one two")


class TestStatement09LinesThatAreLost:
    def test_the_line_that_is_ready_serves_at_once_when_the_old_one_is_lost(
        self, rig: Any, move: Any, answers: Any
    ) -> None:
        stage = rig("text", Reset().on("input_audio_buffer.clear"), half=True)
        way = move(stage)
        stage.say("one")
        stage.events.until("assistant_text_delta")
        way.until_ready()
        assert not any(event.rolled_over for event in stage.events.of("session_updated"))
        stage.session.clear_audio().get(timeout=10)
        stage.events.until("session_updated", resumed=True)
        answers(stage).until("heard one")
        assert [event.code for event in stage.events.of("error")] == ["connection_lost"]
        assert [event.reason for event in stage.events.of("interrupted")] == ["error"]
        assert len(stage.wire.handshakes()) == 2, "nothing else was opened"
        types = [frame["type"] for frame in stage.wire.sent(None, 2)]
        assert types == ["session.update", "conversation.item.create", "response.create"]
        answers(stage).check()
        way.until_ready()
        moved(stage)
        stage.say("two")
        answers(stage).until("heard one two")


class TestStatement09AudioAtTheLimit:
    """A session that cannot move when it should, for its answer takes too long, and then must while somebody speaks."""

    def busy(self, rig: Any, move: Any, **config: Any) -> tuple[Any, Any]:
        stage = rig("spoken", half=True, **config)
        way = move(stage)
        stage.say("one")
        stage.events.until("assistant_transcript_delta")
        way.due()
        return stage, way

    def test_what_is_said_until_it_is_committed_is_heard_whole_on_the_new_line(
        self, rig: Any, move: Any, answers: Any
    ) -> None:
        stage, way = self.busy(rig, move, turn_detection="none")
        parts = np.array_split(encode_words("alpha beta"), 10)
        for part in parts[:6]:
            stage.session.send_audio_frame(part).get(timeout=10)
        way.until_ready()
        way.limit()
        moved(stage)
        answers(stage).until("heard one")
        for part in parts[6:]:
            stage.session.send_audio_frame(part).get(timeout=10)
        stage.session.commit_audio().get(timeout=10)
        answers(stage).until("heard one alpha beta")
        assert "error" not in stage.events.kinds()
        assert not stage.wire.sent("input_audio_buffer.commit", 1)
        answers(stage).check()

    def test_what_was_said_and_is_not_transcribed_yet_is_heard_on_the_new_line(
        self, rig: Any, move: Any, answers: Any
    ) -> None:
        late = Gate()
        hears = {"transcriber": lambda _: Transcript("alpha", hold=late)}
        stage = rig("spoken", half=True, options=hears, response_timeout_s=60.0)
        way = move(stage)
        silence = np.zeros(24_000, np.int16)
        spoken = np.concatenate([silence, encode_words("alpha"), silence])
        stage.session.send_audio(spoken).get(timeout=10)
        stage.events.until("assistant_transcript_delta")
        way.until_ready()
        way.limit()
        stage.session.get_instructions().get(timeout=10)  # it is dealt with
        stage.events.drain()
        assert not any(event.rolled_over for event in stage.events.of("session_updated"))
        late.open()
        moved(stage)
        answers(stage).until("heard alpha")
        (item,) = [frame["item"] for frame in stage.wire.sent("conversation.item.create", 2)]
        assert item["content"] == [{"type": "input_text", "text": "alpha"}]
        assert [event.text for event in stage.events.of("user_transcript")] == ["alpha"]
        assert "error" not in stage.events.kinds()
        answers(stage).check()

    def test_speech_that_is_under_way_is_heard_whole_on_the_new_line(
        self, rig: Any, move: Any, answers: Any
    ) -> None:
        stage, way = self.busy(rig, move)
        silence = np.zeros(24_000, np.int16)
        parts = np.array_split(np.concatenate([silence, encode_words("alpha beta"), silence]), 40)
        for part in parts[:20]:
            stage.session.send_audio_frame(part).get(timeout=10)
        stage.events.until("user_speech_started")
        way.until_ready()
        way.limit()
        moved(stage)
        for part in parts[20:]:
            stage.session.send_audio_frame(part).get(timeout=10)
        answers(stage).until("heard one alpha beta")
        assert "error" not in stage.events.kinds()
        assert stage.events.kinds().count("user_transcript") == 1
        speech = [kind for kind in stage.events.kinds() if kind.startswith("user_speech")]
        assert speech == ["user_speech_started", "user_speech_stopped"], "one utterance, over two lines"
        answers(stage).check()
