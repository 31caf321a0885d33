"""A session's transport in its actor's mailbox: watched, serviced, drained. Owns a socket, in the session's own thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..gateway.transport import Transport
from ..supervision import SelectableMailbox, Timer
from .wire_tap import WireTap


@dataclass(frozen=True, slots=True)
class LineService:
    """To the session itself: look after the line of this attempt (pings, pongs, a socket that takes nothing)."""

    attempt: int


class Line:
    """One open transport and what its owner's mailbox does for it.

    All methods raise :class:`trunkline.gateway.errors.LineClosed` when the line has ended, but ``drop`` and ``abort``.
    """

    def __init__(
        self,
        attempt: int,
        transport: Transport,
        mailbox: SelectableMailbox,
        send_after: Callable[[float, Any], Timer],
        now: Callable[[], float],
        tap: WireTap,
    ) -> None:
        self.attempt = attempt
        self._transport = transport
        self._mailbox = mailbox
        self._send_after = send_after
        self._now = now
        self._tap = tap
        self.fd = transport.fileno()
        self._writing = False
        self._service_timer: Timer | None = None
        mailbox.watch_fd(self.fd)

    @property
    def wants_write(self) -> bool:
        """Whether something that was sent waits for the socket."""
        return self._transport.wants_write

    def pump(self, handle: Callable[[memoryview], None]) -> None:
        """Hand over what has arrived."""
        self._transport.pump(self._tap.before(handle))

    def send(self, data: bytes) -> None:
        """Send control: ahead of audio, never refused."""
        self._transport.send(data)
        self._tap.sent(data)

    def send_audio(self, data: bytes) -> None:
        """Send audio; raises SendBufferFull when too much waits."""
        self._transport.send_audio(data)
        self._tap.sent(data)

    def flush(self) -> None:
        """The socket takes more."""
        self._transport.flush()

    def settle(self) -> None:
        """After each message: watch for writability as long as something waits to be written."""
        wants_write = self._transport.wants_write
        if wants_write == self._writing:
            return
        self._writing = wants_write
        self._mailbox.watch_fd(self.fd, wants_write)
        if wants_write:
            self.service()  # the stall clock starts here

    def service(self) -> None:
        """Do what time demands, and see to it that this is called again when it does."""
        now = self._now()
        due = self._transport.service(now)
        if self._service_timer is not None:
            self._service_timer.cancel()
        self._service_timer = self._send_after(max(0.0, due - now), LineService(self.attempt))

    def drop(self, *, goodbye_s: float = 0.0) -> None:
        """Let the line go: with a closing handshake of at most ``goodbye_s``, or at once. Never raises."""
        if self._service_timer is not None:
            self._service_timer.cancel()
        self._mailbox.unwatch_fd(self.fd)
        if not goodbye_s:
            self._transport.abort()
        self._transport.close(timeout_s=goodbye_s)

    def leave(self) -> None:
        """Let the line go with a CLOSE whose answer nobody waits for. Never raises."""
        if self._service_timer is not None:
            self._service_timer.cancel()
        self._mailbox.unwatch_fd(self.fd)
        self._transport.close(timeout_s=0.0)

    def give_up_after(self, delay_s: float) -> None:
        """Have ``LineService`` come then, and not before."""
        if self._service_timer is not None:
            self._service_timer.cancel()
        self._service_timer = self._send_after(delay_s, LineService(self.attempt))

    def abort(self) -> None:
        """Kill the line, from any thread; its owner closes it."""
        self._transport.abort()
