"""A supervisor of a fixed list of children, by id. Owns a thread; it waits in it while a child starts or ends, as in OTP."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import pykka

from . import crash_points
from .checks import is_a, require
from .child_spec import ChildSpec
from .children import Child, Children
from .clock import Clock
from .ending import end_together, is_expected_end
from .errors import AlreadyPresent, InvalidSpec, StartError, StartTimeout, cause_of
from .incarnation import Incarnation
from .launching import launch, reason_of
from .policy import (
    AUTO_SHUTDOWNS,
    STRATEGIES,
    AutoShutdown,
    Scope,
    State,
    Strategy,
    Verdict,
    after_exit,
    ends_supervisor,
    is_reported,
)
from .reasons import IGNORE, KILLED, SHUTDOWN, Exit, ExitReason, Shutdown
from .reports import OnReport
from .requests import ChildInfo
from .stable_ref import StableRef
from .supervising import Supervising

__all__ = ["Supervisor"]


@dataclass(frozen=True, slots=True, eq=False)
class _Ended:
    child: Child
    incarnation: Incarnation
    reason: ExitReason


@dataclass(frozen=True, slots=True, eq=False)
class _TryAgain:
    child: Child
    scope: Scope


class Supervisor(Supervising):
    """Starts its children in order, restarts them by their specs, ends them in reverse order.

    `Supervisor.start([spec, ...])` returns when every child has acked its start; `ref.stop()` returns when all are
    down. Subclass it and override `terminate(reason)` for what is to be done after all children are down.

    Args:
        children: their specs. A `Sibling(id)` in a spec's arguments becomes that child's StableRef.
        strategy: who is started again with a child that ended: "one_for_one": nobody; "one_for_all": all others;
            "rest_for_one": those that were started after it. They are ended first, in reverse order.
        auto_shutdown: whether the supervisor ends, with SHUTDOWN, when a significant child has ended by itself and is not
            to be restarted: "never", for "any_significant", or for "all_significant" (none is left that runs).
        max_restarts: more restarts than this within `max_seconds` and the supervisor gives up: it ends with SHUTDOWN.
        max_seconds: the restart window, seconds.
        name: for threads, reports and the tree.
        on_report: called with each `Report`, in the supervisor's thread.
        clock: for the supervisor and the children that have none of their own.

    Raises:
        InvalidSpec: an argument is wrong.

    Source: supervisor(3).
    """

    def __init__(
        self,
        children: Iterable[ChildSpec] = (),
        *,
        strategy: Strategy = "one_for_one",
        auto_shutdown: AutoShutdown = "never",
        max_restarts: int = 3,
        max_seconds: float = 5.0,
        name: str | None = None,
        on_report: OnReport | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(
            max_restarts=max_restarts, max_seconds=max_seconds, name=name, on_report=on_report, clock=clock
        )
        require(strategy in STRATEGIES, "strategy", strategy, f"one of {STRATEGIES}")
        require(auto_shutdown in AUTO_SHUTDOWNS, "auto_shutdown", auto_shutdown, f"one of {AUTO_SHUTDOWNS}")
        self._strategy: Strategy = strategy
        self._auto_shutdown: AutoShutdown = auto_shutdown
        self._children = Children()
        iterable = is_a(children, Iterable)
        require(iterable, "children", children, "an iterable of ChildSpec")
        for spec in children:
            self._check_spec(spec)
            try:
                self._children.add(spec)
            except AlreadyPresent:
                raise InvalidSpec("children", spec.id, "ids that are unique in their supervisor") from None

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
        for child in self._children:
            if (reason := self._start(child)) is not None:
                self._wind_down(SHUTDOWN)
                raise Exit(Shutdown(("failed_to_start_child", child.spec.id, reason))) from cause_of(reason)

    # -- requests --

    def start_child(self, spec: ChildSpec) -> StableRef[Any] | None:
        """Add a child and start it; see `StartChild`."""
        self._check_spec(spec)
        if spec.restart == "temporary":
            # pykka's loop holds a message until the next one comes, and this one holds the arguments: send it a next one.
            self._mailbox.interrupt()
        if crash_points.armed:
            crash_points.reach("supervisor.before_start_child")
        child = self._children.add(spec)
        if (reason := self._start(child)) is not None:
            self._children.forget(child, reason)
            raise StartError(reason)
        if crash_points.armed:
            crash_points.reach("supervisor.after_start_child")
        return None if child.incarnation is None else child.stable_ref

    def terminate_child(self, child: Any) -> None:
        """End a child and keep its spec (unless it is temporary); see `TerminateChild`."""
        found = self._children.find(child)
        if crash_points.armed:
            crash_points.reach("supervisor.before_terminate")
        reason = self._end(found) if found.incarnation is not None else found.last_reason
        self._put_away(found, reason)
        self._children.give_up_waiting()

    def restart_child(self, id: Any) -> StableRef[Any] | None:
        """Start a child again that is down; see `RestartChild`."""
        child = self._children.find_down(id)
        if (reason := self._start(child)) is not None:
            child.close(reason)
            raise StartError(reason)
        return None if child.incarnation is None else child.stable_ref

    def delete_child(self, id: Any) -> None:
        """Forget a child that is down; see `DeleteChild`."""
        child = self._children.find_down(id)
        self._children.forget(child, child.last_reason)

    def which_children(self) -> list[ChildInfo]:
        """List the children, last started first; see `WhichChildren`."""
        return [child.info for child in reversed(self._children)]

    def which_child(self, child: Any) -> ChildInfo:
        """Look up one child by id; see `WhichChild`."""
        return self._children.find(child).info

    def get_child_spec(self, child: Any) -> ChildSpec:
        """Look up a child's spec by id; see `GetChildSpec`."""
        return self._children.find(child).spec

    def _check_spec(self, spec: object) -> None:
        super()._check_spec(spec)
        useless = isinstance(spec, ChildSpec) and spec.significant and self._auto_shutdown == "never"
        require(not useless, "significant", True, "False where auto_shutdown is 'never'")

    # -- one child --

    def _start(self, child: Child) -> ExitReason | None:
        """Start the child and wait for its ack. Return why it failed; None: it has not, or does not want to run."""
        self._leave_if_killed()
        child.retry = None
        child.await_start()
        try:
            incarnation = launch(
                self,
                child.spec,
                child.stable_ref,
                self._children.siblings,
                lambda _: self._bell.wake(),
                self._tell_end(child),
            )
        except BaseException as error:  # noqa: BLE001  # no thread for it, or no such sibling: reported
            return self._not_started(child, reason_of(error))
        timeout_s = child.spec.start_timeout_s
        arrived = self._bell.wait_until(
            lambda: incarnation.acked or incarnation.is_down, self._now() + timeout_s
        )
        if incarnation.acked:
            child.waiting = False
            child.spec = child.spec.to_keep
            child.incarnation = incarnation
            assert incarnation.ref is not None  # it has acked
            child.stable_ref._bind(incarnation.ref)
            return None
        if not arrived:
            end_together([(incarnation, child.spec)], self._bell, brutally=True)
            self._leave_if_killed()  # else its time was up
            return self._not_started(child, StartTimeout(timeout_s))
        return self._not_started(child, incarnation.reason)

    def _leave_if_killed(self) -> None:
        if self._life.killed:
            raise Exit(KILLED)

    def _not_started(self, child: Child, reason: ExitReason) -> ExitReason | None:
        child.last_reason = reason
        if reason is IGNORE:
            self._put_away(child, reason)
            return None
        self._report("start_error", child.spec, reason)
        return reason

    def _tell_end(self, child: Child) -> Any:
        mailbox, bell = self._mailbox, self._bell

        def on_down(incarnation: Incarnation, reason: ExitReason) -> None:
            bell.wake()
            self._cast_to(mailbox, _Ended(child, incarnation, reason))

        return on_down

    def _end(self, child: Child) -> ExitReason:
        """End the child's incarnation and wait for it. Return its reason."""
        incarnation = child.incarnation
        assert incarnation is not None
        end_together([(incarnation, child.spec)], self._bell, brutally=self._life.killed)
        child.incarnation = None
        child.last_reason = reason = incarnation.reason
        if not self._life.killed and not is_expected_end(child.spec, reason):
            self._report("shutdown_error", child.spec, reason, incarnation.ref)
        return reason

    def _put_away(self, child: Child, reason: ExitReason, state: State = State.TERMINATING) -> None:
        """Do with a child that is down what its restart type says, short of starting it."""
        match after_exit(self._strategy, child.spec.restart, reason, state).verdict:
            case Verdict.REMOVE:
                self._children.forget(child, reason)
            case Verdict.STOP:
                child.close(reason)
            case Verdict.RESTART | Verdict.START_AGAIN:
                child.await_start()

    # -- when a child ends by itself --

    def _on_event(self, event: Any) -> None:
        match event:
            case _Ended(child, incarnation, reason):
                # Else it is late news: of an older incarnation, a deleted child, or an older self (mailbox="keep").
                if child.incarnation is incarnation and child in self._children:
                    self._on_ended(child, incarnation, reason)
            case _TryAgain(child, scope):
                if child.retry is event and child in self._children:
                    self._restart(child, scope)
            case _:
                super()._on_event(event)

    def _on_ended(self, child: Child, incarnation: Incarnation, reason: ExitReason) -> None:
        child.incarnation = None
        child.last_reason = reason
        if is_reported(child.spec.restart, reason):
            self._report("child_terminated", child.spec, reason, incarnation.ref)
        decision = after_exit(self._strategy, child.spec.restart, reason, State.RUNNING)
        self._put_away(child, reason, State.RUNNING)
        if decision.verdict is Verdict.RESTART:
            self._restart(child, decision.scope)
        elif decision.significant and child.spec.significant:
            self._lose_significant()

    def _lose_significant(self) -> None:
        if ends_supervisor(self._auto_shutdown, self._children.significant_left):
            raise Exit(SHUTDOWN)

    def _restart(self, child: Child, scope: Scope) -> None:
        """Start the child again, and with it whom the strategy says: all are down before the first is started."""
        if crash_points.armed:
            crash_points.reach("supervisor.before_restart")
        child.retry = None
        self._intensity = self._intensity.add(self._now())
        if self._intensity.exceeded:
            self._report("gave_up", child.spec, child.last_reason)
            raise Exit(SHUTDOWN)
        for other in reversed(self._children.affected(scope, child)):
            if other.incarnation is not None:
                self._put_away(other, self._end(other), State.BYSTANDER)
            other.retry = None  # an attempt of its own that is queued is this one now
        for other in self._children.affected(scope, child):
            if (reason := self._start(other)) is not None:
                self._try_again(other, reason)
                return  # those after it wait

    def _try_again(self, child: Child, reason: ExitReason) -> None:
        # Not at once: a stop, or a terminate_child, that is queued already must be served between two attempts.
        scope = after_exit(self._strategy, child.spec.restart, reason, State.RESTARTING).scope
        child.retry = _TryAgain(child, scope)
        self._cast_to(self._mailbox, child.retry)

    # -- the end --

    def _wind_down(self, reason: ExitReason) -> None:
        for child in reversed(self._children):
            if child.incarnation is not None:
                self._end(child)
            child.close(child.last_reason)
        super()._wind_down(reason)

    def _all_children(self) -> list[tuple[StableRef[Any], Incarnation | None]]:
        return [(child.stable_ref, child.incarnation) for child in self._children]
