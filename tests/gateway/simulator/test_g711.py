"""G.711, against the formulas of the standard written out one code at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.gateway.g711 import decode as decode_at_the_other_end
from trunkline.gateway.g711 import encode as encode_at_the_other_end
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
# The ends and a middle of the standard's tables.
DECODED = {
    "audio/pcmu": {0x00: -32124, 0x80: 32124, 0xFF: 0, 0x7F: 0, 0xCE: 988, 0x4E: -988, 0xF2: 104},
    "audio/pcma": {0x2A: -32256, 0xAA: 32256, 0xD5: 8, 0x55: -8, 0xFA: 1008, 0x7A: -1008},
}
ENCODED = {
    "audio/pcmu": {
        0: 0xFF,
        1: 0xFF,
        -1: 0x7F,
        -4: 0x7F,
        -5: 0x7E,
        4: 0xFE,
        100: 0xF2,
        -100: 0x73,
        1000: 0xCE,
        -1000: 0x4E,
        32767: 0x80,
    },
    "audio/pcma": {0: 0xD5, 16: 0xD4, -16: 0x55, -17: 0x54, 100: 0xD3, -100: 0x53, 1000: 0xFA, 32767: 0xAA},
}
ALL_CODES = bytes(range(256))
# Where the intervals of positive samples end, from column 1 of tables 1a and 2a: (how many, how wide), in the unit of column 5.
INTERVALS = {
    "audio/pcmu": (4, [(1, 1), (15, 2), *((16, 2 << n) for n in range(1, 8))]),
    "audio/pcma": (8, [(32, 2), *((16, 2 << n) for n in range(1, 7))]),
}


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
def test_every_sample_has_the_code_of_the_interval_between_two_decision_values(law):
    unit, segments = INTERVALS[law]
    ends = np.cumsum([unit * width for count, width in segments for _ in range(count)])
    samples = np.arange(-32_768, 32_768)
    codes = np.frombuffer(encode(samples.astype(np.int16), law), np.uint8)
    number = (~codes if law == "audio/pcmu" else codes ^ 0x55) & 0x7F
    ends[-1] = 32_769  # what is beyond the last decision value is clipped to it
    begins = np.concatenate([[0], ends[:-1]])
    assert np.all(begins[number] <= np.abs(samples))
    assert np.all(np.abs(samples) <= ends[number])
    assert np.all((codes < 0x80) == (samples < 0))
    on_one = np.isin(np.abs(samples), ends)
    # The standard leaves these open. ITU's software: the outer interval for a positive sample, the inner one for a negative.
    assert np.all(np.abs(samples)[on_one] == np.where(samples > 0, begins[number], ends[number])[on_one])


@pytest.mark.parametrize(("law", "name"), [("audio/pcmu", "g711_ulaw"), ("audio/pcma", "g711_alaw")])
def test_both_ends_of_the_line_say_the_same(law, name):
    samples = np.arange(-32_768, 32_768).astype(np.int16)
    assert encode(samples, law) == encode_at_the_other_end(samples, name)
    assert decode(ALL_CODES, law).tolist() == decode_at_the_other_end(ALL_CODES, name).tolist()


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
