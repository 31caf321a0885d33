"""The caller's audio as a state machine: what is appended, and the turns made of it."""

from __future__ import annotations

import base64
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.gateway.simulator import encode_words
from trunkline.gateway.simulator.audio_buffer import MAX_APPEND_BYTES, sound_of
from trunkline.gateway.simulator.client_error import ClientError
from trunkline.gateway.simulator.effects import Send, Wake
from trunkline.gateway.simulator.g711 import encode
from trunkline.gateway.simulator.ids import Ids
from trunkline.gateway.simulator.input_audio import Committed, InputAudio, Interrupt, Respond

PCM, ULAW = {"type": "audio/pcm", "rate": 24000}, {"type": "audio/pcmu"}
VAD = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500}


def settings_of(detection, audio_format=PCM):
    return {"format": audio_format, "turn_detection": detection}


def vad(**changes):
    return settings_of({**VAD, **changes})


def audio_of(*given_settings):
    return InputAudio(Ids(Random(0)), *given_settings or (vad(),))


def b64(samples):
    return base64.b64encode(samples.astype("<i2").tobytes()).decode()


def loud(duration_ms):
    return (8000 * np.sin(np.arange(24 * duration_ms) / 5)).astype(np.int16)


def quiet(duration_ms):
    return np.zeros(24 * duration_ms, np.int16)


def told(steps):
    """Name the steps, with the times they are about."""
    lines = []
    for step in steps:
        match step:
            case Send(event=event):
                at = event.get("audio_start_ms", event.get("audio_end_ms"))
                lines.append(event["type"].split(".")[1] + ("" if at is None else f" {at}"))
            case Committed(sound=sound, audio_format=audio_format):
                lines.append(f"committed {len(sound) / (48 if audio_format == 'audio/pcm' else 8):g}")
            case Wake(after_s=after_s):
                lines.append(f"wake {after_s:g}")
            case _:
                lines.append(type(step).__name__)
    return lines


def ids_in(steps):
    return [
        s.event["item_id"] if isinstance(s, Send) else s.item["id"]
        for s in steps
        if isinstance(s, Send | Committed)
    ]


def test_a_turn_is_padded_committed_and_answered():
    audio = audio_of()
    steps = audio.append(b64(np.concatenate([quiet(1000), loud(400), quiet(700)])))
    assert told(steps) == [
        "speech_started 700",
        "Interrupt",
        "speech_stopped 1900",
        "committed 1200",
        "Respond",
    ]
    assert len(set(ids_in(steps))) == 1
    (committed,) = [step for step in steps if isinstance(step, Committed)]
    assert base64.b64decode(committed.item["content"][0]["audio"]) == committed.sound
    # What came after the turn is still there, and is the padding of the next.
    assert told(audio.append(b64(loud(100)))) == ["speech_started 1900", "Interrupt"]


def test_padding_does_not_reach_before_the_first_sample():
    assert told(audio_of().append(b64(np.concatenate([quiet(100), loud(100)])))) == [
        "speech_started 0",
        "Interrupt",
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"create_response": False},
            ["speech_started 0", "Interrupt", "speech_stopped 700", "committed 700"],
        ),
        (
            {"interrupt_response": False},
            ["speech_started 0", "speech_stopped 700", "committed 700", "Respond"],
        ),
    ],
)
def test_creating_and_interrupting_can_be_switched_off(changes, expected):
    assert told(audio_of(vad(**changes)).append(b64(np.concatenate([loud(200), quiet(600)])))) == expected


def test_push_to_talk_detects_nothing_and_commits_what_was_appended():
    audio = audio_of(settings_of(None))
    assert audio.append(b64(np.concatenate([loud(400), quiet(900)]))) == []
    assert told(audio.commit()) == ["committed 1300"]
    with pytest.raises(ClientError, match="input_audio_buffer_commit_empty"):
        audio.commit()


@pytest.mark.parametrize(("n_samples", "is_enough"), [(2399, False), (2400, True)])
def test_a_commit_needs_a_hundred_milliseconds(n_samples, is_enough):
    audio = audio_of(settings_of(None))
    audio.append(b64(np.zeros(n_samples, np.int16)))
    if is_enough:
        assert told(audio.commit()) == ["committed 100"]
    else:
        with pytest.raises(ClientError, match=r"only has 99\.96ms"):
            audio.commit()


