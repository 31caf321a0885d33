"""What holds for the whole suite."""

import gc
import importlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, seed, settings

# Wall-clock figures are for benchmarks: a machine that is busy with something else fails no test.
settings.register_profile("without a clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("without a clock")


# Whoever starts the suite in the background, or under nohup, has it ignore these, and with it each program that a test starts
# and ends by one. A handler of Python's is not inherited: they begin with the default.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)


def pytest_collection_finish():
    """Keep the collected tests out of the garbage collector's way.

    The leak checks collect after each test, and thousands of collected tests made that the most expensive part of the suite
    (350 s against 85 s).
    """
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item):
    """Have a seed of Hypothesis' mean other examples for each test: else all cases of a parametrized one are given the same."""
    number = item.config.getoption("hypothesis_seed", None)
    if number is not None and is_hypothesis_test(getattr(item, "function", None)):
        seed(f"{number} {item.nodeid}")(item.function)


def pytest_runtest_logreport(report):
    """Likewise what pytest keeps of each test."""
    if report.when == "teardown":
        gc.collect()  # garbage must not be frozen: it would hide what it holds
        gc.freeze()


@pytest.fixture(scope="session")
def eventually() -> Callable[..., None]:
    """`eventually(condition, what)`: poll until the condition holds; fail if it does not. A deadline, not a measure."""

    def check(condition: Callable[[], object], what: str = "", within_s: float = 20.0) -> None:
        deadline = time.monotonic() + within_s
        pause = threading.Event()
        while not condition():
            assert time.monotonic() < deadline, f"did not come true within {within_s} s: {what or condition}"
            pause.wait(0.001)

    return check


@pytest.fixture
def low_dice() -> Iterator[None]:
    """The backoff's dice fall low at first: a line that is lost is opened anew at once, more or less.

    Who needs it down for a while holds it down: of the later tries the dice fall as they do. How far, tests/actors says.
    """
    uniform = random.uniform
    random.uniform = lambda low, high: uniform(low, high / 25 if high <= 0.5 else high)
    yield
    random.uniform = uniform


@pytest.fixture
def killable(monkeypatch):
    """The module of tools with processes of their own, which those can import too."""
    monkeypatch.syspath_prepend(os.path.dirname(__file__))
    return importlib.import_module("killable_tools")
