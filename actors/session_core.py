"""The session's decisions: what a server event, a command, a timer or a tool's outcome leads to. Pure.

The session actor feeds it and performs the effects it returns, in order. Time and ids come in as arguments, so a table
of inputs is a test, and a crash loses nothing that is in the log. Here: who
hears of what, and the errors; the line is :mod:`trunkline.actors.line_keeper`'s, commands are
:mod:`trunkline.actors.command_desk`'s, what is said is :mod:`trunkline.actors.conversation`'s.

Source: the session contract, statements 8 and 11 to 13; DESIGN sections 1, 2 and 5.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from typing import Any

from ..gateway import codes
from ..gateway import server_events as wire
from ..gateway.config import Config
from ..gateway.errors import LineClosed, ProtocolError, ServerError, redact
from ..gateway.server_events import ServerEvent
from .command_desk import CommandDesk, Toolbox
from .commands import AwaitOpen, SessionCommand
from .config_updates import ConfigUpdates
from .conversation import Conversation
from .dialect import Dialect
from .effects import NOTHING, Effects, Reconfigure
from .events import Error, RateLimited, SessionUpdated
from .input_buffer import InputBuffer
from .line_keeper import LineKeeper, Riders
from .line_state import Phase
from .memory import Memory
from .tool_outcome import ToolOutcome


class SessionCore:
    """One session, whatever line carries it.

    Args:
        session_id: ours.
        config: the effective configuration.
        conversation: what was and is said.
        dialect: how the provider wants the configuration.
        new_id: makes a unique id from a prefix.
        toolbox: what can be run.
        memory: what the log of an earlier incarnation amounts to.
        restarts: how often the session's actor was restarted.
        epoch_s: what to add to the session's clock to get Unix time.
    """

    def __init__(
        self,
        session_id: str,
        config: Config,
        conversation: Conversation,
        dialect: Dialect,
        new_id: Callable[[str], str],
        toolbox: Toolbox,
        *,
        memory: Memory,
        restarts: int = 0,
        epoch_s: float = 0.0,
    ) -> None:
        self._conversation = conversation
        self._toolbox = toolbox
        self._restarts = restarts
        self._open_batches = memory.batches
        self._updates = ConfigUpdates(config, dialect, new_id, self._follow)
        riders = Riders(
            lambda: self._updates.config, self._line_up, self._line_moves, self._line_down, self._over
        )
        self._keeper = LineKeeper(
            session_id,
            riders,
            dialect,
            new_id,
            confirmed=memory.confirmed,
            restarts=restarts,
            epoch_s=epoch_s,
        )
        self._rollover = self._keeper.rollover  # it is asked on the hot path
        self._line_state = self._keeper.lines
        self._audio = InputBuffer(
            config.input_audio_format,
            new_id,
            under_vad=lambda: self._updates.config.vad is not None,
            move_is_near=lambda: self._rollover.near,
        )
        self._desk = CommandDesk(conversation, self._updates, self._audio, toolbox, new_id)
        self._handlers: dict[type[Any], Callable[[Any, float], Effects]] = {
            **_merged(conversation.handlers(), self._desk.handlers()),
            wire.SessionCreated: self._keeper.created,
            wire.SessionUpdated: self._session_updated,
            wire.Error: self._server_error,
        }

    @property
    def config(self) -> Config:
        """The configuration the provider confirmed last, or will be asked for."""
        return self._updates.config

    @property
    def phase(self) -> Phase:
        """Where the line is."""
        return self._keeper.phase

    # -- inputs

    def start(self, now: float, at_work: Collection[str] = ()) -> Effects:
        """The actor started: open a line. ``at_work``: the calls whose workers outlived an earlier incarnation."""
        resumed = self._conversation.resume(self._open_batches, at_work)
        return [*resumed, *self._audio.begin(), *self._keeper.start(now)]

    def receive(self, event: ServerEvent, now: float) -> Effects:
        """The server said something."""
        handler = self._handlers.get(type(event))
        if handler is None:
            return NOTHING
        effects = handler(event, now)
        if effects and self._line_state.failures:  # nearly never, and a call less for each delta
            self._keeper.progress(event)
        return effects if self._rollover.successor is None else self._then_move(effects, now)

    def garbled(self, error: ProtocolError, _now: float) -> Effects:
        """The server sent a frame that is no event; the next one is handled normally."""
        return [Error(error.code or "invalid_frame", str(error), recoverable=True)]

    def connected(self, attempt: int, _now: float) -> tuple[bool, Effects]:
        """A line is open. Returns whether it is taken (else it came too late and must be closed), and effects."""
        return self._keeper.connected(attempt)

    def connect_failed(self, attempt: int, error: Exception, now: float) -> Effects:
        """The ConnectWorker came back without a line."""
        return self._keeper.connect_failed(attempt, error, now)

    def line_lost(self, error: LineClosed, now: float) -> Effects:
        """The transport ended."""
        return self._keeper.lost(error, now)

    def receive_next(self, event: ServerEvent, now: float) -> Effects:
        """The server said something on the line that is to follow the one that serves."""
        return self._then_move(self._rollover.receive(event), now)

    def next_line_lost(self, error: LineClosed, _now: float) -> Effects:
        """The line that was to follow ended first."""
        return self._rollover.lost(error)

    def timer(self, key: Hashable, now: float) -> Effects:
        """A timer is due."""
        return self._then_move(self._timed_out(key, now), now)

    def _timed_out(self, key: Hashable, now: float) -> Effects:
        match key:
            case "reply":
                return self._conversation.reply_timed_out()
            case ("tool", str(call_id)):
                return self._conversation.tool_timed_out(call_id)
            case ("side", str(event_id)):
                return self._conversation.side_timed_out(event_id)
            case ("update" | "item" as kind, str(event_id)):
                return self._desk.timed_out(kind, event_id)
            case _:
                return self._keeper.timer(key, now)

    def audio_refused(self, n_bytes: int) -> None:
        """The line did not take this much of the audio."""
        self._audio.refused(n_bytes)

    def tool_finished(self, outcome: ToolOutcome, now: float) -> Effects:
        """A ToolWorker delivered, or died."""
        return self._then_move(self._conversation.tool_finished(outcome), now)

    def tool_approved(self, call_id: str) -> Effects:
        """A tool that needs approval got it."""
        return self._conversation.tool_approved(call_id)

    def command(self, command: SessionCommand, token: int | None, now: float) -> Effects:
        """Somebody wants something; ``token`` is where the answer goes, if anywhere."""
        if isinstance(command, AwaitOpen):
            return self._keeper.await_open(token)
        return self._then_move(self._desk.take(command, token, now), now)

    # -- the line

    def _line_up(self, number: int) -> Effects:
        self._audio.line_up()
        return self._say_again(number)

    def _line_moves(self, number: int, now: float) -> tuple[Effects, Effects]:
        ended = self._line_over()
        carried = self._audio.line_moves(now)  # it goes on: what is on its way is for the new line
        speaks = bool(carried) and self._updates.config.vad is not None
        return ended, [*self._say_again(number, speaks=speaks), *carried]

    def _say_again(self, number: int, *, speaks: bool = False) -> Effects:
        changed = self._updates.line_up()
        said = self._conversation.line_up(number, speaks=speaks)
        return [*changed, *said, *self._desk.line_up()]

    def _then_move(self, effects: Effects, now: float) -> Effects:
        """After anything that may have been the last thing to wait for: move to the line that follows, if there is one."""
        rollover = self._rollover
        if rollover.successor is None or not (self._has_to_move() or self._is_idle(now)):
            return effects
        return [*effects, *self._keeper.move(now)]

    def _has_to_move(self) -> bool:
        rollover = self._rollover
        return rollover.pressing or (rollover.overdue and not self._conversation.hears)

    def _is_idle(self, now: float) -> bool:
        return self._audio.is_idle(now) and self._conversation.is_idle and not self._desk.waits

    def _line_down(self) -> Effects:
        return [*self._audio.line_down(), *self._line_over()]

    def _line_over(self) -> Effects:
        self._updates.line_down()
        self._desk.line_down()
        return self._conversation.line_down()

    def _follow(self, config: Config) -> Effects:
        """The configuration is another one."""
        self._toolbox.configured(config)
        self._conversation.reconfigured(config)
        return [Reconfigure(config, dict(self._toolbox.tools)), *self._rollover.reconfigured()]

    def _over(self) -> Effects:
        return self._conversation.stop_tools("session_closed")

    def _session_updated(self, event: wire.SessionUpdated, now: float) -> Effects:
        self._conversation.confirmed(event.session)
        if self._keeper.phase is Phase.GREETING:
            return self._keeper.greeted(event.session, now)
        ours, changed, answers = self._updates.confirmed(event.session.instructions)
        if not ours:
            return [SessionUpdated(event.session.instructions, restarts=self._restarts)]
        told = SessionUpdated(self._updates.config.instructions, restarts=self._restarts)
        return [*changed, told, *answers]

    # -- errors

    def _server_error(self, event: wire.Error, now: float) -> Effects:
        detail = event.error
        if self._keeper.phase is Phase.GREETING:
            return self._keeper.refused(detail, now)
        refused = self._desk.refused(detail)
        if refused is not None:
            return refused
        handled, item_id, effects = self._conversation.refused(detail.event_id or None, detail.code)
        if handled:
            return effects
        if codes.is_benign_error(detail.code, under_vad=self._updates.config.vad is not None):
            return effects
        error = ServerError.from_detail(detail)
        told = Error(
            detail.code or detail.type or "server_error",
            redact(detail.message or str(error)),
            detail.param,
            error.recoverable,
            detail.event_id,
            item_id,
        )
        limited = [RateLimited(0.0)] if codes.is_rate_limit_error(detail.code) else []
        return [told, *limited, *effects, *self._keeper.warned(detail, now)]


def _merged(
    *tables: dict[type[Any], Callable[[Any, float], Effects]],
) -> dict[type[Any], Callable[[Any, float], Effects]]:
    """Return one table of handlers; who handle the same event do so one after the other."""
    merged: dict[type[Any], Callable[[Any, float], Effects]] = {}
    for table in tables:
        for event, handler in table.items():
            merged[event] = _both(merged[event], handler) if event in merged else handler
    return merged


def _both(
    first: Callable[[Any, float], Effects], then: Callable[[Any, float], Effects]
) -> Callable[[Any, float], Effects]:
    return lambda event, now: [*first(event, now), *then(event, now)]
