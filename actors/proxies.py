"""What a program holds: the proxies of a broker and of a session. Owns no thread; any thread may use them.

They are pykka proxies on StableRefs: the same one goes on working across restarts. Each method that goes by message
returns a future (``.get()`` or ``await``); ``events()``, ``close()`` and ``stop()`` work in the caller's thread.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self, cast

import pykka
from pykka import messages

from ..gateway.audio import array_to_pcm16
from ..supervision import Future, StableProxy, StableRef, TerminateChild, Tree, call
from . import commands as cmd
from .directory import Directory, SessionEntry
from .event_stream import EventStream
from .events import Pcm16, SessionClosed
from .history import HistoryItem
from .own_future import OwnFuture
from .usage import SessionUsage

TREE_TIMEOUT_S = 5.0


class SessionProxy(StableProxy[Any]):
    """One session, whatever happens to its actor and its line.

    Commands are accepted while the line is down, and answered when it is back; see DESIGN section 5 for what *accepted*
    promises. A command to a session that is closed fails with :class:`trunkline.supervision.ActorDown`.
    """

    def __init__(self, entry: SessionEntry, supervisor: StableRef[Any]) -> None:
        ref = cast("StableRef[Any]", entry.ref)
        super().__init__(actor_ref=ref)
        self._entry = entry
        self._supervisor = supervisor

    @property
    def session_id(self) -> str:
        """Our id of the session: unique, and the same across restarts and reconnects."""
        return self._entry.session_id

    # -- in the caller's thread

    def events(self) -> EventStream:
        """Return a new stream of this session's events, ``session_opened`` first. Iterate it, or ``async for``."""
        return self._entry.subscribers.stream()

    def close(self) -> Future[None]:
        """End the session: within ``Config.close_timeout_s`` and a grace, even if session, server and tools all hang.

        Idempotent. The future is done when the session's actor is down and every subscriber has had ``session_closed``.
        """
        entry = self._entry
        done: Future[None] = OwnFuture() if entry.subscribers.called_here() else Future()

        def ended(_: Future[Any]) -> None:
            entry.subscribers.close(SessionClosed("client"))
            done.set(None)

        terminated = self._supervisor.ask(TerminateChild(self.actor_ref), block=False)
        terminated.add_done_callback(ended)
        return done

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close().get()

    # -- by message

    def _ask(self, message: Any) -> Future[Any]:
        asked = super()._ask(message)
        if not self._entry.subscribers.called_here():
            return asked
        own = OwnFuture[Any]()
        own.follow(asked)
        return own

    def send_text(self, text: str) -> Future[str]:
        """Say something as the user and ask for a reply. The future brings the item's id once it is accepted.

        Raises:
            InvalidCommand: no text. The caller's fault.
        """
        return self._ask(cmd.SendText(text))

    def send_audio_frame(self, pcm: Pcm16) -> Future[None]:
        """Append input audio. ``pcm``: ``(n_samples,) int16``, mono, 24 kHz; encoded here, so the array may be reused at once."""
        return self._ask(cmd.SendAudio(array_to_pcm16(pcm)))

    def commit_audio(self) -> Future[None]:
        """Make what was appended a user message and ask for a reply: push to talk. At least 100 ms of audio."""
        return self._ask(cmd.CommitAudio())

    def clear_audio(self) -> Future[None]:
        """Forget the input audio that was not committed."""
        return self._ask(cmd.ClearAudio())

    def create_response(self) -> Future[None]:
        """Ask for a reply without saying anything."""
        return self._ask(cmd.CreateResponse())

    def interrupt(self) -> Future[None]:
        """Stop what the model is saying, and the tools at work for it."""
        return self._ask(cmd.Interrupt())

    def report_playback(self, item_id: str, played_ms: float) -> Future[None]:
        """Say how much of a spoken item was played, milliseconds: what was not is taken back from the model when it is cut off.

        Without reports it is estimated from when the audio was delivered and how long it is. Report regularly while it
        plays, or at least before `interrupt()`: from the first report on, nothing is estimated any more.
        """
        return self._ask(cmd.ReportPlayback(item_id, played_ms))

    def history(self) -> Future[list[HistoryItem]]:
        """Return the conversation so far, in the provider's order; of what was cut off, what was heard."""
        return self._ask(cmd.GetHistory())

    def usage(self) -> Future[SessionUsage]:
        """Return what the session cost so far, across reconnects and restarts."""
        return self._ask(cmd.GetUsage())

    def update_instructions(self, instructions: str) -> Future[None]:
        """Replace the instructions; the future is done when the provider has confirmed them.

        Raises:
            ServerError: (in the future) the provider refused them.
            CommandTimeout: (in the future) no answer in time.
        """
        return self._ask(cmd.UpdateInstructions(instructions))

    def get_instructions(self) -> Future[str | None]:
        """Return the instructions that the provider confirmed last."""
        return self._ask(cmd.GetInstructions())

    def subscribe(self, subscriber: cmd.Subscriber) -> Future[None]:
        """Deliver events to an actor (as ``RealtimeEvent``, at the end ``RealtimeClose``), or call a function.

        A function runs in the session's thread: it may delay its own session, and must not wait for it (the futures it
        gets from this proxy raise ``WaitingForOneself``; ``add_done_callback`` works). What it raises is logged and harms
        nobody. Work that takes time belongs in an actor or behind ``events()``.

        When the session was killed, ``session_closed`` comes to a function in a thread of its own: the session's is stuck.
        """
        return self._ask(cmd.Subscribe(subscriber))

    def unsubscribe(self, subscriber: cmd.Subscriber) -> Future[None]:
        """Deliver no more; no error if it is no subscriber."""
        return self._ask(cmd.Unsubscribe(subscriber))


