"""The session log: what was accepted and what came of it, enough to rebuild the conversation. Pure.

It lies outside every actor, in the directory, so it survives a crash of the session's actor. Entries are only appended.
An *ask* is the wish for a reply: a user message, ``create_response()`` or a batch of tool outputs makes one, and it stays
open until a response that covers it is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import msgspec

from ..gateway.client_events import ResponseParams
from ..gateway.wire_types import Item, TranscriptionUsage, Usage


class _Entry(msgspec.Struct, frozen=True, tag=True):
    """What all entries have in common: as JSON they name their kind in ``type``."""


class ItemRecorded(_Entry, frozen=True, tag=True):
    """An item of the conversation, new or as it is now: a message, a call, an output.

    ``previous_item_id``: the one it follows, "root" if it is the first, None if that is not known: then it stays where
    it is, or comes last.
    """

    item: Item
    previous_item_id: str | None = None


class ItemRefused(_Entry, frozen=True, tag=True):
    """The provider refused this item: it is no part of the conversation."""

    item_id: str


class ItemDeleted(_Entry, frozen=True, tag=True):
    """This item is no part of the conversation any more."""

    item_id: str


class ItemTruncated(_Entry, frozen=True, tag=True):
    """Of this spoken item so much was played; ``text`` is what was heard."""

    item_id: str
    audio_end_ms: int
    text: str


class Transcribed(_Entry, frozen=True, tag=True):
    """What was said in one audio part of an item."""

    item_id: str
    content_index: int
    text: str


class ReplyAsked(_Entry, frozen=True, tag=True):
    """A reply is wanted. ``ask_id``: the item that asks for it, or an id of its own. ``params``: how it is to differ."""

    ask_id: str
    params: ResponseParams | None = None


class ReplySettled(_Entry, frozen=True, tag=True):
    """These asks were answered, or refused for good."""

    ask_ids: tuple[str, ...]


class AsksCarried(_Entry, frozen=True, tag=True):
    """These asks wait for the outputs of the tools that this turn called."""

    turn_id: str
    ask_ids: tuple[str, ...]


class CallsBegan(_Entry, frozen=True, tag=True):
    """The model completed these calls (items of type ``function_call``, in its order); an output is due for each."""

    turn_id: str
    calls: tuple[Item, ...]


class CallSettled(_Entry, frozen=True, tag=True):
    """There is an output for this call: its tool is not to run again. ``failure``: the code of why it has no result."""

    turn_id: str
    call_id: str
    output: str
    failure: str | None = None


class CallsInterrupted(_Entry, frozen=True, tag=True):
    """The turn was cut off while its tools were at work, and their outputs are submitted all the same."""

    turn_id: str


class CallsEnded(_Entry, frozen=True, tag=True):
    """The outputs of this turn's calls are in the conversation, or were dropped."""

    turn_id: str


class SessionConfirmed(_Entry, frozen=True, tag=True):
    """The provider confirmed the session once, with these instructions."""

    instructions: str | None


class SettingsChanged(_Entry, frozen=True, tag=True):
    """The provider confirmed other settings. ``settings``: those that can be written down; ``others``: those that cannot."""

    settings: dict[str, Any]
    others: tuple[str, ...] = ()


class TokensUsed(_Entry, frozen=True, tag=True):
    """A response cost this."""

    usage: Usage


class TranscriptionUsed(_Entry, frozen=True, tag=True):
    """A transcription of the user's speech cost this."""

    usage: TranscriptionUsage


Entry: TypeAlias = (
    ItemRecorded
    | ItemRefused
    | ItemDeleted
    | ItemTruncated
    | Transcribed
    | ReplyAsked
    | ReplySettled
    | AsksCarried
    | CallsBegan
    | CallSettled
    | CallsInterrupted
    | CallsEnded
    | SessionConfirmed
    | SettingsChanged
    | TokensUsed
    | TranscriptionUsed
)


class SessionLog(Protocol):
    """Append-only memory of one session, safe to use from the threads of successive incarnations."""

    def append(self, entry: Entry, /) -> None:
        """Add one entry; it is durable as far as this log is when the call returns."""
        ...

    def read(self) -> Sequence[Entry]:
        """Return all entries, oldest first."""
        ...


@runtime_checkable
class ClaimedLog(SessionLog, Protocol):
    """A log that other processes can open as well, and that keeps them from having the same session at the same time."""

    def claim(self) -> None:
        """Have the session to oneself, until `release` or the end of the process.

        Raises:
            SessionInUse: somebody else has it.
            SessionLogError: that cannot be told.
        """
        ...

    def release(self) -> None:
        """Leave the session to others. Never raises."""
        ...


class SessionLogs(Protocol):
    """Where the logs of a broker's sessions are kept."""

    def open(self, session_id: str, /) -> SessionLog:
        """Return the log of one session, new or not."""
        ...

    def sessions(self) -> Sequence[str]:
        """Return the ids of the sessions that could be resumed."""
        ...


class MemorySessionLogs:
    """The default: nothing outlives a session, so there is nothing to resume."""

    def open(self, session_id: str, /) -> SessionLog:
        """Return a new log."""
        return MemorySessionLog()

    def sessions(self) -> Sequence[str]:
        """Return nothing."""
        return ()


class MemorySessionLog:
    """A list. It lives as long as its session."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def append(self, entry: Entry, /) -> None:
        """Add one entry."""
        self._entries.append(entry)

    def read(self) -> Sequence[Entry]:
        """Return a copy of all entries, oldest first."""
        return tuple(self._entries)
