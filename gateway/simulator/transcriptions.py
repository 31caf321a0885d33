"""The transcriptions of one session: what was heard, and when the client is told. Pure.

The model hears the caller's audio whether or not a transcript of it is asked for: `shown` gives a brain the words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .audio_buffer import sound_of
from .client_error import ClientError
from .effects import Effect, Send, Wake
from .g711 import RATES_HZ, decode
from .hearing import decode_words
from .ids import Ids
from .input_audio import Committed
from .item_list import Item
from .sounds import Sounds
from .transcription import Transcriber, Transcript, Transcription, Utterance, spoken_words, transcribe

_AUDIO_PARTS = ("input_audio", "output_audio")
_LOGPROBS = "item.input_audio_transcription.logprobs"


class Transcriptions:
    """Transcribe what is committed.

    Args:
        ids: Makes the identifiers.
        transcriber: Makes text of audio; None: `transcribe`.
        delay_s: Seconds until the client is told; 0 tells it before the response.
    """

    def __init__(self, ids: Ids, transcriber: Transcriber | None, delay_s: float) -> None:
        self._ids = ids
        self._transcriber = transcriber
        self._delay_s = delay_s
        self._heard: dict[str, str] = {}
        self._pending: dict[str, tuple[Transcription, Item]] = {}

    def hear(self, committed: Committed, settings: Mapping[str, Any]) -> list[Effect]:
        """Take a commit, and tell its transcript now or later if the session asks for one.

        Args:
            committed: What was committed; its item is given its transcript when that is told.
            settings: The session's.
        """
        asked = settings["audio"]["input"]["transcription"]
        samples = decode(committed.sound, committed.audio_format)
        item_id = committed.item["id"]
        utterance = Utterance(item_id, samples, RATES_HZ[committed.audio_format], asked or {})
        transcript, error = self._transcribed(utterance)
        custom = self._transcriber is not None and transcript is not None
        self._heard[item_id] = transcript.text if custom and transcript else spoken_words(utterance)
        if asked is None or not len(samples):
            return []
        told = Transcription(
            item_id=item_id,
            text=None if transcript is None else transcript.text,
            error=error,
            model=asked.get("model") or "",
            duration_ms=utterance.duration_ms,
            with_logprobs=_LOGPROBS in (settings.get("include") or ()),
        )
        return self._tell(told, committed.item, transcript)

    def wake(self, token: str) -> list[Effect]:
        """Take a wake-up call: tell what was to be told then."""
        told, item = self._pending.pop(token, (None, None))
        return [] if told is None or item is None else self._now(told, item)

    def shown(
        self, items: Iterable[Mapping[str, Any]], sounds: Sounds, input_format: str
    ) -> list[Mapping[str, Any]]:
        """Return items as the model hears them: audio without a transcript has its words.

        Args:
            items: Of the conversation.
            sounds: Of the assistant's messages, for those that were truncated.
            input_format: The wire format of audio that the client put into items by itself.
        """
        return [self._shown(item, sounds, input_format) for item in items]

    def forget(self, item_id: str) -> None:
        """Forget an item that was deleted."""
        self._heard.pop(item_id, None)

    def _transcribed(self, utterance: Utterance) -> tuple[Transcript | None, str]:
        try:
            transcript = (self._transcriber or transcribe)(utterance)
        except Exception as error:  # noqa: BLE001 - the transcriber's edge: its defect is a failed transcription
            return None, f"The audio could not be transcribed: {error!r}"
        return transcript if isinstance(transcript, Transcript) else Transcript(transcript), ""

    def _tell(self, told: Transcription, item: Item, transcript: Transcript | None) -> list[Effect]:
        given = None if transcript is None else transcript.delay_s
        delay_s = self._delay_s if given is None else given
        hold = None if transcript is None else transcript.hold
        if delay_s <= 0 and hold is None:
            return self._now(told, item)
        token = self._ids.fresh("transcription")
        self._pending[token] = (told, item)
        return [Wake(token, delay_s, hold)]

    def _now(self, told: Transcription, item: Item) -> list[Effect]:
        if told.text is not None:
            item["content"][0]["transcript"] = told.text
        return [Send(event) for event in told.events(self._ids)]

    def _shown(self, item: Mapping[str, Any], sounds: Sounds, input_format: str) -> Mapping[str, Any]:
        parts = item.get("content") or ()
        if not any(part.get("type") in _AUDIO_PARTS and "transcript" not in part for part in parts):
            return item
        item_id = item.get("id", "")
        if item_id in self._heard:
            said = self._heard[item_id]
        elif item.get("role") == "user":
            said = " ".join(_words_in(part, input_format) for part in parts).strip()
        else:
            said = sounds.words_of(item_id)
        heard = {"transcript": said} if said else {}
        return {
            **item,
            "content": [{**heard, **part} if part.get("type") in _AUDIO_PARTS else part for part in parts],
        }


def _words_in(part: Mapping[str, Any], audio_format: str) -> str:
    try:
        samples = decode(sound_of(part.get("audio") or "", audio_format), audio_format)
    except ClientError:
        return ""  # an item may hold what no append may
    return " ".join(word.word for word in decode_words(samples, RATES_HZ[audio_format]))
