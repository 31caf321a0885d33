"""The faults, one frozen value each: what goes wrong, exactly, and where it can. Pure.

Three places can act on a fault. *simulator*: the server that misbehaves. *proxy*: a `FaultProxy` between any client and any server.
*transport*: a `FaultyTransport` inside the client; it knows whole messages, so faults of frames and bytes are impossible there.
Where the three differ, the docstring says how; else all of them do what it says, seen from the client.

"The frame" below is the one at which the schedule fires; without one (``after`` may fire in a silent line) the fault acts between
two frames. Directions are the client's: *received* is what the server says, *sent* what it reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .errors import ImpossibleFault
from .event_faults import (
    ActiveResponseRace,
    DoneForUnknown,
    DoneTwice,
    Duplicate,
    Lose,
    RateLimit,
    Reorder,
    SessionExpired,
)
from .fault import (
    BOTH,
    ON_THE_WIRE,
    SENT,
    Fault,
    require_path,
    require_seconds,
    require_text,
    require_whole,
)

_STATUSES: Final = (401, 403, 404, 429, 500, 503)


# -- while connecting


@dataclass(frozen=True, slots=True)
class Refuse(Fault, connects=True, opaque=True):
    """No connection. On the wire: TCP is accepted and reset before a byte is answered. transport: `Unreachable`."""


@dataclass(frozen=True, slots=True)
class SilentUpgrade(Fault, connects=True, opaque=True):
    """The request is read, and no answer comes until the client gives up. transport: `ConnectTimeout`, in time."""


@dataclass(frozen=True, slots=True)
class HttpStatus(Fault, connects=True):
    """The upgrade is answered with an HTTP status and a short JSON body. transport: `HandshakeRefused` with that status.

    Args:
        status: 401, 403, 404, 429, 500 or 503.
        retry_after_s: Whole seconds of a `Retry-After` header; None: no such header.
    """

    status: int
    retry_after_s: int | None = None

    def __post_init__(self) -> None:
        if self.status not in _STATUSES:
            raise ImpossibleFault("status", self.status, f"one of {', '.join(map(str, _STATUSES))}")
        if self.retry_after_s is not None:
            require_whole("retry_after_s", self.retry_after_s, 0)


# -- the line


@dataclass(frozen=True, slots=True)
class Reset(Fault, directions=BOTH, opaque=True):
    """A TCP reset instead of the frame: no CLOSE, nothing flushed, what follows is lost. transport: `LineClosed` 1006."""


@dataclass(frozen=True, slots=True)
class HalfOpen(Fault, directions=BOTH, opaque=True):
    """From the frame on nothing is read, nothing is said, no PING is answered, and nothing closes.

    Only a keepalive or a write that is never taken tells. transport: they tell as those of the real transport do, `LineClosed`
    1011 or 1006 at their usual times, and `close` takes all the time it is given.
    """


@dataclass(frozen=True, slots=True)
class Stall(Fault, directions=BOTH, opaque=True):
    """For so many seconds nothing passes in either direction, the frame included; then all of it comes, in order.

    Args:
        seconds: How long.
    """

    seconds: float

    def __post_init__(self) -> None:
        require_seconds("seconds", self.seconds, "a positive number of seconds", or_none_at_all=False)


@dataclass(frozen=True, slots=True)
class Drip(Fault, seams=ON_THE_WIRE, opaque=True):
    """From the frame on, what is received comes a few bytes at a time, each its own TCP segment as far as the kernel allows.

    Args:
        bytes_per_write: How many at a time.
        interval_s: Seconds between two writes.
    """

    bytes_per_write: int = 1
    interval_s: float = 0.001

    def __post_init__(self) -> None:
        require_whole("bytes_per_write", self.bytes_per_write, 1)
        require_seconds("interval_s", self.interval_s, "a number of seconds, 0 or more")


@dataclass(frozen=True, slots=True)
class CutFrame(Fault, seams=ON_THE_WIRE, needs_frame=True):
    """The first half of the frame's bytes, and then the end of TCP (FIN), without a CLOSE."""


@dataclass(frozen=True, slots=True)
class Close(Fault, directions=BOTH):
    """A CLOSE frame instead of the frame, nothing after it, and then the end of TCP. transport: `LineClosed` with the code.

    Args:
        code: Any number of two bytes, those that must not be sent included; a client should call the illegal ones 1002.
        reason: Up to 123 bytes of UTF-8.
    """

    code: int
    reason: str = ""

    def __post_init__(self) -> None:
        require_whole("code", self.code, 0, 65535)
        require_text("reason", self.reason, most_bytes=123)


