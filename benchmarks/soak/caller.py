"""One caller of the soak: opens a session, talks by seed, has it judged, closes it, opens the next. Owns a thread."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
import pykka
from chaos import SoakCrash
from judge import Judge, Violation
from near_end import Stopwatch

from trunkline import (
    BrokerProxy,
    EventStream,
    GatewayError,
    InvalidCommand,
    LineDown,
    ServerVad,
    SessionGone,
    SessionProxy,
    StreamEnded,
    StreamTimeout,
    ToolContext,
    tool,
)
from trunkline.simulator import encode_words
from trunkline.supervision import ActorDown

ANSWER_S = 30.0
FUTURE_S = 30.0
FRAME = 2400  # samples: 100 ms
SILENCE = np.zeros(24_000, np.int16)
RUNS: Counter[str] = Counter()
_runs_lock = threading.Lock()


@tool(timeout_s=10.0)
def stamp(token: str, nth: int, ctx: ToolContext) -> str:
    """Stamp a token.

    Args:
        token: what is stamped.
        nth: which of several it is.
    """
    with _runs_lock:
        RUNS[ctx.call_id] += 1
    ctx.wait_cancelled((hash((token, nth)) % 20) / 100.0)
    return f"stamped {nth}"


class Refused(Exception):
    """A command failed in one of the ways that it may fail: it was not accepted."""


class Abandoned(Exception):
    """This session cannot go on; why is noted."""


@dataclass
class World:
    """What all callers share."""

    broker: BrokerProxy
    seed: int
    began_at: float
    settled: threading.Barrier
    stop: threading.Event
    paused: threading.Event
    report: Callable[[Judge, "Session"], object]
    reconnects: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    refused: Counter[str] = field(default_factory=Counter[str])
    open: dict[int, SessionProxy] = field(default_factory=dict[int, SessionProxy])


@dataclass(frozen=True)
class Session:
    """Which session of which caller."""

    caller: int
    number: int
    id: str

    @property
    def name(self) -> str:
        return f"soak {self.caller}/{self.number}"


class Caller(threading.Thread):
    """Holds conversations until the time is up.

    Args:
        number: counted from 0; every fifth speaks, alternately by push to talk and under voice activity detection.
        world: what it shares.
    """

    def __init__(self, number: int, world: World) -> None:
        super().__init__(name=f"soak caller {number}", daemon=True)
        self._number = number
        self._world = world
        self._how = {0: "push to talk", 5: "vad"}.get(number % 10, "text")
        self._n_tokens = self._n_forced_moves = 0
        self.crashed: BaseException | None = None

    def run(self) -> None:
        world, n_sessions = self._world, 0
        try:
            while not world.stop.is_set():
                self._one_session(n_sessions)
                n_sessions += 1
        except BaseException as error:
            self.crashed = error
            raise

    # -- one session

    def _one_session(self, number: int) -> None:
        world = self._world
        self._dice = Random(f"{world.seed}/{self._number}/{number}")
        self._n_tokens, self._number_of_session = 0, number
        name = f"soak {self._number}/{number}"
        judge = self._judge = Judge(name)
        session = self._connect(name)
        if session is None:
            return
        self._session, self._stream = session, session.events()
        self._which = Session(self._number, number, session.session_id)
        judge.session = f"{name} ({session.session_id})"
        world.open[self._number] = session
        try:
            self._ask(
                lambda: session.subscribe(Stopwatch(self._note_reconnect, self._note_forced_move)), again=True
            )
            for _ in range(self._dice.randint(8, 20)):
                self._rest_if_asked()
                if world.stop.is_set():
                    break
                self._one_turn()
            self._say("audit")
            self._await_all()
        except Abandoned:
            pass
        finally:
            world.open.pop(self._number, None)
            self._close()
            judge.conclude(RUNS)
            world.report(judge, self._which)
            for call_id in judge.dispatched:
                RUNS.pop(call_id, None)

    def _connect(self, name: str) -> SessionProxy | None:
        options: dict[str, Any] = {"instructions": name}
        self._has_tools = self._dice.random() < 0.7
        if self._has_tools:
            options["tools"] = [stamp]
        options["on_interrupt"] = self._dice.choice(("drop", "submit_completed_only", "submit"))
        if self._how != "text":
            options |= {"modalities": ["audio", "text"], "input_audio_transcription": True}
        if self._how == "vad":
            options["turn_detection"] = ServerVad(silence_duration_ms=300)
        while not self._world.stop.is_set():
            try:
                return self._world.broker.connect(**options).get(timeout=FUTURE_S)
            except (GatewayError, ActorDown, SessionGone, SoakCrash) as error:
                self._world.refused[f"connect: {type(error).__name__}"] += 1
                self._world.stop.wait(self._dice.uniform(0.1, 0.5))
            except pykka.Timeout:
                self._judge.unresolved("connect()")
                self._world.report(self._judge, Session(self._number, self._number_of_session, "?"))
                return None
        return None

    def _close(self) -> None:
        try:
            self._session.close().get(timeout=10.0)
        except pykka.Timeout:
            self._judge.unresolved("close()")
        deadline = time.monotonic() + 5.0
        while time.monotonic() < deadline:
            try:
                self._take(0.5)
            except StreamEnded:
                return
        self._judge.unresolved("the stream did not end after close()")

    def _note_reconnect(self, whole_s: float, attempt_s: float) -> None:
        self._world.reconnects.append((whole_s, attempt_s))

    def _note_forced_move(self) -> None:
        self._n_forced_moves += 1

    # -- turns

    def _one_turn(self) -> None:
        self._judge.next_round()
        if self._how == "vad" and self._dice.random() < 0.8:
            self._speak(commit=False)
        elif self._how == "push to talk" and self._dice.random() < 0.7:
            self._speak(commit=True)
        else:
            self._type()
        self._await_all()
        self._pump(lambda: False, self._dice.uniform(0.2, 1.2))

    def _rest_if_asked(self) -> None:
        """Everybody is quiet while the main thread measures."""
        if self._world.paused.is_set():
            self._world.settled.wait(120.0)
            self._world.settled.wait(120.0)

    def _type(self) -> None:
        n_tools = 25 if self._has_tools else 0
        weights = (50, 15, 0.8 * n_tools, 10, 0.2 * n_tools)
        match self._dice.choices(("say", "two", "tool", "long", "cut tools"), weights)[0]:
            case "say":
                self._say("say")
            case "two":
                self._say("say")
                self._pump(lambda: False, self._dice.uniform(0.0, 0.01))
                self._say("say")
            case "tool":
                self._say(f"tool {self._dice.randint(1, 3)}")
            case "long":
                token = self._say("long")
                self._judge.streaming = None
                self._pump(lambda: self._judge.streaming or self._judge.is_settled(token or ""), 5.0)
                self._interrupt(token)
            case _:
                token = self._say("tool 2")
                n_calls = len(self._judge.dispatched)
                self._pump(lambda: len(self._judge.dispatched) > n_calls, 5.0)
                if len(self._judge.dispatched) > n_calls:  # else they run later, and are waited for
                    self._interrupt(token)

    def _new_token(self) -> str:
        self._n_tokens += 1
        return f"t{self._number}x{self._number_of_session}x{self._n_tokens}"

    def _say(self, what: str) -> str | None:
        token = self._new_token()
        if what == "audit":
            self._audit_token = token
        try:
            self._ask(lambda: self._session.send_text(f"{what} {token}"))
        except Refused:
            self._judge.refused.add(token)
            if what == "audit":
                return self._say(what)
            return None
        self._judge.accepted.append(token)
        return token

    def _interrupt(self, token: str | None) -> None:
        if token is None:
            return
        self._judge.cut_off(token)
        self._ask(lambda: self._session.interrupt(), again=True)
        self._pump(lambda: not self._judge.open_turns(), ANSWER_S)

    def _speak(self, *, commit: bool) -> None:
        token, judge = self._new_token(), self._judge
        sound = encode_words(token, word_ms=150)
        n_moved, n_forced, refused = judge.rollovers, self._n_forced_moves, False
        n_lost, n_errors = judge.losses + judge.resumptions, len(judge.spoken)
        sound = np.concatenate([sound, SILENCE])
        for start in range(0, len(sound), FRAME):
            try:
                self._ask(lambda piece=sound[start : start + FRAME]: self._session.send_audio_frame(piece))
            except Refused:
                refused = True  # audio into a dead line is gone
        if commit:
            try:
                self._ask(self._session.commit_audio)
            except Refused:
                return
        # Sound that the line took with it is gone: what counts is what was heard of it.
        cut_off = lambda: judge.losses + judge.resumptions > n_lost  # noqa: E731
        self._pump(lambda: len(judge.spoken) > n_errors or cut_off(), 10.0)
        # Under VAD nobody knows of the first syllable before the provider does: a move may come right behind it. And what is
        # committed and not transcribed is not told to the next line, where a line has to be left before (decision 0014).
        moved = self._n_forced_moves > n_forced if commit else judge.rollovers > n_moved
        if token not in judge.spoken and not (cut_off() or refused or moved):
            judge.not_heard(token)
        if token not in judge.spoken:
            judge.cut_off("speech of which not all was heard")  # it may have asked for a reply to nothing

    # -- waiting

    def _await_all(self) -> None:
        """Wait until every message that was accepted is answered or cut, and no turn is open."""
        judge = self._judge
        waited = [*judge.accepted, *judge.spoken]
        done = lambda: all(map(judge.is_settled, waited)) and not judge.open_turns()  # noqa: E731
        self._pump(done, ANSWER_S)
        lost = [token for token in waited if not judge.is_settled(token)]
        for token in lost:
            judge.never_answered(token, ANSWER_S)
        judge.never_ended()
        if lost:
            raise Abandoned

    def _ask(self, command: Callable[[], Any], *, again: bool = False) -> Any:
        """Give a command and wait for its future. Raises Refused if it failed as it may; `again`: it is repeated then."""
        while True:
            try:
                return command().get(timeout=FUTURE_S)
            except pykka.Timeout:
                self._judge.unresolved(f"a command at {time.monotonic() - self._world.began_at:.1f} s")
                raise Abandoned from None
            except (ActorDown, LineDown, InvalidCommand, SessionGone, SoakCrash) as error:
                self._world.refused[f"command: {type(error).__name__}"] += 1
                if self._session.actor_ref.state == "stopped":
                    self._pump(lambda: False, 1.0)
                    self._judge.ended()
                    raise Abandoned from None
                if not again:
                    raise Refused from None

    def _pump(self, until: Callable[[], object], timeout_s: float) -> None:
        """Read events until something holds, or for so long."""
        deadline = time.monotonic() + timeout_s
        while not until():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return
            try:
                self._take(left_s)
            except StreamTimeout:
                return
            except StreamEnded:
                self._judge.ended()
                raise Abandoned from None

    def _take(self, timeout_s: float) -> None:
        stream: EventStream = self._stream
        event = stream.get(timeout_s=timeout_s)
        self._judge.take(event, time.monotonic() - self._world.began_at)


__all__ = ["RUNS", "Caller", "Session", "Violation", "World"]
