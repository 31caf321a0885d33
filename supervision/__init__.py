"""OTP supervision for any pykka actor.

Erlang's words with Erlang's meaning. Where this differs from OTP:

1. The restart window uses a float monotonic clock: `t >= now - max_seconds` (OTP truncates to whole seconds).
2. `DynamicSupervisor(budget="child")` counts restarts per child: a child over its budget is given up alone (its spec
   is dropped, Down is sent), the supervisor lives. Default `"supervisor"`, as OTP.
3. A StableRef holds what is sent to it while its child is restarting (at most 1,000 messages) and hands it to the new
   incarnation in order; the 1,001st raises `MailboxFull`; if the child is given up, asks fail with `ActorDown`.
   `ChildSpec(mailbox="keep")` also carries over the messages the dead incarnation had queued but not begun; default
   `"drop"`, as OTP. The message in hand fails.
4. A blocked thread is abandoned, not killed: a Python thread cannot be.
5. A DynamicSupervisor never waits in its mailbox: starting and terminating are states of a child, and their callers
   get deferred replies.
6. pykka's contract stays: `.start()` of a plain actor does not wait for `on_start`, `stop` is FIFO, exceptions of an
   ask go to the caller.
"""

from .clock import SYSTEM_CLOCK, Clock, ManualClock, SystemClock
from .errors import (
    ActorDown,
    AlreadyPresent,
    AlreadyStarted,
    CallerError,
    CallingSelf,
    CallTimeout,
    InvalidSpec,
    MailboxFull,
    MaxChildren,
    NotFound,
    Restarting,
    Running,
    StartError,
    StartTimeout,
    SupervisionError,
)
from .futures import Future
from .genserver import GenServer
from .mailbox import Mailbox
from .messaging import call, cast, join, kill, stop
from .monitor import Down, Monitor, monitor, watch
from .reasons import KILLED, NOPROC, NORMAL, SHUTDOWN, Exit, ExitReason, Reason, Shutdown, is_clean
from .replies import Reply
from .selectable_mailbox import Readable, SelectableMailbox, Writable
from .supervised import Supervised
from .timers import Timer

__all__ = [
    "KILLED",
    "NOPROC",
    "NORMAL",
    "SHUTDOWN",
    "SYSTEM_CLOCK",
    "ActorDown",
    "AlreadyPresent",
    "AlreadyStarted",
    "CallTimeout",
    "CallerError",
    "CallingSelf",
    "Clock",
    "Down",
    "Exit",
    "ExitReason",
    "Future",
    "GenServer",
    "InvalidSpec",
    "Mailbox",
    "MailboxFull",
    "ManualClock",
    "MaxChildren",
    "Monitor",
    "NotFound",
    "Readable",
    "Reason",
    "Reply",
    "Restarting",
    "Running",
    "SelectableMailbox",
    "Shutdown",
    "StartError",
    "StartTimeout",
    "Supervised",
    "SupervisionError",
    "SystemClock",
    "Timer",
    "Writable",
    "call",
    "cast",
    "is_clean",
    "join",
    "kill",
    "monitor",
    "stop",
    "watch",
]
