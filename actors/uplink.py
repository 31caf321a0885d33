"""What the session says over its line, in the right order. Owns nothing; used in the session's own thread.

Interruptions overtake audio that waits. A commit or a clear is about the audio before it, and what is said after a commit must
find it there: these wait with the audio.

Source: the session contract, statements 5, 10 and 14; DESIGN section 6 ("Send").
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ..gateway.client_events import (
    ClientEvent,
    ConversationItemCreate,
    InputAudioBufferClear,
    InputAudioBufferCommit,
    ResponseCreate,
)
from ..gateway.errors import SendBufferFull
from .effects import Effect, Reject, Resolve, SendAppend
from .errors import LineDown
from .input_buffer import lagging
from .line import Line

_AMONG_AUDIO = (InputAudioBufferCommit, InputAudioBufferClear)
_BEHIND_A_COMMIT = (ConversationItemCreate, ResponseCreate)


class Uplink:
    """Sends over whatever line it is given, and holds what that does not take yet: the rest of a long audio, and what follows it.

    Args:
        encode: makes a text frame of a client event.
    """

    def __init__(self, encode: Callable[[ClientEvent], bytes]) -> None:
        self._encode = encode
        # frames, and whom to answer when the line took them
        self._held: deque[tuple[bytes, int | None]] = deque()
        self._full: SendBufferFull | None = None
        self._commits = False
        self._refused = 0  # told, not asked: nobody knows yet

    @property
    def busy(self) -> bool:
        """Whether something waits for the line to take what was sent before: then call ``flush``."""
        return self._commits or bool(self._held)

    def send(self, line: Line, event: ClientEvent) -> None:
        """Send control: ahead of audio, unless it is about the audio.

        Raises:
            LineClosed: the line has ended.
        """
        data = self._encode(event)
        if isinstance(event, _AMONG_AUDIO):
            self._commits = self._commits or isinstance(event, InputAudioBufferCommit)
            self._follow(line, data)
        elif self._commits and isinstance(event, _BEHIND_A_COMMIT):
            self._follow(line, data)
        else:
            line.send(data)

    def append(self, line: Line | None, effect: SendAppend) -> tuple[bool, list[Effect]]:
        """Send audio, all of it or none. Returns whether the line took it, and effects.

        What it did not take fails its asker; what was told is counted, and reported once the line takes audio again.

        Raises:
            LineClosed: the line has ended.
        """
        if line is None:
            return False, self._refuse(effect, LineDown("send_audio"))
        if effect.carried:
            for piece in effect.pieces:
                self._follow(line, self._encode(piece))
            return True, []
        if self._full is not None:
            return False, self._refuse(effect, self._full)
        first, *rest = effect.pieces
        try:
            line.send_audio(self._encode(first))
        except SendBufferFull as full:
            return False, self._refuse(effect, full)
        for piece in rest:
            self._follow(line, self._encode(piece))
        effects: list[Effect] = []
        if self._refused:
            effects.append(lagging("the line took no audio", self._refused))
            self._refused = 0
        if effect.token is not None:
            if not self._held:
                effects.append(Resolve(effect.token))
            else:
                data, _ = self._held.pop()
                self._held.append((data, effect.token))
        return True, effects

    def flush(self, line: Line) -> list[Effect]:
        """Send what is held, as far as the line takes it. Returns the answers to what it took.

        Raises:
            LineClosed: the line has ended.
        """
        taken: list[Effect] = []
        while self._held:
            data, token = self._held[0]
            try:
                line.send_audio(data)
            except SendBufferFull:
                return taken
            self._held.popleft()
            if token is not None:
                taken.append(Resolve(token))
        self._full = None
        self._commits = self._commits and line.wants_write
        return taken

    def clear(self) -> list[Effect]:
        """The line is lost, and what it did not take. Returns the answers to that."""
        lost: list[Effect] = [
            Reject(token, LineDown("send_audio")) for _, token in self._held if token is not None
        ]
        self._held.clear()
        self._full = None
        self._commits = False
        return lost

    def _refuse(self, effect: SendAppend, error: Exception) -> list[Effect]:
        if effect.token is not None:
            return [Reject(effect.token, error)]
        self._refused += 1
        return []

    def _follow(self, line: Line, data: bytes) -> None:
        """Send behind the audio; never refused."""
        if not self._held:
            try:
                line.send_audio(data)
                return
            except SendBufferFull as full:
                self._full = full
        self._held.append((data, None))
