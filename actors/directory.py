"""What must survive a session's crash, by session id: its subscribers and its log. Owns no thread; any thread may use it.

Source: DESIGN section 2 ("The tree").
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from ..supervision import StableRef
from .audio_intake import AudioIntake
from .crew import ToolAtWork
from .events import SessionClosed
from .open_turns import OpenTurns
from .recipe import SessionRecipe
from .session_log import ClaimedLog, MemorySessionLogs, SessionLog, SessionLogs
from .subscribers import Subscribers
from .tool_processes import ToolProcesses


@dataclass(slots=True, eq=False)
class SessionEntry:
    """One session, across its incarnations.

    Attributes:
        ref: the session's StableRef, once its supervisor has started it.
        connected: whether ``connect()`` has handed the session out.
        closing: whether its client has asked for its end.
        starts: how many incarnations there were.
        tools: the calls at work, by call_id.
        audio: what the application says, on its way to the session.
        processes: the broker's, for isolated tools.
        recipe: what the session was made by changes at runtime; None if there were none.
        turns: those that subscribers saw begin and not end.
        claims: the log, as long as it keeps others from having this session.
        failure: what ended it, if something did: whoever still waits for ``connect()`` may ask too late to hear it from the actor.
    """

    session_id: str
    subscribers: Subscribers
    log: SessionLog
    ref: StableRef[Any] | None = None
    connected: bool = False
    closing: bool = False
    starts: int = 0
    tools: dict[str, ToolAtWork] = field(default_factory=dict[str, ToolAtWork])
    processes: ToolProcesses = field(default_factory=ToolProcesses)
    recipe: SessionRecipe | None = None
    turns: OpenTurns = field(default_factory=OpenTurns)
    failure: Exception | None = None
    audio: AudioIntake = field(default_factory=AudioIntake)
    claims: list[ClaimedLog] = field(default_factory=list[ClaimedLog])

    def close(self, closed: SessionClosed) -> None:
        """The session is over: end its subscribers, and before that what they saw begin. Only the first call does."""
        self.subscribers.close(closed, self.turns.closed)

    def release(self) -> None:
        """The session's actor is gone for good: leave the session to other processes. Only the first call does."""
        try:
            self.claims.pop().release()
        except IndexError:
            pass  # another thread was faster, or the log is nobody else's anyway


class Directory:
    """The sessions of one broker.

    Args:
        logs: where their logs are kept.
        processes: where isolated tools run.
    """

    def __init__(self, logs: SessionLogs | None = None, processes: ToolProcesses | None = None) -> None:
        self._logs = logs or MemorySessionLogs()
        self.processes = processes or ToolProcesses()
        self._lock = threading.Lock()
        self._entries: dict[str, SessionEntry] = {}

    def add(self, session_id: str, input_audio_format: str = "pcm16") -> SessionEntry:
        """Make an entry for a new session, which takes audio of this format.

        Raises:
            SessionInUse: another process has this session open.
            SessionLogError: the log cannot say whether one has.
        """
        log = self._logs.open(session_id)
        entry = SessionEntry(session_id, Subscribers(session_id), log)
        if isinstance(log, ClaimedLog):
            log.claim()
            entry.claims.append(log)
        entry.audio = AudioIntake(input_audio_format)
        entry.processes = self.processes
        with self._lock:
            self._entries[session_id] = entry
        return entry

    def get(self, session_id: str) -> SessionEntry | None:
        """Return a session's entry, None if it is gone."""
        return self._entries.get(session_id)

    def is_known(self, session_id: str) -> bool:
        """Whether there is a log of a session of this id that ended with its process."""
        return session_id in self._logs.sessions()

    def entries(self) -> list[SessionEntry]:
        """Return all entries, oldest first."""
        with self._lock:
            return list(self._entries.values())

    def started(self, session_id: str, ref: StableRef[Any]) -> bool:
        """Note a session's StableRef. Returns False if nobody wants it any more: then it must be ended."""
        with self._lock:
            entry = self._entries.get(session_id)
            if entry is not None:
                entry.ref = ref
            return entry is not None

    def forget(self, session_id: str, closed: SessionClosed) -> SessionEntry | None:
        """The session is over: end its subscribers, if nobody has yet, and drop the entry.

        Returns:
            The entry, None if it was dropped already. If it has a ``ref``, its start was noted before.
        """
        with self._lock:
            entry = self._entries.pop(session_id, None)
        if entry is not None:
            entry.close(closed)
            entry.release()
        return entry

    def close_all(self, closed: SessionClosed) -> None:
        """The broker's tree is over: end every session that is left."""
        for entry in self.entries():
            self.forget(entry.session_id, closed)
