"""What went over the wire, byte for byte, for subscribers that asked for it with ``raw=True``. Pure.

It is none of the 23 kinds of event: it has no ``kind``, and nobody gets one who did not ask.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from .events import Event

__all__ = ["EventOrFrame", "RawFrame", "WireDirection"]

WireDirection: TypeAlias = Literal["sent", "received"]


class RawFrame(msgspec.Struct, frozen=True, gc=False):
    """One message of the wire, as it was sent or received. Pings, pongs and CLOSE are none.

    Frames are told in the order of the wire; a received one comes before the events it leads to, and comes also when it leads to
    none: an event of an unknown type, or what is no event at all. Under a subscriber's back-pressure frames go first, with
    the audio.

    Attributes:
        direction: ``sent`` by us or ``received`` from the provider.
        type: the event's type; None if a frame that was received is not an event.
        data: the payload, JSON as UTF-8 unless the provider broke the protocol. Audio is in it, as base64; the key is not.
    """

    direction: WireDirection
    type: str | None
    data: bytes


EventOrFrame: TypeAlias = Event | RawFrame
"""What a subscriber gets that asked for frames."""
