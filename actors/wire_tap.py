"""Shows the messages of the wire to the subscribers that asked for them. Owns no thread; used in the session's own.

While nobody asks it costs one look per read of the socket and one per message sent.
"""

from __future__ import annotations

from collections.abc import Callable

from ..gateway.codec import frame_type
from .raw_frame import RawFrame, WireDirection
from .subscribers import Publisher

__all__ = ["WireTap"]


class WireTap:
    """One incarnation's.

    Args:
        publisher: knows who wants frames.
    """

    __slots__ = ("_publisher",)

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def before(self, handle: Callable[[memoryview], None]) -> Callable[[memoryview], None]:
        """Return what to hand received messages to: ``handle`` itself when nobody wants to see them first."""
        if not self._publisher.wants_raw:
            return handle

        def show_and_handle(frame: memoryview) -> None:
            self._show("received", bytes(frame))  # a copy: a view would pin the whole read
            handle(frame)

        return show_and_handle

    def sent(self, data: bytes) -> None:
        """The line took this message."""
        if self._publisher.wants_raw:
            self._show("sent", data)

    def _show(self, direction: WireDirection, data: bytes) -> None:
        self._publisher.raw(RawFrame(direction, frame_type(data), data))
