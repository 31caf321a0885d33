"""What a subscriber that lags keeps of its backlog, and what it loses. Pure.

Above a bound the oldest audio deltas go first, and raw frames with them, then the other deltas, oldest first: final events carry
the full text, so what a slow reader loses is the typing, not the words. Where events are missing a :class:`Gap` stands in their
place; whoever reads past it learns how many were dropped. All other events are kept, up to a bound of their own, at which the
subscriber is given up.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .events import EVENT_CLASSES, AssistantAudioDelta, Error, SessionEvent
from .raw_frame import RawFrame

LAGGING = "subscriber_lagging"


@dataclass(frozen=True, slots=True)
class BacklogLimits:
    """How far a subscriber may lag.

    Attributes:
        max_events: events it may lag behind before deltas are dropped.
        max_audio_bytes: bytes of decoded audio, and of raw frames, it may lag behind.
        max_kept: events that are no deltas it may lag behind before it is given up.

    Raises:
        ValueError: a bound is no whole number, below 1, or ``max_kept`` is below ``max_events``. The caller's fault.
    """

    max_events: int = 2_000
    max_audio_bytes: int = 8 << 20
    max_kept: int = 10_000

    def __post_init__(self) -> None:
        for name in ("max_events", "max_audio_bytes", "max_kept"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ValueError(f"{name} is {value!r}: it must be an int of at least 1")
        if self.max_kept < self.max_events:
            raise ValueError(
                f"max_kept is {self.max_kept}: it must be at least max_events ({self.max_events})"
            )


@dataclass(frozen=True, slots=True)
class Gap:
    """Stands in a backlog where ``dropped`` events are missing."""

    dropped: int


@dataclass(frozen=True, slots=True)
class Trimmed:
    """A backlog after :func:`trim`.

    Attributes:
        kept: what is left, in order, with at most one Gap.
        audio_bytes: how much of it is audio, or raw frames.
        next_look: the length at which trimming is due again: the bound, or more when nothing is left that may go.
        overflow: the subscriber lags too far behind to be kept.
    """

    kept: list[Any]
    audio_bytes: int
    next_look: int
    overflow: bool


class Loss(enum.Enum):
    """What may be lost, and when."""

    AUDIO = 1
    DELTA = 2
    NEVER = 3


def _loss_of_class(event_class: type[SessionEvent]) -> Loss:
    if event_class is AssistantAudioDelta:
        return Loss.AUDIO
    return Loss.DELTA if event_class.kind.endswith("_delta") else Loss.NEVER


_LOSSES: dict[type, Loss] = {event_class: _loss_of_class(event_class) for event_class in EVENT_CLASSES}
_LOSSES[Gap] = Loss.NEVER
_LOSSES[RawFrame] = Loss.AUDIO  # it may hold audio, and what it says is said again by the events


def loss_of(event: object) -> Loss:
    """Return whether an event may be dropped: audio and raw frames first, then the other deltas, nothing else ever."""
    return _LOSSES[type(event)]


def size_of(event: object) -> int:
    """Return what an event counts against the bound of bytes: audio and raw frames do."""
    if isinstance(event, AssistantAudioDelta):
        return event.pcm.nbytes
    return len(event.data) if isinstance(event, RawFrame) else 0


def trim(backlog: Sequence[Any], limits: BacklogLimits) -> Trimmed:
    """Bring a backlog back under its bounds.

    An eighth of the bound is freed at a time, so that a subscriber that stopped reading costs its session little per event.

    Args:
        backlog: the events that wait, oldest first.
        limits: the bounds.
    """
    losses = [loss_of(event) for event in backlog]
    sizes = {index: size_of(backlog[index]) for index in _of(Loss.AUDIO, losses)}
    gaps = sum(type(event) is Gap for event in backlog)
    events_over = _excess(len(backlog) - gaps, limits.max_events)
    bytes_over = _excess(sum(sizes.values()), limits.max_audio_bytes)
    dropped: set[int] = set()
    for index, size in sizes.items():
        if len(dropped) >= events_over and bytes_over <= 0:
            break
        dropped.add(index)
        bytes_over -= size
    dropped.update(_of(Loss.DELTA, losses)[: max(0, events_over - len(dropped))])
    kept = _with_gap(backlog, dropped)
    left = len(backlog) - gaps - len(dropped)
    return Trimmed(
        kept=kept,
        audio_bytes=sum(size for index, size in sizes.items() if index not in dropped),
        next_look=min(max(limits.max_events, left + limits.max_events // 8), limits.max_kept)
        + len(kept)
        - left,
        overflow=left > limits.max_kept,
    )


def lagging_error(gap: Gap) -> Error:
    """Return the event that a reader gets in place of a Gap."""
    return Error(
        code=LAGGING,
        message=f"{gap.dropped} deltas were dropped because this subscriber reads too slowly",
        dropped=gap.dropped,
    )


def overflow_error(limits: BacklogLimits) -> Error:
    """Return the last event of a subscriber that was given up."""
    return Error(
        code=LAGGING,
        message=f"this subscriber was ended: it is more than {limits.max_kept} events behind; read faster or subscribe anew",
        recoverable=False,
    )


def _excess(amount: int, bound: int) -> int:
    return amount - (bound - bound // 8) if amount > bound else 0


def _of(loss: Loss, losses: Sequence[Loss]) -> list[int]:
    return [index for index, found in enumerate(losses) if found is loss]


def _with_gap(backlog: Sequence[Any], dropped: set[int]) -> list[Any]:
    """Leave out what was dropped, and put one Gap, older ones included, where the first of it was."""
    gaps = {index: event.dropped for index, event in enumerate(backlog) if type(event) is Gap}
    gone = dropped | gaps.keys()
    if not gone:
        return list(backlog)
    first = min(gone)
    kept = [event for index, event in enumerate(backlog) if index not in gone]
    kept.insert(first, Gap(len(dropped) + sum(gaps.values())))
    return kept
