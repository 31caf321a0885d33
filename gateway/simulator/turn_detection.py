"""When the user's turn begins and ends, as a session's settings have it. Pure.

Source: protocol.md A.3 (`ServerVad`, `SemanticVad`), A.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_EAGERNESS_WAITS_MS = {"low": 8_000, "medium": 4_000, "auto": 4_000, "high": 2_000}
_FINISHED_WAIT_MS = 500
_SEMANTIC_THRESHOLD = 0.5
_SEMANTIC_PADDING_MS = 300


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """How turns are detected.

    Args:
        threshold: How loud speech has to be, from 0 to 1.
        prefix_padding_ms: How much before the first loud sound belongs to the turn.
        silence_ms: After how much silence the turn is over.
        lull_ms: After how much silence it is over if what was said sounds finished; None asks no such thing.
        create_response: Whether the end of a turn creates a response.
        interrupt_response: Whether the beginning of a turn cancels the one that is active.
        idle_timeout_ms: After how much silence behind a response the user is prompted; None never does.
    """

    threshold: float
    prefix_padding_ms: float
    silence_ms: float
    lull_ms: float | None
    create_response: bool
    interrupt_response: bool
    idle_timeout_ms: float | None


def detection_of(settings: Mapping[str, Any] | None) -> TurnDetection | None:
    """Return what `turn_detection` of a session says, its defaults filled in; None is push to talk."""
    if settings is None:
        return None
    # Absent means yes, in both.
    create = settings.get("create_response") is not False
    interrupt = settings.get("interrupt_response") is not False
    if settings["type"] == "semantic_vad":
        return TurnDetection(
            threshold=_SEMANTIC_THRESHOLD,
            prefix_padding_ms=_SEMANTIC_PADDING_MS,
            silence_ms=_EAGERNESS_WAITS_MS[settings.get("eagerness") or "auto"],
            lull_ms=_FINISHED_WAIT_MS,
            create_response=create,
            interrupt_response=interrupt,
            idle_timeout_ms=None,
        )
    return TurnDetection(
        threshold=settings["threshold"],
        prefix_padding_ms=settings["prefix_padding_ms"],
        silence_ms=settings["silence_duration_ms"],
        lull_ms=None,
        create_response=create,
        interrupt_response=interrupt,
        idle_timeout_ms=settings.get("idle_timeout_ms"),
    )
