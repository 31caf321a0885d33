"""The life of a session's line: connecting, greeting, up, lost, waiting to try again. Pure.

Numbers are the contract's: backoff from 0.5 s doubling to 8 s with full jitter; given up after 10 attempts or 120 s
without a working line; the count starts anew with the first event of the conversation on a new line. A server that asks to
wait is not bothered before.

Source: the session contract, statements 8 and 13 and section 2 ("Numbers").
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .effects import Effects, OpenLine, StartTimer

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 8.0
MOST_ATTEMPTS = 10
LONGEST_OUTAGE_S = 120.0
OPEN_TIMER = "open"
RETRY_TIMER = "retry"


class Phase(Enum):
    """Where the line is."""

    IDLE = "idle"
    CONNECTING = "connecting"  # a ConnectWorker is at work
    GREETING = "greeting"  # the transport is ours; session.created and session.updated are due
    UP = "up"
    WAITING = "waiting"  # between attempts
    ENDED = "ended"


@dataclass(slots=True)
class LineState:
    """Counts lines and attempts.

    Attributes:
        number: the attempt that the line of now came from, or is to come from; what belongs to an older one is out of date.
        last: the number of the last attempt of this incarnation.
        failures: attempts in a row that led to no conversation.
        outage_s: how long there was no line since the conversation last went on, this outage left out.
    """

    timeout_s: float
    phase: Phase = Phase.IDLE
    number: int = 0
    failures: int = 0
    last: int = 0
    down_since: float | None = None
    outage_s: float = 0.0

    def open(self, now: float) -> Effects:
        """Try to open a line."""
        self.number = self.take_number()
        self.phase = Phase.CONNECTING
        self._note_outage(now)
        return [OpenLine(self.number, self.timeout_s), StartTimer(OPEN_TIMER, self.timeout_s)]

    def take_number(self) -> int:
        """Return a number for another attempt."""
        self.last += 1
        return self.last

    def is_up(self, now: float) -> None:
        """The line serves, but that anything comes of it is still to be seen."""
        self.phase = Phase.UP
        if self.down_since is not None:
            self.outage_s += now - self.down_since
            self.down_since = None

    def works(self) -> None:
        """The conversation goes on over this line: failures before it no longer count."""
        self.failures = 0
        self.outage_s = 0.0

    def retry(self, now: float, at_least_s: float = 0.0) -> Effects | None:
        """The line is lost. Returns what tries again, or None when that has been tried enough.

        Args:
            now: monotonic seconds.
            at_least_s: how long the server asked to be left alone.
        """
        self.failures += 1
        outage_s = self.outage_s + now - self._note_outage(now)
        if self.failures > MOST_ATTEMPTS or outage_s + at_least_s > LONGEST_OUTAGE_S:
            return None
        self.phase = Phase.WAITING
        delay_s = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** (self.failures - 1))
        return [StartTimer(RETRY_TIMER, delay_s, jitter=True, at_least_s=at_least_s)]

    def _note_outage(self, now: float) -> float:
        if self.down_since is None:
            self.down_since = now
        return self.down_since
