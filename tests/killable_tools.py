"""Tools for processes of their own: they import this module. Most do what no thread survives."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trunkline import ToolContext, ToolError, tool

FOR_EVER_S = 600


@contextlib.contextmanager
def at_work(started: str) -> Iterator[None]:
    """Leave word that the tool runs: its process id in a file."""
    Path(f"{started}.new").write_text(str(os.getpid()))
    os.replace(f"{started}.new", started)
    yield


@tool(isolation="process")
def double(n: int) -> int:
    """Double a number."""
    return 2 * n


@tool(isolation="process")
def own_pid() -> int:
    """Tell which process this is."""
    return os.getpid()


@tool(isolation="process")
def knows_its_call(ctx: ToolContext) -> list[str]:
    """Tell what the context says."""
    return [ctx.call_id, ctx.name, ctx.session_id, ctx.turn_id]


@tool(isolation="process")
async def later(text: str) -> str:
    """Wait a little, in an event loop."""
    await asyncio.sleep(0)
    return text


@tool(isolation="process")
def prints(text: str) -> str:
    """Write to both streams."""
    print(text)
    sys.stderr.write(text)
    return text


@tool(isolation="process")
def sleeps_deaf(started: str) -> str:
    """Sleep in C, with every signal blocked that can be."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    with at_work(started):
        time.sleep(FOR_EVER_S)
    return "too late"


@tool(isolation="process")
def backtracks(started: str) -> str:
    """Hold the interpreter's lock for ages: a regular expression that never comes to an end."""
    with at_work(started):
        re.match(r"(a+)+$", "a" * 60 + "b")
    return "too late"


@tool(isolation="process")
def sleeps_with_the_lock(started: str) -> str:
    """Sleep in C without giving the interpreter's lock away."""
    with at_work(started):
        ctypes.PyDLL(None).sleep(FOR_EVER_S)
    return "too late"


@tool(isolation="process")
def has_a_child(started: str) -> str:
    """Start a program, and wait for it."""
    program = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({FOR_EVER_S})"])
    Path(f"{started}.child").write_text(str(program.pid))
    with at_work(started):
        program.wait()
    return "too late"


@tool(isolation="process")
def segfaults() -> str:
    """Read where nothing is."""
    ctypes.string_at(0)
    return "never"


@tool(isolation="process")
def leaves() -> str:
    """End the process without a word."""
    os._exit(7)


@tool(isolation="process")
def exits() -> str:
    """End the process politely."""
    sys.exit(3)


@tool(isolation="process")
def breaks() -> str:
    """Raise."""
    raise ValueError("secret internals")


@tool(isolation="process")
def explains() -> str:
    """Raise something for the model."""
    raise ToolError("Try tomorrow.")


@tool(isolation="process")
def returns_an_object() -> Any:
    """Return what JSON cannot hold."""
    return object()


STUCK = (sleeps_deaf, backtracks, sleeps_with_the_lock)
