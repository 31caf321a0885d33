"""The 11 client events of the GA protocol, one frozen struct each. Pure.

A field that is ``UNSET`` is left out, ``None`` is written as null: the wire tells the two apart. The server echoes an event's
``event_id`` in the error it causes, and only if there is one.

Source: ``reference/protocol.md`` A.1 (openai-python 3.54.0, ``openai.types.realtime``).
"""

from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from .wire_types import Item, Json, ResponseAudio


class _ClientEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    event_id: str | UnsetType = UNSET

    @property
    def type(self) -> str:
        """The event's name on the wire."""
        return str(self.__struct_config__.tag)


class ResponseParams(msgspec.Struct, frozen=True, kw_only=True):
    """What one response does otherwise than its session; all optional.

    ``conversation="none"`` keeps the response out of the conversation; ``input`` replaces its context and may hold item references;
    ``metadata`` (16 pairs, keys of 64 and values of 512 characters) comes back with the response. Tools and tool choice are wire
    objects: `response_params` makes them of `ResponseOptions`. The repr names the fields alone, for what tools may hold.
    Source: RealtimeResponseCreateParams.
    """

    conversation: str | UnsetType = UNSET
    metadata: dict[str, str] | UnsetType | None = UNSET
    input: tuple[Item, ...] | UnsetType = UNSET
    instructions: str | UnsetType = UNSET
    output_modalities: tuple[str, ...] | UnsetType = UNSET
    audio: ResponseAudio | UnsetType = UNSET
    max_output_tokens: int | str | UnsetType = UNSET
    tools: tuple[Json, ...] | UnsetType = UNSET
    tool_choice: str | Json | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType = UNSET
    reasoning: Json | UnsetType = UNSET
    prompt: Any | UnsetType = UNSET

    def __repr__(self) -> str:
        given = (name for name in self.__struct_fields__ if getattr(self, name) is not UNSET)
        return f"ResponseParams({', '.join(given)})"


class ConversationItemCreate(_ClientEvent, frozen=True, tag="conversation.item.create"):
    """Add an item, at the end or after ``previous_item_id`` ("root" for the beginning)."""

    item: Item
    previous_item_id: str | UnsetType | None = UNSET


class ConversationItemDelete(_ClientEvent, frozen=True, tag="conversation.item.delete", gc=False):
    """Remove an item."""

    item_id: str


class ConversationItemRetrieve(_ClientEvent, frozen=True, tag="conversation.item.retrieve", gc=False):
    """Ask for an item as the server holds it, its audio included."""

    item_id: str


class ConversationItemTruncate(_ClientEvent, frozen=True, tag="conversation.item.truncate", gc=False):
    """Cut an assistant message to what was heard: at most the milliseconds it has, else the server refuses."""

    item_id: str
    audio_end_ms: int
    content_index: int = 0


class InputAudioBufferAppend(_ClientEvent, frozen=True, tag="input_audio_buffer.append", gc=False):
    """Send audio: raw bytes in the input format, at most 15 MiB; base64 on the wire. Never acknowledged."""

    audio: bytes


class InputAudioBufferClear(_ClientEvent, frozen=True, tag="input_audio_buffer.clear", gc=False):
    """Forget the audio sent since the last commit."""


class InputAudioBufferCommit(_ClientEvent, frozen=True, tag="input_audio_buffer.commit", gc=False):
    """Make a user message of the buffer, which needs 100 ms of audio. Asks for no response."""


class OutputAudioBufferClear(_ClientEvent, frozen=True, tag="output_audio_buffer.clear", gc=False):
    """Cut the playback (WebRTC and SIP only)."""


class ResponseCancel(_ClientEvent, frozen=True, tag="response.cancel", gc=False):
    """Stop a response: the one named, else the one of the default conversation."""

    response_id: str | UnsetType = UNSET


class ResponseCreate(_ClientEvent, frozen=True, tag="response.create"):
    """Ask for a response; only one at a time in the default conversation."""

    response: ResponseParams | UnsetType = UNSET


class SessionUpdate(_ClientEvent, frozen=True, tag="session.update"):
    """Change the session: ``session`` is the wire object as ``session_update`` builds it, its ``type`` included.

    The repr names the fields alone: what an MCP server is authorized by may be among them.
    """

    session: Json

    def __repr__(self) -> str:
        return f"SessionUpdate({', '.join(self.session)})"


ClientEvent: TypeAlias = (
    ConversationItemCreate
    | ConversationItemDelete
    | ConversationItemRetrieve
    | ConversationItemTruncate
    | InputAudioBufferAppend
    | InputAudioBufferClear
    | InputAudioBufferCommit
    | OutputAudioBufferClear
    | ResponseCancel
    | ResponseCreate
    | SessionUpdate
)
"""Everything a client can say: a closed union."""
