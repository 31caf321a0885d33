"""Where the events of an output item belong. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .ids import Event, Ids

_OBFUSCATION_STEP = 16


@dataclass(slots=True)
class Place:
    """Where the events of an item belong."""

    ids: Ids
    response_id: str
    item_id: str
    output_index: int

    def event(self, type: str, /, **fields: Any) -> Event:
        """Build an event that names this item."""
        return self.ids.event(
            type,
            response_id=self.response_id,
            item_id=self.item_id,
            output_index=self.output_index,
            **fields,
        )


def obfuscation(ids: Ids, delta: str) -> str:
    """Return letters that pad an event, as the service does: its size must not give the text away."""
    return ids.letters(_OBFUSCATION_STEP - len(delta) % _OBFUSCATION_STEP)
