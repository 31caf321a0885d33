"""Sound between the wire formats, and in pieces."""

from __future__ import annotations

import numpy as np
import pytest

from trunkline.gateway.simulator.g711 import decode
from trunkline.gateway.simulator.recorded_sound import from_pcm, pieces_of, spread, to_pcm

FORMATS = ["audio/pcm", "audio/pcmu", "audio/pcma"]
ALL_CODES = bytes(range(256))


@pytest.mark.parametrize("audio_format", FORMATS)
def test_there_and_back_is_the_same_sound(audio_format):
    there = to_pcm(ALL_CODES, audio_format)
    back = from_pcm(there, audio_format)
    # Compared as samples: mu-law has two codes for silence.
    assert np.array_equal(decode(back, audio_format), decode(ALL_CODES, audio_format))


def test_8_khz_lasts_as_long_at_24_khz():
    assert len(to_pcm(bytes(8), "audio/pcmu")) == 48
    assert len(from_pcm(bytes(48), "audio/pcma")) == 8


def test_samples_that_make_no_whole_one_at_8_khz_are_left_out():
    assert len(from_pcm(bytes(2 * 8), "audio/pcmu")) == 2


def test_the_mean_of_loud_samples_does_not_overflow():
    loud = np.full(3, 32_767, np.int16).tobytes()
    assert decode(from_pcm(loud, "audio/pcma"), "audio/pcma")[0] > 32_000


@pytest.mark.parametrize(
    ("n_ms", "lengths_ms"), [(0, [0]), (99, [99]), (100, [100]), (101, [100, 1]), (250, [100, 100, 50])]
)
@pytest.mark.parametrize(("audio_format", "n_bytes"), [("audio/pcm", 48), ("audio/pcmu", 8)])
def test_pieces_are_of_one_length_but_for_the_last(n_ms, lengths_ms, audio_format, n_bytes):
    sound = bytes(n_ms * n_bytes)
    pieces = pieces_of(sound, audio_format, 100)
    assert [len(piece) // n_bytes for piece in pieces] == lengths_ms
    assert b"".join(pieces) == sound


@pytest.mark.parametrize(
    ("words", "n", "said"),
    [
        ([], 2, ["", ""]),
        (["a", " b"], 2, ["a", " b"]),
        (["a", " b"], 4, ["a", "", " b", ""]),
        (["a", " b", " c"], 1, ["a b c"]),
    ],
)
def test_words_are_spread_evenly_and_none_is_lost(words, n, said):
    assert spread(words, n) == said
