"""The pytest plugin: fixtures for tests against the simulator and against faults. Owns nothing: each test its own.

- `trunkline_simulator(brain=None, **options)` starts a `Simulator`. At the end its script is verified, and it is stopped.
- `trunkline_faults(*injections, seed=None)` makes a `FaultPlan`. At the end of the test each fault must have acted.
- `trunkline_events(session)` is an `EventLog` of that session.
- `trunkline_leaks` fails a test that leaves actors, threads, names or unresolved futures behind: ask for it in a test, or
  in all tests of a module by `pytestmark = pytest.mark.usefixtures("trunkline_leaks")`.

A test that fails shows its faults with their seed, its scripts, the events and the end of the wire. `--trunkline-seed` repeats a
run; the ini option `trunkline_timeout_s` is the deadline of every wait.

pytest imports this module at every start, so it imports nothing before a fixture needs it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .actors.event_log import EventLog, Subscribable
    from .gateway.faults import FaultPlan, Injection
    from .gateway.simulator import Brain, ScriptBrain, Simulator

__all__ = ["trunkline_events", "trunkline_faults", "trunkline_leaks", "trunkline_simulator"]

_TIMEOUT_S = 5.0


class _Kit:
    """What one test has made of the fixtures."""

    def __init__(self, config: pytest.Config) -> None:
        self.timeout_s = _timeout_s(config)
        given: int | None = config.getoption("trunkline_seed")
        self.seed = random.SystemRandom().randrange(1 << 32) if given is None else given
        self.has_passed = False
        self.was_shown = False
        self.simulators: list[Simulator] = []
        self.scripts: list[ScriptBrain] = []
        self.plans: list[FaultPlan] = []
        self.logs: list[EventLog] = []

    def verify_scripts(self, timeout_s: float) -> None:
        """Fail unless the scripts were followed."""
        for script in self.scripts:
            self._verify(partial(script.verify, timeout_s))

    def verify_plans(self) -> None:
        """Fail if a fault has never acted."""
        for plan in self.plans:
            self._verify(plan.verify)

    def _verify(self, check: Callable[[], None]) -> None:
        if not self.has_passed:
            return  # what it has failed for comes first, and the report shows the rest
        try:
            check()
            return
        except AssertionError as error:
            self.has_passed = False
            failure = str(error)
        pytest.fail(failure, pytrace=False)

    def sections(self) -> Iterator[tuple[str, str]]:
        """Return what helps to understand a failure."""
        for plan in self.plans:
            hint = f"repeat it with --trunkline-seed={plan.seed}"
            yield "trunkline faults", f"{plan.describe()}\n{hint}"
        for script in self.scripts:
            if script.mismatches:
                yield "trunkline script", "\n".join(map(str, script.mismatches))
        for log in self.logs:
            yield "trunkline events", str(log)
        for simulator in self.simulators:
            yield "trunkline wire", simulator.wire.excerpt()


_KIT = pytest.StashKey[_Kit]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; called by pytest."""
    group = parser.getgroup("trunkline")
    group.addoption(
        "--trunkline-seed",
        type=int,
        default=None,
        metavar="SEED",
        help="the seed of every fault plan that trunkline_faults makes; default: one is drawn for each test",
    )
    parser.addini(
        "trunkline_timeout_s",
        help=f"seconds that a wait of Trunkline's fixtures takes at most; default: {_TIMEOUT_S}",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a deadline that is none, before any test; called by pytest."""
    _timeout_s(config)


def _timeout_s(config: pytest.Config) -> float:
    given = config.getini("trunkline_timeout_s") or _TIMEOUT_S
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < math.inf:
        raise pytest.UsageError(
            f"trunkline_timeout_s = {given}: it has to be a number of seconds, more than 0"
        )
    return seconds


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Note how a test went, and add to a failure what helps to understand it; called by pytest."""
    outcome = yield
    report: pytest.TestReport = outcome.get_result()
    kit = item.stash.get(_KIT, None)
    if kit is None:
        return
    if report.when == "call":
        kit.has_passed = report.passed
    if report.failed and not kit.was_shown:
        kit.was_shown = True
        report.sections.extend(kit.sections())


@pytest.fixture
def trunkline_leaks() -> Iterator[None]:
    """Fail the test if it leaves actors, threads, names or unresolved futures behind."""
    from .supervision.testing import leak_check

    with leak_check():
        yield


@pytest.fixture
def trunkline_faults(request: pytest.FixtureRequest) -> Iterator[Callable[..., FaultPlan]]:
    """`trunkline_faults(*injections, seed=None)` makes a `FaultPlan`; if the test passes, each of its faults must have acted."""
    if "trunkline_leaks" in request.fixturenames:
        # Set up before everything else, it looks when all of it is gone.
        request.getfixturevalue("trunkline_leaks")
    kit = _kit(request)

    def plan(*injections: Injection, seed: int | None = None) -> FaultPlan:
        from .gateway.faults import FaultPlan

        kit.plans.append(FaultPlan(*injections, seed=kit.seed if seed is None else seed))
        return kit.plans[-1]

    yield plan
    kit.verify_plans()


@pytest.fixture
def trunkline_simulator(
    request: pytest.FixtureRequest, trunkline_faults: Callable[..., FaultPlan]
) -> Iterator[Callable[..., Simulator]]:
    """`trunkline_simulator(brain=None, **options)` starts a `Simulator`; its `ScriptBrain` is verified if the test passes."""
    # It needs trunkline_faults so that faults are looked for when the simulator, and what depends on it, has ended.
    kit = _kit(request)
    try:
        from .gateway.simulator import ScriptBrain, Simulator
    except ImportError as error:
        pytest.fail(f"the fixture trunkline_simulator cannot be used: {error}", pytrace=False)

    def start(brain: Brain | None = None, **options: Any) -> Simulator:
        simulator = Simulator(brain, **options)
        simulator.wire.timeout_s = kit.timeout_s
        if isinstance(brain, ScriptBrain) and brain not in kit.scripts:
            kit.scripts.append(brain)
        kit.simulators.append(simulator)
        return simulator.start()

    yield start
    try:
        kit.verify_scripts(kit.timeout_s)
    finally:
        for simulator in kit.simulators:
            simulator.stop()
    kit.verify_scripts(0.0)  # what the client sent last, nobody had waited for


@pytest.fixture
def trunkline_events(request: pytest.FixtureRequest) -> Iterator[Callable[[Subscribable], EventLog]]:
    """`trunkline_events(session)` is an `EventLog` of the session's events; it is closed when the test ends."""
    kit = _kit(request)

    def log(session: Subscribable, **options: Any) -> EventLog:
        from .actors.event_log import EventLog

        options.setdefault("timeout_s", kit.timeout_s)
        kit.logs.append(EventLog(session, **options))
        return kit.logs[-1]

    yield log
    for one in kit.logs:
        one.close()


def _kit(request: pytest.FixtureRequest) -> _Kit:
    item: pytest.Item = request.node
    return item.stash.setdefault(_KIT, _Kit(request.config))
