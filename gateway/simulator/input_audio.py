"""The caller's side of the audio: what is appended, and the turns that are made of it. Pure.

What it returns are steps for the session core, which alone knows conversation and responses. Each `speech_started` is followed
by one `speech_stopped` for the same item, also where a commit, a clear or a change of settings ends the turn early.

Source: protocol events `input_audio_buffer.*`; protocol.md A.2, A.4, A.8.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .audio_buffer import AudioBuffer, sound_of
from .effects import Send, Wake
from .g711 import RATES_HZ, decode
from .hearing import decode_words
from .ids import Ids
from .item_list import Item
from .turn_detection import TurnDetection, detection_of
from .voice_activity import Edge, Lull, Offset, Onset, VoiceActivity

_MAX_MS = 10 * 60_000
"""So much is held of a turn, or of what is appended without turn detection; the oldest goes first."""
_MAX_SILENT_MS = 60_000
"""So much is held while nobody speaks: a client that streams silence is not buffered for without bound."""
_LAST_WORD_MS = 5_000
"""So much is listened to for the last word of a sentence: it lies in it, and a long turn with many lulls costs no more."""
_SENTENCE_ENDS = (".", "?", "!")


@dataclass(frozen=True, slots=True, eq=False)
class Committed:
    """Step: this audio is a user item now, at the end of the conversation.

    Args:
        item: With its sound.
        sound: The sound once more, in bytes.
        audio_format: Its wire format.
    """

    item: Item
    sound: bytes
    audio_format: str


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Step: the user speaks; the active response of the conversation is cancelled."""


@dataclass(frozen=True, slots=True)
class Respond:
    """Step: the user's turn is over; a response is created."""


InputStep = Send | Wake | Committed | Interrupt | Respond


@dataclass(frozen=True, slots=True)
class _Speech:
    item_id: str
    start_ms: float


