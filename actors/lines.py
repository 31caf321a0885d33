"""The lines of a session: the one that serves, the one to follow it, those that leave. Owns sockets, in the session's thread.

What goes wrong with the serving line is kept until the session asks for it: whoever sends need not care.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..gateway.client_events import ClientEvent
from ..gateway.errors import LineClosed
from ..gateway.transport import Transport
from ..supervision import SelectableMailbox, Timer
from .effects import Effect, SendAppend
from .line import Line
from .uplink import Uplink
from .wire_tap import WireTap

Handle = Callable[[memoryview], None]
_LEAVE_S = 2.0  # for what the line has still to send


class Lines:
    """At most one line serves and at most one waits to follow it.

    Args:
        mailbox: the session's; it waits for the sockets.
        send_after: the session's timers.
        now: its clock.
        encode: makes a text frame of a client event.
        tap: shows the frames to who wants to see them.
    """

    def __init__(
        self,
        mailbox: SelectableMailbox,
        send_after: Callable[[float, Any], Timer],
        now: Callable[[], float],
        encode: Callable[[ClientEvent], bytes],
        tap: WireTap,
    ) -> None:
        self._mailbox = mailbox
        self._send_after = send_after
        self._now = now
        self._encode = encode
        self._tap = tap
        self._uplink = Uplink(encode)
        self._serving: Line | None = None
        self._next: Line | None = None
        self._leaving: list[Line] = []
        self._lost: LineClosed | None = None
        self._next_lost: LineClosed | None = None

    # -- coming and going

    def take(self, attempt: int, transport: Transport) -> None:
        """A line was opened: to follow the one that serves, or to serve at once if there is none."""
        line = Line(attempt, transport, self._mailbox, self._send_after, self._now, self._tap)
        if self._serving is None:
            self._serving = line
        else:
            self._next = line
        self._try(line, line.service)

    def switch(self) -> list[Effect]:
        """The next line serves from now on. Returns the answers to what the old one could not take."""
        old, self._serving, self._next = self._serving, self._next, None
        self._lost, self._next_lost = self._next_lost, None
        if old is None:
            return []
        answers: list[Effect] = []
        try:
            answers += self._uplink.flush(old)
        except LineClosed:
            old.drop()
        else:
            self._leaving.append(old)
        return [*answers, *self._uplink.clear()]

    def leave(self) -> None:
        """Close the line that served before, as soon as it has sent what it has."""
        for line in list(self._leaving):
            self._let_go(line)

    def drop(self, attempt: int) -> list[Effect]:
        """Let a line go at once, whichever it is. Returns the answers to what it did not take."""
        serving, following = self._serving, self._next
        if serving is not None and serving.attempt == attempt:
            self._serving = self._lost = None
            serving.drop()
            return self._uplink.clear()
        if following is not None and following.attempt == attempt:
            self._next = self._next_lost = None
            following.drop()
        return []

    def drop_all(self, *, goodbye_s: float = 0.0) -> None:
        """The session ends, one way or the other."""
        for line in self._leaving:
            line.drop()
        if self._next is not None:
            self._next.drop()
        if self._serving is not None:
            self._serving.drop(goodbye_s=goodbye_s)

    def abort(self) -> None:
        """Kill all lines, from any thread; their owner closes them."""
        for line in (self._serving, self._next, *self._leaving):
            if line is not None:
                line.abort()

    # -- what the mailbox says

    def pump(self, fd: int, handle: Handle, handle_next: Handle) -> None:
        """A socket can be read from. A move in the middle of a read changes who hears the rest of it."""
        serving = self._serving
        if serving is not None and serving.fd == fd and self._next is None:  # the hot path: no move is near
            try:
                serving.pump(handle)
            except LineClosed as closed:
                self._lost = self._lost or closed
            return
        line = self._of(fd)
        if line is None:
            return
        if line in self._leaving:
            self._let_go(line, read=True)
            return

        def hear(frame: memoryview) -> None:
            if line is self._serving:
                handle(frame)
            elif line is self._next:
                handle_next(frame)

        self._try(line, lambda: line.pump(hear))

    def pump_taken(self, handle: Handle, handle_next: Handle) -> None:
        """Over TLS, what came with the upgrade is where no poll sees it."""
        line = self._next or self._serving
        if line is not None:
            self.pump(line.fd, handle, handle_next)

    def flush(self, fd: int) -> None:
        """A socket takes more."""
        line = self._of(fd)
        if line is not None and line in self._leaving:
            self._let_go(line)
        elif line is not None:
            self._try(line, line.flush)

    def service(self, attempt: int) -> None:
        """Time demands something of a line."""
        for line in (self._serving, self._next):
            if line is not None and line.attempt == attempt:
                self._try(line, line.service)
        for line in [one for one in self._leaving if one.attempt == attempt]:
            self._leaving.remove(line)  # it had its time
            line.drop()

    def settle(self) -> list[Effect]:
        """After each message: watch for what waits to be written. Returns the answers to what was taken."""
        answers: list[Effect] = []
        line = self._serving
        if line is not None and self._lost is None:
            try:
                if self._uplink.busy:
                    answers = self._uplink.flush(line)
                line.settle()
            except LineClosed as closed:
                self._lost = closed
        if self._next is not None:
            self._try(self._next, self._next.settle)
        return answers

    def take_loss(self) -> LineClosed | None:
        """Return how the serving line ended, if it has and nobody has heard of it."""
        lost, self._lost = self._lost, None
        return lost

    def take_loss_of_next(self) -> LineClosed | None:
        """Return how the line that waits ended, likewise."""
        lost, self._next_lost = self._next_lost, None
        return lost

    # -- sending

    def send(self, event: ClientEvent) -> None:
        """Send control over the serving line, if there is one."""
        line = self._serving
        if line is not None and self._lost is None:
            self._try(line, lambda: self._uplink.send(line, event))

    def send_to_next(self, event: ClientEvent) -> None:
        """Send control over the line that waits."""
        line = self._next
        if line is not None and self._next_lost is None:
            self._try(line, lambda: line.send(self._encode(event)))

    def append(self, effect: SendAppend) -> tuple[bool, list[Effect]]:
        """Send audio over the serving line. Returns whether it took it, and effects."""
        line = self._serving if self._lost is None else None
        try:
            return self._uplink.append(line, effect)
        except LineClosed as closed:
            self._lost = closed
            return self._uplink.append(None, effect)

    # -- steps

    def _try(self, line: Line, do: Callable[[], object]) -> None:
        try:
            do()
        except LineClosed as closed:
            if line is self._serving:
                self._lost = self._lost or closed
            elif line is self._next:
                self._next_lost = self._next_lost or closed

    def _let_go(self, line: Line, *, read: bool = False) -> None:
        """Close a line that leaves as soon as it has sent everything; what it says meanwhile is nobody's."""
        try:
            if read:
                line.pump(_ignore)
            line.flush()
            line.settle()
        except LineClosed:
            pass
        else:
            if line.wants_write:
                line.give_up_after(_LEAVE_S)
                return
        self._leaving.remove(line)
        line.leave()

    def _of(self, fd: int) -> Line | None:
        lines = (self._serving, self._next, *self._leaving)
        return next((line for line in lines if line is not None and line.fd == fd), None)


def _ignore(_: memoryview) -> None:
    """Take a frame and do nothing."""
