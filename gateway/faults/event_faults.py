"""The faults of whole events: lost, doubled, swapped, or said by a provider that is confused. Pure.

`values` has the others, and says what all of them have in common.
"""

from __future__ import annotations

from dataclasses import dataclass

from .fault import BOTH, SENT, Fault


@dataclass(frozen=True, slots=True)
class Duplicate(Fault, directions=BOTH, needs_frame=True):
    """The frame twice, one right behind the other."""


@dataclass(frozen=True, slots=True)
class Reorder(Fault, directions=BOTH, needs_frame=True):
    """The frame behind the next one of its direction; if none comes, never."""


@dataclass(frozen=True, slots=True)
class Lose(Fault, directions=BOTH, needs_frame=True):
    """The frame never arrives."""


@dataclass(frozen=True, slots=True)
class DoneTwice(Fault, event_type="response.done", needs_frame=True):
    """A `response.done` and right behind it the same one with another `event_id`."""


@dataclass(frozen=True, slots=True)
class DoneForUnknown(Fault):
    """Before the frame, a `response.done` (completed, no output) of a response that nobody has heard of."""


@dataclass(frozen=True, slots=True)
class ActiveResponseRace(Fault, directions=SENT, event_type="response.create", needs_frame=True):
    """A `response.create` that comes too late: the server has just begun the response by itself, as it does under VAD.

    The client receives the error `conversation_already_has_active_response` with its `event_id`; the server gets the create
    without `event_id` and metadata, so that the response comes all the same, once, and nothing says whose it is.
    """


@dataclass(frozen=True, slots=True)
class SessionExpired(Fault):
    """The provider's maximum duration: an `error` with `session_expired`, then CLOSE 1001, instead of the frame."""


@dataclass(frozen=True, slots=True)
class RateLimit(Fault, event_type="response.done", needs_frame=True):
    """A `response.done` that says `failed`, with the error `rate_limit_exceeded` in it, as the service does it."""
