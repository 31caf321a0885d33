"""Deltas become samples, wherever the provider cut them."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.gateway import g711
from trunkline.gateway.audio_output import AudioOutput
from trunkline.gateway.errors import ConfigError

LAWS = ("g711_ulaw", "g711_alaw")


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_samples_do_not_depend_on_where_the_deltas_were_cut(data, cuts):
    output = AudioOutput()
    ends = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    arrays = [output.decode("i", data[a:b]) for a, b in pairwise(ends)]

    assert np.concatenate(arrays).tobytes() == data[: len(data) & ~1]
    assert all(array.dtype == np.int16 and not array.flags.writeable for array in arrays)


def test_the_odd_byte_belongs_to_its_item():
    output = AudioOutput()
    assert output.decode("a", b"\x01\x00\x02").tolist() == [1]
    assert output.decode("b", b"\x03\x00\x04").tolist() == [3]
    assert output.decode("a", b"\x00").tolist() == [2]
    assert output.decode("b", b"\x00\x05\x00").tolist() == [4, 5]
    assert output.decode("a", b"\x06\x00").tolist() == [6]


def test_the_odd_byte_of_an_item_that_ended_is_forgotten():
    output = AudioOutput()
    output.decode("a", b"\x01")
    output.decode("b", b"\x01")
    output.end("a")
    output.end("never heard of")
    assert output.decode("a", b"\x02\x00").tolist() == [2]
    output.clear()
    assert output.decode("b", b"\x02\x00").tolist() == [2]


def test_pcm_is_a_view_on_what_came_and_not_a_copy():
    data = bytes(range(200))
    assert np.shares_memory(AudioOutput().decode("i", data), np.frombuffer(data, np.uint8))


@pytest.mark.parametrize("law", LAWS)
def test_g711_is_decoded_byte_by_byte_and_nothing_is_carried_over(law):
    output = AudioOutput(law)
    codes = bytes(range(256))
    arrays = [output.decode("i", codes[:51]), output.decode("i", codes[51:])]

    assert np.concatenate(arrays).tolist() == g711.decode(codes, law).tolist()
    assert not any(array.flags.writeable for array in arrays)


@pytest.mark.parametrize(("audio_format", "rate_hz"), [("pcm16", 24_000), *((law, 8_000) for law in LAWS)])
def test_it_says_what_it_decodes_to(audio_format, rate_hz):
    output = AudioOutput(audio_format)
    assert (output.audio_format, output.rate_hz) == (audio_format, rate_hz)


def test_a_format_that_does_not_exist_is_refused():
    with pytest.raises(ConfigError):
        AudioOutput("opus")
