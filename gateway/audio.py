"""PCM16 bytes to arrays and back, and how long audio lasts. Pure.

On the wire PCM is 16-bit little-endian mono at 24 kHz, G.711 is one byte per sample at 8 kHz.

Source: RealtimeAudioFormats.
"""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from . import g711
from .errors import InvalidAudio

SAMPLE_RATES: Final = {"pcm16": 24_000, "g711_ulaw": 8_000, "g711_alaw": 8_000}
"""Samples per second by audio format."""
BYTES_PER_SAMPLE: Final = {"pcm16": 2, "g711_ulaw": 1, "g711_alaw": 1}
"""Bytes per sample by audio format."""
MAX_APPEND_BYTES: Final = 11 * 1024 * 1024
"""What one ``input_audio_buffer.append`` may carry here: its base64 stays below the 15 MiB that the protocol allows."""
MIN_COMMIT_MS: Final = 100.0
"""What ``input_audio_buffer.commit`` needs in the buffer."""
SILENCE_DBFS: Final = -120.0
"""The level of no sound at all: below what 16 bits can hold."""

Pcm16 = npt.NDArray[np.int16]
"""``(n_samples,)`` int16, mono."""

_ALLOWED: Final = "a numpy array of int16, or of float32 or float64 from -1 to 1, mono (n_samples,) or stereo (n_samples, 2)"
_MONO: Final = "a mono array (n_samples,) of int16, or of float32 or float64 from -1 to 1"
_FULL_SCALE: Final = 32767.0
_LEVEL_MS: Final = 20.0  # what sounds in so short a time is heard


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
        array: ``(n_samples,)`` mono, int16, or float32/float64 from -1 to 1 (scaled by 32767, clipped). Its rate is the caller's
            business.

    Raises:
        InvalidAudio: it is no such array, or holds NaN or infinity. The caller's fault.
    """
    samples = checked_samples(array)
    if samples.ndim != 1:
        raise InvalidAudio(f"an array of shape {samples.shape}", _MONO)
    return pcm16_of(samples).tobytes()


def checked_samples(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array that holds audio, unchanged.

    Args:
        array: int16, or float32/float64 without NaN and infinity; ``(n_samples,)``, or ``(n_samples, channels)`` of one or two.

    Raises:
        InvalidAudio: it is no such array. The caller's fault; another integer type is not guessed at, it would be noise or silence.
    """
    if not isinstance(array, np.ndarray):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
        raise InvalidAudio(f"a {type(array).__name__}", _ALLOWED)
    if array.ndim != 1 and not (array.ndim == 2 and array.shape[1] in (1, 2)):
        raise InvalidAudio(f"an array of shape {array.shape}", _ALLOWED)
    kind, size = array.dtype.kind, array.dtype.itemsize
    if not ((kind == "i" and size == 2) or (kind == "f" and size in (4, 8))):
        raise InvalidAudio(f"an array of {array.dtype}", _ALLOWED)
    if kind == "f" and not np.isfinite(array).all():
        raise InvalidAudio(f"an array of {array.dtype} with NaN or infinity in it", _ALLOWED)
    return array


def pcm16_of(samples: npt.NDArray[Any]) -> Pcm16:
    """Return checked mono samples as little-endian int16: floats from -1 to 1 are scaled and clipped, int16 is left as it is."""
    if samples.dtype.kind == "f":
        samples = np.rint(samples.clip(-1.0, 1.0) * _FULL_SCALE)
    pcm: Pcm16 = samples.astype("<i2", copy=False)
    return pcm


def mono_of(samples: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return checked samples as one channel: the mean of two, in the type they came in."""
    if samples.ndim == 1:
        return samples
    if samples.shape[1] == 1:
        return samples[:, 0]
    if samples.dtype.kind == "f":
        halves = samples * 0.5  # first: the sum of two large ones is not finite
        mean: npt.NDArray[Any] = halves[:, 0] + halves[:, 1]
    else:
        mean = ((samples[:, 0].astype(np.int32) + samples[:, 1]) >> 1).astype(np.int16)
    return mean


def duration_ms(n_bytes: int, audio_format: str = "pcm16") -> float:
    """Return how long so many bytes of an audio format last, in milliseconds."""
    return n_bytes / BYTES_PER_SAMPLE[audio_format] / SAMPLE_RATES[audio_format] * 1000.0


def n_bytes_of(duration_ms: float, audio_format: str = "pcm16") -> int:
    """Return how many bytes of an audio format last so many milliseconds, in whole samples."""
    return round(duration_ms / 1000.0 * SAMPLE_RATES[audio_format]) * BYTES_PER_SAMPLE[audio_format]


def level_dbfs(data: bytes, audio_format: str = "pcm16") -> float:
    """Return how loud the loudest 20 ms of some audio are, in dB below full scale: 0 is the most, silence is -120.

    Args:
        data: in an audio format of the wire.
        audio_format: that format.
    """
    samples = pcm16_to_array(data)[0] if audio_format == "pcm16" else g711.decode(data, audio_format)
    n_samples = n_bytes_of(_LEVEL_MS, audio_format) // BYTES_PER_SAMPLE[audio_format]
    n_whole = len(samples) // n_samples
    parts = samples[: n_whole * n_samples].reshape(n_whole, n_samples) if n_whole else samples.reshape(1, -1)
    if not parts.size:
        return SILENCE_DBFS
    power = float(np.square(parts, dtype=np.float32).mean(axis=1).max())
    return 10.0 * math.log10(power / _FULL_SCALE**2) if power else SILENCE_DBFS
