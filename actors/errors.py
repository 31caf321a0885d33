"""The error tree of the actors room: what a caller of a broker or a session can meet. Pure.

Each says whose fault it is and what to do; provider and network faults come from :mod:`trunkline.gateway.errors`.
"""

from __future__ import annotations

from typing import Any

from ..supervision import CallerError, CallingSelf


class SessionError(CallerError):
    """Root of this room. It goes to the caller alone: the actor that raised it lives on."""

    def __init__(self, message: str, *, code: str = "session_error") -> None:
        super().__init__(message)
        self.message = message
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, self.code))


def _rebuild(cls: type[SessionError], message: str, code: str) -> SessionError:
    error = cls.__new__(cls)
    SessionError.__init__(error, message, code=code)
    return error


class InvalidCommand(SessionError, ValueError):
    """A command's argument is of the wrong kind. The caller's fault; nothing was sent."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="invalid_command")


class SessionGone(SessionError):
    """The session is closed. The caller may ``broker.connect()`` a new one."""

    def __init__(self, message: str = "the session is closed: connect a new one") -> None:
        super().__init__(message, code="session_closed")


class WaitingForOneself(SessionError, CallingSelf):
    """A callback waited for its own session, which runs it and goes on when it returns. The callback's fault."""

    def __init__(self) -> None:
        super().__init__(
            "this is the session's own thread, in a callback, and to wait for the session here is to wait for ever: use"
            " add_done_callback(), or read events() in a thread of your own",
            code="waiting_for_oneself",
        )

    def __str__(self) -> str:
        return self.message


class CommandTimeout(SessionError, TimeoutError):
    """The provider did not answer a command in time. It may still take effect."""

    def __init__(self, command: str, timeout_s: float) -> None:
        super().__init__(
            f"{command}: no answer from the provider within {timeout_s} s", code="command_timeout"
        )


class LineDown(SessionError):
    """The command needs the line and the line is down; it was not accepted. The caller may retry."""

    def __init__(self, command: str) -> None:
        super().__init__(f"{command}: the line is down and the command cannot be held", code="line_down")


class UnknownSession(SessionError):
    """The session log knows no session of this id. The caller's fault: see `SqliteSessionLog.sessions()`."""

    def __init__(self, session_id: str) -> None:
        super().__init__(
            f"there is nothing to resume of a session {session_id!r}: the broker's session_log knows none of this id",
            code="unknown_session",
        )
        self.session_id = session_id

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.session_id,))


class SessionInUse(SessionError):
    """Another process, or another broker of this one, has this session open. It may be resumed when that has ended.

    Attributes:
        session_id: which session.
        pid: the process that has it.
    """

    def __init__(self, session_id: str, pid: int) -> None:
        super().__init__(
            f"session {session_id!r} is open in process {pid}: it can be resumed when it is closed there, or that process ends",
            code="session_in_use",
        )
        self.session_id = session_id
        self.pid = pid

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.session_id, self.pid))


class SessionLogError(SessionError):
    """The session log cannot be read or written: see to its file and its disk. A session that cannot write it crashes."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="session_log_failed")
