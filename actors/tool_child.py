"""The process that a tool with ``isolation="process"`` runs in. Owns a process: it is the program of it.

It imports the tool, says whether it could, and runs one call after another until its parent is gone. It never outlives
that: the kernel kills it when the other end of the life pipe closes, even while it is stuck in C with the interpreter's lock.
"""

from __future__ import annotations

import fcntl
import importlib
import importlib.util
import logging
import os
import select
import signal
import socket
import sys
import threading
from types import ModuleType

from . import tool_process
from .cancel_token import CancelToken
from .tool import Tool, as_tool
from .tool_call import run_tool
from .tool_context import ToolContext
from .tool_wire import CallAnswer, CallBegan, Frames, RunCall, ToolOrigin, ToolReady

_MAIN = (
    "__trunkline_tool__"  # what the parent's program is called here: its `if __name__ == "__main__"` is false
)


def main(socket_fd: int, life_fd: int) -> None:
    """Serve calls until the parent is gone.

    Args:
        socket_fd: a socket whose other end the parent has.
        life_fd: a pipe that nobody writes to and the parent alone holds open.
    """
    for descriptor in (socket_fd, life_fd):
        os.set_inheritable(descriptor, False)  # what a tool starts must not hold them open
    _die_with_the_parent(life_fd)
    logging.getLogger("trunkline").addHandler(logging.StreamHandler())  # a tool's traceback goes to stderr
    tool_process.inside_a_child = True
    frames = Frames(socket.socket(fileno=socket_fd))
    try:
        tool = _load(frames.receive(ToolOrigin))
    except EOFError:
        return
    except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code is imported; the parent reports it
        frames.send(ToolReady(f"{type(error).__name__}: {error}"))
        return
    frames.send(ToolReady())
    while True:
        try:
            call = frames.receive(RunCall)
        except EOFError:
            return
        frames.send(CallBegan())
        frames.send(_answer(tool, call))


def _answer(tool: Tool, call: RunCall) -> CallAnswer:
    context = ToolContext(
        call.call_id, call.name, call.session_id, call.turn_id, CancelToken(), call.may_have_run
    )
    outcome = run_tool(tool, call.arguments, context)
    if outcome.error is None:
        return CallAnswer(outcome.output, is_text=isinstance(outcome.result, str))
    return CallAnswer(outcome.output, False, outcome.error.code, outcome.error.message, outcome.error.detail)


def _load(origin: ToolOrigin) -> Tool:
    found: object = _program(origin.main_file) if origin.main_file else importlib.import_module(origin.module)
    for part in origin.qualname.split("."):
        found = getattr(found, part)
    return as_tool(found)


def _program(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(_MAIN, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = sys.modules[_MAIN] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _die_with_the_parent(life_fd: int) -> None:
    if hasattr(fcntl, "F_SETSIG"):
        # Linux: the pipe itself sends the signal, when its other end is closed, by whatever end of the parent.
        fcntl.fcntl(life_fd, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(life_fd, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(life_fd, fcntl.F_SETFL, fcntl.fcntl(life_fd, fcntl.F_GETFL) | os.O_ASYNC)
        if select.select([life_fd], [], [], 0)[0]:
            os._exit(1)  # it was closed before
    else:
        threading.Thread(target=_wait_for_the_end, args=(life_fd,), name="life", daemon=True).start()


def _wait_for_the_end(life_fd: int) -> None:
    os.read(life_fd, 1)
    os._exit(1)
