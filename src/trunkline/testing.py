"""The door of the test kit: faults, probes, and what tests of supervised systems need. Owns nothing itself.

- Faults are values with a schedule, and a `FaultPlan` is made of them: `FaultPlan(Close(1011).on("response.created"))`. A plan goes
  to the simulator (`Simulator(faults=plan)`), around a gateway or a transport, or into a `FaultProxy` before any server.
- `with crash_at("session.before_emit", after=3):` has an actor crash at a named point (`CRASH_POINTS`).
- `EventLog(session)` keeps a session's events and waits for those that a test needs; what goes over the simulator's wire is
  in `Simulator.wire`.
- `crash`, `wait_for_restart`, `Probe`, `RecordingSupervisor`, `leak_check`, `ManualClock`: see `trunkline.supervision.testing`.

The other end of the line is `trunkline.simulator` (extra ``trunkline[simulator]``), whose `ScriptBrain` says what a client has
to send. With pytest, the fixtures of `trunkline.pytest_plugin` set up, verify and clean up. This module needs no pytest.
"""

from .actors.event_log import EventLog
from .gateway import faults
from .gateway.faults import *  # noqa: F403
from .supervision import testing as supervised
from .supervision.crash_points import (
    CRASH_POINTS,
    CrashAt,
    CrashInjected,
    CrashPointNeverFired,
    UnknownCrashPoint,
    crash_at,
)
from .supervision.testing import *  # noqa: F403

__all__ = [
    "CRASH_POINTS",
    "CrashAt",
    "CrashInjected",
    "CrashPointNeverFired",
    "EventLog",
    "UnknownCrashPoint",
    "crash_at",
]
__all__ += faults.__all__
__all__ += supervised.__all__
