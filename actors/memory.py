"""What a session log amounts to: all that the next incarnation of a session has to know. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .history import History
from .session_log import Entry, ReplyAsked, ReplySettled, SessionConfirmed
from .usage import UsageMeter


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of a session.

    Attributes:
        confirmed: the provider has confirmed the session once.
        instructions: those it confirmed last.
        history: the conversation.
        usage: what it cost so far.
        open_asks: who still waits for a reply.
    """

    confirmed: bool = False
    instructions: str | None = None
    history: History = field(default_factory=History)
    usage: UsageMeter = field(default_factory=UsageMeter)
    open_asks: tuple[str, ...] = ()


def recall(entries: Iterable[Entry]) -> Memory:
    """Fold a log into what the next incarnation must know."""
    confirmed, instructions = False, None
    history, usage = History(), UsageMeter()
    asks: dict[str, None] = {}
    for entry in entries:
        history.apply(entry)
        usage.apply(entry)
        match entry:
            case ReplyAsked(ask_id):
                asks[ask_id] = None
            case ReplySettled(ask_ids):
                for ask_id in ask_ids:
                    asks.pop(ask_id, None)
            case SessionConfirmed(text):
                confirmed, instructions = True, text
            case _:
                pass
    return Memory(confirmed, instructions, history, usage, tuple(asks))
