"""What the session is configured with, and the changes that the provider has not answered yet. Pure.

One change is on its way at a time: ``session.updated`` names no client event, so that its answer can be told from the next one's.
After a time-out the answer may still come: it belongs to the change whose instructions it repeats, and where that does not tell,
to the one that somebody still waits for. Refusals are matched by event id.

Source: the session contract, statements 12 and 13; protocol reference A.8 (session.update).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..gateway.config import Config
from ..gateway.errors import ConfigError, GatewayError, ServerError
from ..gateway.session_update import session_change
from ..gateway.wire_types import ErrorDetail
from .dialect import Dialect, identified
from .effects import NOTHING, Effect, Effects, Record, Reject, Resolve, Send, StartTimer, StopTimer
from .errors import CommandTimeout
from .events import Error
from .session_log import SessionConfirmed, SettingsChanged

CALL_TIMEOUT_S = 5.0


@dataclass(slots=True)
class _Update:
    """A change that somebody wants. ``after``: the configuration with it, once it is on its way."""

    event_id: str
    token: int | None
    command: str
    overrides: Mapping[str, Any]
    after: Config | None = None


class ConfigUpdates:
    """The effective configuration and what is to become of it.

    Attributes:
        config: what the provider confirmed last, or will be asked for.

    Args:
        config: the first.
        dialect: how the provider wants it.
        new_id: makes a unique id from a prefix.
        follow: is told of each new configuration.
    """

    def __init__(
        self,
        config: Config,
        dialect: Dialect,
        new_id: Callable[[str], str],
        follow: Callable[[Config], Effects],
    ) -> None:
        self.config = config
        self._follow = follow
        self._dialect = dialect
        self._new_id = new_id
        self._waiting: deque[_Update] = deque()
        self._sent: _Update | None = None
        self._late: list[_Update] = []  # timed out, and may be answered yet
        self._up = False

    @property
    def busy(self) -> bool:
        """Whether a change waits or is on its way."""
        return self._sent is not None or bool(self._waiting)

    def want(self, overrides: Mapping[str, Any], token: int | None, command: str) -> Effects:
        """Somebody wants other settings; without a line they go out when there is one."""
        update = _Update(self._new_id("event"), token, command, overrides)
        self._waiting.append(update)
        return [StartTimer(("update", update.event_id), CALL_TIMEOUT_S), *self._proceed()]

    def line_up(self) -> Effects:
        """The session is configured on a line, with what was confirmed so far."""
        self._up = True
        return self._proceed()

    def line_down(self) -> None:
        """What the lost line left unanswered is sent again on the next, and comes first."""
        self._up = False
        self._late.clear()
        if self._sent is not None:
            self._waiting.appendleft(self._sent)
            self._sent = None

    def confirmed(self, repeated: str | None) -> tuple[bool, Effects, Effects]:
        """The provider confirmed a change; ``repeated``: the instructions in its answer.

        Returns whether it was one of these, what it changes, and whom it answers.
        """
        update = self._answered(repeated)
        if update is None or update.after is None:
            return False, NOTHING, NOTHING
        if update is self._sent:
            self._sent = None
            self.config = update.after
        else:
            self._late.remove(update)
            try:
                self.config = self.config.replace(**update.overrides)
            except ConfigError:
                return True, NOTHING, self._proceed()  # it no longer goes with what was changed since
        return True, self._changed(update), [*_answer(update), *self._proceed()]

    def refused(self, detail: ErrorDetail) -> Effects | None:
        """The provider refused an event: effects if it was one of these, else None."""
        late = next((update for update in self._late if update.event_id == detail.event_id), None)
        if late is not None:
            self._late.remove(late)
            return NOTHING
        update = self._sent
        if update is None or update.event_id != detail.event_id:
            return None
        self._sent = None
        return [*_fail(update, ServerError.from_detail(detail)), *self._proceed()]

    def timed_out(self, event_id: str) -> Effects:
        """No answer came in time."""
        update = self._sent
        if update is not None and update.event_id == event_id:
            self._sent = None
            self._late.append(update)
        else:
            update = next((update for update in self._waiting if update.event_id == event_id), None)
            if update is None:
                return NOTHING
            self._waiting.remove(update)
        token, update.token = update.token, None
        failed = [] if token is None else [Reject(token, CommandTimeout(update.command, CALL_TIMEOUT_S))]
        return [*failed, *self._proceed()]

    def _proceed(self) -> list[Effect]:
        """Send the next change, if none is on its way."""
        effects: list[Effect] = []
        while self._up and self._sent is None and self._waiting:
            update = self._waiting.popleft()
            try:
                after = update.after = self.config.replace(**update.overrides)
                change = session_change(
                    self._dialect.session_update(self.config), self._dialect.session_update(after)
                )
            except ConfigError as error:
                effects += _fail(update, error)
                continue
            if change is not None:
                self._sent = update
                effects.append(Send(identified(change, update.event_id)))
                continue
            self.config = after  # nothing that the provider has to know of
            effects += [*self._changed(update), *_answer(update)]
        return effects

    def _answered(self, repeated: str | None) -> _Update | None:
        """Return the update that an answer belongs to."""
        candidates = [*([self._sent] if self._sent is not None else []), *self._late]
        same = (
            update
            for update in candidates
            if update.after is not None and update.after.instructions == repeated
        )
        return next(same, candidates[0] if candidates else None)

    def _changed(self, update: _Update) -> list[Effect]:
        """Have everybody follow, the next incarnation too: in a log there is room for text, numbers and the like."""
        effects: list[Effect] = list(self._follow(self.config))
        if "instructions" in update.overrides:
            effects.append(Record(SessionConfirmed(self.config.instructions)))
        names = [name for name in update.overrides if name != "instructions"]
        if names:
            values = {name: getattr(self.config, name) for name in names}
            plain = {name: value for name, value in values.items() if _is_plain(value)}
            effects.append(Record(SettingsChanged(plain, tuple(name for name in names if name not in plain))))
        return effects


def remembered(config: Config, instructions: str | None, settings: Mapping[str, Any]) -> Config:
    """Return a configuration with what a log remembers of an earlier one, as far as the two go together."""
    wanted = dict(settings)
    if instructions is not None:
        wanted["instructions"] = instructions
    try:
        return config.replace(**wanted)
    except GatewayError:
        pass
    for name, value in wanted.items():
        try:
            config = config.replace(**{name: value})
        except GatewayError:
            continue
    return config


def _is_plain(value: object) -> bool:
    if isinstance(value, tuple):
        return bool(value) and all(isinstance(one, str) for one in value)
    return value is None or isinstance(value, str | bool | int | float)


def _answer(update: _Update) -> list[Effect]:
    stop = StopTimer(("update", update.event_id))
    return [stop] if update.token is None else [stop, Resolve(update.token)]


def _fail(update: _Update, error: GatewayError) -> list[Effect]:
    stop = StopTimer(("update", update.event_id))
    if update.token is not None:
        return [stop, Reject(update.token, error)]
    param = error.param if isinstance(error, ServerError) else None
    code = error.code or "server_error"
    return [stop, Error(code, error.message, param, error.recoverable, update.event_id)]
