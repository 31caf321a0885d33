"""What makes a pykka actor supervisable: a mixin over pykka's template methods. Owns no thread: pykka starts the actor's.

It comes in two layers. `SupervisedLoop` overrides pykka's template methods and adds one name to the actor; a foreign class in
a ChildSpec gets it alone, so that its own `terminate`, `_mailbox` or `let_it_crash` stay its own. `Supervised` adds what a
class opts in to by inheriting it: hooks, flags, and names for subclasses.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, cast

import pykka
from pykka import ActorRegistry, messages

from .errors import ActorDown, CallerError
from .futures import Future
from .guarded import guarded
from .mailbox import Mailbox
from .reasons import KILLED, NORMAL, Exit, ExitReason, is_clean
from .timers import IGNORED
from .twins import twin_of

__all__ = [
    "Life",
    "StopFor",
    "Supervised",
    "SupervisedLoop",
    "judge",
    "kill_actor",
    "life_of",
    "mailbox_of",
    "supervisable",
]

_logger = logging.getLogger("trunkline.supervision")


class StopFor(messages._ActorStop):
    """pykka's stop message with a reason. It waits its turn in the queue, as pykka's does."""

    reason: ExitReason

    @classmethod
    def because(cls, reason: ExitReason) -> StopFor:
        """Return a message that stops the actor with `reason`."""
        stop = cls()
        stop.reason = reason
        return stop


@dataclass(slots=True)
class Life:
    """What supervision knows about one incarnation of an actor."""

    supervised: bool = False
    """Started by a supervisor: then a BaseException in a handler ends this actor alone."""
    child_id: Any = None
    stable_ref: pykka.ActorRef[Any] | None = None
    on_ack: Callable[[], object] | None = None
    """Called in the actor's thread when `on_start` has returned."""
    ancestors: tuple[pykka.ActorRef[Any], ...] = ()
    """Its supervisor first, the root last."""
    thread: threading.Thread | None = None
    started: bool = False
    killed: bool = False
    reason: ExitReason | None = None

    def note(self, reason: ExitReason) -> None:
        """Remember why the actor ends: the first reason, but a failure outdoes a clean end (a failing `on_stop`)."""
        if self.reason is None or (is_clean(self.reason) and not is_clean(reason)):
            self.reason = reason


class SupervisedLoop(pykka.Actor):
    """pykka's loop with its gaps closed: no reply is ever lost, an end has a reason and can be watched. See `Supervised`."""

    _create_actor_inbox = staticmethod(Mailbox)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._trunkline_life = Life()
        super().__init__(*args, **kwargs)

    @staticmethod
    def _create_future() -> Future[Any]:
        return Future()

    def _trunkline_crash(self, error: BaseException) -> None:
        """Raise `error` in a handler: what `trunkline.supervision.testing.crash` has the actor do."""
        raise error

    # -- pykka's template methods --

    def _actor_loop(self) -> None:
        life = self._trunkline_life
        life.thread = thread = threading.current_thread()
        short_urn = self.actor_urn.removeprefix("urn:uuid:")[:8]
        thread.name = f"{type(self).__name__} {short_urn if life.child_id is None else life.child_id}"
        try:
            super()._actor_loop()
        except BaseException as error:  # noqa: BLE001  # pykka would let the thread die, the actor registered
            if not mailbox_of(self).down.is_set():
                self._handle_failure(type(error), error, error.__traceback__)
        finally:
            _leave_the_stage(self)

    def _actor_loop_setup(self) -> None:
        super()._actor_loop_setup()
        if self.actor_stopped.is_set():
            return
        life = self._trunkline_life
        life.started = True
        if (on_ack := life.on_ack) is not None:
            life.on_ack = None
            on_ack()
        if isinstance(self, Supervised):
            try:
                self.handle_continue()
            except Exception as error:  # noqa: BLE001  # the mailbox's edge: reported by _handle_failure
                _fail(self, error)

    def _actor_loop_teardown(self) -> None:
        """Leave the queue alone: the mailbox settles it when it is finalized."""

    def _handle_receive(self, message: Any) -> Any:
        if message is IGNORED:
            return None
        try:
            return super()._handle_receive(message)
        except BaseException as error:  # noqa: BLE001  # judge raises what is not ours
            judge(self, error)

    def _stop(self) -> None:
        stop = mailbox_of(self).owe_stop()
        self._trunkline_life.note(getattr(stop, "reason", NORMAL))
        super()._stop()

    def _handle_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        reason = exception_value.reason if isinstance(exception_value, Exit) else exception_value
        self._trunkline_life.note(reason if reason is not None else NORMAL)
        if isinstance(reason, BaseException):
            super()._handle_failure(exception_type, exception_value, traceback)
        else:
            _go_down(self)


class Supervised(SupervisedLoop):
    """Mix in before any `pykka.Actor` subclass: `class Worker(Supervised, pykka.ThreadingActor)`.

    It changes nothing for pykka's users (`start()`, proxies, FIFO stop, exceptions of an ask to the asker), closes
    pykka's gaps (no reply is ever lost, an end has a reason and can be watched) and adds three hooks.
    """

    let_it_crash: ClassVar[bool] = False
    """Whether an unexpected exception in an ask ends the actor, besides going to the asker."""
    traps_exits: ClassVar[bool] = False
    """Whether the crash of a linked actor is an `ExitSignal` to this one, instead of its end."""
    _trunkline_is_supervisor: ClassVar[bool] = False
    _caller_errors: ClassVar[tuple[type[Exception], ...]] = (CallerError,)
    """What goes to the asker alone, although `let_it_crash`."""

    # -- hooks --

    def handle_continue(self) -> None:
        """Go on with a slow start: after the starter was told that the start succeeded, before the first message."""

    def terminate(self, reason: ExitReason) -> None:
        """Clean up. Runs once, in the actor's thread, on every exit but a kill and a failed start; `stop()` waits for it."""

    def on_kill(self) -> None:
        """Unblock the actor's thread: called from the killer's. The one thing to do here is to abort what that thread waits for."""

    # -- for subclasses --

    @property
    def _life(self) -> Life:
        return self._trunkline_life

    @property
    def _mailbox(self) -> Mailbox:
        return mailbox_of(self)

    @property
    def _stable_ref(self) -> pykka.ActorRef[Any]:
        """The reference that outlives this incarnation (a StableRef) if a supervisor started it, else its own.

        Set before `on_start`.
        """
        return self._life.stable_ref or self.actor_ref

    def _wind_down(self, reason: ExitReason) -> None:
        """End what this actor owns, before `terminate`: a supervisor's children. Runs on every exit, a kill as well."""


