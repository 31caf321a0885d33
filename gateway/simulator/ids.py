"""Identifiers that look like the service's own: a prefix and 21 letters and digits. Pure: the randomness is given."""

from __future__ import annotations

import string
from random import Random
from typing import Any

Event = dict[str, Any]
"""One wire event as plain JSON: the simulator shares no codec with the client it is tested against."""

_ALPHABET = string.ascii_letters + string.digits


class Ids:
    """Make fresh identifiers.

    Args:
        random: Where the letters come from; a seeded one makes a session reproducible.
    """

    __slots__ = ("_random",)

    def __init__(self, random: Random) -> None:
        self._random = random

    def fresh(self, prefix: str, length: int = 21) -> str:
        """Return an identifier such as `item_Ck3...`; `length` letters follow the prefix."""
        return f"{prefix}_{self.letters(length)}"

    def letters(self, length: int) -> str:
        """Return `length` random letters and digits."""
        return "".join(self._random.choices(_ALPHABET, k=length))

    def event(self, type: str, /, **fields: Any) -> Event:
        """Build a server event of `type` with an `event_id` of its own."""
        return {"type": type, "event_id": self.fresh("event"), **fields}
