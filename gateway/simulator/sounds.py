"""What the assistant said, as sound, for as long as the conversation may ask for it. Pure."""

from __future__ import annotations

from .g711 import BYTES_PER_MS, RATES_HZ, decode
from .hearing import decode_words

_MAX_BYTES = 64 * 1024 * 1024
"""So much of a session's sound is kept; the oldest goes first."""


class Sounds:
    """Keep the sound of items by their ids.

    Args:
        max_bytes: How much of it.
    """

    __slots__ = ("_kept", "_max_bytes")

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._kept: dict[str, tuple[bytearray | bytes, str]] = {}

    def keep(self, item_id: str, sound: bytearray, audio_format: str) -> None:
        """Keep the sound of an item, which may still grow; one that was cut stays as it is."""
        if item_id in self._kept:
            return
        self._kept[item_id] = (sound, audio_format)
        excess = sum(len(kept) for kept, _ in self._kept.values()) - self._max_bytes
        while excess > 0 and len(self._kept) > 1:
            oldest = next(iter(self._kept))
            excess -= len(self._kept.pop(oldest)[0])

    def cut(self, item_id: str, end_ms: int) -> None:
        """Drop what an item says from this millisecond on."""
        if item_id in self._kept:
            sound, audio_format = self._kept[item_id]
            self._kept[item_id] = (bytes(sound[: end_ms * BYTES_PER_MS[audio_format]]), audio_format)

    def drop(self, item_id: str) -> None:
        """Forget an item."""
        self._kept.pop(item_id, None)

    def of(self, item_id: str) -> bytes | None:
        """Return the sound of an item, encoded; None if it has none, or no longer."""
        kept = self._kept.get(item_id)
        return None if kept is None else bytes(kept[0])

    def words_of(self, item_id: str) -> str:
        """Return what can be heard in the sound of an item."""
        kept = self._kept.get(item_id)
        if kept is None:
            return ""
        sound, audio_format = kept
        heard = decode_words(decode(bytes(sound), audio_format), RATES_HZ[audio_format])
        return " ".join(word.word for word in heard)
