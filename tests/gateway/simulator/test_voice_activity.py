"""Where speech begins and ends, by energy, in audio time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.gateway.simulator.turn_detection import detection_of
from trunkline.gateway.simulator.voice_activity import Lull, Offset, Onset, VoiceActivity

SERVER = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500}


def server(**changes):
    return detection_of({**SERVER, **changes})


def tone(duration_ms, loudness=8000, rate=24_000):
    return (loudness * np.sin(np.arange(rate * duration_ms // 1000) / 5)).astype(np.int16)


def silence(duration_ms, rate=24_000):
    return np.zeros(rate * duration_ms // 1000, np.int16)


def edges(parts, detection=None, rate=24_000, start_ms=0.0):
    voice = VoiceActivity(rate, start_ms, detection or server())
    return [edge for part in parts for edge in voice.hear(part)]


def test_speech_begins_at_its_first_loud_frame_and_ends_after_the_silence():
    assert edges([silence(1000), tone(400), silence(700)]) == [Onset(1000), Offset(1900)]


def test_time_goes_on_from_where_it_began_to_listen():
    assert edges([silence(100), tone(100)], start_ms=5000.0) == [Onset(5100)]


@pytest.mark.parametrize("rate", [8000, 24_000])
def test_two_turns_are_found_in_one_append(rate):
    parts = [tone(200, rate=rate), silence(600, rate), tone(200, rate=rate), silence(600, rate)]
    assert edges([np.concatenate(parts)], rate=rate) == [Onset(0), Offset(700), Onset(800), Offset(1500)]


def test_a_short_pause_does_not_end_a_turn():
    assert edges([tone(200), silence(400), tone(200), silence(600)]) == [Onset(0), Offset(1300)]


@pytest.mark.parametrize(("duration_ms", "is_speech"), [(15, False), (20, False), (40, True)])
def test_a_click_is_no_speech(duration_ms, is_speech):
    assert bool(edges([silence(500), tone(duration_ms), silence(1000)])) == is_speech


@pytest.mark.parametrize(
    ("threshold", "loudness", "is_heard"),
    [
        (0.0, 60, True),
        (0.0, 30, False),
        (0.5, 600, True),
        (0.5, 300, False),
        (1.0, 6000, True),
        (1.0, 3000, False),
    ],
)
def test_the_threshold_says_how_loud_speech_has_to_be(threshold, loudness, is_heard):
    assert bool(edges([tone(200, loudness)], server(threshold=threshold))) == is_heard


def test_with_no_silence_asked_for_a_turn_ends_with_its_sound():
    assert edges([tone(200), silence(100)], server(silence_duration_ms=0)) == [Onset(0), Offset(200)]


def test_a_change_of_the_silence_holds_at_once_and_never_reaches_ahead():
    voice = VoiceActivity(24_000, 0.0, server())
    assert list(voice.hear(np.concatenate([tone(200), silence(300)]))) == [Onset(0)]
    voice.detection = replace(voice.detection, silence_ms=100)
    assert list(voice.hear(silence(20))) == [Offset(300)]


def test_after_a_stop_more_of_the_same_is_a_new_onset():
    voice = VoiceActivity(24_000, 0.0, server())
    assert list(voice.hear(tone(200))) == [Onset(0)]
    voice.stop()
    assert list(voice.hear(tone(200))) == [Onset(200)]


def test_a_lull_comes_before_the_end_and_once_per_silence():
    detection = detection_of({"type": "semantic_vad", "eagerness": "high"})
    assert edges([tone(200), silence(700), tone(200), silence(2100)], detection) == [
        Onset(0),
        Lull(700),
        Lull(1600),
        Offset(3100),
    ]


@pytest.mark.parametrize(
    ("eagerness", "wait_ms"), [("low", 8000), ("medium", 4000), ("auto", 4000), (None, 4000), ("high", 2000)]
)
def test_eagerness_is_how_long_it_waits(eagerness, wait_ms):
    given_settings = (
        {"type": "semantic_vad"} if eagerness is None else {"type": "semantic_vad", "eagerness": eagerness}
    )
    assert detection_of(given_settings).silence_ms == wait_ms


def test_absent_means_that_responses_are_created_and_interrupted():
    assert detection_of(None) is None
    for kind in (SERVER, {"type": "semantic_vad"}):
        detection = detection_of(kind)
        assert (detection.create_response, detection.interrupt_response) == (True, True)
        off = detection_of({**kind, "create_response": False, "interrupt_response": False})
        assert (off.create_response, off.interrupt_response) == (False, False)


spoken = st.lists(st.tuples(st.booleans(), st.integers(0, 900)), max_size=6)


@settings(max_examples=200, deadline=None)
@given(spoken, st.lists(st.integers(0, 80_000), max_size=12), st.sampled_from([8000, 24_000]))
def test_how_the_audio_is_cut_into_appends_makes_no_difference(parts, cuts, rate):
    sounds = [tone(ms, rate=rate) if loud else silence(ms, rate) for loud, ms in parts]
    samples = np.concatenate([np.zeros(0, np.int16), *sounds])
    at = sorted(cut % (len(samples) + 1) for cut in cuts)
    assert edges(np.split(samples, at), rate=rate) == edges([samples], rate=rate)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=3000), max_size=8), st.integers(0, 1000))
def test_any_sound_is_a_row_of_onsets_and_offsets_in_order(sounds, silence_ms):
    parts = [np.frombuffer(sound[: len(sound) // 2 * 2], np.int16) for sound in sounds]
    found = edges(parts, server(silence_duration_ms=silence_ms), rate=8000)
    assert [type(edge) for edge in found] == [(Onset, Offset)[i % 2] for i in range(len(found))]
    times = [edge.at_ms for edge in found]
    assert times == sorted(times)
    assert not times or times[-1] <= sum(map(len, parts)) / 8
