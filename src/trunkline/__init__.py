"""Trunkline: realtime AI sessions as supervised actors. The front door: every public name of the domain."""

import logging

from .actors.commands import RealtimeClose, RealtimeEvent
from .actors.errors import (
    CommandTimeout,
    InvalidCommand,
    LineDown,
    SessionError,
    SessionGone,
    WaitingForOneself,
)
from .actors.event_stream import EventStream, StreamEnded, StreamTimeout
from .actors.events import (
    AssistantAudioDelta,
    AssistantText,
    AssistantTextDelta,
    AssistantTranscript,
    AssistantTranscriptDelta,
    AssistantTurnCompleted,
    AssistantTurnStarted,
    Error,
    Event,
    Interrupted,
    RateLimited,
    SessionClosed,
    SessionOpened,
    SessionUpdated,
    ToolBatchSubmitted,
    ToolCallArgsDelta,
    ToolCallCompleted,
    ToolCallDispatched,
    ToolCallFailed,
    ToolCallStarted,
    UserSpeechStarted,
    UserSpeechStopped,
    UserTranscript,
    UserTranscriptDelta,
)
from .actors.proxies import BrokerProxy, SessionProxy
from .actors.tool import Tool, tool
from .actors.tool_context import ToolContext
from .actors.tool_errors import ToolDefinitionError, ToolError
from .actors.tool_runner import ParallelToolRunner, SerialToolRunner, ToolRunner
from .actors.tree import Broker
from .gateway.config import Config
from .gateway.errors import (
    ConfigError,
    ConnectError,
    ConnectTimeout,
    GatewayError,
    HandshakeRefused,
    ServerError,
    Unreachable,
)
from .gateway.openai import OpenAIGateway
from .gateway.tool_descriptor import ToolDescriptor
from .gateway.turn_detection import SemanticVad, ServerVad

__version__ = "0.1.0"

__all__ = [
    "AssistantAudioDelta",
    "AssistantText",
    "AssistantTextDelta",
    "AssistantTranscript",
    "AssistantTranscriptDelta",
    "AssistantTurnCompleted",
    "AssistantTurnStarted",
    "Broker",
    "BrokerProxy",
    "CommandTimeout",
    "Config",
    "ConfigError",
    "ConnectError",
    "ConnectTimeout",
    "Error",
    "Event",
    "EventStream",
    "GatewayError",
    "HandshakeRefused",
    "Interrupted",
    "InvalidCommand",
    "LineDown",
    "OpenAIGateway",
    "ParallelToolRunner",
    "RateLimited",
    "RealtimeClose",
    "RealtimeEvent",
    "SemanticVad",
    "SerialToolRunner",
    "ServerError",
    "ServerVad",
    "SessionClosed",
    "SessionError",
    "SessionGone",
    "SessionOpened",
    "SessionProxy",
    "SessionUpdated",
    "StreamEnded",
    "StreamTimeout",
    "Tool",
    "ToolBatchSubmitted",
    "ToolCallArgsDelta",
    "ToolCallCompleted",
    "ToolCallDispatched",
    "ToolCallFailed",
    "ToolCallStarted",
    "ToolContext",
    "ToolDefinitionError",
    "ToolDescriptor",
    "ToolError",
    "ToolRunner",
    "Unreachable",
    "UserSpeechStarted",
    "UserSpeechStopped",
    "UserTranscript",
    "UserTranscriptDelta",
    "WaitingForOneself",
    "__version__",
    "tool",
]

logging.getLogger("trunkline").addHandler(logging.NullHandler())
