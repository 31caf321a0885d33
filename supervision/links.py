"""Links: two actors that do not outlive each other's crashes. Owns no thread: a link acts in the thread that ends an actor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import pykka
from pykka._envelope import Envelope

from .mailbox import Mailbox
from .monitor import Monitor, watch
from .reasons import NOPROC, ExitReason, is_clean
from .stable_ref import StableRef
from .supervised import StopFor, Supervised

__all__ = ["ExitSignal", "Link", "link"]


@dataclass(frozen=True, slots=True)
class ExitSignal:
    """The linked actor `ref` ended for `reason`: to an actor that says `traps_exits = True`, instead of ending it.

    It comes behind every message the actor had sent before.

    Source: the 'EXIT' message of process_flag(trap_exit, true).
    """

    ref: pykka.ActorRef[Any]
    reason: ExitReason


class Link:
    """A link between two incarnations. It acts once, or is cancelled."""

    __slots__ = ("_monitors", "_over")

    def __init__(self) -> None:
        self._monitors: list[Monitor] = []
        self._over = False

    def cancel(self) -> None:
        """See to it that neither ends because of the other from now on. Idempotent; from any thread.

        Source: unlink/1.
        """
        self._over = True
        for monitor in list(self._monitors):
            monitor.cancel()

    def _follow(
        self, source: pykka.ActorRef[Any], named: pykka.ActorRef[Any], target: pykka.ActorRef[Any]
    ) -> None:
        self._monitors.append(watch(source, partial(self._fire, named, target)))
        if self._over:  # the other end was quicker than the list
            self.cancel()

    def _fire(self, named: pykka.ActorRef[Any], target: pykka.ActorRef[Any], reason: ExitReason) -> None:
        self.cancel()  # a link that acted leaves no watcher with the one that lives on
        _signal(target, named, reason)


def link(a_ref: pykka.ActorRef[Any], b_ref: pykka.ActorRef[Any]) -> Link:
    """End each of the two actors when the other ends with a reason that is not clean, for the same reason.

    The one that is left ends before its next message, what is queued notwithstanding, and runs `terminate`; if its class
    says `traps_exits = True` it gets an `ExitSignal` instead. Clean ends (`is_clean`) do nothing but end the link. If one is
    down already, the other ends with NOPROC. A StableRef stands for its incarnation of the moment: a link is not
    renewed by a restart, so an actor that wants one makes it in `on_start`.

    Raises:
        TypeError: one is a plain pykka actor, whose end nobody can watch.

    Source: erlang:link/1. Differences: `shutdown` does not travel, and `terminate` runs also where exits are not trapped.
    """
    a, b = _incarnation(a_ref), _incarnation(b_ref)
    for ref, incarnation in ((a_ref, a), (b_ref, b)):
        down = incarnation is None and isinstance(ref, StableRef)
        if not down and not isinstance(getattr(incarnation, "actor_inbox", None), Mailbox):
            raise TypeError(f"{ref} cannot be linked: start it by a supervisor, or mix in Supervised")
    made = Link()
    for source_ref, source, target in ((a_ref, a, b), (b_ref, b, a)):
        if target is None:
            continue
        if source is None:
            _signal(target, source_ref, NOPROC)
        else:
            made._follow(source, source_ref, target)
    return made


def _incarnation(ref: pykka.ActorRef[Any]) -> pykka.ActorRef[Any] | None:
    return ref._incarnation if isinstance(ref, StableRef) else ref


def _signal(target: pykka.ActorRef[Any], source: pykka.ActorRef[Any], reason: ExitReason) -> None:
    mailbox = target.actor_inbox
    if is_clean(reason) or not isinstance(mailbox, Mailbox):
        return
    if issubclass(target.actor_class, Supervised) and target.actor_class.traps_exits:
        mailbox.offer(Envelope(ExitSignal(source, reason)))
    else:
        mailbox.interrupt(StopFor.because(reason))
