"""Talking to actors without surprises: `call`, `cast`, `stop`, `kill`, `join`. Owns no thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pykka
from pykka._envelope import Envelope

from .errors import ActorDown, CallingSelf, CallTimeout
from .mailbox import Mailbox
from .reasons import NOPROC, NORMAL, ExitReason
from .stable_ref import StableRef
from .supervised import StopFor, kill_actor, life_of

__all__ = ["call", "cast", "join", "kill", "stop", "teller"]


def call(ref: pykka.ActorRef[Any], message: Any, timeout_s: float | None = 5.0) -> Any:
    """Ask and wait for the answer: for callers outside the tree. Inside it, `cast` and let the answer be a message.

    Args:
        ref: the actor; with a StableRef, whichever incarnation of it runs.
        message: what `on_receive` gets.
        timeout_s: how long to wait, seconds; None for as long as it takes.

    Raises:
        CallingSelf: from the actor's own thread.
        CallTimeout: no answer within `timeout_s`. The actor still executes the request.
        ActorDown: the actor was down or went down before it answered.
        Exception: what the handler raised.

    Source: gen_server:call/3, whose default is 5 s too.
    """
    refuse_own_thread(ref)
    future = ref.ask(message, block=False)
    try:
        return future.get(timeout=timeout_s)
    except ActorDown:
        raise
    except pykka.ActorDeadError as error:
        raise ActorDown(reason_of(ref)) from error
    except pykka.Timeout as error:
        if isinstance(future, pykka.ThreadingFuture) and future._result is not None:
            raise  # the handler's own Timeout, not ours
        raise CallTimeout(timeout_s or 0.0) from error


def refuse_own_thread(ref: pykka.ActorRef[Any]) -> None:
    """Raise CallingSelf in the actor's own thread: it would wait for itself."""
    life = life_of(ref)
    if life is not None and life.thread is threading.current_thread():
        raise CallingSelf


def reason_of(ref: pykka.ActorRef[Any]) -> ExitReason:
    """Return why an actor that does not answer is down; NOPROC if nobody knows."""
    mailbox = ref.actor_inbox
    reason = mailbox.reason if isinstance(mailbox, Mailbox) else None
    return reason if reason is not None else NOPROC


def cast(ref: pykka.ActorRef[Any], message: Any) -> bool:
    """Tell, and never raise: the death of another actor must not kill the teller.

    Returns:
        False if the actor is down or its mailbox full. True promises nothing, as in OTP.

    Source: gen_server:cast/2.
    """
    try:
        ref.tell(message)
    except Exception:  # noqa: BLE001  # whatever the other side's inbox raises, it is not the teller's fault
        return False
    return True


def teller(ref: pykka.ActorRef[Any]) -> Callable[[Any], None]:
    """Return what tells this actor, as `ref.tell` does, for who tells one actor very often: 0.05 us less with our mailbox.

    Raises (what is returned does):
        pykka.ActorDeadError: the actor is down.
        MailboxFull: its mailbox has a bound, and is at it.
    """
    if isinstance(ref, StableRef):
        return ref.tell
    put = ref.actor_inbox.put
    if isinstance(ref.actor_inbox, Mailbox):  # it says itself that it is closed
        return lambda message: put(Envelope(message))

    stopped = ref.actor_stopped.is_set

    def tell(message: Any) -> None:
        if stopped():
            raise pykka.ActorDeadError(f"{ref} not found")
        put(Envelope(message))

    return tell


def stop(ref: pykka.ActorRef[Any], reason: ExitReason = NORMAL, timeout_s: float | None = None) -> bool:
    """Have the actor end with `reason` when what is queued is handled, and wait until it is down.

    Args:
        ref: the actor. A supervisor may start it again: a child is ended by `TerminateChild`.
        reason: what its supervisor and its monitors are told.
        timeout_s: how long to wait, seconds; None for as long as it takes.

    Returns:
        False if it was down already.

    Raises:
        CallingSelf: from the actor's own thread.
        CallTimeout: it is not down within `timeout_s`; it still stops when its turn comes.
        ActorDown: it ended for another reason: it crashed before its turn, or in `terminate`, or was killed.

    Source: gen_server:stop/3.
    """
    incarnation = ref._incarnation if isinstance(ref, StableRef) else ref
    try:
        call(ref, StopFor.because(reason), timeout_s)
    except pykka.ActorDeadError:
        return False
    mailbox = None if incarnation is None else incarnation.actor_inbox
    ended_for = mailbox.reason if isinstance(mailbox, Mailbox) else None
    if ended_for is not None and ended_for is not reason and ended_for != reason:
        raise ActorDown(ended_for)
    return True


def kill(ref: pykka.ActorRef[Any]) -> None:
    """End the actor before its next message, with reason KILLED and without `terminate`. Returns at once; see `join`.

    Source: exit(Pid, kill). Difference: a thread that does not come back from a handler cannot be killed; its
        supervisor abandons it.
    """
    incarnation = ref._incarnation if isinstance(ref, StableRef) else ref
    if incarnation is not None:
        kill_actor(incarnation)


def join(ref: pykka.ActorRef[Any], timeout_s: float | None = None) -> bool:
    """Wait until the actor is down, and who watches it has been told: what its supervisor is asked next, it answers knowing it.

    Args:
        ref: the actor; of a StableRef: the child, for good.
        timeout_s: how long to wait, seconds; None for as long as it takes.

    Returns:
        Whether it is.
    """
    mailbox = ref.actor_inbox
    return mailbox.join(timeout_s) if isinstance(mailbox, Mailbox) else ref.actor_stopped.wait(timeout_s)
