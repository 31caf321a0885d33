"""A session log that outlives the process: entries as JSON in one SQLite database. Owns a file and a lock.

One connection serves all sessions: SQLite has one writer at a time anyway, and many connections would wait for each other
by polling. So this is the one lock here that is held over I/O, for as long as one row takes to be written.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Literal, Self

import msgspec

from .errors import SessionLogError
from .session_claims import SessionClaims
from .session_log import Entry, SessionLog

__all__ = ["SqliteSessionLog"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    session_id TEXT NOT NULL,
    n INTEGER NOT NULL,
    written_at REAL NOT NULL,
    entry BLOB NOT NULL,
    PRIMARY KEY (session_id, n)
) WITHOUT ROWID
"""
_VERSION = 1
_BUSY_S = 5.0

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


class SqliteSessionLog:
    """Keeps the logs of all sessions of a broker in one file: `Broker.start(..., session_log=SqliteSessionLog(path))`.

    When the process has died, `broker.resume(session_id)` in a new one goes on with the conversation. An entry is in the file
    when `append` returns, so that the death of the process loses nothing; against the loss of power, too,
    say `synchronous="full"`, which makes each write wait for the disk.

    A session is open in one process at a time: another one that would resume it meanwhile gets `SessionInUse`, until the
    session is closed or its process has ended, by whatever end. Beside the database lies a file `...-owner-...` as long as
    a process has sessions of it open.

    The text of conversations is in the file, in the clear: it is the caller's to protect, and to `delete`.

    Args:
        path: of the database; made if there is none. Its directory must exist.
        synchronous: "normal", or "full".

    Raises:
        SessionLogError: the file cannot be had, or is none of ours.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, synchronous: Literal["normal", "full"] = "normal"
    ) -> None:
        if synchronous not in ("normal", "full"):
            raise SessionLogError(f"synchronous must be 'normal' or 'full', not {synchronous!r}")
        self._path = os.fspath(path)
        self._lock = threading.Lock()
        self._next: dict[str, int] = {}
        try:
            # Manual transactions: every statement here is one of its own.
            self._connection = sqlite3.connect(
                self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
            self._prepare(synchronous)
        except sqlite3.Error as error:
            hint = (
                "" if os.path.isdir(os.path.dirname(self._path) or ".") else " (its directory does not exist)"
            )
            raise SessionLogError(f"cannot use {self._path!r} as a session log: {error}{hint}") from error

    def _prepare(self, synchronous: str) -> None:
        connection = self._connection
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={synchronous}")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version not in (0, _VERSION):
            connection.close()
            raise SessionLogError(f"{self._path!r} is of version {version}; this Trunkline reads {_VERSION}")
        connection.execute(_SCHEMA)
        connection.execute(f"PRAGMA user_version={_VERSION}")
        self._claims = SessionClaims(self._path, connection)

    def open(self, session_id: str) -> SessionLog:
        """Return the log of one session, whether there is anything in it or not."""
        return _OneSession(self, session_id)

    def sessions(self) -> list[str]:
        """Return the ids of all sessions there are, the one that was written to last first."""
        rows = self._run(
            "SELECT session_id FROM entries GROUP BY session_id ORDER BY max(written_at) DESC, session_id", ()
        )
        return [str(row[0]) for row in rows]

    def delete(self, session_id: str) -> None:
        """Forget a session, with all that was said in it; no error if there is none."""
        self._run("DELETE FROM entries WHERE session_id = ?", (session_id,))
        self._next.pop(session_id, None)

    def close(self) -> None:
        """Close the file: stop the broker before. Idempotent."""
        with self._lock:
            self._claims.close()
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SqliteSessionLog({self._path!r})"

    # -- for the logs of sessions

    def _claim(self, session_id: str) -> None:
        with self._lock:
            try:
                self._claims.take(session_id)
            except (sqlite3.Error, OSError) as error:
                raise self._failed(error) from error

    def _release(self, session_id: str) -> None:
        with self._lock, contextlib.suppress(sqlite3.Error):  # a log that is closed holds no claims
            self._claims.give_back(session_id)

    def _append(self, session_id: str, entry: Entry) -> None:
        data = _encode(entry)
        with self._lock:
            try:
                n = self._next.get(session_id)
                if n is None:
                    n = self._count(session_id)
                self._connection.execute(
                    "INSERT INTO entries VALUES (?, ?, ?, ?)", (session_id, n, time.time(), data)
                )
            except sqlite3.Error as error:
                raise self._failed(error) from error
            self._next[session_id] = n + 1

    def _count(self, session_id: str) -> int:
        query = "SELECT coalesce(max(n) + 1, 0) FROM entries WHERE session_id = ?"
        (n,) = self._connection.execute(query, (session_id,)).fetchone()
        return int(n)

    def _read(self, session_id: str) -> Sequence[Entry]:
        rows = self._run("SELECT entry FROM entries WHERE session_id = ? ORDER BY n", (session_id,))
        try:
            return tuple(_decode(row[0]) for row in rows)
        except msgspec.MsgspecError as error:
            raise SessionLogError(f"{self._path!r} holds an entry that cannot be read: {error}") from error

    def _run(self, statement: str, arguments: tuple[str, ...]) -> list[tuple[bytes, ...]]:
        with self._lock:
            try:
                return self._connection.execute(statement, arguments).fetchall()
            except sqlite3.Error as error:
                raise self._failed(error) from error

    def _failed(self, error: Exception) -> SessionLogError:
        return SessionLogError(f"the session log {self._path!r} failed: {error}")


class _OneSession:
    """The log of one session."""

    def __init__(self, log: SqliteSessionLog, session_id: str) -> None:
        self._log = log
        self._session_id = session_id

    def claim(self) -> None:
        """Have the session to oneself: see `ClaimedLog`."""
        self._log._claim(self._session_id)

    def release(self) -> None:
        """Leave the session to others."""
        self._log._release(self._session_id)

    def append(self, entry: Entry, /) -> None:
        """Add one entry; it is in the file when this returns."""
        self._log._append(self._session_id, entry)

    def read(self) -> Sequence[Entry]:
        """Return all entries, oldest first."""
        return self._log._read(self._session_id)
