"""The whole stack on a faulty line: a Broker with a FaultyGateway, against the simulator."""

import threading
import time

import pytest

from trunkline import (
    AssistantTurnCompleted,
    Broker,
    Config,
    Error,
    HandshakeRefused,
    OpenAIGateway,
    SessionClosed,
)
from trunkline.gateway.faults import (
    ActiveResponseRace,
    Close,
    CompressedBit,
    CutFrame,
    DoneForUnknown,
    DoneTwice,
    Drip,
    Duplicate,
    EndlessFrame,
    FaultPlan,
    FaultProxy,
    FaultyGateway,
    FaultyTransport,
    FragmentFlood,
    Garbage,
    HttpStatus,
    InvalidUtf8,
    MaskedFrame,
    NotJson,
    OversizedFrame,
    Refuse,
    Reset,
    SessionExpired,
    SlowReader,
    Stall,
)
from trunkline.gateway.simulator import Simulator

LIMIT_S = 30.0
TEXT = Config(modalities=["text"], turn_detection="none", input_audio_transcription=False)
QUESTION = "What's the capital of Canada?"

pytestmark = pytest.mark.usefixtures("low_dice")


@pytest.fixture
def simulator():
    with Simulator() as running:
        yield running


@pytest.fixture
def session_on(simulator):
    """`session_on(gateway)` opens a session through it; its broker is stopped at the end."""
    brokers = []

    def start(gateway):
        brokers.append(Broker.start("gpt-realtime-2", gateway=gateway, config=TEXT))
        return brokers[-1].connect().get(timeout=LIMIT_S)

    yield start
    for broker in brokers:
        broker.stop().get(timeout=LIMIT_S)


def ask(session):
    """Ask, and return the answer's text at the end of its turn; fails with what came when none does."""
    events = session.events()
    session.send_text(QUESTION).get(timeout=LIMIT_S)
    deadline, seen = time.monotonic() + LIMIT_S, []
    while (left := deadline - time.monotonic()) > 0:
        event = events.get(left)
        seen.append(event)
        if isinstance(event, AssistantTurnCompleted) and (
            texts := [e.text for e in seen if e.kind == "assistant_text"]
        ):
            return texts[-1]
    raise AssertionError(f"no answer; seen: {seen}")


@pytest.mark.parametrize(
    ("injections", "lines"),
    [
        ((), 1),
        ((Reset().on("response.created"),), 2),
        ((Reset().on("response.output_text.delta"),), 2),
        ((Reset().on("response.create"),), 2),
        ((Close(1011, "restarting").on("conversation.item.added"),), 2),
        ((Close(1001).on("response.created"), Refuse().at_connection(2)), 3),
        ((Reset().on("response.created"), HttpStatus(503).at_connection(2)), 3),
        ((SessionExpired().on("response.created"),), 2),
        ((Stall(0.2).on("response.created"),), 1),
        ((Stall(0.2).on("response.create"),), 1),
        ((Garbage().on("response.created"),), 1),
        ((NotJson().on("response.content_part.added"),), 1),
        ((InvalidUtf8().on("response.output_item.added"),), 1),
        ((OversizedFrame(1_000_000).on("response.created"),), 1),
        ((Duplicate().every(1),), 1),
        ((DoneTwice().at_frame(1),), 1),
        ((DoneForUnknown().on("response.created"),), 1),
        ((ActiveResponseRace().at_frame(1),), 1),
        ((SlowReader(4000).at_frame(1),), 1),
    ],
    ids=repr,
)
def test_a_question_is_answered_whatever_goes_wrong(simulator, session_on, injections, lines):
    plan = FaultPlan(*injections, seed=1)
    gateway = FaultyGateway(OpenAIGateway("sk-test", simulator.url), plan)
    assert "Ottawa" in ask(session_on(gateway)), plan.describe()
    plan.verify()
    refused = sum(injection.fault.connects for injection in injections)
    assert simulator.accepted == lines - refused


