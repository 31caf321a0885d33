"""What every test of supervised actors needs: deadlines, deliberately failing actors, and a check that nothing is left behind."""

import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from trunkline.supervision import (
    CallerError,
    ChildSpec,
    CountChildren,
    Exit,
    GenServer,
    StableRef,
    StartChild,
    call,
    join,
    testing,
    zombies,
)

PATIENCE_S = 30.0


def open_sockets() -> dict[str, str]:
    """The sockets and wake-ups that this process has open, by descriptor."""
    found: dict[str, str] = {}
    if not os.path.isdir("/proc/self/fd"):
        return found  # not Linux
    for fd in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            continue  # closed meanwhile
        if target.startswith("socket:") or "eventfd" in target:
            found[fd] = target
    return found


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """Fail on what outlives its test: what `leak_check` finds, a socket, a wake-up descriptor."""
    sockets_before = open_sockets()
    with testing.leak_check(within_s=PATIENCE_S):
        yield
    gc.collect()
    sockets = {fd: target for fd, target in open_sockets().items() if sockets_before.get(fd) != target}
    assert not sockets, f"descriptors left behind: {sockets}"


@pytest.fixture(params=["default", 1e-6], ids=["usual switching", "frantic switching"])
def switching(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Run the test twice: as usual, and with threads that are switched as often as can be."""
    before = sys.getswitchinterval()
    if request.param != "default":
        sys.setswitchinterval(request.param)
    yield request.param
    sys.setswitchinterval(before)


class Worker(GenServer):
    """Does what the message says, and keeps a diary that outlives it."""

    def __init__(
        self,
        diary: list[Any] | None = None,
        gate: threading.Event | None = None,
        fails: list[Any] | None = None,
    ):
        super().__init__()
        self._diary = diary if diary is not None else []
        self._gate = gate
        self._fails = fails

    def on_start(self):
        self._diary.append("start")
        if self._fails:
            failure = self._fails.pop(0)
            if failure is not None:
                raise failure

    def on_receive(self, message):
        match message:
            case ("raise", error):
                raise error
            case ("exit", reason):
                raise Exit(reason)
            case ("block", started, release):
                started.set()
                release.wait(PATIENCE_S)
                return "released"
            case ("note", entry):
                self._diary.append(entry)
                return entry
            case "refuse":
                raise CallerError("not so")
            case "urn":
                return self.actor_urn
            case "thread":
                return threading.current_thread()
            case "stable_ref":
                return self._stable_ref
            case _:
                return message

    def greet(self, name):
        return f"hello {name}"

    def terminate(self, reason):
        self._diary.append(("terminate", reason))

    def on_kill(self):
        self._diary.append(("on_kill", threading.current_thread().name))
        if self._gate is not None:
            self._gate.set()


@pytest.fixture
def worker_class() -> type[Worker]:
    return Worker


@pytest.fixture
def start_worker() -> Iterator[Callable[..., Any]]:
    """`start_worker(*args)`: a Worker outside any tree, stopped at the end."""
    started = []

    def start(*args: Any, actor_class: Any = Worker, **kwargs: Any) -> Any:
        ref = actor_class.start(*args, **kwargs)
        started.append(ref)
        return ref

    yield start
    for ref in started:
        ref.stop(block=False)


@pytest.fixture
def run_tree() -> Iterator[Callable[..., Any]]:
    """`run_tree(supervisor_class, ...)`: a supervisor that is stopped at the end."""
    started = []

    def start(supervisor_class: Any, *args: Any, **kwargs: Any) -> Any:
        ref = supervisor_class.start(*args, **kwargs)
        started.append(ref)
        return ref

    yield start
    for ref in started:
        ref.stop()


@pytest.fixture
def start_child() -> Callable[..., Any]:
    """`start_child(supervisor, id, **spec)`: the StableRef of a new Worker."""

    def start(supervisor: Any, child_id: Any, start: Any = Worker, **spec: Any) -> Any:
        return call(supervisor, StartChild(ChildSpec(child_id, start, **spec)), PATIENCE_S)

    return start


@pytest.fixture
def crash(eventually: Callable[..., None]) -> Callable[..., None]:
    """`crash(ref)`: end the incarnation by an exception, and wait until it is down and its supervisor knows."""

    def crash_it(ref: Any, error: BaseException | None = None) -> None:
        error = error or ValueError("crash")
        if isinstance(ref, StableRef):
            eventually(lambda: ref.state != "restarting")
        incarnation = ref._incarnation if isinstance(ref, StableRef) else ref
        try:
            ref.ask(("raise", error), timeout=PATIENCE_S)
        except BaseException as caught:
            of_the_same = (type(caught), str(caught)) == (type(error), str(error))  # the asker gets a twin
            if not of_the_same and getattr(caught, "reason", None) is not error:
                raise
        assert join(incarnation, PATIENCE_S)

    return crash_it


@pytest.fixture
def no_zombies(eventually: Callable[..., None]) -> Iterator[None]:
    """The test abandons threads on purpose and lets them go at its end."""
    yield
    eventually(lambda: not zombies(), "zombies are gone")


@pytest.fixture
def act_on_the_time():
    """`act_on_the_time(supervisor)` returns when it has handled all timers that are due now.

    The first answer may be older than the time. Before the second it looks at the clock and queues what is due, perhaps
    behind the second request; so the third is behind it.
    """

    def act(supervisor):
        for _ in range(3):
            call(supervisor, CountChildren())

    return act
