"""A gateway whose lines go wrong, around any other gateway. A recipe, as the one inside: owns no socket and no thread."""

import threading
import time
from collections.abc import Callable

from ..cancellation import Cancellation, current_cancellation
from ..client_events import ClientEvent, SessionUpdate
from ..config import Config
from ..errors import ConnectCancelled, ConnectTimeout, HandshakeRefused, Unreachable
from ..line_limits import DEFAULT_LIMITS, LineLimits
from ..provider import Gateway
from ..server_events import ServerEvent
from ..transport import Transport
from .fault import Fault
from .faulty_transport import FaultyTransport
from .plan import ConnectionPlan, FaultPlan, check_plan
from .values import HttpStatus, Refuse, SilentUpgrade

__all__ = ["FaultyGateway"]


class FaultyGateway:
    """Each `connect` is a connection of the plan, and what it returns a `FaultyTransport`; all else is the inner gateway's.

    Args:
        gateway: Reaches the provider.
        plan: What is to go wrong, with the connecting and with the lines.
        clock: Monotonic seconds.
        limits: Of a line that a fault keeps silent or slow: tighter ones find a `HalfOpen` one out sooner.

    Raises:
        ImpossibleFault: the plan has a fault that cannot act in a transport (the caller's fault).
    """

    def __init__(
        self,
        gateway: Gateway,
        plan: FaultPlan,
        *,
        clock: Callable[[], float] = time.monotonic,
        limits: LineLimits = DEFAULT_LIMITS,
    ) -> None:
        check_plan(plan, "transport")
        self.plan = plan
        self._limits = limits
        self._gateway = gateway
        self._clock = clock

    @property
    def takes_calls(self) -> bool:
        """Whether the provider takes tool calls as items."""
        return bool(getattr(self._gateway, "takes_calls", True))

    def connect(self, model: str, *, timeout_s: float) -> Transport:
        """Fail as the plan says, or open a line on which its faults act; see `Gateway.connect`."""
        plan = self.plan.for_connection(now=self._clock())
        for fault in plan.connect():
            _fail(fault, plan, timeout_s)
        transport = self._gateway.connect(model, timeout_s=timeout_s)
        plan.opened(self._clock())
        return FaultyTransport(transport, plan, clock=self._clock, limits=self._limits)

    def encode(self, event: ClientEvent) -> bytes:
        """Return the text frame that says this."""
        return self._gateway.encode(event)

    def decode(self, frame: bytes | memoryview) -> ServerEvent:
        """Return what a text frame says."""
        return self._gateway.decode(frame)

    def session_update(self, config: Config) -> SessionUpdate:
        """Return the event that configures a session, all of it."""
        return self._gateway.session_update(config)

    def instructions_update(self, text: str) -> SessionUpdate:
        """Return the event that changes the instructions alone."""
        return self._gateway.instructions_update(text)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._gateway!r}, {self.plan!r})"


def _fail(fault: Fault, plan: ConnectionPlan, timeout_s: float) -> None:
    sign = plan.sign(fault)
    match fault:
        case Refuse():
            raise Unreachable(f"the connection was refused ({sign})")
        case HttpStatus(status=status, retry_after_s=retry_after_s):
            raise HandshakeRefused(
                f"the server refused the upgrade with HTTP {status} ({sign})",
                status=status,
                retry_after_s=retry_after_s,
            )
        case SilentUpgrade():
            _wait(timeout_s)
            raise ConnectTimeout(f"no answer to the upgrade within {timeout_s:g} s ({sign})")
        case _:
            pass  # of an open line


def _wait(timeout_s: float) -> None:
    """Wait as an upgrade that is not answered, which can be called off."""
    woken = threading.Event()
    cancellation = current_cancellation() or Cancellation()
    cancellation.watch(woken.set)
    woken.wait(timeout_s)
    cancellation.unwatch()
    if cancellation.cancelled:
        raise ConnectCancelled
