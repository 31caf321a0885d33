"""A supervisor of children that come and go, by reference. Owns a thread.

It never waits in it while it serves: starting and ending are states of a child.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, Self, TypeAlias

import pykka

from . import crash_points
from .checks import is_count, require
from .child_spec import BRUTAL_KILL, ChildSpec
from .clock import Clock
from .ending import end_together, is_expected_end
from .errors import InvalidSpec, MaxChildren, NotFound, StartError, StartTimeout
from .incarnation import Incarnation
from .launching import launch, reason_of
from .policy import State, Verdict, after_exit, is_reported
from .reasons import IGNORE, NORMAL, SHUTDOWN, Exit, ExitReason
from .registry_order import make_oldest
from .replies import Reply
from .reports import OnReport
from .requests import RESTARTING, ChildInfo
from .restart_intensity import RestartIntensity
from .stable_ref import StableRef
from .supervised import supervisable
from .supervising import Supervising
from .timers import Timer

__all__ = ["Budget", "DynamicSupervisor"]

Budget: TypeAlias = Literal["supervisor", "child"]
BUDGETS: tuple[Budget, ...] = ("supervisor", "child")


class _Phase(Enum):
    STARTING = "starting"
    RUNNING = "running"
    RETRYING = "restarting"
    """Its last start failed; the next attempt is queued."""
    ENDING = "ending"


@dataclass(slots=True, eq=False)
class _Child:
    spec: ChildSpec
    stable_ref: StableRef[Any]
    intensity: RestartIntensity
    phase: _Phase = _Phase.STARTING
    incarnation: Incarnation | None = None
    timer: Timer | None = None
    killed: bool = False
    start_error: ExitReason | None = None
    last_reason: ExitReason = NORMAL
    starter: Reply | None = None
    terminators: list[Reply] = field(default_factory=list[Reply])


@dataclass(frozen=True, slots=True, eq=False)
class _Acked:
    child: _Child
    incarnation: Incarnation


@dataclass(frozen=True, slots=True, eq=False)
class _Ended:
    child: _Child
    incarnation: Incarnation
    reason: ExitReason


@dataclass(frozen=True, slots=True, eq=False)
class _TimeIsUp:
    child: _Child
    incarnation: Incarnation


@dataclass(frozen=True, slots=True, eq=False)
class _TryAgain:
    child: _Child


class DynamicSupervisor(Supervising):
    """Starts and ends children at any time; knows them by reference.

    `StartChild` and `TerminateChild` are answered when the child has acked, or is down; meanwhile everybody else is served.

    Args:
        max_children: more than this are refused (children that are restarting count); None: any number.
        budget: "supervisor": more than `max_restarts` restarts of all children together and the supervisor gives up,
            as in OTP. "child": they are
            counted per child, and a child over its budget is given up alone.
        max_restarts: the budget.
        max_seconds: the restart window, seconds.
        name: for threads, reports and the tree.
        on_report: called with each `Report`, in the supervisor's thread.
        clock: for the supervisor and the children that have none of their own.

    Raises:
        InvalidSpec: an argument is wrong.

    Source: Elixir's DynamicSupervisor; supervisor(3), simple_one_for_one.
    """

    def __init__(
        self,
        *,
        max_children: int | None = None,
        budget: Budget = "supervisor",
        max_restarts: int = 3,
        max_seconds: float = 5.0,
        name: str | None = None,
        on_report: OnReport | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(
            max_restarts=max_restarts, max_seconds=max_seconds, name=name, on_report=on_report, clock=clock
        )
        if budget not in BUDGETS:
            raise InvalidSpec("budget", budget, f"one of {BUDGETS}")
        require(
            max_children is None or is_count(max_children),
            "max_children",
            max_children,
            "an int >= 0, or None",
        )
        self._budget = budget
        self._max_children = max_children
        self._children: dict[StableRef[Any], _Child] = {}

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> pykka.ActorRef[Self]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Start the supervisor outside any tree. Arguments: see the class.

        Raises:
            InvalidSpec: an argument is wrong; no thread was started.
            StartError: it did not start.
        """
        return cls._start_root(args, kwargs)

    # -- requests --

    def start_child(self, spec: ChildSpec) -> None:
        """Start a child; the answer is deferred until it has acked: its StableRef. See `StartChild`."""
        self._check_spec(spec)
        if spec.significant:
            raise InvalidSpec("significant", True, "False in a DynamicSupervisor")
        if self._max_children is not None and len(self._children) >= self._max_children:
            raise MaxChildren(self._max_children)
        if crash_points.armed:
            crash_points.reach("supervisor.before_start_child")
        stable_ref: StableRef[Any] = StableRef(supervisable(spec.start), spec.id)
        intensity = RestartIntensity(self._intensity.max_restarts, self._intensity.max_seconds)
        child = self._children[stable_ref] = _Child(spec, stable_ref, intensity, starter=self._defer_reply())
        self._launch(child)

    def terminate_child(self, child: Any) -> None:
        """End a child and forget it; the answer is deferred until it is down. See `TerminateChild`."""
        found = self._find(child)
        if crash_points.armed:
            crash_points.reach("supervisor.before_terminate")
        found.terminators.append(self._defer_reply())
        if found.incarnation is None:
            self._forget(found, found.last_reason)
        elif found.phase is not _Phase.ENDING:
            # While it starts, its start's deadline holds, too: it may hang, and have all the time in the world to end.
            patience_s = found.spec.start_timeout_s if found.phase is _Phase.STARTING else math.inf
            found.phase = _Phase.ENDING
            if found.killed:
                return  # its start had timed out: the kill is under way
            if found.spec.shutdown is BRUTAL_KILL:
                self._kill(found)
            else:
                found.incarnation.stop()
                self._set_timer(found, min(patience_s, float(found.spec.shutdown)))

    def which_children(self) -> list[ChildInfo]:
        """List the children, last started first; see `WhichChildren`."""
        return [self._info(child) for child in reversed(list(self._children.values()))]

    def which_child(self, child: Any) -> ChildInfo:
        """Look up one child by reference; see `WhichChild`."""
        return self._info(self._find(child))

    def get_child_spec(self, child: Any) -> ChildSpec:
        """Look up a child's spec by reference; see `GetChildSpec`."""
        return self._find(child).spec

    def restart_child(self, id: Any) -> None:
        """There is no such request here: a child that is down is forgotten."""
        raise NotFound(id)

    def delete_child(self, id: Any) -> None:
        """There is no such request here: a child that is down is forgotten."""
        raise NotFound(id)

    def _find(self, ref: Any) -> _Child:
        if isinstance(ref, StableRef):
            if (found := self._children.get(ref)) is not None:
                return found
        elif isinstance(ref, pykka.ActorRef):
            for child in self._children.values():
                if child.stable_ref.actor_urn == ref.actor_urn:
                    return child
        raise NotFound(ref)

    def _info(self, child: _Child) -> ChildInfo:
        incarnation = child.incarnation  # once: `which_children` may be called from another thread
        ref = RESTARTING if incarnation is None or not incarnation.acked else incarnation.ref
        return ChildInfo(child.spec.id, ref, child.stable_ref, child.spec.type, child.stable_ref.restarts)

    # -- starting a child --

    def _launch(self, child: _Child) -> None:
        mailbox, bell = self._mailbox, self._bell

        def on_ack(incarnation: Incarnation) -> None:
            self._cast_to(mailbox, _Acked(child, incarnation))

        def on_down(incarnation: Incarnation, reason: ExitReason) -> None:
            bell.wake()
            self._cast_to(mailbox, _Ended(child, incarnation, reason))

        child.phase = _Phase.STARTING
        child.killed = False
        child.start_error = None
        try:
            child.incarnation = launch(self, child.spec, child.stable_ref, {}, on_ack, on_down)
        except BaseException as error:  # noqa: BLE001  # no thread for it, or no such sibling: reported
            self._not_started(child, reason_of(error))
        else:
            self._set_timer(child, child.spec.start_timeout_s)

    def _on_acked(self, child: _Child) -> None:
        if child.phase is not _Phase.STARTING or child.killed or child.incarnation is None:
            return  # it is being ended
        self._clear_timer(child)
        child.phase = _Phase.RUNNING
        child.spec = child.spec.to_keep
        assert child.incarnation.ref is not None  # it has acked
        child.stable_ref._bind(child.incarnation.ref)
        if child.starter is not None:
            if crash_points.armed:
                crash_points.reach("supervisor.after_start_child")
            child.starter.set(child.stable_ref)
            child.starter = None

    def _not_started(self, child: _Child, reason: ExitReason) -> None:
        child.last_reason = reason
        if reason is IGNORE:
            if child.starter is not None:
                child.starter.set(None)
            self._forget(child, reason)
            return
        self._report("start_error", child.spec, reason)
        if child.stable_ref._incarnations == 0:
            self._forget(child, reason)
        else:
            # Not at once: what is queued already must be served between two attempts.
            child.phase = _Phase.RETRYING
            self._cast_to(self._mailbox, _TryAgain(child))

    # -- ending a child --

    def _set_timer(self, child: _Child, seconds: float) -> None:
        self._clear_timer(child)
        if seconds != math.inf and child.incarnation is not None:
            child.timer = self._send_after(seconds, _TimeIsUp(child, child.incarnation))

    def _clear_timer(self, child: _Child) -> None:
        if child.timer is not None:
            child.timer.cancel()
            child.timer = None

    def _on_time_is_up(self, child: _Child, incarnation: Incarnation) -> None:
        if child.killed:
            incarnation.abandon()
            return
        if child.phase is _Phase.STARTING:
            # Its starter is told when it is gone, and its name free: else a second attempt would meet the first one.
            child.start_error = StartTimeout(child.spec.start_timeout_s)
        self._kill(child)

    def _kill(self, child: _Child) -> None:
        assert child.incarnation is not None
        child.killed = True
        child.incarnation.kill()
        self._set_timer(child, child.spec.kill_grace_s)

    def _forget(self, child: _Child, reason: ExitReason) -> None:
        self._clear_timer(child)
        self._children.pop(child.stable_ref, None)
        child.stable_ref._end(reason)
        if child.starter is not None:
            child.starter.set_exception(StartError(child.start_error or reason))
        for reply in child.terminators:
            reply.set(None)

    # -- events --

    def _on_event(self, event: Any) -> None:
        match event:
            case _Ended(child, incarnation, reason):
                if self._is_current(child, incarnation):
                    self._on_ended(child, incarnation, reason)
            case _Acked(child, incarnation):
                if self._is_current(child, incarnation):
                    self._on_acked(child)
            case _TimeIsUp(child, incarnation):
                if self._is_current(child, incarnation):
                    self._on_time_is_up(child, incarnation)
            case _TryAgain(child):
                if child.phase is _Phase.RETRYING and child.stable_ref in self._children:
                    self._restart(child)
            case _:
                super()._on_event(event)

    def _is_current(self, child: _Child, incarnation: Incarnation) -> bool:
        # Else it is late news of an older incarnation, or of a child of an older self (mailbox="keep").
        return child.incarnation is incarnation and child.stable_ref in self._children

    def _on_ended(self, child: _Child, incarnation: Incarnation, reason: ExitReason) -> None:
        self._clear_timer(child)
        child.incarnation = None
        if child.phase is _Phase.STARTING:
            child.stable_ref._hold()
            self._not_started(child, child.start_error or reason)
            return
        child.last_reason = reason
        if child.phase is _Phase.ENDING:
            if not is_expected_end(child.spec, reason):
                self._report("shutdown_error", child.spec, reason, incarnation.ref)
            self._forget(child, reason)
            return
        if is_reported(child.spec.restart, reason):
            self._report("child_terminated", child.spec, reason, incarnation.ref)
        if after_exit("one_for_one", child.spec.restart, reason, State.RUNNING).verdict is Verdict.RESTART:
            child.stable_ref._hold()
            self._restart(child)
        else:
            self._forget(child, reason)

    def _restart(self, child: _Child) -> None:
        if crash_points.armed:
            crash_points.reach("supervisor.before_restart")
        if self._budget == "child":
            child.intensity = counted = child.intensity.add(self._now())
        else:
            self._intensity = counted = self._intensity.add(self._now())
        if not counted.exceeded:
            self._launch(child)
            return
        self._report("gave_up", child.spec, child.last_reason)
        if self._budget == "supervisor":
            raise Exit(SHUTDOWN)
        self._forget(child, child.last_reason)

    # -- the end --

    def _wind_down(self, reason: ExitReason) -> None:
        children = list(self._children.values())
        running = [(child.incarnation, child.spec) for child in children if child.incarnation is not None]
        make_oldest([incarnation.ref for incarnation, _ in running if incarnation.ref is not None])
        end_together(running, self._bell, brutally=self._life.killed)
        for child in children:
            incarnation = child.incarnation
            ended_for = child.last_reason if incarnation is None else incarnation.reason
            asked_to = not self._life.killed and incarnation is not None
            if asked_to and not is_expected_end(child.spec, ended_for):
                self._report("shutdown_error", child.spec, ended_for)
            child.starter = None  # the mailbox answers whom this supervisor still owes an answer: it is down
            self._forget(child, ended_for)
        super()._wind_down(reason)

    def _all_children(self) -> list[tuple[StableRef[Any], Incarnation | None]]:
        return [(child.stable_ref, child.incarnation) for child in list(self._children.values())]
