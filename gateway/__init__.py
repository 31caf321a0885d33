"""The provider's side of a realtime session: wire events, codec, config, transport, providers. Knows no actor.

What is pure here (no clock, thread, socket or log): everything that is re-exported below, but for `connect`, `Cancellation` and
`raise_open_file_limit`.

- `Config` says what a session should be; `session_update` says it in the wire's words.
- `decode_server_event` and `encode_client_event` are the codec; the events are in ``server_events`` and ``client_events``,
  the makers of conversation items in ``items``; `ResponseOptions` are what one response does otherwise.
- `AudioInput` and `AudioOutput` stand between an application's audio and the negotiated format.
- `Gateway` and `Transport` are the seams: a recipe for reaching a provider, and an open line to it.
- Everything raised is a `GatewayError`, says what to do, pickles, and holds no key.
"""

from .audio import array_to_pcm16, duration_ms, pcm16_to_array
from .audio_input import AudioInput
from .audio_output import AudioOutput
from .azure import AzureOpenAIGateway
from .cancellation import Cancellation, cancellable_by, current_cancellation
from .client_events import ClientEvent
from .codec import decode_server_event, encode_client_event
from .config import Config
from .errors import (
    ConfigError,
    ConnectCancelled,
    ConnectError,
    ConnectTimeout,
    EncodeError,
    GatewayError,
    HandshakeRefused,
    InsecureUrl,
    InvalidAudio,
    LineClosed,
    MissingApiKey,
    MissingExtra,
    ProtocolError,
    SendBufferFull,
    ServerError,
    TlsFailed,
    Unreachable,
)
from .hosted import Prompt, Tracing
from .images import image_data_uri
from .line_limits import LineLimits
from .mcp import Mcp, McpApproval, McpToolChoice, McpToolFilter
from .open_files import OpenFileLimit, raise_open_file_limit
from .openai import OpenAIGateway
from .provider import Gateway
from .response_options import ResponseOptions, response_params
from .server_events import ServerEvent, UnknownEvent
from .session_update import instructions_update, session_change, session_update
from .tool_descriptor import ToolChoice, ToolDescriptor
from .transport import Transport
from .turn_detection import RetentionRatio, SemanticVad, ServerVad, Transcription
from .wire_types import VoiceId

__all__ = [
    "AudioInput",
    "AudioOutput",
    "AzureOpenAIGateway",
    "Cancellation",
    "ClientEvent",
    "Config",
    "ConfigError",
    "ConnectCancelled",
    "ConnectError",
    "ConnectTimeout",
    "EncodeError",
    "Gateway",
    "GatewayError",
    "HandshakeRefused",
    "InsecureUrl",
    "InvalidAudio",
    "LineClosed",
    "LineLimits",
    "Mcp",
    "McpApproval",
    "McpToolChoice",
    "McpToolFilter",
    "MissingApiKey",
    "MissingExtra",
    "OpenAIGateway",
    "OpenFileLimit",
    "Prompt",
    "ProtocolError",
    "ResponseOptions",
    "RetentionRatio",
    "SemanticVad",
    "SendBufferFull",
    "ServerError",
    "ServerEvent",
    "ServerVad",
    "TlsFailed",
    "ToolChoice",
    "ToolDescriptor",
    "Tracing",
    "Transcription",
    "Transport",
    "UnknownEvent",
    "Unreachable",
    "VoiceId",
    "array_to_pcm16",
    "cancellable_by",
    "current_cancellation",
    "decode_server_event",
    "duration_ms",
    "encode_client_event",
    "image_data_uri",
    "instructions_update",
    "pcm16_to_array",
    "raise_open_file_limit",
    "response_params",
    "session_change",
    "session_update",
]
