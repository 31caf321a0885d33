"""The 23 kinds of event a subscriber sees, vendor-neutral and closed. Pure.

Each kind is a frozen struct: ``match event:`` works by class, ``event.kind`` by name and ``event.payload`` as a mapping.
Every assistant and tool event carries ``turn_id`` (the provider's response id) and, where the wire has them, ``item_id``
and ``content_index``. The set of kinds is closed; a kind may gain fields.

Source: the session contract, sections 1 and 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

CloseReason: TypeAlias = Literal["client", "server", "error"]
TurnStatus: TypeAlias = Literal["completed", "cancelled", "incomplete", "failed"]
InterruptReason: TypeAlias = Literal["barge_in", "manual", "error"]
Pcm16: TypeAlias = npt.NDArray[np.int16]


class SessionEvent(msgspec.Struct, frozen=True, gc=False):
    """What all 23 kinds have in common."""

    kind: ClassVar[str]

    @property
    def payload(self) -> Mapping[str, Any]:
        """The fields of this event as a read-only mapping."""
        return MappingProxyType({name: getattr(self, name) for name in self.__struct_fields__})


class SessionOpened(SessionEvent, frozen=True, gc=False):
    """The first event of every subscriber, even a late one, exactly once.

    ``session_id`` is ours and survives reconnects; ``server_session_id`` and ``expires_at`` (unix seconds) are those of the
    provider's session that was open when this subscriber's stream began. Source: ``session.created``.
    """

    kind: ClassVar[str] = "session_opened"
    session_id: str
    server_session_id: str | None = None
    model: str | None = None
    expires_at: float | None = None


class SessionUpdated(SessionEvent, frozen=True, gc=False):
    """The provider confirmed the configuration. ``resumed``: on a new line, after ``restarts`` restarts of the session's actor.

    ``rolled_over``: on a line that replaced the old one before its end; nothing was lost. Source: ``session.updated``.
    """

    kind: ClassVar[str] = "session_updated"
    instructions: str | None = None
    resumed: bool = False
    rolled_over: bool = False
    restarts: int = 0


class SessionClosed(SessionEvent, frozen=True, gc=False):
    """The last event of every subscriber, exactly once. ``code`` is an error code or a WebSocket close code as text."""

    kind: ClassVar[str] = "session_closed"
    reason: CloseReason
    code: str | None = None
    message: str | None = None


class UserSpeechStarted(SessionEvent, frozen=True, gc=False):
    """The provider hears speech. ``at_ms``: since the start of the input audio. Source: ``input_audio_buffer.speech_started``."""

    kind: ClassVar[str] = "user_speech_started"
    at_ms: float
    item_id: str | None = None


class UserSpeechStopped(SessionEvent, frozen=True, gc=False):
    """The provider hears the end of speech, ``at_ms`` as before. Source: ``input_audio_buffer.speech_stopped``."""

    kind: ClassVar[str] = "user_speech_stopped"
    at_ms: float
    item_id: str | None = None


class UserTranscriptDelta(SessionEvent, frozen=True, gc=False):
    """A piece of the user's words. Source: ``conversation.item.input_audio_transcription.delta``."""

    kind: ClassVar[str] = "user_transcript_delta"
    item_id: str
    delta: str
    content_index: int = 0


class UserTranscript(SessionEvent, frozen=True, gc=False):
    """The user's words in full; with ``error`` when the provider could not transcribe them.

    Source: ``conversation.item.input_audio_transcription.completed`` and ``.failed``.
    """

    kind: ClassVar[str] = "user_transcript"
    item_id: str
    text: str
    content_index: int = 0
    error: str | None = None


class AssistantTurnStarted(SessionEvent, frozen=True, gc=False):
    """The model began to reply. ``metadata``: what ``create_response`` gave it. Source: ``response.created``."""

    kind: ClassVar[str] = "assistant_turn_started"
    turn_id: str
    metadata: Mapping[str, Any] | None = None


class AssistantTextDelta(SessionEvent, frozen=True, gc=False):
    """A piece of the reply's text. Source: ``response.output_text.delta``."""

    kind: ClassVar[str] = "assistant_text_delta"
    turn_id: str
    delta: str
    item_id: str | None = None
    content_index: int = 0


class AssistantText(SessionEvent, frozen=True, gc=False):
    """One text part of the reply, in full. Source: ``response.output_text.done``."""

    kind: ClassVar[str] = "assistant_text"
    turn_id: str
    text: str
    item_id: str | None = None
    content_index: int = 0


class AssistantTranscriptDelta(SessionEvent, frozen=True, gc=False):
    """A piece of what the reply's audio says. Source: ``response.output_audio_transcript.delta``."""

    kind: ClassVar[str] = "assistant_transcript_delta"
    turn_id: str
    delta: str
    item_id: str | None = None
    content_index: int = 0


class AssistantTranscript(SessionEvent, frozen=True, gc=False):
    """What one audio part of the reply says, in full. Source: ``response.output_audio_transcript.done``."""

    kind: ClassVar[str] = "assistant_transcript"
    turn_id: str
    text: str
    item_id: str | None = None
    content_index: int = 0


class AssistantAudioDelta(SessionEvent, frozen=True, gc=False):
    """A piece of the reply's audio: ``pcm`` is ``(n_samples,) int16``, mono, a read-only view, ``rate_hz`` samples a second.

    Source: ``response.output_audio.delta``.
    """

    kind: ClassVar[str] = "assistant_audio_delta"
    turn_id: str
    pcm: Pcm16
    item_id: str | None = None
    content_index: int = 0
    rate_hz: int = 24_000


