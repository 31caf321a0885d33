"""Statement 14 of the session contract, over real sockets: audio in the negotiated format, in order, and nothing out of turn."""

from __future__ import annotations

import base64
import json
import threading
from typing import Any

import numpy as np
import pytest

from trunkline import InvalidCommand, LineDown
from trunkline.actors.commands import SendAudio
from trunkline.gateway import g711
from trunkline.gateway.errors import InvalidAudio, SendBufferFull
from trunkline.gateway.simulator import Gate, Hold, Say, Simulator, decode_words
from trunkline.gateway.simulator.tone import word_tone
from trunkline.supervision import ActorDown
from trunkline.testing import FaultPlan, SlowReader

RAMP = np.arange(-1200, 1200, dtype=np.int16) * 27
SPOKEN = {"modalities": ["audio"], "turn_detection": "none", "input_audio_transcription": False}
SENT, APPEND = "conversation.item.create", "input_audio_buffer.append"
COMMIT, CREATE = "input_audio_buffer.commit", "response.create"
WAIT_S = 10.0


def appended(stage: Any, *, after: str | None = None) -> bytes:
    """All the audio on the wire, or what followed the first ``after`` there."""
    frames = list(stage.wire.sent())
    if after is not None:
        frames = frames[[frame["type"] for frame in frames].index(after) :]
    return b"".join(base64.b64decode(frame["audio"]) for frame in frames if frame["type"] == APPEND)


