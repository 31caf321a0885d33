"""What the session core decides, as values that the session actor performs. Pure.

An effect is an event for the subscribers (the 23 kinds are effects themselves), or one of the classes here. Order matters:
what is recorded is recorded before the command that caused it is answered.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..gateway.client_events import ClientEvent, InputAudioBufferAppend
from ..gateway.config import Config
from .events import CloseReason, Event, SessionClosed
from .session_log import Entry


@dataclass(frozen=True, slots=True)
class Send:
    """Send a client event: control, ahead of audio."""

    event: ClientEvent


@dataclass(frozen=True, slots=True)
class SendAppend:
    """Send input audio behind everything else, all or none, and answer ``token``; refused when the outgoing buffer is full.

    ``carried``: it was taken before, for the line that this one follows, and is not refused.
    """

    pieces: tuple[InputAudioBufferAppend, ...]
    token: int | None = None
    carried: bool = False


@dataclass(frozen=True, slots=True)
class AudioEpoch:
    """Tell whoever takes in audio that what comes from now on is for another line: it is to carry this name."""

    epoch: str


@dataclass(frozen=True, slots=True)
class SendToNext:
    """Send a client event over the line that is to follow the one that serves."""

    event: ClientEvent


@dataclass(frozen=True, slots=True)
class SwitchLine:
    """The line that waits serves from now on; what is sent goes there."""


@dataclass(frozen=True, slots=True)
class LeaveLine:
    """The line that served before is closed with 1000 when it has sent what it has."""


@dataclass(frozen=True, slots=True)
class Record:
    """Append to the session log: from here on it survives the actor."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Resolve:
    """Answer the command that came with ``token``."""

    token: int
    value: Any = None


@dataclass(frozen=True, slots=True)
class Reject:
    """Fail the command that came with ``token``."""

    token: int
    error: Exception


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Call ``core.timer(key)`` in ``delay_s``; a timer of the same key is replaced.

    Attributes:
        jitter: anywhere up to then instead.
        at_least_s: but not before this; it comes on top.
    """

    key: Hashable
    delay_s: float
    jitter: bool = False
    at_least_s: float = 0.0


@dataclass(frozen=True, slots=True)
class StopTimer:
    """Forget the timer of this key; no error if there is none."""

    key: Hashable


@dataclass(frozen=True, slots=True)
class Reconfigure:
    """The session is another one from here on: the next incarnation begins with this, and calls run these Tools, by name."""

    config: Config
    tools: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OpenLine:
    """Start a ConnectWorker; it answers with ``core.connected(attempt)`` or ``core.connect_failed(attempt)``."""

    attempt: int
    timeout_s: float


@dataclass(frozen=True, slots=True)
class DropLine:
    """Close the transport, or give up the connection attempt; the core already counts the line as lost."""

    attempt: int


@dataclass(frozen=True, slots=True)
class StartTool:
    """Start a ToolWorker for one call. ``may_have_run``: an earlier incarnation had it, and it has no outcome."""

    turn_id: str
    call_id: str
    name: str
    arguments: str
    may_have_run: bool = False


@dataclass(frozen=True, slots=True)
class AskApproval:
    """Ask the application whether a remote MCP server's tool may be called; the answer comes as a tool's outcome."""

    call: StartTool
    server_label: str


@dataclass(frozen=True, slots=True)
class StopTool:
    """Set the cancel token of a running call and end its worker; its outcome no longer counts."""

    call_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    """End the session for good: close the subscribers with this, then stop the actor."""

    reason: CloseReason
    code: str | None = None
    message: str | None = None
    error: Exception | None = None

    @property
    def closed(self) -> SessionClosed:
        """The last event of every subscriber."""
        return SessionClosed(self.reason, self.code, self.message)


Effect: TypeAlias = (
    Event
    | Send
    | SendAppend
    | SendToNext
    | SwitchLine
    | LeaveLine
    | AudioEpoch
    | Record
    | Resolve
    | Reject
    | StartTimer
    | StopTimer
    | Reconfigure
    | OpenLine
    | DropLine
    | StartTool
    | AskApproval
    | StopTool
    | Finish
)
Effects: TypeAlias = Sequence[Effect]
NOTHING: Effects = ()


def accepted(effects: Effects, last_written: object, waiting: Container[int]) -> list[Resolve]:
    """Return what is to be answered of a command whose effects were not all performed, because the session crashed.

    If all that it records is in the log, the next incarnation carries it out: a caller that tried again would say it twice.

    Args:
        effects: the command's.
        last_written: the newest entry of the log.
        waiting: the tokens that were not answered.
    """
    records = [effect.entry for effect in effects if isinstance(effect, Record)]
    if not records or records[-1] is not last_written:
        return []
    return [effect for effect in effects if isinstance(effect, Resolve) and effect.token in waiting]
