"""When to ping, when a silent line is dead, when a socket that takes nothing is. Pure: time and counters come in."""

from enum import Enum, auto
from math import inf

__all__ = ["Keepalive", "Stall", "Verdict"]


class Verdict(Enum):
    """What a look at the clock leads to."""

    WAIT = auto()
    PING = auto()
    DEAD = auto()


class Keepalive:
    """Pings every `interval_s`; a line is dead when nothing at all was heard for `timeout_s` after a ping.

    Any received byte counts, not the pong alone: a pong waits in order behind everything the server sent before it,
    and a line that delivers is not to be killed because its owner reads slowly.
    """

    __slots__ = ("_interval_s", "_next_ping", "_pinged_at", "_reads_then", "_timeout_s")

    def __init__(self, interval_s: float, timeout_s: float) -> None:
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._next_ping: float | None = None
        self._pinged_at: float | None = None
        self._reads_then = 0

    def look(self, now: float, reads: int) -> tuple[Verdict, float]:
        """Judge the line.

        Args:
            now: Monotonic seconds.
            reads: How many reads have given data so far.

        Returns:
            The verdict, and when to look again.
        """
        if self._next_ping is None:
            self._next_ping = now + self._interval_s
        if self._pinged_at is not None and reads != self._reads_then:
            self._pinged_at = None
        if self._pinged_at is not None:
            dead_at = self._pinged_at + self._timeout_s
            return (Verdict.DEAD if now >= dead_at else Verdict.WAIT), dead_at
        if now < self._next_ping:
            return Verdict.WAIT, self._next_ping
        self._pinged_at, self._reads_then = now, reads
        self._next_ping = now + self._interval_s
        return Verdict.PING, min(self._next_ping, now + self._timeout_s)


class Stall:
    """A socket is dead when bytes wait and it has taken none of them for `timeout_s`."""

    __slots__ = ("_since", "_timeout_s", "_written_then")

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._since: float | None = None
        self._written_then = 0

    def look(self, now: float, waiting: bool, written: int) -> tuple[Verdict, float]:
        """Judge the socket.

        Args:
            now: Monotonic seconds.
            waiting: Whether bytes wait to be written.
            written: How many bytes the socket has taken so far.

        Returns:
            The verdict, and when to look again.
        """
        if not waiting:
            self._since = None
            return Verdict.WAIT, inf
        if self._since is None or written != self._written_then:
            self._since, self._written_then = now, written
        dead_at = self._since + self._timeout_s
        return (Verdict.DEAD if now >= dead_at else Verdict.WAIT), dead_at
