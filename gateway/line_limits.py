"""How much a line may take, and how long: sizes, keepalive, stall. Pure."""

from dataclasses import dataclass, fields
from typing import Final

from . import checks

__all__ = ["DEFAULT_LIMITS", "LineLimits"]


@checks.settings("limits.")
@dataclass(frozen=True, slots=True, kw_only=True)
class LineLimits:
    """The bounds of one line. What exceeds them ends it with `LineClosed`; audio above its bound is refused instead.

    Attributes:
        max_frame_bytes: of one received frame (close code 1009).
        max_message_bytes: of one received message of several frames (1009).
        send_buffer_bytes: waiting to be sent, above which audio is refused.
        ping_interval_s: seconds between two pings.
        pong_timeout_s: seconds of silence after a ping (1011).
        stall_timeout_s: seconds in which the socket takes nothing of what waits (1006).
    """

    max_frame_bytes: int = 16 << 20
    max_message_bytes: int = 32 << 20
    send_buffer_bytes: int = 1 << 20
    ping_interval_s: float = 20.0
    pong_timeout_s: float = 20.0
    stall_timeout_s: float = 10.0

    def __post_init__(self) -> None:
        for each in fields(self):
            name, value = f"limits.{each.name}", getattr(self, each.name)
            if each.name.endswith("_bytes"):
                checked: float = checks.integer(name, value, 1)
            else:
                checked = checks.seconds(name, value)
            object.__setattr__(self, each.name, checked)


DEFAULT_LIMITS: Final = LineLimits()
