"""The session's decisions: what a server event, a command, a timer or a tool's outcome leads to. Pure.

The session actor feeds it and performs the effects it returns, in order. Time and ids come in as arguments, so a table
of inputs is a test, and a crash loses nothing that is in the log. Here: the commands and the errors; the line is
:mod:`trunkline.actors.line_keeper`'s, what is said is :mod:`trunkline.actors.conversation`'s.

Source: the session contract, statements 8 and 11 to 13; DESIGN sections 1, 2 and 5.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from typing import Any, assert_never

from ..gateway import codes
from ..gateway import server_events as wire
from ..gateway.config import Config
from ..gateway.errors import LineClosed, ProtocolError, ServerError
from ..gateway.items import user_text
from ..gateway.server_events import ServerEvent
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
from .dialect import Dialect
from .effects import NOTHING, Effect, Effects, Record, Resolve
from .events import Error, RateLimited, SessionUpdated
from .input_buffer import InputBuffer
from .instruction_updates import InstructionUpdates
from .line_keeper import LineKeeper, Riders
from .line_state import Phase
from .memory import Memory
from .session_log import SessionConfirmed
from .tool_outcome import ToolOutcome


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
        self._config = (
            config if memory.instructions is None else config.replace(instructions=memory.instructions)
        )
        self._conversation = conversation
        self._new_id = new_id
        self._restarts = restarts
        self._open_batches = memory.batches
        riders = Riders(lambda: self._config, self._line_up, self._line_down, self._over)
        self._keeper = LineKeeper(
            session_id, riders, dialect, new_id, confirmed=memory.confirmed, restarts=restarts
        )
        self._updates = InstructionUpdates(dialect, new_id)
        self._audio = InputBuffer(48 if config.input_audio_format == "pcm16" else 8, new_id)
        self._handlers: dict[type[Any], Callable[[Any, float], Effects]] = {
            **conversation.handlers(),
            wire.SessionCreated: self._keeper.created,
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
        if effects:
            self._keeper.progress(event)
        return effects

    def garbled(self, error: ProtocolError, _now: float) -> Effects:
        """The server sent a frame that is no event; the next one is handled normally."""
        return [Error(error.code or "invalid_frame", str(error), recoverable=True)]

    def connected(self, attempt: int, now: float) -> tuple[bool, Effects]:
        """A line is open. Returns whether it is taken (else it came too late and must be closed), and effects."""
        return self._keeper.connected(attempt, now)

    def connect_failed(self, attempt: int, error: Exception, now: float) -> Effects:
        """The ConnectWorker came back without a line."""
        return self._keeper.connect_failed(attempt, error, now)

    def line_lost(self, error: LineClosed, now: float) -> Effects:
        """The transport ended."""
        return self._keeper.lost(error, now)

    def timer(self, key: Hashable, now: float) -> Effects:
        """A timer is due."""
        match key:
            case "reply":
                return self._conversation.reply_timed_out()
            case ("tool", str(call_id)):
                return self._conversation.tool_timed_out(call_id)
            case ("update", str(event_id)):
                return self._updates.timed_out(event_id)
            case _:
                return self._keeper.timer(key, now)

    def audio_refused(self, n_bytes: int) -> None:
        """The line did not take this much of the audio."""
        self._audio.refused(n_bytes)

    def tool_finished(self, outcome: ToolOutcome, _now: float) -> Effects:
        """A ToolWorker delivered, or died."""
        return self._conversation.tool_finished(outcome)

    def tool_approved(self, call_id: str) -> Effects:
        """A tool that needs approval got it."""
        return self._conversation.tool_approved(call_id)

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
                return self._updates.want(text, token, up=self._keeper.up)
            case GetInstructions():
                return _resolve(token, self._config.instructions)
            case SendAudio(data, epoch):
                return self._audio.append(data, epoch, token)
            case CommitAudio():
                under_vad = self._config.vad is not None
                return self._audio.commit(token, self._conversation.ask, under_vad=under_vad)
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
                return self._keeper.await_open(token)
        assert_never(command)

    # -- the line

    def _line_up(self, number: int) -> Effects:
        self._audio.line_up()
        return [*self._conversation.line_up(number), *self._updates.line_up()]

    def _line_down(self) -> Effects:
        return [*self._audio.line_down(), *self._conversation.line_down()]

    def _over(self) -> Effects:
        return self._conversation.stop_tools("session_closed")

    def _session_updated(self, event: wire.SessionUpdated, now: float) -> Effects:
        self._conversation.confirmed(event.session)
        if self._keeper.phase is Phase.GREETING:
            return self._keeper.greeted(event.session)
        instructions, answers = self._updates.confirmed(event.session.instructions)
        if instructions is None:
            return [SessionUpdated(event.session.instructions, restarts=self._restarts)]
        self._config = self._config.replace(instructions=instructions)
        told = SessionUpdated(instructions, restarts=self._restarts)
        return [Record(SessionConfirmed(instructions)), told, *answers]

    # -- errors

    def _server_error(self, event: wire.Error, now: float) -> Effects:
        detail = event.error
        if self._keeper.phase is Phase.GREETING:
            return self._keeper.refused(detail, now)
        refused = self._updates.refused(detail)
        if refused is not None:
            return refused
        handled, item_id, effects = self._conversation.refused(detail.event_id or None, detail.code)
        if handled:
            return effects
        if codes.is_benign_error(detail.code, under_vad=self._config.vad is not None):
            return effects
        error = ServerError.from_detail(detail)
        if not error.recoverable:
            self._keeper.warned(detail)
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


def _resolve(token: int | None, value: Any = None) -> list[Effect]:
    return [] if token is None else [Resolve(token, value)]
