"""Starting an incarnation of an actor: its start is acknowledged, its end is seen. Owns a thread until the actor owns it."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import pykka
from pykka import ActorRegistry

from .child_spec import ChildSpec, Sibling
from .clock import SYSTEM_CLOCK, Clock
from .errors import InvalidSpec, StartError
from .incarnation import Incarnation
from .mailbox import Mailbox
from .reasons import KILLED, Exit, ExitReason
from .registry_order import keep_youngest
from .stable_ref import StableRef
from .supervised import Supervised, SupervisedLoop, kill_actor, mailbox_of, supervisable

__all__ = ["Bell", "launch", "reason_of", "start_and_wait"]

S = TypeVar("S", bound=SupervisedLoop)


class Bell:
    """What a supervisor's thread waits on outside its mailbox: rung by the end of a child, an ack, a clock, its own killer."""

    __slots__ = ("__weakref__", "_owner", "_rung")

    def __init__(self, owner: Supervised) -> None:
        self._owner = owner
        self._rung = threading.Event()

    @property
    def clock(self) -> Clock:
        """The owner's clock."""
        return self._owner._mailbox.clock

    def wake(self) -> None:
        """Make the waiting thread look again."""
        self._rung.set()

    def wait_until(
        self, condition: Callable[[], bool], deadline: float, even_if_killed: bool = False
    ) -> bool:
        """Wait until `condition()` and return what it says at last.

        Not beyond `deadline` (the owner's clock; may be inf), nor, unless `even_if_killed`, when the owner is killed meanwhile.
        """
        clock = self.clock
        clock.attach(self)
        while not condition():
            left = None if deadline == math.inf else clock.real_wait_s(deadline)
            if left == 0.0 or (self._owner._life.killed and not even_if_killed):
                return condition()
            self._rung.wait(left if left is None else min(left, threading.TIMEOUT_MAX))
            self._rung.clear()
        return True


def launch(
    owner: Supervised,
    spec: ChildSpec,
    stable_ref: StableRef[Any],
    siblings: Mapping[Any, StableRef[Any]],
    on_ack: Callable[[Incarnation], object],
    on_down: Callable[[Incarnation, ExitReason], object],
) -> Incarnation:
    """Start a thread, and in it construct the actor of `spec` and run it. Does not wait for any of it.

    Args:
        owner: the supervisor.
        spec: the recipe.
        stable_ref: the reference the child is known by.
        siblings: what a `Sibling(id)` in the start arguments stands for.
        on_ack: called in the child's thread when its `on_start` has returned.
        on_down: called in the thread that ends the child; also if its constructor raises, or its name is taken.

    Raises:
        StartError: there is no sibling for an argument.
        RuntimeError: no thread could be started. In both cases nothing is left behind.
    """
    actor_class = supervisable(spec.start)
    incarnation = Incarnation(on_down, f"{actor_class.__name__} {spec.id}")
    birth = _Birth(owner, spec, stable_ref, incarnation, on_ack)
    birth.args = [_resolve(arg, siblings) for arg in spec.args]
    birth.kwargs = {name: _resolve(arg, siblings) for name, arg in spec.kwargs.items()}
    # A blocked child must not keep the process alive: the root's thread does that.
    thread = threading.Thread(target=birth.run, name=incarnation.name, daemon=True)
    incarnation.thread = thread
    thread.start()
    return incarnation


