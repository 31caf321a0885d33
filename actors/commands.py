"""What can be told or asked of a session and of a broker: frozen, picklable messages. Pure.

``session.ask(SendText("hi"))`` and ``session.proxy().send_text("hi")`` are one thing: the proxy's methods build these.
A bad argument raises in the caller, when the message is built.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec
import pykka

from .errors import InvalidCommand
from .events import Event
from .raw_frame import EventOrFrame, RawFrame

Subscriber: TypeAlias = "pykka.ActorRef[Any] | Callable[[Event], object]"
RawSubscriber: TypeAlias = "pykka.ActorRef[Any] | Callable[[EventOrFrame], object]"


@dataclass(frozen=True, slots=True)
class Connect:
    """To a broker: open a session. ``overrides`` replace fields of the broker's Config. Answered with a SessionProxy."""

    overrides: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Resume:
    """To a broker: go on with a session whose process ended, from its log. Answered as :class:`Connect` is."""

    session_id: str
    overrides: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class SendText:
    """Say something as the user and ask for a reply. Answered with the item's id as soon as it is accepted."""

    text: str

    def __post_init__(self) -> None:
        _check_text("send_text", self.text)
        if not self.text.strip():
            raise InvalidCommand("send_text takes a non-empty str")


@dataclass(frozen=True, slots=True)
class SendAudio:
    """Append input audio, already encoded in the session's input format (PCM16: little-endian, mono, 24 kHz).

    ``epoch`` names the line it is meant for; audio for a line that is lost is dropped. None: for whatever line there is.
    """

    data: bytes
    epoch: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.data, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidCommand(f"audio must be encoded to bytes, not {type(self.data).__name__}")


@dataclass(frozen=True, slots=True)
class CommitAudio:
    """Make what was appended a user message and ask for a reply (push to talk)."""


@dataclass(frozen=True, slots=True)
class ClearAudio:
    """Forget the input audio that was appended and not committed."""


@dataclass(frozen=True, slots=True)
class CreateResponse:
    """Ask for a reply without saying anything."""


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Stop what the model is saying and the tools that run for it."""


@dataclass(frozen=True, slots=True)
class ReportPlayback:
    """Say how much of a spoken item was played, milliseconds. From the first report on, the session does not estimate it."""

    item_id: str
    played_ms: float

    def __post_init__(self) -> None:
        _check_text("report_playback", self.item_id)
        is_number = isinstance(self.played_ms, int | float) and not isinstance(self.played_ms, bool)  # pyright: ignore[reportUnnecessaryIsInstance]
        if not is_number or not 0.0 <= self.played_ms < math.inf:
            raise InvalidCommand(f"report_playback takes milliseconds >= 0, not {self.played_ms!r:.80}")


@dataclass(frozen=True, slots=True)
class GetHistory:
    """Answered with the conversation: a list of :class:`trunkline.actors.history.HistoryItem`, in the provider's order."""


@dataclass(frozen=True, slots=True)
class GetUsage:
    """Answered with what the session cost so far: a :class:`trunkline.actors.usage.SessionUsage`."""


@dataclass(frozen=True, slots=True)
class UpdateInstructions:
    """Replace the instructions. Answered when the provider has confirmed them."""

    instructions: str

    def __post_init__(self) -> None:
        _check_text("update_instructions", self.instructions)


@dataclass(frozen=True, slots=True)
class GetInstructions:
    """Answered with the instructions that the provider confirmed last."""


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Deliver events to an actor (as :class:`RealtimeEvent`) or call a function in the session's thread.

    ``raw``: the wire's frames too, to an actor as :class:`RealtimeFrame`; who is subscribed already gets them from now on.
    """

    subscriber: Subscriber
    raw: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.subscriber, pykka.ActorRef) and not callable(self.subscriber):
            raise InvalidCommand(f"a subscriber is an ActorRef or a callable, not {self.subscriber!r:.80}")


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Stop delivering to a subscriber; no error if it is none."""

    subscriber: Subscriber


@dataclass(frozen=True, slots=True)
class AwaitOpen:
    """Answered with True once the provider confirmed the configuration; fails with what prevented it."""


SessionCommand: TypeAlias = (
    SendText
    | SendAudio
    | CommitAudio
    | ClearAudio
    | CreateResponse
    | Interrupt
    | ReportPlayback
    | GetHistory
    | GetUsage
    | UpdateInstructions
    | GetInstructions
    | AwaitOpen
)

SESSION_COMMANDS = (
    SendText,
    SendAudio,
    CommitAudio,
    ClearAudio,
    CreateResponse,
    Interrupt,
    ReportPlayback,
    GetHistory,
    GetUsage,
    UpdateInstructions,
    GetInstructions,
    AwaitOpen,
)


class RealtimeEvent(msgspec.Struct, frozen=True, gc=False):
    """To a subscribing actor: one event of a session."""

    session_id: str
    event: Event


class RealtimeFrame(msgspec.Struct, frozen=True, gc=False):
    """To an actor that subscribed with ``raw=True``: one frame of the wire."""

    session_id: str
    frame: RawFrame


class RealtimeClose(msgspec.Struct, frozen=True, gc=False):
    """To a subscribing actor: nothing follows. The session is over, or (after an ``error`` that says so) the actor lags too far."""

    session_id: str
    reason: str


def _check_text(command: str, text: object) -> None:
    if not isinstance(text, str):
        raise InvalidCommand(f"{command} takes a str, not {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidCommand(f"{command}: the text is no valid Unicode at index {error.start}") from error
