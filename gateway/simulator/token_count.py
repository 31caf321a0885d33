"""Token counts that add up: rough, but the same text always costs the same. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .conversation import Conversation, Item, text_of

_CHARS_PER_TOKEN = 4
_IMAGE_TOKENS = 85
_AUDIO_MS_PER_TOKEN = 50


def text_tokens(text: str) -> int:
    """Return what a text costs."""
    return -(-len(text) // _CHARS_PER_TOKEN)


def audio_tokens(duration_ms: int) -> int:
    """Return what so much assistant speech costs."""
    return -(-duration_ms // _AUDIO_MS_PER_TOKEN)


def usage(conversation: Conversation, n_text: int, spoken_ms: int) -> dict[str, Any]:
    """Return `response.usage`.

    Args:
        conversation: What the response saw.
        n_text: Text tokens that were sent.
        spoken_ms: Milliseconds of speech that were sent.
    """
    n_images = sum(_images_in(item) for item in conversation.items)
    text_in = text_tokens(conversation.instructions) + _text_in(conversation.items)
    image_in = n_images * _IMAGE_TOKENS
    spoken = audio_tokens(spoken_ms)
    return {
        "total_tokens": text_in + image_in + n_text + spoken,
        "input_tokens": text_in + image_in,
        "output_tokens": n_text + spoken,
        "input_token_details": {
            "text_tokens": text_in,
            "audio_tokens": 0,
            "image_tokens": image_in,
            "cached_tokens": 0,
            "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": n_text, "audio_tokens": spoken},
    }


def _text_in(items: Iterable[Item]) -> int:
    return sum(
        text_tokens(text_of(item) + item.get("arguments", "") + item.get("output", "")) for item in items
    )


def _images_in(item: Item) -> int:
    return sum(part.get("type") == "input_image" for part in item.get("content") or ())


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
