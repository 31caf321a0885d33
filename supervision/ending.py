"""Ending children: told to stop, then killed, then abandoned. Owns no thread: it waits in the supervisor's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .child_spec import BRUTAL_KILL, BrutalKill, ChildSpec
from .incarnation import Incarnation
from .launching import Bell
from .policy import is_reported
from .reasons import KILLED, SHUTDOWN, ExitReason

__all__ = ["end_together", "is_expected_end"]


def end_together(
    children: Sequence[tuple[Incarnation, ChildSpec]], bell: Bell, brutally: bool = False
) -> None:
    """Tell all children to stop and wait for them together, each for its own `shutdown`; kill and, at last, abandon the late ones.

    Args:
        children: what to end. One of them at a time is how a Supervisor ends its children.
        bell: rung whenever one is down.
        brutally: kill them all at once, because the supervisor itself was killed.

    Source: supervisor(3), shutdown; for several at once: terminate_dynamic_children.
    """
    clock = bell.clock
    begin = clock.monotonic()
    patience = [
        (0.0 if brutally else _patience_s(incarnation, spec), incarnation, spec)
        for incarnation, spec in children
    ]
    for seconds, incarnation, _ in patience:
        if seconds > 0.0:
            incarnation.stop()
    killed: list[tuple[Incarnation, ChildSpec]] = []
    for seconds, incarnation, spec in sorted(patience, key=_by_seconds):
        if seconds > 0.0 and bell.wait_until(_is_down(incarnation), begin + seconds):
            continue
        incarnation.kill()
        killed.append((incarnation, spec))
    begin = clock.monotonic()
    for incarnation, spec in sorted(killed, key=_by_grace):
        if not bell.wait_until(_is_down(incarnation), begin + spec.kill_grace_s, even_if_killed=True):
            incarnation.abandon()


def is_expected_end(spec: ChildSpec, reason: ExitReason) -> bool:
    """Return whether a child that was told to end ended as it should: else that is a shutdown_error.

    Source: supervisor.erl, shutdown/1.
    """
    if spec.shutdown is BRUTAL_KILL:
        return reason is KILLED
    return reason is SHUTDOWN or not is_reported(spec.restart, reason)


def _is_down(incarnation: Incarnation) -> Callable[[], bool]:
    return lambda: incarnation.is_down


def _patience_s(incarnation: Incarnation, spec: ChildSpec) -> float:
    if isinstance(spec.shutdown, BrutalKill):
        return 0.0
    # While it starts, its start's time is the limit, too: it may hang, and have all the time in the world to end.
    return float(spec.shutdown if incarnation.acked else min(spec.shutdown, spec.start_timeout_s))


def _by_seconds(entry: tuple[float, Any, Any]) -> float:
    return entry[0]


def _by_grace(entry: tuple[Incarnation, ChildSpec]) -> float:
    return entry[1].kill_grace_s
