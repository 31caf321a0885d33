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
7. Every actor ends as one that traps exits would: told to stop, it handles what was queued before and runs `terminate`;
   a killed supervisor kills its children. A link carries failures only: a clean end, `SHUTDOWN` too, does not travel,
   and is no message to an actor with `traps_exits`; whom a link ends runs `terminate`.
"""

from .child_spec import BRUTAL_KILL, ChildSpec, Sibling
from .clock import SYSTEM_CLOCK, Clock, ManualClock, SystemClock
from .dynamic_supervisor import DynamicSupervisor
from .errors import (
    ActorDown,
    AlreadyPresent,
    AlreadyRegistered,
    AlreadyStarted,
    CallerError,
    CallingSelf,
    CallTimeout,
    InvalidRequest,
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
from .links import ExitSignal, Link, link
from .mailbox import Mailbox
from .messaging import call, cast, join, kill, stop, teller
from .monitor import Down, Monitor, monitor, watch
from .reasons import (
    IGNORE,
    KILLED,
    NOPROC,
    NORMAL,
    SHUTDOWN,
    Exit,
    ExitReason,
    Ignore,
    Reason,
    Shutdown,
    is_clean,
)
from .registry import Registry
from .replies import Reply
from .reports import Report
from .requests import (
    RESTARTING,
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
from .selectable_mailbox import Readable, SelectableMailbox, Writable
from .stable_proxy import StableProxy
from .stable_ref import StableRef
from .supervised import Supervised
from .supervisor import Supervisor
from .timers import Timer
from .tree import TreeNode, tree
from .zombies import Zombie, zombies

__all__ = [
    "BRUTAL_KILL",
    "IGNORE",
    "KILLED",
    "NOPROC",
    "NORMAL",
    "RESTARTING",
    "SHUTDOWN",
    "SYSTEM_CLOCK",
    "ActorDown",
    "AlreadyPresent",
    "AlreadyRegistered",
    "AlreadyStarted",
    "CallTimeout",
    "CallerError",
    "CallingSelf",
    "ChildInfo",
    "ChildSpec",
    "Clock",
    "CountChildren",
    "Counts",
    "DeleteChild",
    "Down",
    "DynamicSupervisor",
    "Exit",
    "ExitReason",
    "ExitSignal",
    "Future",
    "GenServer",
    "GetChildSpec",
    "Ignore",
    "InvalidRequest",
    "InvalidSpec",
    "Link",
    "Mailbox",
    "MailboxFull",
    "ManualClock",
    "MaxChildren",
    "Monitor",
    "NotFound",
    "Readable",
    "Reason",
    "Registry",
    "Reply",
    "Report",
    "RestartChild",
    "Restarting",
    "Running",
    "SelectableMailbox",
    "Shutdown",
    "Sibling",
    "StableProxy",
    "StableRef",
    "StartChild",
    "StartError",
    "StartTimeout",
    "Supervised",
    "SupervisionError",
    "Supervisor",
    "SystemClock",
    "TerminateChild",
    "Timer",
    "Tree",
    "TreeNode",
    "WhichChild",
    "WhichChildren",
    "Writable",
    "Zombie",
    "call",
    "cast",
    "is_clean",
    "join",
    "kill",
    "link",
    "monitor",
    "stop",
    "teller",
    "tree",
    "watch",
    "zombies",
]
