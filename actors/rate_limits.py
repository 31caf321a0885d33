"""When the provider's limits are news: below a tenth of any of them. Pure.

Source: the session contract, section 2 ("Numbers") and statement 12; ``rate_limits.updated``.
"""

from __future__ import annotations

import msgspec

from ..gateway import server_events as wire
from ..gateway.wire_types import RateLimit
from .effects import NOTHING, Effects
from .events import RateLimited

LOW_LIMIT = 0.1


def rate_limits_updated(event: wire.RateLimitsUpdated, _now: float) -> Effects:
    """The provider says what is left."""
    low = [limit for limit in event.rate_limits if _is_low(limit)]
    if not low:
        return NOTHING
    reset_ms = 1000.0 * max(limit.reset_seconds or 0.0 for limit in low)
    return [RateLimited(reset_ms, tuple(msgspec.to_builtins(limit) for limit in event.rate_limits))]


def _is_low(limit: RateLimit) -> bool:
    return (
        bool(limit.limit)
        and limit.remaining is not None
        and limit.remaining / (limit.limit or 1.0) < LOW_LIMIT
    )
