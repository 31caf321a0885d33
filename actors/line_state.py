"""The life of a session's line: connecting, greeting, up, lost, waiting to try again. Pure.

Numbers are the contract's: backoff from 0.5 s doubling to 8 s with full jitter; given up after 10 attempts or 120 s
without a working line; the count starts anew with the first event of the conversation on a new line.

Source: the session contract, statements 8 and 13 and section 2 ("Numbers").
"""

from __future__ import annotations

from dataclasses import dataclass, field
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
        number: counts attempts of this incarnation; what belongs to an older one is out of date.
        failures: attempts in a row that led to no conversation.
    """

    timeout_s: float
    phase: Phase = Phase.IDLE
    number: int = 0
    failures: int = 0
    down_since: float | None = field(default=None)

    def open(self, now: float) -> Effects:
        """Try to open a line."""
        self.number += 1
        self.phase = Phase.CONNECTING
        if self.down_since is None:
            self.down_since = now
        return [OpenLine(self.number, self.timeout_s), StartTimer(OPEN_TIMER, self.timeout_s)]

    def works(self) -> None:
        """The conversation goes on over this line: failures before it no longer count."""
        self.failures = 0
        self.down_since = None

    def retry(self, now: float) -> Effects | None:
        """The line is lost. Returns what tries again, or None when that has been tried enough."""
        self.failures += 1
        if self.down_since is None:
            self.down_since = now
        if self.failures > MOST_ATTEMPTS or now - self.down_since > LONGEST_OUTAGE_S:
            return None
        self.phase = Phase.WAITING
        delay_s = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** (self.failures - 1))
        return [StartTimer(RETRY_TIMER, delay_s, jitter=True)]
