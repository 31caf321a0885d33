"""Trunkline: realtime AI sessions as supervised actors. The front door: every public name of the domain.

A name is imported from its room when it is first asked for: pytest imports this package at every start, for the plugin.
"""

import importlib
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .actors.broker_proxy import BrokerProxy
    from .actors.commands import RealtimeClose, RealtimeEvent, RealtimeFrame
    from .actors.errors import (
        CommandTimeout,
        InvalidCommand,
        LineDown,
        SessionError,
        SessionGone,
        SessionInUse,
        SessionLogError,
        UnknownSession,
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
    from .actors.history import HistoryItem
    from .actors.raw_frame import RawFrame
    from .actors.session_proxy import SessionProxy
    from .actors.sqlite_session_log import SqliteSessionLog
    from .actors.tool import Tool, tool
    from .actors.tool_approval import ToolApproval
    from .actors.tool_context import ToolContext
    from .actors.tool_errors import ToolDefinitionError, ToolError
    from .actors.tool_runner import ParallelToolRunner, SerialToolRunner, ToolRunner
    from .actors.tree import Broker
    from .actors.usage import SessionUsage
    from .gateway.azure import AzureOpenAIGateway
    from .gateway.config import Config
    from .gateway.errors import (
        ConfigError,
        ConnectError,
        ConnectTimeout,
        GatewayError,
        HandshakeRefused,
        InvalidAudio,
        MissingExtra,
        SendBufferFull,
        ServerError,
        Unreachable,
    )
    from .gateway.line_limits import LineLimits
    from .gateway.open_files import OpenFileLimit
    from .gateway.openai import OpenAIGateway
    from .gateway.response_options import ResponseOptions
    from .gateway.tool_descriptor import ToolDescriptor
    from .gateway.turn_detection import SemanticVad, ServerVad
    from .gateway.wire_types import Item

__version__ = "0.1.0"

__all__ = [
    "AssistantAudioDelta",
    "AssistantText",
    "AssistantTextDelta",
    "AssistantTranscript",
    "AssistantTranscriptDelta",
    "AssistantTurnCompleted",
    "AssistantTurnStarted",
    "AzureOpenAIGateway",
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
    "HistoryItem",
    "Interrupted",
    "InvalidAudio",
    "InvalidCommand",
    "Item",
    "LineDown",
    "LineLimits",
    "MissingExtra",
    "OpenAIGateway",
    "OpenFileLimit",
    "ParallelToolRunner",
    "RateLimited",
    "RawFrame",
    "RealtimeClose",
    "RealtimeEvent",
    "RealtimeFrame",
    "ResponseOptions",
    "SemanticVad",
    "SendBufferFull",
    "SerialToolRunner",
    "ServerError",
    "ServerVad",
    "SessionClosed",
    "SessionError",
    "SessionGone",
    "SessionInUse",
    "SessionLogError",
    "SessionOpened",
    "SessionProxy",
    "SessionUpdated",
    "SessionUsage",
    "SqliteSessionLog",
    "StreamEnded",
    "StreamTimeout",
    "Tool",
    "ToolApproval",
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
    "UnknownSession",
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

if not TYPE_CHECKING:  # type checkers see the names above and no others
    _ROOMS = ("actors", "gateway", "supervision")
    _NAMES_BY_HOME = {  # the imports above, once more: tests/house/test_front_door.py compares them
        "actors.broker_proxy": ("BrokerProxy",),
        "actors.commands": (
            "RealtimeClose",
            "RealtimeEvent",
            "RealtimeFrame",
        ),
        "actors.errors": (
            "CommandTimeout",
            "InvalidCommand",
            "LineDown",
            "SessionError",
            "SessionGone",
            "SessionInUse",
            "SessionLogError",
            "UnknownSession",
            "WaitingForOneself",
        ),
        "actors.event_stream": (
            "EventStream",
            "StreamEnded",
            "StreamTimeout",
        ),
        "actors.events": (
            "AssistantAudioDelta",
            "AssistantText",
            "AssistantTextDelta",
            "AssistantTranscript",
            "AssistantTranscriptDelta",
            "AssistantTurnCompleted",
            "AssistantTurnStarted",
            "Error",
            "Event",
            "Interrupted",
            "RateLimited",
            "SessionClosed",
            "SessionOpened",
            "SessionUpdated",
            "ToolBatchSubmitted",
            "ToolCallArgsDelta",
            "ToolCallCompleted",
            "ToolCallDispatched",
            "ToolCallFailed",
            "ToolCallStarted",
            "UserSpeechStarted",
            "UserSpeechStopped",
            "UserTranscript",
            "UserTranscriptDelta",
        ),
        "actors.history": ("HistoryItem",),
        "actors.raw_frame": ("RawFrame",),
        "actors.session_proxy": ("SessionProxy",),
        "actors.sqlite_session_log": ("SqliteSessionLog",),
        "actors.tool": (
            "Tool",
            "tool",
        ),
        "actors.tool_approval": ("ToolApproval",),
        "actors.tool_context": ("ToolContext",),
        "actors.tool_errors": (
            "ToolDefinitionError",
            "ToolError",
        ),
        "actors.tool_runner": (
            "ParallelToolRunner",
            "SerialToolRunner",
            "ToolRunner",
        ),
        "actors.tree": ("Broker",),
        "actors.usage": ("SessionUsage",),
        "gateway.azure": ("AzureOpenAIGateway",),
        "gateway.config": ("Config",),
        "gateway.errors": (
            "ConfigError",
            "ConnectError",
            "ConnectTimeout",
            "GatewayError",
            "HandshakeRefused",
            "InvalidAudio",
            "MissingExtra",
            "SendBufferFull",
            "ServerError",
            "Unreachable",
        ),
        "gateway.line_limits": ("LineLimits",),
        "gateway.open_files": ("OpenFileLimit",),
        "gateway.openai": ("OpenAIGateway",),
        "gateway.response_options": ("ResponseOptions",),
        "gateway.tool_descriptor": ("ToolDescriptor",),
        "gateway.turn_detection": (
            "SemanticVad",
            "ServerVad",
        ),
        "gateway.wire_types": ("Item",),
    }
    _HOMES = {name: home for home, names in _NAMES_BY_HOME.items() for name in names}

    def __getattr__(name: str) -> Any:
        """Import a public name, or a room, when it is first asked for."""
        if name in _ROOMS:
            return importlib.import_module(f".{name}", __name__)
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
        value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        """List the public names too, imported or not."""
        return sorted({*globals(), *__all__})