class TestStatement14AudioAndSendOrder:
    @pytest.mark.parametrize(
        ("audio", "format", "wire"),
        [
            (RAMP, "pcm16", RAMP.tobytes()),
            (RAMP.tobytes(), "pcm16", RAMP.tobytes()),
            (memoryview(RAMP.tobytes()), "pcm16", RAMP.tobytes()),
            (RAMP.astype(">i2"), "pcm16", RAMP.tobytes()),
            (RAMP.astype(np.float32) / np.float32(32767), "pcm16", RAMP.tobytes()),
            (RAMP.astype(np.float64) / 32767, "pcm16", RAMP.tobytes()),
            (np.stack([RAMP, RAMP], 1), "pcm16", RAMP.tobytes()),
            (np.stack([RAMP, np.zeros_like(RAMP)], 1) * 1, "pcm16", None),
            (RAMP, "g711_ulaw", g711.encode(RAMP, "g711_ulaw")),
            (RAMP, "g711_alaw", g711.encode(RAMP, "g711_alaw")),
            (b"\x01\x02\x03", "g711_ulaw", b"\x01\x02\x03"),
        ],
        ids=[
            "int16",
            "bytes",
            "view",
            "big endian",
            "float32",
            "float64",
            "stereo",
            "left",
            "mu-law",
            "A-law",
            "raw",
        ],
    )
    def test_what_the_application_has_is_what_the_provider_takes(self, simulate, audio, format, wire):
        stage, _ = simulate(input_audio_format=format, **SPOKEN)
        stage.session.send_audio(audio).get(timeout=WAIT_S)
        stage.quiet()
        if wire is None:
            assert np.abs(np.frombuffer(appended(stage), "<i2") - RAMP / 2.0).max() <= 1.0
        else:
            assert appended(stage) == wire
        (update,) = stage.wire.sent("session.update")
        kind = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}[format]
        assert update["session"]["audio"]["input"]["format"]["type"] == kind
        assert stage.events.of("error") == []

    @pytest.mark.parametrize("format", ["pcm16", "g711_ulaw"])
    def test_another_rate_is_resampled_across_calls_and_a_commit_ends_it(self, simulate, format):
        stage, _ = simulate([Say("yes")], input_audio_format=format, **SPOKEN)
        rate = {"pcm16": 24_000, "g711_ulaw": 8_000}[format]
        tone = np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000).astype(np.float32) * 0.5
        for frame in np.split(tone, 50):
            stage.session.send_audio_frame(frame, 48_000, wait=False)
        stage.session.commit_audio().get(timeout=WAIT_S)
        stage.events.until("assistant_turn_completed")
        data = appended(stage)
        got = np.frombuffer(data, "<i2") if format == "pcm16" else g711.decode(data, format)
        assert len(got) == rate, "not a sample more or less than was said"
        ideal = np.sin(2 * np.pi * 440 * np.arange(rate) / rate) * 0.5 * 32767
        middle = slice(rate // 10, -rate // 10)
        assert np.abs(got[middle] - ideal[middle]).max() < (20 if format == "pcm16" else 600)
        assert stage.types()[-2:] == [COMMIT, CREATE]

    def test_an_odd_byte_waits_for_its_other_half(self, simulate):
        stage, _ = simulate(**SPOKEN)
        for piece in (b"\x01", b"\x02\x03", b"\x04"):
            stage.session.send_audio(piece).get(timeout=WAIT_S)
        stage.quiet()
        assert [base64.b64decode(frame["audio"]) for frame in stage.wire.sent(APPEND)] == [b"\1\2", b"\3\4"]

    def test_an_array_may_be_used_again_at_once(self, simulate):
        stage, _ = simulate(**SPOKEN)
        frame, said = np.empty(480, np.int16), b""
        for value in range(50):
            frame[:] = value
            said += frame.tobytes()
            stage.session.send_audio_frame(frame, wait=False)
        frame[:] = -1
        stage.quiet()
        assert appended(stage) == said

    def test_long_audio_is_split_below_15_mib_and_all_of_it_arrives_before_its_commit(self, simulate):
        stage, _ = simulate([Say("long")], **SPOKEN)
        said = np.random.default_rng(1).integers(-100, 100, 6_500_000, dtype=np.int16)
        sending = stage.session.send_audio(said)
        committing = stage.session.commit_audio()
        sending.get(timeout=60.0)
        committing.get(timeout=60.0)
        stage.events.until("assistant_turn_completed")
        assert stage.types() == [APPEND, APPEND, COMMIT, CREATE]
        frames = stage.wire.sent(APPEND)
        assert max(len(frame["audio"]) for frame in frames) < 15 * 1024 * 1024
        assert len({frame["event_id"] for frame in frames}) == 2
        assert appended(stage) == said.tobytes()

    @pytest.mark.parametrize(
        ("format", "n_bytes"), [("pcm16", 4798), ("g711_ulaw", 799), ("g711_alaw", 799), ("pcm16", 0)]
    )
    def test_a_commit_of_less_than_a_tenth_of_a_second_sends_nothing_and_says_so(
        self, simulate, format, n_bytes
    ):
        stage, _ = simulate(input_audio_format=format, **SPOKEN)
        stage.session.send_audio(bytes(n_bytes)).get(timeout=WAIT_S)
        with pytest.raises(InvalidCommand, match="100 ms"):
            stage.session.commit_audio().get(timeout=WAIT_S)
        stage.quiet()
        assert COMMIT not in stage.types()
        assert CREATE not in stage.types()
        stage.session.send_audio(bytes(8000)).get(timeout=WAIT_S)
        stage.session.commit_audio().get(timeout=WAIT_S)
        stage.events.until("assistant_turn_completed")
        assert stage.events.of("error") == []

    def test_under_turn_detection_a_commit_of_nothing_is_nobody_s_fault(self, simulate, voice):
        stage, _ = simulate(**voice)
        stage.session.commit_audio().get(timeout=WAIT_S)
        stage.quiet()
        assert stage.types() == []
        assert stage.events.of("error") == []

    def test_clearing_forgets_what_was_not_committed(self, simulate):
        stage, _ = simulate(**SPOKEN)
        stage.session.send_audio(np.zeros(9600, np.int16), 48_000).get(timeout=WAIT_S)
        stage.session.clear_audio().get(timeout=WAIT_S)
        stage.wire.wait_received("input_audio_buffer.cleared", 1, WAIT_S)
        with pytest.raises(InvalidCommand):
            stage.session.commit_audio().get(timeout=WAIT_S)

    def test_after_a_clear_nothing_is_left_of_what_was_said_before(self, simulate):
        stage, _ = simulate(**SPOKEN)
        stage.session.send_audio(np.full(9600, 9000, np.int16), 48_000).get(timeout=WAIT_S)
        stage.session.clear_audio().get(timeout=WAIT_S)
        stage.session.send_audio(np.zeros(9600, np.int16), 48_000).get(timeout=WAIT_S)
        stage.session.commit_audio().get(timeout=WAIT_S)
        stage.events.until("assistant_turn_completed")
        assert np.frombuffer(appended(stage), "<i2").any()
        said = appended(stage, after="input_audio_buffer.clear")
        assert not np.frombuffer(said, "<i2").any()
        assert len(said) == 2 * 4800

    @pytest.mark.parametrize(
        "audio", [np.zeros(3, np.int32), np.zeros((2, 3), np.int16), np.array([np.nan]), "text", [1, 2], None]
    )
    def test_what_is_no_audio_is_refused_in_the_caller(self, simulate, audio):
        stage, _ = simulate(**SPOKEN)
        for send in (stage.session.send_audio, stage.session.send_audio_frame):
            with pytest.raises(InvalidAudio):
                send(audio)
        with pytest.raises(InvalidAudio):
            stage.session.send_audio_frame(audio, wait=False)
        stage.quiet()
        assert stage.types() == []

    def test_two_threads_that_talk_produce_their_items_and_never_a_create_without_one(self, simulate):
        gate = Gate()
        stage, heard = simulate([Say(["on", Hold(gate)])], [Say("both")], [Say("none left")])
        stage.say("begin")
        gate.wait_reached(10)
        ready = threading.Barrier(2)

        def talk(text: str) -> None:
            ready.wait(WAIT_S)
            stage.session.send_text(text).get(timeout=WAIT_S)

        threads = [threading.Thread(target=talk, args=(text,)) for text in ("a", "b")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        gate.open()
        stage.events.until("assistant_turn_completed")
        stage.events.until("assistant_turn_completed")
        stage.quiet()
        assert stage.types() == [SENT, CREATE, SENT, SENT, CREATE]
        assert sorted(heard[1].user_texts) == ["a", "b", "begin"]

    def test_frames_of_several_threads_arrive_whole(self, simulate):
        stage, _ = simulate(**SPOKEN)

        def talk(value: int) -> None:
            for _ in range(40):
                stage.session.send_audio_frame(np.full(240, value, np.int16), wait=False)

        threads = [threading.Thread(target=talk, args=(value,)) for value in (1, 2, 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        stage.quiet()
        frames = np.frombuffer(appended(stage), "<i2").reshape(-1, 240)
        assert len(frames) == 120
        assert (frames == frames[:, :1]).all()


class TestStatement14WhatTheProviderSays:
    @pytest.mark.parametrize(
        ("format", "rate"), [("pcm16", 24_000), ("g711_ulaw", 8_000), ("g711_alaw", 8_000)]
    )
    def test_speech_is_decoded_by_the_negotiated_format(self, simulate, format, rate):
        stage, _ = simulate([Say("the quick brown fox")], output_audio_format=format, **SPOKEN)
        stage.session.create_response().get(timeout=WAIT_S)
        stage.events.until("assistant_turn_completed")
        deltas = stage.events.of("assistant_audio_delta")
        assert {(d.pcm.dtype, d.pcm.ndim, d.pcm.flags.writeable, d.rate_hz) for d in deltas} == {
            (np.dtype(np.int16), 1, False, rate)
        }
        heard = decode_words(np.concatenate([d.pcm for d in deltas]), rate)
        assert [word.word for word in heard] == ["the", "quick", "brown", "fox"]

    def test_the_provider_s_word_counts_and_not_what_was_asked_for(self, puppeteer):
        stage, puppet = puppeteer(**SPOKEN)
        puppet.send(
            "session.updated", session={"id": "s", "audio": {"output": {"format": {"type": "audio/pcmu"}}}}
        )
        puppet.begin("r1")
        self.speak(puppet, "r1", "i1", b"\xff\x00")
        delta = stage.events.until("assistant_audio_delta")
        assert (delta.pcm.tolist(), delta.rate_hz) == ([0, -32124], 8000)

    def test_a_response_may_have_a_format_of_its_own(self, puppeteer):
        stage, puppet = puppeteer(**SPOKEN)
        puppet.begin("r1", audio={"output": {"format": {"type": "audio/pcma"}}})
        self.speak(puppet, "r1", "i1", b"\xd5")
        puppet.done("r1")
        puppet.begin("r2")
        self.speak(puppet, "r2", "i2", b"\x01\x00")
        assert stage.events.until("assistant_audio_delta").rate_hz == 8000
        delta = stage.events.until("assistant_audio_delta")
        assert (delta.pcm.tolist(), delta.rate_hz) == ([1], 24000)

    def test_an_odd_byte_is_carried_over_to_the_next_delta_of_its_item_and_no_further(self, puppeteer):
        stage, puppet = puppeteer(**SPOKEN)
        puppet.begin("r1")
        self.speak(puppet, "r1", "a", b"\x01\x00\x02")
        self.speak(puppet, "r1", "b", b"\x05\x00\x06")
        self.speak(puppet, "r1", "a", b"\x00\x03")
        puppet.send("response.output_audio.done", response_id="r1", item_id="a")
        self.speak(puppet, "r1", "a", b"\x09\x00")
        self.speak(puppet, "r1", "b", b"\x00")
        puppet.done("r1")
        stage.events.until("assistant_turn_completed")
        deltas = stage.events.of("assistant_audio_delta")
        assert [(d.item_id, d.pcm.tolist()) for d in deltas] == [
            ("a", [1]),
            ("b", [5]),
            ("a", [2]),
            ("a", [9]),
            ("b", [6]),
        ]

    def test_what_was_played_is_measured_by_the_rate_of_the_format(self, puppeteer):
        stage, puppet = puppeteer(output_audio_format="g711_ulaw", **SPOKEN)
        puppet.begin("r1")
        self.speak(puppet, "r1", "i1", b"\xff" * 8000)
        stage.events.until("assistant_audio_delta")
        stage.session.report_playback("i1", 400).get(timeout=WAIT_S)
        stage.interrupt()
        assert puppet.take("conversation.item.truncate")["audio_end_ms"] == 400
        puppet.done("r1", "cancelled")
        puppet.begin("r2")
        self.speak(puppet, "r2", "i2", b"\xff" * 8000)
        stage.events.until("assistant_audio_delta")
        stage.session.report_playback("i2", 2000).get(timeout=WAIT_S)
        stage.interrupt()
        assert puppet.take("conversation.item.truncate")["audio_end_ms"] == 1000, "no more than was received"

    @staticmethod
    def speak(puppet: Any, response: str, item: str, data: bytes) -> None:
        delta = base64.b64encode(data).decode()
        puppet.send("response.output_audio.delta", response_id=response, item_id=item, delta=delta)


class TestAudioAndTheLine:
    def test_what_was_said_before_a_loss_is_not_said_on_the_next_line(self, simulate):
        stage, _ = simulate(**SPOKEN)
        sent = []
        stage.session.subscribe(lambda event: sent.append(event.kind)).get(timeout=WAIT_S)
        stage.session.send_audio(RAMP).get(timeout=WAIT_S)
        stage.wire.wait_sent(APPEND, 1, WAIT_S)
        epoch = stage.session._entry.audio.epoch
        stage.server.abort_all()
        stage.events.until("session_updated", resumed=True)
        with pytest.raises(LineDown):
            stage.session.actor_ref.ask(SendAudio(b"\1\0" * 480, epoch))
        stage.session.send_audio(RAMP).get(timeout=WAIT_S)
        stage.quiet()
        assert [frame["audio"] for frame in stage.wire.sent(APPEND, 1)] == [
            frame["audio"] for frame in stage.wire.sent(APPEND, 2)
        ]
        assert len(stage.wire.sent(APPEND)) == 2

    def test_without_a_line_audio_is_refused_at_once_and_told_frames_are_counted(self, puppeteer):
        stage, puppet = puppeteer()
        puppet.take("session.update")
        puppet.confirms = False
        puppet.drop()
        stage.events.until("error", code="connection_lost")
        with pytest.raises(LineDown):
            stage.session.send_audio(RAMP).get(timeout=WAIT_S)
        with pytest.raises(LineDown):
            stage.session.commit_audio().get(timeout=WAIT_S)
        for _ in range(3):
            stage.session.send_audio_frame(RAMP, wait=False)
        puppet.take("session.update")
        puppet.send("session.updated", session={"id": "sess_1"})
        stage.events.until("session_updated", resumed=True)
        stage.session.send_audio_frame(RAMP, wait=False)
        assert stage.events.until("error", code="uplink_lagging").dropped == 3

    def test_a_line_that_does_not_take_it_refuses_audio_and_lets_an_interruption_through(
        self, open_session, servers, eventually
    ):
        plan = FaultPlan(SlowReader(0).on(APPEND))
        simulator = Simulator(faults=plan).start()
        servers.append(simulator)
        stage = open_session(simulator, **SPOKEN)
        frame = np.zeros(120_000, np.int16)
        refused = None
        stage.session.send_audio(frame).get(timeout=WAIT_S)
        eventually(lambda: plan.fired)
        for _ in range(200):
            try:
                stage.session.send_audio(frame).get(timeout=WAIT_S)
            except SendBufferFull as full:
                refused = full
                break
        assert refused is not None
        assert "uplink_lagging" not in [getattr(event, "code", None) for event in stage.events.seen]
        stage.session.interrupt().get(timeout=WAIT_S)
        stage.session.close().get(timeout=WAIT_S)

    def test_a_closed_session_takes_no_audio(self, simulate):
        stage, _ = simulate(**SPOKEN)
        stage.session.close().get(timeout=WAIT_S)
        with pytest.raises(ActorDown):
            stage.session.send_audio(RAMP).get(timeout=WAIT_S)
        with pytest.raises(ActorDown):
            stage.session.send_audio_frame(RAMP, wait=False)

    def test_the_model_hears_the_words_that_were_said(self, simulate):
        stage, heard = simulate([Say("Ottawa")], **{**SPOKEN, "input_audio_transcription": True})
        said = b"".join(word_tone(word, 100, "audio/pcm") for word in ["capital", "of", "Canada"])
        stage.session.send_audio(said).get(timeout=WAIT_S)
        stage.session.commit_audio().get(timeout=WAIT_S)
        assert stage.events.until("user_transcript").text == "capital of Canada"
        stage.events.until("assistant_turn_completed")
        assert json.dumps(stage.types()) == json.dumps([APPEND, COMMIT, CREATE])
        assert len(heard) == 1
