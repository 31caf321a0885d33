"""The user's audio on its way to the provider: appended, committed, cleared. Pure.

Audio is never replayed: what is spoken into a dead line is gone, and what was appended to a lost line is not appended again.

Source: the session contract, statement 14; DESIGN section 5 ("Audio is never replayed"); ``input_audio_buffer.*``.
"""

from __future__ import annotations

from collections.abc import Callable

from ..gateway import server_events as wire
from ..gateway.audio import MAX_APPEND_BYTES
from ..gateway.client_events import InputAudioBufferAppend, InputAudioBufferClear, InputAudioBufferCommit
from .effects import NOTHING, AudioEpoch, Effect, Effects, Reject, Resolve, Send, SendAppend
from .errors import InvalidCommand, LineDown
from .events import Error

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
        self._dropped = 0
        self._epoch: str | None = None
        self._up = False

    def begin(self) -> Effects:
        """Audio that was taken in before now is not for the next line."""
        self._epoch = self._new_id("epoch")
        return [AudioEpoch(self._epoch)]

    @property
    def uncommitted(self) -> bool:
        """Whether something was appended of which no message was made yet."""
        return self._buffered_bytes > 0

    def line_up(self) -> None:
        """The session is configured on a new line; its buffer is empty."""
        self._up, self._buffered_bytes = True, 0

    def line_down(self) -> Effects:
        """The line is lost, and what was in its buffer."""
        self._up, self._buffered_bytes = False, 0
        return self.begin()

    def committed(self, _event: wire.InputAudioBufferCommitted, _now: float) -> Effects:
        """The provider made a message of what was there."""
        self._buffered_bytes = 0
        return NOTHING

    def append(self, data: bytes, epoch: str | None, token: int | None) -> Effects:
        """Send audio, in pieces that each fit into an event."""
        if not self._up or epoch not in (None, self._epoch):
            if token is not None:
                return [Reject(token, LineDown("send_audio"))]
            self._dropped += 1
            return NOTHING
        effects: list[Effect] = []
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            effects.append(lagging("there was no line", dropped))
        if not data:
            return [*effects, *_resolve(token)]
        self._buffered_bytes += len(data)
        pieces = tuple(
            InputAudioBufferAppend(audio=data[at : at + MAX_APPEND_BYTES], event_id=self._new_id("event"))
            for at in range(0, len(data), MAX_APPEND_BYTES)
        )
        return [*effects, SendAppend(pieces, token)]

    def refused(self, n_bytes: int) -> None:
        """The line took this much less than it was given."""
        self._buffered_bytes = max(0, self._buffered_bytes - n_bytes)

    def commit(self, token: int | None, ask: Callable[[], Effects], *, under_vad: bool) -> Effects:
        """Make a message of what was appended, and ask for a reply to it.

        ``under_vad``: the provider commits by itself, so that there may be nothing left, and nobody's fault.
        """
        if not self._up:
            return _refuse(token, LineDown("commit_audio"))
        if self._buffered_bytes < MIN_COMMIT_MS * self._bytes_per_ms:
            if under_vad:
                return _resolve(token)
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


def lagging(why: str, dropped: int) -> Error:
    """Return the event that says how many frames nobody will hear."""
    return Error(
        "uplink_lagging", f"{why}: {dropped} frames of audio were dropped", recoverable=True, dropped=dropped
    )


def _refuse(token: int | None, error: Exception) -> Effects:
    return NOTHING if token is None else [Reject(token, error)]


def _resolve(token: int | None) -> Effects:
    return NOTHING if token is None else [Resolve(token)]