class InputAudio:
    """The input audio of one session.

    Args:
        ids: Makes the identifiers.
        settings: The session's `audio.input`.
    """

    def __init__(self, ids: Ids, settings: Mapping[str, Any]) -> None:
        self._ids = ids
        self._format: str = settings["format"]["type"]
        self._buffer = AudioBuffer(self._format)
        self._detection: TurnDetection | None = None
        self._voice: VoiceActivity | None = None
        self._speech: _Speech | None = None
        self._idle_token: str | None = None
        self._idle_from_ms = 0.0
        self.configure(settings)

    def configure(self, settings: Mapping[str, Any]) -> list[InputStep]:
        """Take over the settings of `audio.input`.

        A turn under way goes on under new settings of turn detection; it ends where detection is switched off, or the format
        changes. What was appended stays, but not through a change of format.
        """
        detection, audio_format = detection_of(settings["turn_detection"]), settings["format"]["type"]
        steps: list[InputStep] = []
        if audio_format != self._format or detection is None:
            steps += self._stop_speech(self._buffer.end_ms)
            self._voice = None
        if audio_format != self._format:
            self._format = audio_format
            self._buffer.change_format(audio_format)
        if detection is None or detection.idle_timeout_ms is None:
            self._idle_token = None
        if detection is not None and self._voice is None:
            self._voice = VoiceActivity(RATES_HZ[audio_format], self._buffer.end_ms, detection)
        elif detection is not None and self._voice is not None:
            self._voice.detection = detection
        self._detection = detection
        return steps

    def append(self, audio: str) -> list[InputStep]:
        """Take audio of the client, in base64.

        Raises:
            ClientError: It is not audio: the client's fault.
        """
        sound = sound_of(audio, self._format)
        self._buffer.append(sound)
        steps: list[InputStep] = []
        if self._voice is not None and self._detection is not None:
            for edge in self._voice.hear(decode(sound, self._format)):
                steps += self._take(edge, self._detection)
        is_silent = self._detection is not None and self._speech is None
        self._buffer.keep_newest(_MAX_SILENT_MS if is_silent else _MAX_MS)
        return steps

    def clear(self) -> list[InputStep]:
        """Drop what was appended; a turn under way is over and comes to nothing."""
        steps = self._stop_speech(self._buffer.end_ms)
        self._buffer.clear()
        return [*steps, Send(self._ids.event("input_audio_buffer.cleared"))]

    def commit(self) -> list[InputStep]:
        """Make an item of all that was appended, with or without turn detection; no response comes of it.

        Raises:
            ClientError: It is less than 100 ms: the client's fault.
        """
        self._buffer.check_commit()
        speech, end_ms = self._speech, self._buffer.end_ms
        steps = self._stop_speech(end_ms)
        item_id = speech.item_id if speech is not None else self._ids.fresh("item")
        return [*steps, self._commit(item_id, self._buffer.start_ms, end_ms)]

    def response_began(self) -> None:
        """Note that a response of the conversation is active: nobody is idle."""
        self._idle_token = None

    def response_ended(self, unheard_s: float) -> list[Wake]:
        """Note that no response is active any more, and ask to be woken when the user is idle for too long.

        Args:
            unheard_s: How much of the response's audio the user has still to hear.
        """
        detection = self._detection
        if detection is None or detection.idle_timeout_ms is None or self._speech is not None:
            return []
        self._idle_token = self._ids.fresh("idle")
        self._idle_from_ms = self._buffer.end_ms
        return [Wake(self._idle_token, unheard_s + detection.idle_timeout_ms / 1000)]

    def wake(self, token: str) -> list[InputStep]:
        """Take a wake-up call: the user has been idle, unless something came between."""
        detection = self._detection
        if token != self._idle_token or detection is None:
            return []
        self._idle_token = None
        item_id, end_ms = self._ids.fresh("item"), self._buffer.end_ms
        start_ms = max(self._idle_from_ms, self._buffer.start_ms)
        triggered = self._ids.event(
            "input_audio_buffer.timeout_triggered",
            audio_start_ms=int(start_ms),
            audio_end_ms=int(end_ms),
            item_id=item_id,
        )
        return [Send(triggered), self._commit(item_id, start_ms, end_ms), *_response(detection)]

    def _take(self, edge: Edge, detection: TurnDetection) -> list[InputStep]:
        match edge:
            case Onset(at_ms=at_ms):
                return self._start_speech(at_ms, detection)
            case Lull(at_ms=at_ms):
                return self._end_turn(at_ms, detection) if self._sounds_finished(at_ms) else []
            case Offset(at_ms=at_ms):
                return self._end_turn(at_ms, detection)

    def _start_speech(self, at_ms: float, detection: TurnDetection) -> list[InputStep]:
        self._idle_token = None
        start_ms = max(at_ms - detection.prefix_padding_ms, self._buffer.start_ms)
        self._speech = _Speech(self._ids.fresh("item"), start_ms)
        started = self._ids.event(
            "input_audio_buffer.speech_started", audio_start_ms=int(start_ms), item_id=self._speech.item_id
        )
        return [Send(started), Interrupt()] if detection.interrupt_response else [Send(started)]

    def _end_turn(self, end_ms: float, detection: TurnDetection) -> list[InputStep]:
        speech = self._speech
        if speech is None:
            return []
        stopped = self._stop_speech(end_ms)
        return [*stopped, self._commit(speech.item_id, speech.start_ms, end_ms), *_response(detection)]

    def _stop_speech(self, end_ms: float) -> list[InputStep]:
        speech, self._speech = self._speech, None
        if self._voice is not None:
            self._voice.stop()
        if speech is None:
            return []
        stopped = self._ids.event(
            "input_audio_buffer.speech_stopped", audio_end_ms=int(end_ms), item_id=speech.item_id
        )
        return [Send(stopped)]

    def _sounds_finished(self, at_ms: float) -> bool:
        if self._speech is None:
            return False
        start_ms = max(self._speech.start_ms, at_ms - _LAST_WORD_MS)
        said = decode(self._buffer.peek(start_ms, at_ms), self._format)
        words = decode_words(said, RATES_HZ[self._format])
        return bool(words) and words[-1].word.endswith(_SENTENCE_ENDS)

    def _commit(self, item_id: str, start_ms: float, end_ms: float) -> Committed:
        sound = self._buffer.take(start_ms, end_ms)
        item: Item = {
            "id": item_id,
            "object": "realtime.item",
            "status": "completed",
            "type": "message",
            "role": "user",
            "content": [{"type": "input_audio", "audio": base64.b64encode(sound).decode()}],
        }
        return Committed(item, sound, self._format)


def _response(detection: TurnDetection) -> list[InputStep]:
    return [Respond()] if detection.create_response else []