class AssistantTurnCompleted(SessionEvent, frozen=True, gc=False):
    """The reply is over. ``usage`` holds the provider's token counts, as a mapping; ``metadata``: what ``create_response`` gave it.

    Source: ``response.done``.
    """

    kind: ClassVar[str] = "assistant_turn_completed"
    turn_id: str
    status: TurnStatus
    usage: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] | None = None


class ToolCallStarted(SessionEvent, frozen=True, gc=False):
    """The model began to write a tool call. Source: ``response.output_item.added`` (function_call, mcp_call).

    ``server_label``, here and below: the remote MCP server whose tool it is; the provider calls it, and submits no batch.
    """

    kind: ClassVar[str] = "tool_call_started"
    turn_id: str
    call_id: str
    name: str
    item_id: str | None = None
    server_label: str | None = None


class ToolCallArgsDelta(SessionEvent, frozen=True, gc=False):
    """A piece of a call's arguments (JSON text). Source: ``response.function_call_arguments.delta``."""

    kind: ClassVar[str] = "tool_call_args_delta"
    turn_id: str
    call_id: str
    delta: str
    item_id: str | None = None


class ToolCallDispatched(SessionEvent, frozen=True, gc=False):
    """A ToolWorker was asked to run the call, or the provider calls the MCP server; ``args`` are its arguments, decoded."""

    kind: ClassVar[str] = "tool_call_dispatched"
    turn_id: str
    call_id: str
    name: str
    args: Mapping[str, Any]
    item_id: str | None = None
    server_label: str | None = None


class ToolCallCompleted(SessionEvent, frozen=True, gc=False):
    """The tool returned; ``result`` is what it returned, as the tool returned it."""

    kind: ClassVar[str] = "tool_call_completed"
    turn_id: str
    call_id: str
    name: str
    result: Any
    item_id: str | None = None
    server_label: str | None = None


class ToolCallFailed(SessionEvent, frozen=True, gc=False):
    """The call has no result: ``code`` is machine-readable, ``error`` is what the model is told."""

    kind: ClassVar[str] = "tool_call_failed"
    turn_id: str
    call_id: str
    name: str
    error: str
    code: str
    item_id: str | None = None
    server_label: str | None = None


class ToolBatchSubmitted(SessionEvent, frozen=True, gc=False):
    """The outputs of all calls of one turn went to the provider, in the model's order."""

    kind: ClassVar[str] = "tool_batch_submitted"
    turn_id: str
    call_ids: tuple[str, ...]


class Interrupted(SessionEvent, frozen=True, gc=False):
    """The turn was cut off: by the user's voice, by ``interrupt()``, or by the loss of the line. No delta of it follows.

    ``audio_end_ms``: how much of its speech was heard, from the item's beginning; None if it had no speech to be taken back.
    """

    kind: ClassVar[str] = "interrupted"
    turn_id: str
    reason: InterruptReason
    audio_end_ms: float | None = None


class RateLimited(SessionEvent, frozen=True, gc=False):
    """Less than a tenth of a limit is left, or the provider refused for it. Source: ``rate_limits.updated``.

    ``reset_ms``: in how long there is more; ``details``: the limits as the provider tells them.
    """

    kind: ClassVar[str] = "rate_limited"
    reset_ms: float
    details: tuple[Mapping[str, Any], ...] = ()


class Error(SessionEvent, frozen=True, gc=False):
    """Something went wrong. ``recoverable``: the session goes on. ``event_id`` and ``item_id`` name the command that caused it."""

    kind: ClassVar[str] = "error"
    code: str
    message: str
    param: str | None = None
    recoverable: bool = True
    event_id: str | None = None
    item_id: str | None = None
    dropped: int = 0


Event: TypeAlias = (
    SessionOpened
    | SessionUpdated
    | SessionClosed
    | UserSpeechStarted
    | UserSpeechStopped
    | UserTranscriptDelta
    | UserTranscript
    | AssistantTurnStarted
    | AssistantTextDelta
    | AssistantText
    | AssistantTranscriptDelta
    | AssistantTranscript
    | AssistantAudioDelta
    | AssistantTurnCompleted
    | ToolCallStarted
    | ToolCallArgsDelta
    | ToolCallDispatched
    | ToolCallCompleted
    | ToolCallFailed
    | ToolBatchSubmitted
    | Interrupted
    | RateLimited
    | Error
)
"""What a subscriber gets: one of the 23 kinds."""

EVENT_CLASSES: tuple[type[SessionEvent], ...] = (
    SessionOpened,
    SessionUpdated,
    SessionClosed,
    UserSpeechStarted,
    UserSpeechStopped,
    UserTranscriptDelta,
    UserTranscript,
    AssistantTurnStarted,
    AssistantTextDelta,
    AssistantText,
    AssistantTranscriptDelta,
    AssistantTranscript,
    AssistantAudioDelta,
    AssistantTurnCompleted,
    ToolCallStarted,
    ToolCallArgsDelta,
    ToolCallDispatched,
    ToolCallCompleted,
    ToolCallFailed,
    ToolBatchSubmitted,
    Interrupted,
    RateLimited,
    Error,
)
