"""BrokerActor: opens sessions and knows which there are. Owns a thread (pykka's); it never waits in it.

It holds no session state: a crash of the broker touches no session, and the next incarnation finds them in the directory.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..gateway.config import Config
from ..gateway.errors import GatewayError
from ..gateway.provider import Gateway
from ..supervision import (
    ActorDown,
    ChildSpec,
    Down,
    ExitReason,
    Future,
    GenServer,
    Reply,
    StableRef,
    StartChild,
    TerminateChild,
    cast,
    crash_points,
    is_clean,
    monitor,
)
from .commands import AwaitOpen, Connect, Resume
from .directory import Directory, SessionEntry
from .errors import InvalidCommand, SessionError, UnknownSession
from .events import SessionClosed
from .recipe import SessionRecipe, new_id
from .session import SessionActor
from .session_proxy import SessionProxy
from .tool_box import runnable_tools
from .tool_runner import ToolRunner

_log = logging.getLogger("trunkline.actors")


@dataclass(frozen=True, slots=True)
class BrokerRecipe:
    """Everything a broker needs to start.

    Attributes:
        model: the provider's name of the model.
        gateway: the provider.
        config: what a session is configured with unless ``connect`` overrides it.
        runner: decides how many tool calls of a session run at once.
    """

    model: str
    gateway: Gateway
    config: Config
    runner: ToolRunner


@dataclass(frozen=True, slots=True)
class _Started:
    """The SessionSupervisor's answer."""

    session_id: str
    answer: Future[Any]


@dataclass(frozen=True, slots=True)
class _Opened:
    """The session's answer to AwaitOpen."""

    session_id: str
    answer: Future[Any]


@dataclass(frozen=True, slots=True)
class _Gone:
    """A session that could not connect has ended."""

    session_id: str
    error: BaseException


