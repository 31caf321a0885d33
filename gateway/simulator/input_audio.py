"""The caller's side of the audio: what is appended, and the turns that are made of it. Pure.

What it returns are steps for the session core, which alone knows conversation and responses.

Source: protocol events `input_audio_buffer.*`; protocol.md A.2, A.4, A.8.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from .audio_buffer import AudioBuffer
from .effects import Send, Wake
from .ids import Ids
from .item_list import Item


@dataclass(frozen=True, slots=True)
class AddItem:
    """Step: announce a commit, and put this item at the end of the conversation."""

    item: Item


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Step: the user speaks; the active response of the conversation is cancelled."""


@dataclass(frozen=True, slots=True)
class Respond:
    """Step: the user's turn is over; a response is created."""


InputStep = Send | Wake | AddItem | Interrupt | Respond


class InputAudio:
    """The input audio of one session.

    Args:
        ids: Makes the identifiers.
        settings: The session's `audio.input`.
    """

    def __init__(self, ids: Ids, settings: dict[str, Any]) -> None:
        self._ids = ids
        self._settings = settings
        self._buffer = AudioBuffer()

    def configure(self, settings: dict[str, Any]) -> list[InputStep]:
        """Take over new settings of `audio.input`."""
        self._settings = settings
        return []

    def append(self, audio: str) -> list[InputStep]:
        """Take audio of the client."""
        self._buffer.append(audio, self._format)
        return []

    def clear(self) -> list[InputStep]:
        """Drop what was appended."""
        self._buffer.clear()
        return [Send(self._ids.event("input_audio_buffer.cleared"))]

    def commit(self) -> list[InputStep]:
        """Make an item of what was appended."""
        sound = self._buffer.take(self._format)
        part = {"type": "input_audio", "audio": base64.b64encode(sound).decode()}
        item: Item = {
            "id": self._ids.fresh("item"),
            "object": "realtime.item",
            "status": "completed",
            "type": "message",
            "role": "user",
            "content": [part],
        }
        return [AddItem(item)]

    @property
    def _format(self) -> str:
        name: str = self._settings["format"]["type"]
        return name
