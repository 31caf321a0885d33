"""The input audio buffer: what was appended and not yet committed, on the session's time line. Pure.

Time is counted in audio: millisecond 0 is the first sample that the client ever appended, whatever the clock says.

Source: protocol events `input_audio_buffer.append`, `.commit`, `.clear`; protocol.md A.8.
"""

from __future__ import annotations

import base64
import binascii

from .client_error import ClientError, invalid
from .g711 import BYTES_PER_MS, SAMPLE_BYTES

MAX_APPEND_BYTES = 15 * 1024 * 1024
"""What one append may carry."""
_MIN_COMMIT_MS = 100


def sound_of(audio: str, audio_format: str) -> bytes:
    """Return the bytes of an append's base64 audio.

    Raises:
        ClientError: It is not base64, holds half a sample, or more than 15 MiB: the client's fault.
    """
    try:
        sound = base64.b64decode(audio, validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid("audio", "Invalid 'audio'. Expected base64-encoded audio bytes.") from error
    if len(sound) > MAX_APPEND_BYTES:
        raise invalid(
            "audio", f"Invalid 'audio'. Expected at most {MAX_APPEND_BYTES} bytes, but got {len(sound)}."
        )
    if len(sound) % SAMPLE_BYTES[audio_format]:
        raise invalid("audio", "Invalid 'audio'. Expected 16-bit samples, but got an odd number of bytes.")
    return sound


class AudioBuffer:
    """Hold the caller's audio until it is committed.

    Args:
        audio_format: Its wire format.
    """

    __slots__ = ("_format", "_n_before", "_origin_ms", "_sound")

    def __init__(self, audio_format: str) -> None:
        self._format = audio_format
        self._sound = bytearray()
        self._origin_ms = 0.0  # where this format began
        self._n_before = 0  # bytes of this format that are gone

    @property
    def start_ms(self) -> float:
        """Where on the time line what it holds begins."""
        return self._origin_ms + self._n_before / BYTES_PER_MS[self._format]

    @property
    def end_ms(self) -> float:
        """Where on the time line the audio of the client ends so far."""
        return self._origin_ms + (self._n_before + len(self._sound)) / BYTES_PER_MS[self._format]

    def append(self, sound: bytes) -> None:
        """Add whole samples."""
        self._sound += sound

    def change_format(self, audio_format: str) -> None:
        """Go on in another format; what was appended in the old one is dropped."""
        self._origin_ms, self._n_before = self.end_ms, 0
        self._sound.clear()
        self._format = audio_format

    def clear(self) -> None:
        """Drop everything."""
        self._drop(len(self._sound))

    def keep_newest(self, duration_ms: int) -> None:
        """Drop all but so much."""
        self._drop(max(0, len(self._sound) - duration_ms * BYTES_PER_MS[self._format]))

    def check_commit(self) -> None:
        """Refuse to commit next to nothing.

        Raises:
            ClientError: It holds less than 100 ms: the client's fault.
        """
        duration_ms = len(self._sound) / BYTES_PER_MS[self._format]
        if duration_ms < _MIN_COMMIT_MS:
            raise ClientError(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{_MIN_COMMIT_MS}ms of audio, but buffer only has {duration_ms:.2f}ms of audio.",
            )

    def peek(self, start_ms: float, end_ms: float) -> bytes:
        """Return what it holds between two times."""
        return bytes(self._sound[self._index(start_ms) : self._index(end_ms)])

    def take(self, start_ms: float, end_ms: float) -> bytes:
        """Return what it holds between two times, and drop that and what is before it."""
        taken = self.peek(start_ms, end_ms)
        self._drop(self._index(end_ms))
        return taken

    def _index(self, at_ms: float) -> int:
        sample_bytes = SAMPLE_BYTES[self._format]
        n_samples = round((at_ms - self.start_ms) * BYTES_PER_MS[self._format] / sample_bytes)
        return min(max(0, n_samples * sample_bytes), len(self._sound))

    def _drop(self, n_bytes: int) -> None:
        del self._sound[:n_bytes]
        self._n_before += n_bytes
