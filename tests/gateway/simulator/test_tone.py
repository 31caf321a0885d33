"""The sound of a word, and reading it back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.gateway.simulator import decode_words
from trunkline.gateway.simulator.g711 import RATES_HZ, decode, encode
from trunkline.gateway.simulator.tone import word_ms_of, word_tone

FORMATS = ["audio/pcm", "audio/pcmu", "audio/pcma"]
words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=30)


def spoken(word, word_ms=200, audio_format="audio/pcm"):
    return decode(word_tone(word, word_ms, audio_format), audio_format)


def heard(samples, rate=24_000):
    return [found.word for found in decode_words(samples, rate)]


@pytest.mark.parametrize("audio_format", FORMATS)
def test_words_last_as_long_as_is_meant_for_them(audio_format):
    rate = RATES_HZ[audio_format]
    assert len(spoken("Ottawa", 200, audio_format)) == rate // 5
    assert len(spoken("", 200, audio_format)) == rate // 5
    assert not spoken("", 200, "audio/pcm").any()
    long = "internationalisation"
    assert word_ms_of(long, 200) == 230
    assert len(spoken(long, 200, audio_format)) == rate * 230 // 1000


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(words, st.integers(0, 3000)), min_size=1, max_size=5),
    st.sampled_from(FORMATS),
    st.sampled_from([100, 133, 200, 400]),
)
def test_what_is_spoken_is_heard(said, audio_format, word_ms):
    parts = []
    for word, n_silent in said:
        parts += [np.zeros(n_silent, np.int16), spoken(word, word_ms, audio_format)]
    rate = RATES_HZ[audio_format]
    found = decode_words(np.concatenate(parts), rate)
    assert [one.word for one in found] == [word for word, _ in said]
    at = 0
    for one, (word, n_silent) in zip(found, said, strict=True):
        start = at + n_silent
        at = start + rate * word_ms_of(word, word_ms) // 1000
        assert abs(one.start_ms - start / rate * 1000) < 1
        assert abs(one.end_ms - at / rate * 1000) < 7  # a tone fades out


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 14_400))
def test_a_cut_leaves_the_words_before_it_and_says_where_it_is(n_samples):
    samples = np.concatenate([spoken("one"), spoken("two"), spoken("three")])[:n_samples]
    found = decode_words(samples)
    # The letters of a word come first: 10 ms each behind 30 ms.
    spelled_at = [24 * 60, 4800 + 24 * 60, 9600 + 24 * 80]
    n_expected = sum(n_samples >= end for end in spelled_at)
    assert abs(len(found) - n_expected) <= (min(abs(n_samples - end) for end in spelled_at) < 24)
    assert [one.word for one in found] == ["one", "two", "three"][: len(found)]
    if found:
        assert found[-1].end_ms <= n_samples / 24 + 0.1


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2), st.sampled_from(["audio/pcmu", "audio/pcma"]))
def test_words_survive_the_telephone(first, audio_format):
    wide = np.concatenate([spoken("hello"), np.zeros(777, np.int16), spoken("there,"), spoken("caller.")])
    narrow = decode(encode(wide[first::3], audio_format), audio_format)
    assert heard(narrow, 8000) == ["hello", "there,", "caller."]
    assert heard(np.repeat(narrow, 3), 24_000) == ["hello", "there,", "caller."]


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 22_050, 44_100, 48_000])
def test_words_are_heard_at_any_rate(rate):
    samples = np.concatenate([spoken("hello"), spoken("there")])
    at = np.arange(0, len(samples), 24_000 / rate)
    resampled = np.interp(at, np.arange(len(samples)), samples).astype(np.int16)
    assert heard(resampled, rate) == ["hello", "there"]


def test_a_word_with_a_wrong_letter_is_not_heard():
    samples = np.concatenate([spoken("hello"), spoken("there")])
    samples[24 * 40 : 24 * 50] = spoken("x")[24 * 30 : 24 * 40]
    assert heard(samples) == ["there"]


def test_loudness_does_not_matter():
    assert heard(spoken("hello") // 20) == ["hello"]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=20_000))
def test_no_sound_makes_it_fail(sound):
    assert len(decode_words(np.frombuffer(sound[: len(sound) // 2 * 2], np.int16), 8000)) <= len(sound) // 80


@pytest.mark.parametrize("samples", [np.random.default_rng(0).normal(0, 8000, 240_000).astype(np.int16)])
def test_noise_says_nothing(samples):
    assert decode_words(samples) == []


def test_a_rate_at_which_no_word_fits_is_refused():
    with pytest.raises(ValueError, match="7999 Hz is too low"):
        decode_words(np.zeros(10, np.int16), 7999)
