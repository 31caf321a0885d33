"""What all clients are tried with: a simulator on loopback, a caller's sound, and no way to any other machine."""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

from trunkline.gateway.simulator import (
    Brain,
    Conversation,
    FunctionBrain,
    Simulator,
    Step,
    decode_words,
    encode_words,
)

DEADLINE_S = 10.0
RATE_HZ = 24_000
CHUNK_BYTES = RATE_HZ // 10 * 2
"""A tenth of a second."""
_HERE = {"127.0.0.1", "::1", "localhost", None}


def _stay_here(event: str, args: tuple[Any, ...]) -> None:
    host: object = None
    if event == "socket.getaddrinfo":
        host = args[0].decode() if isinstance(args[0], bytes) else args[0]
    elif event == "socket.connect" and isinstance(args[1], tuple):
        host = args[1][0]
    if host not in _HERE:
        raise ConnectionRefusedError(f"interop tests stay on this machine; somebody wants to reach {host!r}")


def pytest_configure(config: pytest.Config) -> None:
    # Before any client is imported: none of them is to phone home.
    os.environ |= {"OPENAI_AGENTS_DISABLE_TRACING": "1", "DO_NOT_TRACK": "1"}
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("OPENAI_API"):
            del os.environ[name]
    sys.addaudithook(_stay_here)
    config.addinivalue_line("markers", "flow(name): the flow of the table that this test is")
    config.addinivalue_line(
        "markers", "refuses(reason): the client does not support the flow, and says so itself"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    asyncio.run(pyfuncitem.obj(**arguments))
    return True


class Turns:
    """A brain that plays one list of steps per response, in this order."""

    def __init__(self, turns: Iterable[Iterable[Step]]) -> None:
        self._turns = iter(turns)
        self.asked: list[Conversation] = []

    def __call__(self, conversation: Conversation) -> Iterable[Step]:
        self.asked.append(conversation)
        return next(self._turns)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def simulate(stack: ExitStack) -> Callable[..., Simulator]:
    """Start a simulator that answers with these steps, a list per response; or as a brain does."""

    def start(*turns: Iterable[Step], brain: Brain | None = None, **options: Any) -> Simulator:
        simulator = stack.enter_context(Simulator(brain or FunctionBrain(Turns(turns)), **options))
        simulator.wire.timeout_s = DEADLINE_S
        # pytest shows it when the test fails.
        stack.callback(lambda: print(simulator.wire.excerpt()))
        return simulator

    return start


@pytest.fixture
def spoken() -> Callable[..., list[bytes]]:
    """Return what a caller says, and the silence behind it, as pieces of a tenth of a second."""

    def speak(text: str, silence_ms: int = 800) -> list[bytes]:
        sound = encode_words(text, RATE_HZ).tobytes() + bytes(RATE_HZ * silence_ms // 1000 * 2)
        sound += bytes(-len(sound) % CHUNK_BYTES)
        return [sound[at : at + CHUNK_BYTES] for at in range(0, len(sound), CHUNK_BYTES)]

    return speak


@pytest.fixture
def words() -> Callable[[bytes], list[str]]:
    """Return the words that sound in some PCM of the simulator's."""

    def heard(pcm: bytes) -> list[str]:
        return [one.word for one in decode_words(np.frombuffer(pcm, np.int16), RATE_HZ)]

    return heard
