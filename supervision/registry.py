"""Names of actors: unique in their Registry, and free as soon as their owner is down. Owns a lock; nothing of it is global."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pykka

from .errors import ActorDown, AlreadyRegistered
from .mailbox import Mailbox
from .monitor import Monitor, watch
from .reasons import NOPROC, ExitReason
from .stable_ref import StableRef

__all__ = ["Registry"]


@dataclass(slots=True, eq=False)
class _Entry:
    ref: pykka.ActorRef[Any]
    monitor: Monitor | None = None

    @property
    def is_free(self) -> bool:
        """Whether the owner is down: known here at the very moment of its end, before anybody can have been told of it."""
        if isinstance(self.ref, StableRef):
            return self.ref.state == "stopped"
        mailbox = self.ref.actor_inbox
        return isinstance(mailbox, Mailbox) and mailbox.reason is not None


class Registry:
    """Actors by name, one per name. A plain object: whoever is to know the names is given it. Any thread may use it.

    A name belongs to one actor until that is down (or `unregister`), and is free before anybody learns of the end: before
    its askers get `ActorDown`, before a `Down`, before its supervisor restarts it. `ChildSpec(register=(registry, name))`
    registers each incarnation of a child.

    Source: erlang:register/2 and Elixir's Registry (keys: :unique); unlike Elixir's, a name never outlives its owner's Down.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[Hashable, _Entry] = {}

    def register(self, name: Hashable, ref: pykka.ActorRef[Any]) -> None:
        """Give `name` to the actor; an actor may have several.

        Raises:
            AlreadyRegistered: it belongs to another actor, or to this one already; luck, or the caller's fault.
            ActorDown: the actor is down.
            TypeError: a plain pykka actor, whose end nobody can watch.
        """
        entry = _Entry(ref)
        with self._lock:
            known = self._entries.get(name)
            if known is not None and not known.is_free:
                raise AlreadyRegistered(name, known.ref)
            self._entries[name] = entry
        try:
            entry.monitor = watch(ref, partial(self._forget, name, entry))
        except BaseException:
            self._forget(name, entry)
            raise
        if entry.is_free:
            raise ActorDown(NOPROC)

    def unregister(self, name: Hashable) -> bool:
        """Free `name`. Return whether it was somebody's."""
        with self._lock:
            entry = self._entries.pop(name, None)
        if entry is None:
            return False
        if entry.monitor is not None:
            entry.monitor.cancel()
        return not entry.is_free

    def whereis(self, name: Hashable) -> pykka.ActorRef[Any] | None:
        """Return the actor that `name` belongs to; None if it is free."""
        entry = self._entries.get(name)
        return None if entry is None or entry.is_free else entry.ref

    def ref(self, name: Hashable) -> pykka.ActorRef[Any]:
        """Return the actor that `name` belongs to: `call(registry.ref("clock"), message)`.

        Raises:
            ActorDown: the name is free; the reason is NOPROC.
        """
        found = self.whereis(name)
        if found is None:
            raise ActorDown(NOPROC)
        return found

    def names(self) -> list[Hashable]:
        """Return the names that are taken, the oldest first."""
        with self._lock:
            entries = list(self._entries.items())
        return [name for name, entry in entries if not entry.is_free]

    def _forget(self, name: Hashable, entry: _Entry, _: ExitReason = NOPROC) -> None:
        with self._lock:
            if self._entries.get(name) is entry:  # else it has a new owner already
                del self._entries[name]
