"""G.711 against the tables of the recommendation, all of them, built here from what the recommendation prints."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.gateway.g711 import decode, encode

LAWS = ("g711_ulaw", "g711_alaw")

# Tables 1a and 2a, columns 1 to 3: the intervals of each segment, their size, and (here computed, there printed) their ends.
# Unit of the A-law table: 4096 is full scale, 8 of our 16 bits; of the mu-law table: 8192 with the bias of 33, 4 of our 16 bits.
ALAW_SEGMENTS = [(32, 2), (16, 4), (16, 8), (16, 16), (16, 32), (16, 64), (16, 128)]
ALAW_ENDS = [64, 128, 256, 512, 1024, 2048, 4096]
ULAW_SEGMENTS = [(1, 1), (15, 2), *((16, 2 << n) for n in range(1, 8))]
ULAW_ENDS = [1, 31, 95, 223, 479, 991, 2015, 4063, 8159]


def decision_values(segments):
    """Column 5: x(1), x(2), ... which end the intervals."""
    return np.cumsum([size for count, size in segments for _ in range(count)])


def alaw_tables():
    """Return (decision values, quantized values, codes of positive values, codes of negative ones), in 16-bit units."""
    ends = decision_values(ALAW_SEGMENTS)
    begins = np.concatenate([[0], ends[:-1]])
    numbers = np.arange(128)
    # column 6: the sign bit is 1 for positive values; the note: the even bits are inverted for transmission
    return ends * 8, (begins + ends) // 2 * 8, (numbers | 0x80) ^ 0x55, numbers ^ 0x55


def ulaw_tables():
    ends = decision_values(ULAW_SEGMENTS)
    begins = np.concatenate([[0], ends[:-1]])
    values = (begins + ends) // 2
    values[0] = 0  # column 7: y(0) is zero, not the middle
    numbers = np.arange(128)
    # column 6: 11111111 is the smallest positive value, 10000000 the largest
    return ends * 4, values * 4, 0xFF - numbers, 0x7F - numbers


TABLES = {"g711_alaw": alaw_tables(), "g711_ulaw": ulaw_tables()}


def test_the_tables_of_this_test_have_the_ends_that_the_recommendation_prints():
    for segments, ends in ((ALAW_SEGMENTS, ALAW_ENDS), (ULAW_SEGMENTS, ULAW_ENDS)):
        values = decision_values(segments)
        assert [values[n - 1] for n in np.cumsum([count for count, _ in segments])] == ends
        assert len(values) == 128


@pytest.mark.parametrize("law", LAWS)
def test_every_code_decodes_to_its_quantized_value(law):
    _, quantized, positive, negative = TABLES[law]
    assert decode(bytes(positive.tolist()), law).tolist() == quantized.tolist()
    assert decode(bytes(negative.tolist()), law).tolist() == (-quantized).tolist()


@pytest.mark.parametrize("law", LAWS)
def test_every_sample_gets_the_code_of_the_interval_it_lies_in(law):
    ends, _, positive, negative = TABLES[law]
    samples = np.arange(-32768, 32768)
    magnitude = np.where(samples < 0, -1 - samples, samples)
    number = np.minimum(np.searchsorted(ends, magnitude, side="right"), 127)  # beyond the last: clipped
    expected = np.where(samples < 0, negative[number], positive[number])
    assert list(encode(samples.astype(np.int16), law)) == expected.tolist()


@pytest.mark.parametrize(
    ("law", "code", "sample"),
    [
        ("g711_ulaw", 0x00, -32124),
        ("g711_ulaw", 0x7F, 0),
        ("g711_ulaw", 0x80, 32124),
        ("g711_ulaw", 0xFF, 0),
        ("g711_alaw", 0x55, -8),
        ("g711_alaw", 0xD5, 8),
        ("g711_alaw", 0x2A, -32256),
        ("g711_alaw", 0xAA, 32256),
    ],
)
def test_the_corners_that_everybody_knows(law, code, sample):
    assert decode(bytes([code]), law).tolist() == [sample]


@pytest.mark.parametrize("law", LAWS)
def test_what_was_decoded_encodes_to_the_same_code_but_for_the_negative_zero(law):
    codes = bytes(code for code in range(256) if (law, code) != ("g711_ulaw", 0x7F))
    assert encode(decode(codes, law), law) == codes


@pytest.mark.parametrize("law", LAWS)
@given(samples=st.lists(st.integers(-32768, 32767), max_size=50))
def test_a_sample_comes_back_within_half_a_step(law, samples):
    sent = np.array(samples, np.int16)
    came = decode(encode(sent, law), law).astype(int)
    assert np.all(np.abs(came - sent) <= np.maximum(8, np.abs(sent.astype(int)) / 16 + 8).clip(max=1024))


@pytest.mark.parametrize("law", LAWS)
def test_what_is_decoded_is_read_only_and_of_its_own(law):
    data = bytearray(b"\x10\x20")
    array = decode(memoryview(data), law)
    data[:] = b"\x00\x00"
    assert array.tolist() == decode(b"\x10\x20", law).tolist()
    assert array.dtype == np.int16
    assert not array.flags.writeable


@pytest.mark.parametrize("law", LAWS)
def test_nothing_is_nothing_and_any_layout_of_an_array_will_do(law):
    assert decode(b"", law).tolist() == []
    assert encode(np.array([], np.int16), law) == b""
    samples = np.arange(-4000, 4000, 100, np.int16)
    assert encode(samples[::2], law) == encode(samples, law)[::2]
    assert encode(samples.astype(">i2"), law) == encode(samples, law)
