"""A transport in its owner's mailbox: watched, serviced, drained, let go."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
from pykka._envelope import Envelope

from trunkline.actors.line import Line, LineService
from trunkline.actors.raw_frame import RawFrame
from trunkline.actors.subscribers import Subscribers
from trunkline.actors.wire_tap import WireTap
from trunkline.gateway.errors import LineClosed
from trunkline.supervision import NORMAL, ManualClock, Readable, SelectableMailbox, Writable


class ScriptedTransport:
    """Keeps the transport's contract over one end of a socket pair, and notes what it was asked."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.wants_write = False
        self.calls: list[Any] = []
        self.due = 5.0
        self.broken = False
        self.is_watched: Callable[[], bool] = lambda: True

    def fileno(self) -> int:
        return self._sock.fileno()

    def pump(self, handle: Callable[[memoryview], None]) -> None:
        self._check()
        handle(memoryview(self._sock.recv(100)))

    def send(self, data: bytes) -> None:
        self._check()
        self.calls.append(("send", data))

    def send_audio(self, data: bytes) -> None:
        self._check()
        self.calls.append(("send_audio", data))

    def flush(self) -> None:
        self._check()
        self.calls.append("flush")
        self.wants_write = False

    def service(self, now: float) -> float:
        self._check()
        self.calls.append(("service", now))
        return self.due

    def close(self, code: int = 1000, reason: str = "", timeout_s: float = 0.5) -> None:
        self.calls.append(("close", timeout_s, self.is_watched()))
        self._sock.close()

    def abort(self) -> None:
        self.calls.append("abort")

    def _check(self) -> None:
        if self.broken:
            raise LineClosed(1006, "broken")


class Rig:
    """A line in a mailbox on a manual clock."""

    def __init__(self) -> None:
        ours, self.peer = socket.socketpair()
        self.clock = ManualClock()
        self.mailbox = SelectableMailbox(clock=self.clock)
        self.transport = ScriptedTransport(ours)
        self.fd = ours.fileno()
        self.transport.is_watched = lambda: self.fd in self.mailbox._watched
        self.table = Subscribers("s")
        self.line = Line(
            7,
            self.transport,
            self.mailbox,
            self.mailbox.send_after,
            self.mailbox.clock.monotonic,
            WireTap(self.table.publisher()),
        )

    def next(self) -> Any:
        """Return the next message; the marker "none" when there is no other."""
        self.mailbox.put(Envelope("none"))
        message = self.mailbox.get().message
        while message != "none" and self.mailbox.get().message != "none":
            pass
        return message

    def ready(self) -> Any:
        """Return what the descriptor says."""
        return self.mailbox.get().message

    def stop(self) -> None:
        self.transport._sock.close()
        self.peer.close()
        self.mailbox.finalize(NORMAL)


@pytest.fixture
def rig() -> Any:
    made = Rig()
    yield made
    made.stop()


def test_what_arrives_is_announced_by_the_mailbox_and_handed_over_by_pump(rig: Rig) -> None:
    rig.peer.sendall(b"hello")
    assert rig.ready() == Readable(rig.fd)
    seen: list[bytes] = []
    rig.line.pump(lambda frame: seen.append(bytes(frame)))
    assert seen == [b"hello"]


def test_control_and_audio_go_their_own_ways(rig: Rig) -> None:
    rig.line.send(b"a")
    rig.line.send_audio(b"b")
    rig.line.flush()
    assert rig.transport.calls == [("send", b"a"), ("send_audio", b"b"), "flush"]


def test_who_wants_frames_gets_each_message_before_it_is_handled_and_after_it_was_taken(rig: Rig) -> None:
    seen: list[Any] = []
    rig.table.add(seen.append, raw=True)
    rig.line.send(b'{"type": "a.b"}')
    rig.line.send_audio(b'{"event_id": "e", "type": "c"}')
    rig.peer.sendall(b"no JSON")
    rig.line.pump(lambda frame: seen.append(type(frame)))
    assert seen == [
        RawFrame("sent", "a.b", b'{"type": "a.b"}'),
        RawFrame("sent", "c", b'{"event_id": "e", "type": "c"}'),
        RawFrame("received", None, b"no JSON"),
        memoryview,
    ]
    rig.transport.broken = True
    with pytest.raises(LineClosed):
        rig.line.send(b"{}")
    assert len(seen) == 4, "what the line did not take was not sent"


def test_while_nobody_wants_frames_the_handler_is_called_directly(rig: Rig) -> None:
    rig.table.add(lambda _: None)
    handlers: list[Any] = []
    rig.transport.pump = handlers.append  # type: ignore[method-assign] # notes who is called
    handle = bytes
    rig.line.pump(handle)
    assert handlers == [handle]


def test_writability_is_watched_only_while_something_waits(rig: Rig) -> None:
    rig.line.settle()
    assert rig.next() == "none"
    rig.transport.wants_write = True
    rig.line.settle()
    assert ("service", rig.clock.monotonic()) in rig.transport.calls, "the stall clock starts"
    assert rig.ready() == Writable(rig.fd)
    rig.line.flush()
    rig.line.settle()
    assert rig.next() == "none"


def test_service_is_called_again_when_the_transport_wants_it(rig: Rig) -> None:
    rig.transport.due = rig.clock.monotonic() + 3.0
    rig.line.service()
    rig.clock.advance(2.9)
    assert rig.next() == "none"
    rig.clock.advance(0.2)
    assert rig.mailbox.get().message == LineService(7)


def test_of_two_service_calls_the_later_one_counts(rig: Rig) -> None:
    rig.transport.due = rig.clock.monotonic() + 3.0
    rig.line.service()
    rig.transport.due = rig.clock.monotonic() + 9.0
    rig.line.service()
    rig.clock.advance(5.0)
    assert rig.next() == "none"
    rig.clock.advance(5.0)
    assert rig.mailbox.get().message == LineService(7)


def test_a_service_that_is_overdue_is_called_at_once(rig: Rig) -> None:
    rig.transport.due = rig.clock.monotonic() - 1.0
    rig.line.service()
    assert rig.mailbox.get().message == LineService(7)


def test_a_line_that_has_ended_says_so_on_every_call(rig: Rig) -> None:
    rig.transport.broken = True
    rig.transport.wants_write = True
    for call in (
        lambda: rig.line.pump(bytes),
        lambda: rig.line.send(b""),
        lambda: rig.line.send_audio(b""),
        rig.line.flush,
        rig.line.settle,
        rig.line.service,
    ):
        with pytest.raises(LineClosed):
            call()


def test_a_dropped_line_is_aborted_unwatched_and_its_timer_is_gone(rig: Rig) -> None:
    rig.line.service()
    rig.peer.sendall(b"unread")
    rig.line.drop()
    assert rig.transport.calls[1:] == ["abort", ("close", 0.0, False)], "unwatched before it is closed"
    rig.clock.advance(100.0)
    assert rig.next() == "none"
    rig.line.drop()


def test_a_line_may_be_let_go_with_a_goodbye(rig: Rig) -> None:
    rig.line.drop(goodbye_s=0.25)
    assert rig.transport.calls == [("close", 0.25, False)]


def test_abort_leaves_the_descriptor_to_its_owner(rig: Rig) -> None:
    rig.line.abort()
    assert rig.transport.calls == ["abort"]
    assert rig.transport.fileno() == rig.fd
