"""The shapes that server events share. Pure.

A field the protocol requires has a plain type and a neutral default, one it calls optional may be None: ``codec`` says how nulls in
required fields are read. Times in milliseconds and seconds are floats, whatever number the server wrote. Events without containers
are outside the garbage collector, because a session decodes thousands of them.
"""

import msgspec

from .wire_types import Item


class WireEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What all server events have."""

    event_id: str = ""

    @property
    def type(self) -> str:
        """The event's name on the wire."""
        return str(self.__struct_config__.tag)


class FlatEvent(WireEvent, frozen=True, kw_only=True, gc=False):
    """An event of strings, numbers and bytes alone: it can be part of no reference cycle."""


class ItemEvent(WireEvent, frozen=True, kw_only=True):
    """An event that shows an item and its place in the conversation."""

    item: Item = Item()
    previous_item_id: str | None = None


class OfItem(FlatEvent, frozen=True, kw_only=True, gc=False):
    """An event about one item."""

    item_id: str = ""


class OfContent(OfItem, frozen=True, kw_only=True, gc=False):
    """An event about one part of an item."""

    content_index: int = 0


class OfOutput(OfItem, frozen=True, kw_only=True, gc=False):
    """An event about one item of a response."""

    response_id: str = ""
    output_index: int = 0


class OfPart(OfOutput, frozen=True, kw_only=True, gc=False):
    """An event about one part of an item of a response."""

    content_index: int = 0


class OfCall(OfOutput, frozen=True, kw_only=True, gc=False):
    """An event about one function call."""

    call_id: str = ""


class OfResponse(FlatEvent, frozen=True, kw_only=True, gc=False):
    """An event about one response."""

    response_id: str = ""


class OfMcp(OfItem, frozen=True, kw_only=True, gc=False):
    """An event about one MCP call."""

    output_index: int = 0


class OfOutputItem(WireEvent, frozen=True, kw_only=True):
    """An event that shows an item of a response."""

    response_id: str = ""
    output_index: int = 0
    item: Item = Item()