def mailbox_of(actor: SupervisedLoop) -> Mailbox:
    """Return the actor's mailbox."""
    return cast("Mailbox", actor.actor_inbox)


# -- how it ends: functions, so that they take no names from a foreign class --


def judge(actor: SupervisedLoop, error: BaseException) -> None:
    """Decide what an exception from a handler means: end the actor for it, or raise it, for pykka to treat it."""
    mailbox = mailbox_of(actor)
    if isinstance(error, Exit):
        mailbox.owe()
        actor._handle_failure(type(error), error, error.__traceback__)
    elif isinstance(error, actor._caller_errors if isinstance(actor, Supervised) else CallerError):
        _answer_caller(actor, error)
    elif isinstance(error, Exception):
        if not (isinstance(actor, Supervised) and actor.let_it_crash):
            raise error
        # The error itself is the reason, which others hold: nobody raises it again.
        mailbox.owe(twin_of(error))
        _fail(actor, error)
    elif actor._trunkline_life.supervised:
        mailbox.owe()
        _fail(actor, error)
    else:  # pykka stops every actor of the process. Free the asker first: it may be one of those stop_all() waits for.
        actor._trunkline_life.note(error)
        mailbox.defer_reply().set_exception(ActorDown(error))
        raise error


def _answer_caller(actor: SupervisedLoop, error: BaseException) -> None:
    mailbox = mailbox_of(actor)
    if mailbox.in_hand_is_ask():
        raise error
    if (reply := mailbox.deferred_in_hand()) is not None:
        reply.set_exception(error)
    else:
        _logger.info("%s refused a message that nobody waits for an answer to: %r", actor, error)


def _fail(actor: SupervisedLoop, error: BaseException) -> None:
    actor._handle_failure(type(error), error, error.__traceback__)
    try:
        actor.on_failure(type(error), error, error.__traceback__)
    except BaseException:  # noqa: BLE001  # pykka's rule for on_failure; beyond it pykka would stop all actors
        actor._handle_failure(*sys.exc_info())


def _go_down(actor: SupervisedLoop) -> None:
    # Whoever sets the flag has unregistered the actor; to look it up among thousands again made stopping quadratic.
    if not actor.actor_stopped.is_set():
        ActorRegistry.unregister(actor.actor_ref)
        actor.actor_stopped.set()


def _leave_the_stage(actor: SupervisedLoop) -> None:
    life, mailbox = actor._trunkline_life, mailbox_of(actor)
    _go_down(actor)
    reason = _final_reason(life)
    if isinstance(actor, Supervised):
        try:
            actor._wind_down(reason)
            if life.started and not life.killed and not mailbox.down.is_set():
                actor.terminate(reason)
        except BaseException as error:  # the reason is the failure, as in OTP
            _logger.exception("terminate of %s failed", actor)
            life.reason = error
    life.on_ack = None
    mailbox.finalize(_final_reason(life))
    mailbox.let_go()


def _final_reason(life: Life) -> ExitReason:
    return KILLED if life.killed else life.reason or NORMAL


def life_of(ref: pykka.ActorRef[Any]) -> Life | None:
    """Return what supervision knows of the actor behind `ref`; None if it is gone or is nobody's to supervise."""
    actor = ref._actor_weakref()
    return actor._trunkline_life if isinstance(actor, SupervisedLoop) else None


def kill_actor(ref: pykka.ActorRef[Any]) -> None:
    """Make the actor end before its next message, with reason KILLED and without `terminate`; unblock it by `on_kill`.

    A thread that does not come back from a handler cannot be killed: whoever needs it gone abandons it, by finalizing its mailbox.
    """
    actor: Any = ref._actor_weakref()
    mailbox = ref.actor_inbox
    if isinstance(actor, SupervisedLoop):
        actor._trunkline_life.killed = True
    if not ref.actor_stopped.is_set():
        ActorRegistry.unregister(ref)
        ref.actor_stopped.set()
    if isinstance(mailbox, Mailbox):
        mailbox.interrupt()
    if isinstance(actor, Supervised):
        # Its fault must not stop its killer.
        guarded(lambda victim: victim.on_kill(), actor, "on_kill of %s", actor)


_supervisable: dict[type[pykka.Actor], type[SupervisedLoop]] = {}


def supervisable(actor_class: type[pykka.Actor]) -> type[SupervisedLoop]:
    """Return `actor_class`, or, for a foreign one, a subclass of the same name that has our loop and no hooks. Cached."""
    if issubclass(actor_class, SupervisedLoop):
        return actor_class
    if actor_class not in _supervisable:
        names = {name: getattr(actor_class, name) for name in ("__module__", "__qualname__", "__doc__")}
        _supervisable[actor_class] = type(actor_class.__name__, (SupervisedLoop, actor_class), names)
    return _supervisable[actor_class]
