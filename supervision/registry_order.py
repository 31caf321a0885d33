"""The order of pykka's ActorRegistry: supervisors stay younger than their children. Owns no thread.

The registry is a list that pykka searches from its old end, twice for each actor that ends. The list and its lock are
protected; `unregister` and `register` are the public way to move an actor, but leave a moment in which it is not registered.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pykka

__all__ = ["keep_youngest", "make_oldest", "search_from_young_end"]


def keep_youngest(supervisors: Iterable[pykka.ActorRef[Any]]) -> None:
    """Move these to the young end of the registry, in this order: the root last.

    `ActorRegistry.stop_all()` stops the youngest first. A supervisor that is older than its child would see the child
    stopped, and restart it, and the new child would survive: stopped first, it takes its tree down in order.
    """
    registry = pykka.ActorRegistry
    with registry._actor_refs_lock:
        refs = registry._actor_refs
        for supervisor in supervisors:
            if (place := search_from_young_end(refs, supervisor)) is not None:
                del refs[place]
                refs.append(supervisor)


def make_oldest(children: Collection[pykka.ActorRef[Any]]) -> None:
    """Move children that are about to end, all of them, to the old end of the registry, in this order.

    There pykka finds each at once, so that the end of thousands costs one pass here instead of one per child. Who is
    not registered is left alone. For `stop_all()` nothing changes: their supervisor is younger still.
    """
    registry = pykka.ActorRegistry
    leaving = set(children)
    with registry._actor_refs_lock:
        refs = registry._actor_refs
        registered = leaving.intersection(refs)
        refs[:] = [
            *(ref for ref in children if ref in registered),
            *(ref for ref in refs if ref not in registered),
        ]


def search_from_young_end(refs: list[pykka.ActorRef[Any]], supervisor: pykka.ActorRef[Any]) -> int | None:
    """Return where in `refs` the supervisor is."""
    # It was moved there when its last child was started: whoever is younger was started since, in another tree.
    for place in range(len(refs) - 1, -1, -1):
        if refs[place] is supervisor:
            return place
    return None
