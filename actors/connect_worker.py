"""ConnectWorker: one connection attempt, in an actor of its own. Owns a thread, and the socket until it is handed over.

DNS, TCP, TLS and upgrade block here and nowhere else; killing the worker wakes it from them. The open transport is offered to
the session by an ask, and an ask is always answered: if the session does not take it, or is gone, the transport is closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pykka

from ..gateway.cancellation import Cancellation, cancellable_by
from ..gateway.errors import ConnectError, GatewayError
from ..gateway.provider import Gateway
from ..gateway.transport import Transport
from ..supervision import NORMAL, Exit, Future, GenServer, cast


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to connect. Each incarnation of a session counts its own: what belongs to an earlier one is out of date."""

    incarnation: int
    number: int


@dataclass(frozen=True, slots=True)
class LineOffered:
    """To the session, as an ask: answered with True if it takes the transport over."""

    attempt: Attempt
    transport: Transport


@dataclass(frozen=True, slots=True)
class LineFailed:
    """To the session: this attempt led to no line."""

    attempt: Attempt
    error: Exception


class ConnectWorker(GenServer):
    """Opens one line for a session.

    Args:
        gateway: the provider.
        model: the provider's name of the model.
        timeout_s: the deadline of the whole attempt.
        attempt: the session's name for it.
        session: the session's StableRef.
    """

    def __init__(
        self, gateway: Gateway, model: str, timeout_s: float, attempt: Attempt, session: pykka.ActorRef[Any]
    ) -> None:
        super().__init__()
        self._gateway = gateway
        self._model = model
        self._timeout_s = timeout_s
        self._attempt = attempt
        self._session = session
        self._cancellation = Cancellation()

    def handle_continue(self) -> None:
        """Connect: after the supervisor's start is acknowledged, before any message."""
        try:
            with cancellable_by(self._cancellation):
                transport = self._gateway.connect(self._model, timeout_s=self._timeout_s)
        except BaseException as error:  # noqa: BLE001 - the worker's edge: a failed attempt is the session's to judge
            if not self._cancellation.cancelled:  # else whoever called it off knows
                cast(self._session, LineFailed(self._attempt, _mapped(error)))
            raise Exit(NORMAL) from None
        offer = self._session.ask(LineOffered(self._attempt, transport), block=False)
        assert isinstance(offer, Future)
        offer.add_done_callback(lambda answer: _close_unless_taken(answer, transport))
        raise Exit(NORMAL)

    def on_kill(self) -> None:
        """The killer's thread: nobody waits for this line any more."""
        self._cancellation.cancel()


def _mapped(error: BaseException) -> GatewayError:
    """Return an error of the gateway's tree, whatever a gateway raised."""
    if isinstance(error, GatewayError):
        return error
    mapped = ConnectError(f"the gateway's connect() raised {type(error).__name__}", recoverable=False)
    # An Exception is a bug in the gateway. But what sys.exit() says in a key callable may be a secret.
    if isinstance(error, Exception):
        mapped.__cause__ = error
    return mapped


def _close_unless_taken(answer: Future[Any], transport: Transport) -> None:
    if answer.exception() is not None or answer.get() is not True:
        transport.abort()
        transport.close(timeout_s=0.0)
