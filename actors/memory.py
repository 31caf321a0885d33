"""What a session log amounts to: all that the next incarnation of a session has to know. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..gateway.client_events import ResponseParams
from ..gateway.wire_types import Item
from .history import History
from .session_log import (
    AsksCarried,
    CallsBegan,
    CallsEnded,
    CallSettled,
    CallsInterrupted,
    Entry,
    ReplyAsked,
    ReplySettled,
    SessionConfirmed,
    SettingsChanged,
)
from .usage import UsageMeter


@dataclass(slots=True)
class OpenBatch:
    """Calls of one turn whose outputs are not in the conversation yet.

    Attributes:
        calls: items of type ``function_call``, in the model's order.
        outputs: what there is already, by call_id.
        interrupted: the turn was cut off meanwhile.
    """

    calls: tuple[Item, ...]
    outputs: dict[str, CallSettled] = field(default_factory=dict[str, CallSettled])
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of a session.

    Attributes:
        confirmed: the provider has confirmed the session once.
        instructions: those it confirmed last.
        settings: others that were changed at runtime, as far as a log can hold them.
        history: the conversation.
        usage: what it cost so far.
        open_asks: who still waits for a reply.
        params: how these replies are to differ from others.
        carried: who waits for the outputs of an open batch, by its turn.
        batches: the tool calls that are not submitted, by turn.
    """

    confirmed: bool = False
    instructions: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    history: History = field(default_factory=History)
    usage: UsageMeter = field(default_factory=UsageMeter)
    open_asks: tuple[str, ...] = ()
    params: Mapping[str, ResponseParams] = field(default_factory=dict[str, ResponseParams])
    carried: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    batches: Mapping[str, OpenBatch] = field(default_factory=dict[str, OpenBatch])


class _Recollection:
    """Folds a log, entry by entry."""

    def __init__(self) -> None:
        self._confirmed = False
        self._instructions: str | None = None
        self._history = History()
        self._usage = UsageMeter()
        self._settings: dict[str, Any] = {}
        self._params: dict[str, ResponseParams] = {}
        self._asks: dict[str, str | None] = {}  # ask id -> the turn whose tools it waits for
        self._batches: dict[str, OpenBatch] = {}

    def apply(self, entry: Entry) -> None:
        self._history.apply(entry)
        self._usage.apply(entry)
        match entry:
            case ReplyAsked(ask_id, params):
                self._asks[ask_id] = None
                if params is not None:
                    self._params[ask_id] = params
            case AsksCarried(turn_id, ask_ids):
                self._asks.update({ask_id: turn_id for ask_id in ask_ids if ask_id in self._asks})
            case ReplySettled(ask_ids):
                for ask_id in ask_ids:
                    self._asks.pop(ask_id, None)
                    self._params.pop(ask_id, None)
            case SessionConfirmed(text):
                self._confirmed, self._instructions = True, text
            case SettingsChanged(settings, others):
                self._settings.update(settings)
                for name in others:
                    self._settings.pop(name, None)
            case _:
                self._apply_to_batches(entry)

    def _apply_to_batches(self, entry: Entry) -> None:
        match entry:
            case CallsBegan(turn_id, calls):
                self._batches[turn_id] = OpenBatch(calls)
            case CallSettled(turn_id, call_id):
                if turn_id in self._batches:
                    self._batches[turn_id].outputs[call_id] = entry
            case CallsInterrupted(turn_id):
                if turn_id in self._batches:
                    self._batches[turn_id].interrupted = True
            case CallsEnded(turn_id):
                self._batches.pop(turn_id, None)
            case _:
                pass

    def memory(self) -> Memory:
        carried: dict[str, tuple[str, ...]] = {}
        for ask_id, turn_id in self._asks.items():
            if turn_id in self._batches:
                carried[turn_id] = (*carried.get(turn_id, ()), ask_id)
        open_asks = tuple(ask_id for ask_id, turn_id in self._asks.items() if turn_id not in self._batches)
        return Memory(
            self._confirmed,
            self._instructions,
            self._settings,
            self._history,
            self._usage,
            open_asks,
            {ask_id: self._params[ask_id] for ask_id in open_asks if ask_id in self._params},
            carried,
            self._batches,
        )


def recall(entries: Iterable[Entry]) -> Memory:
    """Fold a log into what the next incarnation must know."""
    recollection = _Recollection()
    for entry in entries:
        recollection.apply(entry)
    return recollection.memory()
