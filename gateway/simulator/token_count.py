"""Token counts that add up: rough, but the same text and sound always cost the same. Pure.

Source: protocol.md A.3 (`RealtimeResponseUsage`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from .conversation import Conversation, Item
from .g711 import BYTES_PER_MS
from .item_list import ItemList

_CHARS_PER_TOKEN = 4
_IMAGE_TOKENS = 85
_SPOKEN_MS_PER_TOKEN = 50
_HEARD_MS_PER_TOKEN = 100


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens by modality."""

    text: int = 0
    audio: int = 0
    image: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.text + other.text, self.audio + other.audio, self.image + other.image)

    @property
    def total(self) -> int:
        """All of them."""
        return self.text + self.audio + self.image

    def details(self) -> dict[str, int]:
        """Return them as the wire counts them."""
        return {"text_tokens": self.text, "audio_tokens": self.audio, "image_tokens": self.image}


Context = tuple[tuple[str, Tokens], ...]
"""What a response sees, piece by piece in order: a name (of an item: its id) and what it costs."""


def text_tokens(text: str) -> int:
    """Return what a text costs."""
    return -(-len(text) // _CHARS_PER_TOKEN)


def audio_tokens(duration_ms: int) -> int:
    """Return what so much assistant speech costs."""
    return -(-duration_ms // _SPOKEN_MS_PER_TOKEN)


def heard_tokens(duration_ms: int) -> int:
    """Return what so much of the caller's audio costs."""
    return -(-duration_ms // _HEARD_MS_PER_TOKEN)


def context_of(conversation: Conversation, items: ItemList, input_format: str) -> Context:
    """Return what a response is about to read.

    Args:
        conversation: What it is shown.
        items: Where the assistant's own speech is known by its length.
        input_format: The wire name of the format of the caller's audio.
    """
    settings = text_tokens(conversation.instructions) + _json_tokens(list(conversation.tools))
    return (
        ("settings", Tokens(text=settings)),
        *(
            (str(item.get("id")), _tokens_of(item, items.sound_ms(item.get("id")), input_format))
            for item in conversation.items
        ),
    )


def usage(context: Context, seen: Context, n_text: int, spoken_ms: int) -> dict[str, Any]:
    """Return `response.usage`.

    Args:
        context: What the response read.
        seen: What the response before it read: what both begin with is cached.
        n_text: Text tokens that were sent.
        spoken_ms: Milliseconds of speech that were sent.
    """
    read = _sum(tokens for _, tokens in context)
    cached = _sum(_common_beginning(context, seen))
    written = Tokens(text=n_text, audio=audio_tokens(spoken_ms))
    return {
        "total_tokens": read.total + written.total,
        "input_tokens": read.total,
        "output_tokens": written.total,
        "input_token_details": {
            **read.details(),
            "cached_tokens": cached.total,
            "cached_tokens_details": cached.details(),
        },
        "output_token_details": {"text_tokens": written.text, "audio_tokens": written.audio},
    }


def _sum(tokens: Iterable[Tokens]) -> Tokens:
    return sum(tokens, Tokens())


def _common_beginning(context: Context, seen: Context) -> Iterable[Tokens]:
    for piece, known in zip(context, seen, strict=False):
        if piece != known:
            return
        yield piece[1]


def _tokens_of(item: Item, spoken_ms: int, input_format: str) -> Tokens:
    total = Tokens(text=text_tokens(item.get("arguments", "") + (item.get("output") or "")))
    if item.get("tools"):
        total += Tokens(text=_json_tokens(item["tools"]))
    for part in item.get("content") or ():
        match part.get("type"):
            case "input_audio":
                heard_ms = len(part.get("audio") or "") * 3 // 4 // BYTES_PER_MS[input_format]
                total += Tokens(audio=heard_tokens(heard_ms))
            case "output_audio":
                total += Tokens(audio=audio_tokens(spoken_ms))
            case "input_image":
                total += Tokens(image=_IMAGE_TOKENS)
            case _:
                total += Tokens(text=text_tokens(part.get("text") or ""))
    return total


def _json_tokens(value: list[Any]) -> int:
    return text_tokens(msgspec.json.encode(value).decode()) if value else 0


_REQUEST_LIMIT = 10_000
_TOKEN_LIMIT = 4_000_000


def rate_limits(n_responses: int, n_tokens: int) -> list[dict[str, Any]]:
    """Return the `rate_limits` of `rate_limits.updated` after so much use of a session."""
    return [
        {
            "name": "requests",
            "limit": _REQUEST_LIMIT,
            "remaining": max(0, _REQUEST_LIMIT - n_responses),
            "reset_seconds": 0.006,
        },
        {
            "name": "tokens",
            "limit": _TOKEN_LIMIT,
            "remaining": max(0, _TOKEN_LIMIT - n_tokens),
            "reset_seconds": 0.015,
        },
    ]
