"""Abandoned threads: killed actors that never came back from a handler. Keeps a process-wide list of them; owns no thread.

The list is about threads, and threads are the process's: it holds no decision.
"""

from __future__ import annotations

import gc
import logging
import operator
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from itertools import accumulate, chain, repeat
from typing import Any

import pykka

from .mailbox import Mailbox
from .reasons import KILLED
from .supervised import life_of

__all__ = ["Zombie", "abandon", "remember", "stack_of", "zombies"]

_logger = logging.getLogger("trunkline.supervision")


@dataclass(frozen=True, slots=True)
class Zombie:
    """A thread that still runs although its actor was given up.

    Attributes:
        actor_urn: of the incarnation it was; "" if it hangs in its constructor.
        thread_name: "<ClassName> <child id>".
        since: when it was abandoned, `time.time()`.
        stack: where it was stuck then.
    """

    actor_urn: str
    thread_name: str
    since: float
    stack: str


_abandoned: list[tuple[Zombie, threading.Thread]] = []
_lock = threading.Lock()


def zombies() -> list[Zombie]:
    """Return the abandoned threads that are still alive."""
    with _lock:
        _abandoned[:] = [(zombie, thread) for zombie, thread in _abandoned if thread.is_alive()]
        return [zombie for zombie, _ in _abandoned]


def stack_of(thread: threading.Thread) -> str:
    """Return where `thread` is, formatted; "" if it has ended."""
    # CPython 3.11 hangs or crashes if the thread goes on while its frames are gathered. So they are in one go: `extend` runs
    # all of this in C, without a look at who else wants to run, and no collection of garbage (gh-106883) runs Python code in it.
    top = map(operator.itemgetter(thread.ident), map(operator.call, [sys._current_frames]))
    down: Any = accumulate(chain(top, repeat("f_back")), getattr)
    frames: list[Any] = []
    with _lock:
        collects = gc.isenabled()
        gc.disable()
        try:
            frames.extend(down)
        except (KeyError, AttributeError):
            pass  # there is no such thread any more; below the last frame is None, which has none below
        finally:
            if collects:
                gc.enable()
    places = [(frame, frame.f_lineno) for frame in reversed(frames) if frame is not None]
    return "".join(traceback.StackSummary.extract(iter(places)).format())


def abandon(ref: pykka.ActorRef[Any]) -> None:
    """Give a killed actor up: finalize its mailbox on its behalf, and remember its thread.

    What the thread does if it ever wakes up reaches nobody: its mailbox is closed, it is not registered, and
    supervisors know it by an incarnation that is over.
    """
    life = life_of(ref)
    mailbox = ref.actor_inbox
    assert isinstance(mailbox, Mailbox)
    thread = None if life is None else life.thread
    if thread is not None and not mailbox.down.is_set():
        remember(thread, str(ref), ref.actor_urn)
    mailbox.finalize(KILLED)


def remember(thread: threading.Thread, who: str, actor_urn: str) -> None:
    """Note a thread that is abandoned, with its stack; one that has ended is nothing to note."""
    if not thread.is_alive():
        return
    stack = stack_of(thread)
    with _lock:
        _abandoned.append((Zombie(actor_urn, thread.name, time.time(), stack), thread))
    _logger.error("%s does not come back from its handler and is abandoned. Its stack:\n%s", who, stack)
