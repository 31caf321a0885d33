"""Statement 10 of the session contract, over real sockets: whoever does not read loses audio, and nobody else loses anything."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pykka
import pytest

from trunkline import (
    AssistantAudioDelta,
    AssistantTranscript,
    AssistantTurnCompleted,
    Error,
    RawFrame,
    RealtimeClose,
    RealtimeEvent,
)
from trunkline.gateway.errors import SendBufferFull
from trunkline.gateway.faults import FaultPlan, SlowReader
from trunkline.gateway.simulator import FunctionBrain, PlayAudio, Simulator

PATIENCE_S = 20.0
BOUND = 8 << 20
PIECE_MS = 500
N_PIECES = 720
SPEECH = PlayAudio(bytes(48 * PIECE_MS * N_PIECES), "and so it went on", piece_ms=PIECE_MS)
"""Six minutes, 17 MB: twice what a subscriber may lag."""


class Stuck(pykka.ThreadingActor):
    """Reads what it is told only once it is let; counts, and keeps what is no audio."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()
        self.may_read = threading.Event()
        self.n_audio = 0
        self.kept: list[Any] = []
        self.ended = threading.Event()

    def on_receive(self, message: Any) -> Any:
        self.begun.set()
        assert self.may_read.wait(PATIENCE_S)
        if isinstance(message, RealtimeClose):
            self.ended.set()
        elif isinstance(message, RealtimeEvent) and isinstance(message.event, AssistantAudioDelta):
            self.n_audio += 1
        elif isinstance(message, RealtimeEvent):
            self.kept.append(message.event)
        return self.n_audio


@pytest.fixture
def stuck() -> Iterator[pykka.ActorRef[Stuck]]:
    ref = Stuck.start()
    yield ref
    ref._actor_weakref().may_read.set()
    ref.stop(timeout=PATIENCE_S)


@pytest.fixture
def speak(open_session: Callable[..., Any], servers: list[Any]) -> Callable[..., Any]:
    """A session whose every reply is six minutes of sound, or what is given, as fast as it goes."""

    def start(*speeches: Any, **config: Any) -> Any:
        rest = iter(speeches)
        simulator = Simulator(FunctionBrain(lambda _: [next(rest, SPEECH)])).start()
        servers.append(simulator)
        return open_session(simulator, modalities=["audio"], **config)

    return start


class Reader:
    """A callback that reads everything; `done` is set at the end of a turn."""

    def __init__(self) -> None:
        self.n_audio = 0
        self.errors: list[Error] = []
        self.done = threading.Event()

    def __call__(self, event: Any) -> None:
        self.n_audio += isinstance(event, AssistantAudioDelta)
        if isinstance(event, Error):
            self.errors.append(event)
        if isinstance(event, AssistantTurnCompleted):
            self.done.set()


def held_bytes(stream: Any) -> int:
    sizes = (
        event.pcm.nbytes if isinstance(event, AssistantAudioDelta) else len(getattr(event, "data", b""))
        for event in list(stream._queue)
    )
    return sum(sizes)


