"""Makers of the conversation items a client sends, and readers of those a server sends. Pure.

Source: ``reference/protocol.md`` A.3, conversation items.
"""

from typing import Literal, TypeAlias, cast

from . import checks
from .images import Image, image_data_uri
from .wire_types import ContentPart, Item

Detail: TypeAlias = Literal["auto", "low", "high"]


def input_text(text: str) -> ContentPart:
    """Return a text part of a system or user message."""
    return ContentPart(type="input_text", text=text)


def output_text(text: str) -> ContentPart:
    """Return a text part of an assistant message; also how its speech is replayed, audio cannot be created."""
    return ContentPart(type="output_text", text=text)


def input_audio(audio: bytes, transcript: str | None = None) -> ContentPart:
    """Return an audio part of a user message: raw bytes in the session's input format."""
    return ContentPart(type="input_audio", audio=audio, transcript=transcript)


def input_image(image: Image, detail: Detail | None = None) -> ContentPart:
    """Return an image part of a user message.

    Args:
        image: the bytes of a PNG or JPEG file, or a data URI of one.
        detail: how closely the model looks; None is "auto", which is "high".

    Raises:
        ConfigError: it is no such image, or there is no such detail. The fault of the caller.
    """
    if detail is not None:
        detail = cast(Detail, checks.one_of("detail", detail, ("auto", "low", "high")))
    return ContentPart(type="input_image", image_url=image_data_uri(image), detail=detail)


def message(
    role: Literal["system", "user", "assistant"], *parts: ContentPart, item_id: str | None = None
) -> Item:
    """Return a message made of parts."""
    return Item(type="message", id=item_id, role=role, content=parts)


def user_text(text: str, *, item_id: str | None = None) -> Item:
    """Return what the user wrote."""
    return message("user", input_text(text), item_id=item_id)


def user_image(
    image: Image, text: str | None = None, detail: Detail | None = None, *, item_id: str | None = None
) -> Item:
    """Return an image the user shows, with what there is to say about it behind it; see `input_image`."""
    said = () if text is None else (input_text(text),)
    return message("user", input_image(image, detail), *said, item_id=item_id)


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


def mcp_approval_response(
    approval_request_id: str, *, approve: bool, item_id: str, reason: str | None = None
) -> Item:
    """Return the answer to an ``mcp_approval_request``: whether the provider may make this call to a remote MCP server.

    The wire wants an id of this item, where others may do without.
    """
    return Item(
        type="mcp_approval_response",
        id=item_id,
        approval_request_id=approval_request_id,
        approve=approve,
        reason=reason,
    )


def item_reference(item_id: str) -> Item:
    """Return a reference to an item of the conversation; legal only in the input of a response."""
    return Item(type="item_reference", id=item_id)


def item_text(item: Item) -> str:
    """Return what a message says: its texts, and the transcripts of its audio, in order."""
    return "".join(part.text or part.transcript or "" for part in item.content)
