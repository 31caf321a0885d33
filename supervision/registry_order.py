"""The order of pykka's ActorRegistry: supervisors stay younger than their children. Owns no thread."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pykka

__all__ = ["keep_youngest"]


def keep_youngest(supervisors: Iterable[pykka.ActorRef[Any]]) -> None:
    """Move these to the young end of the registry, in this order: the root last.

    `ActorRegistry.stop_all()` stops the youngest first. A supervisor that is older than its child would see the child
    stopped, and restart it, and the new child would survive: stopped first, it takes its tree down in order. The list
    and its lock are protected; unregister and register are the public way, but leave a moment in which the supervisor
    is not registered.
    """
    registry = pykka.ActorRegistry
    with registry._actor_refs_lock:
        refs = registry._actor_refs
        for supervisor in supervisors:
            if supervisor in refs:
                refs.remove(supervisor)
                refs.append(supervisor)
