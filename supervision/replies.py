"""Answers: how an envelope's asker is told, now or later. Owns no thread."""

from __future__ import annotations

import queue
from typing import Any

import pykka
from pykka import messages
from pykka._envelope import Envelope

__all__ = ["Reply", "refuse", "settle"]


def settle(future: pykka.Future[Any], error: BaseException) -> bool:
    """Fail `future` with `error` unless it has its result. Return whether it did."""
    try:
        future.set_exception((type(error), error, error.__traceback__))
    except queue.Full:
        return False
    return True


def refuse(envelope: Envelope[Any], error: BaseException) -> None:
    """Send `error` to the asker; a stop has succeeded; a tell raises nothing here."""
    reply_to = envelope.reply_to
    if reply_to is None:
        return
    if isinstance(envelope.message, messages._ActorStop):
        try:
            reply_to.set(None)
        except queue.Full:
            pass  # answered already
    else:
        settle(reply_to, error)


class Reply:
    """The answer that a handler owes: from `_defer_reply()`. Settled once; later calls do nothing. Any thread may settle it."""

    __slots__ = ("_envelope", "_future", "_open")

    def __init__(self, still_open: set[Reply], envelope: Envelope[Any] | None) -> None:
        self._open = still_open
        self._envelope = envelope
        self._future = None if envelope is None else envelope.reply_to

    def set(self, value: Any = None) -> bool:
        """Answer with `value`. Return whether it was the first answer (False also if nobody waits for one: a tell)."""
        self._open.discard(self)
        try:
            if self._future is not None:
                self._future.set(value)
                return True
        except queue.Full:
            pass  # the actor ended meanwhile, or it is answered already
        return False

    def set_exception(self, error: BaseException) -> bool:
        """Answer with `error`. Return whether it was the first answer."""
        self._open.discard(self)
        return self._future is not None and settle(self._future, error)
