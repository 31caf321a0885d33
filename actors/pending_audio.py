"""What was appended and is in no message yet, as far as another line would have to hear it. Pure; time comes in.

Nothing is kept until a move to another line is near. Then, without turn detection, all that waits for its commit; under turn
detection speech from shortly before its beginning on: what else lies there is silence.

Speech is what the provider announces. It takes a moment to do so, therefore sound that has just begun may be speech.

Source: the session contract, statement 9 ("no user speech", "no gap").
"""

from __future__ import annotations

from collections import deque

from ..gateway.audio import level_dbfs, n_bytes_of

BOUND_BYTES = 8 * 1024 * 1024
"""How much is kept: about three minutes of PCM16."""
ANNOUNCED_WITHIN_S = 1.0
"""How long a provider may take to say that somebody speaks; sound of which it says nothing by then is none."""
PRELUDE_MS = 500.0
"""How much of what came before its first sound belongs to speech. Providers add 300 ms themselves."""
_LOUD_DBFS = -45.0
_PAUSE_S = 0.3  # after so long a silence, sound begins anew


class PendingAudio:
    """The newest audio of one line.

    Args:
        audio_format: of the session's input.
    """

    def __init__(self, audio_format: str) -> None:
        self._format = audio_format
        self._prelude_bytes = n_bytes_of(PRELUDE_MS, audio_format)
        self._kept: deque[bytes] = deque()
        self._size = 0
        self._missing = 0
        self._sound_began = self._last_sound = float("-inf")
        self._speaking = False

    def add(self, data: bytes, now: float, *, keep: bool, under_vad: bool) -> bool:
        """Something was appended. Returns whether sound began with it that may be speech.

        Args:
            data: the audio.
            now: monotonic seconds.
            keep: a move is near.
            under_vad: the provider tells speech from silence.
        """
        if not keep:
            self._missing += self._speaking or not under_vad
            return False
        began = under_vad and not self._speaking and self._sound_begins(data, now)
        self._kept.append(data)
        self._size += len(data)
        if self._speaking or not under_vad or self.may_be_speech(now):
            while self._size > BOUND_BYTES:
                self._drop_oldest()
                self._missing += 1
        else:
            while self._size - len(self._kept[0]) >= self._prelude_bytes:
                self._drop_oldest()
        return began

    def refused(self) -> None:
        """The line did not take what was added last."""
        if self._kept:
            self._size -= len(self._kept.pop())
        else:
            self._missing = max(0, self._missing - 1)

    def speech_started(self) -> None:
        """The provider says that somebody speaks."""
        self._speaking = True

    def may_be_speech(self, now: float) -> bool:
        """Whether there is sound of which the provider may not have said yet that it is speech."""
        return now - self._sound_began < ANNOUNCED_WITHIN_S

    def forget(self) -> None:
        """It is in a message now, or in none for ever."""
        self._kept.clear()
        self._size = self._missing = 0
        self._sound_began = self._last_sound = float("-inf")
        self._speaking = False

    def take(self, now: float, *, under_vad: bool) -> tuple[bytes, int]:
        """Return what the line that serves from now on has to hear, and how many frames before it are not kept."""
        told = self._speaking or not under_vad or self.may_be_speech(now)
        data, missing, n_frames = b"".join(self._kept), self._missing, len(self._kept)
        self.forget()
        if not told:
            return b"", 0
        self._missing = missing + n_frames  # for the line after that
        return data, missing

    def _sound_begins(self, data: bytes, now: float) -> bool:
        if level_dbfs(data, self._format) < _LOUD_DBFS:
            return False
        silent_s, self._last_sound = now - self._last_sound, now
        if silent_s <= _PAUSE_S:
            return False
        self._sound_began = now
        return True

    def _drop_oldest(self) -> None:
        self._size -= len(self._kept.popleft())
