"""Who is connected to a simulator, and how many were. Owns a lock; any thread may ask and wait."""

from __future__ import annotations

import threading

from .connection import Connection


class Clients:
    """The connections of a simulator whose upgrade was accepted."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._n_accepted = 0
        self._live: dict[int, Connection] = {}

    def __len__(self) -> int:
        return len(self._live)

    @property
    def n_accepted(self) -> int:
        """How many there were so far, those that are gone included."""
        return self._n_accepted

    def next_number(self) -> int:
        """Count one more and return its number, from 1."""
        self._n_accepted += 1
        return self._n_accepted

    def add(self, connection: Connection) -> None:
        """Note a connection that is served from now on."""
        with self._changed:
            self._live[connection.number] = connection
            self._changed.notify_all()

    def discard(self, connection: Connection) -> None:
        """Note the end of a connection."""
        with self._changed:
            self._live.pop(connection.number, None)
            self._changed.notify_all()

    def live(self) -> list[Connection]:
        """Return those that are connected, the oldest first."""
        with self._changed:
            return list(self._live.values())

    def wait(self, count: int, timeout_s: float) -> None:
        """Block until exactly `count` are connected.

        Raises:
            TimeoutError: It did not come to that within `timeout_s`.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._live) == count, timeout_s):
                raise TimeoutError(
                    f"waited {timeout_s} s for {count} connections; there are {len(self._live)}"
                )
