"""PCM16 bytes to arrays and back, and how long audio lasts. Pure.

On the wire PCM is 16-bit little-endian mono at 24 kHz, G.711 is one byte per sample at 8 kHz.

Source: RealtimeAudioFormats.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .errors import InvalidAudio

SAMPLE_RATES: Final = {"pcm16": 24_000, "g711_ulaw": 8_000, "g711_alaw": 8_000}
"""Samples per second by audio format."""
BYTES_PER_SAMPLE: Final = {"pcm16": 2, "g711_ulaw": 1, "g711_alaw": 1}
"""Bytes per sample by audio format."""
MAX_APPEND_BYTES: Final = 15 * 1024 * 1024
"""What one ``input_audio_buffer.append`` may carry."""
MIN_COMMIT_MS: Final = 100.0
"""What ``input_audio_buffer.commit`` needs in the buffer."""

Pcm16 = npt.NDArray[np.int16]
"""``(n_samples,)`` int16, mono."""

_ALLOWED: Final = "a mono array (n_samples,), int16, or float from -1 to 1"


def pcm16_to_array(data: bytes) -> tuple[Pcm16, bytes]:
    """Return PCM16 as an array, without a copy.

    Args:
        data: 16-bit little-endian mono; may end in the middle of a sample.

    Returns:
        A read-only ``(n_samples,)`` int16 view on the data, and the odd byte at its end (b"" if there is none), which belongs
        before the next chunk.
    """
    whole = len(data) & ~1
    array: Pcm16 = np.frombuffer(data, dtype="<i2", count=whole // 2)
    return array, data[whole:]


def array_to_pcm16(array: npt.NDArray[Any]) -> bytes:
    """Return samples as PCM16, copied, so that the array may be used again at once.

    Args:
        array: ``(n_samples,)`` mono, int16, or float32/float64 from -1 to 1 (scaled by 32767, clipped, NaN is silence). Its rate is
            the caller's business.

    Raises:
        InvalidAudio: it is no such array. The caller's fault; another integer type is not guessed at, it would be noise or silence.
    """
    if not isinstance(array, np.ndarray):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
        raise InvalidAudio(f"a {type(array).__name__}", _ALLOWED)
    if array.ndim != 1:
        raise InvalidAudio(f"an array of shape {array.shape}", _ALLOWED)
    if array.dtype.kind == "f":
        array = np.rint(np.nan_to_num(array, nan=0.0).clip(-1.0, 1.0) * 32767.0)
    elif array.dtype.kind != "i" or array.dtype.itemsize != 2:
        raise InvalidAudio(f"an array of {array.dtype}", _ALLOWED)
    samples: Pcm16 = array.astype("<i2", copy=False)
    return samples.tobytes()


def duration_ms(n_bytes: int, audio_format: str = "pcm16") -> float:
    """Return how long so many bytes of an audio format last, in milliseconds."""
    return n_bytes / BYTES_PER_SAMPLE[audio_format] / SAMPLE_RATES[audio_format] * 1000.0


def n_bytes_of(duration_ms: float, audio_format: str = "pcm16") -> int:
    """Return how many bytes of an audio format last so many milliseconds, in whole samples."""
    return round(duration_ms / 1000.0 * SAMPLE_RATES[audio_format]) * BYTES_PER_SAMPLE[audio_format]
