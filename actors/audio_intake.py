"""What the application's threads say to a session: converted in the caller's thread, in order. Owns nothing; any thread.

Source: the session contract, statement 14; DESIGN section 6 ("Send").
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from ..gateway.audio_input import Audio, AudioInput
from .commands import SendAudio

T = TypeVar("T")


class AudioIntake:
    """The one stream of input audio of a session, whoever feeds it.

    The lock covers converting a piece and handing it over, so that pieces of two threads never mix; neither waits for I/O,
    and the session's own thread never takes it.

    Attributes:
        epoch: names the line that audio is for, as the session wrote it last. Audio that was taken in before is for a line
            that is lost, and so is what the filter still held of it.

    Args:
        audio_format: ``pcm16``, ``g711_ulaw`` or ``g711_alaw``: what the session is configured to take.
    """

    def __init__(self, audio_format: str = "pcm16") -> None:
        self.epoch: str | None = None
        self._input = AudioInput(audio_format)
        self._input_epoch: str | None = None
        self._lock = threading.Lock()

    def put(self, audio: Audio, rate_hz: int | None, send: Callable[[SendAudio], T]) -> T | None:
        """Convert audio and hand it over; None if there is nothing to send yet.

        Raises:
            InvalidAudio: it is no audio. The caller's fault.
            MissingExtra: it has to be resampled, and soxr is not installed.
        """
        with self._lock:
            epoch = self._begin()
            pieces = self._input.convert(audio, rate_hz)
            return send(SendAudio(_joined(pieces), epoch)) if pieces else None

    def finish(self, send: Callable[[SendAudio], object]) -> None:
        """Hand over what the filter still holds: what is said ends here."""
        with self._lock:
            epoch = self._begin()
            if pieces := self._input.finish():
                send(SendAudio(_joined(pieces), epoch))

    def clear(self) -> None:
        """Forget what the filter holds."""
        with self._lock:
            self._input.clear()

    def _begin(self) -> str | None:
        epoch = self.epoch
        if epoch != self._input_epoch:
            self._input.clear()
            self._input_epoch = epoch
        return epoch


def _joined(pieces: tuple[bytes, ...]) -> bytes:
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
