"""Sound that is not made here: a caller's own, from one wire format to another and cut into pieces. Pure.

Between 8 kHz and 24 kHz a sample becomes three equal ones, and three become their mean: there and back changes nothing.
"""

from __future__ import annotations

import numpy as np

from .g711 import BYTES_PER_MS, RATES_HZ, Samples, decode, encode

_RATIO = 3
_PCM = "audio/pcm"


def to_pcm(sound: bytes, audio_format: str) -> bytes:
    """Return a sound in a wire format as PCM: 16 bit little endian, mono, 24 kHz."""
    samples = decode(sound, audio_format)
    return encode(samples if RATES_HZ[audio_format] == RATES_HZ[_PCM] else np.repeat(samples, _RATIO), _PCM)


def from_pcm(pcm: bytes, audio_format: str) -> bytes:
    """Return PCM (16 bit little endian, mono, 24 kHz) in a wire format; up to two samples are lost at 8 kHz."""
    samples = decode(pcm, _PCM)
    if RATES_HZ[audio_format] != RATES_HZ[_PCM]:
        triples = samples[: len(samples) // _RATIO * _RATIO].reshape(-1, _RATIO)
        mean: Samples = np.rint(triples.mean(axis=1)).astype(np.int16)
        samples = mean
    return encode(samples, audio_format)


def pieces_of(sound: bytes, audio_format: str, piece_ms: int) -> list[bytes]:
    """Cut a sound in a wire format into pieces of `piece_ms`, at least one; the last one may be shorter."""
    n_bytes = BYTES_PER_MS[audio_format] * piece_ms
    return [sound[start : start + n_bytes] for start in range(0, max(1, len(sound)), n_bytes)]


def spread(words: list[str], n_pieces: int) -> list[str]:
    """Return what is said in each piece: the words, evenly over all of them."""
    said = [""] * n_pieces
    for index, word in enumerate(words):
        said[index * n_pieces // len(words)] += word
    return said
