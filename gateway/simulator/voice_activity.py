"""Where in the audio somebody speaks, by its energy alone. Pure.

It judges frames of 20 ms, counted from where it began to listen, so that how the audio was cut into appends makes no difference.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .g711 import Samples
from .turn_detection import TurnDetection

_FRAME_MS = 20
_ONSET_FRAMES = 2
"""So many loud frames in a row are speech: a click is not."""
_FULL_SCALE = 32_768.0
_FLOOR_DBFS = -60.0
"""The level of threshold 0; that of threshold 1 is -20 dBFS, as loud as near speech."""
_SPAN_DB = 40.0


@dataclass(frozen=True, slots=True)
class Onset:
    """Speech began, at this millisecond."""

    at_ms: float


@dataclass(frozen=True, slots=True)
class Lull:
    """A speaker has been silent for `lull_ms`, up to this millisecond: they may have finished."""

    at_ms: float


@dataclass(frozen=True, slots=True)
class Offset:
    """Speech ended: at this millisecond it had been silent for `silence_ms`."""

    at_ms: float


Edge = Onset | Lull | Offset


class VoiceActivity:
    """Listen to one session's audio.

    Args:
        rate_hz: Of the samples.
        start_ms: Where on the time line the first sample is.
        detection: What counts as speech and silence; may be changed at any time.
    """

    def __init__(self, rate_hz: int, start_ms: float, detection: TurnDetection) -> None:
        self.detection = detection
        self._frame = rate_hz * _FRAME_MS // 1000
        self._start_ms = start_ms
        self._n_frames = 0
        self._rest: Samples = np.zeros(0, np.int16)
        self._n_loud = 0
        self._is_speaking = False
        self._has_lulled = False
        self._loud_until_ms = 0.0

    def hear(self, samples: Samples) -> Iterator[Edge]:
        """Yield what happens in some more audio, in order.

        All of it has to be pulled. `stop` may be called between two edges.
        """
        samples = np.concatenate([self._rest, samples])
        n_whole = len(samples) // self._frame
        self._rest = samples[n_whole * self._frame :].copy()
        frames = samples[: n_whole * self._frame].reshape(n_whole, self._frame).astype(np.float64)
        for power in np.mean(frames**2, axis=1).tolist():
            begin_ms = self._start_ms + self._n_frames * _FRAME_MS
            self._n_frames += 1
            if power > self._limit():
                yield from self._loud(begin_ms)
            else:
                self._n_loud = 0
                yield from self._silent(begin_ms + _FRAME_MS)

    def stop(self) -> None:
        """Take what was said as finished: more of it is a new onset."""
        self._is_speaking = False
        self._n_loud = 0

    def _limit(self) -> float:
        level_dbfs = _FLOOR_DBFS + _SPAN_DB * self.detection.threshold
        return _FULL_SCALE**2 * math.pow(10.0, level_dbfs / 10)

    def _loud(self, begin_ms: float) -> Iterator[Edge]:
        self._n_loud += 1
        self._loud_until_ms = begin_ms + _FRAME_MS
        self._has_lulled = False
        if not self._is_speaking and self._n_loud >= _ONSET_FRAMES:
            self._is_speaking = True
            yield Onset(begin_ms - (_ONSET_FRAMES - 1) * _FRAME_MS)

    def _silent(self, end_ms: float) -> Iterator[Edge]:
        if not self._is_speaking:
            return
        silent_ms = end_ms - self._loud_until_ms
        lull_ms = self.detection.lull_ms
        if lull_ms is not None and not self._has_lulled and silent_ms >= lull_ms:
            self._has_lulled = True
            yield Lull(self._loud_until_ms + lull_ms)
        if self._is_speaking and silent_ms >= self.detection.silence_ms:
            self._is_speaking = False
            yield Offset(self._loud_until_ms + self.detection.silence_ms)
