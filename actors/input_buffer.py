"""The user's audio on its way to the provider: appended, committed, cleared. Pure.

Audio is never replayed: what is spoken into a dead line is gone, and what was appended to a lost line is not appended again. But
a session that has to leave its line while somebody speaks takes along what was said so far (decision 0014).

Source: the session contract, statements 9 and 14; DESIGN section 5 ("Audio is never replayed"); ``input_audio_buffer.*``.
"""

from __future__ import annotations

from collections.abc import Callable

from ..gateway import server_events as wire
from ..gateway.audio import MAX_APPEND_BYTES, MIN_COMMIT_MS, duration_ms
from ..gateway.client_events import InputAudioBufferAppend, InputAudioBufferClear, InputAudioBufferCommit
from .effects import (
    NOTHING,
    AudioEpoch,
    Effect,
    Effects,
    Reject,
    Resolve,
    Send,
    SendAppend,
    StartTimer,
)
from .errors import InvalidCommand, LineDown
from .events import Error
from .pending_audio import ANNOUNCED_WITHIN_S, PendingAudio

SOUND_TIMER = "sound"


class InputBuffer:
    """What lies in the provider's input buffer.

    Args:
        audio_format: the session's input format.
        new_id: makes a unique id from a prefix.
        under_vad: whether the provider commits by itself, what it takes for speech.
        move_is_near: whether the session may soon go on over another line.
    """

    def __init__(
        self,
        audio_format: str,
        new_id: Callable[[str], str],
        under_vad: Callable[[], bool],
        move_is_near: Callable[[], bool],
    ) -> None:
        self._format = audio_format
        self._new_id = new_id
        self._under_vad = under_vad
        self._move_is_near = move_is_near
        self._pending = PendingAudio(audio_format)
        self._buffered_bytes = 0
        self._dropped = 0
        self._epoch: str | None = None
        self._up = False

    def begin(self) -> Effects:
        """Audio that was taken in before now is not for the next line."""
        self._epoch = self._new_id("epoch")
        return [AudioEpoch(self._epoch)]

    def is_idle(self, now: float) -> bool:
        """Whether nobody is in the middle of saying something, as far as the audio tells."""
        if self._under_vad():  # silence lies there all the time
            return not self._pending.may_be_speech(now)
        return self._buffered_bytes == 0

    # -- the line

    def line_up(self) -> None:
        """The session is configured on a new line; its buffer is empty."""
        self._up = True
        self._empty()

    def line_down(self) -> Effects:
        """The line is lost, and what was in its buffer."""
        self._up = False
        self._empty()
        return self.begin()

    def line_moves(self, now: float) -> Effects:
        """The session goes on over another line: what somebody is about to say goes there too, as far as it is kept."""
        data, missing = self._pending.take(now, under_vad=self._under_vad())
        self._buffered_bytes = len(data)
        effects: list[Effect] = (
            [lagging("the session had to move to another line", missing)] if missing else []
        )
        return [*effects, SendAppend(self._pieces(data), carried=True)] if data else effects

    def _empty(self) -> None:
        self._buffered_bytes = 0
        self._pending.forget()

    # -- what the provider makes of it

    def speech_started(self, _event: wire.InputAudioBufferSpeechStarted, _now: float) -> Effects:
        """Somebody speaks."""
        self._pending.speech_started()
        return NOTHING

    def committed(self, _event: wire.InputAudioBufferCommitted, _now: float) -> Effects:
        """The provider made a message of what was there. One of ours was taken off when it was sent."""
        if self._under_vad():
            self._empty()
        return NOTHING

    # -- commands

    def append(self, data: bytes, epoch: str | None, token: int | None, now: float) -> Effects:
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
        under_vad, near = self._under_vad(), self._move_is_near()
        if self._pending.add(data, now, keep=near, under_vad=under_vad):
            effects.append(StartTimer(SOUND_TIMER, ANNOUNCED_WITHIN_S))
        return [*effects, SendAppend(self._pieces(data), token)]

    def _pieces(self, data: bytes) -> tuple[InputAudioBufferAppend, ...]:
        return tuple(
            InputAudioBufferAppend(audio=data[at : at + MAX_APPEND_BYTES], event_id=self._new_id("event"))
            for at in range(0, len(data), MAX_APPEND_BYTES)
        )

    def refused(self, n_bytes: int) -> None:
        """The line took this much less than it was given."""
        self._buffered_bytes = max(0, self._buffered_bytes - n_bytes)
        self._pending.refused()

    def commit(self, token: int | None, ask: Callable[[], Effects]) -> Effects:
        """Make a message of what was appended, and ask for a reply to it.

        Under turn detection the provider commits by itself, so that there may be nothing left, and nobody's fault.
        """
        if not self._up:
            return _refuse(token, LineDown("commit_audio"))
        have_ms = duration_ms(self._buffered_bytes, self._format)
        if have_ms < MIN_COMMIT_MS:
            if self._under_vad():
                return _resolve(token)
            needed = f"commit_audio needs {MIN_COMMIT_MS:.0f} ms of audio"
            return _refuse(token, InvalidCommand(f"{needed}, {int(have_ms)} ms were sent since the last"))
        self._empty()
        commit = Send(InputAudioBufferCommit(event_id=self._new_id("event")))
        return [commit, *ask(), *_resolve(token)]

    def clear(self, token: int | None) -> Effects:
        """Forget what was appended and not committed."""
        self._empty()
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
