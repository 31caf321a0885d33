"""What a brain is asked about: the items so far, and the settings that hold for this response. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Item = Mapping[str, Any]
"""One conversation item as on the wire."""


def text_of(item: Item) -> str:
    """Return what a message says: its texts and transcripts, joined by a space; empty for other items."""
    parts: list[str] = []
    for part in item.get("content") or ():
        said = part.get("text") or part.get("transcript")
        if said:
            parts.append(said)
    return " ".join(parts)


def is_message(item: Item, role: str) -> bool:
    """Tell whether the item is a message of this role."""
    return item.get("type") == "message" and item.get("role") == role


@dataclass(frozen=True, slots=True)
class Conversation:
    """A snapshot for one response; per-response overrides are already applied.

    Args:
        items: The items the response sees, oldest first (`response.input`, where that was given).
        instructions: The instructions in force.
        tools: The tools offered, as on the wire.
        tool_choice: "auto", "none", "required" or `{"type": "function", "name": ...}`.
        output_modalities: `["text"]` or `["audio"]`.
        metadata: The response's metadata, if any.
        session_id: The session's id.
        response_id: The id of the response to answer.
        input_format: The wire name of the format of the user's audio.
        out_of_band: Whether the response stays outside the conversation (`conversation: "none"`).
        model: The session's model.
        parallel_tool_calls: Whether several tools may be called; if not, only the first call is sent.
    """

    items: Sequence[Item]
    instructions: str = ""
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: str | Mapping[str, Any] = "auto"
    output_modalities: Sequence[str] = ("text",)
    metadata: Mapping[str, str] | None = None
    session_id: str = ""
    response_id: str = ""
    out_of_band: bool = False
    model: str = field(default="")
    input_format: str = "audio/pcm"
    parallel_tool_calls: bool = True

    @property
    def user_texts(self) -> list[str]:
        """What the user said, oldest first."""
        return [text_of(item) for item in self.items if is_message(item, "user")]

    @property
    def last_user_text(self) -> str:
        """What the user said last; empty if nothing."""
        texts = self.user_texts
        return texts[-1] if texts else ""

    @property
    def unanswered(self) -> Sequence[Item]:
        """The items after the assistant's last message: what this response has to deal with."""
        for index in range(len(self.items) - 1, -1, -1):
            if is_message(self.items[index], "assistant"):
                return self.items[index + 1 :]
        return self.items

    @property
    def outputs(self) -> list[tuple[Item, Item]]:
        """The function calls that were answered since the assistant last spoke, each with its output."""
        calls = {item.get("call_id"): item for item in self.items if item.get("type") == "function_call"}
        return [
            (calls[item.get("call_id")], item)
            for item in self.unanswered
            if item.get("type") == "function_call_output" and item.get("call_id") in calls
        ]
