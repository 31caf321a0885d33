"""An assistant message in speech, as a response streams it: its sound in pieces, and its transcript. Pure.

Source: protocol.md A.6.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from .g711 import BYTES_PER_MS
from .ids import Event
from .place import Place, obfuscation
from .tone import word_ms_of, word_tone

_PIECE_MS = 200
"""The longest piece of a tone; sound that is given comes in pieces already."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What is sent at once.

    Args:
        text: What of the transcript goes before it.
        sound: Encoded.
        duration_ms: Of the sound.
    """

    text: str
    sound: bytes
    duration_ms: int


@dataclass(slots=True)
class AudioBody:
    """An assistant message in speech: a word of tones per delta, or sound that is given, and its transcript.

    Args:
        format: The wire name of the audio format.
        word_ms: Milliseconds of a word's tones; longer if its letters take longer.
        recorded: The sounds of the deltas, encoded, the last one first; None: tones.
        transcript: What was said so far.
        sound: What was sent so far, encoded.
    """

    has_status: ClassVar[bool] = True
    prefix: ClassVar[str] = "item"

    format: str
    word_ms: int
    recorded: list[bytes] | None = None
    transcript: str = ""
    sound: bytearray = field(default_factory=bytearray)

    @property
    def spoken_ms(self) -> int:
        """How long what was sent so far lasts."""
        return len(self.sound) // BYTES_PER_MS[self.format]

    def next_ms(self, text: str) -> int:
        """Return how long the sound of a delta is going to last."""
        if self.recorded is None:
            return word_ms_of(text.strip(), self.word_ms)
        return len(self.recorded[-1]) // BYTES_PER_MS[self.format]

    def pieces(self, text: str) -> Iterator[Piece]:
        """Yield what one delta of the transcript is sent in: its text goes with the first."""
        if self.recorded is None:
            sound = word_tone(text.strip(), self.word_ms, self.format)
            n_bytes = _PIECE_MS * BYTES_PER_MS[self.format]
        else:
            sound = self.recorded.pop()
            n_bytes = max(1, len(sound))
        for start in range(0, max(1, len(sound)), n_bytes):
            part = sound[start : start + n_bytes]
            yield Piece("" if start else text, part, len(part) // BYTES_PER_MS[self.format])

    def play(self, place: Place, piece: Piece) -> list[Event]:
        """Send one piece: its transcript first, then its sound."""
        self.transcript += piece.text
        self.sound += piece.sound
        delta = base64.b64encode(piece.sound).decode()
        heard = place.event("response.output_audio.delta", content_index=0, delta=delta)
        if not piece.text:
            return [heard]
        padding = obfuscation(place.ids, piece.text)
        name = "response.output_audio_transcript.delta"
        said = place.event(name, content_index=0, delta=piece.text, obfuscation=padding)
        return [said, heard]

    def skeleton(self) -> dict[str, Any]:
        """Return the message with the transcript so far; events never carry the sound of an item."""
        said = {"transcript": self.transcript} if self.transcript else {}
        content = [{"type": "output_audio", **said}] if said or self.sound else []
        return {"type": "message", "role": "assistant", "content": content}

    def begin(self, place: Place) -> list[Event]:
        """Open the audio part."""
        part = {"type": "audio", "transcript": ""}
        return [place.event("response.content_part.added", content_index=0, part=part)]

    def chunk(self, place: Place, text: str) -> list[Event]:
        """Send all pieces of one delta."""
        return [event for piece in self.pieces(text) for event in self.play(place, piece)]

    def finish(self, place: Place, status: str) -> list[Event]:
        """Close the audio part."""
        part = {"type": "audio", "transcript": self.transcript}
        return [
            place.event("response.output_audio.done", content_index=0),
            place.event("response.output_audio_transcript.done", content_index=0, transcript=self.transcript),
            place.event("response.content_part.done", content_index=0, part=part),
        ]
