"""The sound of a word."""

from __future__ import annotations

import numpy as np
import pytest

from trunkline.gateway.simulator.tone import encode_alaw, encode_ulaw, frequency_of, rate_of, word_tone


@pytest.mark.parametrize("word", ["Ottawa", "Paris"])
def test_a_word_sounds_at_its_own_pitch(word):
    samples = np.frombuffer(word_tone(word, 200, "audio/pcm"), dtype="<i2")
    assert len(samples) == 4800
    spectrum = np.abs(np.fft.rfft(samples))
    assert abs(np.argmax(spectrum) * rate_of("audio/pcm") / len(samples) - frequency_of(word)) <= 5
    assert word_tone(word, 200, "audio/pcm") == word_tone(word.upper(), 200, "audio/pcm")


# Reference values of ITU-T G.711 as Sun's g711.c and Python's former audioop have them.
ULAW = {0: 0xFF, 1: 0xFF, -1: 0x7E, 100: 0xF2, -100: 0x72, 1000: 0xCE, -1000: 0x4E, 32767: 0x80, -32768: 0x00}
ALAW = {
    0: 0xD5,
    16: 0xD4,
    -16: 0x55,
    -17: 0x54,
    100: 0xD3,
    -100: 0x53,
    1000: 0xFA,
    -1000: 0x7A,
    32767: 0xAA,
    -32768: 0x2A,
}


@pytest.mark.parametrize(("encode", "table"), [(encode_ulaw, ULAW), (encode_alaw, ALAW)])
def test_g711_agrees_with_the_reference(encode, table):
    assert list(encode(np.array(list(table), dtype=np.int16))) == list(table.values())
