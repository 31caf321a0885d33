"""How much of a conversation a response reads: where it is longer than the model takes, the newest part. Pure.

What is left out stays in the conversation. Once left out, an item is not read again, so that a truncation that makes room for
several turns (`retention_ratio`) does so.

Source: protocol.md A.3 (`RealtimeTruncationRetentionRatio`), A.4, A.8 (context). What the error of `disabled` is called is not
documented.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .client_error import ClientError
from .conversation import Conversation
from .token_count import Context

Truncation = str | Mapping[str, Any]

_LIMIT = 28_224
_LARGE_LIMIT = 96_000
_LARGE_MODEL = re.compile(r"gpt-realtime-2(\.\d+)?(-mini)?")


def input_limit(model: str) -> int:
    """Return how many tokens a model reads: those of its context without those kept free for its output."""
    return _LARGE_LIMIT if _LARGE_MODEL.fullmatch(model) else _LIMIT


class ContextWindow:
    """Which items of one session's conversation are read no more."""

    __slots__ = ("_left_out",)

    def __init__(self) -> None:
        self._left_out: set[str] = set()

    def check(self, conversation: Conversation, context: Context, truncation: Truncation) -> None:
        """Refuse what cannot be made to fit.

        Args:
            conversation: What a response would be shown.
            context: The same piece by piece: the settings, then the items.
            truncation: The session's.

        Raises:
            ClientError: It is too long, and nothing may be left out, or nothing could be: the client's fault.
        """
        room, _ = _bounds(conversation.model, context, truncation)
        is_too_long = sum(tokens.total for _, tokens in context[1:]) > room
        if room < 0 or (truncation == "disabled" and is_too_long):
            raise ClientError(
                "context_length_exceeded",
                f"The conversation exceeds the model's input token limit of {input_limit(conversation.model)} tokens.",
            )

    def fit(
        self, conversation: Conversation, context: Context, truncation: Truncation, *, has_own_input: bool
    ) -> tuple[Conversation, Context]:
        """Return the part that is read, with its context.

        Args:
            conversation: What a response would be shown.
            context: The same piece by piece: the settings, then the items.
            truncation: The session's.
            has_own_input: Whether it is read instead of the session's conversation.
        """
        pieces = list(zip(conversation.items, context[1:], strict=True))
        if not has_own_input:
            pieces = [piece for piece in pieces if piece[1][0] not in self._left_out]
        n_oldest = _excess(
            [tokens.total for _, (_, tokens) in pieces], *_bounds(conversation.model, context, truncation)
        )
        if not has_own_input:
            self._left_out.update(name for _, (name, _) in pieces[:n_oldest])
        read = pieces[n_oldest:]
        return replace(conversation, items=[item for item, _ in read]), (
            context[0],
            *(piece for _, piece in read),
        )

    def forget(self, item_id: str) -> None:
        """Forget an item that was deleted."""
        self._left_out.discard(item_id)


def _bounds(model: str, context: Context, truncation: Truncation) -> tuple[float, float]:
    """Return how many tokens the items may have, and how many are kept of them where they have more."""
    room: float = input_limit(model) - context[0][1].total
    if isinstance(truncation, str):
        return room, math.inf if truncation == "disabled" else room
    room = min(room, (truncation.get("token_limits") or {}).get("post_instructions", math.inf))
    return room, room * truncation["retention_ratio"]


def _excess(sizes: Sequence[int], room: float, kept: float) -> int:
    """Return how many of the oldest have to go."""
    total = sum(sizes)
    if total <= room:
        return 0
    for n_oldest, size in enumerate(sizes):
        if total <= kept:
            return n_oldest
        total -= size
    return len(sizes)
