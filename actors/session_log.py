"""The session log: what was accepted and what came of it, enough to rebuild the conversation. Pure.

It lies outside every actor, in the directory, so it survives a crash of the session's actor. Entries are only appended.
An *ask* is the wish for a reply: a user message, ``create_response()`` or a batch of tool outputs makes one, and it stays
open until a response that covers it is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from ..gateway.wire_types import Item


@dataclass(frozen=True, slots=True)
class ItemRecorded:
    """An item of the conversation: a user message that was accepted, the assistant's words, a call, an output."""

    item: Item


@dataclass(frozen=True, slots=True)
class ItemRefused:
    """The provider refused this item: it is no part of the conversation."""

    item_id: str


@dataclass(frozen=True, slots=True)
class ReplyAsked:
    """A reply is wanted. ``ask_id``: the item that asks for it, or an id of its own."""

    ask_id: str


@dataclass(frozen=True, slots=True)
class ReplySettled:
    """These asks were answered, or refused for good."""

    ask_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SessionConfirmed:
    """The provider confirmed the session once, with these instructions."""

    instructions: str | None


Entry: TypeAlias = ItemRecorded | ItemRefused | ReplyAsked | ReplySettled | SessionConfirmed


class SessionLog(Protocol):
    """Append-only memory of one session, safe to use from the threads of successive incarnations."""

    def append(self, entry: Entry, /) -> None:
        """Add one entry; it is durable as far as this log is when the call returns."""
        ...

    def read(self) -> Sequence[Entry]:
        """Return all entries, oldest first."""
        ...


class MemorySessionLog:
    """The default: a list. It lives as long as the process."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def append(self, entry: Entry, /) -> None:
        """Add one entry."""
        self._entries.append(entry)

    def read(self) -> Sequence[Entry]:
        """Return a copy of all entries, oldest first."""
        return tuple(self._entries)


@dataclass(frozen=True, slots=True)
class Memory:
    """What a log amounts to."""

    confirmed: bool = False
    instructions: str | None = None
    items: tuple[Item, ...] = ()
    open_asks: tuple[str, ...] = field(default=())


def recall(entries: Iterable[Entry]) -> Memory:
    """Fold a log into what the next incarnation must know."""
    confirmed, instructions = False, None
    items: list[Item] = []
    asks: dict[str, None] = {}
    for entry in entries:
        match entry:
            case ItemRecorded(item):
                items.append(item)
            case ItemRefused(item_id):
                items = [item for item in items if item.id != item_id]
            case ReplyAsked(ask_id):
                asks[ask_id] = None
            case ReplySettled(ask_ids):
                for ask_id in ask_ids:
                    asks.pop(ask_id, None)
            case SessionConfirmed(text):
                confirmed, instructions = True, text
    return Memory(confirmed, instructions, tuple(items), tuple(asks))
