"""SessionActor: the thin shell of one session. Owns a thread and a socket; every decision is the core's.

Its mailbox waits for messages, for the socket and for timers in one place, so the socket has one owner and needs no lock.
A crash costs the line and nothing else: the next incarnation begins with what is in the directory.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, cast

from ..gateway.errors import ConnectError, ProtocolError
from ..supervision import (
    KILLED,
    Down,
    Exit,
    ExitReason,
    GenServer,
    Readable,
    Reply,
    SelectableMailbox,
    Shutdown,
    StableRef,
    Writable,
    crash_points,
    is_clean,
)
from . import commands as cmd
from . import effects as fx
from .connect_worker import LineFailed, LineOffered
from .crew import Crew, Tag, WorkerStarted
from .directory import SessionEntry
from .effects import Effect, accepted
from .errors import SessionGone, SessionLogError
from .events import EVENT_CLASSES, SessionClosed, SessionEvent, SessionOpened
from .line import LineService
from .lines import Lines
from .named_timers import NamedTimers, TimerDue
from .open_turns import TURN_EVENTS, recollect
from .recipe import SessionRecipe, build_core
from .subscribers import Publisher
from .tool_outcome import ToolOutcome
from .tool_worker import ToolApproved, ToolDone
from .wire_tap import WireTap

_log = logging.getLogger("trunkline.actors")


class SessionActor(GenServer):
    """One session.

    Args:
        recipe: what the session is.
        entry: its subscribers and its log, which outlive this incarnation.
        workers: the StableRef of the supervisor that starts ConnectWorkers and ToolWorkers.
    """

    _create_actor_inbox = staticmethod(SelectableMailbox)

    def __init__(self, recipe: SessionRecipe, entry: SessionEntry, workers: StableRef[Any]) -> None:
        super().__init__()
        self._recipe = recipe
        self._entry = entry
        self._workers = workers
        self._incarnation = 0
        self._frame_time = 0.0
        self._finish: fx.Finish | None = None
        self._replies: dict[int, Reply] = {}
        self._last_token = 0
        self._timers = NamedTimers(self._send_after)
        self._lines: Lines | None = None
        self._crew: Crew  # from on_start on
        self._written: object = None
        self._began = False

    # -- lifecycle

    def on_start(self) -> None:
        """Begin where the log ends; connecting is a ConnectWorker's work."""
        entry = self._entry
        self._recipe = entry.recipe or self._recipe
        publisher = entry.subscribers.publisher()
        self._publish = publisher.__call__  # bound once: to call an instance costs a look-up per event
        restarts = entry.starts
        self._incarnation = entry.starts = restarts + 1
        crew = self._crew = Crew(
            self._recipe,
            self._workers,
            self.actor_ref,
            self._stable_ref,
            self._incarnation,
            entry.tools,
            entry.processes,
        )
        self._began = True
        memory = recollect(entry.log, entry.turns, with_tools=self._recipe.calls_tools)
        self._core = build_core(self._recipe, memory, restarts, epoch_s=time.time() - self._now())
        self._receive = self._core.receive
        mailbox = cast(SelectableMailbox, self._mailbox)
        lines = self._lines = Lines(
            mailbox, self._send_after, self._now, self._recipe.gateway.encode, WireTap(publisher)
        )
        # not in __init__: what fails there leaves a mailbox to the collector
        self._decode = self._recipe.gateway.decode
        self._performers = self._performing(publisher, crew, lines)
        _log.info("session started", extra={"session_id": self._recipe.session_id})
        if restarts:
            self._perform(entry.turns.crashed(memory.batches))
        self._perform(self._core.start(self._now(), crew.adopt()))

    def _performing(
        self, publisher: Publisher, crew: Crew, lines: Lines
    ) -> dict[type[Any], Callable[[Any], object]]:
        """Return who performs which effect."""
        return {
            **dict.fromkeys(EVENT_CLASSES, self._publish),
            SessionOpened: publisher.open,
            fx.Send: self._send,
            fx.SendAppend: self._send_append,
            fx.AudioEpoch: self._begin_audio,
            fx.Reconfigure: self._reconfigure,
            fx.Record: self._record,
            fx.Resolve: self._resolve,
            fx.Reject: self._reject,
            fx.StartTimer: self._timers.start,
            fx.StopTimer: self._timers.stop,
            fx.OpenLine: crew.connect,
            fx.DropLine: self._drop_line,
            fx.SendToNext: lambda effect: lines.send_to_next(effect.event),
            fx.SwitchLine: lambda _: self._answer(lines.switch()),
            fx.LeaveLine: lambda _: lines.leave(),
            fx.StartTool: crew.start_tool,
            fx.AskApproval: crew.ask_approval,
            fx.StopTool: crew.stop_tool,
            fx.Finish: self._note_finish,
            **dict.fromkeys(TURN_EVENTS, self._publish_turn),
        }

    def terminate(self, reason: ExitReason) -> None:
        """Let everything go. After a clean end the subscribers hear of it; after a crash they wait for the next incarnation."""
        if self._began:
            if is_clean(reason):
                self._crew.dismiss("session_closed")
            else:
                self._crew.leave()
        if self._lines is not None:
            self._lines.drop_all(goodbye_s=self._goodbye_s() if is_clean(reason) else 0.0)
        if is_clean(reason):
            self._entry.close(self._closing())

    def on_kill(self) -> None:
        """The killer's thread: wake whoever waits for the socket, and tell the tools."""
        lines = self._lines
        if lines is not None:
            lines.abort()
        if self._began:
            self._crew.dismiss("session_closed")

    def _wind_down(self, reason: ExitReason) -> None:
        """After a kill nobody calls ``terminate``: the socket has to be closed here."""
        super()._wind_down(reason)
        if reason is KILLED and self._lines is not None:
            self._lines.drop_all()

    # -- messages

    def on_receive(self, message: Any) -> Any:
        """Dispatch."""
        match message:
            case Readable(fd):
                self._pump(fd)
            case Writable(fd):
                self._on_lines(lambda lines: lines.flush(fd))
            case TimerDue(key):
                self._timers.due(key)
                self._perform(self._core.timer(key, self._now()))
            case LineService(number):
                self._on_lines(lambda lines: lines.service(number))
            case LineOffered():
                return self._take_line(message)
            case LineFailed(attempt, error):
                if attempt.incarnation == self._incarnation:
                    self._perform(self._core.connect_failed(attempt.number, error, self._now()))
            case ToolDone(outcome):
                self._tool_finished(outcome)
            case ToolApproved(call_id):
                self._perform(self._core.tool_approved(call_id))
            case WorkerStarted():
                self._worker_started(message)
            case Down(Tag() as tag, ref, reason):
                if self._crew.down(tag, ref):
                    self._worker_down(tag, reason)
            case cmd.Subscribe(subscriber, raw):
                self._entry.subscribers.add(subscriber, raw=raw)
            case cmd.Unsubscribe(subscriber):
                self._entry.subscribers.remove(subscriber)
            case _ if isinstance(message, cmd.SESSION_COMMANDS):
                self._command(message)
            case _:
                return super().on_receive(message)
        return None

    def _command(self, message: cmd.SessionCommand) -> None:
        token: int | None = None
        if self._mailbox.in_hand_is_ask():
            token = self._last_token = self._last_token + 1
            self._replies[token] = self._defer_reply()
        effects = self._core.command(message, token, self._now())
        try:
            self._perform(effects)
        except BaseException:
            # What is in the log is the next incarnation's to carry out: a caller that tried again would say it twice.
            self._answer(accepted(effects, self._written, self._replies))
            raise

    # -- the line

    def _pump(self, fd: int | None = None) -> None:
        lines = self._lines
        if lines is None:
            return
        self._frame_time = self._now()
        if fd is None:
            lines.pump_taken(self._on_frame, self._on_next_frame)
        else:
            lines.pump(fd, self._on_frame, self._on_next_frame)
        self._settle()

    def _on_next_frame(self, frame: memoryview) -> None:
        with contextlib.suppress(ProtocolError):  # nothing counts on that line yet
            self._answer(self._core.receive_next(self._decode(frame), self._frame_time))

    def _on_frame(self, frame: memoryview) -> None:
        # The hot path: for a delta this is a decode, a lookup, an event and its delivery.
        effects: Iterable[Effect]
        try:
            effects = self._receive(self._decode(frame), self._frame_time)
        except ProtocolError as error:
            effects = self._core.garbled(error, self._frame_time)
        if crash_points.armed:
            crash_points.reach("session.after_receive")
            effects = self._through_crash_points(effects)
        performers = self._performers
        for effect in effects:
            performers[type(effect)](effect)

    def _perform(self, effects: Iterable[Effect]) -> None:
        if crash_points.armed:
            effects = self._through_crash_points(effects)
        self._answer(effects)
        self._settle()

    def _through_crash_points(self, effects: Iterable[Effect]) -> Iterator[Effect]:
        for effect in effects:
            if isinstance(effect, SessionEvent):
                crash_points.reach("session.before_emit")
            yield effect

    def _settle(self) -> None:
        """After every message: tell the core of a loss, watch the sockets for what waits, end if that was decided."""
        lines = self._lines
        if lines is not None:
            self._answer(lines.settle())
            lost, next_lost = lines.take_loss(), lines.take_loss_of_next()
            if next_lost is not None:
                self._perform(self._core.next_line_lost(next_lost, self._now()))
            if lost is not None:
                self._perform(self._core.line_lost(lost, self._now()))
        if self._finish is not None:
            raise Exit(Shutdown(self._finish.code or self._finish.reason))

    def _on_lines(self, do: Callable[[Lines], None]) -> None:
        if self._lines is not None:
            do(self._lines)
            self._settle()

    def _take_line(self, offer: LineOffered) -> bool:
        attempt = offer.attempt
        if attempt.incarnation != self._incarnation or self._lines is None:
            return False
        taken, effects = self._core.connected(attempt.number, self._now())
        if taken:
            self._lines.take(attempt.number, offer.transport)
            self._perform(effects)
            self._pump()
        return taken

    def _drop_line(self, effect: fx.DropLine) -> None:
        self._crew.stop_connecting(effect.attempt)
        if self._lines is not None:
            self._answer(self._lines.drop(effect.attempt))

    def _goodbye_s(self) -> float:
        return min(0.5, self._recipe.config.close_timeout_s / 4)

    # -- workers

    def _worker_started(self, started: WorkerStarted) -> None:
        tag = started.tag
        if tag.incarnation != self._incarnation and tag.kind == "line":
            return  # inherited; whoever asked for it has dismissed it
        refused = self._crew.started(started)
        if refused is not None:
            self._worker_down(Tag(tag.kind, tag.key, self._incarnation), refused)

    def _worker_down(self, tag: Tag, reason: object) -> None:
        """A worker's end comes behind what it told us, so whatever it left open failed."""
        if tag.incarnation != self._incarnation:
            return
        if tag.kind == "tool":
            detail = f"{type(reason).__name__}: {reason}"
            self._tool_finished(ToolOutcome.failed(str(tag.key), "", "crashed", detail=detail))
        else:
            error = ConnectError(f"the connection attempt died: {reason}")
            self._perform(self._core.connect_failed(int(tag.key), error, self._now()))

    def _tool_finished(self, outcome: ToolOutcome) -> None:
        self._crew.done(outcome.call_id)
        self._perform(self._core.tool_finished(outcome, self._now()))

    # -- effects

    def _publish_turn(self, event: Any) -> None:
        self._entry.turns.note(event)
        self._publish(event)

    def _send(self, effect: fx.Send) -> None:
        if crash_points.armed:
            crash_points.reach("session.before_send")
        if self._lines is not None:
            self._lines.send(effect.event)

    def _send_append(self, effect: fx.SendAppend) -> None:
        assert self._lines is not None  # what sends is performed after on_start
        taken, answers = self._lines.append(effect)
        if not taken:
            self._core.audio_refused(sum(len(piece.audio) for piece in effect.pieces))
        self._answer(answers)

    def _answer(self, answers: Iterable[Effect]) -> None:
        for answer in answers:
            self._performers[type(answer)](answer)

    def _begin_audio(self, effect: fx.AudioEpoch) -> None:
        if self._entry.starts == self._incarnation:
            self._entry.audio.epoch = effect.epoch

    def _reconfigure(self, effect: fx.Reconfigure) -> None:
        if self._entry.starts == self._incarnation:
            self._recipe = self._entry.recipe = replace(
                self._recipe, config=effect.config, tools=effect.tools
            )
            self._crew.recipe = self._recipe

    def _record(self, effect: fx.Record) -> None:
        if self._entry.starts == self._incarnation:  # what a zombie finds out is not written down
            try:
                self._entry.log.append(effect.entry)
            except SessionLogError as error:
                raise Exit(error) from error  # what is known here is more than what is written: start anew
            self._written = effect.entry
            if crash_points.armed:
                crash_points.reach("session.after_accept")

    def _resolve(self, effect: fx.Resolve) -> None:
        self._replies.pop(effect.token).set(effect.value)

    def _reject(self, effect: fx.Reject) -> None:
        self._replies.pop(effect.token).set_exception(effect.error)

    def _note_finish(self, effect: fx.Finish) -> None:
        self._finish = effect
        self._entry.failure = effect.error
        error = effect.error or SessionGone()
        for reply in self._replies.values():
            reply.set_exception(error)
        self._replies.clear()

    def _closing(self) -> SessionClosed:
        return SessionClosed("client") if self._finish is None else self._finish.closed
