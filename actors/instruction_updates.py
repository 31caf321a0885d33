"""Changes of the instructions that the provider has not answered yet. Pure.

``session.updated`` names no client event: an answer belongs to the oldest update whose instructions it repeats, or to the oldest
of all where a provider repeats none. Refusals are matched by event id.

Source: the session contract, statements 12 and 13; protocol reference A.8 (session.update).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ..gateway.errors import ServerError
from ..gateway.wire_types import ErrorDetail
from .dialect import Dialect, identified
from .effects import NOTHING, Effects, Reject, Resolve, Send, StartTimer, StopTimer
from .errors import CommandTimeout
from .events import Error

CALL_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class _Update:
    event_id: str
    token: int | None
    instructions: str
    given_up: bool = False  # timed out; kept, because its answer may still come and is nobody else's


class InstructionUpdates:
    """The updates that wait for their answer, oldest first."""

    def __init__(self, dialect: Dialect, new_id: Callable[[str], str]) -> None:
        self._dialect = dialect
        self._new_id = new_id
        self._waiting: deque[_Update] = deque()

    def want(self, instructions: str, token: int | None, *, up: bool) -> Effects:
        """Somebody wants other instructions; without a line they go out when there is one."""
        update = _Update(self._new_id("event"), token, instructions)
        self._waiting.append(update)
        send = [self._send(update)] if up else []
        return [*send, StartTimer(("update", update.event_id), CALL_TIMEOUT_S)]

    def line_up(self) -> Effects:
        """Send again what the lost line left unanswered, in order."""
        self._waiting = deque(update for update in self._waiting if not update.given_up)
        return [self._send(update) for update in self._waiting]

    def confirmed(self, repeated: str | None) -> tuple[str | None, Effects]:
        """The provider confirmed one; ``repeated``: the instructions in its answer.

        Returns the instructions confirmed, None if no update waits, and effects.
        """
        if not self._waiting:
            return None, NOTHING
        same = (update for update in self._waiting if update.instructions == repeated)
        update = next(same, self._waiting[0])
        self._waiting.remove(update)
        resolve = [] if update.token is None else [Resolve(update.token)]
        return update.instructions, [StopTimer(("update", update.event_id)), *resolve]

    def refused(self, detail: ErrorDetail) -> Effects | None:
        """The provider refused an event: effects if it was one of these, else None."""
        update = self._take(detail.event_id)
        if update is None:
            return None
        error = ServerError.from_detail(detail)
        stop = StopTimer(("update", update.event_id))
        if update.token is None:
            code = detail.code or "server_error"
            return [stop, Error(code, error.message, detail.param, error.recoverable, detail.event_id)]
        return [stop, Reject(update.token, error)]

    def timed_out(self, event_id: str) -> Effects:
        """No answer came in time."""
        place = next((i for i, update in enumerate(self._waiting) if update.event_id == event_id), None)
        if place is None:
            return NOTHING
        update = self._waiting[place]
        self._waiting[place] = _Update(event_id, None, update.instructions, given_up=True)
        if update.token is None:
            return NOTHING
        return [Reject(update.token, CommandTimeout("update_instructions", CALL_TIMEOUT_S))]

    def _take(self, event_id: str | None) -> _Update | None:
        found = next((update for update in self._waiting if update.event_id == event_id), None)
        if found is not None:
            self._waiting.remove(found)
        return found

    def _send(self, update: _Update) -> Send:
        return Send(identified(self._dialect.instructions_update(update.instructions), update.event_id))
