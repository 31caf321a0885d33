"""On what terms the calls of a tool run. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ToolTerms:
    """What the session core knows of a tool.

    Attributes:
        timeout_s: how long a call may take, in seconds, its approval not counted; None for no limit.
        approval_s: how long its approval may take before; 0 if it needs none.
        background: whether an interruption leaves it alone.
    """

    timeout_s: float | None = None
    approval_s: float = 0.0
    background: bool = False
