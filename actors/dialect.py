"""How a provider wants its session described: the part of a Gateway that the pure core needs. Pure."""

from __future__ import annotations

from typing import Protocol

import msgspec

from ..gateway.client_events import SessionUpdate
from ..gateway.config import Config


class Dialect(Protocol):
    """Encodes a vendor-neutral configuration; every :class:`trunkline.gateway.Gateway` is one."""

    def session_update(self, config: Config) -> SessionUpdate:
        """Return the event that configures a session in full."""
        ...


def identified(update: SessionUpdate, event_id: str) -> SessionUpdate:
    """Return the event with an id, so that a refusal can be told to whoever caused it."""
    return msgspec.structs.replace(update, event_id=event_id)
