"""The faults of the line that the soak injects: those that the contract promises to survive, by seed. Pure.

Fair are: the end of a line in every way that is to be retried (reset, half-open, cut frame, CLOSE 1001, 1011, 1012, 1013,
``session_expired``, bytes that are no WebSocket), stalls and drips, refusals of a *re*connect (429, 503, a reset, silence),
events that come twice, a ``response.done`` that comes twice or for an unknown response, the race for the active response,
and the loss or damage of events that others make up for (deltas, the arrival of items).

Not fair, and left out: fatal closes and statuses (the session has to end), a lost or damaged ``response.done`` (no other
event says that a response is over) and a lost ``response.created`` (what was said before it would be unknown), lost client
events (TCP loses none), reordered events, a failed response (it is the provider's answer).
"""

from random import Random

from trunkline.testing import (
    ActiveResponseRace,
    Close,
    CompressedBit,
    CutFrame,
    DoneForUnknown,
    DoneTwice,
    Drip,
    Duplicate,
    Fault,
    FaultPlan,
    Garbage,
    HalfOpen,
    HttpStatus,
    Injection,
    InvalidUtf8,
    Lose,
    MaskedFrame,
    MissingField,
    NotJson,
    Refuse,
    Reset,
    SessionExpired,
    SilentUpgrade,
    Stall,
    WrongType,
)

HORIZON_S = 60.0
"""How old a connection may be for a fault to meet it; sessions are closed before."""
TIMED: tuple[tuple[Fault, int], ...] = (
    (Reset(), 4),
    (HalfOpen(), 1),
    (CutFrame(), 1),
    (Close(1001), 1),
    (Close(1011), 1),
    (Close(1012), 1),
    (Close(1013), 1),
    (Garbage(), 1),
    (CompressedBit(), 1),
    (MaskedFrame(), 1),
    (SessionExpired(), 2),
    (Stall(0.5), 2),
    (Stall(1.5), 1),
    (Drip(40), 1),
    (DoneTwice(), 1),
    (DoneForUnknown(), 1),
    (ActiveResponseRace(), 2),
)
ON_EVENTS: tuple[tuple[Fault, str], ...] = (
    (Lose(), "response.output_text.delta"),
    (Lose(), "response.output_text.done"),
    (Lose(), "response.output_item.added"),
    (Lose(), "conversation.item.added"),
    (InvalidUtf8(), "response.output_text.delta"),
    (NotJson(), "response.output_text.delta"),
    (MissingField("item_id"), "response.output_text.delta"),
    (WrongType("delta"), "response.output_text.delta"),
)
ON_EVENTS_SHARE = 0.25
DUPLICATES_SHARE = 0.1
AT_CONNECTING: tuple[tuple[Fault, float], ...] = (
    (HttpStatus(429, retry_after_s=1), 0.04),
    (HttpStatus(503), 0.02),
    (Refuse(), 0.02),
    (SilentUpgrade(), 0.01),
)


def one_fault(dice: Random, age_s: float) -> Injection:
    """Draw a fault that acts when its connection is about so old."""
    if dice.random() < DUPLICATES_SHARE:
        return Duplicate().at_frame(dice.randint(1, 200))
    if dice.random() < ON_EVENTS_SHARE:
        fault, event_type = dice.choice(ON_EVENTS)
        return fault.on(event_type, nth=dice.randint(1, 6))
    faults, weights = zip(*TIMED, strict=True)
    return dice.choices(faults, weights)[0].after(age_s)


def wire_plan(seed: int, seconds: float, sessions: int, rate: float) -> FaultPlan:
    """Return a plan in which about `rate` faults happen per second, over all sessions.

    Each connection draws the ages at which something happens to it: which connection is whose depends on threads, what
    happens to the n-th one does not.
    """
    injections: list[Injection] = []
    for number in range(1, 2 * sessions + int(12 * seconds)):
        dice = Random(f"{seed}/wire/{number}")
        age_s = dice.expovariate(rate / sessions)
        while age_s < HORIZON_S:
            injections.append(one_fault(dice, round(age_s, 3)).on_connection(number))
            age_s += dice.expovariate(rate / sessions)
    injections += [fault.with_probability(p) for fault, p in AT_CONNECTING]
    return FaultPlan(*injections, seed=seed)