def test_a_commit_under_detection_ends_the_turn_with_its_item_and_creates_no_response():
    audio = audio_of()
    started = audio.append(b64(np.concatenate([quiet(1000), loud(400)])))
    steps = audio.commit()
    assert told(steps) == ["speech_stopped 1400", "committed 1400"]
    assert set(ids_in(steps)) == set(ids_in(started))
    assert told(audio.append(b64(quiet(900)))) == []
    assert told(audio.append(b64(loud(100))))[0] == "speech_started 2000"


def test_who_goes_on_after_a_commit_has_a_new_turn():
    audio = audio_of()
    audio.append(b64(loud(400)))
    audio.commit()
    assert told(audio.append(b64(loud(100)))) == ["speech_started 400", "Interrupt"]


def test_a_commit_that_is_refused_leaves_the_turn_alone():
    audio = audio_of()
    audio.append(b64(loud(80)))
    with pytest.raises(ClientError):
        audio.commit()
    assert told(audio.append(b64(quiet(600))))[0] == "speech_stopped 580"


def test_clearing_drops_the_turn():
    audio = audio_of()
    audio.append(b64(loud(400)))
    assert told(audio.clear()) == ["speech_stopped 400", "cleared"]
    assert told(audio.append(b64(quiet(2000)))) == []


def test_what_was_cleared_is_never_committed():
    audio = audio_of(settings_of(None))
    audio.append(b64(loud(400)))
    audio.clear()
    with pytest.raises(ClientError, match="commit_empty"):
        audio.commit()
    audio.append(b64(quiet(100)))
    assert told(audio.commit()) == ["committed 100"]


def test_detection_that_is_switched_off_ends_the_turn_and_keeps_the_audio():
    audio = audio_of()
    audio.append(b64(loud(400)))
    assert told(audio.configure(settings_of(None))) == ["speech_stopped 400"]
    audio.append(b64(quiet(800)))
    assert told(audio.commit()) == ["committed 1200"]
    assert audio.configure(vad()) == []
    assert told(audio.append(b64(loud(100)))) == ["speech_started 1200", "Interrupt"]


def test_a_turn_goes_on_under_new_settings():
    audio = audio_of()
    audio.append(b64(loud(400)))
    assert audio.configure(vad(silence_duration_ms=100, create_response=False)) == []
    assert told(audio.append(b64(quiet(200)))) == ["speech_stopped 500", "committed 500"]


def test_another_format_ends_the_turn_and_time_goes_on():
    audio = audio_of()
    audio.append(b64(loud(400)))
    assert told(audio.configure(settings_of(VAD, ULAW))) == ["speech_stopped 400"]
    narrow = np.concatenate([quiet(1000), loud(200), quiet(600)])[::3]
    steps = audio.append(base64.b64encode(encode(narrow, "audio/pcmu")).decode())
    assert told(steps) == [
        "speech_started 1100",
        "Interrupt",
        "speech_stopped 2100",
        "committed 1000",
        "Respond",
    ]


def test_silence_is_not_held_for_ever_and_a_long_turn_is_bounded_too():
    audio = audio_of()
    for _ in range(70):
        audio.append(b64(quiet(1000)))
    assert told(audio.commit()) == ["committed 60000"]
    audio = audio_of(settings_of(None))
    minute = b64(quiet(60_000))
    for _ in range(12):
        audio.append(minute)
    assert told(audio.commit()) == ["committed 600000"]


def test_a_finished_sentence_ends_a_semantic_turn_before_its_time():
    detection = {"type": "semantic_vad", "eagerness": "low"}
    for text, silent_ms in (("What time is", 8000), ("What time is it?", 500)):
        said = encode_words(text)
        steps = audio_of(settings_of(detection)).append(b64(np.concatenate([said, quiet(9000)])))
        assert told(steps)[2] == f"speech_stopped {len(said) // 24 + silent_ms}"


def test_a_long_turn_ends_with_its_last_sentence():
    detection = {"type": "semantic_vad", "eagerness": "low"}
    said = [encode_words("and so on " * 20), quiet(600), encode_words("but what time is it?"), quiet(9000)]
    steps = audio_of(settings_of(detection)).append(b64(np.concatenate(said)))
    end_ms = sum(len(part) for part in said[:-1]) // 24 + 500
    assert told(steps)[2] == f"speech_stopped {end_ms}"


def test_an_idle_user_is_prompted_once_the_response_is_heard():
    audio = audio_of(vad(idle_timeout_ms=6000))
    audio.append(b64(quiet(1000)))
    (wake,) = audio.response_ended(1.5)
    assert wake.after_s == 7.5
    audio.append(b64(quiet(5000)))
    steps = audio.wake(wake.token)
    assert told(steps) == ["timeout_triggered 1000", "committed 5000", "Respond"]
    assert steps[0].event["audio_end_ms"] == 6000
    assert audio.wake(wake.token) == []


