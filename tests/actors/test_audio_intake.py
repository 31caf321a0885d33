"""What callers say, converted in their threads: one stream, in order, for one line."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from trunkline.actors.audio_intake import AudioIntake
from trunkline.actors.commands import SendAudio
from trunkline.gateway.errors import InvalidAudio

RAMP = np.arange(480, dtype=np.int16)


def taken(intake: AudioIntake, audio: object, rate_hz: int | None = None) -> SendAudio | None:
    sent: list[SendAudio] = []
    intake.put(audio, rate_hz, sent.append)  # type: ignore[arg-type]
    assert len(sent) <= 1
    return sent[0] if sent else None


def test_an_array_is_copied_at_once() -> None:
    intake, frame = AudioIntake(), RAMP.copy()
    sent = taken(intake, frame)
    frame[:] = 0
    assert sent == SendAudio(RAMP.tobytes())


def test_audio_carries_the_name_of_the_line_it_is_for() -> None:
    intake = AudioIntake()
    intake.epoch = "first"
    assert taken(intake, RAMP) == SendAudio(RAMP.tobytes(), "first")
    intake.epoch = "second"
    assert taken(intake, RAMP) == SendAudio(RAMP.tobytes(), "second")


def test_what_the_filter_held_is_not_for_the_next_line() -> None:
    intake = AudioIntake()
    intake.epoch = "first"
    taken(intake, np.full(4800, 9000, np.int16), 48_000)
    intake.epoch = "second"
    sent: list[SendAudio] = []
    intake.finish(sent.append)
    assert sent == []
    silence = taken(intake, np.zeros(48_000, np.int16), 48_000)
    assert silence is not None
    assert not np.frombuffer(silence.data, "<i2").any()


def test_an_odd_byte_is_not_for_the_next_line() -> None:
    intake = AudioIntake()
    assert taken(intake, b"\x01") is None
    intake.epoch = "second"
    assert taken(intake, b"\x02\x03") == SendAudio(b"\x02\x03", "second")


def test_finishing_hands_over_what_the_filter_holds() -> None:
    intake = AudioIntake()
    said = taken(intake, np.full(4800, 9000, np.int16), 48_000)
    sent: list[SendAudio] = []
    intake.finish(sent.append)
    assert said is not None
    assert len(said.data) + len(sent[0].data) == 2 * 2400
    intake.finish(sent.append)
    assert len(sent) == 1


def test_clearing_forgets_what_the_filter_holds() -> None:
    intake = AudioIntake()
    taken(intake, np.full(4800, 9000, np.int16), 48_000)
    intake.clear()
    sent: list[SendAudio] = []
    intake.finish(sent.append)
    assert sent == []


def test_the_format_is_the_session_s() -> None:
    sent = taken(AudioIntake("g711_ulaw"), np.zeros(80, np.float32))
    assert sent == SendAudio(b"\xff" * 80)


def test_what_is_no_audio_is_refused_and_harms_nobody() -> None:
    intake = AudioIntake()
    with pytest.raises(InvalidAudio):
        taken(intake, np.zeros(3, np.int32))
    with pytest.raises(InvalidAudio):
        taken(intake, RAMP, 3)
    assert taken(intake, RAMP) == SendAudio(RAMP.tobytes())


def test_the_audio_of_two_threads_is_handed_over_in_the_order_it_was_converted() -> None:
    intake = AudioIntake()
    inside, overlaps, sent = threading.Lock(), [], []

    def send(message: SendAudio) -> None:
        if not inside.acquire(blocking=False):
            overlaps.append(message)
            return
        sent.append(message.data)
        inside.release()

    def talk(value: int) -> None:
        for _ in range(200):
            intake.put(np.full(8, value, np.int16), None, send)

    threads = [threading.Thread(target=talk, args=(value,)) for value in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (len(sent), overlaps) == (400, [])
