"""Speech without a speech engine: a tone per word, in the session's audio format. Pure.

The same word always has the same pitch and length, so a test can tell by the samples what was said and where it was cut.
"""

from __future__ import annotations

import zlib
from functools import lru_cache

import numpy as np
import numpy.typing as npt

PCM_RATE_HZ = 24_000
G711_RATE_HZ = 8_000
_LOUDNESS = 8_000
_LOWEST_HZ = 220
_SPREAD_HZ = 660
_FADE_MS = 5
_ULAW_BIAS = 33
_ULAW_CLIP = 8_158

Samples = npt.NDArray[np.int16]


def rate_of(audio_format: str) -> int:
    """Return the samples per second of a wire format (`audio/pcm`, `audio/pcmu`, `audio/pcma`)."""
    return PCM_RATE_HZ if audio_format == "audio/pcm" else G711_RATE_HZ


def frequency_of(word: str) -> int:
    """Return the pitch of a word in Hz."""
    return _LOWEST_HZ + zlib.crc32(word.lower().encode()) % _SPREAD_HZ


@lru_cache(maxsize=512)
def word_tone(word: str, duration_ms: int, audio_format: str) -> bytes:
    """Return the sound of a word, encoded.

    Args:
        word: Decides the pitch.
        duration_ms: Milliseconds.
        audio_format: `audio/pcm` (16 bit little endian, 24 kHz), `audio/pcmu` or `audio/pcma` (8 kHz).
    """
    samples = _sine(frequency_of(word), duration_ms, rate_of(audio_format))
    if audio_format == "audio/pcmu":
        return encode_ulaw(samples)
    if audio_format == "audio/pcma":
        return encode_alaw(samples)
    return samples.astype("<i2").tobytes()


def _sine(frequency_hz: int, duration_ms: int, rate_hz: int) -> Samples:
    n_samples = rate_hz * duration_ms // 1000
    wave = _LOUDNESS * np.sin(2 * np.pi * frequency_hz * np.arange(n_samples) / rate_hz)
    # Faded at both ends: without it each word border is an audible click.
    fade = np.minimum(1.0, np.arange(n_samples) / max(1, rate_hz * _FADE_MS // 1000))
    samples: Samples = np.rint(wave * fade * fade[::-1]).astype(np.int16)
    return samples


def encode_ulaw(samples: Samples) -> bytes:
    """Encode `(n_samples,) int16` as G.711 mu-law. Source: ITU-T G.711."""
    value = samples.astype(np.int32) >> 2  # the law is one of 14 bits
    sign = np.where(value < 0, 0x80, 0)
    magnitude = np.minimum(np.abs(value), _ULAW_CLIP) + _ULAW_BIAS
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 5
    mantissa = (magnitude >> (exponent + 1)) & 0x0F
    codes: bytes = (~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8).tobytes()
    return codes


def encode_alaw(samples: Samples) -> bytes:
    """Encode `(n_samples,) int16` as G.711 A-law. Source: ITU-T G.711."""
    value = samples.astype(np.int32) >> 3
    sign = np.where(value >= 0, 0x80, 0)
    magnitude = np.where(value >= 0, value, -value - 1)
    exponent = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int32) - 4, 0)
    mantissa = np.where(exponent > 0, magnitude >> np.maximum(exponent, 1), magnitude >> 1) & 0x0F
    codes: bytes = ((sign | (exponent << 4) | mantissa) ^ 0x55).astype(np.uint8).tobytes()
    return codes
