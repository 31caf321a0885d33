"""What goes over the line in which order, on a transport that takes only so much."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from trunkline.actors.effects import Effect, Reject, Resolve, SendAppend
from trunkline.actors.errors import LineDown
from trunkline.actors.events import Error
from trunkline.actors.line import Line
from trunkline.actors.subscribers import Subscribers
from trunkline.actors.uplink import Uplink
from trunkline.actors.wire_tap import WireTap
from trunkline.gateway.client_events import (
    ClientEvent,
    ConversationItemCreate,
    ConversationItemTruncate,
    InputAudioBufferAppend,
    InputAudioBufferClear,
    InputAudioBufferCommit,
    ResponseCancel,
    ResponseCreate,
)
from trunkline.gateway.codec import encode_client_event
from trunkline.gateway.errors import LineClosed, SendBufferFull
from trunkline.gateway.items import user_text
from trunkline.supervision import ManualClock, SelectableMailbox

BOUND = 1000


class NarrowTransport:
    """Writes nothing by itself, and refuses audio above a bound: ``written`` is what the test lets pass."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._urgent: list[bytes] = []
        self._waiting: list[bytes] = []
        self.written: list[dict[str, Any]] = []
        self.broken = False

    @property
    def wants_write(self) -> bool:
        return bool(self._urgent or self._waiting)

    def fileno(self) -> int:
        return self._fd

    def pump(self, handle: Callable[[memoryview], None]) -> None:
        raise AssertionError("nobody reads here")

    def send(self, data: bytes) -> None:
        self._check()
        self._urgent.append(data)

    def send_audio(self, data: bytes) -> None:
        self._check()
        size = sum(map(len, self._urgent + self._waiting))
        if size and size + len(data) > BOUND:
            raise SendBufferFull(BOUND)
        self._waiting.append(data)

    def flush(self) -> None:
        """The socket takes everything."""
        self.written += [json.loads(frame) for frame in self._urgent + self._waiting]
        self._urgent, self._waiting = [], []

    def service(self, now: float) -> float:
        return now + 1.0

    def close(self, code: int = 1000, reason: str = "", timeout_s: float = 0.5) -> None: ...

    def abort(self) -> None: ...

    def _check(self) -> None:
        if self.broken:
            raise LineClosed(1006, "broken")


class Rig:
    def __init__(self, fd: int) -> None:
        mailbox = SelectableMailbox(clock=ManualClock())
        self.transport = NarrowTransport(fd)
        tap = WireTap(Subscribers("s").publisher())
        self.line = Line(1, self.transport, mailbox, mailbox.send_after, mailbox.clock.monotonic, tap)
        self.uplink = Uplink(encode_client_event)

    def send(self, *events: ClientEvent) -> None:
        for event in events:
            self.uplink.send(self.line, event)

    def append(self, *sizes: int, token: int | None = None) -> tuple[bool, list[Effect]]:
        pieces = tuple(InputAudioBufferAppend(audio=bytes(n), event_id=f"e{n}") for n in sizes)
        return self.uplink.append(self.line, SendAppend(pieces, token))

    def drain(self) -> tuple[list[str], list[Effect]]:
        """Let everything out. Returns the types of what was written, and the effects."""
        effects: list[Effect] = []
        while self.transport.wants_write or self.uplink.busy:
            self.transport.flush()
            effects += self.uplink.flush(self.line)
        types = [event["type"].rpartition(".")[2] for event in self.transport.written]
        self.transport.written.clear()
        return types, effects


@pytest.fixture
def rig() -> Iterator[Rig]:
    ours, peer = socket.socketpair()
    with ours, peer:
        yield Rig(ours.fileno())


ITEM = ConversationItemCreate(item=user_text("hi", item_id="i"))


def test_an_interruption_overtakes_audio_that_waits(rig: Rig) -> None:
    rig.append(100)
    rig.send(ResponseCancel(response_id="r"), ConversationItemTruncate(item_id="i", audio_end_ms=1))
    assert rig.drain()[0] == ["cancel", "truncate", "append"]


def test_a_commit_comes_behind_the_audio_it_is_about_and_what_follows_it_behind_the_commit(rig: Rig) -> None:
    rig.append(100)
    rig.send(InputAudioBufferCommit(), ITEM, ResponseCreate(), ResponseCancel(response_id="r"))
    assert rig.drain()[0] == ["cancel", "append", "commit", "create", "create"]


