"""The server events of a response: items, parts, deltas, calls. Pure.

Source: ``reference/protocol.md`` A.2 (openai-python 3.54.0, ``openai.types.realtime``) and A.6 for their order.
"""

from .event_shapes import OfCall, OfMcp, OfOutput, OfOutputItem, OfPart, WireEvent
from .wire_types import ContentPart, Response


class ResponseContentPartAdded(
    OfPart, frozen=True, kw_only=True, tag="response.content_part.added", gc=False
):
    """A part of an assistant message began."""

    part: ContentPart = ContentPart()


class ResponseContentPartDone(OfPart, frozen=True, kw_only=True, tag="response.content_part.done", gc=False):
    """A part of an assistant message ended."""

    part: ContentPart = ContentPart()


class ResponseCreated(WireEvent, frozen=True, kw_only=True, tag="response.created"):
    """A response began."""

    response: Response = Response()


class ResponseDone(WireEvent, frozen=True, kw_only=True, tag="response.done"):
    """A response ended, for whatever reason: see its ``status``."""

    response: Response = Response()


class ResponseFunctionCallArgumentsDelta(
    OfCall, frozen=True, kw_only=True, tag="response.function_call_arguments.delta", gc=False
):
    """More of a call's arguments."""

    delta: str = ""


class ResponseFunctionCallArgumentsDone(
    OfCall, frozen=True, kw_only=True, tag="response.function_call_arguments.done", gc=False
):
    """A call's arguments; not that the call is complete, the item's status says that. Beta sends no name."""

    name: str | None = None
    arguments: str = ""


class ResponseMcpCallCompleted(OfMcp, frozen=True, kw_only=True, tag="response.mcp_call.completed", gc=False):
    """An MCP call succeeded."""


class ResponseMcpCallFailed(OfMcp, frozen=True, kw_only=True, tag="response.mcp_call.failed", gc=False):
    """An MCP call failed."""


class ResponseMcpCallInProgress(
    OfMcp, frozen=True, kw_only=True, tag="response.mcp_call.in_progress", gc=False
):
    """An MCP call runs."""


class ResponseMcpCallArgumentsDelta(
    OfOutput, frozen=True, kw_only=True, tag="response.mcp_call_arguments.delta", gc=False
):
    """More of an MCP call's arguments."""

    delta: str = ""
    obfuscation: str | None = None


class ResponseMcpCallArgumentsDone(
    OfOutput, frozen=True, kw_only=True, tag="response.mcp_call_arguments.done", gc=False
):
    """An MCP call's arguments."""

    arguments: str = ""


class ResponseOutputAudioDelta(
    OfPart, frozen=True, kw_only=True, tag="response.output_audio.delta", gc=False
):
    """More speech: raw bytes in the output format, base64 on the wire."""

    delta: bytes = b""


class ResponseOutputAudioDone(OfPart, frozen=True, kw_only=True, tag="response.output_audio.done", gc=False):
    """The speech of a part ended."""


class ResponseOutputAudioTranscriptDelta(
    OfPart, frozen=True, kw_only=True, tag="response.output_audio_transcript.delta", gc=False
):
    """More of what the assistant says."""

    delta: str = ""


class ResponseOutputAudioTranscriptDone(
    OfPart, frozen=True, kw_only=True, tag="response.output_audio_transcript.done", gc=False
):
    """What the assistant said."""

    transcript: str = ""


class ResponseOutputItemAdded(OfOutputItem, frozen=True, kw_only=True, tag="response.output_item.added"):
    """An item of a response began."""


class ResponseOutputItemDone(OfOutputItem, frozen=True, kw_only=True, tag="response.output_item.done"):
    """An item of a response ended; its status says whether it is complete."""


class ResponseOutputTextDelta(OfPart, frozen=True, kw_only=True, tag="response.output_text.delta", gc=False):
    """More of what the assistant writes."""

    delta: str = ""


class ResponseOutputTextDone(OfPart, frozen=True, kw_only=True, tag="response.output_text.done", gc=False):
    """What the assistant wrote."""

    text: str = ""
