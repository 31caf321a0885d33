"""What a supervisor does when a child ends: OTP's tables. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, TypeAlias

from .reasons import ExitReason, is_clean

__all__ = [
    "AUTO_SHUTDOWNS",
    "RESTART_TYPES",
    "STATES",
    "STRATEGIES",
    "AutoShutdown",
    "Decision",
    "RestartType",
    "Scope",
    "State",
    "Strategy",
    "Verdict",
    "affected",
    "after_exit",
    "ends_supervisor",
    "is_reported",
]

RestartType: TypeAlias = Literal["permanent", "transient", "temporary"]
RESTART_TYPES: tuple[RestartType, ...] = ("permanent", "transient", "temporary")
Strategy: TypeAlias = Literal["one_for_one", "one_for_all", "rest_for_one"]
STRATEGIES: tuple[Strategy, ...] = ("one_for_one", "one_for_all", "rest_for_one")
AutoShutdown: TypeAlias = Literal["never", "any_significant", "all_significant"]
AUTO_SHUTDOWNS: tuple[AutoShutdown, ...] = ("never", "any_significant", "all_significant")


class State(Enum):
    """What its supervisor was doing with a child when the child ended."""

    RUNNING = "running"
    """Nothing: it ended by itself."""
    RESTARTING = "restarting"
    """Starting it again: an attempt failed."""
    BYSTANDER = "bystander"
    """Ending it because a sibling is to be restarted, and it with that sibling."""
    TERMINATING = "terminating"
    """Ending it for good: it was asked to, or ends itself."""


STATES: tuple[State, ...] = tuple(State)


class Verdict(Enum):
    """What becomes of a child that ended."""

    RESTART = "restart"
    """It is started again, and with it what the strategy says. Counts against the intensity."""
    START_AGAIN = "start_again"
    """It is started again in its turn, together with the sibling that is restarted. Counts nothing."""
    STOP = "stop"
    """It stays down; its spec stays."""
    REMOVE = "remove"
    """It stays down and is forgotten."""


class Scope(Enum):
    """Who is started again because of a child's end."""

    NOBODY = "nobody"
    ITSELF = "itself"
    REST = "rest"
    """Itself and everything that was started after it."""
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Decision:
    """What a supervisor does about one end.

    Attributes:
        verdict: what becomes of the child.
        scope: who is started again.
        significant: whether the end counts for auto_shutdown, if the child is significant.
    """

    verdict: Verdict
    scope: Scope = Scope.NOBODY
    significant: bool = False


_SCOPES: dict[Strategy, Scope] = {
    "one_for_one": Scope.ITSELF,
    "one_for_all": Scope.ALL,
    "rest_for_one": Scope.REST,
}

_VERDICTS: dict[tuple[State, RestartType, bool], Verdict] = {
    # (what the supervisor was doing, restart type, clean reason)
    (State.RUNNING, "permanent", True): Verdict.RESTART,
    (State.RUNNING, "permanent", False): Verdict.RESTART,
    (State.RUNNING, "transient", True): Verdict.STOP,
    (State.RUNNING, "transient", False): Verdict.RESTART,
    (State.RUNNING, "temporary", True): Verdict.REMOVE,
    (State.RUNNING, "temporary", False): Verdict.REMOVE,
    (State.RESTARTING, "permanent", True): Verdict.RESTART,
    (State.RESTARTING, "permanent", False): Verdict.RESTART,
    (State.RESTARTING, "transient", True): Verdict.RESTART,  # it has not done its work: it did not even start
    (State.RESTARTING, "transient", False): Verdict.RESTART,
    (State.RESTARTING, "temporary", True): Verdict.REMOVE,
    (State.RESTARTING, "temporary", False): Verdict.REMOVE,
    (State.BYSTANDER, "permanent", True): Verdict.START_AGAIN,
    (State.BYSTANDER, "permanent", False): Verdict.START_AGAIN,
    (State.BYSTANDER, "transient", True): Verdict.START_AGAIN,
    (State.BYSTANDER, "transient", False): Verdict.START_AGAIN,
    (State.BYSTANDER, "temporary", True): Verdict.REMOVE,
    (State.BYSTANDER, "temporary", False): Verdict.REMOVE,
    (State.TERMINATING, "permanent", True): Verdict.STOP,
    (State.TERMINATING, "permanent", False): Verdict.STOP,
    (State.TERMINATING, "transient", True): Verdict.STOP,
    (State.TERMINATING, "transient", False): Verdict.STOP,
    (State.TERMINATING, "temporary", True): Verdict.REMOVE,
    (State.TERMINATING, "temporary", False): Verdict.REMOVE,
}

_AFTER_EXIT: dict[tuple[Strategy, RestartType, bool, State], Decision] = {
    (strategy, restart, clean, state): Decision(
        verdict,
        _SCOPES[strategy] if verdict is Verdict.RESTART else Scope.NOBODY,
        significant=state is State.RUNNING and verdict is not Verdict.RESTART,
    )
    for strategy in STRATEGIES
    for (state, restart, clean), verdict in _VERDICTS.items()
}


def after_exit(strategy: Strategy, restart: RestartType, reason: ExitReason, state: State) -> Decision:
    """Return what to do about a child with this restart type that ended for this reason in this state.

    Source: supervisor.erl, do_restart/3, restart/2, del_child/2, do_auto_shutdown/2.
    """
    return _AFTER_EXIT[strategy, restart, is_clean(reason), state]


def is_reported(restart: RestartType, reason: ExitReason) -> bool:
    """Return whether this end is worth a report: any of a permanent child, else the unclean ones."""
    return restart == "permanent" or not is_clean(reason)


def affected(scope: Scope, ids: Sequence[Any], ended: Any) -> list[Any]:
    """Return the ids, in start order, of the children to start again when `ended` is to be restarted.

    Source: supervisor.erl, restart/4.
    """
    match scope:
        case Scope.NOBODY:
            return []
        case Scope.ITSELF:
            return [ended]
        case Scope.REST:
            return list(ids[ids.index(ended) :])
        case Scope.ALL:
            return list(ids)


def ends_supervisor(auto_shutdown: AutoShutdown, significant_left: int) -> bool:
    """Return whether the end of a significant child ends its supervisor, when so many others are running or restarting.

    Source: supervisor.erl, do_auto_shutdown/2.
    """
    match auto_shutdown:
        case "never":
            return False
        case "any_significant":
            return True
        case "all_significant":
            return significant_left == 0