def test_a_clear_comes_behind_the_audio_it_is_about(rig: Rig) -> None:
    rig.append(100)
    rig.send(InputAudioBufferClear(), ITEM)
    assert rig.drain()[0] == ["create", "append", "clear"]


def test_control_is_ahead_of_audio_again_once_the_commit_is_out(rig: Rig) -> None:
    rig.append(100)
    rig.send(InputAudioBufferCommit())
    rig.drain()
    rig.append(100)
    rig.send(ResponseCreate())
    assert rig.drain()[0] == ["create", "append"]


def test_a_commit_is_never_refused_and_keeps_its_place(rig: Rig) -> None:
    rig.append(650)
    rig.send(InputAudioBufferCommit(), *[ITEM] * 3, ResponseCreate())
    assert rig.uplink.busy
    types, effects = rig.drain()
    assert types == ["append", "commit", "create", "create", "create", "create"]
    assert effects == []
    assert not rig.uplink.busy


def test_audio_is_answered_when_the_line_has_all_of_it(rig: Rig) -> None:
    assert rig.append(100, token=1) == (True, [Resolve(1)])
    rig.drain()
    assert rig.append(600, 601, 602, token=2) == (True, [])
    rig.transport.flush()
    assert rig.uplink.flush(rig.line) == []
    rig.transport.flush()
    assert rig.uplink.flush(rig.line) == [Resolve(2)]
    rig.transport.flush()
    assert [event["event_id"] for event in rig.transport.written] == ["e600", "e601", "e602"]


def test_nothing_gets_between_the_pieces_of_one_audio(rig: Rig) -> None:
    rig.append(600, 601, token=1)
    taken, effects = rig.append(5, token=2)
    assert not taken
    assert [(type(e), e.token, type(e.error)) for e in effects] == [(Reject, 2, SendBufferFull)]  # type: ignore[union-attr]
    rig.send(InputAudioBufferCommit())
    assert rig.drain() == (["append", "append", "commit"], [Resolve(1)])
    assert rig.append(5, token=3) == (True, [Resolve(3)])


def test_what_is_refused_is_refused_whole(rig: Rig) -> None:
    rig.append(700)
    taken, effects = rig.append(700, 701, token=4)
    assert (taken, [type(e.error) for e in effects]) == (False, [SendBufferFull])  # type: ignore[union-attr]
    assert rig.drain()[0] == ["append"]


def test_told_audio_that_was_refused_is_reported_once_when_the_line_takes_audio_again(rig: Rig) -> None:
    rig.append(700)
    assert [rig.append(700) for _ in range(3)] == [(False, [])] * 3
    rig.drain()
    taken, (error,) = rig.append(1)
    assert taken
    assert isinstance(error, Error)
    assert (error.code, error.dropped, error.recoverable) == ("uplink_lagging", 3, True)
    assert rig.append(1) == (True, [])


def test_without_a_line_audio_is_refused(rig: Rig) -> None:
    pieces = (InputAudioBufferAppend(audio=b"\0\0"),)
    taken, (refusal,) = rig.uplink.append(None, SendAppend(pieces, 1))
    assert isinstance(refusal, Reject)
    assert (taken, refusal.token, type(refusal.error)) == (False, 1, LineDown)


def test_what_the_line_before_had_taken_is_never_refused(rig: Rig) -> None:
    rig.append(700)
    pieces = tuple(InputAudioBufferAppend(audio=bytes(600), event_id=f"e{n}") for n in range(2))
    assert rig.uplink.append(rig.line, SendAppend(pieces, carried=True)) == (True, [])
    taken, effects = rig.append(5, token=2)
    assert (taken, [type(e.error) for e in effects]) == (False, [SendBufferFull])  # type: ignore[union-attr]
    assert rig.drain() == (["append", "append", "append"], [])


def test_a_lost_line_fails_whoever_waits_and_the_next_line_begins_empty(rig: Rig) -> None:
    rig.append(600, 601, token=1)
    rig.send(InputAudioBufferCommit())
    (lost,) = rig.uplink.clear()
    assert isinstance(lost, Reject)
    assert (lost.token, type(lost.error)) == (1, LineDown)
    rig.transport.flush()
    rig.transport.written.clear()
    assert not rig.uplink.busy
    rig.append(1)
    rig.send(ITEM)
    assert rig.drain()[0] == ["create", "append"]


def test_a_dead_line_is_the_session_s_business(rig: Rig) -> None:
    rig.transport.broken = True
    with pytest.raises(LineClosed):
        rig.append(1)
    with pytest.raises(LineClosed):
        rig.send(InputAudioBufferCommit())
