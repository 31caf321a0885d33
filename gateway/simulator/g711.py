"""G.711 as tables: mu-law and A-law to 16-bit samples and back. Pure.

A decoding table follows the standard's formula for each of the 256 codes. An encoding table gives each of the 65,536 samples the
code whose decision interval it lies in. The standard's decision values are multiples of 4 (mu) and 16 (A), and it does not say
which of two intervals a sample belongs to that lies on one; ITU's own software takes the outer one for a positive sample, the
inner one for a negative. (Sun's g711.c and Python's former audioop round negative samples away from zero before they look: -1 is
then not in the interval from 0 to -4.)

Source: ITU-T G.711 (11/88), tables 1a, 1b, 2a, 2b; on the decision values ITU-T G.191, g711.c.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]
"""`(n_samples,) int16`, mono."""

_ULAW_BIAS = 33
_ULAW_CLIP = 8_158
_CODES = np.arange(256, dtype=np.int32)
_ALL = np.arange(-32_768, 32_768, dtype=np.int32)


def _ulaw_decoding() -> Samples:
    flipped = ~_CODES & 0xFF
    exponent, mantissa = (flipped >> 4) & 7, flipped & 0x0F
    magnitude = (((mantissa << 1) + _ULAW_BIAS) << exponent) - _ULAW_BIAS  # of 14 bits
    table: Samples = (np.where(flipped & 0x80, -magnitude, magnitude) << 2).astype(np.int16)
    return table


def _alaw_decoding() -> Samples:
    flipped = _CODES ^ 0x55
    exponent, mantissa = (flipped >> 4) & 7, flipped & 0x0F
    linear = (mantissa << 1) + 1
    magnitude = np.where(exponent == 0, linear, (linear + 32) << np.maximum(exponent - 1, 0))  # of 13 bits
    table: Samples = (np.where(flipped & 0x80, magnitude, -magnitude) << 3).astype(np.int16)
    return table


def _ulaw_encoding() -> npt.NDArray[np.uint8]:
    value = _ALL >> 2
    sign = np.where(value < 0, 0x80, 0)
    magnitude = np.minimum(np.where(value >= 0, value, -value - 1), _ULAW_CLIP) + _ULAW_BIAS
    exponent = _bits(magnitude) - 6
    mantissa = (magnitude >> (exponent + 1)) & 0x0F
    table: npt.NDArray[np.uint8] = (~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8)
    return table


def _alaw_encoding() -> npt.NDArray[np.uint8]:
    value = _ALL >> 3
    sign = np.where(value >= 0, 0x80, 0)
    magnitude = np.where(value >= 0, value, -value - 1)
    exponent = np.maximum(_bits(magnitude) - 5, 0)
    mantissa = (magnitude >> np.maximum(exponent, 1)) & 0x0F
    table: npt.NDArray[np.uint8] = ((sign | (exponent << 4) | mantissa) ^ 0x55).astype(np.uint8)
    return table


def _bits(magnitude: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Return how many bits each value takes; exact, as frexp knows no rounding."""
    exponents: npt.NDArray[np.int32] = np.frexp(magnitude.astype(np.float64))[1].astype(np.int32)
    return exponents


_DECODING = {"audio/pcmu": _ulaw_decoding(), "audio/pcma": _alaw_decoding()}
_ENCODING = {"audio/pcmu": _ulaw_encoding(), "audio/pcma": _alaw_encoding()}

RATES_HZ = {"audio/pcm": 24_000, "audio/pcmu": 8_000, "audio/pcma": 8_000}
"""Samples per second by wire format."""
BYTES_PER_MS = {"audio/pcm": 48, "audio/pcmu": 8, "audio/pcma": 8}
"""Bytes per millisecond by wire format."""
SAMPLE_BYTES = {"audio/pcm": 2, "audio/pcmu": 1, "audio/pcma": 1}
"""Bytes per sample by wire format."""


def decode(sound: bytes, audio_format: str) -> Samples:
    """Return the samples of a sound in a wire format, at the format's rate.

    Args:
        sound: Whole samples of it.
        audio_format: `audio/pcm`, `audio/pcmu` or `audio/pcma`.
    """
    if audio_format == "audio/pcm":
        return np.frombuffer(sound, dtype="<i2").astype(np.int16, copy=False)
    decoded: Samples = _DECODING[audio_format][np.frombuffer(sound, dtype=np.uint8)]
    return decoded


def encode(samples: Samples, audio_format: str) -> bytes:
    """Return `(n_samples,) int16` in a wire format, which has to have the samples' rate."""
    if audio_format == "audio/pcm":
        return samples.astype("<i2", copy=False).tobytes()
    return _ENCODING[audio_format][samples.astype(np.int32) + 32_768].tobytes()
