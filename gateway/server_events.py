"""The 46 server events of the GA protocol, one frozen struct each, and the raw event for all others. Pure.

Source: ``reference/protocol.md`` A.2 (openai-python 3.54.0, ``openai.types.realtime``).
"""

from typing import TypeAlias

import msgspec

from .event_shapes import FlatEvent, ItemEvent, OfContent, OfItem, OfResponse, WireEvent
from .response_events import (
    ResponseContentPartAdded,
    ResponseContentPartDone,
    ResponseCreated,
    ResponseDone,
    ResponseFunctionCallArgumentsDelta,
    ResponseFunctionCallArgumentsDone,
    ResponseMcpCallArgumentsDelta,
    ResponseMcpCallArgumentsDone,
    ResponseMcpCallCompleted,
    ResponseMcpCallFailed,
    ResponseMcpCallInProgress,
    ResponseOutputAudioDelta,
    ResponseOutputAudioDone,
    ResponseOutputAudioTranscriptDelta,
    ResponseOutputAudioTranscriptDone,
    ResponseOutputItemAdded,
    ResponseOutputItemDone,
    ResponseOutputTextDelta,
    ResponseOutputTextDone,
)
from .wire_types import (
    Conversation,
    ErrorDetail,
    Item,
    Language,
    LogProb,
    RateLimit,
    SessionInfo,
    TranscriptionUsage,
)

__all__ = [
    "ConversationCreated",
    "ConversationItemAdded",
    "ConversationItemCreated",
    "ConversationItemDeleted",
    "ConversationItemDone",
    "ConversationItemInputAudioTranscriptionCompleted",
    "ConversationItemInputAudioTranscriptionDelta",
    "ConversationItemInputAudioTranscriptionFailed",
    "ConversationItemInputAudioTranscriptionSegment",
    "ConversationItemRetrieved",
    "ConversationItemTruncated",
    "Error",
    "InputAudioBufferCleared",
    "InputAudioBufferCommitted",
    "InputAudioBufferDtmfEventReceived",
    "InputAudioBufferSpeechStarted",
    "InputAudioBufferSpeechStopped",
    "InputAudioBufferTimeoutTriggered",
    "KnownServerEvent",
    "McpListToolsCompleted",
    "McpListToolsFailed",
    "McpListToolsInProgress",
    "OutputAudioBufferCleared",
    "OutputAudioBufferStarted",
    "OutputAudioBufferStopped",
    "RateLimitsUpdated",
    "ResponseContentPartAdded",
    "ResponseContentPartDone",
    "ResponseCreated",
    "ResponseDone",
    "ResponseFunctionCallArgumentsDelta",
    "ResponseFunctionCallArgumentsDone",
    "ResponseMcpCallArgumentsDelta",
    "ResponseMcpCallArgumentsDone",
    "ResponseMcpCallCompleted",
    "ResponseMcpCallFailed",
    "ResponseMcpCallInProgress",
    "ResponseOutputAudioDelta",
    "ResponseOutputAudioDone",
    "ResponseOutputAudioTranscriptDelta",
    "ResponseOutputAudioTranscriptDone",
    "ResponseOutputItemAdded",
    "ResponseOutputItemDone",
    "ResponseOutputTextDelta",
    "ResponseOutputTextDone",
    "ServerEvent",
    "SessionCreated",
    "SessionUpdated",
    "UnknownEvent",
]


class ConversationCreated(WireEvent, frozen=True, kw_only=True, tag="conversation.created", gc=False):
    """The session's conversation exists."""

    conversation: Conversation = Conversation()


class ConversationItemAdded(ItemEvent, frozen=True, kw_only=True, tag="conversation.item.added"):
    """An item entered the conversation; its content may still grow."""


class ConversationItemCreated(ItemEvent, frozen=True, kw_only=True, tag="conversation.item.created"):
    """The beta's single event for an item; still in the GA union."""


class ConversationItemDeleted(OfItem, frozen=True, kw_only=True, tag="conversation.item.deleted", gc=False):
    """An item left the conversation."""


class ConversationItemDone(ItemEvent, frozen=True, kw_only=True, tag="conversation.item.done"):
    """An item is final."""


class ConversationItemInputAudioTranscriptionCompleted(
    WireEvent, frozen=True, kw_only=True, tag="conversation.item.input_audio_transcription.completed"
):
    """What the user said, as text; may come before or after the response to it."""

    item_id: str = ""
    content_index: int = 0
    transcript: str = ""
    usage: TranscriptionUsage | None = None
    languages: tuple[Language, ...] | None = None
    logprobs: tuple[LogProb, ...] | None = None


class ConversationItemInputAudioTranscriptionDelta(
    WireEvent, frozen=True, kw_only=True, tag="conversation.item.input_audio_transcription.delta"
):
    """More of what the user said."""

    item_id: str = ""
    content_index: int | None = None
    delta: str = ""
    logprobs: tuple[LogProb, ...] | None = None


class ConversationItemInputAudioTranscriptionFailed(
    OfContent, frozen=True, kw_only=True, tag="conversation.item.input_audio_transcription.failed", gc=False
):
    """What the user said could not be transcribed."""

    error: ErrorDetail = ErrorDetail()


class ConversationItemInputAudioTranscriptionSegment(
    OfContent, frozen=True, kw_only=True, tag="conversation.item.input_audio_transcription.segment", gc=False
):
    """A stretch of speech and who spoke; ``start`` and ``end`` in seconds."""

    id: str = ""
    speaker: str = ""
    text: str = ""
    start: float = 0.0
    end: float = 0.0


class ConversationItemRetrieved(WireEvent, frozen=True, kw_only=True, tag="conversation.item.retrieved"):
    """The item that was asked for."""

    item: Item = Item()


