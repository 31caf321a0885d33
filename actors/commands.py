"""What can be told or asked of a session and of a broker: frozen, picklable messages. Pure.

``session.ask(SendText("hi"))`` and ``session.proxy().send_text("hi")`` are one thing: the proxy's methods build these.
A bad argument raises in the caller, when the message is built.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self, TypeAlias

import msgspec
import pykka

from ..gateway.config import Config, setting_names
from ..gateway.images import Image, image_data_uri
from ..gateway.items import Detail, user_image
from ..gateway.response_options import ResponseOptions
from ..gateway.wire_types import Item
from .errors import InvalidCommand
from .events import Event
from .raw_frame import EventOrFrame, RawFrame

_CHANGEABLE: Final = (
    "instructions",
    "voice",
    "modalities",
    "turn_detection",
    "input_audio_transcription",
    "tools",
    "mcp_servers",
    "tool_choice",
    "parallel_tool_calls",
    "max_response_output_tokens",
    "speed",
    "noise_reduction",
    "truncation",
    "reasoning_effort",
    "prompt",
    "include",
    "tracing",
    "provider_extras",
)
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
class SendSystemText:
    """Tell the model something that the user did not say. Nobody has to answer it. Answered with the item's id."""

    text: str

    def __post_init__(self) -> None:
        _check_text("send_system_text", self.text)
        if not self.text.strip():
            raise InvalidCommand("send_system_text takes a non-empty str")


@dataclass(frozen=True, slots=True)
class SendImage:
    """Show an image as the user, with or without words, and ask for a reply. Answered with the item's id.

    ``image``: a data URI; the bytes of a PNG or JPEG file become one.
    """

    image: Image
    text: str | None = None
    detail: Detail | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "image", image_data_uri(self.image))
        if self.text is not None:
            _check_text("send_image", self.text)
        self.item("")

    def item(self, item_id: str) -> Item:
        """Return the message."""
        return user_image(self.image, self.text, self.detail, item_id=item_id)


@dataclass(frozen=True, slots=True)
class CreateItem:
    """Add a message to the conversation; nobody has to answer it. Answered with the item's id.

    ``previous_item_id``: the item it follows, "root" to be the first, None to be the last.
    """

    item: Item
    previous_item_id: str | None = None

    def __post_init__(self) -> None:
        item = self.item
        if not isinstance(item, Item) or item.type != "message" or not item.role or not item.content:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidCommand("create_item takes a message, such as assistant_text(...) or user_text(...)")
        if item.id is not None:
            _check_id("create_item", item.id)
        if self.previous_item_id is not None:
            _check_id("create_item", self.previous_item_id)

    def with_id(self, new_id: Callable[[str], str]) -> Item:
        """Return the item with an id of its own."""
        return self.item if self.item.id else msgspec.structs.replace(self.item, id=new_id("item"))


@dataclass(frozen=True, slots=True)
class DeleteItem:
    """Remove an item from the conversation. Answered when the provider has."""

    item_id: str

    def __post_init__(self) -> None:
        _check_id("delete_item", self.item_id)


@dataclass(frozen=True, slots=True)
class RetrieveItem:
    """Answered with an item as the provider holds it, its audio included."""

    item_id: str

    def __post_init__(self) -> None:
        _check_id("retrieve_item", self.item_id)


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
    """Ask for a reply without saying anything, or for one that differs from others by ``options``."""

    options: ResponseOptions | None = None

    def __post_init__(self) -> None:
        if self.options is None:
            return
        if not isinstance(self.options, ResponseOptions):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidCommand(f"create_response takes ResponseOptions, not {type(self.options).__name__}")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """Return the command of these options by name; with none of them there is nothing that differs."""
        known = [each.name for each in fields(ResponseOptions) if each.init]
        for name in options:
            if name not in known:
                raise _unknown("create_response", name, known)
        return cls(ResponseOptions(**options) if options else None)


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
class Update:
    """Change settings of the session by their names in Config. Answered when the provider has confirmed them."""

    overrides: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not self.overrides:
            raise InvalidCommand("update takes at least one setting")
        for name in self.overrides:
            if name in setting_names() and name not in _CHANGEABLE:
                raise InvalidCommand(
                    f"update cannot change {name} of a session that runs: connect another one"
                )
            if name not in _CHANGEABLE:
                raise _unknown("update", name, _CHANGEABLE)
        # Alone, whatever they may be in contradiction to; how they go with the others the session finds out.
        for name, value in self.overrides.items():
            alone = Config(turn_detection="none", provider_extras={"tools": []})
            alone.replace(**{name: value})


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
    | SendSystemText
    | SendImage
    | CreateItem
    | DeleteItem
    | RetrieveItem
    | Update
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
    SendSystemText,
    SendImage,
    CreateItem,
    DeleteItem,
    RetrieveItem,
    Update,
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


HELD = (
    SendText,
    SendSystemText,
    SendImage,
    CreateItem,
    DeleteItem,
    RetrieveItem,
    CreateResponse,
    Update,
    UpdateInstructions,
)
"""The commands that wait for a line when there is none."""


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


def _unknown(command: str, name: str, known: Sequence[str]) -> InvalidCommand:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return InvalidCommand(f"{command} knows no {name!r}: {hint}")


def _check_id(command: str, item_id: object) -> None:
    _check_text(command, item_id)
    if not item_id:
        raise InvalidCommand(f"{command} takes an item's id, not an empty str")


def _check_text(command: str, text: object) -> None:
    if not isinstance(text, str):
        raise InvalidCommand(f"{command} takes a str, not {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidCommand(f"{command}: the text is no valid Unicode at index {error.start}") from error
