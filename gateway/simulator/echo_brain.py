"""A brain that says what it was told: the caller's own sound, and the caller's own words. Pure."""

from __future__ import annotations

import base64
from collections.abc import Iterable

from .conversation import Conversation, is_message
from .recorded_sound import to_pcm
from .steps import PlayAudio, Say, Step


class EchoBrain:
    """Speak the user's last message back: the samples of committed audio, with its transcript if there is one, and text.

    In a text session it answers with the transcript. It has nothing to say before the user has said something.
    """

    def reply(self, conversation: Conversation) -> Iterable[Step]:
        """Return the steps of one response."""
        messages = [item for item in conversation.items if is_message(item, "user")]
        steps: list[Step] = []
        for part in messages[-1].get("content") or () if messages else ():
            if part.get("type") == "input_audio" and part.get("audio"):
                pcm = to_pcm(base64.b64decode(part["audio"]), conversation.input_format)
                steps.append(PlayAudio(pcm, part.get("transcript") or ""))
            elif part.get("text"):
                steps.append(Say(part["text"]))
        return steps
