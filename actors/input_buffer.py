"""The user's audio on its way to the provider: appended, committed, cleared. Pure.

Audio is never replayed: what is spoken into a dead line is gone, and what was appended to a lost line is not appended again.

Source: the session contract, statement 14; ``input_audio_buffer.*``.
"""

from __future__ import annotations

from collections.abc import Callable

from ..gateway import server_events as wire
from ..gateway.client_events import InputAudioBufferClear, InputAudioBufferCommit
from .effects import NOTHING, Effects, Reject, Resolve, Send, SendAppend
from .errors import InvalidCommand, LineDown

MIN_COMMIT_MS = 100
"""The provider takes no less. Source: protocol reference A.8, commit."""


class InputBuffer:
    """What lies in the provider's input buffer.

    Args:
        bytes_per_ms: of the session's input format.
        new_id: makes a unique id from a prefix.
    """

    def __init__(self, bytes_per_ms: int, new_id: Callable[[str], str]) -> None:
        self._bytes_per_ms = bytes_per_ms
        self._new_id = new_id
        self._buffered_bytes = 0
        self._up = False

    def line_up(self) -> None:
        """The session is configured on a new line; its buffer is empty."""
        self._up, self._buffered_bytes = True, 0

    def line_down(self) -> None:
        """The line is lost, and what was in its buffer."""
        self._up, self._buffered_bytes = False, 0

    def committed(self, _event: wire.InputAudioBufferCommitted, _now: float) -> Effects:
        """The provider made a message of what was there."""
        self._buffered_bytes = 0
        return NOTHING

    def append(self, data: bytes, token: int | None) -> Effects:
        """Send a piece of audio."""
        if not self._up:
            return _refuse(token, LineDown("send_audio"))
        self._buffered_bytes += len(data)
        return [SendAppend(data, self._new_id("event"), token)]

    def commit(self, token: int | None, ask: Callable[[], Effects]) -> Effects:
        """Make a message of what was appended, and ask for a reply to it."""
        if not self._up:
            return _refuse(token, LineDown("commit_audio"))
        if self._buffered_bytes < MIN_COMMIT_MS * self._bytes_per_ms:
            have_ms = self._buffered_bytes // self._bytes_per_ms
            short = f"commit_audio needs {MIN_COMMIT_MS} ms of audio, {have_ms} ms were sent since the last"
            return _refuse(token, InvalidCommand(short))
        self._buffered_bytes = 0
        commit = Send(InputAudioBufferCommit(event_id=self._new_id("event")))
        return [commit, *ask(), *_resolve(token)]

    def clear(self, token: int | None) -> Effects:
        """Forget what was appended and not committed."""
        self._buffered_bytes = 0
        clear = [Send(InputAudioBufferClear(event_id=self._new_id("event")))] if self._up else []
        return [*clear, *_resolve(token)]


def _refuse(token: int | None, error: Exception) -> Effects:
    return NOTHING if token is None else [Reject(token, error)]


def _resolve(token: int | None) -> Effects:
    return NOTHING if token is None else [Resolve(token)]
