"""What every test of faults needs: nothing is left behind, and a house of stand-ins to break things in."""

import sys
from dataclasses import dataclass, field
from typing import Any

import pytest

from trunkline.supervision import (
    ChildSpec,
    Down,
    DynamicSupervisor,
    GenServer,
    StartChild,
    Supervisor,
    WhichChild,
    call,
    cast,
    monitor,
    testing,
)

PATIENCE_S = 20.0


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    with testing.leak_check(within_s=PATIENCE_S):
        yield


@pytest.fixture
def frantic():
    """Threads are switched as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def probe():
    with testing.Probe() as running:
        yield running


@dataclass(frozen=True)
class Outcome:
    """What a tool worker found out."""

    call_id: str
    value: Any


@dataclass
class Directory:
    """What outlives a session's crash: its diary, its open calls and what came of them."""

    diary: list = field(default_factory=list)
    open_calls: dict = field(default_factory=dict)
    outcomes: list = field(default_factory=list)
    starts: list = field(default_factory=list)
    """What the next starts do: None, an exception to raise, or an event to wait for."""


class Session(GenServer):
    """A stand-in for a session: crashes on demand, runs tools, keeps its state in its directory."""

    def __init__(self, directory):
        super().__init__()
        self._directory = directory

    def on_start(self):
        self._directory.diary.append("start")
        todo = self._directory.starts.pop(0) if self._directory.starts else None
        if isinstance(todo, BaseException):
            raise todo
        if todo is not None:
            assert todo.wait(PATIENCE_S)

    def on_receive(self, message):
        match message:
            case BaseException():
                raise message
            case ("block", started, release):
                started.set()
                assert release.wait(PATIENCE_S)
            case ("block and raise", started, release, error):
                started.set()
                assert release.wait(PATIENCE_S)
                raise error
            case ("run", workers, call_id, tool):
                self._run(workers, call_id, tool)
            case Outcome(call_id):
                if self._directory.open_calls.pop(call_id, None) is not None:
                    self._directory.outcomes.append(message)
            case Down(("tool", call_id), _, reason):
                if self._directory.open_calls.pop(call_id, None) is not None:
                    self._directory.outcomes.append(Outcome(call_id, reason))
            case _:
                self._directory.diary.append(message)
        return message

    def _run(self, workers, call_id, tool):
        self._directory.open_calls[call_id] = tool
        spec = ChildSpec(
            call_id,
            ToolWorker,
            (self._stable_ref, call_id, tool),
            restart="temporary",
            shutdown=0.02,
            kill_grace_s=0.02,
        )
        started = workers.ask(StartChild(spec), block=False)
        me = self._stable_ref
        started.add_done_callback(lambda ref: monitor(ref.get(), me, ("tool", call_id)))

    def terminate(self, reason):
        self._directory.diary.append(("terminate", reason))


class Polite(Session):
    """Exceptions of an ask go to the asker only, as with plain pykka."""

    let_it_crash = False


class ToolWorker(GenServer):
    """Runs one tool for a session, and ends with the session."""

    def __init__(self, session, call_id, tool):
        super().__init__()
        self._session, self._call_id, self._tool = session, call_id, tool

    def handle_continue(self):
        monitor(self._session, self._stable_ref, "session")
        self._stable_ref.tell("run")

    def on_receive(self, message):
        match message:
            case "run":
                value = self._tool()
                if value is not None:  # else it works by messages, and goes on
                    cast(self._session, Outcome(self._call_id, value))
                    self.stop()
            case Outcome():
                cast(self._session, message)
                self.stop()
            case Down():
                self.stop()


class Broker(GenServer):
    """A stand-in for the broker: uses sessions by message, and remembers what came of it."""

    def __init__(self, log):
        super().__init__()
        self._log = log

    def on_receive(self, message):
        match message:
            case ("use", session, request):
                future = session.ask(request, block=False)
                future.add_done_callback(self._log.add)
        return message


class Log(testing.Record):
    def add(self, thing):
        self._arrivals.add(thing)


class House:
    """The tree of DESIGN section 2, of stand-ins."""

    def __init__(self):
        self.log = Log()
        children = [
            ChildSpec("workers", DynamicSupervisor, kwargs={"name": "workers"}),
            ChildSpec("sessions", DynamicSupervisor, kwargs={"name": "sessions", "budget": "child"}),
            ChildSpec("broker", Broker, (self.log,)),
        ]
        self.root = Supervisor.start(children, name="house")
        self.workers, self.sessions, self.broker = (
            call(self.root, WhichChild(id), PATIENCE_S).stable_ref for id in ("workers", "sessions", "broker")
        )

    def open_session(self, directory, start=Session, **spec):
        spec = {"restart": "transient", **spec}
        return call(self.sessions, StartChild(ChildSpec("session", start, (directory,), **spec)), PATIENCE_S)

    def incarnation(self, session):
        return call(self.sessions, WhichChild(session), PATIENCE_S).ref


@pytest.fixture
def house():
    built = House()
    yield built
    built.root.stop()


@pytest.fixture
def directory():
    return Directory()


@pytest.fixture
def new_directory():
    return Directory


@pytest.fixture
def outcome():
    return Outcome


@pytest.fixture
def polite():
    return Polite