class _Birth:
    """From a recipe to a running actor, in the child's thread. Lets go of the arguments before the actor runs."""

    def __init__(
        self,
        owner: Supervised,
        spec: ChildSpec,
        stable_ref: StableRef[Any],
        incarnation: Incarnation,
        on_ack: Callable[[Incarnation], object],
    ) -> None:
        self.args: list[Any] = []
        self.kwargs: dict[str, Any] = {}
        self._actor_class = supervisable(spec.start)
        self._child_id = spec.id
        self._keeps = spec.mailbox == "keep"
        self._register = spec.register
        self._ancestors = (owner.actor_ref, *owner._life.ancestors)
        self._clock = owner._mailbox.clock
        self._stable_ref = stable_ref
        self._incarnation = incarnation
        self._on_ack = on_ack

    def run(self) -> None:
        """Construct the actor and run its loop; what goes wrong before that is the incarnation's end."""
        incarnation = self._incarnation
        try:
            actor = self._made()
        except BaseException as error:  # noqa: BLE001  # the thread's edge: it is why the start failed
            self.args, self.kwargs = [], {}
            incarnation.failed(reason_of(error))
            return
        if actor is None:
            incarnation.failed(KILLED)
            return
        if type(actor)._start_actor_loop is pykka.ThreadingActor._start_actor_loop:
            actor._actor_loop()
            return
        try:
            actor._start_actor_loop()  # a class that knows better what runs it
        except BaseException as error:  # noqa: BLE001  # as above
            _undo(actor, error)

    def _made(self) -> SupervisedLoop | None:
        actor = _construct(self._actor_class, self.args, self.kwargs)
        self.args, self.kwargs = [], {}
        mailbox = mailbox_of(actor)
        try:
            self._prepare(actor, mailbox)
            wanted = self._incarnation.take(
                actor.actor_ref, mailbox, lambda: self._introduce(actor.actor_ref)
            )
        except BaseException as error:
            mailbox.finalize(error)  # its constructor may have given its reference to somebody who asks
            raise
        if not wanted:
            actor.actor_ref.actor_stopped.set()
            mailbox.finalize(KILLED)
            return None
        return actor

    def _prepare(self, actor: SupervisedLoop, mailbox: Mailbox) -> None:
        life, incarnation, on_ack = actor._trunkline_life, self._incarnation, self._on_ack
        life.child_id = self._child_id
        life.stable_ref = self._stable_ref
        life.ancestors = self._ancestors

        def acknowledge() -> None:
            incarnation.acked = True
            on_ack(incarnation)

        life.on_ack = acknowledge
        vars(actor)["use_daemon_thread"] = True
        if self._clock is not SYSTEM_CLOCK and mailbox.clock is SYSTEM_CLOCK:
            mailbox.use_clock(self._clock)
        if self._keeps:
            mailbox.bequeath(self._stable_ref._inherit)

    def _introduce(self, ref: pykka.ActorRef[Any]) -> None:
        if self._register is not None:
            registry, name = self._register
            registry.register(name, ref)
        ActorRegistry.register(ref)
        keep_youngest(self._ancestors)


def reason_of(error: BaseException) -> ExitReason:
    """Return why a start failed that ended with `error`: an Ignore or another Exit, in a constructor, names its reason."""
    return error.reason if isinstance(error, StartError | Exit) else error


def _resolve(argument: Any, siblings: Mapping[Any, StableRef[Any]]) -> Any:
    if not isinstance(argument, Sibling):
        return argument
    if argument.id not in siblings:
        raise StartError(LookupError(f"there is no child {argument.id!r} to stand for {argument!r}"))
    return siblings[argument.id]


def _construct(actor_class: type[S], args: list[Any], kwargs: dict[str, Any]) -> S:
    actor = actor_class(*args, **kwargs)
    if not isinstance(actor, actor_class) or not hasattr(actor, "actor_inbox"):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            f"{actor_class.__name__}() made {actor!r}, no actor of this class: does its __init__ call super().__init__()?"
        )
    if actor._trunkline_life.supervised or actor._trunkline_life.thread is not None:
        raise TypeError(
            f"{actor_class.__name__}() made {actor!r}, which was started before: each start needs a new one"
        )
    actor._trunkline_life.supervised = True
    return actor


def _run(actor: SupervisedLoop, on_down: Callable[[ExitReason], object]) -> None:
    """Register the actor and start its thread. If there is no thread for it, nothing is left behind."""
    mailbox, ref = mailbox_of(actor), actor.actor_ref
    mailbox.watch(on_down)
    ActorRegistry.register(ref)
    try:
        actor._start_actor_loop()
    except BaseException as error:
        mailbox.unwatch(on_down)
        # Ctrl-C: perhaps its thread runs already, and waits for its children.
        if not isinstance(error, Exception):
            kill_actor(ref)
        _undo(actor, error)
        raise


def _undo(actor: SupervisedLoop, error: BaseException) -> None:
    actor.actor_ref.actor_stopped.set()
    ActorRegistry.unregister(actor.actor_ref)
    mailbox_of(actor).finalize(error)


def start_and_wait(
    actor_class: type[S], args: tuple[Any, ...], kwargs: dict[str, Any], name: Any
) -> pykka.ActorRef[S]:
    """Start an actor outside any tree and return when its `on_start` has returned.

    Raises:
        StartError: it did not start; nothing is left behind.
        KeyboardInterrupt: Ctrl-C while it was starting; it is killed, and ends what it had started.

    Source: gen_server:start/3.
    """
    arrived = threading.Event()
    acked: list[bool] = []

    def acknowledge() -> None:
        acked.append(True)
        arrived.set()

    started: list[tuple[Mailbox, pykka.ActorRef[S]]] = []
    try:
        actor = _construct(actor_class, list(args), kwargs)
        actor._trunkline_life.child_id = name
        actor._trunkline_life.on_ack = acknowledge
        started.append((mailbox_of(actor), actor.actor_ref))
        _run(actor, lambda _: arrived.set())
        del actor  # a reference must not keep it alive
        arrived.wait()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            for _, ref in started:
                kill_actor(ref)
        if isinstance(error, StartError | InvalidSpec | KeyboardInterrupt):
            raise
        raise StartError(error) from error
    mailbox, ref = started.pop()
    if not acked:
        raise StartError(mailbox.reason or KILLED)
    return ref
