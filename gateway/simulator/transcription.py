"""What the caller's audio says: transcripts, their events and what they cost. Pure.

Source: protocol events `conversation.item.input_audio_transcription.*`; protocol.md A.3, A.6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .g711 import Samples
from .hearing import decode_words
from .ids import Event, Ids
from .steps import Latch
from .token_count import heard_tokens, text_tokens

_AUDIBLE = 100
_DIARIZING = "-diarize"


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """Committed audio.

    Args:
        item_id: The item that holds it.
        samples: `(n_samples,) int16`, mono.
        rate_hz: Their rate.
        settings: `audio.input.transcription` of the session: `model`, `language` and so on; empty if it is off.
    """

    item_id: str
    samples: Samples
    rate_hz: int
    settings: Mapping[str, Any]

    @property
    def duration_ms(self) -> int:
        """How long it lasts."""
        return len(self.samples) * 1000 // self.rate_hz


@dataclass(frozen=True, slots=True)
class Transcript:
    """What a transcriber makes of an utterance.

    Args:
        text: What was said.
        delay_s: Seconds until the client is told; None takes the simulator's `transcription_delay_s`.
        hold: Then also wait for this gate.
    """

    text: str
    delay_s: float | None = None
    hold: Latch | None = None


Transcriber = Callable[[Utterance], Transcript | str]
"""Makes text of audio. It is called in the simulator's thread and must be quick; what it raises becomes `...failed`."""


def spoken_words(utterance: Utterance) -> str:
    """Return the words that the simulator's own tones spell in it."""
    return " ".join(word.word for word in decode_words(utterance.samples, utterance.rate_hz))


def transcribe(utterance: Utterance) -> str:
    """Return the words of the simulator's own tones; `(speech, N ms)` for any other sound, nothing for silence.

    The transcriber of a simulator that is given none.
    """
    said = spoken_words(utterance)
    if said or not np.any(np.abs(utterance.samples.astype(np.int32)) > _AUDIBLE):
        return said
    return f"(speech, {utterance.duration_ms} ms)"


@dataclass(frozen=True, slots=True)
class Transcription:
    """A transcription under way: all that will be told about it.

    Args:
        item_id: The item.
        text: The transcript; None if it failed.
        error: What went wrong, if it failed.
        model: The transcription model of the session.
        duration_ms: Of the audio.
        with_logprobs: Whether the session includes them.
    """

    item_id: str
    text: str | None
    error: str
    model: str
    duration_ms: int
    with_logprobs: bool

    def events(self, ids: Ids) -> list[Event]:
        """Return its events: what was said piece by piece and then whole, or that it failed."""
        if self.text is None:
            error = {"type": "transcription_error", "code": "audio_unintelligible", "message": self.error}
            return [self._event(ids, "failed", error=error)]
        told = [self._event(ids, "delta", delta=piece, **self._logprobs(piece)) for piece in self._pieces()]
        told += self._segments(ids)
        everything = self._logprobs(self.text)
        return [*told, self._event(ids, "completed", transcript=self.text, usage=self._usage(), **everything)]

    def _event(self, ids: Ids, kind: str, **fields: Any) -> Event:
        name = f"conversation.item.input_audio_transcription.{kind}"
        return ids.event(name, item_id=self.item_id, content_index=0, **fields)

    def _segments(self, ids: Ids) -> list[Event]:
        """Return who said what, where the model tells speakers apart: the caller is one speaker."""
        if not self.text or not self.model.endswith(_DIARIZING):
            return []
        when = {"start": 0.0, "end": self.duration_ms / 1000}
        return [self._event(ids, "segment", id=ids.fresh("seg"), speaker="A", text=self.text, **when)]

    def _pieces(self) -> list[str]:
        assert self.text is not None
        if not self.text:
            return []
        if self.model.startswith("whisper"):
            return [self.text]  # it tells all at once
        first, *others = self.text.split(" ")
        return [first, *(f" {word}" for word in others)]

    def _logprobs(self, piece: str) -> dict[str, Any]:
        if not self.with_logprobs:
            return {}
        return {"logprobs": [{"token": piece, "bytes": list(piece.encode(errors="replace")), "logprob": 0.0}]}

    def _usage(self) -> dict[str, Any]:
        assert self.text is not None
        if self.model.startswith("whisper"):
            return {"type": "duration", "seconds": self.duration_ms / 1000}
        heard, written = heard_tokens(self.duration_ms), text_tokens(self.text)
        return {
            "type": "tokens",
            "input_tokens": heard,
            "output_tokens": written,
            "total_tokens": heard + written,
            "input_token_details": {"text_tokens": 0, "audio_tokens": heard},
        }
