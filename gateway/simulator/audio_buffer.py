"""The input audio buffer: what was appended and not yet committed. Pure.

Source: protocol events `input_audio_buffer.append`, `.commit`, `.clear`; protocol.md A.8.
"""

from __future__ import annotations

import base64
import binascii

from .client_error import ClientError, invalid

_MIN_COMMIT_MS = 100
_BYTES_PER_MS = {"audio/pcm": 48, "audio/pcmu": 8, "audio/pcma": 8}
# Until the simulator detects turns by itself nothing empties the buffer of a client that only appends: keep the newest minute.
_MAX_MS = 60_000


class AudioBuffer:
    """Hold the caller's audio until it is committed."""

    __slots__ = ("_sound",)

    def __init__(self) -> None:
        self._sound = bytearray()

    def append(self, audio: str, audio_format: str) -> None:
        """Add base64 audio.

        Raises:
            ClientError: It is not base64, or holds half a sample: the client's fault.
        """
        try:
            sound = base64.b64decode(audio, validate=True)
        except (binascii.Error, ValueError) as error:
            raise invalid("audio", "Invalid 'audio'. Expected base64-encoded audio bytes.") from error
        if audio_format == "audio/pcm" and len(sound) % 2:
            raise invalid(
                "audio", "Invalid 'audio'. Expected 16-bit samples, but got an odd number of bytes."
            )
        self._sound += sound
        del self._sound[: -_MAX_MS * _BYTES_PER_MS[audio_format]]

    def clear(self) -> None:
        """Drop everything."""
        self._sound.clear()

    def take(self, audio_format: str) -> bytes:
        """Empty the buffer and return what was in it.

        Raises:
            ClientError: There is less than 100 ms in it: the client's fault.
        """
        duration_ms = len(self._sound) / _BYTES_PER_MS[audio_format]
        if duration_ms < _MIN_COMMIT_MS:
            raise ClientError(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{_MIN_COMMIT_MS}ms of audio, but buffer only has {duration_ms:.2f}ms of audio.",
            )
        taken = bytes(self._sound)
        self._sound.clear()
        return taken
