"""What a fault makes of one message: edited, doubled, swapped, lost, or joined by events that nobody sent. Pure.

For whoever acts on faults: a transport, a proxy, a simulator. Faults of the line and of frames are not its business: it passes by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import msgspec

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
from .fault import Fault
from .values import (
    Garbage,
    InvalidUtf8,
    MissingField,
    NotJson,
    OversizedFrame,
    WrongType,
)

__all__ = ["EXPIRED_REASON", "Rewriter", "Rewritten", "garbage", "padded_event", "type_of"]

EXPIRED_REASON: Final = "Your session hit the maximum duration of 60 minutes."
"""What the service says in the error and in the CLOSE of a session that is too old."""

_REFUSALS: Final = (ValueError, RecursionError, OverflowError)  # of msgspec, whatever the bytes
_PADDED: Final = b'{"type":"trunkline.fault","padding":"'


class _Typed(msgspec.Struct):
    type: Any = None


_typed: Final = msgspec.json.Decoder(_Typed)


def type_of(frame: bytes | memoryview) -> str | None:
    """Return the event type of a message, None if it has none."""
    try:
        kind = _typed.decode(frame).type
    except _REFUSALS:
        return None
    return kind if isinstance(kind, str) else None


def garbage(n_bytes: int, random: Random) -> bytes:
    """Return random bytes that no WebSocket can read: they begin as a frame with all reserved bits set."""
    return bytes([0x70 | random.randrange(256), random.randrange(126)]) + random.randbytes(n_bytes - 2)


def padded_event(n_bytes: int) -> bytes:
    """Return an event of an unknown type, as so many bytes of JSON."""
    return _PADDED + b"a" * (n_bytes - len(_PADDED) - 2) + b'"}'


@dataclass(slots=True)
class Rewritten:
    """What comes of one message.

    Attributes:
        before: New messages in front of it.
        own: The message: unchanged, edited, twice, or not at all; and behind it one that waited.
        answers: To the client, if the message was the client's.
        in_vain: Faults that found nothing to act on: tell them to `ConnectionPlan.in_vain`.
    """

    own: list[bytes]
    before: list[bytes] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    in_vain: list[Fault] = field(default_factory=list)

    @property
    def messages(self) -> list[bytes]:
        """All that goes on in the message's own direction, in order."""
        return self.before + self.own