class TestStatement10BoundedMemory:
    def test_an_unread_stream_loses_the_oldest_audio_and_nothing_else(self, speak):
        stage = speak()
        unread, reader = stage.session.events(), Reader()
        stage.session.subscribe(reader).get(timeout=PATIENCE_S)
        stage.say("go")
        assert reader.done.wait(PATIENCE_S)
        assert len(stage.wire.received("response.output_audio.delta")) == reader.n_audio == N_PIECES
        assert reader.errors == [], "whoever reads is not told of whoever does not"
        assert held_bytes(unread) <= BOUND
        stage.session.close().get(timeout=PATIENCE_S)
        seen = list(unread)
        lagging = [event for event in seen if isinstance(event, Error)]
        assert [error.code for error in lagging] == ["subscriber_lagging"]
        heard = [event for event in seen if isinstance(event, AssistantAudioDelta)]
        assert lagging[0].dropped + len(heard) == N_PIECES
        kinds = [event.kind for event in seen if not event.kind.endswith("_delta")]
        assert kinds == [
            "session_opened",
            "assistant_turn_started",
            "error",
            "assistant_transcript",
            "assistant_turn_completed",
            "session_closed",
        ]
        transcript = next(event for event in seen if isinstance(event, AssistantTranscript))
        assert transcript.text == "and so it went on"
        assert seen.index(lagging[0]) < seen.index(heard[0]), "the oldest went"

    def test_a_stuck_actor_loses_the_newest_audio_and_hears_of_it_when_it_reads_on(self, speak, stuck):
        stage = speak()
        reader, actor = Reader(), stuck._actor_weakref()
        stage.session.subscribe(stuck).get(timeout=PATIENCE_S)
        stage.session.subscribe(reader).get(timeout=PATIENCE_S)
        stage.say("go")
        assert reader.done.wait(PATIENCE_S)
        assert reader.n_audio == N_PIECES
        told = [envelope.message.event for envelope in list(stuck.actor_inbox.queue)]
        sizes = [event.pcm.nbytes for event in told if isinstance(event, AssistantAudioDelta)]
        assert BOUND * 0.9 < sum(sizes) <= BOUND
        actor.may_read.set()
        stage.session.close().get(timeout=PATIENCE_S)
        assert actor.ended.wait(PATIENCE_S)
        assert [event.kind for event in actor.kept if not event.kind.endswith("_delta")] == [
            "session_opened",
            "assistant_turn_started",
            "assistant_transcript",
            "assistant_turn_completed",
            "error",
            "session_closed",
        ]
        (lagging,) = [event for event in actor.kept if isinstance(event, Error)]
        assert (lagging.code, lagging.recoverable) == ("subscriber_lagging", True)
        assert actor.n_audio + lagging.dropped == N_PIECES

    def test_unread_frames_are_bounded_with_the_audio(self, speak):
        stage = speak()
        unread, reader = stage.session.events(raw=True), Reader()
        stage.session.subscribe(reader).get(timeout=PATIENCE_S)
        stage.say("go")
        assert reader.done.wait(PATIENCE_S)
        assert reader.n_audio == N_PIECES
        assert held_bytes(unread) <= BOUND
        stage.session.close().get(timeout=PATIENCE_S)
        seen = list(unread)
        assert any(isinstance(event, RawFrame) for event in seen)
        assert [event.code for event in seen if isinstance(event, Error)] == ["subscriber_lagging"]
        assert [event.kind for event in seen[-1:]] == ["session_closed"]

    def test_a_subscriber_that_reads_again_loses_nothing_more(self, speak):
        n_pieces = N_PIECES // 4  # less than a subscriber may lag, however slowly this one reads
        stage = speak(SPEECH, PlayAudio(bytes(48 * PIECE_MS * n_pieces), "and on", piece_ms=PIECE_MS))
        stream, reader = stage.session.events(), Reader()
        stage.session.subscribe(reader).get(timeout=PATIENCE_S)
        stage.say("go")
        assert reader.done.wait(PATIENCE_S)
        while stream.backlog:
            stream.get(PATIENCE_S)
        stage.say("again")
        heard, event = 0, None
        while not isinstance(event, AssistantTurnCompleted):
            event = stream.get(PATIENCE_S)
            assert not isinstance(event, Error)
            heard += isinstance(event, AssistantAudioDelta)
        assert heard == n_pieces

    def test_what_the_line_does_not_take_is_refused_and_control_is_not(
        self, open_session, servers, eventually
    ):
        plan = FaultPlan(SlowReader(0).on("input_audio_buffer.append"))
        simulator = Simulator(faults=plan).start()
        servers.append(simulator)
        stage = open_session(simulator)
        second = np.zeros(24_000, np.int16)

        def fill() -> None:
            for _ in range(400):
                stage.session.send_audio_frame(second).get(timeout=PATIENCE_S)

        stage.session.send_audio_frame(second).get(timeout=PATIENCE_S)
        eventually(lambda: plan.fired)
        with pytest.raises(SendBufferFull):
            fill()
        stage.session.send_text("still there").get(timeout=PATIENCE_S)
        stage.session.interrupt().get(timeout=PATIENCE_S)
