"""What a supervisor does when a child ends: OTP's tables. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, Literal, TypeAlias

from .reasons import ExitReason, is_clean

__all__ = [
    "RESTART_TYPES",
    "STRATEGIES",
    "RestartType",
    "Strategy",
    "Verdict",
    "affected",
    "after_exit",
    "is_reported",
]

RestartType: TypeAlias = Literal["permanent", "transient", "temporary"]
RESTART_TYPES: tuple[RestartType, ...] = ("permanent", "transient", "temporary")
Strategy: TypeAlias = Literal["one_for_one"]
STRATEGIES: tuple[Strategy, ...] = ("one_for_one",)


class Verdict(Enum):
    """What becomes of a child that ended by itself."""

    RESTART = "restart"
    STOP = "stop"
    """It stays down; its spec stays."""
    REMOVE = "remove"
    """It stays down and is forgotten."""


_AFTER_EXIT: dict[tuple[RestartType, bool], Verdict] = {
    # (restart type, clean reason)
    ("permanent", True): Verdict.RESTART,
    ("permanent", False): Verdict.RESTART,
    ("transient", True): Verdict.STOP,
    ("transient", False): Verdict.RESTART,
    ("temporary", True): Verdict.REMOVE,
    ("temporary", False): Verdict.REMOVE,
}


def after_exit(restart: RestartType, reason: ExitReason) -> Verdict:
    """Return what becomes of a child with this restart type that ended for this reason.

    Source: supervisor.erl, do_restart/3.
    """
    return _AFTER_EXIT[restart, is_clean(reason)]


def is_reported(restart: RestartType, reason: ExitReason) -> bool:
    """Return whether this end is worth a report: any of a permanent child, else the unclean ones."""
    return restart == "permanent" or not is_clean(reason)


def affected(strategy: Strategy, ids: Sequence[Any], ended: Any) -> list[Any]:
    """Return the ids, in start order, of the children to start again when `ended` is to be restarted.

    Source: supervisor.erl, restart/4.
    """
    match strategy:
        case "one_for_one":
            return [child_id for child_id in ids if child_id == ended]