@pytest.mark.parametrize(
    "interruption",
    [
        lambda audio: audio.append(b64(loud(100))),
        lambda audio: audio.response_began(),
        lambda audio: audio.configure(vad()),
        lambda audio: audio.configure(settings_of(None)),
        lambda audio: audio.response_ended(0.0),
    ],
)
def test_who_is_not_idle_is_not_prompted(interruption):
    audio = audio_of(vad(idle_timeout_ms=6000))
    (wake,) = audio.response_ended(0.0)
    interruption(audio)
    assert audio.wake(wake.token) == []


def test_nobody_is_idle_while_speaking_or_where_no_timeout_is_set():
    assert audio_of().response_ended(0.0) == []
    audio = audio_of(vad(idle_timeout_ms=6000))
    audio.append(b64(loud(100)))
    assert audio.response_ended(0.0) == []


def test_an_idle_user_is_not_answered_where_no_response_is_to_be_created():
    audio = audio_of(vad(idle_timeout_ms=6000, create_response=False))
    (wake,) = audio.response_ended(0.0)
    assert told(audio.wake(wake.token)) == ["timeout_triggered 0", "committed 0"]


@pytest.mark.parametrize("n_bytes", [MAX_APPEND_BYTES, MAX_APPEND_BYTES + 2])
def test_an_append_takes_fifteen_mebibytes(n_bytes):
    audio = base64.b64encode(bytes(n_bytes)).decode()
    if n_bytes <= MAX_APPEND_BYTES:
        assert len(sound_of(audio, "audio/pcm")) == n_bytes
    else:
        with pytest.raises(ClientError, match="at most 15728640 bytes"):
            sound_of(audio, "audio/pcm")


@pytest.mark.parametrize(
    ("audio", "audio_format", "is_taken"),
    [
        ("AAA=", "audio/pcm", True),
        ("AAAA", "audio/pcm", False),
        ("AAAA", "audio/pcma", True),
        ("A", "audio/pcm", False),
    ],
)
def test_half_a_sample_is_refused(audio, audio_format, is_taken):
    if is_taken:
        assert sound_of(audio, audio_format)
    else:
        with pytest.raises(ClientError, match="invalid_value"):
            sound_of(audio, audio_format)


actions = st.one_of(
    st.binary(max_size=4000).map(lambda sound: ("append", base64.b64encode(sound).decode())),
    st.tuples(st.booleans(), st.integers(0, 1200)).map(
        lambda part: ("append", b64(loud(part[1]) if part[0] else quiet(part[1])))
    ),
    st.sampled_from(
        [("commit",), ("clear",), ("response_began",), ("response_ended", 0.0), ("wake", "idle_x")]
    ),
    st.sampled_from(
        [vad(), vad(silence_duration_ms=0, idle_timeout_ms=5), settings_of(None), settings_of(VAD, ULAW)]
    ).map(lambda new: ("configure", new)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(actions, max_size=12))
def test_whatever_is_done_each_turn_that_starts_stops_once_and_no_sound_is_in_two(given_actions):
    audio, speaking, started_ms, stopped_ms, committed_ms = audio_of(), None, 0, 0, 0
    for name, *arguments in given_actions:
        try:
            steps = getattr(audio, name)(*arguments) or ()
        except ClientError:
            continue
        for step in steps:
            if isinstance(step, Send) and step.event["type"].endswith("speech_started"):
                assert speaking is None
                speaking, started_ms = step.event["item_id"], step.event["audio_start_ms"]
                assert started_ms >= committed_ms
            if isinstance(step, Send) and step.event["type"].endswith("speech_stopped"):
                assert speaking == step.event["item_id"]
                speaking, stopped_ms = None, step.event["audio_end_ms"]
                assert stopped_ms >= started_ms
            if isinstance(step, Committed):
                committed_ms = stopped_ms
            if isinstance(step, Interrupt | Respond | Committed):
                assert (speaking is None) == (not isinstance(step, Interrupt))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 900)), max_size=5),
    st.lists(st.integers(0, 80_000), max_size=8),
)
def test_the_turns_do_not_depend_on_how_the_audio_was_cut(parts, cuts):
    samples = np.concatenate([quiet(0), *(loud(ms) if is_loud else quiet(ms) for is_loud, ms in parts)])
    at = sorted(cut % (len(samples) + 1) for cut in cuts)
    audio = audio_of()
    in_parts = [line for part in np.split(samples, at) for line in told(audio.append(b64(part)))]
    assert in_parts == told(audio_of().append(b64(samples)))
