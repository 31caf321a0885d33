"""How a child is started, restarted and ended: validated when built, in the caller. Pure."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import pykka

from .checks import is_a, is_seconds, require
from .policy import RESTART_TYPES, RestartType

if TYPE_CHECKING:
    from .registry import Registry

__all__ = ["BRUTAL_KILL", "BrutalKill", "ChildSpec", "Sibling"]


class BrutalKill(Enum):
    """Type of `BRUTAL_KILL`."""

    BRUTAL_KILL = "brutal_kill"

    def __repr__(self) -> str:
        return self.name


class _ByType(float):
    """Stands for a duration that nobody gave: it depends on the child's type."""

    def __repr__(self) -> str:
        return "by type"


_BY_TYPE = _ByType(-1.0)

BRUTAL_KILL = BrutalKill.BRUTAL_KILL
"""`shutdown=BRUTAL_KILL`: kill the child at once, without `terminate`."""

ChildType: TypeAlias = Literal["worker", "supervisor"]


@dataclass(frozen=True, slots=True)
class Sibling:
    """In `args` or `kwargs`: stands for the StableRef of the child `id` of the same supervisor, before or after it."""

    id: Hashable


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """The recipe of a child.

    Attributes:
        id: unique in its supervisor; a label only in a DynamicSupervisor.
        start: an actor class. One that is not `Supervised` is started as a cached subclass whose end can be
            seen; names of its own that are our hooks' stay its own.
        args: its positional start arguments; a `Sibling(id)` among them becomes that child's StableRef. Not kept of a
            temporary child that is started.
        kwargs: its keyword arguments, likewise.
        restart: permanent (always), transient (unless it ended cleanly), temporary (never).
        shutdown: seconds to end by itself when told to, then it is killed; `math.inf` (default for supervisors); or `BRUTAL_KILL`.
        type: worker or supervisor; by default what `start` is.
        significant: whether its end may end its supervisor (auto_shutdown).
        mailbox: what becomes of messages a dead incarnation had queued but not begun: "drop", or "keep" for the next one.
        start_timeout_s: seconds for `on_start`, then the start has failed; `math.inf` for supervisors.
        register: a `Registry` and the name that each incarnation has in it, from before its `on_start` until it is down.
            A name that is taken makes the start fail with `AlreadyRegistered`.
        kill_grace_s: seconds that a killed child has to leave its handler, then it is abandoned.

    Raises:
        InvalidSpec: the caller's fault; names the field.

    Source: supervisor:child_spec(); `register` is start_link's name; `mailbox`, `start_timeout_s` and `kill_grace_s` are ours.
    """

    id: Hashable
    start: type[pykka.Actor]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    restart: RestartType = "permanent"
    shutdown: float | BrutalKill = _BY_TYPE
    type: ChildType = "worker"
    significant: bool = False
    mailbox: Literal["drop", "keep"] = "drop"
    start_timeout_s: float = _BY_TYPE
    kill_grace_s: float = 0.5
    register: tuple[Registry, Hashable] | None = None

    def __post_init__(self) -> None:
        require(_is_actor_class(self.start), "start", self.start, "a pykka actor class")
        supervisor = self.type == "supervisor" or bool(getattr(self.start, "_trunkline_is_supervisor", False))
        if supervisor:
            object.__setattr__(self, "type", "supervisor")
        if self.shutdown is _BY_TYPE:
            object.__setattr__(self, "shutdown", math.inf if supervisor else 5.0)
        if self.start_timeout_s is _BY_TYPE:
            object.__setattr__(self, "start_timeout_s", math.inf if supervisor else 5.0)
        self._check()

    @property
    def to_keep(self) -> ChildSpec:
        """What a supervisor keeps of this spec once the child is started: all, but of a temporary one no arguments.

        It is never started again, and its arguments may be large.

        Source: supervisor.erl, save_child/2.
        """
        return replace(self, args=(), kwargs={}) if self.restart == "temporary" else self

    def _check(self) -> None:
        require(self.type in ("worker", "supervisor"), "type", self.type, "'worker' or 'supervisor'")
        require(self.restart in RESTART_TYPES, "restart", self.restart, f"one of {RESTART_TYPES}")
        require(self.mailbox in ("drop", "keep"), "mailbox", self.mailbox, "'drop' or 'keep'")
        brutal = self.shutdown is BRUTAL_KILL
        require(
            brutal or is_seconds(self.shutdown),
            "shutdown",
            self.shutdown,
            "seconds >= 0, math.inf, BRUTAL_KILL",
        )
        require(
            is_seconds(self.start_timeout_s),
            "start_timeout_s",
            self.start_timeout_s,
            "seconds >= 0, or math.inf",
        )
        require(is_seconds(self.kill_grace_s), "kill_grace_s", self.kill_grace_s, "seconds >= 0")
        require(is_a(self.args, tuple), "args", self.args, "a tuple")
        require(_are_kwargs(self.kwargs), "kwargs", self.kwargs, "a mapping of names to values")
        require(is_a(self.significant, bool), "significant", self.significant, "True or False")
        useless = self.significant and self.restart == "permanent"
        require(not useless, "significant", True, "False for a permanent child: it never ends for good")
        require(_is_name(self.register), "register", self.register, "(a Registry, a hashable name), or None")
        require(_is_hashable(self.id), "id", self.id, "something hashable")


def _is_actor_class(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, pykka.Actor)


def _are_kwargs(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(name, str) for name in cast("Mapping[object, Any]", value)
    )


def _is_name(value: object) -> bool:
    match value:
        case None:
            return True
        case (registry, name):
            return callable(getattr(registry, "register", None)) and _is_hashable(name)
        case _:
            return False


def _is_hashable(value: object) -> bool:
    try:
        hash(value)
    except Exception:  # noqa: BLE001  # a TypeError, or what the object itself raises
        return False
    return True
