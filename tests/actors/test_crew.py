"""A session's workers, under a real supervisor: who is hired, whose news counts, who is ended."""

from __future__ import annotations

import queue
import threading
from typing import Any

import pykka
import pytest

from trunkline.actors.connect_worker import Attempt, LineFailed, LineOffered
from trunkline.actors.crew import Crew, Tag, WorkerStarted
from trunkline.actors.effects import OpenLine, StartTool, StopTool
from trunkline.actors.recipe import SessionRecipe
from trunkline.actors.tool import as_tool
from trunkline.actors.tool_context import ToolContext
from trunkline.actors.tool_processes import ToolProcesses
from trunkline.actors.tool_runner import ParallelToolRunner
from trunkline.actors.tool_worker import ToolDone
from trunkline.gateway.config import Config
from trunkline.gateway.errors import ConnectError, Unreachable
from trunkline.supervision import (
    KILLED,
    ChildSpec,
    CountChildren,
    Down,
    DynamicSupervisor,
    GenServer,
    StartChild,
    TerminateChild,
    call,
    stop,
)

PATIENCE_S = 10.0
INCARNATION = 3


class Session(GenServer):
    """Stands for a session: keeps what it is told, takes no line, or takes each."""

    def __init__(self, told: queue.Queue[Any], takes: bool) -> None:
        super().__init__()
        self._told = told
        self._takes = takes

    def on_receive(self, message: Any) -> Any:
        self._told.put(message)
        return self._takes


class ScriptedTransport:
    def __init__(self) -> None:
        self.closed = threading.Event()

    def abort(self) -> None:
        pass

    def close(self, code: int = 1000, reason: str = "", timeout_s: float = 0.5) -> None:
        self.closed.set()


class ScriptedGateway:
    """Connects to nothing: returns a transport, raises, or waits, as told."""

    def __init__(self) -> None:
        self.transport = ScriptedTransport()
        self.error: BaseException | None = None
        self.gate: threading.Event | None = None
        self.entered = threading.Event()

    def connect(self, model: str, *, timeout_s: float) -> Any:
        self.entered.set()
        if self.gate is not None:
            self.gate.wait(PATIENCE_S)
        if self.error is not None:
            raise self.error
        return self.transport


class Rig:
    """A crew with a supervisor above it and a session behind it."""

    def __init__(self, takes: bool = True) -> None:
        self.told: queue.Queue[Any] = queue.Queue()
        self.contexts: queue.Queue[ToolContext] = queue.Queue()
        self.release = threading.Event()
        self.gateway: Any = ScriptedGateway()
        self.supervisor = DynamicSupervisor.start()
        self.session = call(self.supervisor, StartChild(ChildSpec("session", Session, (self.told, takes))))
        tools = {tool.__name__: as_tool(tool) for tool in (self.quick, self.slow, self.exits)}
        recipe = SessionRecipe("s", "m", self.gateway, Config(), tools, ParallelToolRunner())
        self.at_work: dict[str, Any] = {}
        self.crew = Crew(
            recipe,
            self.supervisor,
            self.session._incarnation,
            self.session,
            INCARNATION,
            self.at_work,
            ToolProcesses(),
        )

    def quick(self) -> str:
        """Return at once."""
        return "done"

    def slow(self, ctx: ToolContext) -> str:
        """Return when the test says so."""
        self.contexts.put(ctx)
        self.release.wait(PATIENCE_S)
        return "late"

    def exits(self) -> str:
        """Leave."""
        raise SystemExit(3)

    def start(self, name: str, call_id: str = "c1") -> None:
        self.crew.start_tool(StartTool("r1", call_id, name, "{}"))

    def next(self, kind: type) -> Any:
        """Return the next message of this kind; what comes before it is kept nowhere."""
        while True:
            message = self.told.get(timeout=PATIENCE_S)
            if isinstance(message, kind):
                return message

    def workers(self) -> int:
        return int(call(self.supervisor, CountChildren()).specs) - 1

    def until_idle(self) -> None:
        pause = threading.Event()
        for _ in range(4000):
            if not self.workers():
                return
            pause.wait(0.005)
        pytest.fail(f"workers left: {self.workers()}")

    def end(self) -> None:
        self.release.set()
        if self.gateway.gate is not None:
            self.gateway.gate.set()
        stop(self.supervisor, timeout_s=PATIENCE_S)


@pytest.fixture
def rig() -> Any:
    before = set(threading.enumerate())
    made = Rig()
    yield made
    made.end()
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE_S)
        assert not thread.is_alive(), thread.name
    assert not pykka.ActorRegistry.get_all()


def line(number: int = 1, incarnation: int = INCARNATION) -> Tag:
    return Tag("line", number, incarnation)


def tool(call_id: str = "c1") -> Tag:
    return Tag("tool", call_id, INCARNATION)


def test_a_tools_outcome_comes_and_its_worker_goes(rig: Rig) -> None:
    rig.start("quick")
    outcome = rig.next(ToolDone).outcome
    assert (outcome.call_id, outcome.output) == ("c1", "done")
    rig.until_idle()


def test_a_worker_that_dies_is_reported_with_the_reason(rig: Rig) -> None:
    rig.start("exits")
    started = rig.next(WorkerStarted)
    assert started.tag == tool()
    assert rig.crew.started(started) is None
    down = rig.next(Down)
    assert down.tag == tool()
    rig.until_idle()


def test_a_worker_that_dies_says_why_before_anybody_can_watch_it(rig: Rig) -> None:
    rig.start("exits")
    outcome = rig.next(ToolDone).outcome
    assert (outcome.ok, outcome.error.code, outcome.error.detail) == (False, "crashed", "SystemExit: 3")
    rig.until_idle()