class Rewriter:
    """One direction of one connection: applies faults to its messages, and keeps the one that waits for the next.

    Args:
        random: Of the connection's plan.
        label: What tells the ids of its events from those of the other direction.
    """

    def __init__(self, random: Random, label: str) -> None:
        self._random = random
        self._label = label
        self._count = 0
        self._waiting: list[bytes] = []

    @property
    def is_waiting(self) -> bool:
        """Whether a message waits for the next one, which has to come through here then, faults or not."""
        return bool(self._waiting)

    def rewrite(self, message: bytes | None, faults: Iterable[Fault]) -> Rewritten:
        """Return what comes of a message; None: of none, when a fault acts in a silent line."""
        result = Rewritten([] if message is None else [message])
        waits = False
        for fault in faults:
            waits = waits or isinstance(fault, Reorder)
            self._apply(fault, result)
        if result.own and self._waiting:
            result.own += self._waiting
            self._waiting = []
        elif waits:
            self._waiting, result.own = result.own, []
        return result

    def garbage(self, fault: Garbage) -> bytes:
        """Return the bytes of this fault."""
        return garbage(fault.n_bytes, self._random)

    def _apply(self, fault: Fault, result: Rewritten) -> None:
        match fault:
            case Lose():
                result.own = []
            case Duplicate():
                result.own *= 2
            case OversizedFrame(n_bytes=n_bytes):
                result.before.append(padded_event(n_bytes))
            case DoneForUnknown():
                result.before.append(_encode(self._done(self._id("resp"))))
            case SessionExpired():
                result.before.append(_encode(self._error("session_expired", EXPIRED_REASON)))
                result.own = []
            case ActiveResponseRace():
                result.answers += [self._race_lost(message) for message in result.own]
                result.own = [_anonymous(message) for message in result.own]
            case DoneTwice():
                again = [self._renamed(message) for message in result.own]
                result.own = [one for pair in zip(result.own, again, strict=True) for one in pair]
            case _:
                self._edit(fault, result)

    def _edit(self, fault: Fault, result: Rewritten) -> None:
        """Apply a fault that changes the message itself."""
        match fault:
            case InvalidUtf8():
                result.own = [_with_invalid_byte(message) for message in result.own]
            case NotJson():
                result.own = [message[: len(message) // 2] or b"{" for message in result.own]
            case RateLimit():
                result.own = [_rate_limited(message) for message in result.own]
            case MissingField(name=name):
                self._edit_field(fault, name, _remove, result)
            case WrongType(name=name):
                self._edit_field(fault, name, _mistype, result)
            case _:
                pass  # of the line, or of frames

    def _edit_field(
        self, fault: Fault, name: str, edit: Callable[[Any, Any], None], result: Rewritten
    ) -> None:
        edited = [_edited(message, name, edit) for message in result.own]
        if None in edited:
            result.in_vain.append(fault)
        result.own = [new or old for new, old in zip(edited, result.own, strict=True)]

    # -- events that nobody sent

    def _id(self, kind: str) -> str:
        self._count += 1
        return f"{kind}_fault_{self._label}_{self._count}"

    def _error(self, code: str, message: str, event_id: object = None) -> dict[str, Any]:
        detail = {"type": "invalid_request_error", "code": code, "message": message, "param": None}
        return {
            "type": "error",
            "event_id": self._id("event"),
            "error": {**detail, "event_id": event_id},
        }

    def _done(self, response_id: str) -> dict[str, Any]:
        usage = {"total_tokens": 0, "input_tokens": 0, "output_tokens": 0}
        response = {
            "object": "realtime.response",
            "id": response_id,
            "status": "completed",
            "status_details": None,
            "output": [],
            "output_modalities": ["text"],
            "conversation_id": None,
            "metadata": None,
            "usage": usage,
        }
        return {"type": "response.done", "event_id": self._id("event"), "response": response}

    def _race_lost(self, create: bytes) -> bytes:
        event = _decode(create)
        event_id = event.get("event_id") if isinstance(event, dict) else None
        other = f"Conversation already has an active response in progress: {self._id('resp')}."
        text = f"{other} Wait until the response is finished before creating a new one."
        return _encode(self._error("conversation_already_has_active_response", text, event_id))

    def _renamed(self, message: bytes) -> bytes:
        event = _decode(message)
        return _encode({**event, "event_id": self._id("event")}) if isinstance(event, dict) else message


def _encode(event: object) -> bytes:
    return msgspec.json.encode(event)


def _decode(message: bytes) -> Any:
    try:
        return msgspec.json.decode(message)
    except _REFUSALS:
        return None


def _with_invalid_byte(message: bytes) -> bytes:
    """Put 0xFF into the event's type; where there is none, into the middle."""
    event = _decode(message)
    if isinstance(event, dict) and isinstance(kind := event.get("type"), str) and kind.isascii():
        text = _encode({"type": kind, **event})
        at = len(b'{"type":"') + len(kind) // 2
        return text[:at] + b"\xff" + text[at:]
    middle = len(message) // 2
    return message[:middle] + b"\xff" + message[middle:]


def _anonymous(create: bytes) -> bytes:
    """Take out of a `response.create` what tells whose it is."""
    event = _decode(create)
    if not isinstance(event, dict):
        return create
    event.pop("event_id", None)
    if isinstance(response := event.get("response"), dict):
        response.pop("metadata", None)
    return _encode(event)


def _rate_limited(message: bytes) -> bytes:
    event = _decode(message)
    if not isinstance(event, dict) or not isinstance(response := event.get("response"), dict):
        return message
    error = {"type": "rate_limit_error", "code": "rate_limit_exceeded", "message": "Rate limit reached."}
    details = {"type": "failed", "error": error}
    return _encode({**event, "response": {**response, "status": "failed", "status_details": details}})


def _edited(message: bytes, name: str, edit: Callable[[Any, Any], None]) -> bytes | None:
    """Return the message with a field edited in place; None if it has no such field."""
    event = _decode(message)
    *path, last = name.split(".")
    try:
        holder: Any = event
        for step in path:
            holder = holder[_key(holder, step)]
        edit(holder, _key(holder, last))
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    return _encode(event)


def _key(holder: object, step: str) -> str | int:
    return int(step) if isinstance(holder, list) else step


def _remove(holder: Any, key: Any) -> None:
    del holder[key]


def _mistype(holder: Any, key: Any) -> None:
    holder[key] = 7 if isinstance(holder[key], str | None) else "7"
