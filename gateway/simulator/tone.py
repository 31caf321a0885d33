"""Speech without a speech engine: each word is a short sequence of tones that spells it, so that it can be read back. Pure.

A word begins with a chirp, which marks its start. Then come two bytes, its length and a check, and its letters in UTF-8: each
byte is 10 ms of two tones, one of 16 low ones and one of 16 high ones, as on a telephone's keys. What is left of its time is
filled with one tone, whose pitch is the word's own. `decode_words` reads it back, also from G.711.
"""

from __future__ import annotations

import zlib
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from .g711 import RATES_HZ, Samples, encode

SYMBOL_MS = 10
"""Milliseconds of a chirp, and of a byte."""
LOUDNESS = 8_000
"""The highest sample of any tone."""
LOWEST_HZ, SPACING_HZ = 300, 100
"""The first of 32 tones, and how far they are apart: just enough to tell them apart in 10 ms."""
CHIRP_HZ = (400.0, 3_400.0)
"""Where a chirp begins and ends."""
HEADER_BYTES = 2
"""The word's length in bytes, and a check."""
_MAX_WORD_BYTES = 255
_LOWEST_PITCH_HZ = 220
_PITCH_SPREAD_HZ = 660
_FADE_S = 0.001
_LONG_FADE_S = 0.005
_CACHED_MS = 500

Wave = npt.NDArray[np.float64]


def pitch_of(word: str) -> int:
    """Return the pitch of a word in Hz: of the tone that fills its time."""
    return _LOWEST_PITCH_HZ + zlib.crc32(word.lower().encode()) % _PITCH_SPREAD_HZ


def word_ms_of(word: str, word_ms: int) -> int:
    """Return how long a word sounds: `word_ms`, or longer if its letters take longer.

    Args:
        word: As it is sent.
        word_ms: Milliseconds that are meant for it.
    """
    return max(word_ms, SYMBOL_MS * (1 + len(_spelling(word)))) if word else word_ms


def word_tone(word: str, word_ms: int, audio_format: str) -> bytes:
    """Return the sound of a word, encoded; no word is silence.

    Args:
        word: What is spelled. Of more than 255 bytes only the first are.
        word_ms: Milliseconds; longer if its letters take longer (`word_ms_of`).
        audio_format: `audio/pcm` (16 bit little endian, 24 kHz), `audio/pcmu` or `audio/pcma` (8 kHz).
    """
    # A response says the same few words over and over; a tone of a minute is not worth its megabytes.
    return (_cached_tone if word_ms <= _CACHED_MS else _tone)(word, word_ms, audio_format)


def _tone(word: str, word_ms: int, audio_format: str) -> bytes:
    return encode(word_samples(word, word_ms, RATES_HZ[audio_format]), audio_format)


_cached_tone = lru_cache(maxsize=512)(_tone)


def encode_words(text: str, rate_hz: int = 24_000, word_ms: int = 200) -> Samples:
    """Return the sound of some words, one behind the other, as `decode_words` reads it.

    Args:
        text: Words, with white space between them.
        rate_hz: At least 8 kHz, in whole kilohertz.
        word_ms: Milliseconds of a word; longer if its letters take longer.

    Returns:
        `(n_samples,) int16`, mono.
    """
    sounds = [word_samples(word, word_ms, rate_hz) for word in text.split()]
    return np.concatenate([np.zeros(0, np.int16), *sounds])


def word_samples(word: str, word_ms: int, rate_hz: int) -> Samples:
    """Return the sound of a word as `(n_samples,) int16` at this rate (at least 8 kHz)."""
    n_samples = rate_hz * word_ms_of(word, word_ms) // 1000
    if not word:
        return np.zeros(n_samples, np.int16)
    spelled = [_faded(chirp(rate_hz), rate_hz, _FADE_S)]
    spelled += [_faded(_byte_tone(byte, rate_hz), rate_hz, _FADE_S) for byte in _spelling(word)]
    n_left = n_samples - sum(len(part) for part in spelled)
    pitch = np.sin(2 * np.pi * pitch_of(word) * np.arange(n_left) / rate_hz)
    wave = np.concatenate([*spelled, _faded(pitch, rate_hz, _LONG_FADE_S)])
    samples: Samples = np.rint(LOUDNESS * wave).astype(np.int16)
    return samples


def chirp(rate_hz: float) -> Wave:
    """Return what a word begins with, from -1 to 1: a tone that rises evenly."""
    n_samples = round(rate_hz * SYMBOL_MS / 1000)
    seconds = np.arange(n_samples) / rate_hz
    low, high = CHIRP_HZ
    slope = (high - low) / (SYMBOL_MS / 1000)
    wave: Wave = np.sin(2 * np.pi * (low * seconds + slope * seconds**2 / 2))
    return wave


def check_of(letters: bytes) -> int:
    """Return the check byte of a word's letters."""
    return zlib.crc32(bytes([len(letters)]) + letters) & 0xFF


def _spelling(word: str) -> bytes:
    letters = word.encode(errors="replace")
    if len(letters) > _MAX_WORD_BYTES:
        letters = letters[:_MAX_WORD_BYTES].decode(errors="ignore").encode()
    return bytes([len(letters), check_of(letters)]) + letters


def _byte_tone(byte: int, rate_hz: int) -> Wave:
    seconds = np.arange(rate_hz * SYMBOL_MS // 1000) / rate_hz
    low = LOWEST_HZ + SPACING_HZ * (byte >> 4)
    high = LOWEST_HZ + SPACING_HZ * (16 + (byte & 0x0F))
    wave: Wave = (np.sin(2 * np.pi * low * seconds) + np.sin(2 * np.pi * high * seconds)) / 2
    return wave


def _faded(wave: Wave, rate_hz: int, fade_s: float) -> Wave:
    # Without it each border is an audible click.
    fade = np.minimum(1.0, np.arange(len(wave)) / max(1.0, rate_hz * fade_s))
    return wave * fade * fade[::-1]
