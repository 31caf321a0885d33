"""The session's decisions: what a server event, a command, a timer or a tool's outcome leads to. Pure.

The session actor feeds it and performs the effects it returns, in order. Time and ids come in as arguments, so a table
of inputs is a test, and a crash loses nothing that is in the log. Here: the line and the commands; what is said is
:mod:`trunkline.actors.conversation`'s.

Source: the session contract, statements 8 and 11 to 13; DESIGN sections 1, 2 and 5.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from typing import Any, assert_never

from ..gateway import codes
from ..gateway import server_events as wire
from ..gateway.config import Config
from ..gateway.errors import (
    ConnectTimeout,
    GatewayError,
    HandshakeRefused,
    LineClosed,
    ProtocolError,
    ServerError,
)
from ..gateway.items import user_text
from ..gateway.server_events import ServerEvent
from ..gateway.wire_types import ErrorDetail, SessionInfo
from .commands import (
    AwaitOpen,
    ClearAudio,
    CommitAudio,
    CreateResponse,
    GetHistory,
    GetInstructions,
    GetUsage,
    Interrupt,
    ReportPlayback,
    SendAudio,
    SendText,
    SessionCommand,
    UpdateInstructions,
)
from .conversation import Conversation
from .dialect import Dialect, identified
from .effects import (
    NOTHING,
    DropLine,
    Effect,
    Effects,
    Finish,
    Record,
    Resolve,
    Send,
    StartTimer,
    StopTimer,
)
from .events import Error, RateLimited, SessionOpened, SessionUpdated
from .input_buffer import InputBuffer
from .instruction_updates import InstructionUpdates
from .line_state import OPEN_TIMER, LineState, Phase
from .memory import Memory
from .session_log import SessionConfirmed
from .tool_outcome import ToolOutcome

REFUSED_TIMER = "refused"
REFUSED_GRACE_S = 1.0  # between an error that refuses the session and the CLOSE that follows it


class SessionCore:
    """One session, whatever line carries it.

    Args:
        session_id: ours.
        config: the effective configuration.
        conversation: what was and is said.
        dialect: how the provider wants the configuration.
        new_id: makes a unique id from a prefix.
        memory: what the log of an earlier incarnation amounts to.
        restarts: how often the session's actor was restarted.
    """

    def __init__(
        self,
        session_id: str,
        config: Config,
        conversation: Conversation,
        dialect: Dialect,
        new_id: Callable[[str], str],
        *,
        memory: Memory,
        restarts: int = 0,
    ) -> None:
        self._session_id = session_id
        self._config = (
            config if memory.instructions is None else config.replace(instructions=memory.instructions)
        )
        self._conversation = conversation
        self._dialect = dialect
        self._new_id = new_id
        self._restarts = restarts
        self._confirmed = memory.confirmed
        self._may_retry = memory.confirmed and restarts > 0
        self._open_batches = memory.batches
        self._lines = LineState(config.connect_timeout_s)
        self._created: SessionInfo | None = None
        self._greeting_id = ""
        self._refusal: ErrorDetail | None = None
        self._updates = InstructionUpdates(dialect, new_id)
        self._waiting_for_open: list[int] = []
        self._audio = InputBuffer(48 if config.input_audio_format == "pcm16" else 8, new_id)
        self._handlers: dict[type[Any], Callable[[Any, float], Effects]] = {
            **conversation.handlers(),
            wire.SessionCreated: self._session_created,
            wire.SessionUpdated: self._session_updated,
            wire.Error: self._server_error,
            wire.InputAudioBufferCommitted: self._audio.committed,
        }

    @property
    def config(self) -> Config:
        """The configuration the provider confirmed last, or will be asked for."""
        return self._config

    @property
    def phase(self) -> Phase:
        """Where the line is."""
        return self._lines.phase

    # -- inputs

    def start(self, now: float, at_work: Collection[str] = ()) -> Effects:
        """The actor started: open a line. ``at_work``: the calls whose workers outlived an earlier incarnation."""
        return [*self._conversation.resume(self._open_batches, at_work), *self._lines.open(now)]

    def receive(self, event: ServerEvent, now: float) -> Effects:
        """The server said something."""
        handler = self._handlers.get(type(event))
        if handler is None:
            return NOTHING
        effects = handler(event, now)
        if effects and self._lines.failures and self._lines.phase is Phase.UP:
            self._note_progress(event)
        return effects

    def garbled(self, error: ProtocolError, _now: float) -> Effects:
        """The server sent a frame that is no event; the next one is handled normally."""
        return [Error(error.code or "invalid_frame", str(error), recoverable=True)]

    def connected(self, attempt: int, _now: float) -> tuple[bool, Effects]:
        """A line is open. Returns whether it is taken (else it came too late and must be closed), and effects."""
        if attempt != self._lines.number or self._lines.phase is not Phase.CONNECTING:
            return False, NOTHING
        self._lines.phase = Phase.GREETING
        self._created = self._refusal = None
        self._greeting_id = self._new_id("event")
        return True, [Send(identified(self._dialect.session_update(self._config), self._greeting_id))]

    def connect_failed(self, attempt: int, error: Exception, now: float) -> Effects:
        """The ConnectWorker came back without a line."""
        if attempt != self._lines.number or self._lines.phase is not Phase.CONNECTING:
            return NOTHING
        return self._lost(error, now)

    def line_lost(self, error: LineClosed, now: float) -> Effects:
        """The transport ended."""
        if self._lines.phase not in (Phase.GREETING, Phase.UP):
            return NOTHING
        refusal = self._refusal
        if refusal is not None:
            return self._lost(_refused(refusal, error.close_code), now)
        return self._lost(error, now)

    def timer(self, key: Hashable, now: float) -> Effects:
        """A timer is due."""
        match key:
            case "reply":
                return self._conversation.reply_timed_out()
            case "retry":
                return self._lines.open(now) if self._lines.phase is Phase.WAITING else NOTHING
            case "open":
                return self._open_timed_out(now)
            case "refused":
                refusal = self._refusal
                return self._lost(_refused(refusal, None), now) if refusal is not None else NOTHING
            case ("tool", str(call_id)):
                return self._conversation.tool_timed_out(call_id)
            case ("update", str(event_id)):
                return self._updates.timed_out(event_id)
            case _:
                return NOTHING

    def tool_finished(self, outcome: ToolOutcome, _now: float) -> Effects:
        """A ToolWorker delivered, or died."""
        return self._conversation.tool_finished(outcome)

    def command(self, command: SessionCommand, token: int | None, now: float) -> Effects:
        """Somebody wants something; ``token`` is where the answer goes, if anywhere."""
        match command:
            case SendText(text):
                item_id = self._new_id("item")
                return [*self._conversation.say(user_text(text, item_id=item_id)), *_resolve(token, item_id)]
            case CreateResponse():
                return [*self._conversation.ask(), *_resolve(token)]
            case Interrupt():
                return [*self._conversation.interrupt("manual", now), *_resolve(token)]
            case UpdateInstructions(text):
                return self._updates.want(text, token, up=self._lines.phase is Phase.UP)
            case GetInstructions():
                return _resolve(token, self._config.instructions)
            case SendAudio(data):
                return self._audio.append(data, token)
            case CommitAudio():
                return self._audio.commit(token, self._conversation.ask)
            case ClearAudio():
                return self._audio.clear(token)
            case ReportPlayback(item_id, played_ms):
                self._conversation.playback_reported(item_id, played_ms)
                return _resolve(token)
            case GetHistory():
                return _resolve(token, self._conversation.history())
            case GetUsage():
                return _resolve(token, self._conversation.usage())
            case AwaitOpen():
                return self._await_open(token)
        assert_never(command)

    # -- the line

    def _lost(self, error: Exception, now: float) -> Effects:
        """The attempt failed or the line ended: try again, or end the session."""
        was_up = self._lines.phase is Phase.UP
        attempt = self._lines.number
        effects: list[Effect] = [StopTimer(OPEN_TIMER), StopTimer(REFUSED_TIMER), DropLine(attempt)]
        self._refusal = None
        self._lines.phase = Phase.WAITING
        self._audio.line_down()
        if was_up:
            effects += self._conversation.line_down()
        if isinstance(error, LineClosed) and error.close_code == 1000:
            return [*effects, *self._finish(Finish("server", "1000", error.reason or None, error))]
        recoverable = isinstance(error, GatewayError) and error.recoverable
        retry = self._lines.retry(now) if recoverable and self._may_retry else None
        code = (error.code if isinstance(error, GatewayError) else None) or codes.CONNECTION_LOST
        if retry is None:
            ended = Error(code, str(error), recoverable=False)
            return [*effects, ended, *self._finish(Finish("error", code, str(error), error))]
        if was_up:
            effects.append(Error(codes.CONNECTION_LOST, str(error), recoverable=True))
        return [*effects, *retry]

    def _finish(self, finish: Finish) -> Effects:
        self._lines.phase = Phase.ENDED
        return [*self._conversation.stop_tools("session_closed"), finish]

    def _open_timed_out(self, now: float) -> Effects:
        if self._lines.phase not in (Phase.CONNECTING, Phase.GREETING):
            return NOTHING
        where = (
            "the upgrade" if self._lines.phase is Phase.CONNECTING else "session.created and session.updated"
        )
        timeout_s = self._config.connect_timeout_s
        return self._lost(ConnectTimeout(f"no line within {timeout_s} s: waited for {where}"), now)

    def _session_created(self, event: wire.SessionCreated, now: float) -> Effects:
        self._created = event.session
        return NOTHING

    def _session_updated(self, event: wire.SessionUpdated, now: float) -> Effects:
        if self._lines.phase is Phase.GREETING:
            return self._opened(event.session)
        instructions, answers = self._updates.confirmed(event.session.instructions)
        if instructions is None:
            return [SessionUpdated(event.session.instructions, restarts=self._restarts)]
        self._config = self._config.replace(instructions=instructions)
        told = SessionUpdated(instructions, restarts=self._restarts)
        return [Record(SessionConfirmed(instructions)), told, *answers]

    def _opened(self, updated: SessionInfo) -> Effects:
        created = self._created or updated
        self._lines.phase = Phase.UP
        self._audio.line_up()
        resumed, self._confirmed, self._may_retry = self._confirmed, True, True
        if not resumed:
            self._lines.works()
        opened = SessionOpened(self._session_id, created.id or None, created.model, created.expires_at)
        told = SessionUpdated(self._config.instructions, resumed=resumed, restarts=self._restarts)
        effects: list[Effect] = [StopTimer(OPEN_TIMER), Record(SessionConfirmed(self._config.instructions))]
        effects += [opened, told, *self._conversation.line_up(self._lines.number)]
        effects += [Resolve(token, True) for token in self._waiting_for_open]
        self._waiting_for_open.clear()
        return [*effects, *self._updates.line_up()]

    def _note_progress(self, event: ServerEvent) -> None:
        # The retry budget starts anew with the first sign of life of the conversation itself (contract, statement 8).
        if not isinstance(event, wire.Error | wire.SessionCreated | wire.SessionUpdated):
            self._lines.works()

    # -- errors

    def _server_error(self, event: wire.Error, now: float) -> Effects:
        detail = event.error
        if self._lines.phase is Phase.GREETING:
            self._refusal = detail
            if detail.event_id == self._greeting_id:
                return self._lost(ServerError.from_detail(detail), now)  # it is the configuration it refuses
            return [StartTimer(REFUSED_TIMER, REFUSED_GRACE_S)]
        refused = self._updates.refused(detail)
        if refused is not None:
            return refused
        handled, item_id, effects = self._conversation.refused(detail.event_id or None, detail.code)
        if handled:
            return effects
        if codes.is_benign_error(detail.code, under_vad=self._config.vad_creates_response):
            return effects
        error = ServerError.from_detail(detail)
        if not error.recoverable:
            self._refusal = detail  # the CLOSE that follows is about this
        told = Error(
            detail.code or detail.type or "server_error",
            detail.message or str(error),
            detail.param,
            error.recoverable,
            detail.event_id,
            item_id,
        )
        limited = [RateLimited(0.0)] if codes.is_rate_limit_error(detail.code) else []
        return [told, *limited, *effects]

    # -- waiting

    def _await_open(self, token: int | None) -> Effects:
        if self._lines.phase is Phase.UP:
            return _resolve(token, True)
        if token is not None:
            self._waiting_for_open.append(token)
        return NOTHING


def _resolve(token: int | None, value: Any = None) -> list[Effect]:
    return [] if token is None else [Resolve(token, value)]


def _refused(detail: ErrorDetail, close_code: int | None) -> HandshakeRefused:
    return HandshakeRefused(
        detail.message or f"the provider refused the session: {detail.code or detail.type}",
        code=detail.code,
        close_code=close_code,
        recoverable=codes.is_recoverable_error(detail.code, detail.type),
    )
