"""What both kinds of supervisor have in common: requests, reports, and an end that leaves no child behind. Owns a thread."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import pykka
from pykka._envelope import Envelope

from .checks import is_count, is_seconds, require
from .child_spec import ChildSpec
from .clock import Clock
from .errors import CallerError, InvalidRequest, InvalidSpec, SupervisionError
from .genserver import GenServer
from .incarnation import Incarnation
from .launching import Bell, start_and_wait
from .mailbox import Mailbox
from .proxied import wrong_request
from .reasons import ExitReason
from .reports import Context, OnReport, Report, publish
from .requests import (
    ChildInfo,
    CountChildren,
    Counts,
    DeleteChild,
    GetChildSpec,
    RestartChild,
    StartChild,
    TerminateChild,
    Tree,
    WhichChild,
    WhichChildren,
)
from .restart_intensity import RestartIntensity
from .stable_ref import StableRef
from .supervised import judge, supervisable
from .tree import Survey, root_of

__all__ = ["Supervising"]


class Supervising(GenServer):
    """The part of a supervisor that does not depend on how its children are kept. Use Supervisor or DynamicSupervisor."""

    use_daemon_thread: ClassVar[bool] = False  # of a root: a supervisor's children are given daemon threads
    _trunkline_is_supervisor: ClassVar[bool] = True
    _caller_errors = (CallerError, SupervisionError)

    def __init__(
        self,
        *,
        max_restarts: int,
        max_seconds: float,
        name: str | None,
        on_report: OnReport | None,
        clock: Clock | None,
    ) -> None:
        super().__init__()
        require(is_count(max_restarts), "max_restarts", max_restarts, "an int >= 0")
        require(is_seconds(max_seconds) and max_seconds > 0, "max_seconds", max_seconds, "seconds > 0")
        require(
            on_report is None or callable(on_report),
            "on_report",
            on_report,
            "a callable that takes a Report, or None",
        )
        require(
            clock is None or _is_clock(clock), "clock", clock, "an object with the methods of Clock, or None"
        )
        self._intensity = RestartIntensity(max_restarts, max_seconds)
        self._name = name
        self._on_report = on_report
        if clock is not None:
            self._mailbox.use_clock(clock)
        self._bell = Bell(self)

    @classmethod
    def _start_root(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> pykka.ActorRef[Self]:
        return start_and_wait(cls, args, kwargs, kwargs.get("name"))

    def on_start(self) -> None:
        """See to it that no child outlives this supervisor, whatever ends it."""
        # If this thread is stuck and abandoned it ends no child itself: whoever finalizes its mailbox does.
        self._mailbox.watch(self._orphan_children)

    def on_kill(self) -> None:
        """Stop waiting for a child. Call it when you override it."""
        self._bell.wake()

    def _handle_receive(self, message: Any) -> Any:
        if isinstance(message, tuple) and (wrong := wrong_request(self, message)) is not None:
            return judge(self, wrong)  # the caller's fault: a supervisor must not die of it
        return super()._handle_receive(message)

    def on_receive(self, message: Any) -> Any:
        """Dispatch a request to the method of its name."""
        match message:
            case StartChild(spec):
                return self.start_child(spec)
            case TerminateChild(child):
                return self.terminate_child(child)
            case RestartChild(id):
                return self.restart_child(id)
            case DeleteChild(id):
                return self.delete_child(id)
            case WhichChildren():
                return self.which_children()
            case WhichChild(child):
                return self.which_child(child)
            case CountChildren():
                return self.count_children()
            case GetChildSpec(child):
                return self.get_child_spec(child)
            case Tree():
                return self.tree()
            case _:
                return self._on_event(message)

    # -- requests that the kinds answer differently --

    def start_child(self, spec: ChildSpec) -> Any:
        """Start a child; see `StartChild`."""
        raise InvalidSpec("request", "start_child", "what this kind of supervisor offers")

    def terminate_child(self, child: Any) -> None:
        """End a child; see `TerminateChild`."""
        raise InvalidSpec("request", "terminate_child", "what this kind of supervisor offers")

    def restart_child(self, id: Any) -> Any:
        """Start a child again; see `RestartChild`."""
        raise InvalidSpec("request", "restart_child", "what this kind of supervisor offers")

    def delete_child(self, id: Any) -> None:
        """Forget a child; see `DeleteChild`."""
        raise InvalidSpec("request", "delete_child", "what this kind of supervisor offers")

    def which_children(self) -> list[ChildInfo]:
        """List the children, last started first; see `WhichChildren`. Callable from any thread."""
        return []

    def which_child(self, child: Any) -> ChildInfo:
        """Look up one child; see `WhichChild`."""
        raise InvalidSpec("request", "which_child", "what this kind of supervisor offers")

    def get_child_spec(self, child: Any) -> ChildSpec:
        """Look up a child's spec; see `GetChildSpec`."""
        raise InvalidSpec("request", "get_child_spec", "what this kind of supervisor offers")

    # -- requests that are the same --

    def count_children(self) -> Counts:
        """Count the children; see `CountChildren`."""
        children = self.which_children()
        return Counts(
            specs=len(children),
            active=sum(isinstance(child.ref, pykka.ActorRef) and child.ref.is_alive() for child in children),
            supervisors=sum(child.type == "supervisor" for child in children),
            workers=sum(child.type == "worker" for child in children),
        )

    def tree(self) -> None:
        """Describe the tree below; see `Tree`. The answer is deferred: all supervisors are asked, and nobody waits."""
        reply, ref = self._defer_reply(), self.actor_ref
        survey = Survey(lambda: reply.set(survey.drawn(root_of(ref), ref)))
        survey.ask(ref)

    # -- for the kinds --

    def _on_event(self, event: Any) -> None:
        """Handle a message that is nothing to a supervisor: warn, as pykka does; who asked it is told."""
        super().on_receive(event)
        if self._mailbox.in_hand_is_ask():
            hint = f": did you mean {event.__name__}(...)?" if isinstance(event, type) else ""
            raise InvalidRequest(repr(event), f"no request of a supervisor's{hint}")

    def _all_children(self) -> list[tuple[StableRef[Any], Incarnation | None]]:
        """Return every child. Callable from any thread."""
        return []

    def _orphan_children(self, reason: ExitReason) -> None:
        for stable_ref, incarnation in self._all_children():
            stable_ref._end(reason)
            if incarnation is not None and not incarnation.is_down:
                incarnation.kill()

    def _report(
        self, context: Context, spec: ChildSpec, reason: ExitReason, ref: pykka.ActorRef[Any] | None = None
    ) -> None:
        name = str(self._name or self._life.child_id or self)
        publish(Report(name, context, reason, "" if ref is None else ref.actor_urn, spec), self._on_report)

    def _check_spec(self, spec: object) -> None:
        if not isinstance(spec, ChildSpec):
            raise InvalidSpec("spec", spec, "a ChildSpec")
        try:
            supervisable(spec.start)
        except Exception as error:  # whatever its metaclass, or its __init_subclass__, does not like
            allowed = "a class that can be subclassed, or inherits Supervised"
            raise InvalidSpec("start", spec.start, allowed) from error

    @staticmethod
    def _cast_to(mailbox: Mailbox, event: Any) -> None:
        """Send a supervisor its own event; if it is down, that does not matter any more."""
        mailbox.offer(Envelope(event))


def _is_clock(value: object) -> bool:
    if isinstance(value, type):
        return False
    return all(callable(getattr(value, name, None)) for name in ("monotonic", "real_wait_s", "attach"))