class BrokerProxy(StableProxy[Any]):
    """A broker and the supervision tree it lives in. ``with`` stops the tree."""

    def __init__(self, broker: StableRef[Any], root: pykka.ActorRef[Any], directory: Directory) -> None:
        super().__init__(actor_ref=broker)
        self._root = root
        self._directory = directory

    def connect(self, **overrides: Any) -> Future[SessionProxy]:
        """Open a session; ``overrides`` replace fields of the broker's Config for it.

        The future brings the proxy when the provider has confirmed the session, or fails and leaves nothing behind:

        Raises:
            ConfigError: an override cannot work. The caller's fault.
            ConnectError: (HandshakeRefused, ConnectTimeout, Unreachable, TlsFailed) the provider was not reached or said no.
            ServerError: the provider refused the configuration.
        """
        return self._ask(cmd.Connect(overrides))

    def resume(self, session_id: str, **overrides: Any) -> Future[SessionProxy]:
        """Go on with a session of a process that died, from the broker's durable log: see `SqliteSessionLog`.

        The conversation is told again to the provider; who was left unanswered is answered; a tool whose output was recorded
        does not run again. The session has this broker's Config, with `overrides`, and the instructions it had last.
        The future is as that of `connect`; besides:

        Raises:
            UnknownSession: the log knows no such session. The caller's fault, as is
            InvalidCommand: the session is open in this broker.
        """
        return self._ask(cmd.Resume(session_id, overrides))

    def stop(self) -> Future[None]:
        """End all sessions and the whole tree, in order. Idempotent; the future is done when nothing is left."""
        in_callback = any(entry.subscribers.called_here() for entry in self._directory.entries())
        done: Future[None] = OwnFuture() if in_callback else Future()
        stopped = self._root.ask(messages._ActorStop(), block=False)
        cast("Future[Any]", stopped).add_done_callback(lambda _: done.set(None))
        return done

    def tree(self) -> Any:
        """Return the supervision tree as it is now; ``str()`` of it is for people."""
        return call(self._root, Tree(), TREE_TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop().get()
