"""The session's line: opened, greeted, lost and opened again, or given up. Pure.

What is said over the line is none of its business: it tells those who ride on it when it is up and when it is gone.

Source: the session contract, statements 8 and 13; DESIGN section 2 ("Connecting").
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from ..gateway import codes
from ..gateway import server_events as wire
from ..gateway.client_events import ClientEvent, SessionUpdate
from ..gateway.config import Config
from ..gateway.errors import (
    ConnectError,
    ConnectTimeout,
    GatewayError,
    HandshakeRefused,
    LineClosed,
    ServerError,
)
from ..gateway.server_events import ServerEvent
from ..gateway.wire_types import ErrorDetail, SessionInfo
from .dialect import Dialect, identified
from .effects import (
    NOTHING,
    DropLine,
    Effect,
    Effects,
    Finish,
    LeaveLine,
    Record,
    Resolve,
    Send,
    StartTimer,
    StopTimer,
    SwitchLine,
)
from .events import Error, SessionOpened, SessionUpdated
from .line_state import OPEN_TIMER, RETRY_TIMER, LineState, Phase
from .rollover import Rollover, Successor
from .session_log import SessionConfirmed

_NO_PROGRESS = (wire.Error, wire.SessionCreated, wire.SessionUpdated)
REFUSED_TIMER = "refused"
REFUSED_GRACE_S = 1.0  # between an error that ends the session and the CLOSE that follows it
WARNING_S = 10.0  # a CLOSE that comes later than this is not about the error before it


@dataclass(frozen=True, slots=True)
class Riders:
    """Those who ride on the line.

    Attributes:
        config: returns the effective configuration, which a new line is greeted with.
        up: the session is configured on the line of this number.
        moves: it leaves its line for the one of this number, at this time. Returns what ends with the old line, and what follows
            on the new one.
        down: the line that was up is lost; it may come back.
        over: the session ends.
    """

    config: Callable[[], Config]
    up: Callable[[int], Effects]
    moves: Callable[[int, float], tuple[Effects, Effects]]
    down: Callable[[], Effects]
    over: Callable[[], Effects]


class LineKeeper:
    """Keeps one session on a line.

    Args:
        session_id: ours.
        riders: who is told of the line.
        dialect: how the provider wants the configuration.
        new_id: makes a unique id from a prefix.
        confirmed: the provider has confirmed the session once, to an earlier incarnation.
        restarts: how often the session's actor was restarted.
        epoch_s: what to add to the session's clock to get Unix time.

    Attributes:
        rollover: keeps the line that is to follow.
    """

    def __init__(
        self,
        session_id: str,
        riders: Riders,
        dialect: Dialect,
        new_id: Callable[[str], str],
        *,
        confirmed: bool,
        restarts: int,
        epoch_s: float = 0.0,
    ) -> None:
        self._session_id = session_id
        self._riders = riders
        self._dialect = dialect
        self._new_id = new_id
        self._confirmed = confirmed
        self._restarts = restarts
        self._may_retry = confirmed and restarts > 0
        config = riders.config()
        self._lines = LineState(config.connect_timeout_s)
        self.rollover = Rollover(
            config.rollover_margin_s,
            config.session_max_age_s,
            config.connect_timeout_s,
            config.response_timeout_s,
            epoch_s,
            self._greet_next,
            self._lines.take_number,
        )
        self._created: SessionInfo | None = None
        self._greeting_id = ""
        self._refusal: ErrorDetail | None = None
        self._warned_at = 0.0
        self._waiting_for_open: list[int] = []
        self._timers: dict[Hashable, Callable[[float], Effects]] = {
            OPEN_TIMER: self._open_timed_out,
            RETRY_TIMER: self._lines.open,
            REFUSED_TIMER: self._refusal_due,
        }

    @property
    def phase(self) -> Phase:
        """Where the line is."""
        return self._lines.phase

    @property
    def lines(self) -> LineState:
        """The count of lines and failures, which changes in place."""
        return self._lines

    @property
    def up(self) -> bool:
        """Whether the session is configured on a line."""
        return self._lines.phase is Phase.UP

    # -- inputs

    def start(self, now: float) -> Effects:
        """Open a line."""
        return self._lines.open(now)

    def connected(self, attempt: int) -> tuple[bool, Effects]:
        """A line is open. Returns whether it is taken (else it came too late and must be closed), and effects."""
        if attempt == self.rollover.attempt:
            return self.rollover.connected(attempt)
        if attempt != self._lines.number or self._lines.phase is not Phase.CONNECTING:
            return False, NOTHING
        self._lines.phase = Phase.GREETING
        self._created = self._refusal = None
        self._greeting_id = self._new_id("event")
        return True, [Send(self._update(self._riders.config(), self._greeting_id))]

    def connect_failed(self, attempt: int, error: Exception, now: float) -> Effects:
        """The ConnectWorker came back without a line."""
        if attempt == self.rollover.attempt:
            return self.rollover.connect_failed(error)
        if attempt != self._lines.number or self._lines.phase is not Phase.CONNECTING:
            return NOTHING
        return self._lost(error, now)

    def lost(self, error: LineClosed, now: float) -> Effects:
        """The transport ended."""
        if self._lines.phase not in (Phase.GREETING, Phase.UP):
            return NOTHING
        refusal = self._refusal
        if refusal is None or (self.up and now - self._warned_at > WARNING_S):
            return self._lost(error if self._may_retry else _never_opened(error), now)
        return self._lost_to(refusal, error.close_code, now)

    # -- the line that is to follow

    def move(self, now: float) -> Effects:
        """Leave the line for the one that follows it."""
        successor = self.rollover.successor
        if not self.up or successor is None:
            return NOTHING
        self._lines.number = successor.attempt
        self._refusal = None
        ended, begins = self._riders.moves(successor.attempt, now)
        serves = self._serves(successor.session, now, rolled_over=True)
        return [*ended, SwitchLine(), *serves, *begins, LeaveLine()]

    def _take_over(self, successor: Successor, now: float) -> Effects:
        """The line is lost, and the one that was to follow serves."""
        self._lines.number = successor.attempt
        self._lines.is_up(now)
        serves = self._serves(successor.session, now, resumed=True)
        return [SwitchLine(), *serves, *self._riders.up(successor.attempt)]

    def _serves(
        self, created: SessionInfo, now: float, *, resumed: bool = False, rolled_over: bool = False
    ) -> Effects:
        """Tell the subscribers of the line that serves from now on, and have it followed in time."""
        opened = SessionOpened(self._session_id, created.id or None, created.model, created.expires_at)
        instructions = self._riders.config().instructions
        told = SessionUpdated(instructions, resumed=resumed, rolled_over=rolled_over, restarts=self._restarts)
        return [opened, told, *self.rollover.born(created, now)]

    def _greet_next(self) -> ClientEvent:
        return self._update(self._riders.config(), self._new_id("event"))

    def _update(self, config: Config, event_id: str) -> SessionUpdate:
        return identified(self._dialect.session_update(config), event_id)

    # -- time

    def timer(self, key: Hashable, now: float) -> Effects:
        """One of the line's timers is due; any other is none of its business."""
        handler = self._timers.get(key)
        if handler is not None:
            return handler(now)
        return self.rollover.timer(key) if self.up else NOTHING

    def _refusal_due(self, now: float) -> Effects:
        refusal = self._refusal
        return self._lost_to(refusal, None, now) if refusal is not None else NOTHING

    def _open_timed_out(self, now: float) -> Effects:
        if self._lines.phase not in (Phase.CONNECTING, Phase.GREETING):
            return NOTHING
        connecting = self._lines.phase is Phase.CONNECTING
        where = "the upgrade" if connecting else "session.created and session.updated"
        error = ConnectTimeout(f"no line within {self._lines.timeout_s} s: waited for {where}")
        return self._lost(error, now)

    # -- what the server says

    def created(self, event: wire.SessionCreated, _now: float) -> Effects:
        """The provider greets."""
        self._created = event.session
        return NOTHING

    def greeted(self, updated: SessionInfo, now: float) -> Effects:
        """The provider confirms the configuration that the line began with: the line is up."""
        created = self._created or updated
        self._lines.is_up(now)
        self._refusal = None
        resumed, self._confirmed, self._may_retry = self._confirmed, True, True
        if not resumed:
            self._lines.works()
        confirmed = Record(SessionConfirmed(self._riders.config().instructions))
        serves = self._serves(created, now, resumed=resumed)
        waiting = [Resolve(token, True) for token in self._waiting_for_open]
        self._waiting_for_open.clear()
        return [StopTimer(OPEN_TIMER), confirmed, *serves, *self._riders.up(self._lines.number), *waiting]

    def refused(self, detail: ErrorDetail, now: float) -> Effects:
        """The provider answers the greeting with an error."""
        self._refusal = detail
        if detail.event_id == self._greeting_id:
            return self._lost(ServerError.from_detail(detail), now)  # it is the configuration it refuses
        return [StartTimer(REFUSED_TIMER, REFUSED_GRACE_S)]

    def warned(self, detail: ErrorDetail, now: float) -> Effects:
        """An error on a line that is up: if it says that the session cannot go on, the CLOSE that follows is about this."""
        expired = detail.code == codes.SESSION_EXPIRED
        if not expired and codes.is_recoverable_error(detail.code, detail.type):
            return NOTHING
        self._refusal, self._warned_at = detail, now
        # Others refuse one request, it may be. On an expired session nothing is answered any more, CLOSE or no CLOSE.
        return [StartTimer(REFUSED_TIMER, REFUSED_GRACE_S)] if expired else NOTHING

    def progress(self, event: ServerEvent) -> None:
        """Something came of an event: the first such sign of the conversation itself renews the retry budget."""
        if self._lines.failures and self.up and not isinstance(event, _NO_PROGRESS):
            self._lines.works()

    def await_open(self, token: int | None) -> Effects:
        """Answer with True when the line is up."""
        if token is None:
            return NOTHING
        if self.up:
            return [Resolve(token, True)]
        self._waiting_for_open.append(token)
        return NOTHING

    # -- the end of a line

    def _lost_to(self, refusal: ErrorDetail, close_code: int | None, now: float) -> Effects:
        """The line ended for what the server had said, which subscribers have heard if the line was up."""
        told = self.up and not codes.is_recoverable_error(refusal.code, refusal.type)
        return self._lost(_refused(refusal, close_code), now, told=told)

    def _lost(self, error: Exception, now: float, *, told: bool = False) -> Effects:
        """The attempt failed or the line ended: go on over the line that follows, try again, or end the session.

        ``told``: subscribers know of the error, and that there is no cure.
        """
        was_up = self.up
        effects: list[Effect] = [
            StopTimer(OPEN_TIMER),
            StopTimer(REFUSED_TIMER),
            DropLine(self._lines.number),
        ]
        self._refusal = None
        self._lines.phase = Phase.WAITING
        if was_up:
            effects += self._riders.down()
        if isinstance(error, LineClosed) and error.close_code == 1000 and not error.recoverable:
            return [*effects, *self._finish(Finish("server", "1000", error.reason or None, error))]
        recoverable = isinstance(error, GatewayError) and error.recoverable
        wait_s = (error.retry_after_s if isinstance(error, ConnectError) else None) or 0.0
        retry = self._lines.retry(now, wait_s) if recoverable and self._may_retry else None
        code = (error.code if isinstance(error, GatewayError) else None) or codes.CONNECTION_LOST
        if retry is None:
            ended = [] if told else [Error(code, str(error), recoverable=False)]
            return [*effects, *ended, *self._finish(Finish("error", code, str(error), error))]
        if was_up:
            effects.append(Error(codes.CONNECTION_LOST, str(error), recoverable=True))
        if self.rollover.successor is not None:
            return [*effects, *self._take_over(self.rollover.successor, now)]
        return [*effects, *self.rollover.ended(), *retry]

    def _finish(self, finish: Finish) -> Effects:
        self._lines.phase = Phase.ENDED
        return [*self.rollover.ended(), *self._riders.over(), finish]


def _refused(detail: ErrorDetail, close_code: int | None) -> HandshakeRefused:
    return HandshakeRefused(
        detail.message or f"the provider refused the session: {detail.code or detail.type}",
        code=detail.code,
        close_code=close_code,
        recoverable=_may_come_back(detail, close_code),
    )


def _never_opened(error: LineClosed) -> HandshakeRefused:
    """Return what whoever connects is told of a line that ended before the session was confirmed."""
    return HandshakeRefused(
        error.message, code=error.code, close_code=error.close_code, recoverable=error.recoverable
    )


def _may_come_back(detail: ErrorDetail, close_code: int | None) -> bool:
    # A CLOSE that is fatal by itself stays so, whatever was said before; 1000 says nothing of its own.
    fatal_close = close_code not in (None, 1000) and not codes.is_recoverable_close(close_code)
    return codes.is_recoverable_error(detail.code, detail.type) and not fatal_close