class BrokerActor(GenServer):
    """Opens sessions under the SessionSupervisor.

    Args:
        recipe: what a session is made of.
        directory: the sessions; it outlives this incarnation.
        sessions: the SessionSupervisor's StableRef.
        workers: the WorkerSupervisor's StableRef.
    """

    def __init__(
        self, recipe: BrokerRecipe, directory: Directory, sessions: StableRef[Any], workers: StableRef[Any]
    ) -> None:
        super().__init__()
        self._recipe = recipe
        self._directory = directory
        self._sessions = sessions
        self._workers = workers
        self._connecting: dict[str, Reply] = {}

    def on_start(self) -> None:
        """Take over the sessions of an earlier incarnation; end those whose caller was lost with it."""
        for entry in self._directory.entries():
            if entry.connected and entry.ref is not None:
                monitor(entry.ref, self.actor_ref, entry.session_id)
            else:
                self._give_up(entry)

    def on_receive(self, message: Any) -> Any:
        """Dispatch."""
        match message:
            case Connect(overrides):
                self._open(new_id("session"), overrides)
            case Resume(session_id, overrides):
                self._resume(session_id, overrides)
            case _Started(session_id, answer):
                self._started(session_id, answer)
            case _Opened(session_id, answer):
                self._opened(session_id, answer)
            case _Gone(session_id, error):
                self._refuse(session_id, error)
            case Down(session_id, _, reason):
                self._down(session_id, reason)
            case _:
                return super().on_receive(message)
        return None

    # -- connecting

    def _resume(self, session_id: str, overrides: Mapping[str, Any]) -> None:
        if self._directory.get(session_id) is not None:
            raise InvalidCommand(f"session {session_id!r} is open: use the proxy that connect() gave")
        if not self._directory.is_known(session_id):
            raise UnknownSession(session_id)
        self._open(session_id, overrides, resumed=True)

    def _open(self, session_id: str, overrides: Mapping[str, Any], *, resumed: bool = False) -> None:
        if crash_points.armed:
            crash_points.reach("broker.before_connect")
        reply = self._defer_reply()
        try:
            config = self._recipe.config.replace(**overrides)
            tools = runnable_tools(config.tools, approves=config.approve_tool is not None)
            entry = self._directory.add(session_id, config.input_audio_format)
        except (GatewayError, SessionError, TypeError) as error:
            reply.set_exception(error)  # the caller's affair, and the caller's alone
            return
        recipe = self._recipe
        session = SessionRecipe(session_id, recipe.model, recipe.gateway, config, tools, recipe.runner)
        if resumed:
            entry.subscribers.keep_for_the_first()
        self._connecting[session_id] = reply
        spec = ChildSpec(
            session_id,
            SessionActor,
            (session, entry, self._workers),
            restart="transient",
            shutdown=config.close_timeout_s,
            mailbox="keep",
        )
        self._then(self._sessions, StartChild(spec), lambda answer: self._note_start(session_id, answer))

    def _note_start(self, session_id: str, answer: Future[Any]) -> _Started:
        """In the SessionSupervisor's thread: this incarnation of the broker may be gone before it reads the answer."""
        if answer.exception() is None and not self._directory.started(session_id, answer.get()):
            self._sessions.ask(TerminateChild(answer.get()), block=False)
        return _Started(session_id, answer)

    def _started(self, session_id: str, answer: Future[Any]) -> None:
        if crash_points.armed:
            crash_points.reach("broker.after_child_started")
        error = answer.exception()
        if error is not None:
            self._refuse(session_id, error)
        else:
            self._await_open(session_id, answer.get())

    def _await_open(self, session_id: str, ref: StableRef[Any]) -> None:
        self._then(ref, AwaitOpen(), lambda opened: _Opened(session_id, opened))

    def _opened(self, session_id: str, answer: Future[Any]) -> None:
        entry = self._directory.get(session_id)
        error = answer.exception()
        if entry is None or entry.ref is None:
            return
        if isinstance(error, ActorDown) and entry.ref.state != "stopped":
            # It crashed while connecting: its next incarnation goes on.
            self._await_open(session_id, entry.ref)
            return
        if error is not None:
            failure = entry.failure or error  # it may have ended before our question came
            # The caller hears of it when nothing is left of the attempt.
            self._then(self._sessions, TerminateChild(entry.ref), lambda _: _Gone(session_id, failure))
            return
        entry.connected = True
        monitor(entry.ref, self.actor_ref, session_id)
        reply = self._connecting.pop(session_id, None)
        if reply is not None:
            reply.set(SessionProxy(entry, self._sessions))
        _log.info("session connected", extra={"session_id": session_id})

    def _refuse(self, session_id: str, error: BaseException) -> None:
        self._directory.forget(session_id, SessionClosed("error", getattr(error, "code", None), str(error)))
        reply = self._connecting.pop(session_id, None)
        if reply is not None:
            reply.set_exception(error)

    # -- the end of sessions

    def _down(self, session_id: str, reason: ExitReason) -> None:
        """A session is gone for good."""
        entry = self._directory.get(session_id)
        if is_clean(reason) or (entry is not None and entry.closing):
            closed = SessionClosed("client")
        else:
            closed = SessionClosed(
                "error", "session_crashed", f"the session was given up: {type(reason).__name__}"
            )
            _log.error("session given up", extra={"session_id": session_id})
        entry = self._directory.forget(session_id, closed)
        for tool in list(entry.tools.values()) if entry is not None else ():
            if tool.ref is not None:  # it outlived a crash, and there is no next incarnation
                self._workers.ask(TerminateChild(tool.ref), block=False)

    def _give_up(self, entry: SessionEntry) -> None:
        lost = "the broker crashed while the session was connecting"
        self._directory.forget(entry.session_id, SessionClosed("error", "broker_crashed", lost))
        if entry.ref is not None:
            self._sessions.ask(TerminateChild(entry.ref), block=False)

    def _then(self, ref: StableRef[Any], message: object, follow_up: Callable[[Future[Any]], object]) -> None:
        """Ask, and get the answer as a message of one's own."""
        answer = ref.ask(message, block=False)
        assert isinstance(answer, Future)
        me = self.actor_ref
        answer.add_done_callback(lambda done: cast(me, follow_up(done)))