@dataclass(frozen=True, slots=True)
class NoClose(Fault, seams=ON_THE_WIRE, directions=BOTH):
    """From the frame on the client's CLOSE is never answered, and TCP stays open; all else goes on."""


@dataclass(frozen=True, slots=True)
class SlowReader(Fault, directions=SENT, opaque=True):
    """From the frame on the server reads so many bytes per second, and no faster: what is sent piles up in front of it.

    transport: the pile is inside, `wants_write` stays true, audio above 1 MiB is refused, and `LineClosed` 1006 comes when nothing
    at all was taken within the stall timeout.

    Args:
        bytes_per_s: 0 never takes anything again.
    """

    bytes_per_s: int

    def __post_init__(self) -> None:
        require_whole("bytes_per_s", self.bytes_per_s, 0)


# -- bytes and frames


@dataclass(frozen=True, slots=True)
class Garbage(Fault, opaque=True):
    """Random bytes (from the plan's seed) before the frame. On the wire: raw, so that the stream cannot be read on.

    The first byte is never that of a legal frame. transport: one binary message of these bytes.

    Args:
        n_bytes: How many.
    """

    n_bytes: int = 64

    def __post_init__(self) -> None:
        require_whole("n_bytes", self.n_bytes, 2)


@dataclass(frozen=True, slots=True)
class InvalidUtf8(Fault, needs_frame=True):
    """The frame with the byte 0xFF in the middle of its event's type."""


@dataclass(frozen=True, slots=True)
class NotJson(Fault, needs_frame=True):
    """The first half of the frame's text, as a whole message."""


@dataclass(frozen=True, slots=True)
class MissingField(Fault, needs_frame=True):
    """The frame without one field. A frame that has none is left alone, and the fault counts as not fired.

    Args:
        name: With its path, such as ``response.id``; a number chooses from a list: ``response.output.0.id``.
    """

    name: str

    def __post_init__(self) -> None:
        require_path(self.name)


@dataclass(frozen=True, slots=True)
class WrongType(Fault, needs_frame=True):
    """The frame with one field of another type: a text for what is no text, a number for a text. Without it, as `MissingField`.

    Args:
        name: With its path, as in `MissingField`.
    """

    name: str

    def __post_init__(self) -> None:
        require_path(self.name)


@dataclass(frozen=True, slots=True)
class OversizedFrame(Fault):
    """Before the frame, an event of an unknown type in one text frame of so many bytes. transport: one such message.

    Args:
        n_bytes: The payload's size; the default is above Trunkline's limit of 16 MiB.
    """

    n_bytes: int = (16 << 20) + 1

    def __post_init__(self) -> None:
        require_whole("n_bytes", self.n_bytes, 256)


@dataclass(frozen=True, slots=True)
class EndlessFrame(Fault, seams=ON_THE_WIRE):
    """Instead of the frame, the head of a text frame of 2**62 bytes and then spaces, as fast as the client takes them."""


@dataclass(frozen=True, slots=True)
class FragmentFlood(Fault, seams=ON_THE_WIRE):
    """Before the frame, an event of an unknown type as one text message of so many fragments, the last with FIN.

    Args:
        n: How many; the default is above Trunkline's limit of 16384.
    """

    n: int = 20_000

    def __post_init__(self) -> None:
        require_whole("n", self.n, 2)


@dataclass(frozen=True, slots=True)
class CompressedBit(Fault, seams=ON_THE_WIRE, needs_frame=True):
    """The frame with RSV1 set, as if it were compressed, though no extension was agreed."""


@dataclass(frozen=True, slots=True)
class MaskedFrame(Fault, seams=ON_THE_WIRE, needs_frame=True):
    """The frame with a mask, which only a client may use."""


FAULTS: Final[tuple[type[Fault], ...]] = (
    Refuse,
    SilentUpgrade,
    HttpStatus,
    Reset,
    HalfOpen,
    Stall,
    Drip,
    CutFrame,
    Close,
    NoClose,
    SlowReader,
    Garbage,
    InvalidUtf8,
    NotJson,
    MissingField,
    WrongType,
    OversizedFrame,
    EndlessFrame,
    FragmentFlood,
    CompressedBit,
    MaskedFrame,
    Duplicate,
    Reorder,
    Lose,
    DoneTwice,
    DoneForUnknown,
    ActiveResponseRace,
    SessionExpired,
    RateLimit,
)
"""All kinds of faults, in the order of this module."""