class ConversationItemTruncated(
    OfContent, frozen=True, kw_only=True, tag="conversation.item.truncated", gc=False
):
    """An assistant message was cut to what was heard."""

    audio_end_ms: float | None = None


class Error(WireEvent, frozen=True, kw_only=True, tag="error", gc=False):
    """Something failed; ``error.event_id`` names the client event where that had an id."""

    error: ErrorDetail = ErrorDetail()


class InputAudioBufferCleared(
    FlatEvent, frozen=True, kw_only=True, tag="input_audio_buffer.cleared", gc=False
):
    """The input buffer is empty."""


class InputAudioBufferCommitted(
    OfItem, frozen=True, kw_only=True, tag="input_audio_buffer.committed", gc=False
):
    """The input buffer became a user message."""

    previous_item_id: str | None = None


class InputAudioBufferDtmfEventReceived(
    FlatEvent, frozen=True, kw_only=True, tag="input_audio_buffer.dtmf_event_received", gc=False
):
    """A key of a telephone was pressed (SIP only); ``received_at`` in unix seconds."""

    event: str = ""
    received_at: float | None = None


class InputAudioBufferSpeechStarted(
    OfItem, frozen=True, kw_only=True, tag="input_audio_buffer.speech_started", gc=False
):
    """The server hears speech, since ``audio_start_ms`` of the input audio."""

    audio_start_ms: float | None = None


class InputAudioBufferSpeechStopped(
    OfItem, frozen=True, kw_only=True, tag="input_audio_buffer.speech_stopped", gc=False
):
    """The speech ended at ``audio_end_ms`` of the input audio."""

    audio_end_ms: float | None = None


class InputAudioBufferTimeoutTriggered(
    OfItem, frozen=True, kw_only=True, tag="input_audio_buffer.timeout_triggered", gc=False
):
    """Nobody spoke for ``idle_timeout_ms``."""

    audio_start_ms: float | None = None
    audio_end_ms: float | None = None


class McpListToolsCompleted(OfItem, frozen=True, kw_only=True, tag="mcp_list_tools.completed", gc=False):
    """An MCP server's tools are known."""


class McpListToolsFailed(OfItem, frozen=True, kw_only=True, tag="mcp_list_tools.failed", gc=False):
    """An MCP server's tools could not be listed."""


class McpListToolsInProgress(OfItem, frozen=True, kw_only=True, tag="mcp_list_tools.in_progress", gc=False):
    """An MCP server is asked for its tools."""


class OutputAudioBufferCleared(
    OfResponse, frozen=True, kw_only=True, tag="output_audio_buffer.cleared", gc=False
):
    """Playback was cut (WebRTC and SIP only)."""


class OutputAudioBufferStarted(
    OfResponse, frozen=True, kw_only=True, tag="output_audio_buffer.started", gc=False
):
    """Playback began (WebRTC and SIP only)."""


class OutputAudioBufferStopped(
    OfResponse, frozen=True, kw_only=True, tag="output_audio_buffer.stopped", gc=False
):
    """Playback ended (WebRTC and SIP only)."""


class RateLimitsUpdated(WireEvent, frozen=True, kw_only=True, tag="rate_limits.updated"):
    """What is left of the budgets; may come at any time."""

    rate_limits: tuple[RateLimit, ...] = ()


class SessionCreated(WireEvent, frozen=True, kw_only=True, tag="session.created"):
    """The session is open."""

    session: SessionInfo = SessionInfo()


class SessionUpdated(WireEvent, frozen=True, kw_only=True, tag="session.updated"):
    """The session's settings, after a change."""

    session: SessionInfo = SessionInfo()


class UnknownEvent(msgspec.Struct, frozen=True, gc=False):
    """An event this version does not know, as it came. ``raw`` is a copy of the frame."""

    type: str
    raw: bytes


KnownServerEvent: TypeAlias = (
    ConversationCreated
    | ConversationItemAdded
    | ConversationItemCreated
    | ConversationItemDeleted
    | ConversationItemDone
    | ConversationItemInputAudioTranscriptionCompleted
    | ConversationItemInputAudioTranscriptionDelta
    | ConversationItemInputAudioTranscriptionFailed
    | ConversationItemInputAudioTranscriptionSegment
    | ConversationItemRetrieved
    | ConversationItemTruncated
    | Error
    | InputAudioBufferCleared
    | InputAudioBufferCommitted
    | InputAudioBufferDtmfEventReceived
    | InputAudioBufferSpeechStarted
    | InputAudioBufferSpeechStopped
    | InputAudioBufferTimeoutTriggered
    | McpListToolsCompleted
    | McpListToolsFailed
    | McpListToolsInProgress
    | OutputAudioBufferCleared
    | OutputAudioBufferStarted
    | OutputAudioBufferStopped
    | RateLimitsUpdated
    | ResponseContentPartAdded
    | ResponseContentPartDone
    | ResponseCreated
    | ResponseDone
    | ResponseFunctionCallArgumentsDelta
    | ResponseFunctionCallArgumentsDone
    | ResponseMcpCallCompleted
    | ResponseMcpCallFailed
    | ResponseMcpCallInProgress
    | ResponseMcpCallArgumentsDelta
    | ResponseMcpCallArgumentsDone
    | ResponseOutputAudioDelta
    | ResponseOutputAudioDone
    | ResponseOutputAudioTranscriptDelta
    | ResponseOutputAudioTranscriptDone
    | ResponseOutputItemAdded
    | ResponseOutputItemDone
    | ResponseOutputTextDelta
    | ResponseOutputTextDone
    | SessionCreated
    | SessionUpdated
)
"""The events of the protocol: the closed union that ``codec`` decodes by tag."""

ServerEvent: TypeAlias = KnownServerEvent | UnknownEvent
"""Everything a server can say."""
