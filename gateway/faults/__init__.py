"""Faults as values, and the places that act on them: a transport, a proxy, the simulator. Owns nothing itself.

    plan = FaultPlan(Reset().on("response.created"), Refuse().at_connection(2), seed=7)
    with Simulator() as simulator, FaultProxy(simulator.url, plan) as proxy:
        ...  # any client, at proxy.url
    plan.verify()

A *fault* says what goes wrong. A *schedule* makes an injection of it: `at_frame(n)`, `on(event_type, nth)`, `after(seconds)`,
`every(n)`, `with_probability(p)`, and `at_connection(n)` for what goes wrong while connecting. The first three fire once per plan
(`on_every_connection` lifts that), the others as often as it comes to it; `times(k)` bounds each of them, `on_connection(n)` names
the connections. A *plan* is any number of injections and a seed. It acts in `Simulator(faults=plan)`, in `FaultyGateway(gateway,
plan)` or `FaultyTransport(transport, plan)`, or in `FaultProxy(url, plan)`; `fired` tells what did, and `verify()` fails with the
seed if something did not.

Frames are data frames, counted per connection and direction; the directions are the client's. A fault of one event type
(`DoneTwice`, `RateLimit`: `response.done`; `ActiveResponseRace`: `response.create`) counts only those.

S: simulator, T: transport, P: proxy. "1006" and the like are close codes of the `LineClosed` with which Trunkline's own line ends.

=================== ===== =============================================================================================
fault               seams what a client sees
=================== ===== =============================================================================================
Refuse              S T P `Unreachable`
SilentUpgrade       S T P `ConnectTimeout`
HttpStatus          S T P `HandshakeRefused` with the status, and with `retry_after_s`
Reset               S T P 1006, "Connection reset by peer"
HalfOpen            S T P silence; 1011 when its pongs are missed, 1006 when what it sends is not taken
Stall               S T P nothing for so many seconds, then everything, in order
Drip                S P   the rest, a few bytes at a time
CutFrame            S P   half a frame, then 1006
Close               S T P the code and reason; on the wire an illegal code is 1002
NoClose             S P   a `close` that takes all of its time
Garbage             S T P 1002; T: a message that is a `ProtocolError`
InvalidUtf8         S T P a message that is a `ProtocolError`; strict clients: 1007
NotJson             S T P a message that is a `ProtocolError`
MissingField        S T P an event without the field; a `ProtocolError` if it cannot do without
WrongType           S T P an event with a field of another type; a `ProtocolError` if that matters
OversizedFrame      S T P 1009; below the limit, and at T: a large event of an unknown type
EndlessFrame        S P   1009
FragmentFlood       S P   1009; below the limit: an event of an unknown type
CompressedBit       S P   1002
MaskedFrame         S P   1002
Duplicate           S T P the event twice; sent: the server gets it twice
Reorder             S T P two events swapped; sent: the server gets them swapped
Lose                S T P the event never; sent: the server never gets it
DoneTwice           S T P `response.done` twice, with two event ids
DoneForUnknown      S T P `response.done` of a response that nobody knows
ActiveResponseRace  S T P `conversation_already_has_active_response`, and a response that nobody asked for
SessionExpired      S T P `error` with `session_expired`, then 1001
RateLimit           S T P `response.done` that failed with `rate_limit_exceeded`
SlowReader          S T P audio refused with `SendBufferFull`, 1006 if nothing at all is taken
=================== ===== =============================================================================================
"""

from .errors import FaultNeverFired, ImpossibleFault, InvalidSchedule
from .event_faults import (
    ActiveResponseRace,
    DoneForUnknown,
    DoneTwice,
    Duplicate,
    Lose,
    RateLimit,
    Reorder,
    SessionExpired,
)
from .fault import Fault, Seam
from .fault_proxy import FaultProxy
from .faulty_gateway import FaultyGateway
from .faulty_transport import FaultyTransport
from .plan import ConnectionPlan, FaultPlan, Firing
from .rewriting import Rewriter as Rewriter  # for the seams; no part of the test kit
from .rewriting import type_of as type_of
from .schedule import Direction, Injection
from .values import (
    FAULTS,
    Close,
    CompressedBit,
    CutFrame,
    Drip,
    EndlessFrame,
    FragmentFlood,
    Garbage,
    HalfOpen,
    HttpStatus,
    InvalidUtf8,
    MaskedFrame,
    MissingField,
    NoClose,
    NotJson,
    OversizedFrame,
    Refuse,
    Reset,
    SilentUpgrade,
    SlowReader,
    Stall,
    WrongType,
)

__all__ = [
    "FAULTS",
    "ActiveResponseRace",
    "Close",
    "CompressedBit",
    "ConnectionPlan",
    "CutFrame",
    "Direction",
    "DoneForUnknown",
    "DoneTwice",
    "Drip",
    "Duplicate",
    "EndlessFrame",
    "Fault",
    "FaultNeverFired",
    "FaultPlan",
    "FaultProxy",
    "FaultyGateway",
    "FaultyTransport",
    "Firing",
    "FragmentFlood",
    "Garbage",
    "HalfOpen",
    "HttpStatus",
    "ImpossibleFault",
    "Injection",
    "InvalidSchedule",
    "InvalidUtf8",
    "Lose",
    "MaskedFrame",
    "MissingField",
    "NoClose",
    "NotJson",
    "OversizedFrame",
    "RateLimit",
    "Refuse",
    "Reorder",
    "Reset",
    "Seam",
    "SessionExpired",
    "SilentUpgrade",
    "SlowReader",
    "Stall",
    "WrongType",
]
