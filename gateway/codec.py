"""Frames to server events and client events to frames. Pure.

The fast path decodes a frame once, by its tag, straight into a struct. What that refuses is looked at again without hurry: a beta
name is given its GA name, an unknown name becomes an `UnknownEvent`, nulls in fields that are plain and other harmless deviations
are repaired, and the rest is a `ProtocolError`. Nothing else is raised, whatever the bytes.

Invalid UTF-8 in a field that nobody reads passes unseen: msgspec skips such fields.
"""

from typing import Any, Final, get_args

import msgspec

from .client_events import ClientEvent
from .errors import EncodeError, ProtocolError
from .server_events import KnownServerEvent, ServerEvent, UnknownEvent
from .wire_types import Json

MALFORMED_FRAME: Final = "malformed_frame"
"""The code of a frame that is not JSON, not an object, or has no usable type."""
MALFORMED_EVENT: Final = "malformed_event"
"""The code of a frame whose type is known and whose fields are not what the type says."""

BETA_NAMES: Final = {
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
}
"""Beta event name -> GA event name. ``conversation.item.created`` is still a GA event of its own."""

_EXCERPT: Final = 200
# UnicodeDecodeError and msgspec's errors are ValueErrors; nesting and huge numbers have errors of their own.
_REFUSALS: Final = (ValueError, RecursionError, OverflowError)
_fast: Final[msgspec.json.Decoder[KnownServerEvent]] = msgspec.json.Decoder(KnownServerEvent)
_plain: Final = msgspec.json.Decoder()


class _Head(msgspec.Struct, gc=False):
    type: str = ""


_head: Final = msgspec.json.Decoder(_Head)
_encoder: Final = msgspec.json.Encoder()
_KNOWN: Final = frozenset(str(cls.__struct_config__.tag) for cls in get_args(KnownServerEvent))


def decode_server_event(frame: bytes | memoryview) -> ServerEvent:
    """Decode one text frame.

    Args:
        frame: the message's payload, UTF-8 JSON. Not kept: the event owns what it holds.

    Returns:
        The event of the frame's type; an `UnknownEvent` with a copy of the frame if the type is not one of ours.

    Raises:
        ProtocolError: the frame is no event, or an event with the wrong kind of fields. The server's fault.

    Source: every server event.
    """
    try:
        return _fast.decode(frame)
    except _REFUSALS:
        return _decode_again(bytes(frame))


def frame_type(frame: bytes | memoryview) -> str | None:
    """Return the type that a frame says it has, whatever else is in it; None if it has none.

    Source: every event.
    """
    try:
        return _head.decode(frame).type or None
    except _REFUSALS:
        return None


def encode_client_event(event: ClientEvent) -> bytes:
    """Encode one client event as the payload of a text frame.

    Raises:
        EncodeError: the event holds what JSON cannot, such as half a surrogate pair. The fault of whoever built it.

    Source: every client event.
    """
    try:
        return _encoder.encode(event)
    except (*_REFUSALS, TypeError) as error:
        raise EncodeError(event.type, str(error)) from error


def _decode_again(frame: bytes) -> ServerEvent:
    event_type, document = _parse(frame)
    name = BETA_NAMES.get(event_type, event_type)
    if name not in _KNOWN:
        return UnknownEvent(event_type, frame)
    try:
        return _fast.decode(_encoder.encode({**_repaired(document), "type": name}))
    except _REFUSALS as error:
        raise _error(MALFORMED_EVENT, event_type, str(error), frame) from error


def _parse(frame: bytes) -> tuple[str, Json]:
    try:
        document = _plain.decode(frame)
    except _REFUSALS as error:
        raise _error(MALFORMED_FRAME, None, str(error), frame) from error
    if not isinstance(document, dict):
        raise _error(MALFORMED_FRAME, None, "a JSON object is expected", frame)
    event_type = document.get("type")
    if not isinstance(event_type, str) or not event_type:
        raise _error(MALFORMED_FRAME, None, "the object has no type that is a string", frame)
    return event_type, document


def _repaired(document: Json) -> Json:
    """Return a document without nulls, with whole numbers as integers, and with its error as an object.

    Every field has a default, so that leaving a null out is the same as reading it.
    """
    repaired: Json = _tidied(document)
    # Proxies in front of a provider write errors as plain text, and codes as HTTP statuses.
    error = repaired.get("error")
    if isinstance(error, str):
        repaired["error"] = {"message": error}
    elif isinstance(error, dict) and isinstance(error.get("code"), int):
        repaired["error"] = {**error, "code": str(error["code"])}
    return repaired


def _tidied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tidied(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_tidied(item) for item in value if item is not None]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _error(code: str, event_type: str | None, detail: str, frame: bytes) -> ProtocolError:
    return ProtocolError(code, event_type, detail, frame[:_EXCERPT].decode(errors="replace"))
