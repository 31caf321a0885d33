"""What a program holds of a broker: its proxy. Owns no thread; any thread may use it.

It is a pykka proxy on a StableRef, as :class:`trunkline.actors.session_proxy.SessionProxy` is.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self, cast

import pykka
from pykka import messages

from ..gateway.open_files import OpenFileLimit
from ..supervision import Future, StableProxy, StableRef, tree
from . import commands as cmd
from .directory import Directory
from .own_future import OwnFuture
from .session_proxy import SessionProxy

TREE_TIMEOUT_S = 5.0


class BrokerProxy(StableProxy[Any]):
    """A broker and the supervision tree it lives in. ``with`` stops the tree."""

    def __init__(
        self,
        broker: StableRef[Any],
        root: pykka.ActorRef[Any],
        directory: Directory,
        open_files: OpenFileLimit | None = None,
    ) -> None:
        super().__init__(actor_ref=broker)
        self._open_files = open_files
        self._root = root
        self._directory = directory

    def connect(self, **overrides: Any) -> Future[SessionProxy]:
        """Open a session; ``overrides`` replace fields of the broker's Config for it.

        A tool with a process of its own that this broker has not had yet is imported first, by that process, while the caller
        waits. The future brings the proxy when the provider has confirmed the session, or fails and leaves nothing behind:

        Raises:
            ToolDefinitionError: (at once) a tool cannot be imported by its process. The programmer's fault.
            ConfigError: an override cannot work. The caller's fault.
            ConnectError: (HandshakeRefused, ConnectTimeout, Unreachable, TlsFailed) the provider was not reached or said no.
            ServerError: the provider refused the configuration.
        """
        self._directory.processes.check(overrides.get("tools"))
        return self._ask(cmd.Connect(overrides))

    def resume(self, session_id: str, **overrides: Any) -> Future[SessionProxy]:
        """Go on with a session of a process that died, from the broker's durable log: see `SqliteSessionLog`.

        The conversation is told again to the provider; who was left unanswered is answered; a tool whose output was recorded
        does not run again. The session has this broker's Config, with `overrides`, and the instructions it had last.
        The future is as that of `connect`; besides:

        Raises:
            UnknownSession: the log knows no session of this `session_id`. The caller's fault, as is
            InvalidCommand: the session is open in this broker.
            SessionInUse: it is open in another process.
        """
        self._directory.processes.check(overrides.get("tools"))
        return self._ask(cmd.Resume(session_id, overrides))

    def stop(self) -> Future[None]:
        """End all sessions and the whole tree, in order. Idempotent; the future is done when nothing is left."""
        in_callback = any(entry.subscribers.called_here() for entry in self._directory.entries())
        done: Future[None] = OwnFuture() if in_callback else Future()
        stopped = self._root.ask(messages._ActorStop(), block=False)
        cast("Future[Any]", stopped).add_done_callback(lambda _: done.set(None))
        return done

    @property
    def open_files(self) -> OpenFileLimit | None:
        """How many files this process may have open, since the broker raised that: a session takes two. None: no such limit."""
        return self._open_files

    def tree(self) -> Any:
        """Return the supervision tree as it is now; ``str()`` of it is for people."""
        return tree(self._root, TREE_TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop().get()
