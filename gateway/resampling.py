"""A stream of samples from one rate to another, without a click where chunks meet. Pure, but for what the filter remembers.

The filter is soxr's (the library behind SoX), which comes with the extra `audio` and is imported when a conversion needs it.
Medium quality: its noise lies below what 16 bits can say, and it holds back 15 to 75 ms, where high quality holds back up to
160 ms (48 to 8 kHz) for a steeper edge that speech does not need.
"""

import importlib
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .errors import MissingExtra

_QUALITY: Final = "MQ"

Floats = npt.NDArray[np.float32]


class Resampler:
    """One stream. Feed it in order; what it still holds comes with `finish`.

    Args:
        from_hz: the rate of what goes in.
        to_hz: the rate of what comes out.

    Raises:
        MissingExtra: soxr is not installed.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self.from_hz = from_hz
        self.to_hz = to_hz
        self._stream: Any = _soxr(from_hz, to_hz).ResampleStream(
            from_hz, to_hz, 1, dtype="float32", quality=_QUALITY
        )

    def feed(self, samples: Floats) -> Floats:
        """Return what can be said after these samples: ``(n,)`` float32 in any scale; at first less than went in."""
        return self._resample(samples, last=False)

    def finish(self) -> Floats:
        """Return the rest of the stream; what is fed after that is a new one."""
        rest = self._resample(np.empty(0, np.float32), last=True)
        self._stream.clear()
        return rest

    def _resample(self, samples: Floats, *, last: bool) -> Floats:
        resampled: Floats = self._stream.resample_chunk(samples, last=last)
        return resampled


def _soxr(from_hz: int, to_hz: int) -> Any:
    try:
        return importlib.import_module("soxr")
    except ImportError as error:
        purpose = f"audio at {from_hz} Hz has to be resampled to {to_hz} Hz, which needs soxr"
        raise MissingExtra("audio", purpose) from error
