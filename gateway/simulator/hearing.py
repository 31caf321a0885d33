"""Reads back the words that `tone` spells. Pure.

It finds the chirps by correlation, then reads a byte each 10 ms behind one. A word whose letters are not all there, or do not
fit their check, is not heard.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .tone import (
    HEADER_BYTES,
    LOWEST_HZ,
    SPACING_HZ,
    SYMBOL_MS,
    Wave,
    check_of,
    chirp,
)

_WORKING_RATE_HZ = 8_000
_LIKENESS = 0.7
"""The correlation with a chirp, from 0 to 1, from which on it is taken for one."""
_BLOCK = 1 << 16
_AUDIBLE = 100.0
"""The highest sample below which a part is silence."""
_END_STEP_MS = 1
_SILENT_STEPS = 10
_LEAD = 8
_CLEAR = 0.5
"""How much of the energy of a byte is at least in its two tones."""


class HeardWord(NamedTuple):
    """A word that was heard, and where it sounds."""

    word: str
    start_ms: float
    end_ms: float


def decode_words(samples: npt.NDArray[np.int16], rate_hz: int = 24_000) -> list[HeardWord]:
    """Return the words that the simulator spoke in some audio, in order.

    Args:
        samples: `(n_samples,) int16`, mono: what it spoke, whole or cut anywhere, with anything between.
        rate_hz: At least 8 kHz.

    Raises:
        ValueError: The rate is lower: the caller's fault.
    """
    if rate_hz < _WORKING_RATE_HZ:
        raise ValueError(
            f"a rate of {rate_hz} Hz is too low: words can be told from {_WORKING_RATE_HZ} Hz on"
        )
    signal, rate = _at_working_rate(samples, rate_hz)
    # So that a first word whose first sample or two are cut off is found too.
    signal = np.concatenate([np.zeros(_LEAD), signal])
    starts = _chirps(signal, rate)
    words: list[HeardWord] = []
    free_from = 0
    for index, start in enumerate(starts):
        letters = _letters(signal, start, rate) if start >= free_from else None
        if letters is None:
            continue
        free_from = round(start + rate * SYMBOL_MS * (1 + HEADER_BYTES + len(letters)) / 1000)
        # A correlation peak may be a sample or two off.
        following = next((later for later in starts[index + 1 :] if later >= free_from - 2), len(signal))
        end = _end_of_sound(signal, min(free_from, following), following, rate)
        word = letters.decode(errors="replace")
        words.append(HeardWord(word, max(0, start - _LEAD) / rate * 1000, (end - _LEAD) / rate * 1000))
    return words


def _at_working_rate(samples: npt.NDArray[np.int16], rate_hz: int) -> tuple[Wave, float]:
    factor = rate_hz // _WORKING_RATE_HZ
    whole = len(samples) // factor * factor
    signal: Wave = samples[:whole].astype(np.float64).reshape(-1, factor).mean(axis=1)
    return signal, rate_hz / factor


def _chirps(signal: Wave, rate: float) -> list[int]:
    """Return where chirps begin: the peaks of the likeness to one."""
    template = chirp(rate)
    template = template / np.linalg.norm(template)
    starts: list[int] = []
    best = 0.0
    for offset in range(0, len(signal), _BLOCK):
        block = signal[offset : offset + _BLOCK + len(template) - 1]
        if len(block) < len(template) or np.abs(block).max() < _AUDIBLE:
            continue
        likeness = _likeness(block, template)
        for at in np.flatnonzero(likeness > _LIKENESS).tolist():
            if starts and offset + at - starts[-1] < len(template):
                if likeness[at] > best:
                    starts[-1], best = offset + at, likeness[at]
            else:
                starts.append(offset + at)
                best = likeness[at]
    return starts


def _likeness(block: Wave, template: Wave) -> Wave:
    n_places = len(block) - len(template) + 1
    size = 1 << (len(block) + len(template)).bit_length()
    product = np.fft.rfft(block, size) * np.conj(np.fft.rfft(template, size))
    correlation = np.fft.irfft(product, size)[:n_places]
    sums = np.concatenate([[0.0], np.cumsum(block**2)])
    energy = np.maximum(sums[len(template) :] - sums[:n_places], len(template) * _AUDIBLE)
    likeness: Wave = np.abs(correlation) / np.sqrt(energy)
    return likeness


def _letters(signal: Wave, start: int, rate: float) -> bytes | None:
    """Return the letters of the word that begins there, or None if they cannot be read."""
    read: list[int] = []
    n_wanted = HEADER_BYTES
    while len(read) < n_wanted:
        begin = round(start + rate * SYMBOL_MS * (1 + len(read)) / 1000)
        byte = _byte(signal[begin : begin + round(rate * SYMBOL_MS / 1000)], rate)
        if byte is None:
            return None
        read.append(byte)
        n_wanted = HEADER_BYTES + read[0]
    letters = bytes(read[HEADER_BYTES:])
    return letters if letters and read[1] == check_of(letters) else None


def _byte(window: Wave, rate: float) -> int | None:
    if len(window) < round(rate * SYMBOL_MS / 1000):
        return None
    power = np.abs(_tones(len(window), rate) @ window) ** 2
    low, high = int(np.argmax(power[:16])), int(np.argmax(power[16:]))
    total = float(np.sum(window**2)) * len(window) / 2
    if total < _AUDIBLE or power[low] + power[16 + high] < _CLEAR * total:
        return None
    return low << 4 | high


@lru_cache(maxsize=16)
def _tones(n_samples: int, rate: float) -> npt.NDArray[np.complex128]:
    frequencies = LOWEST_HZ + SPACING_HZ * np.arange(32)
    tones: npt.NDArray[np.complex128] = np.exp(
        -2j * np.pi * np.outer(frequencies, np.arange(n_samples)) / rate
    )
    return tones


def _end_of_sound(signal: Wave, begin: int, limit: int, rate: float) -> int:
    """Return where the sound that goes on at `begin` falls silent, at the latest at `limit`."""
    step = max(1, round(rate * _END_STEP_MS / 1000))
    loud = np.abs(signal[begin:limit])
    padded = np.append(loud, np.zeros(-len(loud) % step)).reshape(-1, step).max(axis=1)
    # A tone has its zeros, and it fades: silent is what stays silent for a few steps.
    silent = np.flatnonzero(padded < _AUDIBLE)
    for at in silent.tolist():
        if not np.any(padded[at : at + _SILENT_STEPS] >= _AUDIBLE):
            return min(begin + at * step, limit)
    return limit
