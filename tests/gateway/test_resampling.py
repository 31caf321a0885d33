"""Another rate, without a click where chunks meet."""

import pickle
import sys

import numpy as np
import pytest

from trunkline.gateway.errors import GatewayError, MissingExtra
from trunkline.gateway.resampling import Resampler

RATES = [(48_000, 24_000), (44_100, 24_000), (16_000, 24_000), (8_000, 24_000), (48_000, 8_000)]


def tone(rate, seconds=1.0, hz=440.0):
    return np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate, dtype=np.float64).astype(np.float32)


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES)
def test_a_tone_keeps_its_pitch_its_level_and_its_length(from_hz, to_hz):
    resampler = Resampler(from_hz, to_hz)
    out = np.concatenate([resampler.feed(tone(from_hz)), resampler.finish()])

    assert abs(len(out) - to_hz) <= 1
    middle = slice(to_hz // 10, -to_hz // 10)  # a tone that is cut off rings at its ends
    n = min(len(out), to_hz)
    assert np.abs(out[:n] - tone(to_hz)[:n])[middle].max() < 0.001


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES)
@pytest.mark.parametrize("size", [1, 160, 441, 7919])
def test_chunks_give_what_the_whole_gives(from_hz, to_hz, size):
    signal = tone(from_hz, 0.2)
    resampler = Resampler(from_hz, to_hz)
    chunks = [resampler.feed(signal[at : at + size]) for at in range(0, len(signal), size)]
    chunks.append(resampler.finish())
    whole = Resampler(from_hz, to_hz)
    expected = np.concatenate([whole.feed(signal), whole.finish()])

    assert np.array_equal(np.concatenate(chunks), expected)


def test_after_finish_a_new_stream_begins():
    resampler = Resampler(16_000, 24_000)
    first = np.concatenate([resampler.feed(tone(16_000, 0.1)), resampler.finish()])
    second = np.concatenate([resampler.feed(tone(16_000, 0.1)), resampler.finish()])

    assert np.array_equal(first, second)


def test_an_empty_stream_gives_nothing():
    assert Resampler(16_000, 24_000).finish().tolist() == []


def test_without_soxr_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "soxr", None)
    with pytest.raises(MissingExtra) as missing:
        Resampler(44_100, 24_000)
    text = str(missing.value)

    assert "pip install 'trunkline[audio]'" in text
    assert "44100 Hz" in text
    assert "24000 Hz" in text
    assert missing.value.extra == "audio"
    assert isinstance(missing.value, GatewayError)
    assert isinstance(missing.value, ImportError)
    assert str(pickle.loads(pickle.dumps(missing.value))) == text
