"""Makers of the conversation items a client sends, and readers of those a server sends. Pure.

Source: ``reference/protocol.md`` A.3, conversation items.
"""

from typing import Literal

from .wire_types import ContentPart, Item


def input_text(text: str) -> ContentPart:
    """Return a text part of a system or user message."""
    return ContentPart(type="input_text", text=text)


def output_text(text: str) -> ContentPart:
    """Return a text part of an assistant message; also how its speech is replayed, audio cannot be created."""
    return ContentPart(type="output_text", text=text)


def input_audio(audio: bytes, transcript: str | None = None) -> ContentPart:
    """Return an audio part of a user message: raw bytes in the session's input format."""
    return ContentPart(type="input_audio", audio=audio, transcript=transcript)


def input_image(data_uri: str, detail: Literal["auto", "low", "high"] | None = None) -> ContentPart:
    """Return an image part of a user message: a data URI of a PNG or a JPEG."""
    return ContentPart(type="input_image", image_url=data_uri, detail=detail)


def message(
    role: Literal["system", "user", "assistant"], *parts: ContentPart, item_id: str | None = None
) -> Item:
    """Return a message made of parts."""
    return Item(type="message", id=item_id, role=role, content=parts)


def user_text(text: str, *, item_id: str | None = None) -> Item:
    """Return what the user wrote."""
    return message("user", input_text(text), item_id=item_id)


def system_text(text: str, *, item_id: str | None = None) -> Item:
    """Return a system message."""
    return message("system", input_text(text), item_id=item_id)


def assistant_text(text: str, *, item_id: str | None = None) -> Item:
    """Return what the assistant wrote or said, for replay."""
    return message("assistant", output_text(text), item_id=item_id)


def function_call(call_id: str, name: str, arguments: str, *, item_id: str | None = None) -> Item:
    """Return a call the model made, for replay; ``arguments`` is JSON text."""
    return Item(type="function_call", id=item_id, call_id=call_id, name=name, arguments=arguments)


def function_call_output(call_id: str, output: str, *, item_id: str | None = None) -> Item:
    """Return the answer to a call."""
    return Item(type="function_call_output", id=item_id, call_id=call_id, output=output)


def item_reference(item_id: str) -> Item:
    """Return a reference to an item of the conversation; legal only in the input of a response."""
    return Item(type="item_reference", id=item_id)


def item_text(item: Item) -> str:
    """Return what a message says: its texts, and the transcripts of its audio, in order."""
    return "".join(part.text or part.transcript or "" for part in item.content)