def test_the_end_of_a_worker_comes_behind_its_outcome(rig: Rig) -> None:
    for n in range(50):
        rig.start("quick", f"c{n}")
    news: list[tuple[str, str]] = []
    while len(news) < 100:
        match rig.told.get(timeout=PATIENCE_S):
            case ToolDone(outcome):
                news.append(("done", outcome.call_id))
            case Down(Tag(_, key)):
                news.append(("down", str(key)))
            case WorkerStarted() as started:
                rig.crew.started(started)
    for n in range(50):
        assert news.index(("done", f"c{n}")) < news.index(("down", f"c{n}"))


def test_a_stopped_tool_sees_its_token_and_its_worker_is_gone_although_it_does_not_come_back(
    rig: Rig,
) -> None:
    rig.start("slow")
    rig.crew.started(rig.next(WorkerStarted))
    ctx = rig.contexts.get(timeout=PATIENCE_S)
    rig.crew.stop_tool(StopTool("c1", "interrupted"))
    assert ctx.cancelled
    assert ctx.cancel_reason == "interrupted"
    assert rig.next(Down).reason is KILLED
    rig.until_idle()


def test_a_tool_that_is_stopped_before_its_start_is_known_is_ended_when_it_is(rig: Rig) -> None:
    rig.start("slow")
    rig.crew.stop_tool(StopTool("c1", "timeout"))
    rig.crew.started(rig.next(WorkerStarted))
    rig.until_idle()


def test_dismissing_ends_everybody_and_nobody_is_hired_any_more(rig: Rig) -> None:
    rig.gateway.gate = threading.Event()
    for n in range(5):
        rig.start("slow", f"c{n}")
    rig.crew.connect(OpenLine(1, PATIENCE_S))
    rig.crew.dismiss("session_closed")  # no start has been answered to the session yet
    rig.until_idle()
    rig.start("quick", "c9")
    rig.crew.connect(OpenLine(2, PATIENCE_S))
    assert rig.workers() == 0


def test_a_line_is_offered_with_the_incarnation_it_was_asked_for_by(rig: Rig) -> None:
    rig.crew.connect(OpenLine(1, PATIENCE_S))
    offer = rig.next(LineOffered)
    assert offer == LineOffered(Attempt(INCARNATION, 1), rig.gateway.transport)
    rig.until_idle()
    assert not rig.gateway.transport.closed.is_set()


def test_a_line_that_is_not_taken_is_closed() -> None:
    rig = Rig(takes=False)
    try:
        rig.crew.connect(OpenLine(1, PATIENCE_S))
        assert rig.gateway.transport.closed.wait(PATIENCE_S)
    finally:
        rig.end()


def test_a_line_that_nobody_is_there_to_take_is_closed(rig: Rig) -> None:
    rig.gateway.gate = threading.Event()
    rig.crew.connect(OpenLine(1, PATIENCE_S))
    assert rig.gateway.entered.wait(PATIENCE_S)
    rig.crew.dismiss("session_closed")
    stop(rig.supervisor, timeout_s=PATIENCE_S)
    rig.gateway.gate.set()
    assert rig.gateway.transport.closed.wait(PATIENCE_S)


def test_an_attempt_that_is_given_up_is_over_although_the_gateway_hangs(rig: Rig) -> None:
    rig.gateway.gate = threading.Event()
    rig.crew.connect(OpenLine(1, PATIENCE_S))
    rig.crew.started(rig.next(WorkerStarted))
    rig.crew.stop_connecting(1)
    assert rig.next(Down).tag == line()
    rig.until_idle()


@pytest.mark.parametrize(
    ("raised", "expected", "text"),
    [
        (Unreachable("nobody there"), Unreachable, "nobody there"),
        (ValueError("a bug"), ConnectError, "ValueError"),
        (SystemExit("sk-secret"), ConnectError, "SystemExit"),
    ],
)
def test_whatever_a_gateway_raises_the_session_hears_a_gateway_error(
    rig: Rig, raised: BaseException, expected: type, text: str
) -> None:
    rig.gateway.error = raised
    rig.crew.connect(OpenLine(4, PATIENCE_S))
    failed = rig.next(LineFailed)
    assert failed.attempt == Attempt(INCARNATION, 4)
    assert type(failed.error) is expected
    assert text in str(failed.error)
    assert "sk-secret" not in str(failed.error)


def test_a_tool_is_told_when_its_session_is_gone_for_good(rig: Rig) -> None:
    rig.start("slow")
    ctx = rig.contexts.get(timeout=PATIENCE_S)
    call(rig.supervisor, TerminateChild(rig.session))
    assert ctx.cancelled
    assert ctx.cancel_reason == "session_closed"


def test_a_call_id_that_comes_again_is_none_of_the_business_of_the_worker_that_had_it_first(rig: Rig) -> None:
    rig.start("slow")
    first = rig.next(WorkerStarted)
    rig.crew.done("c1")  # its outcome was faster than the news of its start
    rig.start("slow")
    second = rig.next(WorkerStarted)
    rig.crew.started(first)
    rig.crew.started(second)
    assert not rig.crew.down(tool(), first.ref)
    assert rig.crew.down(tool(), second.ref)
    rig.crew.done("c1")
    assert not rig.crew.down(tool(), second.ref), "it ends behind its outcome"


def test_a_start_that_was_refused_says_why(rig: Rig) -> None:
    refused = WorkerStarted(tool(), None, RuntimeError("no thread"))
    assert str(rig.crew.started(refused)) == "no thread"
    assert rig.crew.started(WorkerStarted(tool(), None, None)) == "not started"


def test_the_first_attempts_of_two_incarnations_are_two() -> None:
    assert line(1, 1) != line(1, 2)
    assert Attempt(1, 1) != Attempt(2, 1)
