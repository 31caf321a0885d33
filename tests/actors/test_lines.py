"""The lines of a session in its mailbox: one serves, one waits to follow it, one leaves when it has sent what it has."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from trunkline.actors.lines import Lines
from trunkline.actors.subscribers import Subscribers
from trunkline.actors.wire_tap import WireTap
from trunkline.gateway.client_events import ResponseCancel
from trunkline.gateway.codec import encode_client_event
from trunkline.gateway.errors import LineClosed
from trunkline.supervision import NORMAL, ManualClock, SelectableMailbox


class Wire:
    """A transport over one end of a socket pair; its buffer is full while `stuck`."""

    def __init__(self) -> None:
        self._sock, self.peer = socket.socketpair()
        self._number = self._sock.fileno()
        self.stuck = False
        self.broken = False
        self.sent: list[str] = []
        self.closed: str | None = None

    @property
    def wants_write(self) -> bool:
        return self.stuck

    def fileno(self) -> int:
        return self._number

    def pump(self, handle: Callable[[memoryview], None]) -> None:
        self._check()
        for frame in self._sock.recv(100).split(b"|"):
            handle(memoryview(frame))

    def send(self, data: bytes) -> None:
        self._check()
        self.sent.append(json.loads(data)["type"])

    send_audio = send

    def flush(self) -> None:
        self._check()

    def service(self, now: float) -> float:
        self._check()
        return now + 5.0

    def close(self, code: int = 1000, reason: str = "", timeout_s: float = 0.5) -> None:
        self.closed = self.closed or f"said goodbye, {timeout_s} s"
        self._sock.close()

    def abort(self) -> None:
        self.closed = "aborted"

    def _check(self) -> None:
        if self.broken:
            raise LineClosed(1006, "broken")


class Rig:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.mailbox = SelectableMailbox(clock=self.clock)
        self.lines = Lines(
            self.mailbox,
            self.mailbox.send_after,
            self.clock.monotonic,
            encode_client_event,
            WireTap(Subscribers("s").publisher()),
        )
        self.wires: list[Wire] = []

    def take(self, number: int) -> Wire:
        wire = Wire()
        self.wires.append(wire)
        self.lines.take(number, wire)
        return wire

    def say(self, next: bool = False) -> None:
        event = ResponseCancel(response_id="r1")
        (self.lines.send_to_next if next else self.lines.send)(event)

    def watched(self, wire: Wire) -> bool:
        return wire.fileno() in self.mailbox._watched


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.lines.drop_all()
    for wire in made.wires:
        wire.peer.close()
    made.mailbox.finalize(NORMAL)


def heard(rig: Rig, wire: Wire, data: bytes) -> list[Any]:
    wire.peer.sendall(data)
    found: list[Any] = []
    rig.lines.pump(
        wire.fileno(),
        lambda frame: found.append(("serving", bytes(frame))),
        lambda frame: found.append(("next", bytes(frame))),
    )
    return found


def test_the_first_line_serves_and_the_second_waits(rig: Rig) -> None:
    first, second = rig.take(1), rig.take(2)
    rig.say()
    rig.say(next=True)
    rig.say(next=True)
    assert (len(first.sent), len(second.sent)) == (1, 2)
    assert heard(rig, first, b"a") == [("serving", b"a")]
    assert heard(rig, second, b"b") == [("next", b"b")]


def test_after_the_switch_everything_goes_to_the_line_that_waited(rig: Rig) -> None:
    first, second = rig.take(1), rig.take(2)
    rig.lines.switch()
    rig.say()
    assert (first.sent, second.sent) == ([], ["response.cancel"])
    assert heard(rig, second, b"b") == [("serving", b"b")]
    assert first.closed is None
    rig.lines.leave()
    assert first.closed == "said goodbye, 0.0 s"
    assert not rig.watched(first)
    assert rig.watched(second)


def test_a_move_in_the_middle_of_a_read_changes_who_hears_the_rest(rig: Rig) -> None:
    found: list[tuple[str, str]] = []

    def note(who: str) -> Callable[[memoryview], None]:
        def handle(frame: memoryview) -> None:
            found.append((who, bytes(frame).decode()))
            if frame == b"move":
                rig.lines.switch()

        return handle

    def hear(wire: Wire, data: bytes) -> list[tuple[str, str]]:
        found.clear()
        wire.peer.sendall(data)
        rig.lines.pump(wire.fileno(), note("serving"), note("next"))
        return list(found)

    first, second = rig.take(1), rig.take(2)
    assert hear(second, b"a|move|b") == [("next", "a"), ("next", "move"), ("serving", "b")]
    rig.lines.leave()
    assert first.closed
    third = rig.take(3)
    assert hear(second, b"a|move|b") == [("serving", "a"), ("serving", "move")], "b is said to nobody"
    rig.lines.leave()
    assert hear(third, b"a") == [("serving", "a")]


def test_what_a_line_says_behind_its_end_is_heard_by_nobody(rig: Rig) -> None:
    rig.take(1)
    second, found = rig.take(2), []
    second.peer.sendall(b"a|b")

    def handle(frame: memoryview) -> None:
        found.append(bytes(frame))
        rig.lines.drop(2)

    rig.lines.pump(second.fileno(), handle, handle)
    assert found == [b"a"]


def test_a_line_that_has_something_to_send_leaves_when_it_has_sent_it(rig: Rig) -> None:
    first = rig.take(1)
    rig.take(2)
    first.stuck = True
    rig.lines.switch()
    rig.lines.leave()
    assert first.closed is None
    assert heard(rig, first, b"late") == [], "what it says is nobody's"
    assert first.closed is None
    first.stuck = False
    rig.lines.flush(first.fileno())
    assert first.closed == "said goodbye, 0.0 s"


def test_a_line_that_never_gets_rid_of_it_has_its_time(rig: Rig) -> None:
    first = rig.take(1)
    rig.take(2)
    first.stuck = True
    rig.lines.switch()
    rig.lines.leave()
    rig.lines.service(1)
    assert first.closed == "aborted"
    assert not rig.watched(first)


def test_a_line_that_breaks_while_it_leaves_is_nobody_s_loss(rig: Rig) -> None:
    first = rig.take(1)
    rig.take(2)
    first.stuck = True
    rig.lines.switch()
    rig.lines.leave()
    first.broken = True
    rig.lines.flush(first.fileno())
    assert first.closed
    assert rig.lines.take_loss() is None


def test_each_loss_is_told_once_and_of_the_right_line(rig: Rig) -> None:
    first, second = rig.take(1), rig.take(2)
    second.broken = True
    rig.lines.settle()
    rig.lines.service(2)
    assert rig.lines.take_loss() is None
    assert rig.lines.take_loss_of_next() is not None
    assert rig.lines.take_loss_of_next() is None
    first.broken = True
    rig.say()
    assert rig.lines.take_loss() is not None
    assert rig.lines.take_loss() is None


def test_dropping_one_line_leaves_the_other(rig: Rig) -> None:
    first, second = rig.take(1), rig.take(2)
    rig.lines.drop(2)
    assert (first.closed, second.closed) == (None, "aborted")
    third = rig.take(3)
    rig.lines.drop(1)
    assert first.closed == "aborted"
    assert third.closed is None


def test_the_end_closes_every_line_there_is(rig: Rig) -> None:
    first, second = rig.take(1), rig.take(2)
    first.stuck = True
    rig.lines.switch()
    rig.lines.leave()
    third = rig.take(3)
    rig.lines.drop_all(goodbye_s=0.5)
    assert [wire.closed for wire in (first, second, third)] == ["aborted", "said goodbye, 0.5 s", "aborted"]
