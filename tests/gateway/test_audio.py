"""PCM16 to arrays and back, bit by bit."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.gateway import g711
from trunkline.gateway.audio import (
    SILENCE_DBFS,
    array_to_pcm16,
    duration_ms,
    level_dbfs,
    n_bytes_of,
    pcm16_to_array,
)
from trunkline.gateway.errors import InvalidAudio


@given(st.lists(st.integers(-32768, 32767), max_size=200))
def test_samples_survive_the_way_there_and_back(samples: list[int]):
    array, rest = pcm16_to_array(array_to_pcm16(np.array(samples, dtype=np.int16)))
    assert array.tolist() == samples
    assert rest == b""


@given(st.binary(max_size=101))
def test_any_bytes_are_samples_and_at_most_one_byte_left_over(data: bytes):
    array, rest = pcm16_to_array(data)
    assert array.tobytes() + rest == data
    assert len(rest) == len(data) % 2
    assert array.dtype == np.int16


def test_samples_are_little_endian():
    assert pcm16_to_array(b"\x01\x02\xff\xff")[0].tolist() == [0x0201, -1]
    assert array_to_pcm16(np.array([0x0201, -1], dtype=">i2")) == b"\x01\x02\xff\xff"


def test_an_array_of_received_audio_is_a_read_only_view_and_not_a_copy():
    data = bytes(2000)
    array, _ = pcm16_to_array(data)
    assert not array.flags.writeable
    assert not array.flags.owndata
    assert np.shares_memory(array, np.frombuffer(data, dtype=np.uint8))


def test_an_array_that_was_sent_may_be_used_again_at_once():
    array = np.ones(4, dtype=np.int16)
    data = array_to_pcm16(array)
    array[:] = 7
    assert data == b"\x01\x00" * 4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_are_scaled_and_clipped_and_never_silence(dtype: Any):
    floats = np.array([0.0, 0.5, 1.0, -1.0, 2.0, -2.0], dtype=dtype)
    expected = [0, 16384, 32767, -32767, 32767, -32767]
    assert pcm16_to_array(array_to_pcm16(floats))[0].tolist() == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused_and_not_made_silent(dtype: Any, bad: float):
    with pytest.raises(InvalidAudio, match="NaN or infinity"):
        array_to_pcm16(np.array([0.0, bad, 0.0], dtype=dtype))


def test_every_other_sample_of_an_array_is_sent_as_it_is_seen():
    assert array_to_pcm16(np.arange(6, dtype=np.int16)[::2]) == b"\x00\x00\x02\x00\x04\x00"


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((2, 4), dtype=np.int16),
        np.zeros((4, 2), dtype=np.int16),
        np.zeros(4, dtype=np.float16),
        np.int16(3),
        np.zeros(4, dtype=np.int32),
        np.zeros(4, dtype=np.uint16),
        np.zeros(4, dtype=np.uint8),
        np.zeros(4, dtype=np.complex64),
        np.array(["a"]),
        np.array([None]),
        np.zeros((), dtype=np.int16),
        [1, 2, 3],
        b"\x00\x00",
        None,
    ],
)
def test_what_is_no_mono_int16_or_float_is_refused_and_not_guessed_at(wrong: Any):
    with pytest.raises(InvalidAudio) as refused:
        array_to_pcm16(wrong)
    assert "int16" in str(refused.value)


@pytest.mark.parametrize(
    ("n_bytes", "audio_format", "ms"),
    [
        (0, "pcm16", 0.0),
        (4800, "pcm16", 100.0),
        (48_000, "pcm16", 1000.0),
        (800, "g711_ulaw", 100.0),
        (8000, "g711_alaw", 1000.0),
    ],
)
def test_bytes_and_milliseconds_convert(n_bytes: int, audio_format: str, ms: float):
    assert duration_ms(n_bytes, audio_format) == ms
    assert n_bytes_of(ms, audio_format) == n_bytes


@pytest.mark.parametrize("audio_format", ["pcm16", "g711_ulaw", "g711_alaw"])
@pytest.mark.parametrize(("amplitude", "dbfs"), [(32767, -3.0), (3277, -23.0), (328, -43.0)])
def test_the_level_is_that_of_the_loudest_part(audio_format: str, amplitude: int, dbfs: float):
    tone = (np.sin(np.arange(2400) * 2 * np.pi / 24) * amplitude).astype("<i2")
    samples = np.concatenate([np.zeros(24_000, "<i2"), tone, np.zeros(24_000, "<i2")])
    data = samples.tobytes() if audio_format == "pcm16" else g711.encode(samples, audio_format)
    assert level_dbfs(data, audio_format) == pytest.approx(dbfs, abs=1.5)


@pytest.mark.parametrize("data", [b"", b"\0", bytes(2), bytes(959), bytes(5000)])
def test_silence_has_the_lowest_level_however_little_of_it_there_is(data: bytes):
    assert level_dbfs(data) == SILENCE_DBFS


def test_what_is_shorter_than_a_part_has_a_level_too():
    assert level_dbfs(np.full(100, 16384, "<i2").tobytes()) == pytest.approx(-6.0, abs=0.1)
