"""G.711, against the formulas of the standard written out one code at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.gateway.simulator.g711 import decode, encode


def ulaw_value(code):
    """ITU-T G.711 table 2: segments of 16 steps, each twice as wide as the one before; of 14 bits, shown in 16."""
    segment, step = (~code >> 4) & 7, ~code & 15
    magnitude = ((2 * step + 33) << segment) - 33
    return 4 * (magnitude if code & 0x80 else -magnitude)


def alaw_value(code):
    """ITU-T G.711 table 1: the first two segments are alike, then each is twice as wide; of 13 bits, shown in 16."""
    even = code ^ 0x55
    segment, step = (even >> 4) & 7, even & 15
    magnitude = 2 * step + 1 if segment == 0 else (2 * step + 33) << (segment - 1)
    return 8 * (magnitude if even & 0x80 else -magnitude)


VALUES = {"audio/pcmu": ulaw_value, "audio/pcma": alaw_value}
# The ends and a middle of the standard's tables, and what Sun's g711.c and Python's former audioop give.
DECODED = {
    "audio/pcmu": {0x00: -32124, 0x80: 32124, 0xFF: 0, 0x7F: 0, 0xCE: 988, 0x4E: -988, 0xF2: 104},
    "audio/pcma": {0x2A: -32256, 0xAA: 32256, 0xD5: 8, 0x55: -8, 0xFA: 1008, 0x7A: -1008},
}
ENCODED = {
    "audio/pcmu": {0: 0xFF, 1: 0xFF, -1: 0x7E, 100: 0xF2, -100: 0x72, 1000: 0xCE, -1000: 0x4E, 32767: 0x80},
    "audio/pcma": {0: 0xD5, 16: 0xD4, -16: 0x55, -17: 0x54, 100: 0xD3, -100: 0x53, 1000: 0xFA, 32767: 0xAA},
}
ALL_CODES = bytes(range(256))


@pytest.mark.parametrize("law", VALUES)
def test_each_of_the_256_codes_decodes_to_the_value_of_the_standard(law):
    assert decode(ALL_CODES, law).tolist() == [VALUES[law](code) for code in range(256)]
    assert {code: int(decode(bytes([code]), law)[0]) for code in DECODED[law]} == DECODED[law]


@pytest.mark.parametrize("law", VALUES)
def test_known_samples_encode_as_the_reference_does(law):
    given_samples = np.array(list(ENCODED[law]), np.int16)
    assert list(encode(given_samples, law)) == list(ENCODED[law].values())


@pytest.mark.parametrize("law", VALUES)
def test_a_decoded_code_encodes_to_itself(law):
    again = encode(decode(ALL_CODES, law), law)
    # mu-law has two zeros, which are one sample.
    assert [c for c in range(256) if again[c] != c] == ([0x7F] if law == "audio/pcmu" else [])


@pytest.mark.parametrize("law", VALUES)
def test_every_sample_encodes_to_a_code_next_to_it(law):
    values = np.unique(decode(ALL_CODES, law).astype(int))
    samples = np.arange(values[0], values[-1] + 1)
    heard = decode(encode(samples.astype(np.int16), law), law).astype(int)
    assert (np.diff(heard) >= 0).all()
    above = np.searchsorted(values, samples)
    low, high = values[np.maximum(above - 1, 0)], values[above]
    assert np.all((heard == low) | (heard == high))
    # Half a step, and what rounding 16 bits down to 14 or 13 adds.
    assert np.all(np.abs(samples - heard) <= np.maximum((high - low) * 0.8, 12))


@given(st.binary(max_size=200))
def test_pcm_is_passed_through(sound):
    whole = sound[: len(sound) // 2 * 2]
    assert encode(decode(whole, "audio/pcm"), "audio/pcm") == whole
