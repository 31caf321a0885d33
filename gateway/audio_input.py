"""What an application has (arrays, bytes, other rates, stereo) as what the wire wants. Pure; remembers where chunks were cut.

Source: the session contract, statement 14; protocol reference A.4 (RealtimeAudioFormats) and A.8 (audio append).
"""

from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from . import checks, g711
from .audio import MAX_APPEND_BYTES, SAMPLE_RATES, Pcm16, checked_samples, mono_of, pcm16_of
from .errors import InvalidAudio, shorten
from .resampling import Resampler

Audio: TypeAlias = bytes | bytearray | memoryview | npt.NDArray[Any]
"""Bytes, or an array of int16, float32 or float64, mono ``(n,)`` or stereo ``(n, 2)``."""

_MIN_HZ: Final = 1_000
_MAX_HZ: Final = 768_000
_ALLOWED_RATE: Final = f"a whole number of samples per second from {_MIN_HZ:,} to {_MAX_HZ:,}"


class AudioInput:
    """One stream of input audio, for one thread at a time.

    An array without a rate is taken to be at the format's own: 24 kHz, or 8 kHz for G.711. Other rates are resampled (extra
    `audio`), and the filter goes on from call to call: it holds back some milliseconds, until `finish`.

    Bytes without a rate are in the session's input format already. Bytes with a rate are 16-bit little-endian mono PCM. An odd
    byte at the end of 16-bit audio waits for the next call.

    Args:
        audio_format: ``pcm16``, ``g711_ulaw`` or ``g711_alaw``: what the session has been configured to take.

    Raises:
        ConfigError: there is no such format.
    """

    def __init__(self, audio_format: str = "pcm16") -> None:
        self._format = checks.one_of("input_audio_format", audio_format, SAMPLE_RATES)
        self._rate = SAMPLE_RATES[self._format]
        self._odd = b""
        self._odd_hz = self._rate
        self._resampler: Resampler | None = None

    @property
    def audio_format(self) -> str:
        """The format that comes out."""
        return self._format

    def convert(self, audio: Audio, rate_hz: int | None = None) -> tuple[bytes, ...]:
        """Return audio in the session's format: copied, and in pieces that each fit into one append.

        Args:
            audio: bytes or an array; the array may be used again at once.
            rate_hz: its samples per second, if it is not the format's own.

        Returns:
            None, one or several pieces, in order.

        Raises:
            InvalidAudio: type, shape, dtype or rate are none of these, or there is NaN or infinity. The caller's fault.
            MissingExtra: it has to be resampled, and soxr is not installed.
        """
        if rate_hz is not None:
            _check_rate(rate_hz)
        if isinstance(audio, bytes | bytearray | memoryview):
            if rate_hz is None and self._format != "pcm16":
                self._odd = b""
                return _pieces(self._leave(None) + bytes(audio))
            data = self._whole(bytes(audio), rate_hz or self._rate)
            if rate_hz is None:
                return _pieces(self._leave(None) + data)
            samples: npt.NDArray[Any] = np.frombuffer(data, "<i2")
        else:
            samples = mono_of(checked_samples(audio))
            self._odd = b""
        ended = self._leave(rate_hz)
        if rate_hz is None or rate_hz == self._rate:
            return _pieces(ended + self._encode(pcm16_of(samples)))
        resampler = self._resampler
        if resampler is None:
            resampler = self._resampler = Resampler(rate_hz, self._rate)
        return _pieces(ended + self._encode(_pcm16(resampler.feed(_in_sample_units(samples)))))

    def finish(self) -> tuple[bytes, ...]:
        """Return what the filter still holds: what is said ends here. Before a commit, and at the end of a file."""
        self._odd = b""
        return _pieces(self._leave(None))

    def clear(self) -> None:
        """Forget what the filter holds, and the odd byte: what follows is another stream."""
        self._odd = b""
        self._resampler = None

    def _leave(self, rate_hz: int | None) -> bytes:
        """End the stream of another rate than this."""
        resampler = self._resampler
        if resampler is None or resampler.from_hz == rate_hz:
            return b""
        self._resampler = None
        return self._encode(_pcm16(resampler.finish()))

    def _whole(self, data: bytes, rate_hz: int) -> bytes:
        """Return whole samples; the byte that is left over waits for more of its rate: before others it would make them noise."""
        data = self._odd + data if self._odd and rate_hz == self._odd_hz else data
        self._odd_hz = rate_hz
        whole = len(data) & ~1
        self._odd = data[whole:]
        return data[:whole]

    def _encode(self, samples: Pcm16) -> bytes:
        if self._format == "pcm16":
            return samples.tobytes()
        return g711.encode(samples, self._format)


def _check_rate(rate_hz: object) -> None:
    if (
        isinstance(rate_hz, int | np.integer)
        and not isinstance(rate_hz, bool)
        and _MIN_HZ <= rate_hz <= _MAX_HZ
    ):
        return
    raise InvalidAudio(f"at a rate of {shorten(rate_hz)}", _ALLOWED_RATE)


def _in_sample_units(samples: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return samples as float32 in the units of int16."""
    if samples.dtype.kind == "f":
        samples = samples.clip(-1.0, 1.0) * 32767.0
    return np.ascontiguousarray(samples, np.float32)


def _pcm16(floats: npt.NDArray[np.float32]) -> Pcm16:
    """Return floats in the units of int16 as such; a filter overshoots, so they are clipped."""
    pcm: Pcm16 = np.rint(floats).clip(-32768.0, 32767.0).astype("<i2")
    return pcm


def _pieces(data: bytes) -> tuple[bytes, ...]:
    if len(data) <= MAX_APPEND_BYTES:
        return (data,) if data else ()
    return tuple(data[at : at + MAX_APPEND_BYTES] for at in range(0, len(data), MAX_APPEND_BYTES))
