"""G.711: mu-law and A-law, 8 bits per sample at 8 kHz, from and to PCM16. Pure.

Each law is 256 values. Decoding looks a code up; encoding looks a sample up in a table of 65,536 codes, made on first use: a
lookup per sample is all that a frame costs.

A sample stands for the interval from itself to the next one, as in the reference software of ITU: a negative sample has the code of
its complement with the sign bit turned, and both laws are symmetric.

Source: ITU-T G.711 (1988), tables 1a to 2b; ITU-T G.191, g711.c.
"""

from functools import cache
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

_SIGN: Final = 0x80
_ALAW_MASK: Final = 0x55
_ULAW_BIAS: Final = 33
_ULAW_MAX: Final = 0x1FFF

_Codes: TypeAlias = npt.NDArray[np.uint8]
_Samples: TypeAlias = npt.NDArray[np.int16]
_Numbers: TypeAlias = npt.NDArray[np.int64]


def decode(data: bytes | memoryview, law: str) -> _Samples:
    """Return G.711 as PCM16.

    Args:
        data: one byte per sample.
        law: ``g711_ulaw`` or ``g711_alaw``.

    Returns:
        A read-only ``(n_samples,)`` int16 array, one sample per byte.
    """
    samples = _decoding(law).take(np.frombuffer(data, np.uint8))
    samples.flags.writeable = False
    return samples


def encode(samples: _Samples, law: str) -> bytes:
    """Return PCM16 as G.711.

    Args:
        samples: ``(n_samples,)`` int16, mono, 8 kHz.
        law: ``g711_ulaw`` or ``g711_alaw``.
    """
    native = np.ascontiguousarray(samples, np.int16)  # on the wire's side a sample may be big-endian
    return _encoding(law).take(native.view(np.uint16)).tobytes()


@cache
def _decoding(law: str) -> _Samples:
    codes = np.arange(256)
    return _EXPAND[law](codes).astype(np.int16)


@cache
def _encoding(law: str) -> _Codes:
    samples = np.arange(65_536).astype(np.uint16).view(np.int16).astype(np.int64)
    return _COMPRESS[law](samples).astype(np.uint8)


def _expand_ulaw(codes: _Numbers) -> _Numbers:
    inverted = ~codes & 0xFF
    segment, step = inverted >> 4 & 7, inverted & 15
    magnitude = (((2 * step + _ULAW_BIAS) << segment) - _ULAW_BIAS) * 4
    return np.where(codes & _SIGN, magnitude, -magnitude)


def _expand_alaw(codes: _Numbers) -> _Numbers:
    plain = codes ^ _ALAW_MASK
    segment, step = plain >> 4 & 7, plain & 15
    # the first two segments have steps of one size, so the second begins where the first ends: hence the hidden bit from there on
    magnitude = np.where(segment == 0, 16 * step + 8, (16 * (step + 16) + 8) << np.maximum(segment - 1, 0))
    return np.where(codes & _SIGN, magnitude, -magnitude)


def _compress_ulaw(samples: _Numbers) -> _Numbers:
    magnitude = np.minimum((_one_sided(samples) >> 2) + _ULAW_BIAS, _ULAW_MAX)
    segment = _highest_bit(magnitude) - 5
    step = magnitude >> (segment + 1) & 15
    codes: _Numbers = ~(segment << 4 | step) & 0x7F | _sign_of(samples)
    return codes


def _compress_alaw(samples: _Numbers) -> _Numbers:
    magnitude = _one_sided(samples) >> 4
    segment = np.maximum(_highest_bit(magnitude) - 3, 0)
    step = magnitude >> np.maximum(segment - 1, 0) & 15
    codes: _Numbers = (segment << 4 | step | _sign_of(samples)) ^ _ALAW_MASK
    return codes


def _one_sided(samples: _Numbers) -> _Numbers:
    return np.where(samples < 0, ~samples, samples)


def _sign_of(samples: _Numbers) -> _Numbers:
    return np.where(samples < 0, 0, _SIGN)


def _highest_bit(numbers: _Numbers) -> _Numbers:
    """Return the place of the highest bit that is set, -1 for zero."""
    return np.frexp(numbers.astype(np.float64))[1].astype(np.int64) - 1


_EXPAND: Final = {"g711_ulaw": _expand_ulaw, "g711_alaw": _expand_alaw}
_COMPRESS: Final = {"g711_ulaw": _compress_ulaw, "g711_alaw": _compress_alaw}