def test_a_refused_connect_fails_typed_and_the_next_one_works(simulator):
    plan = FaultPlan(HttpStatus(401).at_connection(1))
    gateway = FaultyGateway(OpenAIGateway("sk-test", simulator.url), plan)
    with Broker.start("gpt-realtime-2", gateway=gateway, config=TEXT) as broker:
        with pytest.raises(HandshakeRefused) as refused:
            broker.connect().get(timeout=LIMIT_S)
        assert refused.value.status == 401
        assert "Ottawa" in ask(broker.connect().get(timeout=LIMIT_S))
    plan.verify()


class Counted(FaultyTransport):
    """Counts how often its owner looked at it, per phase."""

    looks = 0

    def pump(self, handle):
        self.looks += 1
        super().pump(handle)

    def flush(self):
        self.looks += 1
        super().flush()


class CountedGateway(FaultyGateway):
    """Its one line is a `Counted`."""

    def connect(self, model, *, timeout_s):
        self.line = Counted(self._gateway.connect(model, timeout_s=timeout_s), self.plan)
        return self.line


def test_the_session_s_own_loop_does_not_spin_during_a_stall(simulator, session_on):
    plan = FaultPlan(Stall(1.5).on("response.created"))
    gateway = CountedGateway(OpenAIGateway("sk-test", simulator.url), plan)
    session = session_on(gateway)
    began = time.monotonic()
    session.send_text(QUESTION).get(timeout=LIMIT_S)
    simulator.wire.wait_received("response.done", 1, LIMIT_S)  # it lies in the session's socket now, unread
    observed = threading.Event()
    while not plan.fired:
        observed.wait(0.001)
    observed.wait(0.1)  # long enough for a loop that spins to show it, and for one that does not to settle
    before = gateway.line.looks
    observed.wait(0.3)
    looks = gateway.line.looks - before
    assert looks < 10 or time.monotonic() - began >= 1.5, f"{looks} looks at a line that is stalled"
    assert "Ottawa" in ask(session)


@pytest.mark.parametrize(
    "injections",
    [
        (),
        (Reset().on("response.created"),),
        (CutFrame().on("response.output_text.delta"),),
        (Close(1011).on("response.created"), HttpStatus(503).at_connection(2)),
        (Drip(64).on("response.created"),),
        (Stall(0.2).on("response.create"),),
        (SessionExpired().on("response.created"),),
        (ActiveResponseRace().at_frame(1),),
        (SlowReader(8000).at_frame(1),),
        (Garbage().on("response.created"),),
        (CompressedBit().on("response.created"),),
        (MaskedFrame().on("response.created"),),
    ],
    ids=repr,
)
def test_a_question_through_the_proxy_is_answered_whatever_goes_wrong(simulator, session_on, injections):
    plan = FaultPlan(*injections, seed=1)
    with FaultProxy(simulator.url, plan) as proxy:
        session = session_on(OpenAIGateway("sk-test", proxy.url))
        assert "Ottawa" in ask(session), plan.describe()
        session.close().get(timeout=LIMIT_S)
    plan.verify()


@pytest.mark.parametrize(
    ("fault", "close_code"),
    [
        (EndlessFrame(), 1009),
        (FragmentFlood(), 1009),
        (OversizedFrame(), 1009),
        (Close(4000, "invalid_request_error.invalid_model"), 4000),
    ],
    ids=repr,
)
def test_a_server_that_would_do_the_same_again_ends_the_session_with_one_error_that_says_how(
    simulator, session_on, fault, close_code
):
    plan = FaultPlan(fault.on("response.created"), seed=1)
    with FaultProxy(simulator.url, plan) as proxy:
        session = session_on(OpenAIGateway("sk-test", proxy.url))
        events = session.events()
        session.send_text(QUESTION).get(timeout=LIMIT_S)
        errors = []
        while not isinstance(event := events.get(LIMIT_S), SessionClosed):
            errors += [event] if isinstance(event, Error) else []
    plan.verify()
    assert event.reason == "error"
    assert len(errors) == 1
    assert f"code {close_code}" in errors[0].message
    assert simulator.accepted == 1
