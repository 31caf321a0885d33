"""Which process has which session of a log open. Owns a file, which the system unlocks when its process ends, however it ends.

A claim is a row that names its owner; an owner is a file that it keeps locked. So nobody has to renew a claim, one lock
does for any number of sessions, and a claim whose owner was killed is free at that moment.

Source: decision 0015; flock(2).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import uuid

from .errors import SessionInUse

_SCHEMA = """
CREATE TABLE IF NOT EXISTS claims (session_id TEXT NOT NULL PRIMARY KEY, owner TEXT NOT NULL) WITHOUT ROWID
"""


class SessionClaims:
    """The claims of one open log. Used by one thread at a time.

    Args:
        path: of the database.
        connection: to it; every statement is a transaction of its own.
    """

    def __init__(self, path: str, connection: sqlite3.Connection) -> None:
        self._prefix = f"{os.path.realpath(path)}-owner-"
        self._connection = connection
        self._owner = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self._lock_fd: int | None = None
        self._alone = path in ("", ":memory:")  # no other process can have it open
        connection.execute(_SCHEMA)

    def take(self, session_id: str) -> None:
        """Have a session to oneself, until `give_back`, `close` or the end of this process.

        Raises:
            SessionInUse: somebody has it, and lives: another process, or another broker of this one.
        """
        if self._alone:
            return
        self._be_seen_alive()
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        try:
            row = execute("SELECT owner FROM claims WHERE session_id = ?", (session_id,)).fetchone()
            if row is not None and self._lives(row[0]):
                raise SessionInUse(session_id, int(row[0].partition("-")[0]))
            execute("INSERT OR REPLACE INTO claims VALUES (?, ?)", (session_id, self._owner))
        except BaseException:
            execute("ROLLBACK")
            raise
        execute("COMMIT")

    def give_back(self, session_id: str) -> None:
        """Leave a session to others; nothing happens if it is theirs already."""
        self._connection.execute(
            "DELETE FROM claims WHERE session_id = ? AND owner = ?", (session_id, self._owner)
        )

    def close(self) -> None:
        """Give everything back. Idempotent."""
        if self._lock_fd is None:
            return
        with contextlib.suppress(sqlite3.Error):  # whose owner is gone is free anyway
            self._connection.execute("DELETE FROM claims WHERE owner = ?", (self._owner,))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._prefix + self._owner)
        os.close(self._lock_fd)
        self._lock_fd = None

    def _be_seen_alive(self) -> None:
        """Lock a file of one's own; before the first claim, so that nobody ever sees a claim without it."""
        if self._lock_fd is None:
            lock_fd = os.open(self._prefix + self._owner, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._lock_fd = lock_fd

    def _lives(self, owner: str) -> bool:
        path = self._prefix + owner
        try:
            lock_fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)  # it was killed, and nobody has tidied up after it
            return False
        finally:
            os.close(lock_fd)
