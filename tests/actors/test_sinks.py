"""An actor that subscribes and lags: with pykka's own queue and with our mailbox."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pykka
import pytest

from trunkline.actors.backlog import BacklogLimits
from trunkline.actors.commands import RealtimeClose, RealtimeEvent, RealtimeFrame
from trunkline.actors.events import (
    AssistantAudioDelta,
    AssistantText,
    AssistantTextDelta,
    Error,
    SessionClosed,
)
from trunkline.actors.raw_frame import RawFrame
from trunkline.actors.sinks import ActorSink
from trunkline.actors.subscribers import Subscribers
from trunkline.supervision import GenServer, Mailbox

PATIENCE_S = 10.0
LIMITS = BacklogLimits(max_events=16, max_audio_bytes=10_000, max_kept=40)
DELTA = AssistantTextDelta("r", "hi")
FINAL = AssistantText("r", "hi there")
AUDIO = AssistantAudioDelta("r", np.zeros(10, np.int16))
FRAME = RawFrame("received", "x", b"{}")
CLOSED = SessionClosed("client")


class Slow:
    """Reads nothing until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Any] = []
        self.busy = threading.Event()
        self.may_go_on = threading.Event()

    def on_receive(self, message: Any) -> Any:
        match message:
            case "wait":
                self.busy.set()
                assert self.may_go_on.wait(PATIENCE_S)
            case "told?":
                pass
            case _:
                self.told.append(message)
        return list(self.told)


class PlainSlow(Slow, pykka.ThreadingActor):
    pass


class OurSlow(Slow, GenServer):
    pass


class Bounded(Slow, GenServer):
    """An actor whose own mailbox takes ten messages."""

    @staticmethod
    def _create_actor_inbox() -> Mailbox:
        return Mailbox(max_size=10)


class Rig:
    """An actor that is stuck, and the sink that tells it."""

    def __init__(self, kind: type[Any]) -> None:
        self.ref = kind.start()
        self.actor: Any = self.ref._actor_weakref()
        self.sink = ActorSink(self.ref, "s", LIMITS)
        self.ref.tell("wait")
        assert self.actor.busy.wait(PATIENCE_S)

    def catch_up(self) -> list[Any]:
        """Let it read everything. Returns what it was told so far."""
        self.actor.may_go_on.set()
        deadline = time.monotonic() + PATIENCE_S
        while self.ref.actor_inbox.qsize():  # type: ignore[attr-defined] # both kinds of inbox have it
            assert time.monotonic() < deadline, "the actor reads nothing"
            threading.Event().wait(0.001)
        told: list[Any] = self.ref.ask("told?", timeout=PATIENCE_S)
        return [message.event if isinstance(message, RealtimeEvent) else message for message in told]


@pytest.fixture(params=[PlainSlow, OurSlow])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    rig = Rig(request.param)
    yield rig
    rig.actor.may_go_on.set()
    rig.ref.stop(timeout=PATIENCE_S)


@pytest.fixture
def bounded() -> Iterator[Rig]:
    rig = Rig(Bounded)
    yield rig
    rig.actor.may_go_on.set()
    rig.ref.stop(timeout=PATIENCE_S)


def dropped(told: list[Any]) -> list[int]:
    return [event.dropped for event in told if isinstance(event, Error)]


def test_a_stuck_actor_gets_deltas_up_to_the_bound_and_hears_once_how_many_are_missing(rig: Rig) -> None:
    for _ in range(100):
        assert rig.sink.deliver(AUDIO) is True
        assert rig.sink.deliver(DELTA) is True
    assert rig.sink.deliver(FINAL) is True
    before = rig.catch_up()
    assert (before.count(AUDIO), before.count(DELTA), before.count(FINAL)) == (7, 9, 1)
    assert dropped(before) == [], "an inbox cannot be told in hindsight"
    assert rig.sink.deliver(DELTA) is True
    after = rig.catch_up()[len(before) :]
    assert dropped(after) == [184]
    assert after[1:] == [DELTA]


def test_finals_and_control_are_kept_until_the_actor_is_given_up(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "trunkline.actors")
    results = [rig.sink.deliver(FINAL) for _ in range(50)]
    assert results == [True] * 40 + [False] * 10
    rig.sink.end(CLOSED)
    *kept, error, close = rig.catch_up()
    assert kept == [FINAL] * 40
    assert (error.code, error.recoverable) == ("subscriber_lagging", False)
    assert close == RealtimeClose("s", "error"), "its end, and no session_closed after it"
    assert len(caplog.records) == 1


def test_the_end_comes_through_and_what_is_missing_is_told_before_it(rig: Rig) -> None:
    for _ in range(30):
        rig.sink.deliver(DELTA)
    rig.sink.end(CLOSED)
    assert rig.sink.deliver(DELTA) is False
    told = rig.catch_up()
    assert told[:16] == [DELTA] * 16
    assert dropped(told) == [14]
    assert told[-2:] == [CLOSED, RealtimeClose("s", "client")]


def test_frames_come_in_a_message_of_their_own_and_are_bounded_too(rig: Rig) -> None:
    for _ in range(30):
        assert rig.sink.deliver_raw(FRAME) is True
    assert rig.catch_up() == [RealtimeFrame("s", FRAME)] * 14


def test_an_actor_that_is_given_up_is_no_subscriber_any_more(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "trunkline.actors")
    table = Subscribers("s")
    publish = table.publisher()
    table.add(rig.ref)
    for _ in range(10_001):
        publish(FINAL)
    assert table._sinks == ()
    table.close(CLOSED)
    told = rig.catch_up()
    assert (told.count(FINAL), told.count(CLOSED)) == (10_000, 0)
    assert told[-1] == RealtimeClose("s", "error")


def test_what_a_mailbox_with_a_bound_of_its_own_refuses_counts_as_dropped(bounded: Rig) -> None:
    for _ in range(15):
        assert bounded.sink.deliver(DELTA) is True
    told = bounded.catch_up()
    assert told == [DELTA] * 10
    bounded.sink.deliver(FINAL)
    assert dropped(bounded.catch_up()) == [5]


def test_a_mailbox_that_refuses_what_must_not_be_lost_ends_its_subscription(
    bounded: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "trunkline.actors")
    assert [bounded.sink.deliver(FINAL) for _ in range(12)] == [True] * 10 + [False] * 2
    assert "full mailbox" in caplog.text
    assert bounded.catch_up() == [FINAL] * 10
