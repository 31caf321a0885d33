"""A supervisor of a fixed list of children, by id. Owns a thread; it waits in it while a child starts or ends, as in OTP."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import pykka

from .child_spec import ChildSpec
from .clock import Clock
from .ending import end_together, is_expected_end
from .errors import (
    AlreadyPresent,
    AlreadyStarted,
    InvalidSpec,
    NotFound,
    Restarting,
    Running,
    StartError,
    StartTimeout,
    cause_of,
)
from .launching import Incarnation, launch
from .policy import STRATEGIES, Strategy, Verdict, affected, after_exit, is_reported
from .reasons import NORMAL, SHUTDOWN, Exit, ExitReason, Shutdown
from .requests import RESTARTING, ChildInfo
from .stable_ref import StableRef
from .supervised import supervisable
from .supervising import Supervising

__all__ = ["Supervisor"]


@dataclass(slots=True, eq=False)
class _Child:
    spec: ChildSpec
    stable_ref: StableRef[Any]
    incarnation: Incarnation | None = None
    restarting: bool = False
    last_reason: ExitReason = NORMAL


@dataclass(frozen=True, slots=True, eq=False)
class _Ended:
    child: _Child
    incarnation: Incarnation
    reason: ExitReason


@dataclass(frozen=True, slots=True, eq=False)
class _TryAgain:
    child: _Child


class Supervisor(Supervising):
    """Starts its children in order, restarts them by their specs, ends them in reverse order.

    `Supervisor.start([spec, ...])` returns when every child has acked its start; `ref.stop()` returns when all are
    down. Subclass it and override `terminate(reason)` for what is to be done after all children are down.

    Args:
        children: their specs. A `Sibling(id)` in a spec's arguments becomes that child's StableRef.
        strategy: what restarts with a child that ended.
        max_restarts: more restarts than this within `max_seconds` and the supervisor gives up: it ends with SHUTDOWN.
        max_seconds: the restart window, seconds.
        name: for threads, reports and the tree.
        on_report: called with each `Report`, in the supervisor's thread.
        clock: for the supervisor and the children that have none of their own.

    Raises:
        InvalidSpec: an argument is wrong.

    Source: supervisor(3).
    """

    use_daemon_thread: ClassVar[bool] = False

    def __init__(
        self,
        children: Iterable[ChildSpec] = (),
        *,
        strategy: Strategy = "one_for_one",
        max_restarts: int = 3,
        max_seconds: float = 5.0,
        name: str | None = None,
        on_report: Any = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(
            max_restarts=max_restarts, max_seconds=max_seconds, name=name, on_report=on_report, clock=clock
        )
        if strategy not in STRATEGIES:
            raise InvalidSpec("strategy", strategy, f"one of {STRATEGIES}")
        self._strategy: Strategy = strategy
        self._children: dict[Any, _Child] = {}
        for spec in children:
            self._check_spec(spec)
            if spec.id in self._children:
                raise InvalidSpec("children", spec.id, "ids that are unique in their supervisor")
            self._children[spec.id] = self._new_child(spec)

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> pykka.ActorRef[Self]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Start the supervisor and its children; return when every child has acked its start.

        Its thread is no daemon: the process lives as long as the tree. Arguments: see the class.

        Raises:
            InvalidSpec: an argument is wrong; no thread was started.
            StartError: a child did not start; those before it were ended, in reverse order.
        """
        return cls._start_root(args, kwargs)

    def on_start(self) -> None:
        """Start the children in order; if one fails, end those before it and fail with its reason."""
        super().on_start()
        for child in list(self._children.values()):
            if (reason := self._start(child)) is not None:
                self._wind_down(SHUTDOWN)
                raise Exit(Shutdown(("failed_to_start_child", child.spec.id, reason))) from cause_of(reason)

    # -- requests --

    def start_child(self, spec: ChildSpec) -> StableRef[Any]:
        """Add a child and start it; see `StartChild`."""
        self._check_spec(spec)
        known = self._children.get(spec.id)
        if known is not None:
            if known.incarnation is not None:
                raise AlreadyStarted(known.stable_ref)
            raise AlreadyPresent(spec.id)
        child = self._children[spec.id] = self._new_child(spec)
        if (reason := self._start(child)) is not None:
            self._forget(child, reason)
            raise StartError(reason)
        return child.stable_ref

    def terminate_child(self, child: Any) -> None:
        """End a child and keep its spec (unless it is temporary); see `TerminateChild`."""
        found = self._find(child)
        found.restarting = False
        reason = self._end(found) if found.incarnation is not None else found.last_reason
        if found.spec.restart == "temporary":
            self._forget(found, reason)
        else:
            found.stable_ref._end(reason)

    def restart_child(self, id: Any) -> StableRef[Any]:
        """Start a child again that is down; see `RestartChild`."""
        child = self._find_down(id)
        if (reason := self._start(child)) is not None:
            child.stable_ref._end(reason)
            raise StartError(reason)
        return child.stable_ref

    def delete_child(self, id: Any) -> None:
        """Forget a child that is down; see `DeleteChild`."""
        child = self._find_down(id)
        self._forget(child, child.last_reason)

    def which_children(self) -> list[ChildInfo]:
        """List the children, last started first; see `WhichChildren`."""
        return [self._info(child) for child in reversed(self._children.values())]

    def which_child(self, child: Any) -> ChildInfo:
        """Look up one child by id; see `WhichChild`."""
        return self._info(self._find(child))

    def get_child_spec(self, child: Any) -> ChildSpec:
        """Look up a child's spec by id; see `GetChildSpec`."""
        return self._find(child).spec

    def _find(self, child_id: Any) -> _Child:
        try:
            return self._children[child_id]
        except (KeyError, TypeError):
            raise NotFound(child_id) from None

    def _find_down(self, child_id: Any) -> _Child:
        child = self._find(child_id)
        if child.restarting:
            raise Restarting(child_id)
        if child.incarnation is not None:
            raise Running(child_id)
        return child

    def _info(self, child: _Child) -> ChildInfo:
        ref = RESTARTING if child.restarting else None if child.incarnation is None else child.incarnation.ref
        return ChildInfo(child.spec.id, ref, child.stable_ref, child.spec.type, child.stable_ref.restarts)

    # -- one child --

    def _new_child(self, spec: ChildSpec) -> _Child:
        return _Child(spec, StableRef(supervisable(spec.start), spec.id, keep=spec.mailbox == "keep"))

    def _start(self, child: _Child) -> ExitReason | None:
        """Start the child and wait for its ack. Return why it failed, or None."""
        siblings = {other.spec.id: other.stable_ref for other in self._children.values()}
        child.stable_ref._hold()
        try:
            incarnation = launch(
                self,
                child.spec,
                child.stable_ref,
                siblings,
                lambda _: self._bell.wake(),
                self._tell_end(child),
            )
        except BaseException as error:  # noqa: BLE001  # the child's constructor, in our thread: reported
            return self._failed_start(child, error)
        timeout_s = child.spec.start_timeout_s
        arrived = self._bell.wait_until(
            lambda: incarnation.acked or incarnation.is_down, self._now() + timeout_s
        )
        if incarnation.acked:
            child.incarnation = incarnation
            child.stable_ref._bind(incarnation.ref)
            return None
        if not arrived:
            end_together([(incarnation, child.spec)], self._bell, brutally=True)
            return self._failed_start(child, StartTimeout(timeout_s))
        return self._failed_start(child, incarnation.reason)

    def _failed_start(self, child: _Child, reason: BaseException | ExitReason) -> ExitReason:
        reason = reason.reason if isinstance(reason, StartError) else reason
        child.last_reason = reason
        self._report("start_error", child.spec, reason)
        return reason

    def _tell_end(self, child: _Child) -> Any:
        mailbox, bell = self._mailbox, self._bell

        def on_down(incarnation: Incarnation, reason: ExitReason) -> None:
            bell.wake()
            self._cast_to(mailbox, _Ended(child, incarnation, reason))

        return on_down

    def _end(self, child: _Child) -> ExitReason:
        """End the child's incarnation and wait for it. Return its reason."""
        incarnation = child.incarnation
        assert incarnation is not None
        end_together([(incarnation, child.spec)], self._bell, brutally=self._life.killed)
        child.incarnation = None
        child.last_reason = reason = incarnation.reason
        if not self._life.killed and not is_expected_end(child.spec, reason):
            self._report("shutdown_error", child.spec, reason, incarnation.ref)
        return reason

    def _forget(self, child: _Child, reason: ExitReason) -> None:
        self._children.pop(child.spec.id, None)
        child.stable_ref._end(reason)

    # -- when a child ends by itself --

    def _on_event(self, event: Any) -> None:
        match event:
            case _Ended(child, incarnation, reason):
                # Else it is late news of an older incarnation.
                if child.incarnation is incarnation and self._is_ours(child):
                    self._on_ended(child, incarnation, reason)
            case _TryAgain(child):
                if child.restarting and self._is_ours(child):
                    self._restart(child)
            case _:
                super()._on_event(event)

    def _is_ours(self, child: _Child) -> bool:
        # A child that was deleted meanwhile is not, nor is one of an older self (mailbox="keep").
        return self._children.get(child.spec.id) is child

    def _on_ended(self, child: _Child, incarnation: Incarnation, reason: ExitReason) -> None:
        child.incarnation = None
        child.last_reason = reason
        if is_reported(child.spec.restart, reason):
            self._report("child_terminated", child.spec, reason, incarnation.ref)
        match after_exit(child.spec.restart, reason):
            case Verdict.RESTART:
                child.stable_ref._hold()
                self._restart(child)
            case Verdict.STOP:
                child.stable_ref._end(reason)
            case Verdict.REMOVE:
                self._forget(child, reason)

    def _restart(self, child: _Child) -> None:
        child.restarting = False
        self._intensity = self._intensity.add(self._now())
        if self._intensity.exceeded:
            self._report("gave_up", child.spec, child.last_reason)
            raise Exit(SHUTDOWN)
        for child_id in affected(self._strategy, list(self._children), child.spec.id):
            if self._start(self._children[child_id]) is not None:
                # Not at once: a stop, or a terminate_child, that is queued already must be served between two attempts.
                child.restarting = True
                self._cast_to(self._mailbox, _TryAgain(child))

    # -- the end --

    def _wind_down(self, reason: ExitReason) -> None:
        for child in reversed(list(self._children.values())):
            child.restarting = False
            if child.incarnation is not None:
                self._end(child)
            child.stable_ref._end(child.last_reason)
        super()._wind_down(reason)

    def _all_children(self) -> list[tuple[StableRef[Any], Incarnation | None]]:
        return [(child.stable_ref, child.incarnation) for child in list(self._children.values())]
