"""When a session moves to a new line before its provider ends the old one. Pure; time comes in.

A line of age `expires_at - margin` gets a successor: opened and greeted while the old one still serves. The session moves at the
first idle moment after that, and at the latest when half of the margin is left; if the old line is lost meanwhile, at once. Only
what the user has just said is then waited for, within a bound, until it is transcribed: else the new line could not hear of it. An
attempt that fails is made again and harms nobody; if none succeeds, the provider ends the line, and it is opened anew as any line
that is lost.

Source: the session contract, statement 9; server event ``session.created`` (``expires_at``).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import Enum

from ..gateway import server_events as wire
from ..gateway.client_events import ClientEvent
from ..gateway.errors import ConnectError, ConnectTimeout, GatewayError, LineClosed, ServerError
from ..gateway.server_events import ServerEvent
from ..gateway.wire_types import SessionInfo
from .effects import NOTHING, DropLine, Effect, Effects, OpenLine, SendToNext, StartTimer, StopTimer
from .events import Error
from .line_state import FIRST_DELAY_S, LONGEST_DELAY_S

DUE_TIMER = "rollover"
LIMIT_TIMER = "rollover_limit"
WORDS_TIMER = "rollover_words"
OPEN_TIMER = "rollover_open"


class Stage(Enum):
    """How far the successor is."""

    NONE = "none"  # the line is young, or an attempt failed and the next one waits
    CONNECTING = "connecting"
    GREETING = "greeting"  # the provider has yet to confirm what the session is
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Successor:
    """A line that can take over: the attempt that led to it, and what the provider said of it."""

    attempt: int
    session: SessionInfo


class Rollover:
    """Keeps one line's successor.

    Args:
        margin_s: how long before its end a line is left; None or 0: never.
        max_age_s: how old a line may get, unless the provider says less; None: as old as the provider says.
        timeout_s: how long an attempt may take.
        words_s: how long an overdue line may still transcribe what the user said; less if the margin is short.
        epoch_s: what to add to the session's clock to get Unix time.
        greeting: makes the event that configures a new line.
        number: counts the session's attempts to connect.

    Attributes:
        attempt: the number of the one that is being made, or has led to a line that waits.
        successor: that line, once it can take over.
        near: it was time to make one, and the line still serves.
        overdue: it has to go, idle or not, once it has transcribed what the user said.
        pressing: it has to go at once.
    """

    def __init__(
        self,
        margin_s: float | None,
        max_age_s: float | None,
        timeout_s: float,
        words_s: float,
        epoch_s: float,
        greeting: Callable[[], ClientEvent],
        number: Callable[[], int],
    ) -> None:
        self._margin_s = margin_s or 0.0
        self._max_age_s = max_age_s
        self._timeout_s = timeout_s
        self._most_words_s = self._words_s = words_s
        self._epoch_s = epoch_s
        self._greeting = greeting
        self._number = number
        self._stage = Stage.NONE
        self._unconfirmed = 0  # greetings
        self._longest_delay_s = LONGEST_DELAY_S
        self._failures = 0
        self.attempt: int | None = None
        self._created: SessionInfo | None = None
        self.successor: Successor | None = None
        self.near = False
        self.overdue = False
        self.pressing = False

    # -- the line that serves

    def born(self, session: SessionInfo, now: float) -> Effects:
        """A line serves from now on."""
        self._reset()
        age_s = self._lifetime_s(session, now)
        if not self._margin_s or age_s is None:
            return NOTHING
        margin_s = min(self._margin_s, age_s / 2)  # a short life is not all margin
        self._longest_delay_s = min(LONGEST_DELAY_S, margin_s / 8)
        self._words_s = min(self._most_words_s, margin_s / 8)
        return [StartTimer(DUE_TIMER, age_s - margin_s), StartTimer(LIMIT_TIMER, age_s - margin_s / 2)]

    def ended(self) -> list[Effect]:
        """The line that served is gone, and so is a successor that is not ready: when to try again is the backoff's business."""
        dropped = [] if self.attempt is None else [DropLine(self.attempt)]
        self._reset()
        return [*(StopTimer(key) for key in (DUE_TIMER, LIMIT_TIMER, WORDS_TIMER, OPEN_TIMER)), *dropped]

    def _lifetime_s(self, session: SessionInfo, now: float) -> float | None:
        ages_s = [] if self._max_age_s is None else [self._max_age_s]
        if session.expires_at:
            age_s = float(session.expires_at) - (now + self._epoch_s)
            if age_s > 0.0:
                ages_s.append(age_s)  # else the clocks do not agree, and it says nothing
        return min(ages_s, default=None)

    def _reset(self) -> None:
        self._stage = Stage.NONE
        self.attempt = self._created = self.successor = None
        self.near = self.overdue = self.pressing = False
        self._failures = 0

    # -- the successor

    def timer(self, key: Hashable) -> Effects:
        """One of its timers is due; any other is none of its business."""
        if key == DUE_TIMER:
            return self._due()
        if key == LIMIT_TIMER:
            self.overdue = True
            return [StartTimer(WORDS_TIMER, self._words_s)]
        if key == WORDS_TIMER:
            self.pressing = self.overdue  # else it was the line before that had to go
        return self._timed_out() if key == OPEN_TIMER else NOTHING

    def _due(self) -> Effects:
        self.near = True
        if self._stage is not Stage.NONE:
            return NOTHING
        self._stage = Stage.CONNECTING
        self.attempt = self._number()
        return [OpenLine(self.attempt, self._timeout_s), StartTimer(OPEN_TIMER, self._timeout_s)]

    def _timed_out(self) -> Effects:
        if self._stage not in (Stage.CONNECTING, Stage.GREETING):
            return NOTHING
        return self._failed(ConnectTimeout(f"no second line within {self._timeout_s} s"))

    def connected(self, attempt: int) -> tuple[bool, Effects]:
        """Its line is open. Returns whether it is taken, and effects."""
        if attempt != self.attempt or self._stage is not Stage.CONNECTING:
            return False, NOTHING
        self._unconfirmed = 0
        return True, self._greet()

    def reconfigured(self) -> Effects:
        """The session has another configuration: so must the line that follows."""
        if self._stage not in (Stage.GREETING, Stage.READY):
            return NOTHING
        return [*self._greet(), StartTimer(OPEN_TIMER, self._timeout_s)]

    def receive(self, event: ServerEvent) -> Effects:
        """The server said something on it."""
        match event:
            case wire.SessionCreated(session=session):
                self._created = session
            case wire.SessionUpdated(session=session) if self._stage is Stage.GREETING:
                return self._confirmed(session)
            case wire.Error(error=detail):
                return self._failed(ServerError.from_detail(detail))
            case _:
                pass
        return NOTHING

    def connect_failed(self, error: Exception) -> Effects:
        """The ConnectWorker came back without a line."""
        return self._failed(error) if self._stage is Stage.CONNECTING else NOTHING

    def lost(self, error: LineClosed) -> Effects:
        """It ended before it served."""
        return self._failed(error) if self._stage in (Stage.GREETING, Stage.READY) else NOTHING

    def _failed(self, error: Exception) -> Effects:
        """The attempt led to nothing: try again, unless it would fail again."""
        if self.attempt is None:
            return NOTHING
        dropped = DropLine(self.attempt)
        self._stage = Stage.NONE
        self.attempt = self._created = self.successor = None
        self._failures += 1
        effects: list[Effect] = [StopTimer(OPEN_TIMER), dropped]
        if isinstance(error, GatewayError) and not error.recoverable:
            message = f"no second line, so this one serves until the provider ends it: {error}"
            return [*effects, Error(error.code or "rollover_failed", message, recoverable=True)]
        delay_s = min(self._longest_delay_s, FIRST_DELAY_S * 2.0 ** (self._failures - 1))
        wait_s = (error.retry_after_s if isinstance(error, ConnectError) else None) or 0.0
        return [*effects, StartTimer(DUE_TIMER, delay_s, jitter=True, at_least_s=wait_s)]

    def _greet(self) -> list[Effect]:
        self._stage, self.successor = Stage.GREETING, None
        self._unconfirmed += 1
        return [SendToNext(self._greeting())]

    def _confirmed(self, updated: SessionInfo) -> Effects:
        self._unconfirmed -= 1
        if self._unconfirmed or self.attempt is None:
            return NOTHING
        self._stage = Stage.READY
        self.successor = Successor(self.attempt, self._created or updated)
        return [StopTimer(OPEN_TIMER)]
