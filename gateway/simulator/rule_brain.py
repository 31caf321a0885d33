"""The default brain: a handful of rules. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from .conversation import Conversation
from .steps import Say, Step


class RuleBrain:
    """Answers by rules."""

    def reply(self, conversation: Conversation) -> Iterable[Step]:
        """Return the steps of one response."""
        if "capital of canada" in conversation.last_user_text.lower():
            return [Say("The capital of Canada is Ottawa.")]
        return [Say(f"I heard: {conversation.last_user_text}")]
