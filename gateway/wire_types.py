"""The nested objects of wire events, as frozen structs that read leniently and write only what is set. Pure.

Reading: unknown fields are ignored, every field has a default, enumerations stay strings (a provider may add a member).
Writing: a field at its default is left out, because the wire tells "absent" from ``null``. What we pass on without looking
at it (tool schemas, tracing, MCP details) stays plain JSON. Objects without containers are outside the garbage collector.
"""

from typing import Any

import msgspec

Json = dict[str, Any]
"""A JSON object that nobody here looks into."""


class ErrorDetail(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What went wrong, in ``error``, in a failed response and in a failed transcription. Source: RealtimeError."""

    code: str | None = None
    message: str | None = None
    param: str | None = None
    type: str | None = None
    event_id: str | None = None


class ContentPart(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One part of a message. ``audio`` is raw bytes here and base64 on the wire. Source: Content, Part.

    ``type`` is input_text, input_audio, input_image (user), output_text, output_audio (assistant), or text, audio in
    ``response.content_part.*``.
    """

    type: str = ""
    text: str | None = None
    transcript: str | None = None
    audio: bytes | None = None
    image_url: str | None = None
    detail: str | None = None


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of the conversation, of whatever ``type``: message, function_call, function_call_output, mcp_* ...

    One struct for all, because three kinds of message share a tag and an unknown kind has to pass. ``item_reference`` is legal
    only in ``response.create``. Source: ConversationItem.
    """

    type: str = ""
    id: str | None = None
    object: str | None = None
    status: str | None = None
    role: str | None = None
    content: tuple[ContentPart, ...] = ()
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | None = None
    server_label: str | None = None
    approval_request_id: str | None = None
    approve: bool | None = None
    reason: str | None = None
    error: Any = None
    tools: Any = None


class CachedTokens(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Cached input tokens by modality. Source: CachedTokensDetails."""

    audio_tokens: int = 0
    image_tokens: int = 0
    text_tokens: int = 0


class InputTokens(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Input tokens by modality. Source: RealtimeResponseUsageInputTokenDetails."""

    audio_tokens: int = 0
    image_tokens: int = 0
    text_tokens: int = 0
    cached_tokens: int = 0
    cached_tokens_details: CachedTokens | None = None


class OutputTokens(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Output tokens by modality. Source: RealtimeResponseUsageOutputTokenDetails."""

    audio_tokens: int = 0
    text_tokens: int = 0


class Usage(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The tokens of one response. Source: RealtimeResponseUsage."""

    total_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    input_token_details: InputTokens | None = None
    output_token_details: OutputTokens | None = None


class TranscriptionUsage(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The cost of one transcription: tokens or seconds, as ``type`` says. Source: UsageTranscriptTextUsage*."""

    type: str = ""
    total_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    input_token_details: InputTokens | None = None
    seconds: float | None = None


class StatusDetails(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Why a response ended as it did. Source: RealtimeResponseStatus."""

    type: str | None = None
    reason: str | None = None
    error: ErrorDetail | None = None


class AudioFormat(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """``audio/pcm`` with its rate in Hz, ``audio/pcmu`` or ``audio/pcma``. Source: RealtimeAudioFormats."""

    type: str = ""
    rate: int | None = None


class VoiceId(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A custom voice, where a built-in one is a plain string. Source: VoiceID."""

    id: str = ""


class AudioOutput(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """How a session or a response speaks. Source: RealtimeAudioConfigOutput."""

    format: AudioFormat | None = None
    speed: float | None = None
    voice: str | VoiceId | None = None


class AudioInput(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a session listens. Source: RealtimeAudioConfigInput."""

    format: AudioFormat | None = None
    noise_reduction: Json | None = None
    transcription: Json | None = None
    turn_detection: Json | None = None


class SessionAudio(msgspec.Struct, frozen=True, omit_defaults=True):
    """Both directions of a session's audio. Source: RealtimeAudioConfig."""

    input: AudioInput | None = None
    output: AudioOutput | None = None


class ResponseAudio(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The audio of one response. Source: RealtimeResponse.audio, RealtimeResponseCreateAudioOutput."""

    output: AudioOutput | None = None


class Response(msgspec.Struct, frozen=True, omit_defaults=True):
    """One answer of the model. ``status``: in_progress, completed, cancelled, incomplete, failed. Source: RealtimeResponse."""

    id: str = ""
    object: str | None = None
    status: str | None = None
    status_details: StatusDetails | None = None
    output: tuple[Item, ...] = ()
    usage: Usage | None = None
    conversation_id: str | None = None
    metadata: Json | None = None
    output_modalities: tuple[str, ...] | None = None
    max_output_tokens: int | str | None = None
    audio: ResponseAudio | None = None


class Conversation(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The conversation a session is about. Source: Conversation."""

    id: str | None = None
    object: str | None = None


class SessionInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """The session as the server holds it; ``expires_at`` in unix seconds. Source: RealtimeSessionCreateResponse.

    Also a transcription session, of which it has the fewer fields.
    """

    id: str = ""
    object: str | None = None
    type: str | None = None
    model: str | None = None
    expires_at: float | None = None
    instructions: str | None = None
    output_modalities: tuple[str, ...] | None = None
    audio: SessionAudio | None = None
    tools: tuple[Json, ...] = ()
    tool_choice: Any = None
    max_output_tokens: int | str | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Any = None
    truncation: Any = None
    tracing: Any = None
    prompt: Any = None
    include: Any = None


class RateLimit(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One budget (``requests`` or ``tokens``) and when it is full again, in seconds. Source: RateLimit."""

    name: str = ""
    limit: float | None = None
    remaining: float | None = None
    reset_seconds: float | None = None


class LogProb(msgspec.Struct, frozen=True, omit_defaults=True):
    """The log probability of one transcribed token. Source: LogProbProperties."""

    token: str = ""
    logprob: float = 0.0
    bytes: tuple[int, ...] = ()


class Language(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A language that was heard. Source: TranscriptionLanguage."""

    code: str = ""
